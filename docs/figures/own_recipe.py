# SPDX-License-Identifier: MIT
"""The tutorial's recipe: words in folders, here three sounds that a formula makes, told apart by their mel spectrograms."""

import tempfile
from pathlib import Path

import numpy as np
import picture

import lamella

# [recipe]
from lamella import data, metrics, models, optim
from lamella.data import transforms as T
from lamella.nn import functional as F
from lamella.recipes import recipe

mel = T.LogMelSpectrogram(8000, n_fft=256, hop_length=128, n_mels=40, frames=32)
augment = T.Compose([T.WarpSpectrogram(shift=3), T.SpecAugment(1, 6, 1, 6, zero_masking=True)])


@recipe(data="folder with one folder of WAV files for each word")
def words(run, data_folder=None, *, epochs: int = 4, batch: int = 16, lr: float = 3e-3):
    """Words, each in a folder of its name."""
    found = data.AudioFolder(data_folder, transform=lambda x: mel(x[0]), sample_rate=8000)
    training, held_out = data.random_split(data.in_memory(found), [0.8, 0.2])
    loader = data.DataLoader(training, batch, shuffle=True, batch_transform=lambda b: (augment(b[0]), b[1]))
    model = models.SpectrogramConvNet(len(found.classes), frames=32, width=8)
    trainer = run.trainer(model, optim.AdamW(model.named_parameters(), lr=lr), F.cross_entropy, metrics={"accuracy": metrics.Accuracy()})
    history = trainer.fit(loader, data.DataLoader(held_out, 64), epochs=epochs)
    run.save(model, {"classes": found.classes})
    return {"accuracy": history.last["val_accuracy"]}


# [run]
def sound(rising, seed, rate=8000):
    """A quarter of a second of a tone that rises, falls, or stays, with noise."""
    random = np.random.default_rng(seed)
    t = np.arange(rate // 4) / rate
    hertz = random.uniform(500, 900) * (1 + rising * 2 * t)
    return 0.3 * np.sin(2 * np.pi * np.cumsum(hertz) / rate) + 0.02 * random.standard_normal(len(t))


folder = Path(tempfile.mkdtemp()) / "words"
for word, rising in (("down", -1), ("flat", 0), ("up", 1)):
    (folder / word).mkdir(parents=True)
    for i in range(50):
        data.write_wav(folder / word / f"{i:02}.wav", sound(rising, i), 8000)
figures = words(folder, out=folder.parent / "run")
print(f"held-out accuracy {figures['accuracy']:.2f}")
assert figures["accuracy"] > 0.8

lamella.manual_seed(1)
examples = lamella.stack([mel(lamella.from_numpy(sound(r, 60 + r).astype(np.float32))) for r in (-1, 0, 1)])
fig, axes = picture.axes(2, 3, width=2.2, height=1.6)
for row, pictures in zip(axes, (examples, augment(examples)), strict=True):
    for ax, spectrogram, word in zip(row, pictures, ("down", "flat", "up"), strict=True):
        ax.imshow(spectrogram.numpy(), origin="lower", aspect="auto", cmap="magma", vmin=-1, vmax=3)
        ax.set_title(word)
        picture.bare(ax)
picture.save(fig, __file__)
