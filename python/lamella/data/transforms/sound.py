# SPDX-License-Identifier: MIT
"""Augmentation of sound: resampling, noise, pitch, speed, and masks over spectrograms."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any

import numpy as np

from ..sample import random_source
from .base import probability, span, to_tensor
from .spectrum import hann, positive, product, stft, wave


@functools.lru_cache(maxsize=64)
def _sinc_kernel(orig: int, new: int, width_zeros: int, rolloff: float) -> tuple[np.ndarray, int]:
    """(new, taps): the Hann-windowed sinc at each of the `new` places within `orig` samples, and its reach."""
    base = min(orig, new) * rolloff
    width = math.ceil(width_zeros * orig / base)
    t = -np.arange(new)[:, None] / new + np.arange(-width, width + orig)[None] / orig
    t = np.clip(t * base, -width_zeros, width_zeros)
    return np.sinc(t) * np.cos(t * np.pi / width_zeros / 2) ** 2 * (base / orig), width


def resample(
    waveform: Any, orig_freq: int, new_freq: int, lowpass_filter_width: int = 6, rolloff: float = 0.99
) -> Any:
    """(..., time) at new_freq samples per second instead of orig_freq: band-limited interpolation with a Hann-windowed
    sinc (Smith, "Digital Audio Resampling"), torchaudio's default method."""
    positive("resample", orig_freq=orig_freq, new_freq=new_freq, lowpass_filter_width=lowpass_filter_width)
    if int(orig_freq) != orig_freq or int(new_freq) != new_freq:
        raise ValueError(f"[resample] frequencies must be integers, got {orig_freq} and {new_freq}")
    x = wave("resample", waveform)
    common = math.gcd(int(orig_freq), int(new_freq))
    orig, new = int(orig_freq) // common, int(new_freq) // common
    if orig == new:
        return to_tensor(x.copy())
    kernel, width = _sinc_kernel(orig, new, lowpass_filter_width, rolloff)
    length = x.shape[-1]
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(width, width + orig)])
    blocks = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[1], -1)[..., ::orig, :]
    made = product(blocks, kernel.T).numpy().reshape(*x.shape[:-1], -1)  # of (..., blocks, new)
    return to_tensor(made[..., : -(-new * length // orig)])


class Resample:
    """resample with fixed frequencies.

    >>> Resample(8000, 16000)(lamella.zeros(2, 100)).shape
    (2, 200)
    """

    def __init__(
        self, orig_freq: int = 16000, new_freq: int = 16000, lowpass_filter_width: int = 6, rolloff: float = 0.99
    ) -> None:
        positive("Resample", orig_freq=orig_freq, new_freq=new_freq, lowpass_filter_width=lowpass_filter_width)
        self.orig_freq, self.new_freq = orig_freq, new_freq
        self.lowpass_filter_width, self.rolloff = lowpass_filter_width, rolloff

    def __call__(self, waveform: Any) -> Any:
        return resample(waveform, self.orig_freq, self.new_freq, self.lowpass_filter_width, self.rolloff)


def add_noise(waveform: Any, noise: Any, snr: Any) -> Any:
    """waveform + scaled noise (both (..., time)) so that their energies are `snr` decibel apart; snr: number or (...)."""
    x, n = wave("add_noise", waveform), wave("add_noise", noise)
    if x.shape != n.shape:
        raise ValueError(f"[add_noise] noise must have the waveform's shape {x.shape}, got {n.shape}")
    ratio = np.asarray(snr.numpy() if hasattr(snr, "numpy") else snr, np.float64)[..., None]
    signal, energy = (np.square(a).sum(-1, keepdims=True, dtype=np.float64) for a in (x, n))
    scale = np.sqrt(signal / np.maximum(energy, 1e-300) / 10 ** (ratio / 10)) * (energy > 0)
    return to_tensor(x + scale.astype(x.dtype) * n)


class AddNoise:
    """White noise, at a signal-to-noise ratio drawn from snr (least, greatest; decibel), with chance p.

    With `noise`, a Tensor (time), a random stretch of it (repeated where too short) takes the white noise's place.
    """

    def __init__(self, snr: tuple[float, float] = (5.0, 30.0), noise: Any = None, p: float = 1.0) -> None:
        self.snr, self.p, self.noise = span("AddNoise", "snr", snr), probability("AddNoise", p), noise
        if noise is not None and (noise.ndim != 1 or len(noise) == 0):
            raise ValueError(f"[AddNoise] noise must be (time), got {tuple(noise.shape)}")

    def __call__(self, waveform: Any) -> Any:
        x, random = wave("AddNoise", waveform), random_source()
        if random.random() >= self.p:
            return waveform
        if self.noise is None:
            noise = random.standard_normal(x.shape, np.float32)
        else:
            start = int(random.integers(len(self.noise)))
            noise = np.broadcast_to(np.take(self.noise.numpy(), start + np.arange(x.shape[-1]), mode="wrap"), x.shape)
        return add_noise(waveform, to_tensor(noise.astype(x.dtype)), random.uniform(*self.snr))


def _istft(z: np.ndarray, n_fft: int, hop: int, length: int) -> np.ndarray:
    """The waveform (..., length) whose centred STFT with a Hann window is z, by overlap and add."""
    window, frames = hann(n_fft), z.shape[-1]
    parts = np.fft.irfft(z.swapaxes(-1, -2), n_fft, axis=-1) * window
    rows, pieces = -(-n_fft // hop), np.pad(parts, [(0, 0)] * (parts.ndim - 1) + [(0, -n_fft % hop)])
    total = np.zeros((*z.shape[:-2], (frames + rows - 1), hop))
    weight = np.zeros((frames + rows - 1, hop))
    squares = np.pad(window**2, (0, -n_fft % hop)).reshape(rows, hop)
    pieces = pieces.reshape(*parts.shape[:-1], rows, hop)
    for r in range(rows):
        total[..., r : r + frames, :] += pieces[..., r, :]
        weight[r : r + frames] += squares[r]
    made = (total / np.maximum(weight, 1e-11)).reshape(*z.shape[:-2], -1)[..., n_fft // 2 :]
    made = made[..., :length]
    return np.pad(made, [(0, 0)] * (made.ndim - 1) + [(0, length - made.shape[-1])])


def _nearest_peak(size: np.ndarray) -> np.ndarray:
    """For each frequency of (..., frequency, frames) the nearest one where the size is greatest among its neighbours."""
    n = size.shape[-2]
    padded = np.pad(size, [(0, 0)] * (size.ndim - 2) + [(1, 1), (0, 0)], constant_values=-1)
    peak = (size >= padded[..., :-2, :]) & (size > padded[..., 2:, :])
    at = np.arange(n)[:, None]
    below = np.maximum.accumulate(np.where(peak, at, -2 * n), -2)
    above = np.flip(np.minimum.accumulate(np.flip(np.where(peak, at, 3 * n), -2), -2), -2)
    return np.clip(np.where(at - below <= above - at, below, above), 0, n - 1)


def _stretch(x: np.ndarray, rate: float, n_fft: int, hop: int) -> np.ndarray:
    """Played `rate` times as fast at the same pitch: the phase vocoder (Flanagan and Golden 1966). Frequencies keep the
    phase they have against the peak they belong to (Laroche and Dolson 1999), or a tone's parts would cancel out."""
    length = round(x.shape[-1] / rate)
    if x.shape[-1] <= n_fft:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, n_fft + 1 - x.shape[-1])])
    z = stft("TimeStretch", x.astype(np.float64), n_fft, hop, hann(n_fft), True, "reflect")
    at = np.arange(0, z.shape[-1], rate)
    left, share = at.astype(np.int64), at % 1
    z = np.concatenate([z, np.zeros((*z.shape[:-1], 2), z.dtype)], -1)
    advance = np.pi * hop * np.linspace(0, 1, z.shape[-2])[:, None]  # of each frequency's phase in one hop
    phases, sizes = np.angle(z), np.abs(z)
    step = phases[..., left + 1] - phases[..., left] - advance
    step = step - 2 * np.pi * np.round(step / (2 * np.pi)) + advance
    phase = np.cumsum(np.concatenate([phases[..., :1], step[..., :-1]], -1), -1)
    size = share * sizes[..., left + 1] + (1 - share) * sizes[..., left]
    peak, heard = _nearest_peak(size), phases[..., left]
    phase = np.take_along_axis(phase, peak, -2) + heard - np.take_along_axis(heard, peak, -2)
    return _istft(size * np.exp(1j * phase), n_fft, hop, length)


class TimeStretch:
    """Faster (rate > 1) or slower, the pitch kept: on a waveform (..., time), by a phase vocoder.

    rate: a number, or (least, greatest) to draw it from. torchaudio's TimeStretch takes a complex spectrogram; there are
    no complex dtypes here.

    >>> TimeStretch(2.0, n_fft=128)(lamella.zeros(1000)).shape
    (500,)
    """

    def __init__(self, rate: float | tuple[float, float], n_fft: int = 512, hop_length: int | None = None) -> None:
        rates = (rate, rate) if isinstance(rate, int | float) else rate
        self.rate, self.n_fft = span("TimeStretch", "rate", rates, 1e-3), n_fft
        self.hop_length = n_fft // 4 if hop_length is None else hop_length
        positive("TimeStretch", n_fft=n_fft, hop_length=self.hop_length)

    def __call__(self, waveform: Any) -> Any:
        x = wave("TimeStretch", waveform)
        rate = self.rate[0] if self.rate[0] == self.rate[1] else random_source().uniform(*self.rate)
        return to_tensor(x.copy() if rate == 1 else _stretch(x, rate, self.n_fft, self.hop_length).astype(x.dtype))


class PitchShift:
    """Higher by n_steps of 1 / bins_per_octave octaves, the length kept: stretched, then resampled.

    n_steps: a number, or (least, greatest) to draw an integer from, both included.
    """

    def __init__(
        self,
        sample_rate: int,
        n_steps: int | tuple[int, int],
        bins_per_octave: int = 12,
        n_fft: int = 512,
        hop_length: int | None = None,
    ) -> None:
        positive("PitchShift", sample_rate=sample_rate, bins_per_octave=bins_per_octave, n_fft=n_fft)
        steps = (n_steps, n_steps) if isinstance(n_steps, int | float) else n_steps
        self.sample_rate, self.n_steps = sample_rate, span("PitchShift", "n_steps", steps)
        self.bins_per_octave, self.n_fft = bins_per_octave, n_fft
        self.hop_length = n_fft // 4 if hop_length is None else hop_length

    def __call__(self, waveform: Any) -> Any:
        x = wave("PitchShift", waveform)
        low, high = self.n_steps
        steps = low if low == high else int(random_source().integers(int(low), int(high) + 1))
        rate = 2.0 ** (-steps / self.bins_per_octave)
        if rate == 1:
            return to_tensor(x.copy())
        stretched = to_tensor(_stretch(x, rate, self.n_fft, self.hop_length).astype(x.dtype))
        ratio = Fraction(1 / rate).limit_denominator(100)  # within 1e-4 of the pitch; keeps the filter short
        made = resample(stretched, ratio.numerator, ratio.denominator).numpy()[..., : x.shape[-1]]
        return to_tensor(np.pad(made, [(0, 0)] * (x.ndim - 1) + [(0, x.shape[-1] - made.shape[-1])]))


class _Masking:
    """A stretch of random length below mask_param at a random place along a dimension is overwritten."""

    _axis = -1

    def __init__(self, mask_param: int, iid_masks: bool = False, p: float = 1.0) -> None:
        if mask_param < 0:
            raise ValueError(f"[{type(self).__name__}] mask_param must not be negative, got {mask_param}")
        self.mask_param, self.iid_masks, self.p = mask_param, iid_masks, probability(type(self).__name__, p)

    def mask(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """True where (..., frequency, frames) of this shape is overwritten; of size 1 along what does not matter."""
        n, lead = shape[self._axis], shape[:-2] if self.iid_masks else ()
        most = self.mask_param if self.p == 1 else min(self.mask_param, int(n * self.p))
        length = random.random(lead) * min(most, n)
        start = np.floor(random.random(lead) * (n - length))[..., None, None]
        at = np.arange(n).reshape((-1, 1) if self._axis == -2 else (1, -1))
        return (at >= start) & (at < start + np.floor(length)[..., None, None])

    def __call__(self, specgram: Any, mask_value: float = 0.0) -> Any:
        x = _frames(type(self).__name__, specgram)
        return to_tensor(np.where(self.mask(x.shape, random_source()), x.dtype.type(mask_value), x))


class FrequencyMasking(_Masking):
    """Up to freq_mask_param neighbouring frequencies of (..., frequency, frames) become mask_value. iid_masks: each
    leading index has a mask of its own."""

    _axis = -2

    def __init__(self, freq_mask_param: int, iid_masks: bool = False) -> None:
        super().__init__(freq_mask_param, iid_masks)


class TimeMasking(_Masking):
    """Up to time_mask_param neighbouring frames (and at most a share p of all) become mask_value."""

    def __init__(self, time_mask_param: int, iid_masks: bool = False, p: float = 1.0) -> None:
        super().__init__(time_mask_param, iid_masks, p)


class SpecAugment:
    """Several masks over time and frequency of (..., frequency, frames): Park et al. (2019).

    zero_masking: masked values become 0, else the mean of the spectrogram.
    """

    def __init__(
        self,
        n_time_masks: int,
        time_mask_param: int,
        n_freq_masks: int,
        freq_mask_param: int,
        iid_masks: bool = True,
        p: float = 1.0,
        zero_masking: bool = False,
    ) -> None:
        self.masks = [TimeMasking(time_mask_param, iid_masks, p)] * n_time_masks
        self.masks += [FrequencyMasking(freq_mask_param, iid_masks)] * n_freq_masks  # type: ignore[list-item]
        self.zero_masking = zero_masking

    def __call__(self, specgram: Any) -> Any:
        x, random = _frames("SpecAugment", specgram), random_source()
        hidden = np.zeros(1, bool)
        for mask in self.masks:
            hidden = hidden | mask.mask(x.shape, random)
        return to_tensor(np.where(hidden, x.dtype.type(0 if self.zero_masking else x.mean()), x))


def _frames(op: str, specgram: Any) -> np.ndarray:
    x = wave(op, specgram)
    if x.ndim < 2:
        raise ValueError(f"[{op}] specgram must be (..., frequency, frames), got {x.shape}")
    return x


class WarpSpectrogram:
    """(..., frequency, frames) as if spoken faster or slower, and by a longer or shorter vocal tract: each leading index is
    stretched by factors of its own along time and along frequency, by linear interpolation; the first frame and the
    lowest frequency stay, what comes in from behind the end repeats it.

    time, frequency: (least, greatest) factor. Over mel frequencies the second is about vocal tract length perturbation
    (Jaitly and Hinton 2013). shift: the greatest number of frames by which it moves, to either side.
    """

    def __init__(self, time: tuple[float, float] = (0.8, 1.25), frequency: tuple[float, float] = (0.9, 1.1), shift: float = 0.0) -> None:
        self.time, self.frequency = span("WarpSpectrogram", "time", time, 1e-3), span("WarpSpectrogram", "frequency", frequency, 1e-3)
        if shift < 0:
            raise ValueError(f"[WarpSpectrogram] shift must not be negative, got {shift}")
        self.shift = shift

    def __call__(self, specgram: Any) -> Any:
        x = _frames("WarpSpectrogram", specgram)
        lead, random = x.shape[:-2], random_source()
        moved = random.uniform(-self.shift, self.shift, lead)
        x = _interpolate(x.swapaxes(-1, -2), 1 / random.uniform(*self.time, lead), moved).swapaxes(-1, -2)
        return to_tensor(_interpolate(x, 1 / random.uniform(*self.frequency, lead), 0 * moved))


def _interpolate(x: np.ndarray, step: Any, start: Any) -> np.ndarray:
    """The rows of each (n, m) of x (..., n, m) at the places start + step * i, kept within it: step and start (...)."""
    n, lead = x.shape[-2], x.shape[:-2]
    at = np.clip(np.arange(n) * np.asarray(step)[..., None] + np.asarray(start)[..., None], 0, n - 1).reshape(-1, n)
    left = at.astype(np.int64)
    rows, which = x.reshape(-1, *x.shape[-2:]), np.arange(len(at))[:, None]
    low, high = rows[which, left], rows[which, np.minimum(left + 1, n - 1)]
    high -= low
    high *= (at - left)[..., None].astype(x.dtype)
    high += low
    return high.reshape(*lead, *x.shape[-2:])
