# SPDX-License-Identifier: MIT
"""A small Llama: RMS norm, rotary positions, SwiGLU, and two heads of queries to one of keys and values."""

from lamella import models, optim
from lamella.data import DataLoader, LibraryTokenizer, RandomSampler, text_blocks
from lamella.optim.lr_scheduler import WarmupCosineLR
from lamella.recipes import recipe
from lamella.recipes.gpt import generate, next_token


@recipe(data="a text file, such as tiny Shakespeare")
def llama(run, data=None, *, steps: int = 2000, batch: int = 12, context: int = 64, layers: int = 4, heads: int = 4, width: int = 128,
          lr: float = 2e-3, weights: str | None = None):  # fmt: skip
    """Llama's blocks at the size of the recipe gpt, letter by letter.

    Tokens are characters; the last tenth of the text is held out. weights: a folder of a Hugging Face Llama (config.json,
    safetensors, tokenizer.json) to go on from, whose sizes and tokens then count; lr=1e-4 suits that.
    """
    tokenizer = LibraryTokenizer.from_file(weights) if weights else None
    train, validation, tokenizer = text_blocks(data, context, tokenizer)
    sizes = {"hidden_size": width, "intermediate_size": 8 * width // 3, "num_hidden_layers": layers}
    groups = {"num_attention_heads": heads, "num_key_value_heads": max(1, heads // 2), "tie_word_embeddings": True}
    meta = {"tokenizer": tokenizer.to_dict(), "model": {"vocab_size": len(tokenizer), **sizes, **groups}}
    if weights:
        model, meta["model"] = models.pretrained(weights, models.Llama)
    else:
        model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.1)
    schedule = WarmupCosineLR(optimizer, min(100, steps // 10), steps, end_factor=0.1)
    trainer = run.trainer(model, optimizer, next_token, schedule=schedule, clip_norm=1.0)
    blocks = RandomSampler(train, replacement=True, num_samples=steps * batch)
    loaders = DataLoader(train, batch, sampler=blocks), DataLoader(validation, 64)
    history = trainer.fit(*loaders, steps=steps, validate_every=max(1, steps // 2))
    run.save(model, meta)
    sample = generate(model, meta, run, "\n")
    run.text("sample.txt", sample)
    run.print(sample)
    return {"val_loss": history.last["val_loss"]}


def build(meta):
    return models.Llama(**meta["model"])


if __name__ == "__main__":
    llama.main()
