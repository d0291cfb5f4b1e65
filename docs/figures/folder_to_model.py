# SPDX-License-Identifier: MIT
"""The tutorial's run: a folder of images, a model trained on it, pictures of what it learned, a checkpoint that goes on."""

import tempfile
from pathlib import Path

import numpy as np
import picture
from PIL import Image

import lamella
from lamella import data, metrics, models, optim, plots, train
from lamella.nn import functional as F

# [folder]
folder = Path(tempfile.mkdtemp()) / "digits"
images, labels = data.digits("train").tensors
for i, (image, label) in enumerate(zip(images.numpy()[:600], labels.tolist(), strict=False)):
    (folder / str(label)).mkdir(parents=True, exist_ok=True)
    Image.fromarray((image[0] * 255).astype(np.uint8)).save(folder / str(label) / f"{i:04}.png")

# [read]
lamella.manual_seed(0)
found = data.ImageFolder(folder, mode="L")  # (image (1, 8, 8) in [0, 1], number of its class)
training, held_out = data.random_split(data.in_memory(found), [0.8, 0.2])
print(len(found), "images of", ", ".join(found.classes), "; shape", found[0][0].shape)

# [train]
out = Path(tempfile.mkdtemp())


def trainer():
    lamella.manual_seed(0)
    model = models.SmallLeNet(classes=len(found.classes))
    return train.Trainer(
        model,
        optim.AdamW(model.named_parameters(), lr=4e-3),
        F.cross_entropy,
        metrics={"accuracy": metrics.Accuracy(), "confusion": metrics.ConfusionMatrix()},
        callbacks=[train.Checkpoint(out / "state.safetensors"), train.EarlyStopping("val_loss", patience=4)],
    )


loader, test_loader = data.DataLoader(training, 16, shuffle=True, generator=0), data.DataLoader(held_out, 100)
run = trainer()
history = run.fit(loader, test_loader, epochs=6)
print(f"held-out accuracy {history.last['val_accuracy']:.3f}")

# [see]
picture.save(plots.curves(history, ["loss", "accuracy"]), __file__)
picture.save(plots.confusion_matrix(run.arrays["confusion"], found.classes), "folder_to_model_confusion")
picture.save(plots.filters(run.model), "folder_to_model_filters")

# [predict]
x, label = held_out[0]
chances = F.softmax(run.model(x[None]), 1)[0]
print(f"is {found.classes[label]}, looks like {found.classes[int(chances.argmax())]} ({float(chances.max()):.0%})")

# [resume]
first = trainer()
first.fit(data.DataLoader(training, 16, shuffle=True, generator=0), test_loader, epochs=2)
again = trainer()
again.resume(out / "state.safetensors")  # what the checkpoint kept
again.fit(data.DataLoader(training, 16, shuffle=True, generator=0), test_loader, epochs=6)
for a, b in zip(run.model.parameters(), again.model.parameters(), strict=True):
    assert lamella.equal(a, b)  # to the bit

assert history.last["val_accuracy"] > 0.85
