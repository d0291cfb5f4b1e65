# SPDX-License-Identifier: MIT
"""Pictures of images and weights: samples, filters, attention maps, alignments, sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._style import COLOURS, array, bare, figure, mosaic, normalized, picture

__all__ = ["alignment", "attention_map", "filters", "samples", "spectrogram", "waveform"]


@picture
def samples(images: Any, titles: Sequence[str] | None = None, columns: int | None = None, value_range: Any = None, title: str | None = None) -> Any:
    """A grid of images (N, C, H, W) or (N, H, W); 3 channels are red, green and blue. value_range: what black and white are;
    [0, 1] unless values lie outside. titles: one above each."""
    images = array(images)
    if images.ndim not in (3, 4) or not len(images):
        raise ValueError(f"[plots.samples] images must have shape (N, C, H, W) or (N, H, W), one at least, got {images.shape}")
    pictures = normalized(images, value_range)
    n, h, w = pictures.shape[:3]
    columns = min(n, columns or max(1, round((n * h / w) ** 0.5 + 0.2)))
    deep = -(-n // columns)
    cell = float(np.clip(6.5 / columns, 0.45, 1.6))
    above = 0.25 if titles is not None else 0.0
    made = figure(cell * columns + 0.2, (cell * h / w + above) * deep + (0.4 if title else 0.2))
    if titles is None:
        axes = made.add_subplot()
        shown = mosaic(pictures, columns, max(1, w // 16), 1.0)
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        bare(axes)
    else:
        grid = made.subplots(deep, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, shown, text in zip(grid.flat, pictures, titles, strict=False):
            axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_title(text, fontsize=8)
    if title:
        made.suptitle(title, fontweight="bold")
    return made


def _first_weight(source: Any) -> np.ndarray:
    """The weight itself, a layer's, or that of a model's first convolution."""
    from .. import nn

    if isinstance(source, nn.Module):
        kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d)
        found = next((m for m in source.modules() if isinstance(m, kinds)), source)
        source = getattr(found, "weight", None)
        if source is None:
            raise ValueError(f"[plots.filters] source must have a convolution, got {type(found).__name__}")
    return array(source).astype(np.float32)


@picture
def filters(source: Any, most: int = 64, title: str | None = None) -> Any:
    """The filters of a convolution, weight (O, I, H, W) or (O, I, W): a layer, its weight, or a model, of which the first is
    taken. Three input channels are drawn as colours, each filter from its least to its largest value; else one row a filter
    and one column an input channel, blue below and red above 0. At most `most` filters, and 16 channels."""
    weight = _first_weight(source)
    if weight.ndim == 3:
        weight = weight[:, :, None]
    if weight.ndim != 4 or not weight.size:
        raise ValueError(f"[plots.filters] weight must have shape (O, I, H, W) or (O, I, W), got {weight.shape}")
    outputs, inputs, h, w = weight.shape
    weight = weight[:most]
    text = f"{outputs} filters {inputs} x {h} x {w}" if h > 1 else f"{outputs} filters {inputs} x {w}"
    cmap, limits = "gray", {"vmin": 0.0, "vmax": 1.0}
    if inputs == 3:
        low, high = (f((1, 2, 3), keepdims=True) for f in (weight.min, weight.max))
        tiles = np.moveaxis((weight - low) / np.maximum(high - low, 1e-12), 1, -1)
        columns = min(len(tiles), max(1, round(len(tiles) ** 0.5 * 1.3)))
        shown = mosaic(tiles, columns, fill=1.0)
    else:
        reach = float(np.abs(weight).max()) or 1.0
        cmap, limits = "RdBu_r", {"vmin": -reach, "vmax": reach}
        tiles = weight[:, :16].reshape(-1, h, w)
        columns = min(16, inputs)
        if inputs == 1:
            columns = min(len(tiles), max(1, round(len(tiles) ** 0.5 * 1.3)))
        shown = mosaic(tiles, columns)
    rows, across = shown.shape[:2]
    scale = min(8 / across, 8 / rows)
    made = figure(max(across * scale, 3.2) + (0 if inputs == 3 else 0.9), max(rows * scale, 1.0) + 0.4)
    axes = made.add_subplot()
    image = axes.imshow(shown, cmap=cmap, interpolation="nearest", **limits)
    bare(axes)
    axes.set_title(title or text, loc="left", fontweight="bold")
    if inputs != 3:
        if inputs > 1:
            axes.set(xlabel=f"input channels{f' (16 of {inputs})' if inputs > 16 else ''}", ylabel="filters")
        made.colorbar(image, ax=axes, shrink=0.6).outline.set_visible(False)
    return made


# ---- attention ---------------------------------------------------------------------------------------------------------
def _tokens(axis: Any, names: Sequence[Any] | None, size: int) -> None:
    if names is None or size > 60:
        from matplotlib.ticker import MaxNLocator

        axis.set_major_locator(MaxNLocator(5, integer=True))
    else:
        axis.set_ticks(range(size), [str(t) for t in names[:size]])


@picture
def attention_map(weights: Any, tokens: Sequence[Any] | None = None, keys: Sequence[Any] | None = None, title: str | None = None) -> Any:
    """The weights of attention, (heads, L, S), (1, heads, L, S) or (L, S), one panel a head: rows are queries, named by
    `tokens`, columns what they attend to, named by `keys` (default: tokens). All panels have the same scale, from 0."""
    weights = array(weights).astype(np.float32)
    if weights.ndim == 4 and len(weights) == 1:
        weights = weights[0]
    if weights.ndim == 2:
        weights = weights[None]
    if weights.ndim != 3:
        raise ValueError(f"[plots.attention_map] weights must have shape (heads, L, S) of one sequence, got {weights.shape}")
    heads, length, s = weights.shape
    keys = tokens if keys is None and length == s else keys
    columns = heads if heads <= 4 else 4 if heads % 4 == 0 or heads < 12 else 6
    deep = -(-heads // columns)
    long = max((len(str(t)) for t in keys or ()), default=0)
    cell = float(np.clip(0.2 * max(length, s) if tokens is not None else 2.2, 2.0, 3.6 if heads > 1 else 7.0))
    made = figure(cell * columns * min(1.6, max(0.7, s / length)) + 1.2, (cell + 0.3) * deep + 0.06 * long + 0.3)
    grid = made.subplots(deep, columns, squeeze=False, sharex=True, sharey=True)
    image = None
    for i, axes in enumerate(grid.flat):
        if i >= heads:
            axes.set_axis_off()
            continue
        image = axes.imshow(weights[i], cmap="Blues", vmin=0, vmax=max(float(weights.max()), 1e-9), aspect="auto", interpolation="nearest")
        axes.spines[:].set_visible(False)
        if heads > 1:
            axes.set_title(f"head {i}", loc="left")
    _tokens(grid[0, 0].yaxis, tokens, length)
    _tokens(grid[0, 0].xaxis, keys, s)
    if keys is not None and s <= 60 and long > 1:
        for axes in grid.flat:
            axes.tick_params(axis="x", labelrotation=90)
    grid[-1, 0].set(xlabel="attends to", ylabel="query")
    made.colorbar(image, ax=grid, shrink=0.6, aspect=30).outline.set_visible(False)
    if title:
        made.suptitle(title, fontweight="bold")
    return made


@picture
def alignment(weights: Any, source: Sequence[Any], target: Sequence[Any], title: str | None = None) -> Any:
    """Which source token each target token was made from: weights (target, source), as in Bahdanau et al. 2014. The source
    runs along the top."""
    weights = array(weights).astype(np.float32)
    if weights.shape != (len(target), len(source)):
        raise ValueError(f"[plots.alignment] weights must have shape {(len(target), len(source))} (target, source), got {weights.shape}")
    made = figure(2.2 + 0.32 * len(source), 1.6 + 0.3 * len(target))
    axes = made.add_subplot()
    axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(source)), [str(t) for t in source], rotation=60, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(target)), [str(t) for t in target])
    axes.tick_params(length=0, labelsize=9, labelcolor="#222222")
    axes.spines[:].set_color("#cccccc")
    axes.spines[:].set_visible(True)
    if title:
        made.suptitle(title, fontweight="bold")
    return made


# ---- sound -------------------------------------------------------------------------------------------------------------
def _mono(audio: Any, op: str) -> np.ndarray:
    audio = array(audio)
    audio = audio / 32768 if audio.dtype == np.int16 else audio.astype(np.float32)
    audio = audio.mean(0) if audio.ndim == 2 else audio
    if audio.ndim != 1 or not len(audio):
        raise ValueError(f"[plots.{op}] audio must have shape (time,) or (channels, time), got {audio.shape}")
    return audio


@picture
def waveform(audio: Any, sample_rate: float = 16000, title: str | None = None) -> Any:
    """Samples (time) or (channels, time), of which the mean, over seconds; more than 4000 are drawn as their range."""
    audio = _mono(audio, "waveform")
    made = figure(7, 2.2)
    axes = made.add_subplot()
    if len(audio) > 4000:
        step = -(-len(audio) // 2000)
        parts = np.pad(audio, (0, -len(audio) % step), mode="edge").reshape(-1, step)
        times = np.arange(len(parts)) * step / sample_rate
        axes.fill_between(times, parts.min(1), parts.max(1), color=COLOURS[0], linewidth=0.4)
    else:
        axes.plot(np.arange(len(audio)) / sample_rate, audio, linewidth=0.8)
    axes.set(xlabel="seconds", ylabel="amplitude", xlim=(0, len(audio) / sample_rate))
    axes.grid(True)
    axes.set_title(title or "", loc="left", fontweight="bold")
    return made


@picture
def spectrogram(
    audio: Any, sample_rate: float = 16000, n_fft: int = 512, hop_length: int | None = None, top_db: float = 80, title: str | None = None
) -> Any:
    """Decibels below the loudest, down to -top_db, over seconds and kilohertz: samples (time) or (channels, time), windows of
    n_fft (Hann) every hop_length (default n_fft / 4)."""
    audio = _mono(audio, "spectrogram")
    hop = hop_length or n_fft // 4
    n_fft = min(n_fft, len(audio))
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, n_fft // 2), n_fft)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(n_fft + 1)[:-1])) ** 2
    db = 10 * np.log10(np.maximum(power, power.max() * 10 ** (-top_db / 10) + 1e-20) / max(power.max(), 1e-20))
    made = figure(7, 3)
    axes = made.add_subplot()
    extent = (0, len(audio) / sample_rate, 0, sample_rate / 2000)
    image = axes.imshow(db.T, origin="lower", aspect="auto", cmap="magma", extent=extent, vmin=-top_db, vmax=0)
    axes.set(xlabel="seconds", ylabel="kHz")
    axes.set_title(title or "", loc="left", fontweight="bold")
    made.colorbar(image, ax=axes, label="dB").outline.set_visible(False)
    return made
