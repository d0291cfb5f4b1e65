# SPDX-License-Identifier: MIT
"""Training: the Trainer, its callbacks and state, what is seen inside of models, their summaries."""

from .callbacks import (
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    ProgressBar,
    ProgressLines,
    TensorBoard,
    TimeLimit,
    duration,
    progress,
    write_csv,
)
from .history import History
from .state import TrainState
from .trainer import Trainer
from .adversarial import AdversarialTrainer
from .capture import Capture, Distribution, Histograms, capture
from .judge import PictureJudge
from .checkpoint import Recipe, load_checkpoint, save_checkpoint
from .loop import BarProgress, PlainProgress, fit, predict, progress_for
from .summary import Layer, Summary, summary
