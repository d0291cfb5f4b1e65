# SPDX-License-Identifier: MIT
"""The Trainer: what it computes, what callbacks see, how a run goes on to the same bits."""

import errno
import os
import random
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

import lamella
from lamella import nn, optim, train
from lamella.data import DataLoader, TensorDataset
from lamella.nn import functional as F
from lamella.optim import lr_scheduler as schedules

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((90, 8)).astype(np.float32), RNG.integers(0, 3, 90)


def data():
    return TensorDataset(lamella.tensor(X), lamella.tensor(Y))


def network():
    lamella.manual_seed(3)
    return nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.2), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3, bias=False))


def loader(**options):
    return DataLoader(data(), batch_size=16, shuffle=True, **options)


def bits(trainer):
    state = train.TrainState.of(trainer).parts
    found = {}

    def walk(path, x):
        if isinstance(x, dict):
            for k, v in x.items():
                walk(f"{path}.{k}", v)
        elif isinstance(x, (list, tuple)):
            for i, v in enumerate(x):
                walk(f"{path}.{i}", v)
        else:
            found[path] = x.detach().numpy().tobytes() if hasattr(x, "numpy") else np.asarray(x).tobytes() if isinstance(x, np.ndarray) else x

    walk("", {k: v for k, v in state.items() if k not in ("history", "sums")})
    return {k: v for k, v in found.items() if "spent" not in k}


OPTIMIZERS = {
    "ASGD": {}, "LAMB": {"weight_decay": 0.1}, "LARS": {"lr": 0.1, "momentum": 0.9}, "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "Adadelta": {}, "Adagrad": {}, "Adam": {"amsgrad": True}, "AdamW": {}, "Adamax": {}, "Lion": {"lr": 1e-3}, "NAdam": {}, "RAdam": {},
    "RMSprop": {"centered": True, "momentum": 0.5}, "Rprop": {},
}  # fmt: skip
SCHEDULES = {
    "ConstantLR": {}, "CosineAnnealingLR": {"T_max": 20}, "CosineAnnealingWarmRestarts": {"T_0": 3}, "ExponentialLR": {"gamma": 0.9},
    "CyclicLR": {"base_lr": 1e-3, "max_lr": 1e-2, "step_size_up": 4, "cycle_momentum": False},
    "LambdaLR": {"lr_lambda": lambda n: 1 / (1 + n)},
    "LinearLR": {}, "MultiStepLR": {"milestones": [3, 9]}, "MultiplicativeLR": {"lr_lambda": lambda n: 0.9},
    "OneCycleLR": {"max_lr": 0.01, "total_steps": 30},
    "PolynomialLR": {"total_iters": 20}, "ReduceLROnPlateau": {"patience": 0}, "StepLR": {"step_size": 4},
    "WarmupCosineLR": {"warmup_steps": 3, "total_steps": 30},
}  # fmt: skip


def resumed_equals_whole(make, tmp_path, whole=20, part=8, fit=None):
    """`whole` steps at once, against `part` steps, a save, and the rest by a trainer made anew."""
    fit = fit or (lambda t, n: t.fit(loader(), DataLoader(data(), 45), steps=n, validate_every=4))
    one = make()
    fit(one, whole)
    two = make()
    fit(two, part)
    two.save(tmp_path / "state.safetensors")
    lamella.manual_seed(99)
    random.seed(5)
    three = make()
    three.resume(tmp_path / "state.safetensors")
    fit(three, whole)
    assert three.steps_done == whole and three.history.column("loss")[-1] == one.history.column("loss")[-1]
    assert bits(one) == bits(three)
    return one


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resume_every_optimizer(name, tmp_path):
    def make():
        model = network()
        return train.Trainer(model, getattr(optim, name)(model.parameters(), **OPTIMIZERS[name]), F.cross_entropy)

    resumed_equals_whole(make, tmp_path)


def test_resume_muon_with_adamw(tmp_path):
    def make():
        model = network()
        matrices = [p for p in model.parameters() if p.ndim == 2]
        return train.Trainer(model, optim.Muon(matrices, lr=0.02), F.cross_entropy)

    resumed_equals_whole(make, tmp_path)


