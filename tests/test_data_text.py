# SPDX-License-Identifier: MIT
"""Tokenizers, vocabularies, padding and packing of tokens, augmentation of text."""

import collections
import importlib.util
import json
import types

import numpy as np
import pytest

import lamella
from lamella import data
from lamella.data import transforms as T


def test_vocabulary():
    texts = [t.split() for t in ("b a", "a c", "a b d")]
    words = data.Vocabulary.build(texts, min_freq=2, specials=["<pad>", "<unk>"])
    assert words.tokens == ["<pad>", "<unk>", "a", "b"] and len(words) == 4 and "c" not in words
    assert words(["b", "zebra"]) == [3, 1] and words.lookup([2, 3]) == ["a", "b"]
    assert data.Vocabulary.build(texts, max_tokens=6).tokens[4:] == ["a", "b"]
    closed = data.Vocabulary.build(texts, specials=[], unk=None)
    for text, call in {
        r"token must be one of its 4, got 'zebra': build it with an unk": lambda: closed(["zebra"]),
        r"ids must be in \[0, 4\), got 4": lambda: closed.lookup([4]),
        r"tokens must differ, got 'a' twice": lambda: data.Vocabulary(["a", "a"]),
        r"unk must be one of the tokens, got '\?'": lambda: data.Vocabulary(["a"], unk="?"),
        r"min_freq must be positive, got 0": lambda: data.Vocabulary.build(texts, min_freq=0),
    }.items():
        with pytest.raises(ValueError, match=text):
            call()


def test_bytes_and_characters(tmp_path):
    text = "naïve 日本 🙂\n"
    for tokenizer in (data.ByteTokenizer(), data.ByteTokenizer(["<bos>", "<eos>"]), data.CharTokenizer.build(text)):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text and max(ids) < len(tokenizer)
    marked = data.ByteTokenizer(["<bos>"])
    assert marked.encode("A") == [66] and marked.decode([0, 66, 256]) == "A\ufffd" and marked.special("<bos>") == 0
    with pytest.raises(ValueError, match=r"ids must be in \[0, 257\), got 257"):
        marked.decode([257])
    chars = data.CharTokenizer.build(["ab", "bc"], specials=["<pad>", "<unk>"], unk="<unk>")
    assert chars.encode("cab!") == [4, 2, 3, 1] and chars.decode([0, 4, 1]) == "c<unk>"
    chars.save(tmp_path / "chars.json")
    again = data.CharTokenizer.load(tmp_path / "chars.json")
    assert again.encode("cab!") == [4, 2, 3, 1] and again.special("<pad>") == 0
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(ValueError, match=r"bad\.json: not a saved vocabulary"):
        data.CharTokenizer.load(tmp_path / "bad.json")


def test_words():
    words = data.WordTokenizer.build(["Don't stop, now.", "stop!"], split="words", lower=True)
    assert words.vocabulary.tokens[4:] == ["stop", "!", ",", ".", "don't", "now"]
    assert words.encode("STOP it") == [4, 1] and words.decode([2, 4, 1, 3, 0]) == "stop <unk>"
    assert data.WordTokenizer.build(["a b"], split=list, specials=(), unk=None).encode("b a") == [2, 0, 1]
    with pytest.raises(ValueError, match="split must be 'whitespace', 'words' or a function, got 'bpe'"):
        data.WordTokenizer.build(["a"], split="bpe")
    with pytest.raises(ValueError, match=r"\[WordTokenizer\] special must be one of"):
        words.special("<cls>")


def test_library_tokenizer(tmp_path, monkeypatch):
    class Fake:
        def encode(self, text, add_special_tokens):
            return types.SimpleNamespace(ids=[len(w) for w in text.split()] + [0] * add_special_tokens)

        def decode(self, ids):
            return str(ids)

        def get_vocab_size(self):
            return 9

        def token_to_id(self, name):
            return {"[CLS]": 3}.get(name)

    t = data.LibraryTokenizer(Fake())
    assert t.encode("a bc") == [1, 2] and t.encode("a", add_special_tokens=True) == [1, 0]
    assert t.decode(lamella.tensor([1, 2])) == "[1, 2]" and len(t) == 9 and t.special("[CLS]") == 3
    with pytest.raises(ValueError, match=r"special must be a token of it, got '\[SEP\]'"):
        t.special("[SEP]")
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(ImportError, match="pip install tokenizers"):
        data.LibraryTokenizer.from_file(tmp_path / "tokenizer.json")


