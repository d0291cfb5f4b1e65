# SPDX-License-Identifier: MIT
"""T5 in small: fills the gaps in a line."""

from lamella import models, optim
from lamella.data import (
    CharTokenizer,
    LibraryTokenizer,
    MapDataset,
    bucket_loader,
    lines_of,
    read_text,
    tokenizer_from_dict,
)
from lamella.data.transforms import SpanCorruption
from lamella.optim.lr_scheduler import WarmupCosineLR
from lamella.recipes import recipe

GAPS = [f"<extra_id_{i}>" for i in range(10)]


@recipe(data="a text file, such as tiny Shakespeare")
def t5(run, data=None, *, epochs: int = 6, tokens: int = 3000, lr: float = 4e-3, width: int = 128, layers: int = 3, heads: int = 4,
       rate: float = 0.15, span: float = 4.0, dropout: float = 0.0, weights: str | None = None):  # fmt: skip
    """T5 learns to fill gaps, letter by letter; `lamella predict DIR "to be or ___ to be"` asks it to.

    A share `rate` of a line's tokens is left out, in spans of `span` on average; the last tenth of the lines is held out. weights:
    a folder of Hugging Face's T5 (config.json, safetensors, tokenizer.json) to go on from; lr=1e-4 suits that.
    """
    if data is None:
        raise ValueError("[t5] data must be a text file, got None (on the command line: --data FILE)")
    lines = [line for line in read_text(data).split("\n") if len(line) > 15]
    if weights:
        tokenizer = LibraryTokenizer.from_file(weights)
        model, sizes = models.pretrained(weights, models.T5)
    else:
        tokenizer = CharTokenizer.build(lines, ("<pad>", "</s>", "<unk>", *GAPS), "<unk>")
        sizes = {"vocab_size": len(tokenizer), "d_model": width, "d_kv": width // heads, "d_ff": 2 * width, "num_heads": heads,
                 "num_layers": layers, "dropout_rate": dropout}  # fmt: skip
        model = models.T5(**sizes)
    meta = {"tokenizer": tokenizer.to_dict(), "model": sizes}
    corrupt = SpanCorruption([tokenizer.special(gap) for gap in GAPS], tokenizer.special("</s>"), rate, span)

    def example(ids):
        inputs, targets = corrupt(ids)
        return inputs, [model.start, *targets]

    ids = [tokenizer.encode(line) for line in lines]
    cut = len(ids) - max(1, len(ids) // 10)
    train, held_out = (
        bucket_loader(MapDataset(part, example), max_tokens=tokens, fields=(0, 1), lengths=[len(x) + 2 for x in part])
        for part in (ids[:cut], ids[cut:])
    )
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=0.01)
    schedule = WarmupCosineLR(optimizer, epochs * len(train) // 10, epochs * len(train))
    trainer = run.trainer(model, optimizer, step=models.seq2seq_loss, schedule=schedule, clip_norm=1.0)
    history = trainer.fit(train, held_out, epochs=epochs)
    run.save(model, meta)
    run.print(predict(model, meta, "To be, or not to ___, that is the ___:"))
    return {"val_loss": history.last["val_loss"]}


def build(meta):
    return models.T5(**meta["model"])


def predict(model, meta, text):
    tokenizer = tokenizer_from_dict(meta["tokenizer"])
    return "\n".join(models.fill_gaps(model, tokenizer, line, GAPS) for line in lines_of(text))


if __name__ == "__main__":
    t5.main()
