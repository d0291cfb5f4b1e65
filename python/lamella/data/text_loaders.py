# SPDX-License-Identifier: MIT
"""Text files as a model wants them: a text in blocks for language models, parallel texts in batches for translation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .collate import PadCollate
from .loader import DataLoader
from .sampler_groups import BucketBatchSampler
from .sequences import TokenBlocks, encode_all
from .text_files import TextPairs, read_text
from .tokenizers import CharTokenizer


def text_blocks(
    path: str | os.PathLike[str] | None, block: int, tokenizer: Any = None, held_out: float = 0.1
) -> tuple[TokenBlocks, TokenBlocks, Any]:
    """(train, validation, tokenizer) of a text file, for a language model.

    The last share `held_out` of the tokens is validation, block after block; the blocks of train begin at every token before
    it. tokenizer: by default one of the file's characters. ValueError for a file that is missing, empty or too short.
    """
    if path is None:
        raise ValueError("[text_blocks] path must be a text file, got None (on the command line: --data FILE)")
    if not 0 < held_out < 1:
        raise ValueError(f"[text_blocks] held_out must be in (0, 1), got {held_out}")
    text = read_text(path)
    tokenizer = CharTokenizer.build(text) if tokenizer is None else tokenizer
    (ids,) = encode_all([text], tokenizer.encode)
    cut = len(ids) - int(held_out * len(ids))
    if min(cut, len(ids) - cut) <= block:
        need = int(np.ceil((block + 1) / min(held_out, 1 - held_out)))
        raise ValueError(f"[text_blocks] {os.fspath(path)}: must have {need} tokens for blocks of {block}, got {len(ids)}")
    return TokenBlocks(ids[:cut], block, 1), TokenBlocks(ids[cut:], block), tokenizer


def parallel_text(folder: str | os.PathLike[str] | None, source: str, target: str) -> dict[str, TextPairs]:
    """{"train": pairs, "val": pairs, "test": pairs} of a folder with train.SOURCE and train.TARGET, and so on: the files
    whose names begin with these words. Without val or test files these are missing from the result; without train it is
    a ValueError, as are files of different lengths and empty ones."""
    if folder is None or not Path(folder).is_dir():
        raise ValueError(f"[parallel_text] folder must hold train.{source} and train.{target}, got {folder} (on the command line: --data DIR)")
    found = {}
    for part in ("train", "val", "test"):
        files = [sorted(Path(folder).glob(f"{part}*.{language}")) for language in (source, target)]
        if all(files):
            found[part] = TextPairs(files[0][0], files[1][0])
            if not len(found[part]):
                raise ValueError(f"[parallel_text] {files[0][0]}: must have lines, got an empty file")
        elif any(files) or part == "train":
            there = ", ".join(sorted(p.name for p in Path(folder).iterdir())[:12]) or "nothing"
            raise ValueError(f"[parallel_text] {folder}: must hold {part}.{source} and {part}.{target}, got {there}")
    return found


def bucket_loader(
    items: Any,
    batch_size: int | None = None,
    max_tokens: int | None = None,
    shuffle: bool = True,
    fields: Sequence[int] = (0,),
    lengths: Sequence[int] | None = None,
) -> DataLoader:
    """Batches of items whose `fields` are lists of tokens, each padded to (ids (N, T), lengths (N)): items of like length go
    together, batch_size of them, or as many as keep N times the longest at most max_tokens. lengths:
    of the items, where looking at each would be slow, or random.

    >>> loader = bucket_loader([([5, 6, 7], 0), ([8], 1), ([9], 0)], batch_size=2, shuffle=False)
    >>> [ids.tolist() for (ids, lengths), labels in loader]
    [[[8], [9]], [[5, 6, 7]]]
    """
    lengths = [max(len(item[i]) for i in fields) for item in items] if lengths is None else lengths
    sampler = BucketBatchSampler(lengths, batch_size, max_tokens, shuffle)
    return DataLoader(items, batch_sampler=sampler, collate_fn=PadCollate(fields=fields))


def pair_loader(pairs: TextPairs, source: Any, target: Any, max_tokens: int, shuffle: bool = True) -> DataLoader:
    """Batches ((source (N, S), lengths (N)), (target (N, T), lengths (N))) of parallel text, for `models.seq2seq_loss`.

    source and target are tokenizers; a source ends with <eos>, a target begins with <bos> and ends with <eos>. Pairs of like
    length go together, as many as keep N times the longest at most max_tokens; longer ones are cut to that.
    """
    items = []
    for a, b in zip(pairs.source, pairs.target, strict=True):
        x = [*source.encode(a)[: max_tokens - 1], source.special("<eos>")]
        y = [target.special("<bos>"), *target.encode(b)[: max_tokens - 2], target.special("<eos>")]
        items.append((np.array(x), np.array(y)))
    return bucket_loader(items, max_tokens=max_tokens, shuffle=shuffle, fields=(0, 1))
