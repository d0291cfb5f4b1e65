# SPDX-License-Identifier: MIT
"""The doctor: planted faults are named first, healthy runs raise no alarm, and nothing is left changed."""

import functools
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest

import lamella
import lamella.nn.functional as F
from doctor_faults import FAULTS, Attention, Setup, plant
from lamella import doctor, nn, optim, train
from lamella.data import DataLoader, TensorDataset, digits
from lamella.doctor.causes import CAUSES, ORDER
from lamella.doctor.finding import Finding, ranked

# Each fault once, spread over architectures, variants and optimisers; tests/doctor_faults.py plants all combinations.
ONCE = [
    ("rate too high", "mlp", 0, "adam"),
    ("rate too low", "mlp", 0, "sgd"),
    ("labels shuffled", "mlp", 0, "adam"),
    ("labels off by one", "conv", 0, "sgd"),
    ("labels off by one", "mlp", 1, "adam"),
    ("inputs not scaled", "mlp", 0, "adam"),
    ("a frozen layer", "conv", 0, "adam"),
    ("a detached branch", "transformer", 0, "adam"),
    ("dead ReLUs", "lstm", 0, "adam"),
    ("saturated sigmoids", "mlp", 0, "sgd"),
    ("exploding recurrent net", "lstm", 0, "adam"),
    ("softmax twice", "mlp", 0, "adam"),
    ("wrong axis of softmax", "lstm", 0, "adam"),
    ("missing zero_grad", "mlp", 0, "sgd"),
    ("eval mode in training", "conv", 1, "adam"),
    ("batch norm with a batch of one", "conv", 1, "adam"),
    ("NaN in the data", "transformer", 0, "adam"),
]
# What a watched loop can tell as well, without trials and without seeing the data set.
WATCHED = [
    ("missing zero_grad", "conv", 0, "adam"),
    ("eval mode in training", "mlp", 0, "sgd"),
    ("NaN in the data", "mlp", 0, "adam"),
    ("labels off by one", "mlp", 0, "adam"),
    ("softmax twice", "lstm", 1, "adam"),
    ("a detached branch", "conv", 1, "sgd"),
    ("rate too high", "mlp", 0, "sgd"),
]


def test_every_fault_is_planted():
    assert {name for name, *_ in ONCE} == set(FAULTS) and len(FAULTS) == 16


@pytest.mark.parametrize(("fault", "arch", "variant", "algorithm"), ONCE)
def test_fault_is_named_first(fault, arch, variant, algorithm):
    report = plant(fault, arch, variant, 0, algorithm).examined(budget_seconds=10)
    assert report.findings and report.findings[0].code in FAULTS[fault].codes, str(report)
    assert not report.ok


@pytest.mark.parametrize(("fault", "arch", "variant", "algorithm"), WATCHED)
def test_fault_is_named_first_by_watching(fault, arch, variant, algorithm):
    report = plant(fault, arch, variant, 0, algorithm).watched(40)
    assert report.findings and report.findings[0].code in FAULTS[fault].codes, str(report)


@pytest.mark.parametrize(
    ("arch", "algorithm"), [("mlp", "sgd"), ("conv", "adam"), ("lstm", "adam"), ("transformer", "adamw")]
)
def test_healthy_run_raises_no_alarm(arch, algorithm):
    report = Setup(arch, 1, algorithm).examined(budget_seconds=10)
    assert report.ok, str(report)
    report = Setup(arch, 2, algorithm).watched(30)
    assert report.ok, str(report)


