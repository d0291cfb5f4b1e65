# SPDX-License-Identifier: MIT
"""Your model isn't learning, what could be wrong?

`examine(model, data, criterion, optimizer)` looks at everything between data and update and puts all back; `watch(model,
optimizer)` looks on while a loop of your own runs; the callback `Doctor` does so for a Trainer, and `lamella doctor RECIPE`
for a recipe. Each gives a `Report`: findings with what was seen, why it matters and what to try, causes before what follows.
"""

from .callback import Doctor, command, examine_trainer
from .examine import examine
from .facts import Evidence, Run, Trials
from .finding import Finding
from .report import Report
from .watch import Watch, watch

__all__ = [
    "Doctor",
    "Evidence",
    "Finding",
    "Report",
    "Run",
    "Trials",
    "Watch",
    "command",
    "examine",
    "examine_trainer",
    "watch",
]
