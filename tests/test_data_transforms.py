# SPDX-License-Identifier: MIT
"""Transforms of images, on Tensors and, where it is installed, Pillow's images; and every docstring's example."""

import colorsys

import numpy as np
import pytest

import lamella
from lamella import data
from lamella.data import transforms as T


def image(h=9, w=7, c=3, dtype=lamella.uint8, seed=0):
    x = np.random.default_rng(seed).integers(0, 256, (c, h, w), np.uint8)
    x = lamella.from_numpy(x)
    return x if dtype is lamella.uint8 else x.to(dtype) / 255


def pil(x):
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    return T.ToPILImage()(x)


def smooth(h=24, w=20):
    """uint8 without noise, so that filters which differ in rounding stay near."""
    y, x = np.mgrid[:h, :w]
    return lamella.from_numpy(np.stack([127 + 100 * np.sin(x / 5 + c) * np.cos(y / 6) for c in range(3)]).astype(np.uint8))


def far(a, b):
    """The greatest difference of two uint8 images."""
    a, b = (T.ToImage()(v).numpy().astype(int) for v in (a, b))
    assert a.shape == b.shape
    return int(np.abs(a - b).max())


# ---- values ---------------------------------------------------------------------------------------------------------
def test_conversions():
    x = image()
    hwc = x.numpy().transpose(1, 2, 0)
    assert lamella.equal(T.ToImage()(hwc), x) and lamella.equal(T.ToImage()(pil(x)), x)
    scaled = T.ToTensor()(hwc)
    np.testing.assert_array_equal(scaled.numpy(), x.numpy() / np.float32(255))
    assert lamella.equal(T.ConvertImageDtype()(x), scaled) and lamella.equal(T.ToTensor()(x), scaled)
    every = lamella.arange(256, dtype=lamella.uint8).reshape(1, 16, 16)
    back = T.ToDtype(lamella.uint8, scale=True)(T.ToDtype(lamella.float32, scale=True)(every))
    assert lamella.equal(back, every) and far(T.ToPILImage()(T.ToTensor()(every)), every) == 0
    assert T.ToDtype(lamella.float16)(x).max().item() > 1
    assert T.ToTensor()(np.zeros((4, 5), np.float64)).shape == (1, 4, 5)
    with pytest.raises(TypeError, match=r"\[ToTensor\] input must be a Pillow image, an array or a Tensor, got str"):
        T.ToTensor()("x.jpg")
    with pytest.raises(ValueError, match=r"\[to_pil\] pixels must be uint8 \(1, 3 or 4, rows, cols\), got uint8 \(2, 3, 3\)"):
        T.ToPILImage()(image(3, 3, 2))


def test_normalize():
    x = image(dtype=lamella.float32)
    y = T.Normalize([0.1, 0.2, 0.3], [0.5, 0.25, 1])(x)
    expected = (x.numpy() - np.float32([0.1, 0.2, 0.3])[:, None, None]) / np.float32([0.5, 0.25, 1])[:, None, None]
    np.testing.assert_array_equal(y.numpy(), expected)
    assert lamella.equal(T.EachImage(T.Normalize(0.5, 2.0))(x[None])[0], (x - 0.5) / 2)
    for text, call in {
        r"mean must have one value or one per channel \(3\), got 2": lambda: T.Normalize([0, 0], 1.0)(x),
        r"std must be positive numbers": lambda: T.Normalize(0.0, [1, 0]),
    }.items():
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(TypeError, match="put ToTensor before it"):
        T.Normalize(0.0, 1.0)(image())


