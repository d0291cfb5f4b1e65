# SPDX-License-Identifier: MIT
"""Generation from language models: greedy, sampling by temperature, top-k and top-p, and beam search.

A decoder-only model is called as model(idx, cache, attention_mask) and gives logits (N, T, V); an encoder-decoder has
encode(idx, attention_mask) -> memory, a tuple of tensors with N in front or None, decode(idx, memory, cache) -> logits,
and `start`, the token that its sequences begin with. Both have new_cache(): an object with `length` and `reorder(index)`.
"""

from __future__ import annotations

import math

from .. import arange, cat, full, int64, log_softmax, multinomial, nn, no_grad, softmax, stack, tensor, where
from .. import bool as boolean

__all__ = ["DecoderCache", "StateCache", "filter_logits", "generate", "pad_batch"]


class DecoderCache(nn.KeyValueCache):
    """A decoder's own keys and values, and for each layer those of the encoder's output, which are made once."""

    def __init__(self, layers):
        super().__init__(layers)
        self._crossed = [None] * layers

    def crossed(self, layer, make):
        """The layer's (keys, values) of the encoder's output: make() the first time."""
        if self._crossed[layer] is None:
            self._crossed[layer] = make()
        return self._crossed[layer]

    def reorder(self, index):
        """Sequence n of the batch becomes what sequence index[n] was."""
        super().reorder(index)
        self._crossed = [pair and tuple(x.index_select(0, index) for x in pair) for pair in self._crossed]


class StateCache:
    """The state of a recurrent model after `length` steps: a tensor, or a tuple of them, with N in dimension `dim`."""

    def __init__(self, dim=1):
        self.state, self.length, self.dim = None, 0, dim

    def reorder(self, index):
        """Sequence n of the batch becomes what sequence index[n] was."""
        if isinstance(self.state, tuple):
            self.state = tuple(x.index_select(self.dim, index) for x in self.state)
        elif self.state is not None:
            self.state = self.state.index_select(self.dim, index)


def pad_batch(sequences, pad=0, left=False):
    """(idx (N, T), attention_mask (N, T)) of lists of integers of different lengths, padded on the right, or on the left.

    >>> models.pad_batch([[5, 6, 7], [8]], left=True)[0].tolist()
    [[5, 6, 7], [0, 0, 8]]
    """
    if not sequences or any(len(s) == 0 for s in sequences):
        raise ValueError(f"[pad_batch] sequences must not be empty, got lengths {[len(s) for s in sequences]}")
    longest = max(map(len, sequences))

    def rows(fill, values):
        gaps = [[fill] * (longest - len(s)) for s in sequences]
        return [gap + v if left else v + gap for gap, v in zip(gaps, values, strict=True)]

    idx = rows(pad, [list(s) for s in sequences])
    return tensor(idx, dtype=int64), tensor(rows(False, [[True] * len(s) for s in sequences]), dtype=boolean)


def filter_logits(logits, top_k=None, top_p=None):
    """logits (..., V) with -infinity for all but the top_k largest, and for all but the fewest whose probabilities reach
    top_p together (nucleus sampling, Holtzman et al. 2019). ValueError for a top_k below 1 and a top_p outside (0, 1]."""
    if top_k is not None and top_k < 1:
        raise ValueError(f"[generate] top_k must be at least 1, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"[generate] top_p must be in (0, 1], got {top_p}")
    if top_k is not None and top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[..., -1:], -math.inf)
    if top_p is not None and top_p < 1:
        ordered = logits.sort(-1, descending=True).values
        p = softmax(ordered, -1)
        before = p.cumsum(-1) - p  # what the larger ones have together
        least = where(before < top_p, ordered, math.inf).amin(-1, keepdim=True)
        logits = logits.masked_fill(logits < least, -math.inf)
    return logits


