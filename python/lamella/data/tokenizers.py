# SPDX-License-Identifier: MIT
"""From text to token ids and back: bytes, characters, words, or a tokenizer of the `tokenizers` library."""

from __future__ import annotations

import collections
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np


class Vocabulary:
    """Tokens by number: the specials first, then by falling frequency, ties by the token itself.

    unk: the special that stands for every token not in it; None makes an unknown token an error.

    >>> words = Vocabulary.build([["a", "b", "a"], ["c"]], specials=["<pad>", "<unk>"])
    >>> words.tokens, words(["a", "x"])
    (['<pad>', '<unk>', 'a', 'b', 'c'], [2, 1])
    """

    def __init__(self, tokens: Sequence[str], unk: str | None = None) -> None:
        self.tokens, self.unk = list(tokens), unk
        self.index = {token: i for i, token in enumerate(self.tokens)}
        if len(self.index) != len(self.tokens):
            twice = next(t for t, n in collections.Counter(self.tokens).items() if n > 1)
            raise ValueError(f"[Vocabulary] tokens must differ, got {twice!r} twice")
        if unk is not None and unk not in self.index:
            raise ValueError(f"[Vocabulary] unk must be one of the tokens, got {unk!r}")

    @classmethod
    def build(
        cls,
        texts: Iterable[Iterable[str]],
        min_freq: int = 1,
        max_tokens: int | None = None,
        specials: Sequence[str] = ("<pad>", "<unk>", "<bos>", "<eos>"),
        unk: str | None = "<unk>",
    ) -> Vocabulary:
        """Of all tokens in `texts` (lists of tokens) that occur min_freq times; max_tokens counts the specials."""
        if min_freq < 1:
            raise ValueError(f"[Vocabulary] min_freq must be positive, got {min_freq}")
        counts: collections.Counter[str] = collections.Counter()
        for text in texts:
            counts.update(text)
        for special in specials:
            counts.pop(special, None)
        found = [t for t, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])) if n >= min_freq]
        tokens = [*specials, *found][: max_tokens if max_tokens is None else max(max_tokens, len(specials))]
        return cls(tokens, unk if unk in specials else None)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self.index

    def __getitem__(self, token: str) -> int:
        found = self.index.get(token)
        if found is not None:
            return found
        if self.unk is None:
            raise ValueError(f"[Vocabulary] token must be one of its {len(self)}, got {token!r}: build it with an unk")
        return self.index[self.unk]

    def __call__(self, tokens: Iterable[str]) -> list[int]:
        return [self[token] for token in tokens]

    def lookup(self, ids: Iterable[int]) -> list[str]:
        """The tokens of ids; ValueError for one that is out of range."""
        made = []
        for i in ids:
            if not 0 <= int(i) < len(self.tokens):
                raise ValueError(f"[Vocabulary] ids must be in [0, {len(self.tokens)}), got {int(i)}")
            made.append(self.tokens[int(i)])
        return made


class ByteTokenizer:
    """The bytes of UTF-8: 256 ids after the specials; any text can be written.

    >>> t = ByteTokenizer()
    >>> t.encode("hé"), t.decode([104, 195, 169])
    ([104, 195, 169], 'hé')
    """

    def __init__(self, specials: Sequence[str] = ()) -> None:
        self.specials = list(specials)

    def __len__(self) -> int:
        return 256 + len(self.specials)

    def special(self, name: str) -> int:
        """The id of a special: they come first."""
        if name not in self.specials:
            raise ValueError(f"[ByteTokenizer] special must be one of {self.specials}, got {name!r}")
        return self.specials.index(name)

    def to_dict(self) -> dict[str, Any]:
        """What `tokenizer_from_dict` makes it of again."""
        return {"kind": "ByteTokenizer", "specials": self.specials}

    @classmethod
    def from_dict(cls, known: dict[str, Any]) -> ByteTokenizer:
        """Of what to_dict gave."""
        return cls(known["specials"])

    def encode(self, text: str) -> list[int]:
        return (np.frombuffer(text.encode(), np.uint8).astype(np.int64) + len(self.specials)).tolist()

    def decode(self, ids: Iterable[int]) -> str:
        """Specials are left out; bytes that are no UTF-8 become U+FFFD."""
        shift = len(self.specials)
        made = [int(i) - shift for i in ids]
        if any(not -shift <= b < 256 for b in made):
            bad = next(b for b in made if not -shift <= b < 256)
            raise ValueError(f"[ByteTokenizer] ids must be in [0, {len(self)}), got {bad + shift}")
        return bytes(b for b in made if b >= 0).decode(errors="replace")


