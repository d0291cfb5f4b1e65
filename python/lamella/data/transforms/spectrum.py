# SPDX-License-Identifier: MIT
"""Sound to pictures of sound: spectrogram, mel, decibel, MFCC. Names, defaults and values of torchaudio.

Waveforms are Tensors (..., time); results (..., frequency, frames). Computed in float32 with NumPy, without gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...tensor import Tensor
from .base import to_tensor


def wave(op: str, waveform: Any) -> np.ndarray:
    """The floats (..., time) of a Tensor."""
    if not isinstance(waveform, Tensor) or not waveform.dtype.is_floating_point or waveform.ndim < 1:
        raise TypeError(f"[{op}] waveform must be a floating Tensor (..., time), got {getattr(waveform, 'dtype', type(waveform))}")
    return waveform.detach().numpy()


def product(a: np.ndarray, b: np.ndarray) -> Tensor:
    """a @ b in float32 where one of them is float32, by lamella's kernels: NumPy's threads get in the way of training."""
    from ...ops import matmul

    dtype = np.float32 if np.float32 in (a.dtype, b.dtype) else np.float64
    return matmul(to_tensor(a.astype(dtype)), to_tensor(b.astype(dtype)))


def positive(op: str, **values: Any) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"[{op}] {name} must be positive, got {value}")


def hann(n: int) -> np.ndarray:
    """The periodic window 0.5 - 0.5 cos(2 pi i / n)."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(np.float64)


def window_of(op: str, n_fft: int, win_length: int, window_fn: Callable[..., Any] | None) -> np.ndarray:
    """window_fn(win_length), in the middle of n_fft zeros; default: hann."""
    made = hann(win_length) if window_fn is None else window_fn(win_length)
    made = made.numpy() if isinstance(made, Tensor) else np.asarray(made)
    left = (n_fft - win_length) // 2
    return np.pad(made, (left, n_fft - win_length - left))


def stft(op: str, x: np.ndarray, n_fft: int, hop: int, window: np.ndarray, center: bool, pad_mode: str) -> np.ndarray:
    """(..., n_fft // 2 + 1, frames) complex."""
    if center:
        if pad_mode == "reflect" and x.shape[-1] <= n_fft // 2:
            raise ValueError(f"[{op}] waveform must be longer than n_fft // 2 = {n_fft // 2} to be reflected, got {x.shape[-1]}")
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n_fft // 2, n_fft // 2)], mode=pad_mode)  # type: ignore[call-overload]
    if x.shape[-1] < n_fft:
        raise ValueError(f"[{op}] waveform must have at least n_fft = {n_fft} samples, got {x.shape[-1]}")
    frames = np.lib.stride_tricks.sliding_window_view(x, n_fft, -1)[..., ::hop, :]
    return np.fft.rfft(frames * window.astype(x.dtype), axis=-1).swapaxes(-1, -2)


class Spectrogram:
    """|STFT|^power (..., n_fft // 2 + 1, frames), frame t around sample t * hop_length.

    win_length: default n_fft; hop_length: default win_length // 2. normalized: divided by the window's norm
    ("frame_length": by sqrt(win_length)). window_fn: default the periodic Hann window.

    >>> Spectrogram(n_fft=64)(lamella.zeros(1, 640)).shape
    (1, 33, 21)
    """

    def __init__(
        self,
        n_fft: int = 400,
        win_length: int | None = None,
        hop_length: int | None = None,
        pad: int = 0,
        window_fn: Callable[..., Any] | None = None,
        power: float = 2.0,
        normalized: bool | str = False,
        center: bool = True,
        pad_mode: str = "reflect",
    ) -> None:
        op = type(self).__name__
        positive(op, n_fft=n_fft, power=power)
        self.n_fft, self.win_length = n_fft, n_fft if win_length is None else win_length
        self.hop_length = self.win_length // 2 if hop_length is None else hop_length
        positive(op, win_length=self.win_length, hop_length=self.hop_length)
        if self.win_length > n_fft:
            raise ValueError(f"[{op}] win_length must be at most n_fft = {n_fft}, got {win_length}")
        if normalized not in (False, True, "window", "frame_length"):
            raise ValueError(f"[{op}] normalized must be a bool, 'window' or 'frame_length', got {normalized!r}")
        self.pad, self.power, self.normalized, self.center, self.pad_mode = pad, power, normalized, center, pad_mode
        self.window = window_of(op, n_fft, self.win_length, window_fn)

    def __call__(self, waveform: Any) -> Any:
        x = wave("Spectrogram", waveform)
        if self.pad:
            x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(self.pad, self.pad)])
        z = stft("Spectrogram", x, self.n_fft, self.hop_length, self.window, self.center, self.pad_mode)
        if self.normalized:
            by = self.win_length if self.normalized == "frame_length" else (self.window**2).sum()
            z = z / x.dtype.type(math.sqrt(by))
        made = z.real**2 + z.imag**2
        return to_tensor((made if self.power == 2 else made ** (self.power / 2)).astype(x.dtype))