class _Run:
    """A batch of sequences as the model continues them: hands over what is new, keeps cache, mask and memory."""

    def __init__(self, model, prompt, attention_mask, pad):
        self.model, self.encoded = model, hasattr(model, "encode")
        if isinstance(prompt, (list, tuple)):
            if attention_mask is not None:
                raise ValueError("[generate] attention_mask must be None where prompt is a list, got one")
            prompt, attention_mask = pad_batch(prompt, pad, left=not self.encoded)
            if bool(attention_mask.all()):
                attention_mask = None
        if prompt.ndim != 2 or prompt.shape[1] == 0:
            raise ValueError(f"[generate] prompt must have shape (N, T), T at least 1, got {tuple(prompt.shape)}")
        if attention_mask is not None and tuple(attention_mask.shape) != tuple(prompt.shape):
            wanted, got = tuple(prompt.shape), tuple(attention_mask.shape)
            raise ValueError(f"[generate] attention_mask must have shape {wanted}, got {got}")
        self.cache, self.limit = model.new_cache(), getattr(model, "block_size", None)
        if self.encoded:
            self.memory, self.mask = model.encode(prompt, attention_mask), None
            self.idx = full((prompt.shape[0], 1), model.start, dtype=int64)
        else:
            self.memory, self.mask, self.idx = None, attention_mask, prompt
        self.fresh = self.idx if self.limit is None else self.idx[:, -self.limit :]

    def logits(self):
        """Of the next token, (N, V)."""
        if self.encoded:
            return self.model.decode(self.fresh, self.memory, self.cache)[:, -1]
        if self.limit is not None and self.cache.length == self.limit:
            self.cache, self.fresh = self.model.new_cache(), self.idx[:, -max(1, self.limit // 2) :]
        mask = self.mask
        if mask is not None:
            mask = mask[:, -(self.cache.length + self.fresh.shape[1]) :]
        return self.model(self.fresh, self.cache, mask)[:, -1]

    def append(self, token):
        """token (N, 1) comes next."""
        self.fresh, self.idx = token, cat([self.idx, token], 1)
        if self.mask is not None:
            self.mask = cat([self.mask.to(boolean), full(token.shape, True, dtype=boolean)], 1)

    def select(self, index):
        """Sequence n becomes what index[n] was; there may be more of them than before."""
        self.idx, self.fresh = self.idx.index_select(0, index), self.fresh.index_select(0, index)
        self.cache.reorder(index)
        if self.mask is not None:
            self.mask = self.mask.index_select(0, index)
        if self.memory is not None:
            self.memory = tuple(m if m is None else m.index_select(0, index) for m in self.memory)


@no_grad()
def generate(
    model,
    prompt,
    max_new_tokens,
    *,
    temperature=1.0,
    top_k=None,
    top_p=None,
    num_beams=1,
    length_penalty=1.0,
    early_stopping=False,
    eos=None,
    pad=0,
    attention_mask=None,
    generator=None,
):
    """The prompt (N, T) with what the model says next, (N, T + at most max_new_tokens); of an encoder-decoder the answers
    to the prompt, which begin with its start token.

    Tokens are drawn from softmax(logits / temperature), after `filter_logits`; temperature 0 takes the likeliest. With
    num_beams > 1 nothing is drawn: of so many beginnings each step keeps the likeliest, and the result is the sequence
    with the greatest log-probability / length^length_penalty found, where length counts new tokens; early_stopping: once
    num_beams have ended, each among the likeliest num_beams of its step, no others are looked for. A sequence ends with the
    token `eos`, and is `pad` from there on. prompt may be a list of lists of different lengths: a decoder's are padded on the
    left, or give attention_mask (N, T) yourself, 0 for padding. Dropout is as the mode says: call eval() before. ValueError
    for arguments out of their ranges.

    >>> model = models.GPT(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=16)
    >>> models.generate(model, [[1, 2, 3], [4]], 5, temperature=0).shape
    (2, 8)
    """
    if temperature < 0:
        raise ValueError(f"[generate] temperature must not be negative, got {temperature}")
    if num_beams < 1:
        raise ValueError(f"[generate] num_beams must be at least 1, got {num_beams}")
    filter_logits(full((1, 1), 0.0), top_k, top_p)
    run = _Run(model, prompt, attention_mask, pad)
    if num_beams > 1:
        return _beams(run, max_new_tokens, num_beams, length_penalty, early_stopping, eos, pad)
    done = full((run.idx.shape[0], 1), False, dtype=boolean)
    for _ in range(max_new_tokens):
        logits = run.logits()  # (N, V)
        if temperature == 0:
            token = logits.argmax(-1, keepdim=True)
        else:
            p = softmax(filter_logits(logits / temperature, top_k, top_p), -1)
            token = multinomial(p, 1, generator=generator)
        if eos is not None:
            token = where(done, pad, token)
            done = done | (token == eos)
        run.append(token)
        if eos is not None and bool(done.all()):
            break
    return run.idx


def _beams(run, steps, beams, length_penalty, early_stopping, eos, pad):
    """The best of `beams` sequences for each row."""
    n, begin = run.idx.shape
    run.select(arange(n).repeat_interleave(beams))
    scores = full((n, beams), -math.inf)  # all beams of a row are equal at first: one counts
    scores[:, 0] = 0.0
    best = [(-math.inf, None)] * n  # (score, tokens) of sequences that have ended
    ended = [0] * n  # how many, of the likeliest
    base = arange(n).unsqueeze(1) * beams  # the first beam of each row
    for step in range(1, steps + 1):
        logp = log_softmax(run.logits().float(), -1)  # (N beams, V)
        v = logp.shape[-1]
        total = (scores.reshape(-1, 1) + logp).reshape(n, beams * v)
        if eos is not None:
            ends = total.reshape(n, beams, v)[:, :, eos] / step**length_penalty  # (N, beams)
            for row, (score, beam) in enumerate(zip(*(x.tolist() for x in ends.max(1)), strict=True)):
                if score > best[row][0] and not (early_stopping and ended[row] >= beams):
                    best[row] = (score, [*run.idx[row * beams + beam].tolist(), eos])
            if early_stopping:
                among = total.reshape(n, beams, v)[:, :, eos] >= total.topk(beams).values[:, -1:]
                ended = [a + b for a, b in zip(ended, among.sum(1).tolist(), strict=True)]
            total = total.reshape(n, beams, v)
            total[:, :, eos] = -math.inf
            total = total.reshape(n, beams * v)
        scores, chosen = total.topk(beams)
        run.select((base + chosen // v).reshape(-1))
        run.append((chosen % v).reshape(-1, 1))
        # A score only falls; over a length that grows it can rise towards 0, at most to that over the last step.
        hope = (scores[:, 0] / (steps if length_penalty > 0 else step + 1) ** length_penalty).tolist()
        if all(b[0] >= h or (early_stopping and e >= beams) for b, h, e in zip(best, hope, ended, strict=True)):
            break
    rows = []
    for row, (score, tokens) in enumerate(best):
        alive = scores[row, 0].item() / max(1, run.idx.shape[1] - begin) ** length_penalty
        longer = alive > score and not (early_stopping and ended[row] >= beams)
        rows.append(run.idx[row * beams].tolist() if tokens is None or longer else tokens)
    longest = max(map(len, rows))
    return stack([tensor(r + [pad] * (longest - len(r)), dtype=int64) for r in rows])
