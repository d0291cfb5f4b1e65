# SPDX-License-Identifier: MIT
"""What a Trainer calls while it trains."""

from .base import Callback
from .checkpoint import Checkpoint
from .csv_logger import CSVLogger, write_csv
from .early_stopping import EarlyStopping, TimeLimit
from .progress import ProgressBar, ProgressLines, duration, progress
from .tensorboard import TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "ProgressBar",
    "ProgressLines",
    "TensorBoard",
    "TimeLimit",
    "duration",
    "progress",
    "write_csv",
]
