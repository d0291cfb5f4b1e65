# SPDX-License-Identifier: MIT
"""Keys and values kept from step to step while a sequence is generated."""

from __future__ import annotations

from ..autograd import is_grad_enabled
from ..ops import creation
from ..ops.index import index_select
from ..ops.join import cat, narrow

__all__ = ["KeyValueCache"]

_FIRST = 16  # positions that a new cache has room for; it doubles when full


class KeyValueCache:
    """For each of `layers` attention layers the keys and values (N, heads, T, E) seen so far.

    `k, v = cache.update(layer, k, v)` adds those of new positions behind and gives all of them, views of one buffer with
    room to spare, so that a step copies what is new and nothing else. While gradients are recorded, the buffers are new
    tensors each time, that the graph may keep.

    >>> cache = nn.KeyValueCache(layers=1)
    >>> k, v = cache.update(0, lamella.ones(1, 2, 3, 4), lamella.ones(1, 2, 3, 4))
    >>> cache.length, k.shape
    (3, (1, 2, 3, 4))
    """

    def __init__(self, layers):
        self._kept = [None] * layers  # (keys, values) with room, per layer
        self._lengths = [0] * layers

    def __len__(self):
        return len(self._kept)

    def __getitem__(self, layer):
        """(keys, values) of a layer, or None before the first update."""
        kept = self._kept[layer]
        return None if kept is None else tuple(narrow(x, 2, 0, self._lengths[layer]) for x in kept)

    @property
    def length(self):
        """How many positions the first layer holds: where the next one stands."""
        return self._lengths[0] if self._lengths else 0

    def update(self, layer, key, value):
        """Adds key (N, heads, t, E) and value (N, heads, t, Ev); all of the layer's keys and values. ValueError for shapes
        that do not continue what is there."""
        held = self[layer]
        for name, new, old in zip(("key", "value"), (key, value), held or (key, value), strict=True):
            if new.ndim != 4 or (*new.shape[:2], new.shape[3]) != (*old.shape[:2], old.shape[3]):
                raise ValueError(f"[KeyValueCache] {name} must continue {tuple(old.shape)} in dimension 2, got {tuple(new.shape)}")
        start, end = self._lengths[layer], self._lengths[layer] + key.shape[2]
        self._lengths[layer] = end
        if is_grad_enabled() and (key.requires_grad or value.requires_grad):
            pairs = zip(held, (key, value), strict=True) if held else ()
            self._kept[layer] = tuple(cat(pair, 2) for pair in pairs) or (key, value)
            return self[layer]
        if held is None or self._kept[layer][0].shape[2] < end or self._kept[layer][0].requires_grad:
            self._kept[layer] = tuple(self._room(new, held[i] if held else None, end) for i, new in enumerate((key, value)))
        for buffer, new in zip(self._kept[layer], (key, value), strict=True):
            narrow(buffer, 2, start, key.shape[2]).copy_(new)
        return self[layer]

    @staticmethod
    def _room(new, old, end):
        room = max(_FIRST, 2 * end)
        buffer = creation.empty((*new.shape[:2], room, new.shape[3]), dtype=new.dtype, device=new)
        if old is not None:
            narrow(buffer, 2, 0, old.shape[2]).copy_(old.detach())
        return buffer

    def crop(self, length):
        """Forgets all positions from `length` on; a negative one counts from the end."""
        for layer, held in enumerate(self._lengths):
            wanted = held + length if length < 0 else min(length, held)
            if wanted < 0:
                raise ValueError(f"[KeyValueCache.crop] length must be at least {-held}, got {length}")
            self._lengths[layer] = wanted

    def reorder(self, index):
        """Sequence n of the batch becomes what sequence index[n] was: beams that go on from others."""
        for layer in range(len(self)):
            if self[layer] is not None:
                self._kept[layer] = tuple(index_select(x, 0, index) for x in self[layer])

    def reset(self):
        """Forgets everything."""
        self.__init__(len(self))
