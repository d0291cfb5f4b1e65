# SPDX-License-Identifier: MIT
"""Freezing, layer groups, features, domain adaptation, several heads."""

import copy

import numpy as np
import pytest

import lamella
import lamella.nn.functional as F
from lamella import models, nn, optim, recipes, train, transfer
from lamella.data import DataLoader, TensorDataset
from lamella.transfer import (
    DANN,
    FeatureExtractor,
    GradNorm,
    GradualUnfreezing,
    MultiHead,
    MultiTaskLoss,
    UncertaintyWeights,
)


def network():
    """Two stages with batch norm and a head."""
    stage = lambda c, k: nn.Sequential(nn.Conv2d(c, k, 3, padding=1), nn.BatchNorm2d(k), nn.ReLU())  # noqa: E731
    return nn.Sequential({"one": stage(1, 4), "two": stage(4, 4), "flat": nn.Flatten(), "head": nn.Linear(64, 3)})


def learning(model):
    return [n for n, p in model.named_parameters() if p.requires_grad]


def batches(n=24):
    return TensorDataset(lamella.rand(n, 1, 4, 4), lamella.randint(0, 3, (n,)))


# ---- freezing ----------------------------------------------------------------------------------------------------------
def test_freeze_by_pattern_module_and_layer():
    model = network()
    every = learning(model)
    assert transfer.freeze(model) == every and learning(model) == []
    assert transfer.unfreeze(model, "two", model.head) == [n for n in every if not n.startswith("one")] == learning(model)
    assert transfer.freeze(model, "*.bias") == [n for n in every if n.endswith("bias")]
    transfer.unfreeze(model)
    assert transfer.freeze(model, up_to="two.0") == [n for n in every if n.startswith(("one", "two.0"))]
    assert learning(model) == ["two.1.weight", "two.1.bias", "head.weight", "head.bias"]
    resnet = models.create("resnet18", num_classes=2)
    frozen = transfer.freeze(resnet, up_to="layer2")
    assert frozen[0] == "conv1.weight" and frozen[-1].startswith("layer2.1") and not any(n.startswith(("layer3", "fc")) for n in frozen)


def test_what_is_not_there_is_told_with_what_is():
    model = network()
    with pytest.raises(ValueError, match=r"\[freeze\] pattern must fit .*'tow': there is two"):
        transfer.freeze(model, "tow")
    with pytest.raises(ValueError, match=r"up_to must be the path of a module, got 'haed': there is head"):
        transfer.freeze(model, up_to="haed")
    with pytest.raises(ValueError, match="modules of the model, or patterns, got Linear"):
        transfer.freeze(model, nn.Linear(2, 2))
    with pytest.raises(ValueError, match="up_to must be given alone"):
        transfer.freeze(model, "one", up_to="two")


def test_statistics_of_frozen_batch_norms_stay():
    model, x = network(), lamella.rand(8, 1, 4, 4)
    transfer.freeze(model, "one", batch_norm=True)
    transfer.freeze(model, "one", batch_norm=True)  # again changes nothing
    kept = [copy.deepcopy(model[i][1].running_mean.numpy()) for i in (0, 1)]
    twin = copy.deepcopy(model)
    for m in (model, twin):
        m.train()
        m(x)
        assert np.array_equal(m[0][1].running_mean.numpy(), kept[0]) and not np.array_equal(m[1][1].running_mean.numpy(), kept[1])
        transfer.unfreeze(m, "one")
        assert m[0][1].training and m[0][1]._hooks is not None
        m(x)
        assert not np.array_equal(m[0][1].running_mean.numpy(), kept[0])


def test_only_what_learns_changes():
    model, data = network(), batches()
    before = {n: p.detach().numpy().copy() for n, p in model.named_parameters()}
    transfer.freeze(model, up_to="two", batch_norm=True)
    trainer = train.Trainer(model, optim.AdamW(model.parameters(), lr=1e-2), F.cross_entropy)
    trainer.fit(DataLoader(data, 8), epochs=1)
    changed = [n for n, p in model.named_parameters() if not np.array_equal(p.numpy(force=True), before[n])]
    assert changed == ["head.weight", "head.bias"]


