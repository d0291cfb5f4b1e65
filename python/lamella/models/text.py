# SPDX-License-Identifier: MIT
"""From lines of text to lines of text, with a model and its tokenizers."""

from __future__ import annotations

from .. import arange, int64, no_grad, stack, tensor
from ..nn import functional as F
from .generate import generate

__all__ = ["classify_lines", "fill_gaps", "generate_text", "seq2seq_loss", "translate_lines"]


def generate_text(model, tokenizer, prompt, max_new_tokens, **options):
    """The prompt and what a language model says next, as text. Options are those of `generate`. ValueError for an empty
    prompt, and for one with characters that the vocabulary lacks and has no unknown token for.

    >>> tokenizer = lamella.data.CharTokenizer.build("abc")
    >>> model = models.GPT(vocab_size=3, block_size=8, n_layer=1, n_head=2, n_embd=16)
    >>> len(models.generate_text(model, tokenizer, "ab", 5))
    7
    """
    try:
        ids = tokenizer.encode(prompt)
    except ValueError as error:
        raise ValueError(f"[generate_text] prompt must be in the model's vocabulary, got {prompt!r}: {error}") from None
    if not ids:
        raise ValueError(f"[generate_text] prompt must not be empty, got {prompt!r}")
    call = model.generate if hasattr(model, "generate") else lambda *args, **kw: generate(model, *args, **kw)
    return tokenizer.decode(call(tensor([ids], dtype=int64), max_new_tokens, **options)[0].tolist())


@no_grad()
def classify_lines(model, lines, encode):
    """The probabilities (len(lines), classes) of lines of text, of a model of integers (1, T) -> logits (1, classes), one line
    at a time; encode: a line's tokens."""
    return stack([F.softmax(model(tensor([encode(line)], dtype=int64)), -1)[0] for line in lines])


def seq2seq_loss(model, batch, label_smoothing=0.0, pad=0):
    """The mean cross-entropy of each target token after those before it, with what a Trainer wants to know.

    batch: ((source (N, S), lengths (N)), (target (N, T + 1), lengths (N))), as PadCollate(fields=(0, 1)) makes it of pairs
    of token lists; a target begins with the model's `start` and ends with its end token. Returns {"loss", "weight"}: the
    tokens counted.
    """
    (source, lengths), (target, _) = batch
    mask = arange(source.shape[1])[None, :] < lengths[:, None]  # (N, S)
    logits = model(source, target[:, :-1], mask)  # (N, T, V)
    wanted = target[:, 1:]
    smoothing = label_smoothing if model.training else 0.0
    loss = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=pad, label_smoothing=smoothing)
    return {"loss": loss, "weight": (wanted != pad).sum().item()}


def translate_lines(model, source, target, lines, *, eos="<eos>", batch_size=64, max_new_tokens=None, **options):
    """What an encoder-decoder answers to each line: `source` and `target` are its tokenizers, which have the special `eos`.

    Lines of like length go together, batch_size at a time. max_new_tokens: 20 more than twice the longest line's tokens
    unless given. Options are those of `generate`; without any, the likeliest token is taken at each step, and beams stop early.
    An empty line has an empty answer.
    """
    end = source.special(eos)
    ids = [source.encode(line) for line in lines]
    answers = [""] * len(lines)
    order = sorted((i for i, x in enumerate(ids) if x), key=lambda i: len(ids[i]))
    for at in range(0, len(order), batch_size):
        chosen = order[at : at + batch_size]
        most = max_new_tokens or 2 * len(ids[chosen[-1]]) + 20
        prompts = [[*ids[i], end] for i in chosen]
        made = generate(model, prompts, most, **{"temperature": 0, "early_stopping": True, "eos": target.special(eos), **options})
        for i, row in zip(chosen, made.tolist(), strict=True):
            answers[i] = target.decode(row)
    return answers


def fill_gaps(model, tokenizer, line, sentinels, gap="___", eos="</s>", **options):
    """The line with what an encoder-decoder trained on `SpanCorruption` puts for each `gap`; sentinels: the tokens that stand for
    gaps, in order, as names. Further gaps are left as they are. Options are those of `generate`."""
    marks, end = [tokenizer.special(name) for name in sentinels], tokenizer.special(eos)
    parts = line.split(gap, len(marks))
    marks = marks[: len(parts) - 1]
    if not marks:
        return line
    ids = [i for part, mark in zip(parts, [*marks, end], strict=True) for i in (*tokenizer.encode(part), mark)]
    answer = generate(model, [ids], 20 * len(marks), **{"num_beams": 4, "early_stopping": True, "eos": end, **options})
    spans, now = {mark: [] for mark in marks}, []
    for i in answer[0].tolist()[1:]:
        if i == end:
            break
        now = spans.get(i, now)
        if i not in spans:
            now.append(i)
    words = [tokenizer.decode(spans[mark]) for mark in marks]
    return "".join(part + word for part, word in zip(parts, [*words, ""], strict=True))
