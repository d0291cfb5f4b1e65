# SPDX-License-Identifier: MIT
"""Probability distributions with torch.distributions' names, as far as policies need them."""

from .categorical import Categorical
from .distribution import Distribution, Independent
from .kl import kl_divergence
from .normal import Normal

__all__ = ["Categorical", "Distribution", "Independent", "Normal", "kl_divergence"]