def test_tokenizers_as_dicts():
    """What a checkpoint keeps makes the same tokenizer, also after JSON."""
    text = "The cat, the Dog."
    made = [
        data.ByteTokenizer(["<bos>"]),
        data.CharTokenizer.build(text, ["<unk>"], "<unk>"),
        data.WordTokenizer.build([text], split="words", lower=True),
    ]
    if importlib.util.find_spec("tokenizers"):
        import tokenizers

        made.append(data.LibraryTokenizer(tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate(sorted(set(text)))}, []))))
    for tokenizer in made:
        again = data.tokenizer_from_dict(json.loads(json.dumps(tokenizer.to_dict())))
        assert type(again) is type(tokenizer) and again.encode("the Dog") == tokenizer.encode("the Dog") and len(again) == len(tokenizer)
    own = data.WordTokenizer.build(["a b"], split=list)
    assert data.WordTokenizer.from_dict(own.to_dict(), split=list).encode("ab") == own.encode("ab")
    wrong = (({"kind": "BPE"}, "kind must be one of .*, got 'BPE'"), ([], "got 'list'"), ({"kind": "CharTokenizer"}, "must be what to_dict"))
    for known, text in wrong:
        with pytest.raises(ValueError, match=text):
            data.tokenizer_from_dict(known)


def test_texts_for_models(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"ab\r\nba\n" * 50)
    train, held_out, tokenizer = data.text_blocks(path, 4, held_out=0.2)
    assert (len(tokenizer), len(train.tokens), len(held_out.tokens)) == (3, 240, 60) and (train.stride, held_out.stride) == (1, 4)
    assert tokenizer.decode(train[1][0].tolist()) == "b\nba" and data.lines_of(path) == ["ab", "ba"] * 50
    assert data.lines_of("x\ny") == ["x", "y"] and data.lines_of("a\0b") == ["a\0b"] and data.lines_of("é" * 5000) == ["é" * 5000]
    for part, lines in (("train", "a b\nc\n"), ("valid", "b\n"), ("test2", "c\n")):
        for language in ("de", "en"):
            (tmp_path / f"{part}.{language}").write_text(lines)
    texts = data.parallel_text(tmp_path, "de", "en")
    assert {name: len(pairs) for name, pairs in texts.items()} == {"train": 2, "val": 1, "test": 1}
    words = data.WordTokenizer.build(texts["train"].source)
    (((x, n), (y, m)),) = data.pair_loader(texts["train"], words, words, max_tokens=8, shuffle=False)
    assert (x.tolist(), n.tolist()) == ([[6, 3, 0], [4, 5, 3]], [2, 3]) and y.tolist() == [[2, 6, 3, 0], [2, 4, 5, 3]] and m.tolist() == [3, 4]
    (tmp_path / "val.de").write_text("x\n")
    with pytest.raises(ValueError, match=r"folder must hold train.de and train.en, got None"):
        data.parallel_text(None, "de", "en")
    with pytest.raises(ValueError, match=r"held_out must be in \(0, 1\), got 1"):
        data.text_blocks(path, 4, held_out=1)


