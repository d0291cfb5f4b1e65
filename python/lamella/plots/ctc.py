# SPDX-License-Identifier: MIT
"""What a recogniser trained by CTC heard, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._style import COLOURS, array, figure, picture

__all__ = ["ctc_alignment"]


@picture
def ctc_alignment(
    spectrogram: Any, log_probs: Any, labels: Sequence[str], seconds: float | None = None, blank: int = 0, title: str | None = None
) -> Any:
    """A spectrogram (features, frames) over the chances of each label in time, from log_probs (T, C); a line marks the step at
    which the best path writes a label. labels: the C labels' names, that of the blank included. seconds: how long it is."""
    x, chances = array(spectrogram), np.exp(array(log_probs))
    if x.ndim != 2 or chances.ndim != 2 or len(labels) != chances.shape[1]:
        raise ValueError(
            f"[plots.ctc_alignment] spectrogram must be (features, frames), log_probs (T, {len(labels)}), got {x.shape} and {chances.shape}"
        )
    end = float(x.shape[1]) if seconds is None else seconds
    best = chances.argmax(1)
    written = [t for t in range(len(best)) if best[t] != blank and (t == 0 or best[t] != best[t - 1])]
    at = (np.arange(len(best)) + 0.5) * end / len(best)
    made = figure(8, 3.8)
    upper, lower = made.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    upper.imshow(x, origin="lower", aspect="auto", cmap="magma", extent=(0, end, 0, len(x)))
    upper.set(ylabel="mel band")
    for t in written:
        upper.axvline(at[t], color="white", linewidth=0.9, linestyle=":")
        upper.text(at[t], len(x) * 0.9, labels[best[t]], color="white", ha="center", va="top", fontweight="bold", fontsize=11)
    lower.plot(at, chances[:, blank], color="#bbbbbb", linewidth=1, label="blank")
    for label in sorted({int(best[t]) for t in written}):
        lower.plot(at, chances[:, label], color=COLOURS[label % len(COLOURS)], label=labels[label])
    lower.set(xlabel="frames" if seconds is None else "seconds", ylabel="chance", xlim=(0, end), ylim=(0, 1.05))
    lower.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    upper.set_title(title or "", loc="left", fontweight="bold")
    return made
