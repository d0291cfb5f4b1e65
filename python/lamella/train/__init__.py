# SPDX-License-Identifier: MIT
"""Training: a loop for classifiers, checkpoints, reports, summaries of models."""

from .checkpoint import Recipe, load_checkpoint, save_checkpoint
from .loop import BarProgress, History, PlainProgress, fit, predict, progress_for
from .report import plot_curves, plot_predictions, write_csv, write_report
from .summary import Layer, Summary, summary
