# SPDX-License-Identifier: MIT
"""Readers of CIFAR, tables, text and sound, their damaged files, and the real data where it is at hand."""

import gzip
import os
import struct
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

import lamella
from lamella import data

REAL = Path(os.environ.get("LAMELLA_DATA", "no-data"))  # holds mnist/, sst2/, multi30k/, ...
real = pytest.mark.skipif(not (REAL / "sst2").is_dir(), reason="LAMELLA_DATA names no folder with the real data")


# ---- CIFAR ----------------------------------------------------------------------------------------------------------
def test_cifar_binary(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (6, 3, 32, 32), np.uint8), np.array([0, 9, 3, 3, 1, 2], np.uint8)
    records = b"".join(bytes([label]) + image.tobytes() for label, image in zip(y, x, strict=True))
    for i in (1, 2):
        (tmp_path / f"data_batch_{i}.bin").write_bytes(records)
    images, labels = data.cifar(tmp_path).tensors
    assert images.shape == (12, 3, 32, 32) and labels.tolist() == y.tolist() * 2
    np.testing.assert_array_equal(images.numpy()[:6], x.astype(np.float32) / np.float32(255))
    (tmp_path / "test_batch.bin").write_bytes(records[:-1])
    with pytest.raises(ValueError, match=r"test_batch\.bin: must hold records of 3073 bytes, got 18437"):
        data.cifar(tmp_path, "test")
    (tmp_path / "test_batch.bin").write_bytes(b"\x0a" + records[1:])
    with pytest.raises(ValueError, match=r"labels must be below 10, got 10 in record 0"):
        data.cifar(tmp_path, "test")
    (tmp_path / "train.bin").write_bytes(b"\x13\x63" + records[1:3073])
    assert data.cifar(tmp_path, classes=100).tensors[1].tolist() == [99]
    with pytest.raises(ValueError, match=r"must hold CIFAR's \.bin files or a folder test"):
        data.cifar(tmp_path, "test", classes=100)


