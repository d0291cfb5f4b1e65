# SPDX-License-Identifier: MIT
"""Each recipe of the image and generative models, for seconds on little data: the loss falls, the saved model is made again,
predicts and draws; bad data gives an error that names it."""

import csv

import numpy as np
import pytest

import lamella
from lamella import data, models, recipes
from lamella.data import load_images
from lamella.recipes import Run, load_model

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

JUDGED = {"frechet": 0, "frechet_real": 0, "recognised": 0, "recognised_real": 0}
# name -> settings, figures it returns, and whether it predicts or generates
TINY = {
    "perceptron": ({"epochs": 2}, {"accuracy": 0.8, "mistakes_in_training": 0}, "predict"),
    "mlp": ({"epochs": 3, "hidden": "32"}, {"accuracy": 0.8}, "predict"),
    "lenet5": ({"epochs": 2, "lr": 8e-3}, {"accuracy": 0.8, "loss": 0}, "predict"),
    "cifar10": ({"epochs": 3, "width": 4, "size": 16, "batch": 64, "limit": 500}, {"accuracy": 0.15, "accuracy_with_mirrored": 0}, "predict"),
    "vit": ({"epochs": 3, "layers": 1, "width": 16, "size": 16, "limit": 600, "lr": 4e-3}, {"accuracy": 0.11}, "predict"),
    "autoencoder": ({"epochs": 8, "size": 8, "ordinary": "0"}, {"auc": 0.6, "error": 0}, "predict"),
    "vae": ({"epochs": 3, "width": 4, "size": 8, "limit": 400}, {"elbo": -60, **JUDGED}, "generate"),
    "dcgan": ({"epochs": 2, "width": 8, "size": 8, "limit": 400}, JUDGED, "generate"),
    "wgan_gp": ({"epochs": 2, "width": 8, "size": 8, "limit": 400, "critic_steps": 2}, JUDGED, "generate"),
    "ddpm": ({"epochs": 3, "width": 8, "size": 8, "limit": 300, "draws": 100}, {"loss": 0, **JUDGED}, "generate"),
    "unet": ({"epochs": 4, "width": 4, "size": 32, "scenes": 48}, {"iou": 0}, "predict"),
    "ssd": ({"epochs": 2, "width": 4, "size": 64, "scenes": 48}, {"map_50": 0, "map_75": 0}, "predict"),
    "clip": ({"epochs": 2, "size": 14, "width": 16}, {"accuracy": 0.1, "accuracy_unseen": 0}, "predict"),
}


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch):
    """Pictures are made, but not rendered."""
    matplotlib = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
    monkeypatch.setattr(matplotlib.Figure, "savefig", lambda self, file, **options: file.write(b"picture"))


def history(folder):
    with open(folder / "history.csv") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", TINY)
def test_recipe(name, tmp_path):
    settings, least, kind = TINY[name]
    figures = recipes.get(name)(out=tmp_path, **settings)
    assert set(figures) == set(least) and all(np.isfinite(v) for v in figures.values())
    for key, value in least.items():
        assert figures[key] >= value, (key, figures)
    if name not in ("perceptron", "dcgan", "wgan_gp"):  # of adversaries, no loss need fall
        rows = history(tmp_path)
        assert rows[-1]["loss"] < rows[0]["loss"], rows
    model, meta, module = load_model(tmp_path / "model.safetensors")
    if kind == "predict":
        path = tmp_path / "digit.png"
        image.fromarray(load_images(size=meta["size"]).test.tensors[0].numpy()[0, 0]).save(path)
        assert module.predict(model, meta, path)
    else:
        run = Run(module, {}, None, tmp_path / "new")
        (tmp_path / "new").mkdir()
        module.generate(model, meta, run, "", n=2)
        assert run.files == ["samples.png"]


# ---- what they are told ---------------------------------------------------------------------------------------------
def test_settings_that_do_not_fit(tmp_path):
    def fails(name, text, data=None, **settings):
        with pytest.raises(ValueError, match=text):
            recipes.get(name)(data, out=tmp_path / "out", **settings)

    fails("mlp", r"\[mlp\] hidden must be widths such as 128,64, or none, got 'wide'", hidden="wide")
    fails("autoencoder", r"\[autoencoder\] ordinary must be one of 0, 1, .*, got 'cat'", ordinary="cat")
    fails("image_classifier", r"\[models\] name must be one of .*, got 'resnet'", model="resnet", limit=20)
    fails("image_classifier", "frozen must stand with weights", frozen=True, limit=20)
    fails("vae", r"\[ConvVAE\] size must be divisible by 8, got 28", size=28, limit=20)
    (tmp_path / "cats").mkdir()
    image.new("L", (8, 8)).save(tmp_path / "cats" / "0.png")
    (tmp_path / "data" / "cat").mkdir(parents=True)
    fails("lenet5", "cat holds no image", tmp_path / "data")


