# SPDX-License-Identifier: MIT
"""Data sets, samplers, the loader, and the readers with their damaged files."""

import collections
import gzip
import struct
import threading
import time

import numpy as np
import pytest

import lamella
from lamella import data


class Squares(data.Dataset):
    """Item i is (i squared, a random number of its own)."""

    def __init__(self, n=23, bad=None, slow=False):
        self.n, self.bad, self.slow = n, bad, slow

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i == self.bad:
            raise OSError("cannot be read")
        if self.slow:
            time.sleep(0.001 * (i % 3))
        return np.float32(i * i), data.sample_generator().random()


class Stream(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        for i in range(self.n):
            yield i, data.sample_generator().random()


def pairs(*shape):
    x = lamella.arange(int(np.prod(shape))).reshape(shape)
    return data.TensorDataset(x.float(), lamella.arange(shape[0]))


def listed(loader):
    return [[part.tolist() for part in batch] for batch in loader]


# ---- data sets ------------------------------------------------------------------------------------------------------
def test_tensor_dataset():
    both = pairs(5, 2)
    x, y = both[3]
    assert len(both) == 5 and x.tolist() == [6.0, 7.0] and y.item() == 3
    x, y = both.batch([4, 0, 4])
    assert x.tolist() == [[8, 9], [0, 1], [8, 9]] and y.tolist() == [4, 0, 4]
    with pytest.raises(ValueError, match=r"agree in their first size, got shapes \(2,\), \(3,\)"):
        data.TensorDataset(lamella.zeros(2), lamella.zeros(3))
    with pytest.raises(IndexError):
        both[5]


def test_a_dataset_without_its_methods_says_so():
    half = type("Half", (data.Dataset,), {})()
    with pytest.raises(TypeError, match="Half must define __getitem__"):
        half[0]
    with pytest.raises(TypeError, match="Half must define __len__"):
        len(half)
    with pytest.raises(TypeError, match="Stream must define __iter__"):
        iter(type("Stream", (data.IterableDataset,), {})())


def test_subset_and_concat():
    part = data.Subset(pairs(5, 1), [3, 1])
    assert len(part) == 2 and part[0][1].item() == 3
    assert part.batch([1, 0])[1].tolist() == [1, 3]
    joined = data.Subset(Squares(), [2]) + Squares(3)
    assert isinstance(joined, data.ConcatDataset) and len(joined) == 4
    assert not hasattr(data.Subset(Squares(), [2]), "batch")
    many = data.ConcatDataset([range(3), range(0), range(10, 12)])
    assert [many[i] for i in range(-5, 5)] == [0, 1, 2, 10, 11] * 2
    with pytest.raises(IndexError, match=r"must be in \[-5, 5\), got 5"):
        many[5]


def test_random_split():
    parts = data.random_split(range(10), [0.5, 0.3, 0.2], generator=1)
    assert [len(p) for p in parts] == [5, 3, 2]
    assert sorted(i for p in parts for i in p.indices) == list(range(10))
    again = data.random_split(range(10), [5, 3, 2], generator=1)
    assert [p.indices for p in parts] == [p.indices for p in again]
    with pytest.raises(ValueError, match="lengths must add up to 10"):
        data.random_split(range(10), [5, 3])


# ---- samplers -------------------------------------------------------------------------------------------------------
def test_random_sampler_is_a_new_permutation_every_epoch():
    sampler = data.RandomSampler(range(100), generator=7)
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(100)) and first != second
    assert list(data.RandomSampler(range(100), generator=7)) == first
    assert list(data.RandomSampler(range(100), generator=8)) != first
    assert len(set(list(data.RandomSampler(range(5), num_samples=3)))) == 3
    assert collections.Counter(data.RandomSampler(range(5), num_samples=10)) == dict.fromkeys(range(5), 2)
    assert set(data.RandomSampler(range(3), replacement=True, num_samples=100)) == {0, 1, 2}
    assert list(data.RandomSampler(range(0))) == []


def test_the_order_is_fixed_for_all_time():
    assert list(data.RandomSampler(range(8), generator=0)) == [0, 2, 1, 5, 4, 3, 6, 7]


