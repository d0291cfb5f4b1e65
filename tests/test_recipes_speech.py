# SPDX-License-Identifier: MIT
"""Recipes for speech on synthesised recordings, where digit d is a tone of its own; and the data sets under them."""

import numpy as np
import pytest

import lamella
from lamella import data, recipes
from lamella.data import transforms as T

SPEAKERS = ("ann", "bob")


def tone(digit, speaker, index, rate=8000):
    """0.1 s of a harmonic sound, whose pitch is the digit's."""
    t = np.arange(rate // 10 + 40 * index) / rate
    hertz = 300 * 1.25**digit * (1 + 0.03 * speaker)
    return ((0.3 + 0.1 * speaker) * (np.sin(2 * np.pi * hertz * t) + 0.3 * np.sin(4 * np.pi * hertz * t))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits") / "recordings"
    root.mkdir()
    for digit in range(10):
        for s, speaker in enumerate(SPEAKERS):
            for index in (0, 4, 5, 6, 7, 11):
                data.write_wav(root / f"{digit}_{speaker}_{index}.wav", tone(digit, s, index), 8000)
    return root


def test_spoken_digits_and_their_splits(folder):
    train, test, everything = (data.SpokenDigits(folder, split) for split in ("train", "test", "all"))
    assert (len(train), len(test), len(everything)) == (80, 40, 120) and train.speakers == list(SPEAKERS)
    assert {p.stem.split("_")[2] for p in test.paths} == {"0", "4"}
    assert [int(p.name[0]) for p in train.paths] == train.digit.tolist()
    assert [SPEAKERS[s] for s in train.speaker] == [p.stem.split("_")[1] for p in train.paths]
    x, label = train[9]
    assert label == train.digit[9] and x.shape == (len(train.waveforms[9]),)
    np.testing.assert_allclose(x.numpy(), tone(label, int(train.speaker[9]), int(train.paths[9].stem.split("_")[2])), atol=1e-4)
    held = data.SpokenDigits(folder.parent, "test", hold_out="bob", transform=lambda x: x[:3])  # the folder above will do
    assert len(held) == 60 and set(held.speaker) == {1} and held[0][0].shape == (3,)
    assert set(data.SpokenDigits(folder, "train", hold_out="bob").speaker) == {0}
    x, y = data.in_memory(held).tensors
    assert x.shape == (60, 3) and y.tolist() == held.digit.tolist()


def test_damaged_files_name_themselves_and_can_be_skipped(folder, tmp_path):
    for path in sorted(folder.glob("[01]_*.wav")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole, kept = len(data.SpokenDigits(tmp_path)), []
    cut, named, fast = (tmp_path / name for name in ("0_ann_5.wav", "zero_ann_8.wav", "1_bob_9.wav"))
    for path, write, text in (
        (cut, lambda: cut.write_bytes(cut.read_bytes()[:900]), r"0_ann_5.wav: truncated"),
        (named, lambda: data.write_wav(named, tone(0, 0, 1), 8000), r"zero_ann_8.wav: must be named digit_speaker_index.wav"),
        (fast, lambda: data.write_wav(fast, tone(0, 0, 1), 16000), r"1_bob_9.wav: sample rate must be 8000, got 16000"),
    ):
        write()
        with pytest.raises(ValueError, match=text):
            data.SpokenDigits(tmp_path)
        kept.append((path, path.read_bytes()))
        path.unlink()
        data.SpokenDigits(tmp_path)
    for path, content in kept:
        path.write_bytes(content)
    with pytest.warns(UserWarning, match="3 of 18 files are skipped: .*zero_ann_8"):
        found = data.SpokenDigits(tmp_path, on_error="skip")
    assert len(found) == whole - 1 and {p.name for p, _ in found.skipped} == {cut.name, named.name, fast.name}
    with pytest.warns(UserWarning, match="files are skipped"):
        figures = recipes.get("spoken_digits")(tmp_path, out=tmp_path / "run", epochs=1, skip=True)
    assert figures["skipped"] == 3
    for call, text in (
        (lambda: data.SpokenDigits(None), r"root must be a folder of digit_speaker_index.wav files, got None"),
        (lambda: data.SpokenDigits(folder, hold_out="eve"), "hold_out must be one of ann, bob, got 'eve'"),
        (lambda: data.SpokenDigits(folder, "validation"), "split must be 'train', 'test' or 'all', got 'validation'"),
        (lambda: data.SpokenDigits(folder, on_error="pass"), "on_error must be 'raise' or 'skip', got 'pass'"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="for train, found none"):
        data.SpokenDigits(empty)


def test_strings(folder):
    recordings = data.SpokenDigits(folder)
    strings = data.DigitStrings(recordings, 50, length=(2, 4), gap=(0.01, 0.02), seed=3)
    seen = set()
    for i in range(50):
        x, y = strings[i]
        assert lamella.equal(x, strings[i][0])  # with a seed, always the same
        sound = np.flatnonzero(x.numpy())
        breaks = np.flatnonzero(np.diff(sound) > 70)  # gaps of 80 to 160 samples
        assert len(breaks) == len(y) - 1 and 79 <= sound[0] <= 161
        seen.add(len(y))
    assert seen == {2, 3, 4}
    own = {strings.recordings.speaker[i] for i in strings.pools[0]}
    assert own == {0} and len(data.DigitStrings(recordings, 1, one_speaker=False).pools) == 1
    fresh = data.DigitStrings(recordings, 6, transform=lambda x: x[:400])
    batches = [[b.numpy().tobytes() for (b, _), _ in data.DataLoader(fresh, 3, collate_fn=data.PadCollate(fields=(0, 1)), num_workers=n, generator=1)]
               for n in (0, 2)]  # fmt: skip
    assert batches[0] == batches[1] and fresh[0][0].shape == (400,)
    for options, text in (
        ({"length": (0, 2)}, r"length must be \(least, greatest\) from 1 on, got \(0, 2\)"),
        ({"gap": (0.2, 0.1)}, r"gap must be \(least, greatest\) from 0 on"),
        ({"count": 0}, "count must be positive, got 0"),
    ):
        with pytest.raises(ValueError, match=text):
            data.DigitStrings(recordings, **{"count": 1, **options})
    with pytest.raises(IndexError, match=r"index must be in \[0, 6\), got 6"):
        fresh[6]


def test_log_mel():
    lamella.manual_seed(0)
    x = lamella.randn(2, 3000, dtype=lamella.float64)
    found = T.LogMelSpectrogram(8000, 256, 128, 20, top_db=30)(x * lamella.tensor([[1.0], [1e-3]], dtype=lamella.float64))
    mel = 10 * np.log10(T.MelSpectrogram(8000, 256, hop_length=128, n_mels=20)(x).numpy())
    mel = np.maximum(mel, mel.max((-2, -1), keepdims=True) - 30)
    expected = (mel - mel.mean((-2, -1), keepdims=True)) / mel.std((-2, -1), keepdims=True)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)  # whatever the loudness
    longer, shorter = (T.LogMelSpectrogram(8000, 256, 128, 20, top_db=30, frames=n)(x).numpy() for n in (30, 10))
    np.testing.assert_allclose(longer[..., :24], expected, atol=1e-9)
    np.testing.assert_allclose(longer[..., 24:], np.broadcast_to(expected.min((-2, -1), keepdims=True), (2, 20, 6)), atol=1e-9)
    np.testing.assert_allclose(shorter, expected[..., :10], atol=1e-9)
    assert np.isfinite(T.LogMelSpectrogram(8000, 256)(lamella.zeros(3000)).numpy()).all()  # silence


def test_warped_spectrograms():
    x = np.random.default_rng(0).standard_normal((3, 2, 12, 20))
    lamella.manual_seed(4)
    found = T.WarpSpectrogram((2, 2), (0.5, 0.5), 0)(lamella.from_numpy(x)).numpy()
    frames = np.stack([np.interp(np.arange(20) / 2, np.arange(20), row) for row in x.reshape(-1, 20)]).reshape(x.shape)
    expected = frames[..., np.minimum(2 * np.arange(12), 11), :]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert lamella.equal(T.WarpSpectrogram((1, 1), (1, 1))(lamella.from_numpy(x)), lamella.from_numpy(x))
    own = T.WarpSpectrogram(shift=3)(lamella.arange(20.0).expand(8, 1, 12, 20)).numpy()
    assert own.shape == (8, 1, 12, 20) and len(np.unique(own[:, 0, 0, 5])) == 8  # each has its own
    with pytest.raises(ValueError, match="shift must not be negative"):
        T.WarpSpectrogram(shift=-1)


def test_audio_is_resampled_and_mixed(tmp_path):
    x = np.stack([tone(0, 0, 0, 16000), 0 * tone(0, 0, 0, 16000)])
    data.write_wav(tmp_path / "a.wav", x, 16000)
    found, rate = data.read_audio(tmp_path / "a.wav", sample_rate=8000, mono=True)
    assert rate == 8000 and found.shape == (800,)
    np.testing.assert_allclose(found[100:-100], tone(0, 0, 0)[100:-100] / 2, atol=2e-3)


def test_spoken_digits_recipe(folder, tmp_path, capsys):
    run = recipes.get("spoken_digits")
    figures = run(folder, out=tmp_path / "a", epochs=8, batch=16)
    assert figures["accuracy"] > 0.6  # of ten
    model, meta, module = recipes.load_model(tmp_path / "a" / "model.safetensors")
    said = [module.predict(model, meta, folder / f"{digit}_ann_6.wav") for digit in range(10)]
    assert sum(s.startswith(f"{d} (") for d, s in enumerate(said)) >= 6
    (folder.parent / "other.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="other"):
        module.predict(model, meta, folder.parent / "other.wav")
    each = run(folder, out=tmp_path / "b", hold_out="all", epochs=1)
    assert set(each) == {"accuracy_ann", "accuracy_bob", "mean_accuracy"} and (tmp_path / "b" / "model_bob.safetensors").exists()
    with pytest.raises(ValueError, match="hold_out must be one of ann, bob, got 'eve'"):
        run(folder, out=tmp_path / "c", hold_out="eve")
    with pytest.raises(ValueError, match="root must be a folder"):
        run(out=tmp_path / "c")


@pytest.mark.parametrize("name", ["speech_ctc", "wav2vec_ctc"])
def test_ctc_recipes(name, folder, tmp_path):
    figures = recipes.get(name)(folder, out=tmp_path, strings=8, tests=4, batch=4, epochs=1)
    assert np.isfinite(list(figures.values())).all() and "word_error" in figures
    model, meta, module = recipes.load_model(tmp_path / "model.safetensors")
    assert module.predict(model, meta, folder / "3_ann_5.wav").strip("0123456789") == ""
    if name == "speech_ctc":
        pytest.importorskip("matplotlib")
        assert (tmp_path / "alignment.png").read_bytes().startswith(b"\x89PNG")