def test_grayscale_and_hue():
    x = image()
    gray = T.Grayscale(3)(x)
    luma = np.tensordot([0.2989, 0.587, 0.114], x.numpy().astype(float), 1)
    assert gray.shape == x.shape and np.abs(gray.numpy()[2] - luma).max() <= 1
    assert far(T.Grayscale()(pil(x)), T.Grayscale()(x)) <= 1
    assert T.RandomGrayscale(1)(x).shape == x.shape and lamella.equal(T.RandomGrayscale(0)(x), x)
    turned = T.ColorJitter(hue=(0.3, 0.3))(image(dtype=lamella.float64)).numpy()
    source = image(dtype=lamella.float64).numpy()
    for i, j in ((0, 0), (3, 5), (8, 6)):
        h, s, v = colorsys.rgb_to_hsv(*source[:, i, j])
        np.testing.assert_allclose(turned[:, i, j], colorsys.hsv_to_rgb((h + 0.3) % 1, s, v), atol=1e-6)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_jitter_as_pillow_does_it(name):
    for factor in (0.3, 1.7):
        jitter = T.ColorJitter(**{name: (factor, factor)})
        assert far(jitter(image()), jitter(pil(image()))) <= 2
        assert lamella.equal(T.ColorJitter(**{name: (1, 1)})(image()), image())
    assert far(T.ColorJitter(hue=(0.25, 0.25))(smooth()), T.ColorJitter(hue=(0.25, 0.25))(pil(smooth()))) <= 8
    with pytest.raises(ValueError, match=r"hue must be within \[-0\.5, 0\.5\]|hue must be \(least, greatest\)"):
        T.ColorJitter(hue=0.6)
    with pytest.raises(ValueError, match="image must have 1 or 3 channels, got 4"):
        T.ColorJitter(0.5)(image(c=4))


def test_random_erasing():
    x = image(32, 32, dtype=lamella.float32) + 1
    y = T.RandomErasing(p=1, scale=(0.1, 0.2), value=0)(x)
    gone = (y == 0).numpy()
    rows, cols = (np.flatnonzero(gone[0].any(a)) for a in (1, 0))
    assert 0.08 < gone[0].mean() < 0.22 and gone[0].sum() == len(rows) * len(cols) == (np.ptp(rows) + 1) * (np.ptp(cols) + 1)
    assert (gone == gone[0]).all() and T.RandomErasing(p=0)(x) is x
    assert T.RandomErasing(p=1, value="random")(x).numpy().std() > x.numpy().std()
    with pytest.raises(ValueError, match=r"value must be a number or one per channel \(3\), got 2"):
        T.RandomErasing(p=1, value=[1, 2])(x)


# ---- places ---------------------------------------------------------------------------------------------------------
def test_resize():
    x = smooth()
    assert T.Resize(12)(x).shape == (3, 14, 12) and T.Resize(12)(pil(x)).size == (12, 14)
    assert T.Resize(16, max_size=17)(x).shape == (3, 17, 14)
    for size in ((12, 10), (7, 31), (48, 40)):
        for mode in ("bilinear", T.InterpolationMode.BICUBIC):
            assert far(T.Resize(size, mode)(x), T.Resize(size, mode)(pil(x))) <= (1 if mode == "bilinear" else 6)
    assert far(T.Resize((7, 31), "nearest")(x), T.Resize((7, 31), "nearest")(pil(x))) == 0
    batch = T.Resize((5, 6))(lamella.stack([x, x]))
    assert batch.shape == (2, 3, 5, 6) and lamella.equal(batch[0], T.Resize((5, 6))(x))
    for text, call in {
        r"size must be one or two positive integers, got 0": lambda: T.Resize(0),
        r"interpolation must be 'nearest', 'bilinear' or 'bicubic', got 'cubic'": lambda: T.Resize(4, "cubic"),
        r"max_size must be above the one size given": lambda: T.Resize(8, max_size=8),
    }.items():
        with pytest.raises(ValueError, match=text):
            call()


def test_crops_and_padding():
    x = image()
    assert lamella.equal(T.CenterCrop(5)(x), x[:, 2:7, 1:6])
    assert far(T.CenterCrop((12, 3))(x), T.CenterCrop((12, 3))(pil(x))) == 0
    padded = T.Pad((1, 2, 3, 4), fill=9)(x)
    assert padded.shape == (3, 15, 11) and padded[0, 0, 0].item() == 9 and lamella.equal(padded[:, 2:11, 1:8], x)
    assert far(padded, T.Pad((1, 2, 3, 4), fill=9)(pil(x))) == 0
    reflected = T.Pad(2, padding_mode="reflect")
    assert lamella.equal(reflected(x)[:, 0, 2:9], x[:, 2]) and far(reflected(x), reflected(pil(x))) == 0
    places = set()
    for _ in range(40):
        crop = T.RandomCrop(8, padding=1)(x)
        assert crop.shape == (3, 8, 8)
        places.add(crop.numpy().tobytes())
    assert len(places) == 8  # 4 rows x 2 columns
    assert T.RandomCrop(12, pad_if_needed=True)(x).shape == (3, 12, 12)
    with pytest.raises(ValueError, match=r"image must be at least \(10, 10\), got \(9, 7\): give pad_if_needed"):
        T.RandomCrop(10)(x)
    with pytest.raises(ValueError, match="padding must be 1, 2 or 4 integers"):
        T.Pad((1, 2, 3))


