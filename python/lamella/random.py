# SPDX-License-Identifier: MIT
"""`lamella.random`, PyTorch's place for the default generator's functions."""

from .ops.random import default_generator, fork_rng, get_rng_state, initial_seed, manual_seed, seed, set_rng_state

__all__ = ["default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]
