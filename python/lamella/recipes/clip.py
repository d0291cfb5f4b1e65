# SPDX-License-Identifier: MIT
"""Two towers that bring pictures and words together."""

import lamella
from lamella import models, optim, plots
from lamella.data import CaptionedDigits, DataLoader, load_images, read_like
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe

UNSEEN = ("red zero", "green three", "blue seven", "yellow four", "violet eight", "white five")


@recipe(data="folder with MNIST's IDX files (default: the embedded digits)")
def clip(run, data=None, *, epochs: int = 20, batch: int = 64, lr: float = 2e-3, size: int = 28, patch: int = 7, width: int = 64):
    """CLIP in small (Radford et al. 2021): pictures of coloured digits and words such as "blue seven".

    Accuracy is that of finding a picture's words among all 60; six of them occur in no training picture ("unseen").
    """
    images = load_images(data, size=size, mode="L")
    train = DataLoader(CaptionedDigits(*images.train.tensors, without=UNSEEN), batch, shuffle=True, drop_last=True)
    held = CaptionedDigits(*images.test.tensors, seed=1)
    test = DataLoader(held, 250)
    meta = {"classes": held.captions, "channels": 3, "size": [size, size], "mean": [0.0] * 3, "std": [1.0] * 3, "patch": patch, "width": width}
    model, words = build(meta), tokens(held.captions)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=1e-2)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(train) + 1, pct_start=0.2, cycle_momentum=False)

    def step(model, batch):
        x, _, numbers = batch
        return models.contrastive_loss(model(x, words[numbers]))

    trainer = run.trainer(model, optimizer, step=step, schedule=schedule, clip_norm=1.0)
    trainer.fit(train, epochs=epochs)
    run.save(model, meta)

    unseen = {held.captions.index(caption) for caption in UNSEEN}
    hits = {False: [], True: []}
    with lamella.no_grad():
        for x, _, numbers in test:
            for found, number in zip(model(x, words).argmax(1).tolist(), numbers.tolist(), strict=True):
                hits[number in unseen].append(found == number)
        x, _, numbers = next(iter(test))
        points, digits = lamella.cat([model.encode_image(x), model.encode_text(words)]), [*(numbers % 10).tolist(), *[n % 10 for n in range(60)]]
        run.figure("embeddings", plots.embeddings, points, digits, texts=[""] * len(x) + held.captions)
    run.figure("curves", plots.curves, trainer.history)
    return {"accuracy": sum(hits[False]) / len(hits[False]), "accuracy_unseen": sum(hits[True]) / max(1, len(hits[True]))}


def tokens(captions):
    """(N, 3): two words and the end, whose number is the largest, as `models.CLIP` wants it."""
    known = sorted({word for caption in CaptionedDigits.captions for word in caption.split()})
    return lamella.tensor([[*(known.index(w) for w in caption.split()), len(known)] for caption in captions])


def build(meta):
    width = meta["width"]
    return models.CLIP(32, meta["size"][0], meta["patch"], 3, 4, width, vocab_size=17, context=3, text_layers=2, text_heads=4, text_width=width)


@lamella.no_grad()
def predict(model, meta, path):
    chances = lamella.softmax(model(read_like(path, meta), tokens(meta["classes"])), 1)[0]
    return f"{meta['classes'][chances.argmax().item()]}\t{chances.max().item():.4f}"


if __name__ == "__main__":
    clip.main()
