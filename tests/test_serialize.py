# SPDX-License-Identifier: MIT
"""save, load and the safetensors format: exact, atomic, and strict with damaged files."""

import builtins
import errno
import json
import math
import os
import random
import struct

import numpy as np
import pytest

import lamella
from lamella import serialize

DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


def example():
    rng = np.random.default_rng(0)
    values = lamella.from_numpy(rng.integers(0, 2, (3, 5)).astype(np.int64))
    tensors = {name: values.to(getattr(lamella, name)) for name in DTYPES}
    return tensors | {"scalar": lamella.tensor(2.5), "nothing": lamella.empty((0, 4)), "λ.weight": lamella.arange(7)}


def same(a, b):
    assert a.dtype is b.dtype
    assert tuple(a.shape) == tuple(b.shape)
    bits = [(x.view(lamella.int16) if x.dtype is lamella.bfloat16 else x).numpy().tobytes() for x in (a, b)]
    assert bits[0] == bits[1]


def test_every_dtype_returns_exactly(tmp_path):
    tensors = example()
    serialize.save_file(tensors, tmp_path / "a.safetensors", {"made by": "a test"})
    found = serialize.load_file(tmp_path / "a.safetensors")
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        same(found[name], tensor)


def test_trees_return_exactly(tmp_path):
    tree = {
        "model": {"0.weight": lamella.randn(3, 4), "0.bias": lamella.randn(4).to(lamella.bfloat16)},
        "optimizer": {
            "state": {0: {"step": 7, "m": lamella.randn(3)}},
            "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999)}],
        },
        "numbers": [1, -(2**70), 0.1, math.inf, -math.inf, True, None, "text"],
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "0": {"a.b": lamella.ones(1), "a": {"b": lamella.zeros(1)}},
        0: (),
    }
    serialize.save(tree, tmp_path / "tree")
    found = serialize.load(tmp_path / "tree")
    assert found["optimizer"]["state"][0]["step"] == 7
    assert found["optimizer"]["param_groups"] == [{"lr": 0.1, "betas": (0.9, 0.999)}]
    assert found["numbers"] == tree["numbers"] and found[0] == ()
    assert found["array"].dtype == np.int16 and (found["array"] == tree["array"]).all()
    for key, tensor in tree["model"].items():
        same(found["model"][key], tensor)
    assert found["0"]["a.b"].item() == 1 and found["0"]["a"]["b"].item() == 0
    serialize.save({"x": math.nan}, tmp_path / "nan")
    assert math.isnan(serialize.load(tmp_path / "nan")["x"])


def test_strided_and_shared_tensors(tmp_path):
    x = lamella.arange(24).reshape(4, 6)
    serialize.save_file({"t": x.T, "s": x[::2, 1::2], "x": x}, tmp_path / "a")
    found = serialize.load_file(tmp_path / "a")
    same(found["t"], x.T.contiguous())
    same(found["s"], x[::2, 1::2].contiguous())


def test_loaded_tensors_are_writable_and_leave_the_file_alone(tmp_path):
    serialize.save_file({"x": lamella.zeros(5)}, tmp_path / "a")
    before = (tmp_path / "a").read_bytes()
    x = serialize.load_file(tmp_path / "a")["x"]
    x += 1
    assert x.tolist() == [1.0] * 5
    assert (tmp_path / "a").read_bytes() == before
    (tmp_path / "a").unlink()
    assert x.sum().item() == 5


def test_what_cannot_be_saved(tmp_path):
    with pytest.raises(TypeError, match=r"got object at model\.x"):
        serialize.save({"model": {"x": object()}}, tmp_path / "a")
    with pytest.raises(TypeError, match="keys must be strings or integers"):
        serialize.save({1.5: 1}, tmp_path / "a")
    with pytest.raises(TypeError, match="must be a Tensor, got list"):
        serialize.save_file({"x": [1.0]}, tmp_path / "a")
    assert not list(tmp_path.iterdir())


# ---- the other library ----------------------------------------------------------------------------------------------
def test_compatible_with_safetensors(tmp_path):
    theirs = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    tensors = {name: t for name, t in example().items() if name != "bfloat16"}
    serialize.save_file(tensors, tmp_path / "ours")
    found = theirs.load_file(tmp_path / "ours")
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.numpy().dtype and (found[name] == tensor.numpy()).all()
    theirs.save_file({name: t.numpy() for name, t in tensors.items()}, tmp_path / "theirs")
    for name, tensor in serialize.load_file(tmp_path / "theirs").items():
        same(tensor, tensors[name])


