# SPDX-License-Identifier: MIT
"""Several heads on one trunk: which digit it is, and where the centre of its ink lies; the losses' weights are learned."""

from lamella import models, nn, optim, stack
from lamella.data import DataLoader, TensorDataset
from lamella.data.digits import digits
from lamella.nn import functional as F
from lamella.ops import arange
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe
from lamella.transfer import MultiHead, MultiTaskLoss, UncertaintyWeights


@recipe
def multi_task(run, *, epochs: int = 20, batch: int = 64, lr: float = 4e-3, learned: bool = True):
    """Two heads on one trunk, a class and a position, on the embedded digits: 96.7 % and a tenth of a pixel."""
    train, test = labelled("train"), labelled("test")
    model = build({})
    weights = UncertaintyWeights(["digit", "centre"], regression=["centre"]) if learned else {"centre": 1.0}
    criterion = MultiTaskLoss({"digit": F.cross_entropy, "centre": F.mse_loss}, weights)

    both = nn.ModuleDict({"model": model, "criterion": criterion})  # the weights of the losses learn, too, and faster

    def step(both, batch):
        outputs = both["model"](batch[0])
        loss = both["criterion"](outputs, {"digit": batch[1], "centre": batch[2]})
        return {"loss": loss, **criterion.parts}

    rates = [lr, 10 * lr] if learned else [lr]
    groups = [{"params": module.parameters()} for module in both.values()][: len(rates)]
    optimizer = optim.AdamW(groups, lr=lr, weight_decay=1e-3)
    loader = DataLoader(train, batch, shuffle=True)
    schedule = OneCycleLR(optimizer, rates, total_steps=epochs * len(loader) + 1, cycle_momentum=False)
    trainer = run.trainer(both, optimizer, step=step, schedule=schedule)
    trainer.fit(loader, DataLoader(test, 256), epochs=epochs)
    run.save(model)
    found = model(test.tensors[0])
    figures = {"accuracy": (found["digit"].argmax(1) == test.tensors[1]).float().mean().item()}
    figures["centre_error"] = (found["centre"] - test.tensors[2]).square().sum(1).sqrt().mean().item()  # in pixels
    if learned:
        figures |= {f"sigma_{n}": s for n, s in zip(weights.tasks, (0.5 * weights.log_variances).exp().tolist(), strict=True)}
    return figures


def labelled(split):
    """(image, digit, (row, column) of the centre of its ink)."""
    images, labels = digits(split).tensors
    ink = images[:, 0] / images.sum((1, 2, 3)).reshape(-1, 1, 1)
    place = arange(8).float()
    return TensorDataset(images, labels, stack([ink.sum(2) @ place, ink.sum(1) @ place], 1))


def build(meta):
    trunk = nn.Sequential(models.create("small_lenet").features, nn.Flatten(), nn.Linear(256, 64), nn.ReLU())
    return MultiHead(trunk, {"digit": nn.Linear(64, 10), "centre": nn.Linear(64, 2)})


if __name__ == "__main__":
    multi_task.main()
