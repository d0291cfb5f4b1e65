# SPDX-License-Identifier: MIT
"""Spoken digits as the Free Spoken Digit Dataset (Jackson 2016) keeps them, one WAV file for each, and strings of them."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .dataset import Dataset
from .sample import philox, random_source
from .wav import read_wav

_NAME = re.compile(r"([0-9])_([^_]+)_([0-9]+)")


class SpokenDigits(Dataset):
    """(transform(waveform (time)), digit) of the files {digit}_{speaker}_{index}.wav in a folder, all in memory.

    split: "test", the recordings 0 to 4 of each digit and speaker (the set's own split), "train", all others, or "all".
    hold_out: a speaker whose recordings, all of them, are the test; "train" is the other speakers.
    on_error: "skip" leaves files out that are damaged, of another sample rate, or named otherwise, lists them as (path,
    error) in `skipped`, and warns; by default the first of them raises ValueError, which names it.

    `speakers` are the folder's, sorted; `digit`, `speaker` (its number) and `paths` are those of each item.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        split: str = "train",
        hold_out: str | None = None,
        transform: Callable[[Any], Any] | None = None,
        sample_rate: int = 8000,
        on_error: str = "raise",
    ) -> None:
        if split not in ("train", "test", "all"):
            raise ValueError(f"[SpokenDigits] split must be 'train', 'test' or 'all', got {split!r}")
        if on_error not in ("raise", "skip"):
            raise ValueError(f"[SpokenDigits] on_error must be 'raise' or 'skip', got {on_error!r}")
        if root is None or not Path(root).is_dir():
            raise ValueError(f"[SpokenDigits] root must be a folder of digit_speaker_index.wav files, got {root}")
        self.root, self.transform, self.sample_rate = Path(root), transform, sample_rate
        if (self.root / "recordings").is_dir():  # the set's repository
            self.root /= "recordings"
        self.skipped: list[tuple[Path, str]] = []
        named = []
        for path in sorted(self.root.glob("*.wav")):
            match = _NAME.fullmatch(path.stem)
            if match:
                named.append((path, int(match[1]), match[2], int(match[3])))
            else:
                self._bad(path, f"[SpokenDigits] {path}: must be named digit_speaker_index.wav", on_error)
        self.speakers = sorted({speaker for _, _, speaker, _ in named})
        if hold_out is not None and hold_out not in self.speakers:
            raise ValueError(f"[SpokenDigits] hold_out must be one of {', '.join(self.speakers)}, got {hold_out!r}")
        self.paths: list[Path] = []
        self.waveforms: list[np.ndarray] = []
        digits, speakers = [], []
        for path, digit, speaker, index in named:
            tested = index < 5 if hold_out is None else speaker == hold_out
            if split != "all" and tested != (split == "test"):
                continue
            try:
                self.waveforms.append(self._read(path))
            except ValueError as error:
                self._bad(path, str(error), on_error)
                continue
            self.paths.append(path)
            digits.append(digit)
            speakers.append(self.speakers.index(speaker))
        if not self.paths:
            raise ValueError(f"[SpokenDigits] {self.root} must hold files digit_speaker_index.wav for {split}, found none")
        self.digit, self.speaker = np.array(digits, np.int64), np.array(speakers, np.int64)
        if self.skipped:
            count, (_, first) = len(self.skipped), self.skipped[0]
            warnings.warn(f"{count} of {count + len(self)} files are skipped: {first} (see `skipped`)", stacklevel=2)

    def _bad(self, path: Path, text: str, on_error: str) -> None:
        if on_error == "raise":
            raise ValueError(text)
        self.skipped.append((path, text))

    def _read(self, path: Path) -> np.ndarray:
        samples, rate = read_wav(path)
        if rate != self.sample_rate:
            raise ValueError(f"[SpokenDigits] {path}: sample rate must be {self.sample_rate}, got {rate}: resample it first")
        if samples.shape[1] == 0:
            raise ValueError(f"[SpokenDigits] {path}: must hold sound, got no samples")
        return samples[0] if len(samples) == 1 else samples.mean(0)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        from ..ops import from_numpy

        x = from_numpy(self.waveforms[index])
        return x if self.transform is None else self.transform(x), int(self.digit[index])


class DigitStrings(Dataset):
    """(transform(waveform (time)), digits (k)): recordings of one speaker, drawn at random, with silence before, between and after.

    length: (least, greatest) number of digits; gap: (least, greatest) seconds of silence. With a seed, string i is the
    same whenever it is asked for (a test set); without, it is drawn anew each epoch, a function of the DataLoader's
    seed, the epoch and i. one_speaker=False draws each digit from any speaker.

    >>> strings = DigitStrings(SpokenDigits("recordings", "test"), 300, seed=0)  # doctest: +SKIP
    """

    def __init__(
        self,
        recordings: SpokenDigits,
        count: int,
        length: Sequence[int] = (3, 7),
        gap: Sequence[float] = (0.0, 0.3),
        transform: Callable[[Any], Any] | None = None,
        seed: int | None = None,
        one_speaker: bool = True,
    ) -> None:
        if len(length) != 2 or not 1 <= length[0] <= length[1]:
            raise ValueError(f"[DigitStrings] length must be (least, greatest) from 1 on, got {length}")
        if len(gap) != 2 or not 0 <= gap[0] <= gap[1]:
            raise ValueError(f"[DigitStrings] gap must be (least, greatest) from 0 on, got {gap}")
        if count < 1:
            raise ValueError(f"[DigitStrings] count must be positive, got {count}")
        self.recordings, self.count, self.length = recordings, count, tuple(length)
        self.transform, self.seed = transform, seed
        self.gap = tuple(round(seconds * recordings.sample_rate) for seconds in gap)
        same = [np.flatnonzero(recordings.speaker == s) for s in range(len(recordings.speakers))]
        self.pools = [pool for pool in same if len(pool)] if one_speaker else [np.arange(len(recordings))]

    def __len__(self) -> int:
        return self.count

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One string: (samples (time) float32, digits (k) int64)."""
        pool = self.pools[rng.integers(len(self.pools))]
        chosen = rng.choice(pool, rng.integers(self.length[0], self.length[1] + 1))
        gaps = rng.integers(self.gap[0], self.gap[1] + 1, len(chosen) + 1)
        parts = [np.zeros(gaps[0], np.float32)]
        for i, silence in zip(chosen, gaps[1:], strict=True):
            parts += [self.recordings.waveforms[i], np.zeros(silence, np.float32)]
        return np.concatenate(parts), self.recordings.digit[chosen]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        from ..ops import from_numpy

        if not 0 <= index < self.count:
            raise IndexError(f"[DigitStrings] index must be in [0, {self.count}), got {index}")
        waveform, digits = self.draw(random_source() if self.seed is None else philox(self.seed, 0, index, 0))
        x = from_numpy(waveform)
        return x if self.transform is None else self.transform(x), from_numpy(digits)