# ---- failing writes -------------------------------------------------------------------------------------------------
class FullDisk:
    """A file on a disk with room for `room` bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= memoryview(data).nbytes
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.file.close()


@pytest.mark.parametrize("room", [0, 100, 5000])
def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch, room):
    path = tmp_path / "a"
    serialize.save_file({"x": lamella.ones(3)}, path)
    before, real = path.read_bytes(), builtins.open
    monkeypatch.setattr(builtins, "open", lambda *a, **k: FullDisk(real(*a, **k), room))
    with pytest.raises(OSError, match="No space left"):
        serialize.save_file({"x": lamella.ones(100), "y": lamella.ones(2000)}, path)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert path.read_bytes() == before


def test_failing_flush_or_rename_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    serialize.save_file({"x": lamella.ones(3)}, path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
            patch.setattr(os, name, fail)
            serialize.save_file({"x": lamella.ones(4)}, path)
        assert [p.name for p in tmp_path.iterdir()] == ["a"]
        assert path.read_bytes() == before


# ---- damaged files --------------------------------------------------------------------------------------------------
def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(begin=0, end=4, dtype="F32", shape=(1,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


DAMAGED = {
    "at least 8 bytes long, got 0": b"",
    "at least 8 bytes long, got 3": b"abc",
    "header length 99": struct.pack("<Q", 99) + b"{}",
    "header length 18446744073709551615": b"\xff" * 8 + b"{}",
    "not JSON": file_of(b"{"),
    "not UTF-8": file_of(b'{"\xff": 1}'),
    "nested too deeply": file_of(b"[" * 100_000),
    "must be a JSON object, got list": file_of([]),
    "duplicate key 'x'": file_of(b'{"x": 1, "x": 1}'),
    "__metadata__ must map": file_of({"__metadata__": {"a": 1}}),
    "must have dtype, shape": file_of({"x": {"dtype": "F32"}}),
    "dtype of 'x' must be one of": file_of({"x": entry(dtype="F8")}, b"1234"),
    "shape of 'x' must be": file_of({"x": entry(shape=(-1,))}, b"1234"),
    "shape of 'x' must have at most 8": file_of({"x": entry(shape=(1,) * 9)}, b"1234"),
    "data_offsets of 'x' must be": file_of({"x": entry(begin=0.0)}, b"1234"),
    "takes 8 bytes, got 4": file_of({"x": entry(shape=(2,))}, b"1234"),
    "takes 4 bytes, got -4": file_of({"x": entry(4, 0)}, b"1234"),
    "ends at byte 4 of 3: the file is truncated": file_of({"x": entry()}, b"123"),
    "overlaps the tensor before it": file_of({"x": entry(), "y": entry()}, b"1234"),
    "leaves a hole of 4 bytes": file_of({"x": entry(4, 8)}, b"12345678"),
    "1 bytes at the end belong to no tensor": file_of({"x": entry()}, b"12345"),
    "structure in its metadata is damaged": file_of({"__metadata__": {"lamella.tree": '{"tensor": "x"}'}}),
    "structure in its metadata is damaged: unknown kind": file_of({"__metadata__": {"lamella.tree": '{"y": "x"}'}}),
}


@pytest.mark.parametrize("text", list(DAMAGED))
def test_damaged_file_names_itself_and_what_is_wrong(tmp_path, text):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(DAMAGED[text])
    with pytest.raises(ValueError, match=r"bad\.safetensors") as caught:
        serialize.load(path)
    assert text in str(caught.value)


def test_random_damage_raises_nothing_but_value_errors(tmp_path):
    path, rng = tmp_path / "a", random.Random(0)
    serialize.save({"model": {"w": lamella.randn(4, 3), "b": lamella.arange(5)}, "step": 3, "lr": 0.5}, path)
    good = path.read_bytes()
    refused = 0
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data)
        try:
            serialize.load(path)
        except (ValueError, OSError):
            refused += 1
    assert refused > 500


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        serialize.load(tmp_path / "none")