class _VocabularyTokenizer:
    """Text to tokens (split), tokens to ids (vocabulary), and back (join)."""

    joiner = ""

    def __init__(self, vocabulary: Vocabulary, specials: Sequence[str] = ()) -> None:
        self.vocabulary, self.specials = vocabulary, list(specials)

    def split(self, text: str) -> list[str]:
        return list(text)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def special(self, name: str) -> int:
        """The id of a special token."""
        if name not in self.specials:
            raise ValueError(f"[{type(self).__name__}] special must be one of {self.specials}, got {name!r}")
        return self.vocabulary.index[name]

    def encode(self, text: str) -> list[int]:
        return self.vocabulary(self.split(text))

    def decode(self, ids: Iterable[int]) -> str:
        """Specials are left out, but for the one of unknown tokens."""
        left_out = {s for s in self.specials if s != self.vocabulary.unk}
        return self.joiner.join(t for t in self.vocabulary.lookup(ids) if t not in left_out)

    def to_dict(self) -> dict[str, Any]:
        """What `tokenizer_from_dict` makes it of again, as JSON knows it."""
        known = {"kind": type(self).__name__, "tokens": self.vocabulary.tokens, "unk": self.vocabulary.unk}
        return {**known, "specials": self.specials}

    @classmethod
    def from_dict(cls, known: dict[str, Any], **options: Any) -> Any:
        """Of what to_dict gave; options go before what it says."""
        kept = {name: value for name, value in known.items() if name not in ("kind", "tokens", "unk")}
        return cls(Vocabulary(known["tokens"], known["unk"]), **{**kept, **options})

    def save(self, path: str | os.PathLike[str]) -> None:
        """to_dict as JSON."""
        Path(path).write_text(json.dumps(self.to_dict(), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: Any) -> Any:
        """What save wrote; ValueError for another file."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")), **options)
        except (AttributeError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"[{cls.__name__}] {os.fspath(path)}: not a saved vocabulary: {error}") from None


class CharTokenizer(_VocabularyTokenizer):
    """One id per character that occurs in the text it was built from, in the order of code points.

    >>> t = CharTokenizer.build("abba")
    >>> t.encode("ba"), t.decode([0, 1])
    ([1, 0], 'ab')
    """

    @classmethod
    def build(cls, text: str | Iterable[str], specials: Sequence[str] = (), unk: str | None = None) -> CharTokenizer:
        found: set[str] = set()
        for part in [text] if isinstance(text, str) else text:
            found.update(part)
        return cls(Vocabulary([*specials, *sorted(found - set(specials))], unk), specials)


_WORDS = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


class WordTokenizer(_VocabularyTokenizer):
    """Words of a Vocabulary. split: "whitespace", "words" (words and single punctuation marks), or a function.

    >>> t = WordTokenizer.build(["the cat", "the dog"], min_freq=2)
    >>> t.encode("the cow"), t.decode(t.encode("the the"))
    ([4, 1], 'the the')
    """

    joiner = " "

    def __init__(
        self,
        vocabulary: Vocabulary,
        split: str | Callable[[str], list[str]] = "whitespace",
        lower: bool = False,
        specials: Sequence[str] = (),
    ) -> None:
        super().__init__(vocabulary, specials)
        self.splitter, self.lower, self._split = self.splitter_of(split), lower, split

    @staticmethod
    def splitter_of(split: str | Callable[[str], list[str]]) -> Callable[[str], list[str]]:
        if callable(split):
            return split
        if split not in ("whitespace", "words"):
            raise ValueError(f"[WordTokenizer] split must be 'whitespace', 'words' or a function, got {split!r}")
        return str.split if split == "whitespace" else _WORDS.findall

    def split(self, text: str) -> list[str]:
        return self.splitter(text.lower() if self.lower else text)

    def to_dict(self) -> dict[str, Any]:
        """As of every vocabulary; a `split` that is a function is not kept: give it to from_dict again."""
        return {**super().to_dict(), "lower": self.lower, **({} if callable(self._split) else {"split": self._split})}

    @classmethod
    def build(
        cls,
        texts: Iterable[str],
        min_freq: int = 1,
        max_tokens: int | None = None,
        specials: Sequence[str] = ("<pad>", "<unk>", "<bos>", "<eos>"),
        unk: str | None = "<unk>",
        split: str | Callable[[str], list[str]] = "whitespace",
        lower: bool = False,
    ) -> WordTokenizer:
        splitter = cls.splitter_of(split)
        parts: Iterator[list[str]] = (splitter(t.lower() if lower else t) for t in texts)
        return cls(Vocabulary.build(parts, min_freq, max_tokens, specials, unk), split, lower, specials)


class LibraryTokenizer:
    """A tokenizer of Hugging Face's `tokenizers` library, such as a model's tokenizer.json: pip install tokenizers."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @staticmethod
    def _library() -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise ImportError("LibraryTokenizer needs tokenizers: pip install tokenizers") from None
        return Tokenizer

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> LibraryTokenizer:
        """Of a tokenizer.json, or of the folder that holds it."""
        library, path = cls._library(), Path(path)
        path = path / "tokenizer.json" if path.is_dir() else path
        if not path.is_file():
            raise ValueError(f"[LibraryTokenizer] path must be a tokenizer.json, got {path}")
        return cls(library.from_file(str(path)))

    def to_dict(self) -> dict[str, Any]:
        """What `tokenizer_from_dict` makes it of again."""
        return {"kind": "LibraryTokenizer", "json": self.tokenizer.to_str()}

    @classmethod
    def from_dict(cls, known: dict[str, Any]) -> LibraryTokenizer:
        """Of what to_dict gave."""
        return cls(cls._library().from_str(known["json"]))

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def special(self, name: str) -> int:
        found = self.tokenizer.token_to_id(name)
        if found is None:
            raise ValueError(f"[LibraryTokenizer] special must be a token of it, got {name!r}")
        return found

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=add_special_tokens).ids

    def decode(self, ids: Iterable[int]) -> str:
        return self.tokenizer.decode([int(i) for i in ids])


def tokenizer_from_dict(known: dict[str, Any]) -> Any:
    """The tokenizer whose to_dict() this is: what a checkpoint keeps beside its weights. ValueError for anything else.

    >>> tokenizer_from_dict(CharTokenizer.build("abba").to_dict()).encode("ba")
    [1, 0]
    """
    kinds = {c.__name__: c for c in (ByteTokenizer, CharTokenizer, WordTokenizer, LibraryTokenizer)}
    if not isinstance(known, dict) or known.get("kind") not in kinds:
        got = known.get("kind") if isinstance(known, dict) else type(known).__name__
        raise ValueError(f"[tokenizer_from_dict] kind must be one of {', '.join(kinds)}, got {got!r}")
    try:
        return kinds[known["kind"]].from_dict(known)
    except (KeyError, TypeError) as error:
        raise ValueError(f"[tokenizer_from_dict] must be what to_dict gave, got {', '.join(known)}: {error}") from None