# ---- nothing is left changed ------------------------------------------------------------------------------------------
def _state(model, optimizer):
    return {
        "weights": {k: v.numpy().tobytes() for k, v in model.state_dict().items()},
        "grads": [None if p.grad is None else p.grad.numpy().tobytes() for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "hooks": [m._hooks for m in model.modules()],
        "options": [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups],
        "state": [
            {k: v.numpy().tobytes() if hasattr(v, "numpy") else v for k, v in s.items()} for s in optimizer.state.values()
        ],
        "wants": [p.requires_grad for p in model.parameters()],
        "random": (lamella.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()),
    }


def test_examine_leaves_everything_as_it_was():
    setup = Setup("conv", 0, "adam")
    setup.make()
    loader, model, optimizer = setup.loader(), setup.model, setup.optimizer
    model.head[0].weight.requires_grad_(False)
    for i, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        if i == 2:
            break
    model.features[1].eval()
    held = [p.grad for p in model.parameters()]
    before, place = _state(model, optimizer), loader.state_dict()
    doctor.examine(model, loader, F.cross_entropy, optimizer, budget_seconds=10)
    assert _state(model, optimizer) == before
    assert all(p.grad is g for p, g in zip(model.parameters(), held, strict=True))
    assert loader.state_dict() == place


def test_watching_changes_no_number():
    def run(watched):
        setup = Setup("lstm", 0, "adam")
        setup.make()
        batches = list(setup.loader())[:8]
        watch = doctor.watch(setup.model, setup.optimizer)
        if watched:
            watch.__enter__()
        for x, y in batches:
            setup.optimizer.zero_grad()
            loss = F.cross_entropy(setup.model(x), y)
            loss.backward()
            setup.optimizer.step()
        if watched:
            watch.__exit__()
            assert watch.run.steps == 8 and [look.step for look in watch.run.looks] == [0, 1, 2, 5]
            assert watch.run.losses[-1] == loss.item()
        return _state(setup.model, setup.optimizer)

    assert run(True) == run(False)


def test_train_step_keeps_what_it_changes():
    setup = Setup("mlp", 0, "sgd")
    setup.make()
    schedule = optim.lr_scheduler.StepLR(setup.optimizer, 1, gamma=0.9)

    def step(batch):
        loss = F.cross_entropy(setup.model(batch[0]), batch[1])
        setup.optimizer.zero_grad()
        loss.backward()
        setup.optimizer.step()
        schedule.step()
        return loss

    before = schedule.state_dict()
    report = doctor.examine(
        setup.model, setup.loader(), optimizer=setup.optimizer, train_step=step, keep=(schedule,), budget_seconds=2
    )
    assert report.ok and schedule.state_dict() == before and setup.optimizer.param_groups[0]["lr"] == 0.05


# ---- more than the sixteen ---------------------------------------------------------------------------------------------
def _first(model, data, criterion, **options):
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    return doctor.examine(model, data, criterion, optimizer, budget_seconds=10, **options).findings[0]


def test_labels_out_of_range_and_shapes():
    x, y = lamella.randn(128, 4), lamella.randint(0, 3, (128,))
    assert _first(nn.Linear(4, 3), (x, y + 7), F.cross_entropy).code == "labels-out-of-range"
    assert _first(nn.Linear(4, 1), (x, y.float()), F.mse_loss).code == "shapes-disagree"
    assert _first(nn.Linear(4, 1), (x, y * 0), F.cross_entropy).code == "shapes-disagree"


def test_parameters_that_the_optimiser_does_not_know():
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    x = lamella.randn(256, 4)
    y = x[:, :3].argmax(1)
    report = doctor.examine(model, (x, y), F.cross_entropy, optim.SGD(model[2].parameters(), lr=0.1), budget_seconds=10)
    assert report.findings[0].code == "not-in-optimizer" and report.findings[0].where == ("0.weight", "0.bias")


def test_sigmoid_twice_and_nll_on_scores():
    x = lamella.randn(128, 4)
    model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    assert _first(model, (x, (x[:, :1] > 0).float()), F.binary_cross_entropy_with_logits).code == "softmax-twice"
    assert _first(nn.Linear(4, 2), (x, (x[:, 0] > 0).long()), F.nll_loss).code == "not-log-probabilities"


def test_nan_is_blamed_on_the_layer_that_makes_it():
    class Log(nn.Module):
        def forward(self, x):
            return (x - 10).sqrt()

    model = nn.Sequential(nn.Linear(4, 8), Log(), nn.Linear(8, 3))
    found = _first(model, (lamella.randn(64, 4), lamella.randint(0, 3, (64,))), F.cross_entropy)
    assert found.code == "nan-made" and found.seen == "first in 1 (Log), sqrt, at step 0"


def test_samples_that_influence_each_other():
    class Mixed(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(8, 3)

        def forward(self, x):  # a view where a transpose was meant
            n = x.shape[0]
            return self.fc(x.T.reshape(n, 8))

    x = lamella.randn(256, 8)
    assert _first(Mixed(), (x, (x[:, 0] > 0).long()), F.cross_entropy).code == "samples-mixed"


def test_attention_along_the_wrong_axis():
    assert plant("wrong axis of softmax", "mlp", 3).examined(budget_seconds=10).findings[0].where == ("softmax after qkv",)
    assert Setup(model=Attention()).examined(budget_seconds=10).ok


def test_leak_imbalance_duplicates():
    x, y = digits("train").tensors
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    loader = DataLoader(TensorDataset(x, y), 32, shuffle=True)
    report = doctor.examine(
        model, loader, F.cross_entropy, validation=DataLoader(TensorDataset(x[:100], y[:100]), 50), budget_seconds=2
    )
    assert [f.code for f in report.alarms] == ["leak"] and "100 of 100" in report.alarms[0].seen
    moved = doctor.examine(
        model,
        loader,
        F.cross_entropy,
        validation=[(digits("test").tensors[0], (digits("test").tensors[1] + 1) % 10)],
        budget_seconds=10,
    )
    assert moved.findings[0].code == "labels-off-by-one" and "validation" in moved.findings[0].seen


def test_regression_is_no_classification():
    x = lamella.randn(256, 6)
    y = x @ lamella.randn(6, 1)
    model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 1))
    report = doctor.examine(model, (x, y), F.mse_loss, optim.Adam(model.parameters(), lr=3e-3), budget_seconds=10)
    assert report.ok, str(report)
    again = doctor.examine(model, (x, y * 500), F.mse_loss, optim.Adam(model.parameters(), lr=3e-3), budget_seconds=10)
    assert again.alarms[0].code == "targets-not-scaled"


