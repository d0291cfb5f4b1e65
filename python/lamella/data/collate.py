# SPDX-License-Identifier: MIT
"""From items to a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch of items as PyTorch makes it: Tensors, arrays and numbers are stacked (float to float64, int to int64),
    tuples and lists become lists of batches, mappings of batches stay mappings, strings stay lists.

    >>> default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ['a', 'b']]
    """
    from ..ops import from_numpy, stack
    from ..tensor import Tensor

    first = batch[0]
    if isinstance(first, Tensor | np.ndarray | np.generic):
        shape = tuple(first.shape)
        if any(tuple(np.shape(x)) != shape for x in batch):
            shapes = ", ".join(sorted({str(tuple(np.shape(x))) for x in batch}))
            raise ValueError(f"[default_collate] items must have one shape, got {shapes}: give the loader a collate_fn")
        return stack(list(batch)) if isinstance(first, Tensor) else from_numpy(np.stack(batch))
    if isinstance(first, bool | int | float):
        dtype = np.bool_ if isinstance(first, bool) else np.int64 if isinstance(first, int) else np.float64
        return from_numpy(np.array(batch, dtype=dtype))
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, tuple | list):
        if any(len(item) != len(first) for item in batch):
            raise ValueError("[default_collate] items must have one length: give the loader a collate_fn")
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise TypeError(
        f"[default_collate] items must be tensors, numbers, strings, lists or dicts, got {type(first).__name__}"
    )


def default_convert(data: Any) -> Any:
    """An item as it is, arrays in it made Tensors: what a DataLoader with batch_size=None gives."""
    from ..ops import from_numpy

    if isinstance(data, np.ndarray | np.generic):
        return from_numpy(np.asarray(data))
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple | list):
        parts = [default_convert(value) for value in data]
        return type(data)(*parts) if hasattr(data, "_fields") else type(data)(parts)
    return data


def _sequences(op: str, parts: Sequence[Any]) -> list[Any]:
    """Tensors of token lists, arrays or Tensors (L_i, ...)."""
    from ..ops import as_tensor
    from ..tensor import Tensor

    made = [x if isinstance(x, Tensor) else as_tensor(np.asarray(x, np.int64 if len(x) == 0 else None)) for x in parts]
    for x in made:
        if tuple(x.shape[1:]) != tuple(made[0].shape[1:]):
            raise ValueError(
                f"[{op}] sequences must agree but in length, got {tuple(made[0].shape)} and {tuple(x.shape)}"
            )
    return made


class PadCollate:
    """collate_fn for items of different lengths: each sequence field becomes (padded (N, T, ...), lengths (N)).

    An item is a sequence (Tensor, array or list of numbers), or a tuple of fields; `fields` says which positions of the
    tuple are sequences (default: the first), all others go through default_collate. batch_first=False gives (T, N, ...).

    >>> PadCollate()([([5, 6, 7], 0), ([8], 1)])
    [(tensor([[5, 6, 7],
            [8, 0, 0]]), tensor([3, 1])), tensor([0, 1])]
    """

    def __init__(
        self,
        padding_value: float = 0.0,
        batch_first: bool = True,
        fields: Sequence[int] = (0,),
        padding_side: str = "right",
    ) -> None:
        self.padding_value, self.batch_first, self.padding_side = padding_value, batch_first, padding_side
        self.fields = tuple(fields)

    def join(self, parts: Sequence[Any]) -> Any:
        from ..nn.utils.rnn import pad_sequence
        from ..ops import from_numpy

        made = _sequences(type(self).__name__, parts)
        lengths = from_numpy(np.array([len(x) for x in made], np.int64))
        return pad_sequence(made, self.batch_first, self.padding_value, self.padding_side), lengths

    def __call__(self, batch: Sequence[Any]) -> Any:
        if not isinstance(batch[0], tuple):
            return self.join(batch)
        wrong = [i for i in self.fields if not -len(batch[0]) <= i < len(batch[0])]
        if wrong:
            raise ValueError(
                f"[{type(self).__name__}] fields must be positions in items of {len(batch[0])} parts, got {wrong[0]}"
            )
        chosen = {i % len(batch[0]) for i in self.fields}
        columns = zip(*batch, strict=True)
        return [self.join(part) if i in chosen else default_collate(part) for i, part in enumerate(columns)]


class PackCollate(PadCollate):
    """collate_fn for items of different lengths: each sequence field becomes a PackedSequence, which recurrent layers
    take as it is; the order within the batch is kept (pad_packed_sequence and the layers' last states give it back)."""

    def __init__(self, fields: Sequence[int] = (0,)) -> None:
        super().__init__(fields=fields)

    def join(self, parts: Sequence[Any]) -> Any:
        from ..nn.utils.rnn import pack_sequence

        return pack_sequence(_sequences("PackCollate", parts), enforce_sorted=False)