def _hertz_to_mel(f: Any, kind: str) -> Any:
    if kind == "htk":  # 2595 log10(1 + f / 700)
        return 2595 * np.log10(1 + np.asarray(f, np.float64) / 700)
    f = np.asarray(f, np.float64)  # Slaney: linear to 1 kHz, then 27 steps for a factor of 6.4
    return np.where(f < 1000, 3 * f / 200, 15 + 27 * np.log(np.maximum(f, 1e-9) / 1000) / np.log(6.4))


def _mel_to_hertz(m: np.ndarray, kind: str) -> np.ndarray:
    if kind == "htk":
        return 700 * (10 ** (m / 2595) - 1)
    return np.where(m < 15, 200 * m / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))


def melscale_fbanks(
    n_freqs: int,
    f_min: float,
    f_max: float,
    n_mels: int,
    sample_rate: int,
    norm: str | None = None,
    mel_scale: str = "htk",
) -> np.ndarray:
    """(n_freqs, n_mels): triangles between points evenly spaced in mel; norm "slaney" divides by their widths.

    mel_scale: "htk" (O'Shaughnessy 1987) or "slaney" (Auditory Toolbox 1998).
    """
    if norm not in (None, "slaney") or mel_scale not in ("htk", "slaney"):
        raise ValueError(f"[melscale_fbanks] norm must be None or 'slaney', mel_scale 'htk' or 'slaney', got {norm!r}, {mel_scale!r}")
    if not 0 <= f_min < f_max:
        raise ValueError(f"[melscale_fbanks] f_min must be below f_max, got {f_min} and {f_max}")
    frequencies = np.linspace(0, sample_rate // 2, n_freqs)
    ends = _hertz_to_mel([f_min, f_max], mel_scale)
    points = _mel_to_hertz(np.linspace(ends[0], ends[1], n_mels + 2), mel_scale)
    width = np.diff(points)
    slopes = points - frequencies[:, None]
    banks = np.maximum(0, np.minimum(-slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:]))
    return banks * (2 / (points[2:] - points[:-2])) if norm == "slaney" else banks


