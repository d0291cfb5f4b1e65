# SPDX-License-Identifier: MIT
"""The loader: workers of both kinds, its place in a checkpoint, damaged items, collation, and its other arguments."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import lamella
from lamella import data
from test_data import Squares, Stream, listed, pairs


class Broken(data.Dataset):
    """Every `bad` raises; the others are (i, a random number)."""

    def __init__(self, n=20, bad=()):
        self.n, self.bad = n, bad

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i in self.bad:
            raise ValueError(f"file-{i}.jpg: damaged")
        return i, data.sample_generator().random()


class Listing(Squares):
    def __getitems__(self, indices):
        return [(np.float32(i * i), 0.5) for i in indices]


class Slow(data.Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        time.sleep(30)


class Dies(data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        os._exit(7)


# ---- workers --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [Squares, lambda: pairs(23, 4), lambda: Stream(23)], ids=["items", "whole", "stream"])
def test_processes_give_the_same_bits(make):
    def epochs(**how):
        dataset = make()
        shuffle = not isinstance(dataset, data.IterableDataset)
        loader = data.DataLoader(dataset, 4, shuffle=shuffle, generator=5, **how)
        return listed(loader), listed(loader)

    expected = epochs()
    for how in ({"num_workers": 1}, {"num_workers": 3, "persistent_workers": True}):
        assert epochs(workers="process", **how) == expected
    assert epochs(num_workers=2, persistent_workers=True) == expected


def test_a_process_gives_tensors_of_every_dtype_and_shape():
    kinds = [lamella.float32, lamella.bfloat16, lamella.int64, lamella.bool, lamella.uint8]
    stored = data.TensorDataset(*(lamella.ones(4, 2, 0 if k is lamella.bool else 3).to(k) for k in kinds))
    loader = data.DataLoader(stored, 4, num_workers=1, workers="process")
    (batch,) = loader
    assert [x.dtype for x in batch] == kinds and [tuple(x.shape) for x in batch][3] == (4, 2, 0)
    assert all(lamella.equal(a, b) for a, b in zip(batch, stored.tensors, strict=True))
    batch[0].add_(1)  # it may be written to
    assert batch[0].sum().item() == 48


def test_kernels_run_in_a_forked_worker():
    x = lamella.randn(64, 64)
    expected = (x @ x).sum(1)
    loader = data.DataLoader(Product(x), 64, num_workers=2, workers="process")
    assert lamella.equal(next(iter(loader)), expected)


class Product(data.Dataset):
    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return (self.x @ self.x).sum(1)[i]


def test_an_error_in_a_process_names_item_and_place():
    loader = data.DataLoader(Squares(bad=9), 4, num_workers=2, workers="process")
    with pytest.raises(OSError, match="cannot be read") as caught:
        list(loader)
    notes = caught.value.__notes__
    assert notes[0] == "while loading item 9 of Squares" and "in worker process" in notes[1]
    assert "__getitem__" in notes[1]


def test_a_process_that_dies_is_an_error():
    with pytest.raises(RuntimeError, match=r"worker process 0 ended while it made a batch \(exit code 7\)"):
        list(data.DataLoader(Dies(), 2, num_workers=1, workers="process"))


def test_timeout_and_leaving_end_processes_at_once():
    begun = time.monotonic()
    loader = data.DataLoader(Slow(), 1, num_workers=1, workers="process", timeout=0.2)
    with pytest.raises(RuntimeError, match=r"within timeout = 0\.2 s"):
        next(iter(loader))
    assert time.monotonic() - begun < 10


SCRIPT = """
import signal, sys, time
from lamella import data
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have had it ignored
class Slow(data.Dataset):
    def __len__(self): return 1000
    def __getitem__(self, i):
        time.sleep(0.05)
        return i
if __name__ == "__main__":
    for batch in data.DataLoader(Slow(), 1, num_workers=2, workers=sys.argv[1]):
        print("batch", flush=True)
