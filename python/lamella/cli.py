# SPDX-License-Identifier: MIT
"""The command `lamella`: demo, train, predict, models, info. Bad input gives one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__, _core

EXTRAS = ("rich", "matplotlib", "PIL")


class UsageError(Exception):
    """What the user can mend: printed without a traceback."""


# ---- data ------------------------------------------------------------------------------------------------------------
def _digits() -> tuple[Any, Any]:
    from .data.digits import digits

    def arrays(split: str) -> tuple[np.ndarray, np.ndarray]:
        images, labels = digits(split).tensors
        return images.numpy(), labels.numpy()

    return arrays("train"), arrays("test")


def _mnist(folder: str) -> tuple[Any, Any]:
    from .data.idx import read_idx_pair

    def arrays(split: str) -> tuple[np.ndarray, np.ndarray]:
        images, labels = read_idx_pair(folder, split)
        return np.divide(images[:, None], 255, dtype=np.float32), labels.astype(np.int64)

    if not Path(folder).is_dir():
        raise UsageError(f"--data must be a folder with IDX files, got {folder}")
    has_train = any(Path(folder).glob("train-images*"))
    test = arrays("t10k") if any(Path(folder).glob("t10k-images*")) or not has_train else None
    if has_train:
        train = arrays("train")
        if test is None:
            cut = len(train[0]) * 5 // 6
            train, test = (train[0][:cut], train[1][:cut]), (train[0][cut:], train[1][cut:])
        return train, test
    cut = len(test[0]) * 4 // 5  # the 10,000 test digits alone: 8,000 to train, 2,000 held out
    return (test[0][:cut], test[1][:cut]), (test[0][cut:], test[1][cut:])


def _decode(folder: Path, size: int, limit: int | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """All images of class folders as uint8 (N, 3, size, size), labels, class names; decoded by several threads."""
    from concurrent.futures import ThreadPoolExecutor

    from .data.image_folder import ImageFolder, read_image

    found = ImageFolder(folder)
    samples = found.samples
    if limit is not None and limit < len(samples):
        samples = [samples[i] for i in np.linspace(0, len(samples) - 1, limit).astype(int)]
    images = np.empty((len(samples), 3, size, size), np.uint8)

    def one(i: int) -> None:
        images[i] = read_image(samples[i][0], (size, size), "RGB")

    with ThreadPoolExecutor(max(2, _core.available_cpus())) as pool:
        list(pool.map(one, range(len(samples))))
    return images, np.array([label for _, label in samples], np.int64), found.classes


def _images(folder: str, size: int, limit: int | None) -> tuple[Any, Any, list[str]]:
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"--data must be a folder of class folders, got {folder}")
    if (root / "train").is_dir() and (root / "test").is_dir():
        x, y, classes = _decode(root / "train", size, limit)
        tx, ty, other = _decode(root / "test", size, None if limit is None else max(1, limit // 5))
        if classes != other:
            raise UsageError(f"--data must have the same classes in train and test, got {classes} and {other}")
    else:
        x, y, classes = _decode(root, size, limit)
        from .data.sampler import permutation

        order = permutation(len(x), 0, 0)
        held = max(1, len(x) // 5)
        x, y, tx, ty = x[order[:-held]], y[order[:-held]], x[order[-held:]], y[order[-held:]]
    if len(x) < 2 or len(classes) < 2:
        raise UsageError(f"--data must hold at least two classes with images, got {len(classes)} with {len(x)}")
    scale = [np.divide(a, 255, dtype=np.float32) for a in (x, tx)]
    return (scale[0], y), (scale[1], ty), classes


# ---- commands --------------------------------------------------------------------------------------------------------
def _run(args: Any, train: Any, test: Any, recipe: Any, augment: Any) -> int:
    """Trains, evaluates, writes checkpoint, CSV and pictures."""
    import lamella

    from .train import fit, predict, progress_for, save_checkpoint, write_report

    out = Path(args.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out must be a folder that can be written, got {out}: {error.strerror}") from None
    lamella.manual_seed(args.seed)
    model = recipe.build()

    def prepare(pair: Any) -> Any:
        return (pair[0] - np.float32(recipe.mean)) / np.float32(recipe.std), pair[1]

    print(f"{len(train[0])} images to train, {len(test[0])} held out, seed {args.seed}, {_core.num_threads()} threads")
    begun = time.perf_counter()
    try:
        history = fit(
            model,
            prepare(train),
            prepare(test),
            epochs=args.epochs,
            batch=args.batch,
            lr=args.lr,
            seed=args.seed,
            augment=augment,
            progress=progress_for(args.quiet),
        )
    except KeyboardInterrupt:
        save_checkpoint(out / "model.safetensors", model, recipe)
        print(f"\nstopped; the model so far is in {out / 'model.safetensors'}", file=sys.stderr)
        return 130
    seconds = time.perf_counter() - begun
    save_checkpoint(out / "model.safetensors", model, recipe)
    probabilities = predict(model, prepare(test)[0])
    files = write_report(out, history.rows, test, test[0], probabilities, recipe.classes)
    print(f"held-out accuracy {history.accuracy:.2%} after {args.epochs} epochs, {seconds:.1f} s")
    print(f"wrote {', '.join(str(out / f) for f in ['model.safetensors', *files])}")
    if len(files) == 1:
        print("no pictures: matplotlib is missing; pip install 'lamella[demo]'")
    return 0


def _shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from .train.loop import shift

    return shift(images, rng, 1)


def _flipped(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from .train.loop import flip, shift

    return shift(flip(images, rng), rng, 2)


def _moments(images: np.ndarray) -> tuple[float, float]:
    return float(images.mean(dtype=np.float64)), float(images.std(dtype=np.float64)) or 1.0


def demo(args: Any) -> int:
    from .train import Recipe

    train, test = _digits()
    mean, std = _moments(train[0])
    recipe = Recipe("small_lenet", [str(d) for d in range(10)], 1, 8, mean, std, dark_on_light=True)
    return _run(args, train, test, recipe, _shifted)


def train_mnist(args: Any) -> int:
    from .train import Recipe

    train, test = _mnist(args.data)
    if train[0].shape[1:] != (1, 28, 28):
        raise UsageError(f"--data must hold images of 28 x 28, got {train[0].shape[2]} x {train[0].shape[3]}")
    mean, std = _moments(train[0])
    recipe = Recipe("lenet5", [str(d) for d in range(10)], 1, 28, mean, std, dark_on_light=True)
    return _run(args, train, test, recipe, _shifted)


def train_images(args: Any) -> int:
    from .train import Recipe

    if args.size < 8:
        raise UsageError(f"--size must be at least 8, got {args.size}")
    train, test, classes = _images(args.data, args.size, args.limit)
    mean, std = _moments(train[0])
    return _run(args, train, test, Recipe("conv_net", classes, 3, args.size, mean, std), _flipped)


def _load_image(path: str, recipe: Any) -> np.ndarray:
    """One file as (channels, size, size) in [0, 1], as the model was trained."""
    from .data.image_folder import read_image

    if path.endswith(".npy"):
        array = np.load(path, allow_pickle=False)
        if array.ndim == 2 and recipe.channels == 1:
            array = array[None]
        if array.shape != (recipe.channels, recipe.size, recipe.size):
            raise UsageError(
                f"{path} must have shape ({recipe.channels}, {recipe.size}, {recipe.size}), got {array.shape}"
            )
        return array.astype(np.float32) / (255 if array.dtype == np.uint8 else 1)
    image = read_image(path, (recipe.size, recipe.size), "L" if recipe.channels == 1 else "RGB")
    image = np.divide(image.reshape(recipe.channels, recipe.size, recipe.size), 255, dtype=np.float32)
    # Digits were trained as light strokes on black: a mostly light picture is turned around.
    return 1 - image if recipe.dark_on_light and image.mean() > 0.5 else image


def predict_files(args: Any) -> int:
    from .train import load_checkpoint, predict

    model, recipe = load_checkpoint(args.checkpoint)
    images = np.stack([_load_image(path, recipe) for path in args.files])
    probabilities = predict(model, (images - np.float32(recipe.mean)) / np.float32(recipe.std))
    for path, p in zip(args.files, probabilities, strict=True):
        print(f"{path}\t{recipe.classes[int(p.argmax())]}\t{p.max():.4f}")
    return 0


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()


def info(args: Any) -> int:
    import importlib.util

    import lamella

    memory = _core.memory_stats()
    extras = [f"{name} {'yes' if importlib.util.find_spec(name) else 'no'}" for name in EXTRAS]
    rows = {
        "lamella": __version__,
        "processor": _cpu_name(),
        "isa": f"{_core.active_isa()} (of {', '.join(_core.isas())})",
        "threads": f"{_core.num_threads()} (of {_core.available_cpus()} processors)",
        "devices": "cpu",
        "memory": f"{memory['allocated'] >> 20} MiB in use, {memory['cached'] >> 20} MiB cached, "
        f"{'no limit' if not memory['limit'] else str(memory['limit'] >> 20) + ' MiB limit'}",
        "extras": ", ".join(extras),
        "float32 peak": f"{_core.measure_fma(lamella.float32) / 1e9:.0f} GFLOP/s",
        "memory peak": f"{_core.measure_triad() / 1e9:.1f} GB/s",
    }
    for name, value in rows.items():
        print(f"{name:14}{value}")
    return 0


def list_models(args: Any) -> int:
    """The models by name, or all layers of one, as they come from `models.create` without options."""
    import fnmatch

    from . import models
    from .train import summary

    wanted = args.names or ["*"]
    chosen = [name for name in models.names() if any(fnmatch.fnmatch(name, pattern) for pattern in wanted)]
    if not chosen:
        raise UsageError(f"NAME must match one of {', '.join(models.names())}, got {' '.join(wanted)}")
    if len(chosen) > 1:
        print(f"{'model':34}{'parameters':>14}{'MFLOPs':>12}{'weights':>13}{'activations':>14}   input")
    for name in chosen:
        with models.uninitialised():
            model = models.create(name)
        inputs = models.example(name)
        found = summary(model, *inputs)
        if len(chosen) == 1:
            print(found)
            break
        shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
        sizes = f"{found.parameter_bytes / 2**20:9.1f} MiB{found.activation_bytes / 2**20:10.1f} MiB"
        print(f"{name:34}{found.parameters:>14,}{found.flops / 1e6:>12,.2f}{sizes}   {shapes}", flush=True)
    return 0


# ---- arguments -------------------------------------------------------------------------------------------------------
def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _training(parser: argparse.ArgumentParser, job: str, epochs: int, lr: float, batch: int) -> None:
    parser.add_argument("--out", default=f"lamella-runs/{job}", help="folder for checkpoint, curve and pictures")
    parser.add_argument("--epochs", type=_positive, default=epochs)
    parser.add_argument("--batch", type=_positive, default=batch)
    parser.add_argument("--lr", type=float, default=lr, help="peak learning rate of the one-cycle schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=_positive, default=None, help="results do not depend on it")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _parser() -> argparse.ArgumentParser:
    show = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser("lamella", description="A deep-learning tensor engine: train and use models.")
    parser.add_argument("--version", action="version", version=f"lamella {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    p = commands.add_parser("demo", help="train a LeNet on the embedded UCI digits", formatter_class=show)
    _training(p, "demo", 25, 4e-3, 64)
    p.set_defaults(run=demo)
    jobs = commands.add_parser("train", help="train on your data").add_subparsers(required=True, metavar="JOB")
    p = jobs.add_parser("mnist", help="digits from IDX files (.gz or not)", formatter_class=show)
    p.add_argument("--data", required=True, metavar="DIR", help="folder with train-images-idx3-ubyte, ... or t10k-...")
    _training(p, "mnist", 8, 4e-3, 64)
    p.set_defaults(run=train_mnist)
    p = jobs.add_parser("images", help="JPEG or PNG in one folder per class", formatter_class=show)
    p.add_argument("--data", required=True, metavar="DIR", help="class folders, or train/ and test/ with class folders")
    p.add_argument("--size", type=_positive, default=32, help="images are scaled to this many pixels square")
    p.add_argument("--limit", type=_positive, default=None, help="use at most this many images")
    _training(p, "images", 5, 4e-3, 64)
    p.set_defaults(run=train_images)
    p = commands.add_parser("predict", help="what a checkpoint sees in images")
    p.add_argument("checkpoint")
    p.add_argument("files", nargs="+", metavar="FILE", help="JPEG, PNG or .npy")
    p.set_defaults(run=predict_files)
    p = commands.add_parser("models", help="all models: parameters, FLOPs, memory; or the layers of one")
    p.add_argument("names", nargs="*", metavar="NAME", help="a name, or a pattern such as 'vgg*'")
    p.set_defaults(run=list_models)
    p = commands.add_parser("info", help="version, ISA, threads, memory, measured peaks")
    p.set_defaults(run=info)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 2 for bad input, 130 when interrupted."""
    args = _parser().parse_args(argv)
    try:
        if getattr(args, "threads", None):
            _core.set_num_threads(args.threads)
        return args.run(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UsageError, ValueError, OSError, MemoryError, ImportError) as error:
        print(f"lamella: {error}", file=sys.stderr)
        return 2
