# SPDX-License-Identifier: MIT
"""Spoken digits from the waveform itself: a small net of wav2vec 2.0's plan, trained by CTC."""

import lamella
from lamella import models, optim, plots
from lamella.data import DataLoader, DigitStrings, PadCollate, SpokenDigits, read_audio
from lamella.data import transforms as T
from lamella.metrics import WordErrorRate
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe

RATE, LABELS = 8000, ["–", *"0123456789"]  # the first is CTC's blank


def clean(x):
    return (x - x.mean()) / (x.std() + 1e-5)


noisy = T.Compose([T.AddNoise((10, 40)), clean])


@recipe(data="folder of digit_speaker_index.wav files (the Free Spoken Digit Dataset)")
def wav2vec_ctc(
    run, data=None, *, strings: int = 960, tests: int = 300, digits: int = 2, epochs: int = 12, batch: int = 16, lr: float = 3e-3
):
    """A small wav2vec and CTC write down one or two spoken digits from the waveform, without spectra: word error 23 %.

    There is no pretraining here: convolutions learn in a minute or two what a mel spectrogram is given.
    """
    train = DigitStrings(SpokenDigits(data, "train"), strings, (1, digits), transform=noisy)
    test = DigitStrings(SpokenDigits(data, "test"), tests, (1, digits), transform=clean, seed=1)
    loader, test_loader = (DataLoader(d, n, collate_fn=PadCollate(fields=(0, 1))) for d, n in ((train, batch), (test, 50)))
    model = build({})
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=1e-2)
    schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(loader) + 1, cycle_momentum=False)
    metrics = {"word_error": WordErrorRate()}
    trainer = run.trainer(model, optimizer, step=step, schedule=schedule, clip_norm=1.0, metrics=metrics, train_metrics=False)
    trainer.fit(loader, test_loader, epochs=epochs)
    x, y = test[0]
    with lamella.no_grad():
        log_probs = model(x[None])[0][:, 0]
    run.save(model)
    mel, said = T.LogMelSpectrogram(RATE, n_fft=256, hop_length=128, n_mels=40)(x), "".join(str(int(d)) for d in y)
    run.figure("alignment", plots.ctc_alignment, mel, log_probs, LABELS, len(x) / RATE, title=f"said: {said}")
    return {"word_error": trainer.evaluate(test_loader)["word_error"]}


def step(model, batch):
    (x, lengths), (y, counts) = batch
    log_probs, lengths = model(x, lengths)  # (T, N, 11), 50 steps a second
    result = {"loss": F.ctc_loss(log_probs, y + 1, lengths, counts)}
    if model.training:
        return result
    wanted = [(row[: int(n)] + 1).tolist() for row, n in zip(y, counts, strict=True)]
    return result | {"output": models.ctc_greedy_decode(log_probs, lengths), "target": wanted}


def build(meta):
    return models.Wav2Vec(11, channels=48, d_model=64, num_layers=2, kernels=(10, 8, 4, 4), strides=(5, 4, 4, 2))


def predict(model, meta, path):
    waveform, _ = read_audio(path, sample_rate=RATE, mono=True)
    with lamella.no_grad():
        found = models.ctc_greedy_decode(model(clean(lamella.from_numpy(waveform))[None])[0])[0]
    return "".join(LABELS[label] for label in found)


if __name__ == "__main__":
    wav2vec_ctc.main()