def test_random_resized_crop():
    ramp = lamella.arange(64).reshape(1, 1, 64).repeat(1, 32, 1).to(lamella.float32)
    widths = []
    for _ in range(50):
        y = T.RandomResizedCrop(16, scale=(0.2, 0.6))(ramp)
        assert y.shape == (1, 16, 16)
        widths.append((y.max() - y.min()).item())
    assert max(widths) < 52 and min(widths) < 25  # of 64 columns: up to sqrt(0.6 * 2048 * 4 / 3) = 40.5
    tall = T.RandomResizedCrop((4, 4), scale=(1, 1), ratio=(1, 1))(ramp)  # nothing fits: the middle square
    assert 16 < tall.min().item() < 24 and 40 < tall.max().item() < 48
    assert T.RandomResizedCrop((5, 6))(pil(image())).size == (6, 5)


def test_flips_and_rotation():
    x = image()
    assert lamella.equal(T.RandomHorizontalFlip(1)(x), x.flip(-1)) and T.RandomHorizontalFlip(0)(x) is x
    assert far(T.RandomVerticalFlip(1)(x), T.RandomVerticalFlip(1)(pil(x))) == 0
    square = image(8, 8)
    turned = T.RandomRotation((90, 90))(square)
    np.testing.assert_array_equal(turned.numpy(), np.rot90(square.numpy(), 1, (1, 2)))
    wide = T.RandomRotation((90, 90), expand=True)(x)
    np.testing.assert_array_equal(wide.numpy(), np.rot90(x.numpy(), 1, (1, 2)))
    assert far(wide, pil(x).rotate(90, expand=True)) == 0
    for angle in (17, -140):
        for mode in ("nearest", "bilinear"):
            made = T.RandomRotation((angle, angle), mode, expand=True, fill=(1, 2, 3))(smooth())
            other = T.RandomRotation((angle, angle), mode, expand=True, fill=(1, 2, 3))(pil(smooth()))
            wrong = np.abs(made.numpy().astype(int) - T.ToImage()(other).numpy()).max(0) > 2
            assert wrong.mean() < 0.02  # places that fall on the other side of an edge
    for text, call in {
        "degrees must not be negative": lambda: T.RandomRotation(-1),
        r"fill must be a number or one per channel \(3\), got \(1, 2\)": lambda: T.RandomRotation(9, fill=(1, 2))(x),
        r"p must be in \[0, 1\], got 2": lambda: T.RandomHorizontalFlip(2),
        "must be 'nearest' or 'bilinear', got 'bicubic'": lambda: T.RandomRotation(9, "bicubic"),
    }.items():
        with pytest.raises(ValueError, match=text):
            call()


def test_random_affine():
    x = image(10, 10)
    assert lamella.equal(T.RandomAffine(0)(x), x)
    seen = set()
    for _ in range(200):
        y = T.RandomAffine(0, translate=(0.1, 0.2))(x)
        seen.update(
            (i, j) for i in range(-2, 3) for j in (-1, 0, 1)
            if lamella.equal(y[:, 2 + i : 8 + i, 1 + j : 9 + j], x[:, 2:8, 1:9])
        )  # fmt: skip
    assert len(seen) == 15
    double = T.RandomAffine(0, scale=(2, 2), interpolation="bilinear")(lamella.ones(1, 8, 8))
    assert double.min().item() == 1
    quarter = T.RandomAffine((90, 90))(x)  # clockwise
    np.testing.assert_array_equal(quarter.numpy(), np.rot90(x.numpy(), -1, (1, 2)))
    for shear in ((15, 15), (9, 10, -12, -9)):
        made = T.RandomAffine(0, shear=shear, fill=7)(x)
        assert made.shape == x.shape and not lamella.equal(made, x)
    with pytest.raises(ValueError, match=r"translate must be two shares in \[0, 1\], got \(2, 0\)"):
        T.RandomAffine(0, translate=(2, 0))


