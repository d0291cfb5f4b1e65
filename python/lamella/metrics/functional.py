# SPDX-License-Identifier: MIT
"""Each metric as a function of one batch: F(output, target, ...), with the arguments of its class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from . import classification, detection, ranking, regression, text
from .base import Metric
from .regression import frechet_distance
from .text import edit_distance, tokenize_13a


def _function(name: str, metric: type[Metric]) -> Callable[..., Any]:
    def function(output: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
        made = metric(*args, **kwargs)
        made.update(output, target)
        return made.compute()

    own = inspect.signature(metric).parameters.values()
    pair = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("output", "target")]
    function.__signature__ = inspect.Signature([*pair, *(p for p in own if p.name != "name")])  # type: ignore[attr-defined]
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`lamella.metrics.{metric.__name__}` of one batch."
    return function


_CLASSES: dict[str, type[Metric]] = {
    "accuracy": classification.Accuracy,
    "precision": classification.Precision,
    "recall": classification.Recall,
    "f1_score": classification.F1Score,
    "dice": classification.Dice,
    "jaccard_index": classification.JaccardIndex,
    "confusion_matrix": classification.ConfusionMatrix,
    "roc": ranking.ROC,
    "precision_recall_curve": ranking.PrecisionRecallCurve,
    "auroc": ranking.AUROC,
    "average_precision": ranking.AveragePrecision,
    "calibration_error": ranking.CalibrationError,
    "mean_squared_error": regression.MeanSquaredError,
    "mean_absolute_error": regression.MeanAbsoluteError,
    "r2_score": regression.R2Score,
    "perplexity": text.Perplexity,
    "bleu_score": text.BLEUScore,
    "word_error_rate": text.WordErrorRate,
    "char_error_rate": text.CharErrorRate,
    "mean_average_precision": detection.MeanAveragePrecision,
}
globals().update({name: _function(name, metric) for name, metric in _CLASSES.items()})

__all__ = [*_CLASSES, "edit_distance", "frechet_distance", "tokenize_13a"]
