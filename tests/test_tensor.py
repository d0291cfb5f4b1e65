# SPDX-License-Identifier: MIT
"""Tensor: creation, promotion, views, exchange with NumPy and DLPack, Python's protocols."""

import copy
import pickle

import numpy as np
import pytest

import lamella


def test_creation():
    assert lamella.tensor([1.0, 2]).dtype is lamella.float32 and lamella.tensor([1, 2]).dtype is lamella.int64
    assert lamella.tensor(True).dtype is lamella.bool and lamella.tensor(np.float64(2)).dtype is lamella.float64
    assert lamella.arange(2, 11, 3).tolist() == [2, 5, 8] and lamella.arange(0.0, 1.0, 0.25).shape == (4,)
    assert lamella.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1] and lamella.eye(2).tolist() == [[1, 0], [0, 1]]
    assert lamella.full((2,), 7).dtype is lamella.int64 and lamella.zeros(0, 3).numel() == 0
    with pytest.raises(ValueError, match="ragged"):
        lamella.tensor([[1, 2], [3]])
    with pytest.raises(TypeError, match=r"\[tensor\] data must be numbers"):
        lamella.tensor(["a"])
    with pytest.raises(RuntimeError, match=r"\[device\] GPU must be there, got cuda:99"):
        lamella.zeros(2).to("cuda:99")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("uint8", "int8", "int16"),
        ("bool", "uint8", "uint8"),
        ("int64", "float16", "float16"),
        ("float16", "bfloat16", "float32"),
        ("bfloat16", "float32", "float32"),
        ("int32", "int64", "int64"),
    ],
)
def test_promotion(a, b, expected):
    x, y = lamella.ones(2, dtype=getattr(lamella, a)), lamella.ones(2, dtype=getattr(lamella, b))
    assert (x + y).dtype.name == (y + x).dtype.name == expected


def test_numbers_do_not_widen():
    assert (lamella.ones(2, dtype=lamella.float16) * 2.5).dtype is lamella.float16
    assert (lamella.ones(2, dtype=lamella.int8) + 1).dtype is lamella.int8
    assert (lamella.ones(2, dtype=lamella.int8) * 1.5).dtype is lamella.float32
    assert (lamella.ones(2) * lamella.tensor(2.0, dtype=lamella.float64)).dtype is lamella.float32
    assert (lamella.tensor(3) / lamella.tensor(2)).item() == 1.5


def test_views_share_memory():
    x = lamella.zeros(2, 3)
    x.t()[1, 0] = 5
    x.reshape(6)[5] = 7
    x[:, 1:2].fill_(1)
    assert x.tolist() == [[0, 1, 0], [0, 1, 7]]
    assert x.t().contiguous().data_ptr() != x.data_ptr() and x.expand(4, 2, 3).stride() == (0, 3, 1)
    with pytest.raises(ValueError, match="use reshape"):
        x.t().view(6)
    assert x.flatten().shape == (6,) and x.unsqueeze(-1).squeeze(-1).shape == (2, 3)
    assert x.permute(1, 0).shape == x.movedim(0, 1).shape == (3, 2) and x.diagonal().tolist() == [0, 1]


def test_numpy_both_ways_without_a_copy():
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = lamella.from_numpy(a[:, ::-1])
    assert x.tolist() == a[:, ::-1].tolist()
    x[0, 0] = 9
    assert a[0, 2] == 9
    b = x.numpy()
    b[1, 1] = -1
    assert x[1, 1] == -1 and np.asarray(x).shape == (2, 3)
    assert isinstance(a * x, lamella.Tensor) and isinstance(np.float32(2) * x, lamella.Tensor)
    a.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        lamella.from_numpy(a).zero_()
    with pytest.raises(TypeError, match=r"\[from_numpy\] array must have a dtype lamella has"):
        lamella.from_numpy(np.zeros(2, complex))
    with pytest.raises(RuntimeError, match=r"use detach\(\).numpy\(\)"):
        lamella.ones(2, requires_grad=True).numpy()
    del x
    assert b[1, 1] == -1  # the array keeps the storage


def test_dlpack_both_ways_without_a_copy():
    x = lamella.arange(6.0).reshape(2, 3)
    a = np.from_dlpack(x)
    a[0, 0] = 4
    assert x[0, 0] == 4
    y = lamella.from_dlpack(np.ones((2, 2)))
    assert y.dtype is lamella.float64 and y.sum() == 4
    z = lamella.from_dlpack(lamella.ones(3, dtype=lamella.bfloat16))
    assert z.dtype is lamella.bfloat16 and z.float().sum() == 3
    with pytest.raises(BufferError):
        np.from_dlpack(lamella.ones(2, requires_grad=True))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "bool"])
def test_copies(dtype):
    x = lamella.tensor([[0, 1], [1, 1]], dtype=getattr(lamella, dtype))
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), x.clone()):
        assert y.dtype is x.dtype and y.tolist() == x.tolist() and y.data_ptr() != x.data_ptr()
    assert pickle.loads(pickle.dumps(lamella.Parameter(lamella.ones(2)))).requires_grad