def test_equal_words_keep_their_order(monkeypatch):
    class Words:
        def random_raw(self, n):
            return np.arange(n, dtype=np.uint64) // 50 % 3

    monkeypatch.setattr(data.sampler, "_philox", lambda seed, epoch: Words())
    order = data.sampler.permutation(3000, 0, 0)
    assert order.tolist() == sorted(range(3000), key=lambda i: i // 50 % 3)


def test_manual_seed_sets_the_order():
    lamella.manual_seed(3)
    first = list(data.RandomSampler(range(50)))
    lamella.manual_seed(3)
    assert list(data.RandomSampler(range(50))) == first
    lamella.manual_seed(4)
    assert list(data.RandomSampler(range(50))) != first


def test_weighted_random_sampler():
    counts = collections.Counter(data.WeightedRandomSampler([1, 0, 3], 4000, generator=0))
    assert counts[1] == 0 and abs(counts[2] / 4000 - 0.75) < 0.03
    chosen = list(data.WeightedRandomSampler([1, 0, 3, 2], 3, replacement=False, generator=0))
    assert sorted(chosen) == [0, 2, 3]
    for bad in ([1, -1], [0, 0], [float("nan")], []):
        with pytest.raises(ValueError, match="weights must be"):
            data.WeightedRandomSampler(bad, 1)
    with pytest.raises(ValueError, match="at most 1 without replacement, got 2"):
        data.WeightedRandomSampler([1, 0], 2, replacement=False)


def test_batch_sampler():
    assert list(data.BatchSampler(range(5), 2)) == [[0, 1], [2, 3], [4]]
    dropped = data.BatchSampler(range(5), 2, drop_last=True)
    assert list(dropped) == [[0, 1], [2, 3]] and len(dropped) == 2
    with pytest.raises(ValueError, match="batch_size must be a positive integer, got 0"):
        data.BatchSampler(range(5), 0)


# ---- loader ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [lambda: Squares(slow=True), lambda: pairs(23, 4), lambda: Stream(23)])
def test_workers_change_nothing(make):
    def two_epochs(workers):
        dataset = make()
        shuffle = not isinstance(dataset, data.IterableDataset)
        loader = data.DataLoader(dataset, batch_size=4, shuffle=shuffle, num_workers=workers, generator=5)
        return listed(loader), listed(loader)

    first, second = two_epochs(0)
    assert len(first) == 6 and first != second
    for workers in (1, 4):
        assert two_epochs(workers) == (first, second)


def test_random_numbers_belong_to_the_item():
    def by_item(**how):
        batches = listed(data.DataLoader(Squares(), generator=5, **how))
        return {x: r for xs, rs in batches for x, r in zip(xs, rs, strict=True)}

    in_order = by_item(batch_size=7)
    assert by_item(batch_size=4, shuffle=True) == in_order and len(set(in_order.values())) == 23


def test_resume_in_the_middle_of_an_epoch():
    loader = data.DataLoader(Squares(), 4, shuffle=True, generator=1)
    listed(loader)
    whole = listed(loader)
    resumed = data.DataLoader(Squares(), 4, shuffle=True, generator=1, num_workers=2)
    resumed.epoch, resumed.start_batch = 1, 2
    assert listed(resumed) == whole[2:]
    assert resumed.epoch == 2 and len(listed(resumed)) == len(whole)


def test_lengths_and_last_batch():
    assert len(data.DataLoader(Squares(23), 4)) == 6
    assert len(data.DataLoader(Squares(23), 4, drop_last=True)) == 5
    assert [len(x) for x, _ in listed(data.DataLoader(Stream(5), 2, drop_last=True))] == [2, 2]
    assert listed(data.DataLoader(Squares(0), 4, num_workers=2)) == []
    custom = data.DataLoader(range(6), batch_sampler=[[5, 0], [1]], collate_fn=list)
    assert list(custom) == [[5, 0], [1]] and len(custom) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_names_the_item(workers):
    loader = data.DataLoader(Squares(bad=9), 4, num_workers=workers)
    seen = 0
    with pytest.raises(OSError, match="cannot be read") as caught:
        for _ in loader:
            seen += 1
    assert seen == 2
    assert caught.value.__notes__ == ["while loading item 9 of Squares"]


@pytest.mark.parametrize("workers", [1, 3])
def test_leaving_early_ends_the_workers(workers):
    for batch in data.DataLoader(Squares(200, slow=True), 2, num_workers=workers):
        assert len(batch) == 2
        break
    del batch
    deadline = time.monotonic() + 5
    while any(t.name.startswith("lamella-data") for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [t for t in threading.enumerate() if t.name.startswith("lamella-data")]


def test_two_iterations_at_a_time():
    loader = data.DataLoader(pairs(6, 1), 2, num_workers=2)
    assert [(a[1].tolist(), b[1].tolist()) for a, b in zip(loader, loader, strict=True)] == [
        ([0, 1], [0, 1]),
        ([2, 3], [2, 3]),
        ([4, 5], [4, 5]),
    ]


def test_loader_arguments():
    for text, call in {
        "sampler must stand without shuffle": lambda: data.DataLoader([1], shuffle=True, sampler=[0]),
        "batch_sampler must stand": lambda: data.DataLoader([1], batch_size=2, batch_sampler=[[0]]),
        "has no indices": lambda: data.DataLoader(Stream(1), shuffle=True),
        "num_workers must not be negative": lambda: data.DataLoader([1], num_workers=-1),
        "batch_size must be a positive integer, got -1": lambda: data.DataLoader([1], batch_size=-1),
    }.items():
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(RuntimeError, match="while a DataLoader makes an item"):
        data.sample_generator()


Point = collections.namedtuple("Point", "x y")


def test_default_collate():
    collate = data.default_collate
    assert collate([1, 2]).dtype is lamella.int64 and collate([0.5, 1]).dtype is lamella.float64
    assert collate([True, False]).dtype is lamella.bool
    assert collate([np.float32(1), np.float32(2)]).dtype is lamella.float32
    assert collate([np.zeros((2, 3)), np.ones((2, 3))]).shape == (2, 2, 3)
    assert collate([lamella.zeros(3), lamella.ones(3)]).tolist() == [[0] * 3, [1] * 3]
    assert collate(["a", "b"]) == ["a", "b"]
    assert collate([{"a": 1}, {"a": 2}])["a"].tolist() == [1, 2]
    assert collate([Point(1, 2), Point(3, 4)]).y.tolist() == [2, 4]
    with pytest.raises(ValueError, match=r"items must have one shape, got \(2,\), \(3,\)"):
        collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(TypeError, match="got object"):
        collate([object()])


# ---- readers --------------------------------------------------------------------------------------------------------
def idx_bytes(array):
    code = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}[array.dtype.name]
    sizes = b"".join(struct.pack(">I", n) for n in array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
def test_idx(tmp_path, dtype):
    x = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for content in (idx_bytes(x), gzip.compress(idx_bytes(x))):
        (tmp_path / "x").write_bytes(content)
        found = data.read_idx(tmp_path / "x")
        assert found.dtype == x.dtype and (found == x).all()


GOOD = idx_bytes(np.zeros((2, 3), np.uint8))
BAD_IDX = {
    "not an IDX file: it begins with nothing": b"",
    "not an IDX file: it begins with 50 4b": b"PK\x03\x04",
    "not an IDX file: it begins with 00 00 07": b"\0\0\7\1" + b"\0" * 9,
    "header of 2 dimensions is cut short": GOOD[:9],
    "truncated: shape (2, 3) takes 6 bytes, got 5": GOOD[:-1],
    "too long: shape (2, 3) takes 6 bytes, got 7": GOOD + b"\0",
    "truncated: shape (4294967295, 4294967295)": b"\0\0\x08\2" + b"\xff" * 8,
    "damaged gzip data": gzip.compress(GOOD)[:-6],
}


@pytest.mark.parametrize("text", list(BAD_IDX))
def test_damaged_idx(tmp_path, text):
    (tmp_path / "bad.idx").write_bytes(BAD_IDX[text])
    with pytest.raises(ValueError, match=r"bad\.idx: ") as caught:
        data.read_idx(tmp_path / "bad.idx")
    assert text in str(caught.value)


def test_mnist_folder(tmp_path):
    x, y = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2), np.arange(5, dtype=np.uint8)
    with pytest.raises(ValueError, match="must hold train-images-idx3-ubyte"):
        data.mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(x)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(y))
    image, label = data.mnist(tmp_path).tensors
    assert image.shape == (5, 1, 2, 2) and label.tolist() == [0, 1, 2, 3, 4]
    assert abs(image.max().item() - 19 / 255) < 1e-6
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(y[:4]))
    with pytest.raises(ValueError, match=r"5 images in .* but 4 labels"):
        data.mnist(tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        data.mnist(tmp_path / "none")


def test_digits():
    x, y = data.read_digits()
    assert x.shape == (1797, 8, 8) and x.max() == 16
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    train, test = data.digits(), data.digits("test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.tensors[0].shape == (1437, 1, 8, 8) and train.tensors[0].max().item() == 1
    both = np.concatenate([train.tensors[0].numpy(), test.tensors[0].numpy()]).reshape(1797, -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, (x / np.float32(16)).astype(np.float32).reshape(1797, -1)))
    assert np.bincount(test.tensors[1].numpy()).min() > 20


def test_image_folder(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with pytest.raises(ValueError, match="must hold one folder per class, found none"):
        data.ImageFolder(tmp_path)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    for name in ("cat/1.png", "cat/0.png", "ant/deep/x.PNG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(tmp_path / name)
    images = data.ImageFolder(tmp_path)
    assert images.classes == ["ant", "cat"] and images.targets == [0, 1, 1]
    assert [p.name for p, _ in images.samples] == ["x.PNG", "0.png", "1.png"]
    x, label = images[1]
    assert label == 1 and x.dtype == np.float32
    np.testing.assert_array_equal(x, pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255))
    assert data.ImageFolder(tmp_path, size=(4, 3), mode="L")[0][0].shape == (1, 4, 3)
    assert data.ImageFolder(tmp_path, transform=lambda x: x.size)[0][0] == (5, 6)
    batch = next(iter(data.DataLoader(images, 3, num_workers=2)))
    assert batch[0].shape == (3, 3, 6, 5) and batch[1].tolist() == [0, 1, 1]

    (tmp_path / "cat" / "2.jpg").write_bytes((tmp_path / "cat" / "1.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"2\.jpg: not a readable image"):
        data.ImageFolder(tmp_path)[3]
    cleaned = data.ImageFolder(tmp_path, skip_unreadable=True)
    assert len(cleaned) == 3 and [p.name for p in cleaned.skipped] == ["2.jpg"]
    (tmp_path / "dog").mkdir()
    with pytest.raises(ValueError, match=r"dog holds no image"):
        data.ImageFolder(tmp_path)


def test_without_pillow_one_line_names_the_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'lamella\[demo\]'"):
        data.ImageFolder(tmp_path)