def test_fine_tuning_takes_all_but_the_last_layer(tmp_path):
    for i, name in enumerate(("cat", "dog")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for j in range(10):
            image.new("RGB", (20, 30), (200 * i, 10 * j, 0)).save(tmp_path / "data" / name / f"{j}.png")
    source = models.create("resnet18", num_classes=7)
    lamella.save(source.state_dict(), tmp_path / "weights.safetensors")
    settings = {"epochs": 4, "size": 32, "lr": 1e-2, "batch": 8, "frozen": True, "weights": str(tmp_path / "weights.safetensors")}
    figures = recipes.get("image_classifier")(tmp_path / "data", out=tmp_path, **settings)
    assert set(figures) == {"accuracy", "loss"} and history(tmp_path)[-1]["loss"] < history(tmp_path)[0]["loss"]
    model, meta, module = load_model(tmp_path / "model.safetensors")
    assert (model.bn1.running_mean == source.bn1.running_mean).all()
    assert (model.layer4[1].conv2.weight == source.layer4[1].conv2.weight).all() and model.fc.weight.shape == (2, 512)
    np.save(tmp_path / "digit.npy", np.zeros((3, 32, 32), np.uint8))
    name, chance = module.predict(model, meta, tmp_path / "digit.npy").split("\t")
    assert name in ("cat", "dog") and 0.5 <= float(chance) <= 1


def test_load_backbone(tmp_path):
    source, other = (models.create("resnet9", num_classes=n, width=4) for n in (10, 3))
    lamella.save({"kind": "of a recipe", "state": source.state_dict()}, tmp_path / "a.safetensors")
    assert models.load_backbone(other, tmp_path / "a.safetensors") == ["fc.weight"]
    assert (other.features[2].block[0][0].weight == source.features[2].block[0][0].weight).all()
    same = models.create("resnet9", num_classes=10, width=4)
    assert models.load_backbone(same, tmp_path / "a.safetensors") == [] and (same.fc.weight == source.fc.weight).all()
    wide = models.create("resnet9", num_classes=10, width=8)
    before = wide.fc.weight.clone()
    with pytest.raises(ValueError, match=r"must hold this model's layers, but features\.0\.0\.weight \(8, 3, 3, 3\), in the file \(4, 3, 3, 3\)"):
        models.load_backbone(wide, tmp_path / "a.safetensors")
    assert (wide.fc.weight == before).all()


def test_ddpm_draws_the_classes_asked_for(tmp_path):
    module = recipes.get("ddpm").module
    meta = {"classes": ["cat", "dog"], "size": 8, "width": 8}
    model = module.build(meta).eval()
    with pytest.raises(ValueError, match="prompt must name classes, cat, dog, got 'cow'"):
        module.generate(model, meta, None, "cow")
    assert module.draw(model, meta, lamella.tensor([1, 0, 1]), steps=2).shape == (3, 1, 8, 8)


def adversaries():
    lamella.manual_seed(0)
    model = models.GAN(models.Generator(4, 1, 8, 4), models.Critic(1, 8, 4))
    both = {n: lamella.optim.Adam(getattr(model, n).named_parameters(), lr=1e-2) for n in ("generator", "discriminator")}
    losses = {"discriminator_loss": models.critic_loss, "generator_loss": lambda scores: -scores.mean()}
    trainer = lamella.train.AdversarialTrainer(model, both, discriminator_steps=2, **losses)
    return trainer, data.DataLoader(load_images(limit=40).train.tensors[0].float() / 127.5 - 1, 8, shuffle=True, generator=0)


def test_adversaries_take_turns_and_resume_to_the_same_bits(tmp_path):
    whole, loader = adversaries()
    start = {k: v.clone() for k, v in whole.model.state_dict().items()}
    assert "generator_loss" in whole.fit(loader, epochs=2).last
    part, loader = adversaries()
    part.fit(loader, steps=1)
    state = part.model.state_dict()
    assert all((state[k] == start[k]).all() for k in state if k.startswith("generator") and "running" not in k and "num_b" not in k)
    assert not all((state[k] == start[k]).all() for k in state if k.startswith("discriminator"))
    part.fit(loader, steps=3)
    part.save(tmp_path / "state.safetensors")
    resumed, loader = adversaries()
    resumed.resume(tmp_path / "state.safetensors")
    resumed.fit(loader, epochs=2)
    a, b = whole.model.state_dict(), resumed.model.state_dict()
    assert resumed.steps_done == 10 and all((a[k] == b[k]).all() for k in a)


def test_adversarial_trainer_says_what_it_wants():
    model = models.GAN(models.Generator(4, 1, 8, 4), models.Discriminator(1, 8, 4))
    one = lamella.optim.SGD(model.parameters(), lr=0.1)
    losses = {"discriminator_loss": models.critic_loss, "generator_loss": lambda s: -s.mean()}
    with pytest.raises(ValueError, match="optimizer must be a dict of 'generator' and 'discriminator'"):
        lamella.train.AdversarialTrainer(model, one, **losses)
    with pytest.raises(ValueError, match=r"clip_norm must be None, got 1\.0"):
        lamella.train.AdversarialTrainer(model, {"generator": one, "discriminator": one}, clip_norm=1.0, **losses)


def test_judge_tells_digits_from_noise():
    images = data.load_images(limit=700)
    judge = lamella.train.PictureJudge(images, steps=150)
    real = judge.figures(images.test.tensors[0].float() / 255)
    noise = judge.figures(lamella.rand(200, 1, 8, 8))
    assert real["frechet"] == real["frechet_real"] < noise["frechet"] / 3 and real["recognised"] > noise["recognised"]
