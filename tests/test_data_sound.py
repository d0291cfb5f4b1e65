# SPDX-License-Identifier: MIT
"""Spectrograms and augmentation of sound against formulas in float64."""

import numpy as np
import pytest

import lamella
from lamella import data
from lamella.data import transforms as T


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def tone(hertz, rate=8000, seconds=1.0, size=0.5):
    return lamella.from_numpy((size * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32))


def pitch(x, rate=8000):
    """The loudest frequency, by the parabola through the three greatest bins of the log spectrum."""
    x = x.numpy()[len(x) // 8 : -len(x) // 8]
    y = np.log(np.abs(np.fft.rfft(x * np.hanning(len(x)))) + 1e-12)
    i = int(y.argmax())
    shift = (y[i - 1] - y[i + 1]) / (2 * (y[i - 1] - 2 * y[i] + y[i + 1]))
    return (i + shift) * rate / len(x)


def close(found, expected, tolerance=1e-5):
    expected = np.asarray(expected)
    assert tuple(found.shape) == expected.shape
    assert np.abs(found.numpy() - expected).max() <= tolerance * np.abs(expected).max()


def dft_spectrogram(x, n, hop, window, power):
    """By the definition: frame t is centred on sample t hop of the reflected signal."""
    padded = np.concatenate([x[n // 2 : 0 : -1], x, x[-2 : -(n // 2) - 2 : -1]])
    basis = np.exp(-2j * np.pi * np.outer(np.arange(n // 2 + 1), np.arange(n)) / n)
    frames = [basis @ (window * padded[i : i + n]) for i in range(0, len(padded) - n + 1, hop)]
    return np.abs(np.stack(frames, 1)) ** power


@pytest.mark.parametrize("n, win, hop, power", [(32, None, None, 2.0), (32, 20, 7, 1.0), (15, 9, 4, 2.0)])
def test_spectrogram(n, win, hop, power):
    x = noise(200)
    length, step = win or n, hop or (win or n) // 2
    window = np.zeros(n)
    left = (n - length) // 2
    window[left : left + length] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    expected = dft_spectrogram(x, n, step, window, power)
    double = T.Spectrogram(n, win, hop, power=power)(lamella.from_numpy(x))
    assert double.dtype is lamella.float64
    close(double, expected, 1e-12)
    close(T.Spectrogram(n, win, hop, power=power)(lamella.from_numpy(x).float()), expected, 1e-5)
    both = T.Spectrogram(n, win, hop, power=power, normalized=True)(lamella.from_numpy(noise(2, 1, 200)))
    assert both.shape == (2, 1, *expected.shape)
    close(T.Spectrogram(n, win, hop, power=power, normalized=True)(lamella.from_numpy(x)),
          expected / (window**2).sum() ** (power / 2), 1e-12)  # fmt: skip


def test_spectrogram_of_whole_frames():
    x = lamella.from_numpy(noise(500))
    frames = np.lib.stride_tricks.sliding_window_view(x.numpy(), 64)[::16] * np.hamming(65)[:-1]
    found = T.Spectrogram(64, hop_length=16, center=False, window_fn=lamella.hamming_window)(x)
    close(found, (np.abs(np.fft.rfft(frames)) ** 2).T, 1e-6)  # the window is float32


def test_mel():
    banks = T.melscale_fbanks(201, 0, 8000, 20, 16000)
    peaks = banks.argmax(0) * 40.0
    mel = 2595 * np.log10(1 + peaks / 700)
    assert np.abs(np.diff(mel) - 2595 * np.log10(1 + 8000 / 700) / 21).max() < 40 and banks.max() <= 1
    inner = slice(int(peaks[0] / 40) + 1, int(peaks[-1] / 40))
    np.testing.assert_allclose(banks[inner].sum(1), 1)  # neighbouring triangles add up to 1
    slaney = T.melscale_fbanks(2001, 0, 8000, 20, 16000, "slaney", "slaney")
    np.testing.assert_allclose(slaney.sum(0) * 4, 1, rtol=0.02)  # each has area 1
    x = lamella.from_numpy(noise(2, 4000))
    found = T.MelSpectrogram(16000, n_fft=400, n_mels=20)(x)
    close(found, np.einsum("fm,nft->nmt", banks, T.Spectrogram(400)(x).numpy()), 1e-10)
    with pytest.raises(ValueError, match=r"specgram must be \(\.\.\., 201, frames\), got \(5, 3\)"):
        T.MelScale()(lamella.ones(5, 3))
    with pytest.raises(ValueError, match="f_min must be below f_max, got 9000"):
        T.MelScale(f_min=9000.0)


def test_decibel_and_mfcc():
    x = np.abs(noise(2, 5, 7)) + 1e-12
    close(T.AmplitudeToDB()(lamella.from_numpy(x)), 10 * np.log10(np.maximum(x, 1e-10)), 1e-12)
    cut = T.AmplitudeToDB("magnitude", top_db=3)(lamella.from_numpy(x)).numpy()
    full = 20 * np.log10(x)
    np.testing.assert_allclose(cut, np.maximum(full, full.max((0, 1, 2)) - 3))
    wave = lamella.from_numpy(noise(3000))
    kinds = {"n_fft": 256, "n_mels": 24}
    mfcc = T.MFCC(8000, n_mfcc=13, melkwargs=kinds)(wave)
    mel = T.AmplitudeToDB(top_db=80)(T.MelSpectrogram(8000, **kinds)(wave)).numpy()
    k, m = np.arange(13)[:, None], np.arange(24)
    dct = np.sqrt(2 / 24) * np.cos(np.pi / 24 * (m + 0.5) * k)
    dct[0] /= np.sqrt(2)
    close(mfcc, dct @ mel, 1e-10)
    close(T.MFCC(8000, 13, log_mels=True, melkwargs=kinds)(wave),
          dct @ np.log(T.MelSpectrogram(8000, **kinds)(wave).numpy() + 1e-6), 1e-6)  # fmt: skip
    with pytest.raises(ValueError, match=r"n_mfcc must be in \[1, 24\] \(n_mels\), got 40"):
        T.MFCC(8000, melkwargs=kinds)


@pytest.mark.parametrize("orig, new", [(8000, 16000), (16000, 8000), (44100, 16000), (3, 2)])
def test_resample(orig, new):
    t = np.arange(2000) / orig
    hertz = 0.11 * min(orig, new)
    x = np.stack([np.sin(2 * np.pi * hertz * t), np.cos(2 * np.pi * hertz * t)])
    found = T.Resample(orig, new)(lamella.from_numpy(x))
    n = -(-2000 * new // orig)
    assert found.shape == (2, n)
    at = np.arange(n) / new
    inner = slice(n // 10, -n // 10)
    expected = np.stack([np.sin(2 * np.pi * hertz * at), np.cos(2 * np.pi * hertz * at)])
    np.testing.assert_allclose(found.numpy()[:, inner], expected[:, inner], atol=3e-3)
    if new < orig:  # what the new rate cannot hold is filtered out
        high = np.sin(2 * np.pi * 0.45 * orig * t)
        if 0.45 * orig > 0.6 * new:
            assert np.abs(T.resample(lamella.from_numpy(high), orig, new).numpy()[inner]).max() < 0.05
    assert lamella.equal(T.Resample(5, 5)(tone(100)), tone(100))
    with pytest.raises(ValueError, match=r"frequencies must be integers, got 8000\.5 and 8000"):
        T.resample(tone(9), 8000.5, 8000)


@pytest.mark.parametrize("steps", [-5, 3, 12])
def test_pitch_shift(steps):
    x = tone(440)
    y = T.PitchShift(8000, steps)(x)
    assert y.shape == x.shape and y.dtype is lamella.float32
    np.testing.assert_allclose(pitch(y), 440 * 2 ** (steps / 12), rtol=2e-3)
    assert 0.8 < y.numpy()[2000:6000].std() / x.numpy()[2000:6000].std() < 1.2
    assert lamella.equal(T.PitchShift(8000, 0)(x), x)


@pytest.mark.parametrize("rate", [0.7, 1.5])
def test_time_stretch(rate):
    x = lamella.stack([tone(440), tone(700)])
    y = T.TimeStretch(rate)(x)
    assert y.shape == (2, round(8000 / rate))
    np.testing.assert_allclose([pitch(v) for v in y], [440, 700], rtol=2e-3)
    assert T.TimeStretch((0.9, 1.1))(tone(440, seconds=0.01)).shape[0] in range(72, 90)
    assert lamella.equal(T.TimeStretch(1.0)(x), x)


def test_noise():
    x, n = lamella.from_numpy(noise(2, 400)), lamella.from_numpy(noise(2, 400, seed=1))
    added = (T.add_noise(x, n, lamella.tensor([3.0, 20.0])) - x).numpy()
    ratio = 10 * np.log10((x.numpy() ** 2).sum(1) / (added**2).sum(1))
    np.testing.assert_allclose(ratio, [3, 20], rtol=1e-6)
    assert lamella.equal(T.add_noise(x, x * 0, 3), x)
    y = T.AddNoise((10, 10))(tone(440))
    rest = (y - tone(440)).numpy()
    np.testing.assert_allclose(10 * np.log10((tone(440).numpy() ** 2).sum() / (rest**2).sum()), 10, atol=1e-3)
    assert T.AddNoise(p=0)(x) is x
    hum = T.AddNoise((0, 0), noise=lamella.ones(3))(x) - x
    assert np.ptp(hum.numpy(), 1).max() < 1e-9
    with pytest.raises(ValueError, match=r"noise must have the waveform's shape \(2, 400\), got \(2, 3\)"):
        T.add_noise(x, n[:, :3], 3)


def test_masks():
    x = lamella.ones(4, 2, 30, 50)
    alike = T.TimeMasking(20)(x).numpy()
    assert (alike == alike[0, 0]).all() and 0 <= (alike[0, 0, 0] == 0).sum() < 20
    own = T.FrequencyMasking(15, iid_masks=True)(x, 5.0).numpy()
    masked = (own == 5).all(-1)
    assert len({m.tobytes() for m in masked.reshape(8, 30)}) > 4 and masked.sum(-1).max() < 15
    starts = [np.flatnonzero(np.diff(m.astype(int), prepend=0, append=0)) for m in masked.reshape(8, 30)]
    assert all(len(s) in (0, 2) for s in starts)  # one stretch each
    assert ((T.TimeMasking(50, p=0.1)(x).numpy() == 0).sum(-1) < 5).all()
    filled = T.SpecAugment(2, 10, 2, 6)(lamella.from_numpy(noise(3, 30, 50)))
    assert filled.shape == (3, 30, 50)
    zeros = T.SpecAugment(1, 10, 1, 6, zero_masking=True)(x)
    assert set(np.unique(zeros.numpy())) <= {0.0, 1.0}
    with pytest.raises(ValueError, match=r"specgram must be \(\.\.\., frequency, frames\), got \(5,\)"):
        T.TimeMasking(3)(lamella.ones(5))


def test_bad_calls():
    for error, text, call in [
        (TypeError, r"\[Spectrogram\] waveform must be a floating Tensor", lambda: T.Spectrogram()(lamella.arange(9))),
        (ValueError, r"must be longer than n_fft // 2 = 200 to be reflected, got 9", lambda: T.Spectrogram()(lamella.ones(9))),
        (ValueError, r"at least n_fft = 400 samples", lambda: T.Spectrogram(center=False)(lamella.ones(9))),
        (ValueError, r"win_length must be at most n_fft = 8", lambda: T.Spectrogram(8, 9)),
        (ValueError, r"stype must be 'power' or 'magnitude', got 'dB'", lambda: T.AmplitudeToDB("dB")),
        (ValueError, r"mask_param must not be negative", lambda: T.TimeMasking(-1)),
        (ValueError, r"rate must be \(least, greatest\)", lambda: T.TimeStretch(0.0)),
        (ValueError, r"snr must be \(least, greatest\)", lambda: T.AddNoise((3, 1))),
    ]:
        with pytest.raises(error, match=text):
            call()


def test_in_a_loader():
    class Sounds(data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, i):
            x = T.AddNoise()(tone(200 + i, seconds=0.1))
            return T.SpecAugment(1, 5, 1, 5)(T.MelSpectrogram(8000, 128, n_mels=16)(x))

    def batches(workers):
        return [b.numpy().tobytes() for b in data.DataLoader(Sounds(), 3, num_workers=workers, generator=4)]

    assert batches(0) == batches(2)
