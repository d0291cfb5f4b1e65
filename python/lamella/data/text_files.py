# SPDX-License-Identifier: MIT
"""Text in lines: one file, two parallel files, or a labelled table."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .dataset import Dataset
from .sample import random_source
from .table import read_table


def _decoded(op: str, path: str | os.PathLike[str]) -> str:
    if os.path.isdir(path):
        raise ValueError(f"[{op}] path must be a text file, got the folder {os.fspath(path)}")
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"[{op}] {os.fspath(path)}: line {line}: must be UTF-8: {error.reason}") from None


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """The lines of a UTF-8 file (gzipped or not), without their ends. ValueError names a line that is not UTF-8."""
    lines = _decoded("read_lines", path).split("\n")  # splitlines would also split at U+2028 and its like
    return lines[:-1] if lines and not lines[-1] else lines


def read_text(path: str | os.PathLike[str]) -> str:
    """All of a UTF-8 file (gzipped or not), with \\n as line ends. ValueError where there is nothing in it."""
    text = _decoded("read_text", path)
    if not text.strip():
        raise ValueError(f"[read_text] {os.fspath(path)}: must hold text, got an empty file")
    return text


def lines_of(text: str | os.PathLike[str]) -> list[str]:
    """The lines of the file of that name, or of the text itself where there is none.

    >>> lines_of("no file, but a line")
    ['no file, but a line']
    """
    try:
        found = os.path.isfile(text)
    except ValueError:  # a NUL in it
        found = False
    return read_lines(text) if found else os.fspath(text).split("\n")


class TextLines(Dataset):
    """Item i is line i, or transform(line)."""

    def __init__(self, path: str | os.PathLike[str], transform: Callable[[str], Any] | None = None) -> None:
        self.lines, self.transform = read_lines(path), transform

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int) -> Any:
        line = self.lines[index]
        return line if self.transform is None else self.transform(line)


class TextPairs(Dataset):
    """Item i is (line i of source, line i of target), each through its transform: parallel text, for translation."""

    def __init__(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        transform: Callable[[str], Any] | None = None,
        target_transform: Callable[[str], Any] | None = None,
    ) -> None:
        self.source, self.target = read_lines(source), read_lines(target)
        if len(self.source) != len(self.target):
            raise ValueError(
                f"[TextPairs] files must have as many lines: {len(self.source)} in {os.fspath(source)}, "
                f"but {len(self.target)} in {os.fspath(target)}"
            )
        self.transform, self.target_transform = transform, target_transform

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        a, b = self.source[index], self.target[index]
        return (
            a if self.transform is None else self.transform(a),
            b if self.target_transform is None else self.target_transform(b),
        )


class LabelledText(Dataset):
    """(text, class index) of a CSV or TSV file: SST-2, for instance.

    text, label: column names, or positions. Labels that are integers are kept; others are numbered by sorted value
    (`classes`). num_classes: labels must be below it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        text: str | int = 0,
        label: str | int = 1,
        transform: Callable[[str], Any] | None = None,
        num_classes: int | None = None,
        header: bool | None = None,
    ) -> None:
        columns = read_table(path, header=header)
        names = list(columns)

        def column(key: str | int) -> Any:
            if isinstance(key, int) and 0 <= key < len(names):
                return columns[names[key]]
            if key in columns:
                return columns[key]
            raise ValueError(f"[LabelledText] {os.fspath(path)}: must have a column {key!r}, got {', '.join(names)}")

        labels = column(label)
        self.classes: list[Any] = sorted(set(labels.tolist()))
        if labels.dtype.kind != "i":
            number = {name: i for i, name in enumerate(self.classes)}
            self.labels: Sequence[int] = [number[x] for x in labels.tolist()]
        else:
            self.labels = labels.tolist()
        if num_classes is not None:
            for i, y in enumerate(self.labels):
                if not 0 <= y < num_classes:
                    raise ValueError(f"[LabelledText] labels must be in [0, {num_classes}), got {y} in row {i}")
        self.texts, self.transform = column(text).astype(str).tolist(), transform

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        text = self.texts[index]
        return text if self.transform is None else self.transform(text), self.labels[index]


class NextSentence(Dataset):
    """BERT's second task (Devlin et al. 2018): items (ids, segments, is_random_next) of pairs (first, second) of token lists.

    ids: cls first sep second sep, segments: 0 up to the first sep, then 1; the second of every other item, by chance, is that
    of another pair, and is_random_next 1. Both are cut to max_length together, the longer first.

    >>> NextSentence([([7], [8, 9])] * 2, cls=2, sep=3)[0][:2]
    ([2, 7, 3, 8, 9, 3], [0, 0, 0, 1, 1, 1])
    """

    def __init__(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], cls: int, sep: int, max_length: int = 128) -> None:
        if max_length < 5:
            raise ValueError(f"[NextSentence] max_length must be at least 5, got {max_length}")
        if len(pairs) < 2:
            raise ValueError(f"[NextSentence] pairs must be at least 2, got {len(pairs)}")
        self.pairs, self.cls, self.sep, self.max_length = pairs, cls, sep, max_length

    @classmethod
    def halves(cls, texts: Iterable[Sequence[int]], cls_id: int, sep: int, max_length: int = 128) -> NextSentence:
        """Of texts that do not follow each other: whose halves do."""
        return cls([(t[: len(t) // 2], t[len(t) // 2 :]) for t in texts if len(t) > 1], cls_id, sep, max_length)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[list[int], list[int], int]:
        random, n = random_source(), len(self.pairs)
        other = int(random.integers(2))
        first = list(self.pairs[index][0])
        second = list(self.pairs[(index + 1 + int(random.integers(n - 1))) % n if other else index][1])
        while len(first) + len(second) > self.max_length - 3:
            (first if len(first) > len(second) else second).pop()
        ids = [self.cls, *first, self.sep, *second, self.sep]
        return ids, [0] * (len(first) + 2) + [1] * (len(second) + 1), other
