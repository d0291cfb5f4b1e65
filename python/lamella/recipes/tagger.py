# SPDX-License-Identifier: MIT
"""Gives a text its spaces and capitals back: a label for every letter, from what stands on both sides of it."""

from lamella import arange, models, no_grad, optim, tensor
from lamella.data import CharTokenizer, bucket_loader, lines_of, read_text, tokenizer_from_dict
from lamella.metrics import Accuracy, F1Score
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe


@recipe(data="a text file, such as tiny Shakespeare")
def tagger(run, data=None, *, epochs: int = 2, tokens: int = 2000, lr: float = 8e-3, width: int = 128, embedding: int = 64,
           dropout: float = 0.1):  # fmt: skip
    """A bidirectional LSTM that reads tobeornottobe and writes To be or not to be.

    Every letter gets one of four labels: a space before it or not, a capital or not. The last tenth of the lines is held out.
    """
    if data is None:
        raise ValueError("[tagger] data must be a text file, got None (on the command line: --data FILE)")
    examples = [hide(line) for line in read_text(data).split("\n") if len(line) > 1]
    tokenizer = CharTokenizer.build((letters for letters, _ in examples), specials=("<pad>", "<unk>"), unk="<unk>")
    items = [(tokenizer.encode(letters), tags) for letters, tags in examples]
    cut = len(items) - max(1, len(items) // 10)
    train, held_out = (bucket_loader(part, max_tokens=tokens, fields=(0, 1)) for part in (items[:cut], items[cut:]))
    sizes = {"vocab_size": len(tokenizer), "tags": 4, "embedding_dim": embedding, "hidden_size": width, "dropout": dropout}
    meta = {"tokenizer": tokenizer.to_dict(), "model": sizes}
    model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=0.01)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, cycle_momentum=False)
    metrics = {"accuracy": Accuracy(num_classes=4), "f1": F1Score(num_classes=4, average="macro")}
    trainer = run.trainer(model, optimizer, step=step, schedule=schedule, metrics=metrics, clip_norm=1.0)
    history = trainer.fit(train, held_out, epochs=epochs)
    run.save(model, meta)
    run.print(predict(model, meta, "tobeornottobe,thatisthequestion:"))
    return {"accuracy": history.last["val_accuracy"], "f1": history.last["val_f1"]}


def hide(line):
    """The small letters of a line without its spaces, and their labels: 2 after a space, plus 1 for a capital."""
    letters, tags, space = "", [], 0
    for c in line:
        if c == " ":
            space = 2
        else:
            letters, tags, space = letters + c.lower()[0], [*tags, space + c.isupper()], 0
    return letters, tags


def step(model, batch):
    (idx, lengths), (tags, _) = batch
    mask = arange(idx.shape[1])[None, :] < lengths[:, None]
    scores, tags = model(idx, mask)[mask], tags[mask]
    return {"loss": F.cross_entropy(scores, tags), "output": scores, "target": tags, "weight": len(tags)}


def build(meta):
    return models.RecurrentTagger(**meta["model"])


def predict(model, meta, text):
    tokenizer, lines = tokenizer_from_dict(meta["tokenizer"]), []
    for letters in (hide(line)[0] for line in lines_of(text)):
        with no_grad():
            tags = model(tensor([tokenizer.encode(letters)])).argmax(-1)[0].tolist() if letters else []
        made = (" " * (tag > 1) + (c.upper() if tag % 2 else c) for c, tag in zip(letters, tags, strict=True))
        lines.append("".join(made).strip())
    return "\n".join(lines)


if __name__ == "__main__":
    tagger.main()
