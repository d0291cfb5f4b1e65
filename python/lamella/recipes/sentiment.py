# SPDX-License-Identifier: MIT
"""What a sentence thinks: a bidirectional LSTM on lines of (sentence, tab, label)."""

from pathlib import Path

from lamella import models, optim
from lamella.data import LabelledText, WordTokenizer, bucket_loader, lines_of, tokenizer_from_dict
from lamella.metrics import Accuracy
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe


@recipe(data="folder with train.tsv and dev.tsv: a sentence, a tab, a label a line")
def sentiment(run, data=None, *, epochs: int = 5, batch: int = 32, lr: float = 6e-3, width: int = 64, embedding: int = 100,
              dropout: float = 0.5, forget: float = 0.1, names: str = "negative,positive"):  # fmt: skip
    """A bidirectional LSTM on the sentences of SST-2: 80 % right in half a minute.

    Words seen once are unknown, and so is a share `forget` of all words in training. names: of the labels 0, 1, ...
    """
    texts = {name: labelled(data, name) for name in ("train", "dev")}
    tokenizer = WordTokenizer.build(texts["train"].texts, min_freq=2, specials=("<pad>", "<unk>"))
    items = {name: [(encode(tokenizer, t), y) for t, y in zip(x.texts, x.labels, strict=True)] for name, x in texts.items()}
    train, dev = bucket_loader(items["train"], batch), bucket_loader(items["dev"], batch, shuffle=False)
    classes = max(max(text.labels) for text in texts.values()) + 1
    sizes = {"classes": classes, "embedding_dim": embedding, "hidden_size": width, "dropout": dropout}
    meta = {"tokenizer": tokenizer.to_dict(), "model": {"vocab_size": len(tokenizer), **sizes}, "names": names.split(",")}
    model = build(meta)

    def step(model, batch):
        (idx, lengths), labels = batch
        if model.training:
            idx = models.mask_tokens(idx, 1, len(tokenizer), forget)[0]
        scores = model(idx, lengths)
        return {"loss": F.cross_entropy(scores, labels), "output": scores, "target": labels}

    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=0.01)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, cycle_momentum=False)
    metrics = {"accuracy": Accuracy(num_classes=classes)}
    trainer = run.trainer(model, optimizer, step=step, schedule=schedule, metrics=metrics, clip_norm=1.0)
    history = trainer.fit(train, dev, epochs=epochs)
    run.save(model, meta)
    return {"val_loss": history.last["val_loss"], "accuracy": history.last["val_accuracy"]}


def labelled(folder, name):
    path = Path(folder or ".") / f"{name}.tsv"
    if not path.is_file():
        raise ValueError(f"[sentiment] data must be a folder with train.tsv and dev.tsv, got {folder} without {name}.tsv")
    return LabelledText(path, header=False)


def encode(tokenizer, line):
    return tokenizer.encode(line.lower()) or [tokenizer.special("<unk>")]


def build(meta):
    return models.RecurrentClassifier(**meta["model"], bidirectional=True, pool="mean")


def predict(model, meta, text):
    tokenizer = tokenizer_from_dict(meta["tokenizer"])
    return verdicts(models.classify_lines(model, lines_of(text), lambda line: encode(tokenizer, line)), meta["names"])


def verdicts(probabilities, names):
    """The likeliest class of each line, and how likely it is."""
    rows = probabilities.tolist()
    return "\n".join(f"{dict(enumerate(names)).get(p.index(max(p)), p.index(max(p)))} {max(p):.3f}" for p in rows)


if __name__ == "__main__":
    sentiment.main()
