# SPDX-License-Identifier: MIT
"""The command line: what it writes, what it says to bad input, the same bits on any number of threads."""

import gzip
import subprocess
import sys

import numpy as np
import pytest

import lamella
from lamella import cli
from lamella.data import digits


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    before = lamella.get_num_threads()
    assert cli.main(["demo", "--epochs", "1", "--out", str(out / "one"), "--threads", "1", "--quiet"]) == 0
    assert cli.main(["demo", "--epochs", "1", "--out", str(out / "two"), "--threads", "2", "--quiet"]) == 0
    lamella.set_num_threads(before)
    return out


def fails(capsys, text, *args):
    assert cli.main([str(a) for a in args]) == 2
    error = capsys.readouterr().err
    assert text in error and error.count("\n") == 1 and "Traceback" not in error


def test_demo_writes_everything(run_folder):
    pytest.importorskip("matplotlib")
    names = {p.name for p in (run_folder / "one").iterdir()}
    assert names == {"model.safetensors", "curve.csv", "curves.png", "predictions.png"}
    header, row = (run_folder / "one" / "curve.csv").read_text().split()
    assert header == "epoch,loss,accuracy,test_accuracy,samples_per_second" and float(row.split(",")[3]) > 0.3


def test_threads_do_not_change_a_bit(run_folder):
    one, two = ((run_folder / n / "model.safetensors").read_bytes() for n in ("one", "two"))
    assert one == two


def test_predict(run_folder, tmp_path, capsys):
    images = digits("test").tensors[0].numpy()
    np.save(tmp_path / "digit.npy", images[0])
    assert cli.main(["predict", str(run_folder / "one" / "model.safetensors"), str(tmp_path / "digit.npy")]) == 0
    path, name, chance = capsys.readouterr().out.split()
    assert path.endswith("digit.npy") and name in map(str, range(10)) and 0 < float(chance) <= 1
    fails(capsys, "must have shape (1, 8, 8), got (1, 2, 2)", "predict", run_folder / "one" / "model.safetensors", _npy(tmp_path))


def _npy(folder):
    np.save(folder / "small.npy", np.zeros((2, 2)))
    return folder / "small.npy"


def test_bad_checkpoints(run_folder, tmp_path, capsys):
    good = (run_folder / "one" / "model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(good[: len(good) // 2])
    fails(capsys, "cut.safetensors", "predict", tmp_path / "cut.safetensors", _npy(tmp_path))
    lamella.save({"weight": lamella.zeros(2)}, tmp_path / "other.safetensors")
    fails(capsys, "must be a checkpoint of", "predict", tmp_path / "other.safetensors", _npy(tmp_path))
    fails(capsys, "none.safetensors", "predict", tmp_path / "none.safetensors", _npy(tmp_path))


def write_idx(path, array):
    code = {"uint8": 8}[array.dtype.name]
    header = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_train_mnist(tmp_path, capsys):
    rng = np.random.default_rng(0)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", rng.integers(0, 255, (100, 28, 28), dtype=np.uint8))
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", rng.integers(0, 10, 100, dtype=np.uint8))
    args = ["train", "mnist", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--epochs", "1"]
    assert cli.main(args) == 0
    assert "80 images to train, 20 held out" in capsys.readouterr().out
    data = gzip.decompress((tmp_path / "t10k-images-idx3-ubyte.gz").read_bytes())
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(data[:-5]))
    fails(capsys, "t10k-images-idx3-ubyte.gz", *args)
    fails(capsys, "--data must be a folder with IDX files", "train", "mnist", "--data", tmp_path / "none")


def test_train_images(tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    for name, colour in (("blue", (20, 20, 220)), ("red", (220, 20, 20))):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(12):
            image.new("RGB", (20 + i, 24), colour).save(tmp_path / "data" / name / f"{i}.png")
    args = ["train", "images", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--epochs", "2", "--size", "8", "--batch", "8"]
    assert cli.main(args) == 0
    checkpoint = tmp_path / "out" / "model.safetensors"
    assert cli.main(["predict", str(checkpoint), str(tmp_path / "data" / "red" / "0.png")]) == 0
    capsys.readouterr()
    (tmp_path / "data" / "red" / "broken.png").write_bytes(b"not a picture")
    fails(capsys, "broken.png", *args)
    fails(capsys, "broken.png", "predict", checkpoint, tmp_path / "data" / "red" / "broken.png")
    (tmp_path / "empty").mkdir()
    fails(capsys, "must hold one folder per class", "train", "images", "--data", tmp_path / "empty")


def test_info_and_help(capsys):
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    assert "isa" in out and "GFLOP/s" in out and lamella.__version__ in out
    result = subprocess.run([sys.executable, "-m", "lamella", "demo", "--epochs", "0"], capture_output=True, text=True)
    assert result.returncode == 2 and "must be at least 1, got 0" in result.stderr