@pytest.mark.parametrize("name", SCHEDULES)
def test_resume_every_schedule(name, tmp_path):
    def make():
        model = network()
        optimizer = optim.SGD(model.named_parameters(), lr=0.05, momentum=0.9)
        return train.Trainer(model, optimizer, F.cross_entropy, schedule=getattr(schedules, name)(optimizer, **SCHEDULES[name]))

    resumed_equals_whole(make, tmp_path)


def test_resume_combined_schedules_and_everything_else(tmp_path):
    def make():
        model = network()
        optimizer = optim.AdamW([{"params": [*model[0].parameters()]}, {"params": [*model[2:].parameters()], "lr": 1e-3}], lr=1e-2)
        parts = [schedules.LinearLR(optimizer, 0.1, total_iters=3), schedules.CosineAnnealingLR(optimizer, 20)]
        schedule = schedules.SequentialLR(optimizer, parts, milestones=[3])

        def step(model, batch):
            noise = lamella.tensor(np.random.standard_normal(batch[0].shape).astype(np.float32)) * (0.1 * random.random())
            output = model(batch[0] + noise + 0.1 * lamella.randn(8))
            return {"loss": F.cross_entropy(output, batch[1]), "output": output, "target": batch[1], "norm": output.detach().norm()}

        return train.Trainer(
            model, optimizer, step=step, schedule=schedule, ema=0.9, accumulate=2, clip_norm=0.5, clip_value=0.3,
            callbacks=[train.EarlyStopping("loss", patience=50)],
        )  # fmt: skip

    random.seed(1)
    np.random.seed(1)
    begin = random.getstate(), np.random.get_state()

    def fit(trainer, n):
        if trainer.steps_done == 0:
            random.setstate(begin[0])
            np.random.set_state(begin[1])
        trainer.fit(loader(num_workers=2 if n == 20 else 0), steps=n, validate_every=4)

    resumed_equals_whole(make, tmp_path, fit=fit)