def test_accumulation_and_two_optimisers_are_no_missing_zero_grad():
    setup = Setup("mlp", 0, "sgd")
    setup.make()
    batches = list(setup.loader())
    with doctor.watch(setup.model, setup.optimizer) as w:
        for i in range(24):  # four batches to a step
            (F.cross_entropy(setup.model(batches[i][0]), batches[i][1]) / 4).backward()
            if i % 4 == 3:
                setup.optimizer.step()
                setup.optimizer.zero_grad()
    assert w.run.cleared == 5 and w.run.not_cleared == 0
    with doctor.watch(setup.model, setup.optimizer) as w:
        for x, y in batches[:6]:  # another loss flows through the model before its own gradients are cleared
            setup.model(x).square().mean().backward()
            setup.optimizer.zero_grad()
            F.cross_entropy(setup.model(x), y).backward()
            setup.optimizer.step()
    assert w.run.not_cleared == 0


# ---- order, reports, callback, command -----------------------------------------------------------------------------------
def test_causes_come_before_consequences():
    found = ranked(
        [
            Finding("dead-relu", ""),
            Finding("duplicates", "", "note"),
            Finding("rate-too-high", ""),
            Finding("frozen", "", "warning"),
            Finding("inputs-not-finite", ""),
        ]
    )
    assert [(f.code, f.because) for f in found] == [
        ("inputs-not-finite", ""), ("frozen", ""), ("dead-relu", "inputs-not-finite"), ("rate-too-high", "inputs-not-finite"), ("duplicates", ""),
    ]  # fmt: skip


def test_every_cause_is_in_the_guide():
    page = (Path(__file__).parents[1] / "docs/guide/doctor.md").read_text()
    assert set(re.findall(r'^\| `"([a-z-]+)"` \|', page, re.M)) == set(CAUSES) and len(ORDER) == len(CAUSES)


