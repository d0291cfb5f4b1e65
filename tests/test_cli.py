# SPDX-License-Identifier: MIT
"""The command line: what it writes, what it says to bad input, the same bits on any number of threads."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import lamella
from lamella import cli


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    before = lamella.get_num_threads()
    assert cli.main(["demo", "epochs=1", "--out", str(out / "one"), "--threads", "1", "--quiet"]) == 0
    assert cli.main(["demo", "--out", str(out / "two"), "--threads", "2", "--quiet", "epochs=1"]) == 0
    lamella.set_num_threads(before)
    return out


def fails(capsys, text, *args):
    capsys.readouterr()
    assert cli.main([str(a) for a in args]) == 2
    error = capsys.readouterr().err
    assert text in error and error.count("\n") == 1 and "Traceback" not in error


def test_demo_writes_everything(run_folder):
    names = {p.name for p in (run_folder / "one").iterdir()}
    assert {"model.safetensors", "history.csv", "state.safetensors", "run.json"} <= names
    header, row = (run_folder / "one" / "history.csv").read_text().split()
    assert header.startswith("epoch,step,loss") and float(row.split(",")[2]) < 2.3
    what = json.loads((run_folder / "one" / "run.json").read_text())
    assert what["recipe"] == "digits" and what["settings"]["epochs"] == 1 and what["figures"]["accuracy"] > 0.3


def test_threads_do_not_change_a_bit(run_folder):
    one, two = ((run_folder / n / "model.safetensors").read_bytes() for n in ("one", "two"))
    assert one == two


def test_resume_ends_in_the_same_bits(run_folder, tmp_path, capsys):
    """A run killed by Ctrl-C in its third epoch and taken up again, against one that was not."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert cli.main(["train", "digits", "epochs=8", "--out", str(whole), "--quiet"]) == 0
    process = subprocess.Popen(
        [sys.executable, "-c", f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom lamella.cli import main\n"
         f"raise SystemExit(main(['train', 'digits', 'epochs=8', '--out', {str(part)!r}]))"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    lines = [process.stdout.readline() for _ in range(3)]
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert "epoch 2/8" in lines[2] and process.returncode == 130 and f"lamella resume {part}" in errors, (lines, rest, errors)
    capsys.readouterr()
    assert cli.main(["resume", str(part), "--quiet"]) == 0
    assert (part / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    fails(capsys, "must be the folder of a run, got", "resume", tmp_path)
    (part / "run.json").write_text("{")
    fails(capsys, "run.json is damaged", "resume", part)


def test_bad_input(run_folder, tmp_path, capsys):
    fails(capsys, "name must be one of digits, got 'digitz'", "train", "digitz")
    fails(capsys, "settings must be among epochs, batch, lr, got 'epoch' (did you mean epochs?)", "train", "digits", "epoch=3")
    fails(capsys, "epochs must be of type int, got 'x'", "train", "digits", "epochs=x")
    fails(capsys, "settings must be key=value, got 'epochs'", "train", "digits", "epochs")
    fails(capsys, "data must not be given: the recipe makes its own", "train", "digits", "--data", tmp_path)
    (tmp_path / "file").write_text("")
    fails(capsys, "out must be a folder that can be written, got", "train", "digits", "--out", tmp_path / "file" / "run")


def test_bad_models(run_folder, tmp_path, capsys):
    good = (run_folder / "one" / "model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(good[: len(good) // 2])
    fails(capsys, "cut.safetensors", "predict", tmp_path / "cut.safetensors", "x")
    lamella.save({"weight": lamella.zeros(2)}, tmp_path / "other.safetensors")
    fails(capsys, "must be a model that a recipe saved", "predict", tmp_path / "other.safetensors", "x")
    fails(capsys, "none.safetensors", "predict", tmp_path / "none.safetensors", "x")
    parts = lamella.load(run_folder / "one" / "model.safetensors")
    parts["state"] = {k: v for k, v in parts["state"].items() if "weight" not in k}
    lamella.save(parts, tmp_path / "less.safetensors")
    fails(capsys, "weights must be of the same architecture, got: ", "predict", tmp_path / "less.safetensors", "x")
    lamella.save({**parts, "recipe": "mine", "file": "/my/recipe.py"}, tmp_path / "mine.safetensors")
    fails(capsys, "its recipe 'mine' is not lamella's: run its own file, /my/recipe.py", "predict", tmp_path / "mine.safetensors", "x")


def test_lists(capsys):
    assert cli.main(["recipes"]) == 0
    out = capsys.readouterr().out
    assert "digits" in out
    assert cli.main(["recipes", "digits"]) == 0
    out = capsys.readouterr().out
    assert "epochs=25  (int)" in out and "--data  none" in out
    fails(capsys, "NAME must match one of", "recipes", "nothing*")


def test_info_and_help(capsys):
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    assert "isa" in out and "GFLOP/s" in out and lamella.__version__ in out
    result = subprocess.run([sys.executable, "-m", "lamella", "demo", "--threads", "0"], capture_output=True, text=True)
    assert result.returncode == 2 and "must be at least 1, got 0" in result.stderr
    result = subprocess.run([sys.executable, "-m", "lamella", "info", "--foo"], capture_output=True, text=True)
    assert result.returncode == 2 and "unrecognized arguments: --foo" in result.stderr