# ---- several at a time ----------------------------------------------------------------------------------------------
def test_choosing():
    add, double = T.Lambda(lambda x: x + 1), T.Lambda(lambda x: x * 2)
    x = lamella.ones(1, 1, 1)
    assert {T.RandomOrder([add, double])(x).item() for _ in range(30)} == {3, 4}
    assert {T.RandomChoice([add, double], p=[0, 1])(x).item() for _ in range(9)} == {2}
    assert {T.RandomApply([add, add])(x).item() for _ in range(30)} == {1, 3}
    assert T.Compose([add, double])((x, "label"))[1] == "label" and T.Compose([add])(x, 5)[1] == 5
    with pytest.raises(ValueError, match=r"\[Compose\] transforms must not be empty"):
        T.Compose([])
    with pytest.raises(ValueError, match="p must be 1 weights"):
        T.RandomChoice([add], p=[1, 2])
    with pytest.raises(ValueError, match=r"\[CenterCrop\] input must be \(\.\.\., C, H, W\), got \(3, 3\)"):
        T.CenterCrop(2)(lamella.ones(3, 3))
    with pytest.raises(TypeError, match=r"\[Resize\] input must be a Tensor .* or a Pillow image, got list"):
        T.Resize(4)(([1], 0))


AUGMENT = T.Compose(
    [T.RandomCrop(8, padding=2), T.RandomHorizontalFlip(), T.RandomRotation(20), T.ToTensor(), T.Normalize(0.5, 0.5),
     T.RandomErasing()]
)  # fmt: skip


def test_each_image_has_its_own():
    x = image(8, 8)
    batch = T.EachImage(AUGMENT)(lamella.stack([x] * 32))
    assert batch.shape == (32, 3, 8, 8) and len({y.numpy().tobytes() for y in batch}) > 28
    alike = AUGMENT(lamella.stack([x] * 4))
    assert all(lamella.equal(alike[0], y) for y in alike)
    flipped = T.EachImage(T.RandomHorizontalFlip())(lamella.stack([x] * 200))
    share = np.mean([lamella.equal(y, x.flip(-1)) for y in flipped])
    assert 0.35 < share < 0.65
    with pytest.raises(ValueError, match=r"must be a batch \(N, C, H, W\)"):
        T.EachImage(AUGMENT)(x)


class Images(data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, i):
        return AUGMENT(image(8, 8, seed=i)), i % 3


def test_augmentation_does_not_depend_on_workers():
    def batches(**how):
        mix = T.RandomChoice([T.MixUp(num_classes=3), T.CutMix(num_classes=3)])
        loader = data.DataLoader(Images(), 4, shuffle=True, generator=1, batch_transform=Both(mix), **how)
        return [[part.numpy().tobytes() for part in batch] for batch in loader]

    expected = batches()
    assert batches(num_workers=2) == expected == batches(num_workers=2, workers="process")
    lamella.manual_seed(1)
    first = AUGMENT(image())
    lamella.manual_seed(1)
    assert lamella.equal(first, AUGMENT(image()))


class Both:
    def __init__(self, mix):
        self.mix = mix

    def __call__(self, batch):
        return self.mix.transforms[self.mix.chosen(data.sample_generator())[0]](batch)


def test_mixing():
    x = lamella.stack([lamella.full((1, 10, 10), float(i)) for i in range(4)])
    y = lamella.arange(4)
    mixed, shares = T.MixUp(alpha=0.4, num_classes=5)([x, y])
    lam = shares[1, 1].item()
    assert shares.shape == (4, 5) and abs(shares[1, 0].item() - (1 - lam)) < 1e-6
    np.testing.assert_allclose(mixed[:, 0, 0, 0].numpy(), [i * lam + (i - 1) % 4 * (1 - lam) for i in range(4)], rtol=1e-5)
    cut, shares = T.CutMix(num_classes=4)(x, y)
    np.testing.assert_allclose((cut[1] == 1).float().mean().item(), shares[1, 1].item(), atol=1e-6)
    soft = T.MixUp()((x, shares))[1]
    np.testing.assert_allclose(soft.numpy().sum(1), 1, rtol=1e-6)
    for text, call in {
        r"labels must be in \[0, 3\), got 3": lambda: T.MixUp(num_classes=3)(x, y),
        "num_classes must be given": lambda: T.MixUp()(x, y),
        r"labels must be 4 class indices": lambda: T.CutMix(num_classes=3)(x, y[:2]),
        "alpha must be positive": lambda: T.MixUp(alpha=0),
    }.items():
        with pytest.raises(ValueError, match=text):
            call()
