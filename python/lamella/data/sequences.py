# SPDX-License-Identifier: MIT
"""Lists of token ids to Tensors: padded and cut, or packed into blocks for language models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor
from .dataset import Dataset


def truncate(ids: Sequence[int], max_length: int, side: str = "right", keep_last: int = 0) -> list[int]:
    """At most max_length ids, cut on the `side`; the last keep_last (an end token) stay.

    >>> truncate([1, 2, 3, 4, 9], 3, keep_last=1)
    [1, 2, 9]
    """
    if side not in ("right", "left"):
        raise ValueError(f"[truncate] side must be 'right' or 'left', got {side!r}")
    if max_length < 1 or not 0 <= keep_last <= max_length:
        raise ValueError(
            f"[truncate] max_length must be positive and at least keep_last, got {max_length} and {keep_last}"
        )
    ids = list(ids)
    if len(ids) <= max_length:
        return ids
    if side == "left":
        return ids[-max_length:]
    return ids[: max_length - keep_last] + ids[len(ids) - keep_last :]


def pad_tokens(
    sequences: Sequence[Sequence[int]],
    padding_value: int = 0,
    max_length: int | None = None,
    multiple: int = 1,
    padding_side: str = "right",
) -> tuple[Tensor, Tensor]:
    """(ids (N, T) int64, lengths (N)) of lists of ids, cut to max_length; T is the longest, rounded up to `multiple`.

    >>> pad_tokens([[1, 2, 3], [4]])
    (tensor([[1, 2, 3],
            [4, 0, 0]]), tensor([3, 1]))
    """
    from ..ops import from_numpy

    if multiple < 1 or (max_length is not None and max_length < 1):
        raise ValueError(f"[pad_tokens] multiple and max_length must be positive, got {multiple} and {max_length}")
    if padding_side not in ("right", "left"):
        raise ValueError(f"[pad_tokens] padding_side must be 'right' or 'left', got {padding_side!r}")
    kept = [np.asarray(s, np.int64)[:max_length] for s in sequences]
    lengths = np.array([len(s) for s in kept], np.int64)
    steps = -(-int(lengths.max(initial=0)) // multiple) * multiple
    out = np.full((len(kept), steps), padding_value, np.int64)
    at = np.arange(steps)
    filled = at < lengths[:, None] if padding_side == "right" else at >= steps - lengths[:, None]
    if kept:
        out[filled] = np.concatenate(kept)
    return from_numpy(out), from_numpy(lengths)


def pack_tokens(
    sequences: Iterable[Sequence[int]], block: int, eos: int | None = None, drop_last: bool = True, padding_value: int = 0
) -> np.ndarray:
    """(blocks, block) int64: all sequences, each followed by `eos`, end to end and cut into blocks without padding.

    What is left at the end is dropped, or, with drop_last=False, padded.

    >>> pack_tokens([[1, 2], [3]], block=2, eos=0).tolist()
    [[1, 2], [0, 3]]
    """
    if block < 1:
        raise ValueError(f"[pack_tokens] block must be positive, got {block}")
    parts: list[np.ndarray] = []
    end = np.array([] if eos is None else [eos], np.int64)
    for s in sequences:
        parts += [np.asarray(s, np.int64), end]
    tokens = np.concatenate(parts) if parts else end
    left = len(tokens) % block
    if left and not drop_last:
        tokens = np.concatenate([tokens, np.full(block - left, padding_value, np.int64)])
    return tokens[: len(tokens) // block * block].reshape(-1, block)


class TokenBlocks(Dataset):
    """(inputs (block), targets (block)) of one long row of tokens: the targets are the inputs one place on.

    stride: distance between the beginnings of two items; default `block`. A batch is one gather.

    >>> TokenBlocks([5, 6, 7, 8, 9], block=2)[1]
    (tensor([7, 8]), tensor([8, 9]))
    """

    def __init__(self, tokens: Any, block: int, stride: int | None = None) -> None:
        made = tokens.numpy() if isinstance(tokens, Tensor) else np.asarray(tokens)
        stride = block if stride is None else stride
        if block < 1 or stride < 1:
            raise ValueError(f"[TokenBlocks] block and stride must be positive, got {block} and {stride}")
        if made.ndim != 1 or made.dtype.kind not in "iu" or len(made) <= block:
            raise ValueError(
                f"[TokenBlocks] tokens must be more than block = {block} integers in one row, got {made.dtype} {made.shape}"
            )
        self.tokens, self.block, self.stride = made, block, stride

    def __len__(self) -> int:
        return (len(self.tokens) - 1 - self.block) // self.stride + 1

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        from ..ops import from_numpy

        starts = np.asarray(indices, np.int64)
        if starts.size and (starts.min() < -len(self) or starts.max() >= len(self)):
            raise IndexError(f"[TokenBlocks] index must be in [{-len(self)}, {len(self)}), got {starts.tolist()}")
        rows = self.tokens[(starts % len(self) * self.stride)[:, None] + np.arange(self.block + 1)].astype(np.int64)
        return from_numpy(rows[:, :-1].copy()), from_numpy(rows[:, 1:].copy())

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x, y = self.batch([index])
        return x[0], y[0]


def encode_all(texts: Iterable[str], encode: Callable[[str], Sequence[int]]) -> list[np.ndarray]:
    """The ids of each text as an array: a tenth of the memory of lists."""
    return [np.asarray(encode(text), np.int32) for text in texts]