def test_span_corruption():
    """Spans and what stays make the text again; about a share `rate` is gone."""
    lamella.manual_seed(0)
    corrupt, gone = T.SpanCorruption([90, 91, 92, 93, 94], eos=1, rate=0.2, mean_length=2.0), 0
    for n in (2, 3, 10, 20, 21):
        for _ in range(20):
            ids = list(range(10, 10 + n))
            inputs, targets = corrupt(ids)
            assert inputs[-1] == targets[-1] == 1 and inputs[0] == 10 and targets[0] == 90
            spans, whole = {}, []
            for i in targets[:-1]:
                if i >= 90:
                    spans[i] = []
                else:
                    spans[max(spans)].append(i)
            for i in inputs[:-1]:
                whole += spans.pop(i) if i >= 90 else [i]
            assert whole == ids and not spans
            gone += len(targets) - 1 - sum(i >= 90 for i in targets) if n == 20 else 0
    assert gone == 20 * 4 and corrupt([7]) == ([7, 1], [1]) and corrupt([]) == ([1], [1])
    for bad in ({"rate": 1.0}, {"mean_length": 0.5}):
        with pytest.raises(ValueError, match="must be"):
            T.SpanCorruption([9], 1, **bad)
    with pytest.raises(ValueError, match=r"with a sentinel, got 3\.0 and 0"):
        T.SpanCorruption([], 1)


def test_next_sentence():
    pairs = [([10 + i] * 3, [50 + i] * 4) for i in range(20)]
    items = data.NextSentence(pairs, cls=2, sep=3, max_length=9)
    loader = data.bucket_loader(items, batch_size=20, fields=(0, 1), lengths=[9] * 20)
    ((ids, lengths), (segments, _), other), again = next(iter(loader)), next(iter(loader))
    assert not again[2].tolist() == other.tolist() and 4 <= other.sum().item() <= 16  # 0.5 of 20, 2.7 deviations
    for row, n, segment, random in zip(ids.tolist(), lengths.tolist(), segments.tolist(), other.tolist(), strict=True):
        assert n == 9 and row == [2, *[row[1]] * 3, 3, *[row[5]] * 3, 3] and segment == [0] * 5 + [1] * 4
        assert (row[5] - row[1] != 40) == bool(random)
    halves = data.NextSentence.halves([[5], [5, 6], [7, 8, 9]], 2, 3)
    assert halves.pairs == [([5], [6]), ([7], [8, 9])]
    for text, call in (("pairs must be at least 2, got 1", lambda: data.NextSentence(pairs[:1], 2, 3)),
                       ("max_length must be at least 5", lambda: data.NextSentence(pairs, 2, 3, max_length=4))):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            call()


def test_padding():
    ids, lengths = data.pad_tokens([[1, 2, 3, 4], [], [5]], padding_value=9, max_length=3, multiple=4)
    assert ids.tolist() == [[1, 2, 3, 9], [9] * 4, [5, 9, 9, 9]] and lengths.tolist() == [3, 0, 1]
    assert data.pad_tokens([[1, 2], [3]], padding_side="left")[0].tolist() == [[1, 2], [0, 3]]
    assert data.pad_tokens([])[0].shape == (0, 0)
    assert data.truncate(range(5), 3, side="left") == [2, 3, 4] and data.truncate([1], 3) == [1]
    with pytest.raises(ValueError, match="max_length must be positive and at least keep_last, got 1 and 2"):
        data.truncate([1, 2, 3], 1, keep_last=2)


def test_packing():
    assert data.pack_tokens([[1, 2, 3], [4], []], 2, eos=0).tolist() == [[1, 2], [3, 0], [4, 0]]
    assert data.pack_tokens([[1, 2, 3]], 2, drop_last=False, padding_value=7).tolist() == [[1, 2], [3, 7]]
    assert data.pack_tokens([[1]], 2).shape == (0, 2)
    blocks = data.TokenBlocks(np.arange(10, dtype=np.uint16), 3)
    assert len(blocks) == 3 and blocks[2][1].tolist() == [7, 8, 9] == blocks[-1][1].tolist()
    x, y = next(iter(data.DataLoader(blocks, 3)))
    assert x.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]] and lamella.equal(y, x + 1)
    assert len(data.TokenBlocks(range(10), 3, stride=1)) == 7
    with pytest.raises(IndexError, match=r"index must be in \[-3, 3\), got \[3\]"):
        blocks[3]
    with pytest.raises(ValueError, match="tokens must be more than block = 3 integers in one row, got int64"):
        data.TokenBlocks([1, 2, 3], 3)


