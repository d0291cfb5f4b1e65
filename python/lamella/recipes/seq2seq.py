# SPDX-License-Identifier: MIT
"""A recurrent translator with attention, and a picture of where it looks."""

from lamella import models, no_grad, optim, plots, tensor
from lamella.data import WordTokenizer, lines_of, pair_loader, parallel_text, tokenizer_from_dict
from lamella.metrics import BLEUScore
from lamella.optim.lr_scheduler import WarmupCosineLR
from lamella.recipes import recipe


@recipe(data="folder with train.de, train.en, val.*, test*.* (or other languages: source=fr target=en), a sentence a line")
def seq2seq(run, data=None, *, source: str = "de", target: str = "en", epochs: int = 4, tokens: int = 1500, lr: float = 2e-3,
            width: int = 256, embedding: int = 192, attention: str = "bahdanau", dropout: float = 0.3, min_freq: int = 2, beams: int = 5,
            average: float = 0.99):  # fmt: skip
    """A GRU with attention that translates: Multi30k German to English.

    attention: "bahdanau" asks before each step, which goes word by word, "luong" after it, all words at once, which is quicker.
    The weights are averaged over the last 1 / (1 - average) steps, and BLEU is that of beam search on the test files.
    """
    texts = parallel_text(data, source, target)
    sides = [WordTokenizer.build(lines, min_freq=min_freq) for lines in (texts["train"].source, texts["train"].target)]
    train = pair_loader(texts["train"], *sides, tokens)
    validation = pair_loader(texts["val"], *sides, tokens, shuffle=False) if "val" in texts else None
    sizes = {"embedding_dim": embedding, "hidden_size": width, "attention": attention, "dropout": dropout}
    meta = {"tokenizers": [t.to_dict() for t in sides], "model": sizes, "beams": beams}
    model = build(meta)
    optimizer = optim.AdamW(model.named_parameters(), lr=lr, weight_decay=0.01)
    steps = epochs * len(train)
    schedule = WarmupCosineLR(optimizer, min(200, steps // 4), steps)
    trainer = run.trainer(model, optimizer, step=step, schedule=schedule, clip_norm=1.0, ema=average)
    history = trainer.fit(train, validation, epochs=epochs)
    best = trainer.evaluated.eval()
    run.save(best, meta)
    draw(best, sides, texts["val" if "val" in texts else "train"].source[0], run)
    figures = {k: history.last[k] for k in ("val_loss",) if k in history.last}
    if "test" in texts:
        answers = models.translate_lines(best, *sides, texts["test"].source, num_beams=beams)
        score = BLEUScore()
        score.update(answers, [[line] for line in texts["test"].target])
        figures["bleu"] = 100 * score.compute()
        run.text("translations.txt", "\n".join(answers) + "\n")
    return figures


def step(model, batch):
    return models.seq2seq_loss(model, batch, label_smoothing=0.1)


def draw(model, sides, line, run):
    """alignment.png: the source word that each word of the answer looked at."""
    answer = models.translate_lines(model, *sides, [line])[0]
    asked, said = sides[0].encode(line), sides[1].encode(answer)
    with no_grad():
        _, weights = model.decode(tensor([[model.start, *said]]), model.encode(tensor([asked])), need_weights=True)
    run.figure("alignment", plots.alignment, weights[0, : len(said)], line.split(), answer.split())


def build(meta):
    sides = [tokenizer_from_dict(t) for t in meta["tokenizers"]]
    return models.Seq2Seq(*map(len, sides), start=sides[1].special("<bos>"), **meta["model"])


def predict(model, meta, text):
    sides = [tokenizer_from_dict(t) for t in meta["tokenizers"]]
    return "\n".join(models.translate_lines(model, *sides, lines_of(text), num_beams=meta["beams"]))


if __name__ == "__main__":
    seq2seq.main()
