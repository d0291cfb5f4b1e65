# SPDX-License-Identifier: MIT
"""A small GPT that writes like the text it has read."""

from lamella import models, optim
from lamella.data import DataLoader, LibraryTokenizer, RandomSampler, text_blocks, tokenizer_from_dict
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import WarmupCosineLR
from lamella.recipes import recipe


@recipe(data="a text file, such as tiny Shakespeare")
def gpt(run, data=None, *, steps: int = 2000, batch: int = 12, context: int = 64, layers: int = 4, heads: int = 4, width: int = 128,
        dropout: float = 0.0, lr: float = 3e-3, weights: str | None = None):  # fmt: skip
    """A GPT in nanoGPT's setting for CPUs: tiny Shakespeare, letter by letter.

    Tokens are characters; the last tenth of the text is held out. weights: a folder of Hugging Face's GPT-2 (config.json,
    safetensors, tokenizer.json) to go on from, whose sizes and tokens then count; lr=1e-4 suits that.
    """
    tokenizer = LibraryTokenizer.from_file(weights) if weights else None
    train, validation, tokenizer = text_blocks(data, context, tokenizer)
    sizes = {"vocab_size": len(tokenizer), "block_size": context, "n_layer": layers, "n_head": heads, "n_embd": width}
    meta = {"tokenizer": tokenizer.to_dict(), "model": {**sizes, "dropout": dropout, "bias": False}}
    if weights:
        model, meta["model"] = models.pretrained(weights, models.GPT)
    else:
        model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.1)
    schedule = WarmupCosineLR(optimizer, min(100, steps // 10), steps, end_factor=0.1)
    trainer = run.trainer(model, optimizer, next_token, schedule=schedule, clip_norm=1.0, precision="auto")
    blocks = RandomSampler(train, replacement=True, num_samples=steps * batch)
    loaders = DataLoader(train, batch, sampler=blocks), DataLoader(validation, 64)
    history = trainer.fit(*loaders, steps=steps, validate_every=max(1, steps // 2))
    run.save(model, meta)
    sample = generate(model, meta, run, "\n")
    run.text("sample.txt", sample)
    run.print(sample)
    return {"val_loss": history.last["val_loss"]}


def next_token(logits, target):
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def build(meta):
    return models.GPT(**meta["model"])


def generate(model, meta, run, prompt, length=500, temperature=0.8, **options):
    tokenizer = tokenizer_from_dict(meta["tokenizer"])
    return models.generate_text(model, tokenizer, prompt or "\n", length, temperature=temperature, **options)


if __name__ == "__main__":
    gpt.main()
