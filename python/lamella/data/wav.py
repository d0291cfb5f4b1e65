# SPDX-License-Identifier: MIT
"""WAV files: PCM of 8, 16, 24 and 32 bits, floats of 32 and 64, read here; other sound formats through soundfile."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import Dataset

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


def _chunks(path: str, data: bytes) -> tuple[bytes, memoryview]:
    """The chunks "fmt " and "data" of a RIFF file."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError(f"[read_wav] {path}: not a WAV file: it begins with {data[:4].hex(' ') or 'nothing'}")
    form, at, view = None, 12, memoryview(data)
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name == b"fmt ":
            form = data[at + 8 : at + 8 + size]
        elif name == b"data":
            if form is None or len(form) < 16:
                raise ValueError(f"[read_wav] {path}: the chunk 'fmt ' is missing or cut short")
            if at + 8 + size > len(data) and size < 0xFFFFF000:  # writers to a pipe leave the size at its most
                raise ValueError(f"[read_wav] {path}: truncated: {size} bytes of sound, got {len(data) - at - 8}")
            return form, view[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise ValueError(f"[read_wav] {path}: the chunk 'data' is missing")


def _decode(path: str, kind: int, bits: int, raw: Any) -> np.ndarray:
    """Samples in [-1, 1): integers over 2^(bits - 1); 8 bits are unsigned around 128."""
    if kind == _FLOAT and bits in (32, 64):
        return np.frombuffer(raw, f"<f{bits // 8}").astype(np.float32)
    if kind == _PCM and bits == 8:
        return (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if kind == _PCM and bits in (16, 32):
        return np.frombuffer(raw, f"<i{bits // 8}").astype(np.float32) / np.float32(2.0 ** (bits - 1))
    if kind == _PCM and bits == 24:
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2.0**31)
    raise ValueError(f"[read_wav] {path}: must be PCM of 8, 16, 24, 32 bits or float, got format {kind} of {bits} bits")


def read_wav(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """(samples (channels, frames) float32 in [-1, 1], sample rate). ValueError names the file and what is wrong."""
    path = os.fspath(path)
    with open(path, "rb") as file:
        data = file.read()
    form, raw = _chunks(path, data)
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if kind == _EXTENSIBLE and len(form) >= 26:
        kind = struct.unpack_from("<H", form, 24)[0]
    if channels == 0 or rate == 0:
        raise ValueError(f"[read_wav] {path}: must have channels and a sample rate, got {channels} and {rate}")
    frames = len(raw) // max(1, channels * (bits // 8))
    samples = _decode(path, kind, bits, raw[: frames * channels * (bits // 8)])
    return np.ascontiguousarray(samples.reshape(frames, channels).T), rate


def write_wav(path: str | os.PathLike[str], samples: Any, sample_rate: int, bits: int = 16) -> None:
    """Writes (channels, frames) or (frames) in [-1, 1] as PCM of 16 bits (clipped), or, with bits=32, as floats."""
    x = np.atleast_2d(np.asarray(samples.numpy() if hasattr(samples, "numpy") else samples, np.float64))
    if bits not in (16, 32) or x.ndim != 2:
        raise ValueError(f"[write_wav] bits must be 16 or 32 and samples (channels, frames), got {bits} and {x.shape}")
    made = np.clip(np.round(x * 32768), -32768, 32767).astype("<i2") if bits == 16 else x.astype("<f4")
    raw, align = made.T.tobytes(), len(x) * bits // 8
    form = struct.pack("<HHIIHH", _PCM if bits == 16 else _FLOAT, len(x), sample_rate, sample_rate * align, align, bits)
    with open(path, "wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + len(raw)) + b"WAVEfmt " + struct.pack("<I", 16) + form)
        file.write(b"data" + struct.pack("<I", len(raw)) + raw)


def read_audio(path: str | os.PathLike[str], sample_rate: int | None = None, mono: bool = False) -> tuple[np.ndarray, int]:
    """read_wav for .wav; other formats (FLAC, OGG, MP3, …) through soundfile. sample_rate: what it is resampled to, where it
    has another. mono: the mean of the channels, (frames)."""
    if Path(path).suffix.lower() == ".wav":
        samples, rate = read_wav(path)
    else:
        try:
            import soundfile
        except ImportError:
            raise ImportError(f"reading {Path(path).suffix} needs soundfile: pip install soundfile") from None
        samples, rate = soundfile.read(os.fspath(path), dtype="float32", always_2d=True)
        samples = np.ascontiguousarray(samples.T)
    if mono:
        samples = samples[0] if len(samples) == 1 else samples.mean(0)
    if sample_rate is not None and rate != sample_rate:
        from ..ops import from_numpy
        from .transforms import resample

        samples, rate = resample(from_numpy(samples), rate, sample_rate).numpy(), sample_rate
    return samples, rate


class AudioFolder(Dataset):
    """(samples (channels, frames), class index) of sound files.

    Classes are the folders root/<class>/; with `label`, a function of the file's name (without its ending) that gives
    the class, files may lie anywhere below root. Names are numbered in sorted order. sample_rate, channels: what every
    file must have; ValueError names one that has another.

    >>> by_digit = lambda name: name.split("_")[0]  # AudioFolder("recordings", label=by_digit, sample_rate=8000)
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        label: Callable[[str], Any] | None = None,
        sample_rate: int | None = None,
        channels: int | None = None,
        extensions: tuple[str, ...] = (".wav",),
    ) -> None:
        self.root, self.transform = Path(root), transform
        self.sample_rate, self.channels = sample_rate, channels
        if not self.root.is_dir():
            raise ValueError(f"[AudioFolder] {self.root} is not a folder")
        files = sorted(p for p in self.root.rglob("*") if p.suffix.lower() in extensions and p.is_file())
        if label is None:
            files = [p for p in files if p.parent != self.root]
        names = [p.relative_to(self.root).parts[0] if label is None else label(p.stem) for p in files]
        self.classes = sorted(set(names))
        folders = {p.name for p in self.root.iterdir() if p.is_dir() and not p.name.startswith(".")}
        if not files:
            raise ValueError(f"[AudioFolder] {self.root} must hold sound files ({', '.join(extensions)}), found none")
        if label is None and (empty := sorted(folders - set(self.classes))):
            raise ValueError(f"[AudioFolder] {self.root / empty[0]} holds no sound file ({', '.join(extensions)})")
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        self.samples = [(path, self.class_to_idx[name]) for path, name in zip(files, names, strict=True)]

    @property
    def targets(self) -> list[int]:
        return [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        from ..ops import from_numpy

        path, label = self.samples[index]
        samples, rate = read_audio(path)
        if self.sample_rate is not None and rate != self.sample_rate:
            raise ValueError(
                f"[AudioFolder] {path}: sample rate must be {self.sample_rate}, got {rate}: resample it first"
            )
        if self.channels is not None and len(samples) != self.channels:
            raise ValueError(f"[AudioFolder] {path}: must have {self.channels} channels, got {len(samples)}")
        x = from_numpy(samples)
        return x if self.transform is None else self.transform(x), label
