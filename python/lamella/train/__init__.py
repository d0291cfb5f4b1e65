# SPDX-License-Identifier: MIT
"""Training: the Trainer, its callbacks and state, reports, summaries of models."""

from .callbacks import (
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    ProgressBar,
    ProgressLines,
    TimeLimit,
    duration,
    progress,
)
from .history import History
from .state import TrainState
from .trainer import Trainer
from .average_precision import average_precision, mean_average_precision
from .checkpoint import Recipe, load_checkpoint, save_checkpoint
from .loop import BarProgress, PlainProgress, fit, predict, progress_for
from .report import plot_curves, plot_predictions, write_csv, write_report
from .summary import Layer, Summary, summary