def test_resume_in_a_new_process(tmp_path):
    code = """
        import sys
        import numpy as np
        import lamella
        from test_trainer import DataLoader, F, data, loader, network, optim, train
        model = network()
        optimizer = optim.AdamW(model.named_parameters(), lr=1e-2)
        trainer = train.Trainer(model, optimizer, F.cross_entropy, seed=7)
        if sys.argv[1] == "on":
            trainer.resume(sys.argv[2])
        trainer.fit(loader(), steps=int(sys.argv[3]))
        trainer.save(sys.argv[2])
        lamella.serialize.save_file(model.state_dict(), sys.argv[4])
    """
    path = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}

    def run(*args):
        made = subprocess.run([sys.executable, "-c", textwrap.dedent(code), *map(str, args)], env=path, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr

    run("new", tmp_path / "whole", 100, tmp_path / "a")
    run("new", tmp_path / "part", 37, tmp_path / "b")
    run("on", tmp_path / "part", 100, tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes() != (tmp_path / "b").read_bytes()


def simple(model=None, **options):
    model = model or nn.Linear(8, 3)
    optimizer = options.pop("optimizer", None) or optim.SGD(model.parameters(), lr=0.1)
    return train.Trainer(model, optimizer, options.pop("criterion", F.cross_entropy), **options)


def test_a_fit_goes_on_where_the_last_one_ended():
    one, two = simple(network()), simple(network())
    batches = loader(generator=5)
    lamella.manual_seed(0)
    one.fit(loader(generator=5), steps=20)
    lamella.manual_seed(0)
    for n in (4, 11, 20):
        two.fit(batches, steps=n)
    assert all(np.array_equal(a.detach().numpy(), b.detach().numpy()) for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True))


def test_rows_are_means_over_samples():
    """Without learning (lr 0) the row must hold the loss over all data, though the last batch is smaller."""
    lamella.manual_seed(0)
    model = nn.Linear(8, 3)
    trainer = simple(model, optimizer=optim.SGD(model.parameters(), lr=0.0))
    trainer.fit(DataLoader(data(), 32), DataLoader(data(), 64), epochs=2)
    scores = X.astype(np.float64) @ model.weight.detach().numpy().T.astype(np.float64) + model.bias.detach().numpy()
    loss = np.mean(np.log(np.exp(scores).sum(1)) - scores[np.arange(90), Y])
    assert [row["epoch"] for row in trainer.history.rows] == [1, 2] and trainer.history.last["step"] == 6
    for row in trainer.history.rows:
        assert abs(row["loss"] - loss) < 1e-6 and abs(row["val_loss"] - loss) < 1e-6


def test_accumulation_is_the_large_batch():
    large, small = simple(nn.Linear(8, 3)), simple(nn.Linear(8, 3), accumulate=3)
    small.model.load_state_dict(large.model.state_dict())
    large.fit(DataLoader(data(), 45), epochs=2)
    small.fit(DataLoader(data(), 15), epochs=2)
    assert large.steps_done == small.steps_done == 4
    np.testing.assert_allclose(large.model.weight.detach().numpy(), small.model.weight.detach().numpy(), atol=1e-6)
    part = simple(nn.Linear(8, 3), accumulate=4)  # 6 batches: a full group and one of two, at the epoch's end
    part.fit(DataLoader(data(), 15), epochs=1)
    assert part.steps_done == 2


def test_clipping_bounds_the_step():
    model = nn.Linear(8, 3)
    before = [p.detach().numpy().copy() for p in model.parameters()]
    trainer = simple(model, optimizer=optim.SGD(model.parameters(), lr=1.0), clip_norm=1e-3)
    trainer.fit(loader(), steps=1)
    moved = np.sqrt(sum(((p.detach().numpy() - b) ** 2).sum() for p, b in zip(model.parameters(), before, strict=True)))
    assert abs(moved - 1e-3) < 1e-5 and trainer.grad_norm.item() > 1e-3


def test_averaged_weights_are_evaluated():
    trainer = simple(nn.Linear(8, 3), ema=0.5)
    first = trainer.model.weight.detach().numpy().copy()
    trainer.fit(loader(), steps=2)
    average, newest = (m.weight.detach().numpy() for m in (trainer.evaluated, trainer.model))
    assert trainer.evaluated is trainer.ema.module and not np.array_equal(average, newest) and not np.array_equal(average, first)
    assert np.array_equal(trainer.predict([lamella.tensor(X)]).detach().numpy(), trainer.evaluated(lamella.tensor(X)).detach().numpy())


class Count:
    """The simplest metric."""

    name = "right"

    def __init__(self):
        self.reset()

    def reset(self):
        self.hits = self.total = 0

    def update(self, output, target):
        self.hits += int((output.argmax(1) == target).sum().item())
        self.total += len(target)

    def compute(self):
        return self.hits / self.total


def test_metrics_in_training_and_evaluation():
    trainer = simple(nn.Linear(8, 3), metrics=[Count()])
    trainer.fit(loader(), DataLoader(data(), 32), epochs=3)
    hits = (X @ trainer.model.weight.detach().numpy().T + trainer.model.bias.detach().numpy()).argmax(1) == Y
    assert trainer.history.last["val_right"] == hits.mean() and 0 < trainer.history.last["right"] < 1
    assert "right" not in simple(metrics=[Count()], train_metrics=False).fit(loader(), epochs=1).last


def test_callbacks_come_in_order():
    seen = []

    class Spy(train.Callback):
        def __getattribute__(self, name):
            if name.startswith("on_") and name in vars(train.Callback):
                return lambda trainer, *args: seen.append(name)
            return object.__getattribute__(self, name)

    spy = Spy()
    trainer = simple(nn.Linear(8, 3))
    for name in [n for n in vars(train.Callback) if n.startswith("on_")]:  # as an override of each would be called
        trainer._hooks.setdefault(name, []).append(getattr(spy, name))
    trainer.fit(DataLoader(data(), 45), DataLoader(data(), 90), epochs=1)
    step = ["on_batch_start", "on_backward_end", "on_step_end"]
    evaluation = ["on_evaluate_start", "on_evaluate_end", "on_epoch_end"]
    assert seen == ["on_fit_start", "on_epoch_start", *step, *step, *evaluation, "on_fit_end"]


def test_early_stopping_puts_the_best_weights_back():
    losses = iter([3.0, 1.0, 2.0, float("nan"), 2.5, 0.0])
    weights = []

    class Script(train.Callback):
        def on_epoch_end(self, trainer, row):
            row["val_loss"] = next(losses)
            weights.append(trainer.model.weight.detach().numpy().copy())

    trainer = simple(nn.Linear(8, 3), callbacks=[Script(), train.EarlyStopping(patience=3)])
    trainer.fit(loader(), epochs=10)
    assert len(trainer.history.rows) == 5 and np.array_equal(trainer.model.weight.detach().numpy(), weights[1])
    with pytest.raises(ValueError, match=r"\[EarlyStopping\] monitor must be one of epoch, step, loss, .* got 'val_loss'"):
        simple(callbacks=[train.EarlyStopping()]).fit(loader(), epochs=1)


def test_time_limit():
    trainer = simple(callbacks=[train.TimeLimit(1e-9)])
    trainer.fit(loader(), epochs=100)
    assert trainer.steps_done == 1


def test_checkpoint_survives_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    trainer = simple(nn.Linear(8, 3), callbacks=[train.Checkpoint(path, monitor="loss")])
    trainer.fit(loader(), epochs=1)
    good = path.read_bytes()
    best = lamella.serialize.load_file(tmp_path / "best-state.safetensors")
    assert best["weight"].shape == (3, 8)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="could not be written: .*No space left on device; the last good one is as it was"):
        trainer.fit(loader(), epochs=2)
    assert path.read_bytes() == good and sorted(p.name for p in tmp_path.iterdir()) == ["best-state.safetensors", "state.safetensors"]
    monkeypatch.undo()
    trainer.fit(loader(), epochs=3)
    assert path.read_bytes() != good