def test_report_as_text_values_and_page(tmp_path, capsys):
    report = plant("dead ReLUs", "mlp").examined(budget_seconds=10)
    text = str(report)
    assert text.startswith("Dead ReLUs") and "seen: 4 (ReLU): 100% of 32" in text and "units are 0 for the whole batch" in text
    report.print()
    assert "dead ReLUs" in capsys.readouterr().out
    values = json.loads(report.json())
    assert values["findings"][0]["code"] == "dead-relu" and len(values["losses"]) == len(report.evidence.run.losses)
    page = report.html(tmp_path / "r.html", "a & b")
    assert (tmp_path / "r.html").read_text() == page and "a &amp; b" in page and page.count("<figure>") >= 8
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page


def test_callback_watches_a_trainer(tmp_path):
    setup = plant("softmax twice", "mlp")
    setup.make()
    watching = doctor.Doctor(tmp_path / "d.html", stop=True)
    trainer = train.Trainer(setup.model, setup.optimizer, setup.criterion, callbacks=[watching])
    with pytest.warns(UserWarning, match=r"\[Doctor\] step 2: softmax"):
        trainer.fit(setup.loader(), epochs=1)
    assert watching.report.findings[0].code == "softmax-twice" and trainer.steps_done == 2
    assert "Softmax" in (tmp_path / "d.html").read_text() and all(m._hooks is None for m in setup.model.modules())


def test_callback_sees_why_a_run_ended():
    setup = plant("NaN in the data", "mlp")
    setup.make()
    watching = doctor.Doctor(tell=False)
    trainer = train.Trainer(setup.model, setup.optimizer, setup.criterion, callbacks=[watching])
    with pytest.raises(FloatingPointError):
        trainer.fit(setup.loader(), epochs=1)
    assert watching.report.findings[0].code == "inputs-not-finite"


def test_examine_trainer_and_bad_calls():
    setup = Setup("mlp", 0, "adam")
    setup.make()
    schedule = optim.lr_scheduler.StepLR(setup.optimizer, 5)
    trainer = train.Trainer(setup.model, setup.optimizer, F.cross_entropy, schedule=schedule, accumulate=2, clip_norm=1.0)
    before = _state(setup.model, setup.optimizer)
    assert doctor.examine_trainer(trainer, setup.loader(), budget_seconds=10).ok
    assert _state(setup.model, setup.optimizer) == before
    warm = optim.lr_scheduler.LambdaLR(setup.optimizer, lambda step: min(1.0, step / 200))  # begins at 0
    trainer = train.Trainer(setup.model, setup.optimizer, F.cross_entropy, schedule=warm)
    assert doctor.examine_trainer(trainer, setup.loader(), budget_seconds=10).ok and setup.optimizer.param_groups[0]["lr"] == 0
    with pytest.raises(ValueError, match="exactly one of criterion, step and train_step"):
        doctor.examine(setup.model, setup.loader())
    with pytest.raises(ValueError, match="optimizer must be given with train_step"):
        doctor.examine(setup.model, setup.loader(), train_step=lambda batch: None)
    with pytest.raises(ValueError, match="at least one batch"):
        doctor.examine(setup.model, [], F.cross_entropy)
    with pytest.raises(ValueError, match="budget_seconds must be positive"):
        doctor.examine(setup.model, setup.loader(), F.cross_entropy, budget_seconds=0)


def test_command(tmp_path, capsys, monkeypatch):
    from lamella.cli import main

    monkeypatch.setattr(doctor, "command", functools.partial(doctor.command, budget_seconds=12.0))
    assert main(["doctor", "digits", "--out", str(tmp_path)]) == 0
    assert "Nothing wrong was found" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["findings"] == [] and (tmp_path / "report.html").exists()
    assert main(["doctor", "digits", "lr=3.0", "--out", str(tmp_path)]) == 1
    assert "earning rate is too high" in capsys.readouterr().out
