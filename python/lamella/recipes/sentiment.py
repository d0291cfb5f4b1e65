# SPDX-License-Identifier: MIT
"""What a sentence thinks: a bidirectional LSTM on lines of (sentence, tab, label)."""

from pathlib import Path

from lamella import models, no_grad, optim, tensor
from lamella.data import BucketBatchSampler, DataLoader, LabelledText, PadCollate, WordTokenizer, lines_of, tokenizer_from_dict
from lamella.metrics import Accuracy
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe


@recipe(data="folder with train.tsv and dev.tsv: a sentence, a tab, a label a line")
def sentiment(run, data=None, *, epochs: int = 5, batch: int = 32, lr: float = 6e-3, width: int = 64, embedding: int = 100,
              dropout: float = 0.5, forget: float = 0.1, names: str = "negative,positive"):  # fmt: skip
    """A bidirectional LSTM on the sentences of SST-2.

    Words seen once are unknown, and so is a share `forget` of all words in training. names: of the labels 0, 1, ...
    """
    texts = {name: labelled(data, name) for name in ("train", "dev")}
    tokenizer = WordTokenizer.build(texts["train"].texts, min_freq=2, specials=("<pad>", "<unk>"))
    loaders = {name: bucketed(text, tokenizer, batch, name == "train") for name, text in texts.items()}
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
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(loaders["train"]) + 1, cycle_momentum=False)
    metrics = {"accuracy": Accuracy(num_classes=classes)}
    trainer = run.trainer(model, optimizer, step=step, schedule=schedule, metrics=metrics, clip_norm=1.0)
    history = trainer.fit(loaders["train"], loaders["dev"], epochs=epochs)
    run.save(model, meta)
    return {"val_loss": history.last["val_loss"], "accuracy": history.last["val_accuracy"]}


def labelled(folder, name):
    path = Path(folder or ".") / f"{name}.tsv"
    if not path.is_file():
        raise ValueError(f"[sentiment] data must be a folder with train.tsv and dev.tsv, got {folder} without {name}.tsv")
    return LabelledText(path, header=False)


def bucketed(text, tokenizer, batch, shuffle):
    items = [(tokenizer.encode(line) or [1], label) for line, label in zip(text.texts, text.labels, strict=True)]
    sampler = BucketBatchSampler([len(ids) for ids, _ in items], batch, shuffle=shuffle)
    return DataLoader(items, batch_sampler=sampler, collate_fn=PadCollate())


def build(meta):
    return models.RecurrentClassifier(**meta["model"], bidirectional=True, pool="mean")


def predict(model, meta, text):
    tokenizer, said = tokenizer_from_dict(meta["tokenizer"]), []
    for line in lines_of(text):
        with no_grad():
            p = F.softmax(model(tensor([tokenizer.encode(line.lower()) or [1]])), -1)[0]
        best = int(p.argmax())
        said.append(f"{meta['names'][best] if best < len(meta['names']) else best} {p[best].item():.3f}")
    return "\n".join(said)


if __name__ == "__main__":
    sentiment.main()