# ---- layers ------------------------------------------------------------------------------------------------------------
def test_layer_groups_hold_every_parameter_once():
    small = {"num_layers": 2, "hidden_dim": 8, "mlp_dim": 8, "num_heads": 2, "image_size": 8, "patch_size": 4}
    makers = (models.create("resnet18"), models.create("small_lenet"), models.VisionTransformer(**small), models.GPT(16, 8, 2, 2, 8))
    for model in makers:
        groups = transfer.layer_groups(model)
        named = [n for _, members in groups for n, _ in members]
        assert sorted(named) == sorted(n for n, _ in model.named_parameters()) and len(groups) > 2


def test_layerwise_rates_fall_from_the_head_and_parameters_keep_their_names():
    model = network()
    groups = transfer.layerwise_groups(model, lr=1.0, decay=0.5, weight_decay=0.1)
    assert [g["name"] for g in groups] == ["one.0", "one.1", "two.0", "two.1", "head"]
    optimizer = optim.AdamW(groups)
    assert [g["lr"] for g in optimizer.param_groups] == [0.0625, 0.125, 0.25, 0.5, 1.0]
    assert optimizer.param_groups[-1]["param_names"] == ["head.weight", "head.bias"] and optimizer.param_groups[0]["weight_decay"] == 0.1
    by_stage = transfer.layerwise_groups(model, 1.0, 0.1, layers=["one", ("two", "head.*")])
    assert [g["lr"] for g in by_stage] == [0.1, 1.0] and by_stage[1]["name"] == "two, head.*"
    with pytest.raises(ValueError, match=r"got none that fits 'two\.0\.weight'"):
        transfer.layer_groups(model, ["one", "head"])
    with pytest.raises(ValueError, match="decay must be in"):
        transfer.layerwise_groups(model, 1.0, 0.0)


class Watch(train.Callback):
    def __init__(self):
        self.seen = {}

    def on_batch_start(self, trainer, batch):
        stages = " ".join(dict.fromkeys(n.split(".")[0] for n in learning(trainer.model)))
        self.seen[trainer.epoch] = (stages, trainer.model[0][1].training)


@pytest.mark.parametrize("options", [{"every": 2}, {"at": [2, 4]}], ids=["every", "at"])
def test_gradual_unfreezing(options, tmp_path):
    def trainer():
        lamella.manual_seed(4)
        model = network()
        optimizer = optim.AdamW(transfer.layerwise_groups(model, 1e-2), lr=1e-2)
        watch = Watch()
        thaw = GradualUnfreezing(layers=["one", "two", "head"], **options)
        return train.Trainer(model, optimizer, F.cross_entropy, callbacks=[thaw, watch], seed=0), watch

    data = DataLoader(batches(), 8, shuffle=True)
    straight, watch = trainer()
    straight.fit(data, epochs=5)
    expected = ["head", "head", "two head", "two head", "one two head"]
    assert [watch.seen[e] for e in range(5)] == [(stages, e == 4) for e, stages in enumerate(expected)]
    first, _ = trainer()
    first.fit(DataLoader(data.dataset, 8, shuffle=True), epochs=3)
    first.save(tmp_path / "state.safetensors")
    second, _ = trainer()
    second.resume(tmp_path / "state.safetensors")
    second.fit(DataLoader(data.dataset, 8, shuffle=True), epochs=5)
    for a, b in zip(straight.model.parameters(), second.model.parameters(), strict=True):
        assert np.array_equal(a.numpy(force=True), b.numpy(force=True))


# ---- features ----------------------------------------------------------------------------------------------------------
def test_feature_extractor_gives_inner_outputs():
    model, x = network().eval(), lamella.rand(2, 1, 4, 4)
    found = FeatureExtractor(model, {"one": "early", "two.1": "late"})(x)
    assert list(found) == ["early", "late"] and np.array_equal(found["early"].numpy(force=True), model[0](x).numpy(force=True))
    assert all(m._hooks is None for m in model.modules())
    calls = []
    model.head.register_forward_hook(lambda *a: calls.append(1))
    FeatureExtractor(model, ["one"])(x)["one"].sum().backward()
    assert not calls and model[0][0].weight.grad is not None and model.head.weight.grad is None
    with pytest.raises(ValueError, match="names must be paths of modules, got 'threee'"):
        FeatureExtractor(model, ["threee"])
    unused = nn.Sequential(nn.Linear(2, 2))
    unused.forward = lambda v: v
    with pytest.raises(RuntimeError, match="module '0' must be called"):
        FeatureExtractor(unused, ["0"])(lamella.ones(1, 2))