def test_cifar_folders(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    for i, name in enumerate(("cat", "dog")):
        (tmp_path / "train" / name).mkdir(parents=True)
        image.new("RGB", (32, 32), (i * 255, 0, 51)).save(tmp_path / "train" / name / "0.png")
    x, y = data.cifar(tmp_path).tensors
    assert y.tolist() == [0, 1] and x[:, :, 0, 0].tolist() == [[0, 0, np.float32(0.2)], [1, 0, np.float32(0.2)]]


# ---- tables ---------------------------------------------------------------------------------------------------------
def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_read_table(tmp_path):
    table = data.read_table(write(tmp_path / "a.csv", 'n,x,"a, b",s\n1,2.5,,p\r\n2,,7,"q ""r"""\n'))
    assert list(table) == ["n", "x", "a, b", "s"]
    assert table["n"].dtype == np.int64 and table["s"].tolist() == ["p", 'q "r"']
    np.testing.assert_array_equal(table["x"], [2.5, np.nan])
    np.testing.assert_array_equal(table["a, b"], [np.nan, 7])
    plain = data.read_table(write(tmp_path / "b.csv", "1;2\n3;4\n"))
    assert list(plain) == ["0", "1"] and plain["1"].tolist() == [2, 4] and plain["1"].dtype == np.int64
    assert data.read_table(write(tmp_path / "c.csv", "x,y\n1,1e3\n2,0.5\n"))["y"].tolist() == [1000, 0.5]
    packed = data.read_table(write(tmp_path / "t.tsv.gz", gzip.compress(b'text\ty\na "quote\t1\nb\t0\n')))
    assert packed["text"].tolist() == ['a "quote', "b"] and packed["y"].tolist() == [1, 0]
    big = data.read_table(write(tmp_path / "d.csv", "i\n9007199254740993\n"))["i"]
    assert big.tolist() == [9007199254740993]  # more than a float64 holds
    assert data.read_table(write(tmp_path / "e.csv", "x,y\n"))["x"].tolist() == []


@pytest.mark.parametrize(
    "text, message",
    [
        ("a,b\n1,2\n3\n", r"bad\.csv: row 2 must have 2 cells as the first line has, got 1"),
        ("a,b\nx,2\n3\n", r"bad\.csv: row 2 must have 2 cells as the first line has, got 1"),
        ("", r"bad\.csv: must not be empty"),
        ("a,a\n1,2\n", r"bad\.csv: columns must have different names, got 'a' twice"),
        (b"a,b\n1,\xff\n", r"bad\.csv: line 2: must be UTF-8"),
    ],
)
def test_damaged_tables(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        data.read_table(write(tmp_path / "bad.csv", text))


def test_table_dataset(tmp_path):
    path = write(tmp_path / "t.csv", "w,h,kind\n1,2,b\n3,4,a\n")
    table = data.TableDataset(path, "kind")
    assert table.classes == ["a", "b"] and table.feature_names == ["w", "h"]
    x, y = table.tensors
    assert x.dtype is lamella.float32 and x.tolist() == [[1, 2], [3, 4]] and y.tolist() == [1, 0]
    columns = {"x": np.array([1.0, np.nan]), "y": np.array([0.5, 1.5]), "s": np.array(["a", "b"])}
    assert data.TableDataset(columns, "y", fill=0)[1][1].item() == 1.5
    for message, call in {
        r"column 'x' must be finite, got nan in row 1": lambda: data.TableDataset(columns, "y"),
        r"columns must include 'z', got x, y, s": lambda: data.TableDataset(columns, "z"),
        r"must be numeric columns, got text in 's'": lambda: data.TableDataset(columns, "y", ["s"]),
        r"the table has no numeric column": lambda: data.TableDataset({"s": columns["s"], "y": columns["y"]}, "y"),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()


def test_parquet_names_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        data.read_table(tmp_path / "x.parquet")


# ---- text -----------------------------------------------------------------------------------------------------------
def test_lines_and_pairs(tmp_path):
    a = write(tmp_path / "a.en", "\ufeffone\r\ntwo\u2028still two\n\n")
    assert data.read_lines(a) == ["one", "two\u2028still two", ""]
    assert data.TextLines(write(tmp_path / "z.gz", gzip.compress(b"x\ny")), str.upper)[1] == "Y"
    b = write(tmp_path / "b.de", "eins\nzwei\ndrei\n")
    pairs = data.TextPairs(a, b, target_transform=len)
    assert len(pairs) == 3 and pairs[0] == ("one", 4)
    with pytest.raises(ValueError, match=r"as many lines: 3 in .*a\.en, but 1 in .*c\.de"):
        data.TextPairs(a, write(tmp_path / "c.de", "eins\n"))
    with pytest.raises(ValueError, match=r"d\.txt: line 2: must be UTF-8"):
        data.read_lines(write(tmp_path / "d.txt", b"a\n\xe9\n"))


def test_labelled_text(tmp_path):
    path = write(tmp_path / "t.tsv", "good film\t1\nbad\t0\n")
    rated = data.LabelledText(path, transform=str.split)
    assert rated[0] == (["good", "film"], 1) and rated.classes == [0, 1]
    named = data.LabelledText(write(tmp_path / "n.csv", "kind,text\nspam,a\nham,b\n"), "text", "kind")
    assert [named[i] for i in (0, 1)] == [("a", 1), ("b", 0)] and named.classes == ["ham", "spam"]
    with pytest.raises(ValueError, match=r"labels must be in \[0, 1\), got 1 in row 0"):
        data.LabelledText(path, num_classes=1)
    with pytest.raises(ValueError, match=r"must have a column 'label', got 0, 1"):
        data.LabelledText(path, label="label")


# ---- sound ----------------------------------------------------------------------------------------------------------
def wav_bytes(kind, bits, channels, raw, extensible=False, rate=8000):
    align = channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, channels, rate, rate * align, align, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 0, kind) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    chunk = b"LIST\3\0\0\0abc\0"  # odd size, padded
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + chunk + b"data" + struct.pack("<I", len(raw)) + raw
    return b"RIFF" + struct.pack("<I", len(body)) + body


VALUES = np.array([[0, 0.5, -1, 0.25], [-0.5, 0.75, 0, -0.25]])  # exact at 8 bits
FORMS = {
    "u8": (1, 8, (VALUES.T * 128 + 128).astype(np.uint8).tobytes()),
    "i16": (1, 16, (VALUES.T * 2**15).astype("<i2").tobytes()),
    "i24": (1, 24, (VALUES.T.copy() * 2**31).astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()),
    "i32": (1, 32, (VALUES.T * 2**31).astype("<i4").tobytes()),
    "f32": (3, 32, VALUES.T.astype("<f4").tobytes()),
    "f64": (3, 64, VALUES.T.astype("<f8").tobytes()),
}


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_wav(tmp_path, form, extensible):
    kind, bits, raw = FORMS[form]
    x, rate = data.read_wav(write(tmp_path / "x.wav", wav_bytes(kind, bits, 2, raw, extensible)))
    assert rate == 8000 and x.dtype == np.float32
    np.testing.assert_array_equal(x, VALUES)


def test_wav_against_the_standard_library(tmp_path):
    x = lamella.tensor(VALUES)
    data.write_wav(tmp_path / "x.wav", x, 16000)
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth(), file.getnframes()) == (2, 16000, 2, 4)
        np.testing.assert_array_equal(np.frombuffer(file.readframes(4), "<i2").reshape(4, 2).T, VALUES * 2**15)
    data.write_wav(tmp_path / "f.wav", VALUES[0] * 0.3, 16000, bits=32)
    np.testing.assert_array_equal(data.read_audio(tmp_path / "f.wav")[0], (VALUES[:1] * 0.3).astype(np.float32))
    data.write_wav(tmp_path / "loud.wav", np.array([2.0, -2.0]), 8000)
    assert data.read_wav(tmp_path / "loud.wav")[0].tolist() == [[32767 / 32768, -1]]


GOOD = wav_bytes(1, 16, 1, b"\0\0" * 4)
BAD_WAV = {
    "not a WAV file: it begins with nothing": b"",
    "not a WAV file: it begins with 4f 67 67 53": b"OggS" + GOOD[4:],
    "truncated: 8 bytes of sound, got 7": GOOD[:-1],
    "the chunk 'data' is missing": GOOD[:40],
    "must be PCM of 8, 16, 24, 32 bits or float, got format 1 of 12 bits": wav_bytes(1, 12, 1, b"\0\0"),
    "must be PCM of 8, 16, 24, 32 bits or float, got format 6 of 8 bits": wav_bytes(6, 8, 1, b"\0\0"),
    "must have channels and a sample rate, got 0 and 8000": wav_bytes(1, 16, 0, b""),
    "the chunk 'fmt ' is missing": GOOD[:12] + b"data\0\0\0\0",
}


@pytest.mark.parametrize("text", list(BAD_WAV))
def test_damaged_wav(tmp_path, text):
    with pytest.raises(ValueError, match=r"bad\.wav: ") as caught:
        data.read_wav(write(tmp_path / "bad.wav", BAD_WAV[text]))
    assert text in str(caught.value)


def test_audio_folder(tmp_path, monkeypatch):
    for name in ("yes/a.wav", "no/b.wav"):
        (tmp_path / name).parent.mkdir()
        write(tmp_path / name, GOOD)
    sounds = data.AudioFolder(tmp_path, sample_rate=8000, channels=1)
    assert sounds.classes == ["no", "yes"] and sounds.targets == [0, 1]
    x, label = sounds[1]
    assert x.shape == (1, 4) and label == 1
    by_name = data.AudioFolder(tmp_path, label=str.upper)
    assert by_name.classes == ["A", "B"]
    with pytest.raises(ValueError, match=r"b\.wav: sample rate must be 16000, got 8000"):
        data.AudioFolder(tmp_path, sample_rate=16000)[0]
    with pytest.raises(ValueError, match=r"b\.wav: must have 2 channels, got 1"):
        data.AudioFolder(tmp_path, channels=2)[0]
    (tmp_path / "maybe").mkdir()
    with pytest.raises(ValueError, match="maybe holds no sound file"):
        data.AudioFolder(tmp_path)
    with pytest.raises(ValueError, match="must hold sound files"):
        data.AudioFolder(tmp_path / "maybe")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ImportError, match=r"reading \.flac needs soundfile"):
        data.read_audio(tmp_path / "x.flac")


