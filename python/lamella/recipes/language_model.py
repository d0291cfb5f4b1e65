# SPDX-License-Identifier: MIT
"""A recurrent language model: an LSTM that writes like the text it has read."""

from lamella import models, optim
from lamella.data import DataLoader, RandomSampler, text_blocks
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import WarmupCosineLR
from lamella.recipes import recipe
from lamella.recipes.gpt import generate


@recipe(data="a text file, such as tiny Shakespeare")
def language_model(run, data=None, *, steps: int = 1500, batch: int = 32, context: int = 64, layers: int = 2, width: int = 192,
                   dropout: float = 0.1, lr: float = 5e-3, cell: str = "LSTM"):  # fmt: skip
    """An LSTM that predicts the next letter (cell=GRU or RNN: another recurrence).

    Tokens are characters; the last tenth of the text is held out. Each block of `context` characters starts from an empty state.
    """
    train, validation, tokenizer = text_blocks(data, context)
    sizes = {"embedding_dim": width, "hidden_size": width, "num_layers": layers, "dropout": dropout, "tied": True, "cell": cell}
    meta = {"tokenizer": tokenizer.to_dict(), "model": {"vocab_size": len(tokenizer), **sizes}}
    model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=0.01)
    schedule = WarmupCosineLR(optimizer, min(100, steps // 10), steps, end_factor=0.02)
    trainer = run.trainer(model, optimizer, next_token, schedule=schedule, clip_norm=1.0)
    blocks = RandomSampler(train, replacement=True, num_samples=steps * batch)
    loaders = DataLoader(train, batch, sampler=blocks), DataLoader(validation, 64)
    history = trainer.fit(*loaders, steps=steps, validate_every=max(1, steps // 2))
    run.save(model, meta)
    sample = generate(model, meta, run, "\n")
    run.text("sample.txt", sample)
    run.print(sample)
    return {"val_loss": history.last["val_loss"]}


def next_token(output, target):
    logits, _ = output  # and the state
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def build(meta):
    return models.RecurrentLanguageModel(**meta["model"])


if __name__ == "__main__":
    language_model.main()