def test_protocols():
    x = lamella.tensor([[1.5, -2.0]])
    assert len(x) == 1 and [r.tolist() for r in x] == [[1.5, -2.0]] and 1.5 in x
    assert float(lamella.tensor(2.5)) == 2.5 and int(lamella.tensor(3)) == 3 and bool(lamella.tensor(0)) is False
    assert [10, 20, 30][lamella.tensor(1)] == 20 and f"{lamella.tensor(1.234):.1f}" == "1.2"
    assert "1.5" in repr(x)
    assert "grad_fn=<mul>" in repr(lamella.ones(1, requires_grad=True) * 2)
    assert hash(x) == hash(x) and {x: 1}[x] == 1
    with pytest.raises(RuntimeError, match=r"use .any\(\) or .all\(\)"):
        bool(x)
    assert (~lamella.tensor([True, False])).tolist() == [False, True]


def test_memory_limit_is_an_error_one_survives():
    from lamella import _core

    used = _core.memory_stats()["allocated"]
    _core.set_memory_limit(used + (1 << 20))
    try:
        with pytest.raises(MemoryError, match="limit"):
            lamella.zeros(1 << 20)
    finally:
        _core.set_memory_limit(0)
    assert lamella.zeros(1 << 20).sum() == 0
    with pytest.raises(MemoryError):
        lamella.empty(1 << 40, 1 << 20)


def test_printing():
    assert repr(lamella.tensor([1.5, -2.0])) == "tensor([ 1.5000, -2.0000])"
    assert repr(lamella.tensor([[1.0, 2.0], [30.0, 4.0]])) == "tensor([[ 1.,  2.],\n        [30.,  4.]])"
    assert repr(lamella.tensor([1e-5, 1000.0])) == "tensor([1.0000e-05, 1.0000e+03])"
    assert repr(lamella.tensor([1, 2], dtype=lamella.int8)) == "tensor([1, 2], dtype=lamella.int8)"
    assert repr(lamella.zeros(0, 3)) == "tensor([], size=(0, 3))"
    assert repr(lamella.ones(2, requires_grad=True)) == "tensor([1., 1.], requires_grad=True)"
    assert repr(lamella.arange(2000)) == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"
    lamella.set_printoptions(precision=1, threshold=3, edgeitems=1)
    try:
        assert repr(lamella.tensor([0.25, 1.0, 2.0, 3.0])) == "tensor([0.2,  ..., 3.0])"
    finally:
        lamella.set_printoptions(profile="default")
    with pytest.raises(ValueError, match="profile must be"):
        lamella.set_printoptions(profile="tiny")


def test_numpy_functions():
    x = lamella.tensor([0.5, 1.0], dtype=lamella.float64, requires_grad=True)
    y = np.sin(x) * np.array([1.0, 2.0])
    y.sum().backward()
    assert np.allclose(x.grad.numpy(), np.cos([0.5, 1.0]) * [1, 2])
    x = x.detach()
    assert isinstance(np.array([1.0, 2.0]) * x, lamella.Tensor) and isinstance(np.cbrt(x), lamella.Tensor)
    assert np.concatenate([x, x]).shape == (4,) and np.sum(x) == 1.5 and np.add.reduce(x) == 1.5
    with pytest.raises(RuntimeError, match="use detach"):
        np.asarray(lamella.ones(2, requires_grad=True))


def test_in_place_forms():
    x = lamella.tensor([[1.0, -2.0, 3.0]])
    version, address = x._version, x.data_ptr()
    x.abs_().add_(1, alpha=2).clamp_(max=4).lerp_(lamella.zeros(3), 0.5).masked_fill_(x > 1.9, 7)
    x **= 2
    assert x.tolist() == [[2.25, 49.0, 49.0]] and x._version > version and x.data_ptr() == address
    assert x.t_().shape == (3, 1) and x.squeeze_().unsqueeze_(0).shape == (1, 3)
    i = lamella.tensor([6, 7])
    i //= 2
    i <<= 1
    i |= 1
    assert i.tolist() == [7, 7]
    with pytest.raises(TypeError, match=r"\[lerp_\] in-place result must fit int64, got float32"):
        i.lerp_(i, 0.5)
    with pytest.raises(ValueError, match=r"\[addcmul_\] in-place result must have shape \(2,\)"):
        i.addcmul_(lamella.ones(3, 2, dtype=lamella.int64), i)
    with pytest.raises(RuntimeError, match=r"\[t_\] tensor must not be a leaf"):
        lamella.ones(2, 2, requires_grad=True).t_()


def test_dtype_facts():
    for t in (lamella.float64, lamella.float32, lamella.float16):
        ours, theirs = lamella.finfo(t), np.finfo(t.name)
        assert (ours.eps, ours.max, ours.tiny, ours.bits) == (theirs.eps, theirs.max, theirs.tiny, theirs.bits)
    assert lamella.finfo(lamella.bfloat16).max == 3.3895313892515355e38 and lamella.iinfo(lamella.uint8).max == 255
    assert lamella.result_type(lamella.tensor([1]), 2.5) is lamella.float32
    assert lamella.promote_types(lamella.uint8, lamella.int8) is lamella.int16
    assert lamella.can_cast(lamella.int32, lamella.float16) and not lamella.can_cast(lamella.float32, lamella.int64)
    with pytest.raises(TypeError, match=r"\[finfo\] dtype must be floating"):
        lamella.finfo(lamella.int32)
    lamella.set_default_dtype(lamella.float64)
    try:
        assert (lamella.tensor([1]) / 2).dtype is lamella.exp(lamella.tensor([1])).dtype is lamella.float64
    finally:
        lamella.set_default_dtype(lamella.float32)