"""


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_ctrl_c_ends_everything(tmp_path, kind):
    (tmp_path / "run.py").write_text(textwrap.dedent(SCRIPT))
    path = os.pathsep.join([os.path.dirname(os.path.dirname(lamella.__file__)), os.environ.get("PYTHONPATH", "")])
    child = subprocess.Popen(
        [sys.executable, "run.py", kind], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout.readline() == "batch\n"
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does it: to all of the group
        _, errors = child.communicate(timeout=20)  # returns when every process has closed its pipes
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    assert child.returncode != 0 and errors.count("KeyboardInterrupt") == 1


def test_worker_init_and_info():
    class Told(data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, i):
            time.sleep(0.005)
            info = data.get_worker_info()
            return info.id, info.num_workers, info.seed

    started = []
    loader = data.DataLoader(Told(), 1, num_workers=2, generator=3, worker_init_fn=started.append)
    seen = {tuple(x.item() for x in batch) for batch in loader}
    assert seen == {(0, 2, 3), (1, 2, 3)} and sorted(started) == [0, 1]
    assert data.get_worker_info() is None

    def refuses(worker):
        raise KeyError("no licence")

    for kind in ("thread", "process"):
        with pytest.raises(KeyError, match="no licence"):
            list(data.DataLoader(Squares(), num_workers=1, worker_init_fn=refuses, workers=kind))


# ---- its place ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", [{}, {"num_workers": 2}, {"num_workers": 2, "workers": "process"}], ids=str)
@pytest.mark.parametrize("make", [Squares, lambda: Stream(23)], ids=["items", "stream"])
def test_resume_is_exact(make, how):
    dataset = make()
    shuffle = {"shuffle": True} if isinstance(dataset, Squares) else {}
    loader = data.DataLoader(dataset, 4, generator=1, **shuffle)
    whole = [listed(loader) for _ in range(3)]
    loader = data.DataLoader(dataset, 4, generator=1, **shuffle)
    listed(loader)
    batches = iter(loader)
    for _ in range(2):
        next(batches)
    state = loader.state_dict()
    assert state == {"seed": 1, "epoch": 1, "batch": 2, "length": 6 if shuffle else -1}
    lamella.manual_seed(77)  # the state brings its seed
    resumed = data.DataLoader(dataset, 4, **shuffle, **how)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert [listed(resumed), listed(resumed)] == [whole[1][2:], whole[2]]


def test_the_state_at_the_end_of_an_epoch_and_wrong_states():
    loader = data.DataLoader(Squares(), 4, generator=1)
    for _ in loader:
        state = loader.state_dict()
    assert (state["epoch"], state["batch"]) == (0, 6)
    other = data.DataLoader(Squares(), 4, generator=1)
    other.load_state_dict(state)
    assert listed(other) == [] and other.state_dict()["epoch"] == 1 == loader.state_dict()["epoch"]
    with pytest.raises(ValueError, match=r"must be of a loader with as many batches: 23, got 6"):
        data.DataLoader(Squares()).load_state_dict(state)
    with pytest.raises(ValueError, match=r"state must have 'epoch', got \['seed'\]"):
        other.load_state_dict({"seed": 1})


# ---- damaged items --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", [{}, {"num_workers": 2}, {"num_workers": 2, "workers": "process"}], ids=str)
def test_skip(how):
    loader = data.DataLoader(Broken(20, bad={3, 8, 9, 10, 11}), 4, generator=2, on_error="skip", **how)
    with pytest.warns(UserWarning, match=r"item 3 is skipped: ValueError: file-3\.jpg: damaged"):
        found = listed(loader)
    assert [x for x, _ in found] == [[0, 1, 2], [4, 5, 6, 7], [12, 13, 14, 15], [16, 17, 18, 19]]
    assert loader.skipped == [(i, f"ValueError: file-{i}.jpg: damaged") for i in (3, 8, 9, 10, 11)]
    good = dict(pair for x in listed(data.DataLoader(Broken(), 4, generator=2)) for pair in zip(*x, strict=True))
    assert all(good[i] == r for x in found for i, r in zip(*x, strict=True))  # the others keep their numbers


# ---- arguments ------------------------------------------------------------------------------------------------------
def test_no_batches():
    loader = data.DataLoader(Squares(3), batch_size=None, generator=0)
    assert len(loader) == 3 and [x.item() for x, _ in loader] == [0, 1, 4]
    assert [i for i, _ in data.DataLoader(Stream(3), batch_size=None)] == [0, 1, 2]
    assert list(data.DataLoader([5, 6], batch_size=None, collate_fn=lambda x: x + 1)) == [6, 7]


def test_getitems_and_batch_transform():
    batches = list(data.DataLoader(Listing(5), 2))
    assert [x.tolist() for x, _ in batches] == [[0, 1], [4, 9], [16]]

    def numbers(how):
        def noisy(batch):
            return [batch[0], data.sample_generator().random()]

        return [b[1] for b in data.DataLoader(pairs(9, 2), 4, generator=3, batch_transform=noisy, num_workers=how)]

    assert numbers(0) == numbers(2) and len(set(numbers(0))) == 3


def test_the_numbers_of_an_item_go_on():
    class Two(Squares):
        def __getitem__(self, i):
            return data.sample_generator().random(), data.sample_generator().random()

    a, b = next(iter(data.DataLoader(Two(), 3)))
    assert len({*a.tolist(), *b.tolist()}) == 6


def test_more_loader_arguments():
    for text, call in {
        "timeout must not be negative": {"timeout": -1},
        "workers must be 'thread' or 'process', got 'fiber'": {"workers": "fiber"},
        "on_error must be 'raise' or 'skip', got 'no'": {"on_error": "no"},
        "persistent_workers must stand with num_workers": {"persistent_workers": True},
        "drop_last must stand with a batch_size": {"batch_size": None, "drop_last": True},
        "prefetch_factor must be positive": {"prefetch_factor": 0},
    }.items():
        with pytest.raises(ValueError, match=text):
            data.DataLoader(Squares(), **call)
    assert len(list(data.DataLoader(Squares(), 5, pin_memory=True, in_order=True, prefetch_factor=None))) == 5
    with pytest.raises(TypeError, match="got object") as caught:
        next(iter(data.DataLoader([object()])))
    assert caught.value.__notes__ == ["while collating the batch that begins with item 0 of list"]


# ---- samplers and data sets -----------------------------------------------------------------------------------------
def test_distributed_sampler():
    ranks = [data.DistributedSampler(range(10), 4, r) for r in range(4)]
    parts = [list(s) for s in ranks]
    assert {len(p) for p in parts} == {3} and {i for p in parts for i in p} == set(range(10))
    cut = [list(data.DistributedSampler(range(10), 4, r, drop_last=True)) for r in range(4)]
    assert len({i for p in cut for i in p}) == 8
    ranks[0].set_epoch(1)
    assert list(ranks[0]) != parts[0]
    loader = data.DataLoader(range(10), 2, sampler=data.DistributedSampler(range(10), 2, 0))
    assert [b.tolist() for b in loader] != [b.tolist() for b in loader]  # the loader sets the epoch
    assert list(data.DistributedSampler(range(1), 3, 2)) == [0]
    with pytest.raises(ValueError, match=r"rank must be in \[0, 2\), got 2"):
        data.DistributedSampler(range(4), 2, 2)


def test_bucket_batch_sampler():
    lengths = np.random.default_rng(0).integers(1, 50, 500)
    sampler = data.BucketBatchSampler(lengths, 16, generator=0, window=10)
    first, second = list(sampler), list(sampler)
    assert sorted(i for b in first for i in b) == list(range(500)) and first != second
    assert len(first) == len(sampler) and {len(b) for b in first[:-1]} <= {16, 500 % 16}
    padded = sum(len(b) * lengths[b].max() for b in first)
    assert padded < 1.15 * lengths.sum()
    tokens = list(data.BucketBatchSampler(lengths, max_tokens=200, generator=0))
    assert sorted(i for b in tokens for i in b) == list(range(500))
    assert max(len(b) * lengths[b].max() for b in tokens) <= 200
    dropped = list(data.BucketBatchSampler(lengths, 16, drop_last=True))
    assert {len(b) for b in dropped} == {16}
    for text, call in {
        "batch_size or max_tokens must be given": {},
        "max_tokens must be at least the longest length, 49 of item": {"max_tokens": 9},
        "batch_size must be positive, got 0": {"batch_size": 0},
    }.items():
        with pytest.raises(ValueError, match=text):
            data.BucketBatchSampler(lengths, **call)


def test_subset_random_sampler():
    sampler = data.SubsetRandomSampler([3, 5, 9], generator=1)
    assert sorted(sampler) == [3, 5, 9] and len(sampler) == 3
    assert len({tuple(sampler) for _ in range(20)}) > 2


def test_chain_and_stack():
    chained = Stream(2) + Stream(3)
    assert isinstance(chained, data.ChainDataset)
    assert [b[0].tolist() for b in data.DataLoader(chained, 2)] == [[0, 1], [0, 1], [2]]
    with pytest.raises(TypeError, match="must be IterableDatasets, got list"):
        list(data.ChainDataset([[1]]))
    assert data.StackDataset(range(3), "abc")[2] == (2, "c")
    batch = next(iter(data.DataLoader(data.StackDataset(x=range(3), y=range(3, 6)), 3)))
    assert batch["y"].tolist() == [3, 4, 5]
    with pytest.raises(ValueError, match="agree in length, got 3, 2"):
        data.StackDataset(range(3), "ab")
    with pytest.raises(ValueError, match="by position or by name"):
        data.StackDataset()


def test_whole_batches_of_subsets():
    train, held = data.random_split(pairs(10, 2), [0.7, 0.3], generator=0)
    rows = [y for batch in data.DataLoader(train, 3, shuffle=True) for y in batch[1].tolist()]
    assert sorted(rows) == sorted(train.indices) and len(held) == 3
    for bad in ([0.5, 0.6], [0.5], [-1, 11]):
        with pytest.raises(ValueError, match="lengths must add up to 10"):
            data.random_split(range(10), bad)


# ---- collation ------------------------------------------------------------------------------------------------------
def test_padding_and_packing():
    items = [(lamella.ones(3, 2), 0), (lamella.ones(1, 2), 1)]
    (x, lengths), y = data.PadCollate(padding_value=-1)(items)
    assert x.shape == (2, 3, 2) and x[1, 1].tolist() == [-1, -1] and lengths.tolist() == [3, 1] and y.tolist() == [0, 1]
    (left, _), _ = data.PadCollate(batch_first=False, padding_side="left")(items)
    assert left.shape == (3, 2, 2) and left[:, 1, 0].tolist() == [0, 0, 1]
    packed, _ = data.PackCollate()(items[::-1])
    padded, lengths = lamella.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    assert lengths.tolist() == [1, 3] and padded[1].sum().item() == 6
    (x, _), (z, n) = data.PadCollate(fields=(0, -1))([([1, 2], [3]), ([4], [])])
    assert x.tolist() == [[1, 2], [4, 0]] and z.tolist() == [[3], [0]] and n.tolist() == [1, 0]
    with pytest.raises(ValueError, match="fields must be positions in items of 2 parts, got 2"):
        data.PadCollate(fields=(2,))(items)
    with pytest.raises(ValueError, match=r"agree but in length, got \(3, 2\) and \(1, 3\)"):
        data.PadCollate()([lamella.ones(3, 2), lamella.ones(1, 3)])
