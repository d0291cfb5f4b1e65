# SPDX-License-Identifier: MIT
"""Switches of the devices: `lamella.backends.cuda.matmul.allow_tf32` (PyTorch's name), `lamella.backends.cpu.winograd`."""

from __future__ import annotations

from . import _core

__all__ = ["cpu", "cuda"]


class _Matmul:
    @property
    def allow_tf32(self) -> bool:
        """Whether float32 products on a GPU may round their operands to TF32 (10 bits of mantissa), for several times the
        speed. False unless set, as in PyTorch."""
        return not _core.cuda_problem() and _core.cuda_allow_tf32()

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        if not _core.cuda_problem():
            _core.cuda_allow_tf32(int(bool(value)))


class _Cuda:
    matmul = _Matmul()

    @staticmethod
    def is_built() -> bool:
        """Whether the CUDA library is there."""
        return "without CUDA" not in _core.cuda_problem()


class _Cpu:
    @staticmethod
    def get_cpu_capability() -> str:
        """The instruction set that kernels use: v2, v3 (AVX2), v4 (AVX-512) and its extensions, or neon."""
        return _core.active_isa()

    @property
    def winograd(self) -> bool:
        """Whether 3x3 convolutions of 16 channels and more, and their gradients, may use Winograd's algorithm: a quarter of the
        products, about twice the rounding error (rms) of plain sums, as large relative to the largest values nearby. True
        unless set. What is not finite that way is computed plainly."""
        return _core.conv_winograd()

    @winograd.setter
    def winograd(self, value: bool) -> None:
        _core.set_conv_winograd(bool(value))


cuda, cpu = _Cuda(), _Cpu()