# ---- the real data --------------------------------------------------------------------------------------------------
@real
def test_real_text():
    rated = data.LabelledText(REAL / "sst2" / "dev.tsv", num_classes=2)
    assert rated[0] == ("one long string of cliches", 0) and len(rated) == 872
    pairs = data.TextPairs(REAL / "multi30k" / "val.en", REAL / "multi30k" / "val.de")
    assert len(pairs) == 1014
    text = "\n".join(data.TextLines(REAL / "tinyshakespeare.txt").lines)
    tokenizer = data.CharTokenizer.build(text)
    assert len(tokenizer) == 65 and tokenizer.decode(tokenizer.encode(text[:100])) == text[:100]


@real
def test_real_digits():
    x, y = data.mnist(REAL / "mnist", "test").tensors
    assert x.shape == (10000, 1, 28, 28) and np.bincount(y.numpy()).tolist()[:3] == [980, 1135, 1032]


@real
def test_real_sounds_and_images(tmp_path):
    import tarfile

    with tarfile.open(REAL / "fsdd.tar.gz") as packed:
        for _ in range(6):
            member = packed.next()
            if member.isfile():
                write(tmp_path / Path(member.name).name, packed.extractfile(member).read())
    sounds = data.AudioFolder(tmp_path, label=lambda name: int(name.split("_")[0]), sample_rate=8000, channels=1)
    assert len(sounds) == 5 and sounds.classes == [0] and 0.1 < sounds[0][0].abs().max().item() <= 1
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with tarfile.open(REAL / "cifar10-jpg.tar.gz") as packed:
        members = [packed.next() for _ in range(4)]
        pixels = data.read_image(write(tmp_path / "x.jpg", packed.extractfile(members[-1]).read()))
    assert pixels.shape == (3, 32, 32) and pixels.std() > 10