def test_extracted_features_are_those_of_the_model():
    model, data = network().train(), batches(10)
    found = transfer.extract_features(model, DataLoader(data, 4), "two")
    assert model.training and model[1][1].training and len(found) == 10 and found.tensors[0].shape == (10, 64)
    model.eval()
    assert np.array_equal(found.tensors[0].numpy(), model[1](model[0](data.tensors[0])).flatten(1).numpy(force=True))
    assert np.array_equal(found.tensors[1].numpy(), data.tensors[1].numpy()) and not found.tensors[0].requires_grad
    assert transfer.extract_features(model, [data.tensors[0]]).tensors[0].shape == (10, 3)
    with pytest.raises(ValueError, match="at least one batch"):
        transfer.extract_features(model, [])


# ---- domains -----------------------------------------------------------------------------------------------------------
def test_reversed_gradient():
    x = lamella.rand(3, requires_grad=True)
    layer = transfer.GradientReversal(2.0)
    (layer(x) * x.detach()).sum().backward()
    assert np.allclose(x.grad.numpy(), -2 * x.detach().numpy())
    (g,) = lamella.autograd.grad((layer(x) ** 3).sum(), x, create_graph=True)
    (gg,) = lamella.autograd.grad(g.sum(), x)
    assert np.allclose(gg.numpy(), 4 * 6 * x.detach().numpy(), rtol=1e-5)  # reversed twice: (-2)^2 f''


def test_pairs_repeat_the_smaller_set():
    source, target = batches(5), TensorDataset(lamella.arange(3).float())
    pairs = transfer.PairedDataset(source, target)
    assert len(pairs) == 5 and pairs[4][1].item() == 1.0 and pairs[-1][1].item() == 1.0
    (x, y), other = next(iter(DataLoader(pairs, 5)))
    assert x.shape == (5, 1, 4, 4) and y.shape == (5,) and other.tolist() == [0, 1, 2, 0, 1]
    listed = transfer.PairedDataset(target, [1.0, 2.0])
    assert [item[1] for item in (listed[0], listed[2])] == [1.0, 1.0]
    with pytest.raises(ValueError, match="target must not be empty"):
        transfer.PairedDataset(source, [])


def moons(angle, n=300):
    """Two half moons, turned by an angle in degrees."""
    rng = np.random.default_rng(angle)
    y, t, a = rng.integers(0, 2, n), rng.random(n) * np.pi, np.radians(angle)
    x = np.stack([np.cos(t) * (1 - 2 * y) + y - 0.5, np.sin(t) * (1 - 2 * y) + 0.5 * y - 0.25], 1)
    x = (x + rng.standard_normal((n, 2)) * 0.1) @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return TensorDataset(lamella.tensor(x.astype(np.float32)), lamella.tensor(y))


def test_dann_follows_the_turn():
    """The paper's first experiment: labels for two moons, and the same moons turned by 35 degrees without labels."""
    source, target, accuracy = moons(0), moons(35), {}
    for weight in (0.0, 1.0):
        lamella.manual_seed(1)
        features = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        model = DANN(features, nn.Linear(32, 2), nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)))
        optimizer, callbacks = optim.AdamW(model.parameters(), lr=1e-2), [transfer.ReversalSchedule(weight)]
        trainer = train.Trainer(model, optimizer, step=DANN.step, callbacks=callbacks)
        history = trainer.fit(DataLoader(transfer.PairedDataset(source, target), 50, shuffle=True), epochs=30)
        predicted = trainer.predict(DataLoader(target, 300)).argmax(1)
        accuracy[weight] = (predicted == target.tensors[1]).float().mean().item()
        assert trainer.evaluate(DataLoader(source, 300))["loss"] < 0.2 and 0.4 < history.last["domain_accuracy"] < 0.9
    assert abs(model.reversal.weight - 1) < 1e-3 and accuracy[1.0] > accuracy[0.0] + 0.07


# ---- heads -------------------------------------------------------------------------------------------------------------
def test_replace_head():
    for name, path in (("small_lenet", "classifier.4"), ("resnet18", "fc"), ("vgg11", "classifier.6")):
        model = models.create(name) if name != "vgg11" else nn.Sequential({"classifier": nn.Sequential(*[nn.ReLU()] * 6, nn.Linear(4, 9))})
        head = transfer.replace_head(model, 7)
        assert model.get_submodule(path) is head and head.weight.shape[0] == 7
    conv = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 9, 1, bias=False)).eval()
    head = transfer.replace_head(conv, 2, name="1")
    assert conv[1] is head and head.weight.shape == (2, 4, 1, 1) and head.bias is None and not head.training
    with pytest.raises(ValueError, match="model must have a Linear"):
        transfer.replace_head(conv, 2)
    with pytest.raises(ValueError, match="layer must be a Linear or a Conv2d, got ReLU at '0'"):
        transfer.replace_head(nn.Sequential(nn.ReLU()), 2, name="0")