def test_interrupt_leaves_a_state_that_goes_on(tmp_path):
    class Stop(train.Callback):
        def on_batch_start(self, trainer, batch):
            if trainer.steps_done == 7:
                os.kill(os.getpid(), signal.SIGINT)

    def make(*more):
        model = network()
        return simple(model, optimizer=optim.AdamW(model.parameters(), lr=1e-2), callbacks=[*more, train.Checkpoint(tmp_path / "state")])

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        one = make()
        one.fit(loader(), epochs=4)
        two = make(Stop())
        with pytest.raises(KeyboardInterrupt):
            two.fit(loader(), epochs=4)
        assert two.steps_done == 8 and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    three = make()
    three.resume(tmp_path / "state")
    assert three.steps_done == 8
    three.fit(loader(), epochs=4)
    assert all(np.array_equal(a.detach().numpy(), b.detach().numpy()) for a, b in zip(one.model.parameters(), three.model.parameters(), strict=True))
    assert [r["loss"] for r in one.history.rows] == [r["loss"] for r in three.history.rows]


def test_states_that_do_not_fit(tmp_path):
    path = tmp_path / "state"
    trainer = simple(nn.Linear(8, 3))
    trainer.fit(loader(), steps=2)
    trainer.save(path)
    other = simple(nn.Linear(8, 4))
    before = other.model.weight.detach().numpy().copy()
    with pytest.raises(ValueError, match=r"weights must be of the same architecture, got: weight is \(3, 8\), here \(4, 8\); bias is"):
        other.resume(path)
    assert np.array_equal(other.model.weight.detach().numpy(), before) and other.steps_done == 0
    model = nn.Linear(8, 3)
    with pytest.raises(ValueError, match=r"optimizer must have the same parameters in a group, got none for \[\] and unknown \['bias'\]"):
        simple(model, optimizer=optim.SGD([model.weight], lr=0.1)).resume(path)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"schedule must be as in the file, which has none: the trainer has a schedule"):
        simple(model, optimizer=optimizer, schedule=schedules.StepLR(optimizer, 1)).resume(path)
    lamella.save({"weight": lamella.zeros(2)}, tmp_path / "other")
    with pytest.raises(ValueError, match=r"other: must be a state that Trainer.save wrote"):
        simple().resume(tmp_path / "other")
    (tmp_path / "cut").write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="cut"):
        simple().resume(tmp_path / "cut")


