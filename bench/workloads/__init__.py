# SPDX-License-Identifier: MIT
"""The rows of `python -m bench`, one file a family; importing one adds its rows, in this order."""

from . import gemm, conv, elementwise, rows, index, loss, attention, recurrent, layers, nhwc, optim, overhead, data, models
from .registry import WORKLOADS, Workload