def tasks():
    model = MultiHead(nn.Sequential(nn.Linear(4, 8), nn.Tanh()), {"kind": nn.Linear(8, 3), "size": nn.Linear(8, 1)})
    losses = {"kind": F.cross_entropy, "size": lambda y, t: F.mse_loss(y[:, 0], t)}
    x = lamella.rand(32, 4)
    return model, losses, x, {"kind": (x.sum(1) * 1.4).long().clamp(max=2), "size": 10 * x[:, 0] - 5}


def test_several_heads_and_their_losses():
    model, losses, x, targets = tasks()
    outputs = model(x)
    assert np.array_equal(model(x, "size").numpy(force=True), outputs["size"].numpy(force=True))
    criterion = MultiTaskLoss(losses, {"size": 0.25})
    total = criterion(outputs, targets)
    assert total.item() == pytest.approx(criterion.parts["kind"].item() + 0.25 * criterion.parts["size"].item())
    assert criterion(outputs, {**targets, "kind": None}).item() == pytest.approx(0.25 * losses["size"](outputs["size"], targets["size"]).item())
    with pytest.raises(ValueError, match="task must be one of"):
        model(x, "colour")
    with pytest.raises(ValueError, match=r"weights must be of \['kind', 'size'\], got \['colour'\]"):
        MultiTaskLoss(losses, {"colour": 1.0})
    with pytest.raises(ValueError, match="targets must hold one of"):
        criterion(outputs, {})
    with pytest.raises(ValueError, match="outputs must hold kind"):
        criterion({"size": outputs["size"]}, targets)


def test_uncertainty_weights_find_the_scale_of_each_loss():
    weights = UncertaintyWeights(["a", "b"], regression=["b"])
    optimizer = optim.Adam(weights.parameters(), lr=0.05)
    for _ in range(300):
        total = weights({"a": lamella.tensor(0.2), "b": lamella.tensor(4.0)})
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    # d/ds (k e^-s L + s / 2) = 0 at e^s = 2 k L
    assert np.allclose(weights.log_variances.exp().tolist(), [0.4, 4.0], rtol=1e-2)
    assert MultiTaskLoss({"a": F.mse_loss}, weights).weights is weights and len(list(MultiTaskLoss({}, weights).parameters())) == 1


def test_gradnorm_balances_gradients():
    model, losses, x, targets = tasks()
    shared = model.trunk[0].weight
    weights = GradNorm(["kind", "size"], shared, alpha=0.0, lr=0.01)
    criterion = MultiTaskLoss(losses, weights)
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    norms = []
    for _ in range(80):
        total = criterion(model(x), targets)
        grads = [lamella.autograd.grad(loss(model(x)[n], targets[n]), shared)[0] for n, loss in losses.items()]
        norms.append([w * g.norm().item() for w, g in zip(weights.weights.tolist(), grads, strict=True)])
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    ratio = [b / a for a, b in norms]
    assert weights.weights.sum().item() == pytest.approx(2.0) and ratio[0] > 2.5 and 0.5 < ratio[-1] < 2
    assert [n for n, _ in criterion.named_parameters()] == [] and set(criterion.state_dict()) == {"weights.weights", "weights.first"}
    kept = weights.weights.tolist()
    with lamella.no_grad():
        criterion(model(x), targets)
    assert weights.weights.tolist() == kept


# ---- recipes -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "figures"), [
    ("transfer", {"from_scratch", "frozen_trunk", "unfrozen_gradually"}),
    ("multi_task", {"accuracy", "centre_error", "sigma_digit", "sigma_centre"}),
    ("domain_adaptation", {"source_only", "adapted"}),
])  # fmt: skip
def test_recipe_runs_and_its_model_loads(name, figures, tmp_path):
    found = recipes.get(name)(out=tmp_path, epochs=1, quiet=True)
    assert set(found) == figures and all(0 < v < 3 for v in found.values())
    model, _, _ = recipes.load_model(tmp_path / "model.safetensors")
    assert not model.training