def test_bad_calls():
    model = nn.Linear(8, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def raises(text, call, kind=ValueError):
        with pytest.raises(kind, match=text):
            call()

    raises("exactly one of criterion and step must be given, got neither", lambda: train.Trainer(model, optimizer))
    raises("schedule_every must be 'step' or 'epoch', got 'day'", lambda: simple(schedule_every="day"))
    raises("accumulate must be a positive int, got 0", lambda: simple(accumulate=0))
    raises("precision must be 'float32', 'bfloat16', 'float16' or 'auto', got 'int8'", lambda: simple(precision="int8"))
    raises("epochs or steps must be given", lambda: simple().fit(loader()))
    raises("epochs must be a positive int, got 0", lambda: simple().fit(loader(), epochs=0))
    raises("train must be a loader or another iterable of batches, got int", lambda: simple().fit(3, epochs=1), TypeError)
    raises("train must have at least one batch, got none", lambda: simple().fit([], epochs=1))
    raises("loader must have at least one batch, got none", lambda: simple().evaluate([]))
    raises(r"batches must be \(input, target\) for a criterion, got tuple of 1", lambda: simple().fit([(lamella.tensor(X),)], epochs=1))
    x = lamella.tensor(X)
    x[3, 2] = float("nan")
    raises(r"loss must be finite, got nan at step 1: try", lambda: simple().fit([(x, lamella.tensor(Y))], epochs=1), FloatingPointError)
    raises("patience must be at least 1, got 0", lambda: train.EarlyStopping(patience=0))
    raises("mode must be 'auto', 'min' or 'max', got 'up'", lambda: train.EarlyStopping(mode="up"))


def test_a_step_of_ones_own():
    """Two models, two optimisers, steps in turn: both are in the state."""

    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 3), nn.Linear(8, 3)

    class Turns(train.Trainer):
        def training_step(self, batch):
            name = "ab"[self.steps_done % 2]
            loss = F.cross_entropy(getattr(self.model, name)(batch[0]), batch[1])
            loss.backward()
            self.optimizers[name].step()
            self.optimizers[name].zero_grad()
            return {"loss": loss, name: loss}

    model = Pair()
    trainer = Turns(model, {n: optim.Adam(getattr(model, n).parameters()) for n in "ab"})
    history = trainer.fit(loader(), epochs=2)
    assert trainer.steps_done == 12 and {"a", "b", "loss"} <= set(history.last)
    assert set(train.TrainState.of(trainer).parts["optimizers"]["b"]["state"]) == {"b.weight", "b.bias"}


def test_progress_lines_and_csv(tmp_path, capsys):
    trainer = simple(nn.Linear(8, 3), callbacks=[*train.progress(), train.CSVLogger(tmp_path / "history.csv")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.fit(loader(), DataLoader(data(), 45), epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2/2  loss ") and "val loss" in lines[0] and lines[1].endswith("0.0 s left")
    table = (tmp_path / "history.csv").read_text().splitlines()
    assert table[0] == "epoch,step,loss,lr,seconds,samples_per_second,val_loss" and len(table) == 3 and table[2].startswith("2,12,")
    assert train.progress(quiet=True) == []


def test_bar(monkeypatch):
    pytest.importorskip("rich")
    import io

    screen = io.StringIO()
    monkeypatch.setattr("rich.get_console", lambda: __import__("rich.console", fromlist=["Console"]).Console(file=screen, width=120))
    simple(nn.Linear(8, 3), callbacks=[train.ProgressBar()]).fit(loader(), DataLoader(data(), 45), epochs=2)
    assert "epoch 2/2  loss " in screen.getvalue()


def test_streams_without_length():
    def endless():
        while True:
            yield lamella.tensor(X), lamella.tensor(Y)

    trainer = simple()
    trainer.fit(endless(), steps=3)
    assert trainer.steps_done == 3 and trainer.fraction == 1.0


@pytest.mark.filterwarnings("ignore:.*float16.*")
def test_float16_leaves_steps_that_overflow_out(tmp_path):
    """The loss overflows once: no NaN, no step of the schedule, and the rest trains; resumed to the same bits."""

    def make():
        lamella.manual_seed(0)
        model = nn.Linear(8, 3)
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(model, batch):
            loss = F.cross_entropy(model(batch[0]), batch[1])
            return loss * float("inf") if trainers[-1].steps_done == 2 else loss

        trainers.append(train.Trainer(model, optimizer, step=step, precision="float16", schedule=schedules.StepLR(optimizer, 1, 0.9)))
        return trainers[-1]

    trainers = []
    resumed_equals_whole(make, tmp_path, whole=10, part=5, fit=lambda t, n: t.fit(loader(), steps=n))
    assert trainers[0].schedule.last_epoch == 9 and np.isfinite(trainers[0].model.weight.detach().numpy()).all()
    assert trainers[0].scaler.get_scale() == 32768
