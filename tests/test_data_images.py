# SPDX-License-Identifier: MIT
"""Sets of images from whatever lies in a folder, what a model is told of them, and scenes made of them."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

import lamella
from lamella import data
from lamella.data import transforms as T


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def idx_folder(folder, count=50, split="t10k", labels=None, size=28):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, size, size))
    y = np.arange(count) % 10 if labels is None else np.asarray(labels)
    write_idx(folder / f"{split}-images-idx3-ubyte.gz", x)
    write_idx(folder / f"{split}-labels-idx1-ubyte.gz", y)
    return x, y


def class_folders(folder, classes=("cat", "dog"), count=5, size=(8, 8)):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    for i, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for j in range(count):
            image.new("RGB", size, (i * 255, j, 51)).save(folder / name / f"{j}.png")


# ---- load_images ----------------------------------------------------------------------------------------------------
def test_digits_of_the_package():
    images = data.load_images()
    x, y = images.train.tensors
    assert (x.shape, x.dtype, len(images.test), images.classes) == ((1437, 1, 8, 8), lamella.uint8, 360, [str(i) for i in range(10)])
    inside = data.digits("train").tensors
    np.testing.assert_array_equal(x.numpy(), np.rint(inside[0].numpy() * 255))
    assert (y == inside[1]).all()
    colour = data.load_images(size=(16, 12), mode="RGB", limit=20)
    assert colour.train.tensors[0].shape == (20, 3, 16, 12) and len(colour.test) == 360


def test_idx_without_a_train_split_is_cut(tmp_path):
    x, y = idx_folder(tmp_path, 50)
    images = data.load_images(tmp_path)
    np.testing.assert_array_equal(images.train.tensors[0].numpy()[:, 0], x[:40])
    assert images.test.tensors[1].tolist() == y[40:].tolist() and images.classes == [str(i) for i in range(10)]
    idx_folder(tmp_path, 30, "train")
    assert [len(part) for part in data.load_images(tmp_path)[:2]] == [30, 50]


def test_class_folders(tmp_path):
    class_folders(tmp_path / "one")
    images = data.load_images(tmp_path / "one")
    assert images.classes == ["cat", "dog"] and len(images.train) == 8 and len(images.test) == 2
    both = np.concatenate([part.tensors[0].numpy()[:, :, 0, 0] for part in images[:2]])
    labels = np.concatenate([part.tensors[1].numpy() for part in images[:2]])
    assert (both[:, 0] == labels * 255).all() and (both[:, 2] == 51).all() and sorted(both[:, 1].tolist()) == sorted(list(range(5)) * 2)
    assert [len(part) for part in data.load_images(tmp_path / "one", limit=5)[:2]] == [4, 1]
    for split in ("train", "test"):
        class_folders(tmp_path / "two" / split, count=2 if split == "test" else 3)
    images = data.load_images(tmp_path / "two", size=4, mode="L")
    assert images.train.tensors[0].shape == (6, 1, 4, 4) and images.test.tensors[0].shape == (4, 1, 4, 4)


def test_cifar_files(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    records = b"".join(bytes([i]) + image.tobytes() for i, image in enumerate(x))
    for name in ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"):
        (tmp_path / name).write_bytes(records)
    (tmp_path / "batches.meta.txt").write_text("\n".join("abcdefghij"))
    images = data.load_images(tmp_path)
    assert images.train.tensors[0].shape == (8, 3, 32, 32) and images.classes == list("abcdefghij")
    np.testing.assert_array_equal(images.test.tensors[0].numpy(), x)


def test_data_that_does_not_fit(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

    def fails(text, folder, **options):
        with pytest.raises(ValueError, match=text):
            data.load_images(folder, **options)

    fails(r"\[load_images\] .*nowhere is not a folder", tmp_path / "nowhere")
    fails("size must be positive", None, size=0)
    fails("mode must be 'L' or 'RGB', got 'CMYK'", None, mode="CMYK")
    fails("limit must be at least 2", None, limit=1)
    class_folders(tmp_path / "a")
    (tmp_path / "a" / "empty").mkdir()
    fails(r"empty holds no image", tmp_path / "a")
    (tmp_path / "a" / "empty").rmdir()
    (tmp_path / "a" / "dog" / "1.png").write_text("no image")
    fails(r"1\.png: not a readable image", tmp_path / "a")
    image.new("RGB", (9, 8)).save(tmp_path / "a" / "dog" / "1.png")
    fails(r"1\.png: must have \(8, 8\), the size of the first image, got \(8, 9\): give a size", tmp_path / "a")
    class_folders(tmp_path / "one", classes=("cat",))
    fails("must hold at least two classes, got cat", tmp_path / "one")
    class_folders(tmp_path / "two" / "train")
    class_folders(tmp_path / "two" / "test", classes=("cat", "cow"))
    fails(r"train and test must have the same classes, got \['cat', 'dog'\] and \['cat', 'cow'\]", tmp_path / "two")
    (tmp_path / "idx").mkdir()
    idx_folder(tmp_path / "idx", 4, "train", [0, 1, 1, 0])
    idx_folder(tmp_path / "idx", 3, "t10k", [0, 2, 1])
    fails(r"labels must be in \[0, 2\), got 2 for image 1", tmp_path / "idx")
    idx_folder(tmp_path / "idx", 3, "t10k", [0, 1, 1], size=20)
    fails(r"train and test must have one shape, got \(1, 28, 28\) and \(1, 20, 20\)", tmp_path / "idx")


def test_loaders_normalise_and_augment():
    images = data.load_images()
    mean, std = images.moments()
    x = images.train.tensors[0].numpy() / 255
    np.testing.assert_allclose([mean[0], std[0]], [x.mean(), x.std()], rtol=1e-6)
    train, test = images.loaders(100, [T.RandomHorizontalFlip(p=1)], drop_last=True)
    assert len(train) == 14 and sum(len(y) for _, y in test) == 360
    seen = next(iter(test))[0].numpy()
    np.testing.assert_allclose(seen, (images.test.tensors[0].numpy()[: len(seen)] / 255 - mean[0]) / std[0], atol=1e-5)
    flat, _ = images.loaders(1437, [T.RandomHorizontalFlip(p=1)], scale=([0.0], [1.0]))
    np.testing.assert_allclose(next(iter(flat))[0].numpy().sum((0, 1, 2)), x.sum((0, 1, 2))[::-1], rtol=1e-4)


def test_read_like(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    images = data.load_images()
    told = images.describe()
    first = images.test.tensors[0].numpy()[0]
    image.fromarray(first[0]).save(tmp_path / "dark.png")
    image.fromarray(255 - first[0]).save(tmp_path / "light.png")
    np.save(tmp_path / "array.npy", first)
    wanted = next(iter(images.loaders(1)[1]))[0].numpy()[:1]
    for name in ("dark.png", "light.png", "array.npy"):
        np.testing.assert_allclose(data.read_like(tmp_path / name, told).numpy(), wanted, atol=1e-5)
    np.save(tmp_path / "small.npy", np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"small\.npy: must have shape \(1, 8, 8\), got \(1, 2, 2\)"):
        data.read_like(tmp_path / "small.npy", told)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png: not a readable image"):
        data.read_like(tmp_path / "text.png", told)


# ---- scenes ---------------------------------------------------------------------------------------------------------
def test_scenes_boxes_and_masks_agree():
    scenes = data.Scenes(*data.digits().tensors, length=20, size=64, objects=(1, 3), extent=(12, 24))
    counts = set()
    for picture, target in scenes:
        boxes, labels, mask = (target[k].numpy() for k in ("boxes", "labels", "mask"))
        counts.add(len(labels))
        assert picture.shape == (3, 64, 64) and 0 <= picture.min().item() and picture.max().item() <= 1
        left = mask.copy()
        for (x1, y1, x2, y2), label in zip(np.rint(boxes * 64).astype(int), labels, strict=True):
            inside = mask[y1:y2, x1:x2] == label + 1
            assert inside.any(0)[[0, -1]].all() and inside.any(1)[[0, -1]].all()  # the box is tight
            left[y1:y2, x1:x2][inside] = 0
        assert not left.any()  # and nothing lies outside of all boxes
    assert counts == {1, 2, 3}


def test_scenes_are_a_function_of_seed_and_index():
    make = lambda **options: data.Scenes(*data.digits().tensors, length=5, **options)  # noqa: E731
    assert (make()[3][0] == make()[3][0]).all() and not (make()[3][0] == make(seed=1)[3][0]).all()
    pictures, targets = make().batch([3, 1])
    assert (pictures[1] == make()[1][0]).all() and (targets[0]["boxes"] == make()[3][1]["boxes"]).all()
    _, masks = make(target="mask").batch([3, 1])
    assert masks.shape == (2, 96, 96) and (masks[0] == make()[3][1]["mask"]).all()
    assert (make()[-1][0] == make()[4][0]).all()
    with pytest.raises(IndexError, match=r"index must be in \[-5, 5\), got 5"):
        make()[5]
    with pytest.raises(ValueError, match="target must be 'boxes' or 'mask', got 'text'"):
        make(target="text")
    with pytest.raises(ValueError, match=r"got \(2, 1\) and \(20, 40\)"):
        make(objects=(2, 1))
    with pytest.raises(ValueError, match=r"images and labels must have shapes \(N, 1, h, w\) and \(N,\), got \(4, 3, 8, 8\) and \(4,\)"):
        data.Scenes(np.zeros((4, 3, 8, 8)), np.zeros(4))


def test_captioned_digits():
    x, y = data.digits().tensors
    items = data.CaptionedDigits(x, y, without=["red three"])
    assert len(items) == 1437 and len(items.captions) == 60
    for i in range(40):
        picture, words, number = items[i]
        colour, name = words.split()
        assert items.captions[number] == words and data.scenes.DIGITS.index(name) == y[i].item() == number % 10
        shade = np.array(data.scenes.COLOURS[colour]) / 255
        np.testing.assert_allclose(picture.max((1, 2)), shade * x[i].max().item(), rtol=1e-5)
    assert "red three" not in {items[i][1] for i in range(len(items))}
    with pytest.raises(ValueError, match="without must be words such as 'red zero', got 'pink three'"):
        data.CaptionedDigits(x, y, without=["pink three"])
    with pytest.raises(ValueError, match="labels be"):
        data.CaptionedDigits(x, y + 1)


REAL = Path(os.environ.get("LAMELLA_DATA", "no-data"))
real = pytest.mark.skipif(not (REAL / "mnist").is_dir(), reason="LAMELLA_DATA names no folder with the real data")


@real
def test_mnist_as_it_lies_there():
    images = data.load_images(REAL / "mnist")
    assert [len(part) for part in images[:2]] == [8000, 2000] and images.train.tensors[0].shape[1:] == (1, 28, 28)