class MelScale:
    """(..., n_stft, frames) to (..., n_mels, frames): the sums of melscale_fbanks' triangles."""

    def __init__(
        self,
        n_mels: int = 128,
        sample_rate: int = 16000,
        f_min: float = 0.0,
        f_max: float | None = None,
        n_stft: int = 201,
        norm: str | None = None,
        mel_scale: str = "htk",
    ) -> None:
        positive("MelScale", n_mels=n_mels, sample_rate=sample_rate, n_stft=n_stft)
        f_max = float(sample_rate // 2) if f_max is None else f_max
        self.n_stft, self.fb = n_stft, melscale_fbanks(n_stft, f_min, f_max, n_mels, sample_rate, norm, mel_scale)

    def __call__(self, specgram: Any) -> Any:
        x = wave("MelScale", specgram)
        if x.ndim < 2 or x.shape[-2] != self.n_stft:
            raise ValueError(f"[MelScale] specgram must be (..., {self.n_stft}, frames), got {x.shape}")
        return product(self.fb.T, x)


class MelSpectrogram:
    """Spectrogram, then MelScale.

    >>> MelSpectrogram(8000, n_fft=256, n_mels=40)(lamella.zeros(8000)).shape
    (40, 63)
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 400,
        win_length: int | None = None,
        hop_length: int | None = None,
        f_min: float = 0.0,
        f_max: float | None = None,
        pad: int = 0,
        n_mels: int = 128,
        window_fn: Callable[..., Any] | None = None,
        power: float = 2.0,
        normalized: bool | str = False,
        center: bool = True,
        pad_mode: str = "reflect",
        norm: str | None = None,
        mel_scale: str = "htk",
    ) -> None:
        self.sample_rate = sample_rate
        self.spectrogram = Spectrogram(n_fft, win_length, hop_length, pad, window_fn, power, normalized, center, pad_mode)
        self.mel_scale = MelScale(n_mels, sample_rate, f_min, f_max, n_fft // 2 + 1, norm, mel_scale)

    def __call__(self, waveform: Any) -> Any:
        return self.mel_scale(self.spectrogram(waveform))


class AmplitudeToDB:
    """10 log10 of a power, 20 log10 of a magnitude (stype), from 1e-10 up; top_db: at least the greatest of each
    (channels, frequency, frames) minus that.

    >>> AmplitudeToDB()(lamella.tensor([[1.0, 100.0]])).round().tolist()
    [[0.0, 20.0]]
    """

    def __init__(self, stype: str = "power", top_db: float | None = None) -> None:
        if stype not in ("power", "magnitude"):
            raise ValueError(f"[AmplitudeToDB] stype must be 'power' or 'magnitude', got {stype!r}")
        if top_db is not None and top_db < 0:
            raise ValueError(f"[AmplitudeToDB] top_db must not be negative, got {top_db}")
        self.stype, self.top_db = stype, top_db

    def __call__(self, x: Any) -> Any:
        a = wave("AmplitudeToDB", x)
        db = a.dtype.type(10 if self.stype == "power" else 20) * np.log10(np.maximum(a, a.dtype.type(1e-10)))
        if self.top_db is not None:
            dims = tuple(range(-min(3, a.ndim), 0))
            db = np.maximum(db, db.max(dims, keepdims=True) - a.dtype.type(self.top_db))
        return to_tensor(db)


class LogMelSpectrogram:
    """(..., time) to (..., n_mels, frames): a mel spectrogram in decibels, no less than its greatest minus top_db, with
    mean 0 and deviation 1 over each waveform's own frames: how loud the recording is does not matter.

    frames: cut, or filled up with each one's least value, to so many.

    >>> LogMelSpectrogram(8000, n_fft=256, n_mels=40, frames=64)(lamella.randn(2, 4000)).shape
    (2, 40, 64)
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 400,
        hop_length: int | None = None,
        n_mels: int = 80,
        f_min: float = 0.0,
        f_max: float | None = None,
        top_db: float = 60.0,
        frames: int | None = None,
    ) -> None:
        positive("LogMelSpectrogram", top_db=top_db, frames=1 if frames is None else frames)
        self.mel = MelSpectrogram(sample_rate, n_fft, hop_length=hop_length, f_min=f_min, f_max=f_max, n_mels=n_mels)
        self.top_db, self.frames = top_db, frames

    def __call__(self, waveform: Any) -> Any:
        x = wave("LogMelSpectrogram", self.mel(waveform))
        x = 10 * np.log10(np.maximum(x, np.maximum(x.max((-2, -1), keepdims=True) * x.dtype.type(10 ** (-self.top_db / 10)), 1e-10)))
        x -= x.mean((-2, -1), keepdims=True)
        x /= np.maximum(x.std((-2, -1), keepdims=True), 1e-5)
        if self.frames is not None:
            fill = max(0, self.frames - x.shape[-1])
            least = np.broadcast_to(x.min((-2, -1), keepdims=True), (*x.shape[:-1], fill))
            x = np.concatenate([x[..., : self.frames], least], -1)
        return to_tensor(x)


def create_dct(n_mfcc: int, n_mels: int, norm: str | None = "ortho") -> np.ndarray:
    """(n_mels, n_mfcc): the DCT-II."""
    dct = 2 * np.cos(np.pi / n_mels * (np.arange(n_mels)[:, None] + 0.5) * np.arange(n_mfcc))
    if norm == "ortho":
        dct[:, 0] /= math.sqrt(2)
        dct *= 0.5 * math.sqrt(2 / n_mels)
    return dct


class MFCC:
    """Mel-frequency cepstral coefficients: the DCT-II of the mel spectrogram in dB (top_db 80), or of its log."""

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mfcc: int = 40,
        dct_type: int = 2,
        norm: str | None = "ortho",
        log_mels: bool = False,
        melkwargs: dict[str, Any] | None = None,
    ) -> None:
        if dct_type != 2 or norm not in (None, "ortho"):
            raise ValueError(f"[MFCC] dct_type must be 2 and norm None or 'ortho', got {dct_type} and {norm!r}")
        self.mel_spectrogram = MelSpectrogram(sample_rate, **(melkwargs or {}))
        n_mels = self.mel_spectrogram.mel_scale.fb.shape[1]
        if not 0 < n_mfcc <= n_mels:
            raise ValueError(f"[MFCC] n_mfcc must be in [1, {n_mels}] (n_mels), got {n_mfcc}")
        self.dct, self.log_mels, self.to_db = create_dct(n_mfcc, n_mels, norm), log_mels, AmplitudeToDB(top_db=80.0)

    def __call__(self, waveform: Any) -> Any:
        mel = self.mel_spectrogram(waveform)
        x = np.log(mel.numpy() + np.float32(1e-6)) if self.log_mels else self.to_db(mel).numpy()
        return product(self.dct.T, x)