def test_word_augmentation():
    words = [f"w{i}" for i in range(200)]
    swapped = T.RandomSwap()(words)
    assert sorted(swapped) == sorted(words) and 20 <= sum(a != b for a, b in zip(words, swapped, strict=True)) <= 40
    kept = T.RandomDeletion(0.3)(words)
    assert 110 < len(kept) < 170 and kept == [w for w in words if w in set(kept)]
    assert T.RandomDeletion(1)("a b c") in ("a", "b", "c") and T.RandomDeletion(1)("") == "" and T.RandomSwap()("a") == "a"
    new = T.SynonymReplacement(lambda w: [w + "x", w + "y"], p=0.5)(words)
    changed = collections.Counter(b[len(a) :] for a, b in zip(words, new, strict=True))
    assert 70 < changed[""] < 130 and changed["x"] > 25 and changed["y"] > 25
    assert T.SynonymReplacement({"fast": ["quick"]}, p=1)("Fast cars go fast") == "Quick cars go quick"
    assert T.Paraphrase(lambda text, rng: text + str(rng.integers(1)), p=1, with_generator=True)("a") == "a0"
    assert T.Paraphrase(str.upper, p=0)("a") == "a"
    with pytest.raises(TypeError, match="paraphrase must give a string, got list"):
        T.Paraphrase(str.split, p=1)("a")
    with pytest.raises(TypeError, match=r"\[RandomSwap\] text must be a string or a list of words, got int"):
        T.RandomSwap()(3)


def test_masking_has_berts_shares():
    tokens = lamella.randint(0, 1000, (100, 400))
    special = [0, 1, 2]
    inputs, labels = T.MaskTokens(1000, mask_id=3, special=special)(tokens)
    x, y, t = inputs.numpy(), labels.numpy(), tokens.numpy()
    chosen = y != -100
    assert not np.isin(t[chosen], [0, 1, 2, 3]).any() and (y[chosen] == t[chosen]).all() and (x[~chosen] == t[~chosen]).all()
    n = chosen.sum()
    assert abs(chosen.mean() - 0.15) < 0.005  # 5 standard deviations: 0.009
    assert abs((x[chosen] == 3).sum() / n - 0.8) < 0.03
    same = (x[chosen] == t[chosen]).sum() / n
    assert abs(same - 0.1) < 0.02 and not np.isin(x[chosen], special).any()
    loss = lamella.nn.functional.cross_entropy(lamella.zeros(40000, 1000), labels.reshape(-1))
    assert abs(loss.item() - np.log(1000)) < 1e-4
    for error, text, call in [
        (ValueError, r"tokens must be in \[0, 10\), got 10", lambda: T.MaskTokens(10, 3)([10])),
        (TypeError, r"tokens must be integers, got float64", lambda: T.MaskTokens(10, 3)([0.5])),
        (ValueError, r"mask_id must be in \[0, 10\), got 10", lambda: T.MaskTokens(10, 10)),
        (ValueError, r"special must be token ids in \[0, 4\)", lambda: T.MaskTokens(4, 3, special=[9])),
        (ValueError, r"must add up to at most 1", lambda: T.MaskTokens(10, 3, mask_share=0.95)),
    ]:
        with pytest.raises(error, match=text):
            call()


def test_text_in_a_loader():
    lines = [f"line {i} of {i + 1} short words" for i in range(40)]
    tokenizer = data.WordTokenizer.build(lines)
    change = T.Chain(T.RandomSwap(), T.RandomDeletion(), tokenizer.encode)

    class Lines(data.Dataset):
        def __len__(self):
            return len(lines)

        def __getitem__(self, i):
            return change(lines[i])

    def batches(**how):
        loader = data.DataLoader(Lines(), 8, shuffle=True, generator=1, collate_fn=data.pad_tokens, **how)
        return [[part.tolist() for part in b] for b in loader]

    assert batches() == batches(num_workers=3) == batches(num_workers=2, workers="process")
