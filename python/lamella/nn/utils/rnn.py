# SPDX-License-Identifier: MIT
"""Sequences of different lengths: padded into one tensor, or packed step by step so that no padding is computed."""

from __future__ import annotations

from typing import NamedTuple

from ..._numpy import np
from ...ops import creation, join
from ...tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """Sequences, longest first, laid out step by step: `data` (sum of lengths, ...) holds the first elements of all, then
    the second elements of those that have one, ...; `batch_sizes` int64 (T) says how many each step has. Where they were
    sorted on the way in, data's sequence i is the caller's sorted_indices[i]; unsorted_indices is the inverse. Made by the
    functions below.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args, **kwargs):
        """data.to(...); the lengths and orders stay."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def float(self):
        return self._replace(data=self.data.float())

    def double(self):
        return self._replace(data=self.data.double())


def invert_permutation(permutation):
    """The order that undoes this one; None of None."""
    return None if permutation is None else _indices(np.argsort(permutation.cpu().numpy()))


def _indices(x):
    return creation.from_numpy(np.ascontiguousarray(x, dtype=np.int64))


def _lengths(op, lengths, batch, steps=None):
    n = np.asarray(lengths.cpu().numpy() if isinstance(lengths, Tensor) else lengths)
    if n.dtype.kind not in "iu" or n.shape != (batch,):
        raise ValueError(f"[{op}] lengths must be {batch} integers, one per sequence, got {n.dtype} {n.shape}")
    if n.size and n.min() <= 0:
        raise ValueError(f"[{op}] lengths must be positive, got {int(n.min())}")
    if steps is not None and n.size and n.max() > steps:
        raise ValueError(f"[{op}] lengths must be at most the padded length {steps}, got {int(n.max())}")
    return n.astype(np.int64)


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """The PackedSequence of a padded batch: input (T, N, ...), with batch_first (N, T, ...); lengths: N integers.

    With enforce_sorted lengths must not grow (ValueError); without, sequences are sorted, and pad_packed_sequence puts
    them back. What lies behind a sequence's end is never read, not even a NaN.
    """
    op = "pack_padded_sequence"
    if input.ndim < 2:
        raise ValueError(f"[{op}] input must be (T, N, ...), got {tuple(input.shape)}")
    batch, steps = (input.shape[0], input.shape[1]) if batch_first else (input.shape[1], input.shape[0])
    n = _lengths(op, lengths, batch, steps)
    if batch == 0:
        raise ValueError(f"[{op}] input must have at least one sequence, got {tuple(input.shape)}")
    order = None
    if enforce_sorted:
        if (np.diff(n) > 0).any():
            raise ValueError(f"[{op}] lengths must not grow, got {n.tolist()}: pass enforce_sorted=False")
        who = np.arange(batch)
    else:
        who = np.argsort(-n, kind="stable")
        order = _indices(who)
    n = n[who]
    t, b = np.nonzero(np.arange(n[0])[:, None] < n)  # row by row: the order of the packed data
    at = who[b] * steps + t if batch_first else t * batch + who[b]
    data = input.reshape(batch * steps, *input.shape[2:]).index_select(0, _indices(at))
    sizes = _indices((np.arange(n[0])[:, None] < n).sum(1))
    return PackedSequence(data, sizes, order, invert_permutation(order))


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """(padded (T, N, ...) or (N, T, ...), lengths int64 (N)) of a PackedSequence, in the caller's order.

    total_length: pad to that many steps; ValueError if it is less than the longest sequence.
    """
    data, sizes = sequence.data, sequence.batch_sizes.cpu().numpy()
    steps, batch = len(sizes), int(sizes[0])
    total = steps if total_length is None else total_length
    if total < steps:
        raise ValueError(f"[pad_packed_sequence] total_length must be at least the longest length {steps}, got {total}")
    lengths = (np.arange(batch)[:, None] < sizes).sum(1)
    who = np.arange(batch) if sequence.unsorted_indices is None else sequence.unsorted_indices.cpu().numpy()
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1], np.zeros(total - steps, np.int64)])
    t = np.arange(total)[:, None]
    at = np.where(t < lengths[who], starts[:, None] + who, len(data))  # the padding is one row behind the data
    at = at.T if batch_first else at
    padding = creation.full((1, *data.shape[1:]), padding_value, data.dtype, data)
    padded = join.cat([data, padding]).index_select(0, _indices(at.reshape(-1)))
    return padded.reshape(*at.shape, *data.shape[1:]), _indices(lengths[who])


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Tensors (L_i, ...) as one, (T, N, ...) or (N, T, ...), with padding behind ('right') or before ('left') each."""
    if padding_side not in ("right", "left"):
        raise ValueError(f"[pad_sequence] padding_side must be 'right' or 'left', got {padding_side!r}")
    sequences = list(sequences)
    if not sequences:
        raise ValueError("[pad_sequence] sequences must not be empty")
    rest, steps, padded = sequences[0].shape[1:], max(s.shape[0] for s in sequences), []
    for i, s in enumerate(sequences):
        if s.shape[1:] != rest:
            raise ValueError(f"[pad_sequence] sequences must agree but in length, got {sequences[0].shape} and {s.shape} at {i}")
        if s.shape[0] < steps:
            fill = creation.full((steps - s.shape[0], *rest), padding_value, s.dtype, s)
            s = join.cat([s, fill] if padding_side == "right" else [fill, s])
        padded.append(s)
    return join.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """The tensors (L_i, ...) of a padded batch: the inverse of pad_sequence."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[i, : int(n)] for i, n in enumerate(_lengths("unpad_sequence", lengths, x.shape[0], x.shape[1]))]


def pack_sequence(sequences, enforce_sorted=True):
    """The PackedSequence of tensors (L_i, ...)."""
    sequences = list(sequences)
    return pack_padded_sequence(pad_sequence(sequences), [s.shape[0] for s in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """The tensors (L_i, ...) of a PackedSequence: the inverse of pack_sequence."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
