# SPDX-License-Identifier: MIT
"""Metrics against what their definitions say, written as loops; batch by batch as well as at once."""

import math
from functools import cache

import numpy as np
import pytest

import lamella
from lamella import metrics as M
from lamella.metrics import functional as F

RNG = np.random.default_rng(7)
N, C = 40, 5
SCORES = RNG.normal(size=(N, C)).astype(np.float32)
SCORES[:, 1] = SCORES[:, 0]  # ties
CLASSES = RNG.integers(0, C - 1, N)  # the last class does not occur
BITS = RNG.integers(0, 2, N)
RANKS = RNG.integers(0, 8, N) / 8  # few values: many ties


def by_batches(metric, output, target):
    for part in (slice(0, 7), slice(7, 7), slice(7, None)):
        metric.update(output[part], target[part])
    return metric.compute()


def counts(chosen, target, c):
    pairs = list(zip(chosen.tolist(), target.tolist(), strict=True))
    return [sum((p == c) == a and (t == c) == b for p, t in pairs) for a, b in ((1, 1), (1, 0), (0, 1), (0, 0))]


FORMULAS = {
    M.Accuracy: lambda tp, fp, fn, tn: tp / (tp + fn) if tp + fn else 0.0,
    M.Recall: lambda tp, fp, fn, tn: tp / (tp + fn) if tp + fn else 0.0,
    M.Precision: lambda tp, fp, fn, tn: tp / (tp + fp) if tp + fp else 0.0,
    M.F1Score: lambda tp, fp, fn, tn: 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
    M.Dice: lambda tp, fp, fn, tn: 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
    M.JaccardIndex: lambda tp, fp, fn, tn: tp / (tp + fp + fn) if tp + fp + fn else 0.0,
}


@pytest.mark.parametrize("ignore", [None, -1, 2])
@pytest.mark.parametrize("metric", FORMULAS, ids=lambda m: m.__name__)
def test_by_class(metric, ignore):
    target = CLASSES.copy()
    if ignore == -1:
        target[::5] = -1
    kept = target != ignore
    every = [counts(SCORES.argmax(1)[kept], target[kept], c) for c in range(C)]
    scores = [FORMULAS[metric](*k) for k in every]
    occurs = [k[0] + k[1] + k[2] > 0 and not (metric is M.JaccardIndex and c == ignore) for c, k in enumerate(every)]
    often = [k[0] + k[2] for k in every]
    expected = {
        None: scores,
        "macro": np.mean([s for s, o in zip(scores, occurs, strict=True) if o]),
        "weighted": np.average(scores, weights=often),
        "micro": FORMULAS[metric](*np.sum([k for k in every], 0)),
    }
    if metric is M.JaccardIndex and ignore == 2:  # predictions of the ignored class are nobody's error
        tp, fp, fn, _ = np.sum(every, 0)
        expected["micro"] = tp / (tp + fp + fn - sum(every[2][:3]))
    for average, value in expected.items():
        found = by_batches(metric(average=average, ignore_index=ignore), SCORES, target)
        np.testing.assert_allclose(found, value, rtol=1e-12, err_msg=str(average))
        if average is None:  # classes instead of scores, in batches that do not know of all classes
            named = by_batches(metric(average=None, ignore_index=ignore), SCORES.argmax(1), target)
            np.testing.assert_allclose(named, value[: len(named)], rtol=1e-12)


def test_binary():
    for scores in (RANKS, 10 * RANKS - 5, (RANKS > 0.5).astype(int)):
        tp, fp, fn, tn = counts(RANKS > 0.5, BITS, 1)
        assert by_batches(M.Accuracy("binary"), scores, BITS) == (tp + tn) / N
        assert by_batches(M.Precision(average="binary"), scores, BITS) == tp / (tp + fp)
        assert by_batches(M.F1Score("binary"), scores[:, None], BITS) == pytest.approx(2 * tp / (2 * tp + fp + fn))
        np.testing.assert_array_equal(by_batches(M.ConfusionMatrix("binary"), scores, BITS), [[tn, fp], [fn, tp]])
    assert F.accuracy(lamella.tensor([0.2, 0.8]), lamella.tensor([0, 0]), "binary", threshold=0.9) == 1.0


def test_several_labels():
    scores, target = RNG.random((N, 3)), RNG.integers(0, 2, (N, 3))
    target[::4, 1] = -1
    each = []
    for label in range(3):
        kept = target[:, label] >= 0
        each.append(counts(scores[kept, label] > 0.5, target[kept, label], 1))
    found = by_batches(M.Accuracy("multilabel", average=None, ignore_index=-1), scores, target)
    np.testing.assert_allclose(found, [(k[0] + k[3]) / sum(k) for k in each])
    matrix = by_batches(M.ConfusionMatrix("multilabel", ignore_index=-1), scores, target)
    np.testing.assert_array_equal(matrix, [[[tn, fp], [fn, tp]] for tp, fp, fn, tn in each])
    parts = [F.auroc(s[t >= 0], t[t >= 0], "binary") for s, t in zip(scores.T, target.T, strict=True)]
    np.testing.assert_allclose(by_batches(M.AUROC("multilabel", average=None, ignore_index=-1), scores, target), parts)


@pytest.mark.parametrize("k", [1, 2, C])
def test_top_k(k):
    ranks = np.argsort(-SCORES, 1, kind="stable")[:, :k]
    expected = np.mean([t in row for t, row in zip(CLASSES, ranks, strict=True)])
    metric = M.Accuracy(top_k=k)
    assert by_batches(metric, SCORES, CLASSES) == pytest.approx(expected)
    assert metric.name == ("accuracy" if k == 1 else f"top{k}_accuracy")


def test_pictures_count_by_pixel():
    output, target = RNG.normal(size=(2, 3, 4, 5)), RNG.integers(0, 3, (2, 4, 5))
    flat = np.moveaxis(output, 1, -1).reshape(-1, 3)
    assert F.accuracy(output, target) == F.accuracy(flat, target.reshape(-1))
    assert F.jaccard_index(lamella.tensor(output), lamella.tensor(target)) == F.jaccard_index(flat, target.reshape(-1))
    assert F.accuracy(lamella.tensor(flat).to(lamella.bfloat16), target.reshape(-1)) >= 0


def test_confusion_matrix():
    expected = np.zeros((C, C), int)
    for t, p in zip(CLASSES, SCORES.argmax(1), strict=True):
        expected[t, p] += 1
    np.testing.assert_array_equal(by_batches(M.ConfusionMatrix(), SCORES, CLASSES), expected)
    np.testing.assert_array_equal(by_batches(M.ConfusionMatrix(num_classes=C), SCORES.argmax(1), CLASSES), expected)
    rows = F.confusion_matrix(SCORES, CLASSES, normalize="true")
    np.testing.assert_allclose(rows[:-1].sum(1), 1.0)
    assert not rows[-1].any()  # a class without samples
    assert F.confusion_matrix(SCORES, CLASSES, normalize="all").sum() == pytest.approx(1.0)
    np.testing.assert_allclose(F.confusion_matrix(SCORES, CLASSES, normalize="pred")[:, 2].sum(), 1.0)


# ---- ranking ---------------------------------------------------------------------------------------------------------
def pairwise(scores, target):
    wins = [(p > n) + (p == n) / 2 for p in scores[target == 1] for n in scores[target == 0]]
    return np.mean(wins) if wins else np.nan


def stepwise(scores, target):
    area, before = 0.0, 0.0
    for t in np.unique(scores)[::-1]:
        said = scores >= t
        recall = (said & (target == 1)).sum() / target.sum()
        area += (recall - before) * (said & (target == 1)).sum() / said.sum()
        before = recall
    return area


@pytest.mark.parametrize(("metric", "reference"), [(M.AUROC, pairwise), (M.AveragePrecision, stepwise)])
def test_areas(metric, reference):
    assert by_batches(metric("binary"), RANKS, BITS) == pytest.approx(reference(RANKS, BITS), rel=1e-12)
    p = np.exp(SCORES.astype(float))
    p /= p.sum(1, keepdims=True)
    each = [reference(p[:, c], CLASSES == c) for c in range(C - 1)]
    found = by_batches(metric(average=None), SCORES, CLASSES)
    np.testing.assert_allclose(found, [*each, np.nan], rtol=1e-9)  # the last class does not occur
    assert F.__dict__[{M.AUROC: "auroc"}.get(metric, "average_precision")](SCORES, CLASSES) == pytest.approx(np.mean(each))
    often = np.bincount(CLASSES)
    assert by_batches(metric(average="weighted"), SCORES, CLASSES) == pytest.approx(np.average(each, weights=often))
    assert math.isnan(metric("binary").compute()) and math.isnan(F.auroc([0.5, 0.6], [1, 1], "binary"))


def test_curves():
    fpr, tpr, thresholds = by_batches(M.ROC("binary"), RANKS, BITS)
    for x, y, t in zip(fpr[1:], tpr[1:], thresholds[1:], strict=True):
        assert x == ((RANKS >= t) & (BITS == 0)).sum() / (BITS == 0).sum()
        assert y == ((RANKS >= t) & (BITS == 1)).sum() / (BITS == 1).sum()
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    precision, recall, thresholds = by_batches(M.PrecisionRecallCurve("binary"), RANKS, BITS)
    for p, r, t in zip(precision, recall, thresholds, strict=False):
        assert p == BITS[RANKS >= t].mean() and r == BITS[RANKS >= t].sum() / BITS.sum()
    assert len(F.roc(SCORES, CLASSES)[0]) == C
    assert len(M.ROC("binary").compute()[0]) == 1


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_calibration(norm):
    p = np.exp(SCORES.astype(float))
    p /= p.sum(1, keepdims=True)
    confidence, right = p.max(1), p.argmax(1) == CLASSES
    gaps, shares = [], []
    for b in range(10):
        inside = (confidence >= b / 10) & ((confidence < (b + 1) / 10) | (b == 9))
        if inside.any():
            gaps.append(abs(confidence[inside].mean() - right[inside].mean()))
            shares.append(inside.mean())
    gaps, shares = np.array(gaps), np.array(shares)
    expected = {"l1": (gaps * shares).sum(), "l2": np.sqrt((gaps**2 * shares).sum()), "max": gaps.max()}[norm]
    metric = M.CalibrationError(n_bins=10, norm=norm)
    assert by_batches(metric, SCORES, CLASSES) == pytest.approx(expected, rel=1e-9)
    assert metric.bins()[0].sum() == N
    assert F.calibration_error([1.0, 1.0, 0.0], [1, 1, 0], "binary", norm=norm) == 0.0


# ---- numbers ---------------------------------------------------------------------------------------------------------
def test_errors_of_numbers():
    a, b = RNG.normal(size=(N, 2)), RNG.normal(size=(N, 2)) + 1e6
    a += 1e6
    assert by_batches(M.MeanSquaredError(), a, b) == pytest.approx(((a - b) ** 2).mean())
    assert by_batches(M.MeanSquaredError(squared=False), a, b) == pytest.approx(math.sqrt(((a - b) ** 2).mean()))
    np.testing.assert_allclose(by_batches(M.MeanAbsoluteError(2), a, b), np.abs(a - b).mean(0))
    each = 1 - ((a - b) ** 2).sum(0) / ((b - b.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(by_batches(M.R2Score(multioutput="raw_values"), a, b), each, rtol=1e-9)
    assert by_batches(M.R2Score(), a, b) == pytest.approx(each.mean())
    assert by_batches(M.R2Score(multioutput="variance_weighted"), a, b) == pytest.approx(np.average(each, weights=b.var(0)))
    assert by_batches(M.R2Score(adjusted=3), a, b) == pytest.approx(1 - (1 - each.mean()) * (N - 1) / (N - 4))
    assert F.r2_score([1.0, 1.0], [1.0, 1.0]) == 1.0 and F.r2_score([1.0, 2.0], [1.0, 1.0]) == 0.0


def test_frechet_distance():
    made, real = RNG.normal(size=(30, 4)), RNG.normal(size=(N, 4)) @ RNG.normal(size=(4, 4)) + 1
    metric = M.FrechetDistance()
    metric.update(made[:10], real)
    metric.update(made[10:], None)
    x, y = np.cov(made.T), np.cov(real.T)
    root = np.sqrt(np.maximum(np.linalg.eigvals(x @ y).real, 0)).sum()  # the same spectrum
    expected = ((made.mean(0) - real.mean(0)) ** 2).sum() + np.trace(x) + np.trace(y) - 2 * root
    assert metric.compute() == pytest.approx(expected, rel=1e-9)
    network = lamella.nn.Sequential(lamella.nn.Flatten(), lamella.nn.Linear(12, 3))
    metric = M.FrechetDistance(network)
    images = lamella.rand(6, 3, 2, 2)
    metric.update(images, images)
    assert metric.compute() == pytest.approx(0, abs=1e-6)
    flat = np.zeros((5, 3))  # no variance at all
    metric = M.FrechetDistance()
    metric.update(flat, flat + 2)
    assert metric.compute() == pytest.approx(12.0)


# ---- text ------------------------------------------------------------------------------------------------------------
def test_perplexity():
    logits, tokens = RNG.normal(size=(2, 6, 9)).astype(np.float32), RNG.integers(1, 9, (2, 6))
    tokens[0, 3:] = 0
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    own = np.take_along_axis(p, tokens[..., None], -1)[tokens != 0]
    assert by_batches(M.Perplexity(ignore_index=0), logits, tokens) == pytest.approx(np.exp(-np.log(own).mean()), rel=1e-5)
    assert F.perplexity(lamella.tensor(logits[:, 0]), lamella.tensor(tokens[:, 0])) > 1


def reference_bleu(said, references, exponential):
    precisions, zeros = [], 0
    for n in range(1, 5):
        hit = total = 0
        for s, refs in zip(said, references, strict=True):
            grams = [tuple(s[i : i + n]) for i in range(len(s) - n + 1)]
            total += len(grams)
            for gram in set(grams):
                most = max(sum(tuple(r[i : i + n]) == gram for i in range(len(r) - n + 1)) for r in refs)
                hit += min(grams.count(gram), most)
        if hit == 0 and exponential:
            zeros += 1
            hit = 0.5**zeros
        precisions.append(hit / total)
    c = sum(map(len, said))
    r = sum(min((abs(len(r) - len(s)), len(r)) for r in refs)[1] for s, refs in zip(said, references, strict=True))
    if min(precisions) == 0:
        return 0.0
    return min(1.0, math.exp(1 - r / c)) * math.exp(np.log(precisions).mean())


@pytest.mark.parametrize("vocabulary", [3, 12])
def test_bleu(vocabulary):
    def sentence():
        return [f"w{i}" for i in RNG.integers(0, vocabulary, RNG.integers(4, 12))]

    said, references = [sentence() for _ in range(12)], [[sentence(), sentence()] for _ in range(12)]
    for smooth in ("exp", "none"):
        expected = reference_bleu(said, references, smooth == "exp")
        assert by_batches(M.BLEUScore(smooth=smooth), said, references) == pytest.approx(expected)
    texts = [" ".join(s) for s in said], [[" ".join(r) for r in refs] for refs in references]
    assert F.bleu_score(*texts, smooth="exp") == F.bleu_score(said, references, smooth="exp")
    first = [refs[0] for refs in references]
    assert F.bleu_score(said, first, 2) == F.bleu_score(texts[0], [" ".join(r) for r in first], 2)
    assert F.bleu_score(said, said) == pytest.approx(1.0) and F.bleu_score([["a"]], [["a"]]) == 0.0
    assert F.bleu_score([[1, 2, 3, 4, 5]], [[1, 2, 3, 4, 6]], smooth=True) == pytest.approx((0.8 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)
    assert F.bleu_score(["It ends."], ["It ends ."], 2, tokenize="13a") == pytest.approx(1.0)


def test_edit_distance():
    def distance(a, b):
        @cache
        def d(i, j):
            if i == 0 or j == 0:
                return i + j
            return min(d(i - 1, j) + 1, d(i, j - 1) + 1, d(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

        return d(len(a), len(b))

    pairs = [("".join(RNG.choice(list("abc"), n)), "".join(RNG.choice(list("abc"), m))) for n, m in RNG.integers(0, 12, (30, 2))]
    for a, b in [*pairs, ("", ""), ("", "ab"), ("ab", "")]:
        assert M.edit_distance(a, b) == distance(a, b)
    assert M.edit_distance(np.array([1, 2, 3]), lamella.tensor([1, 3])) == 1
    said, true = zip(*pairs, strict=True)
    expected = sum(distance(a, b) for a, b in pairs) / sum(map(len, true))
    assert by_batches(M.CharErrorRate(), said, true) == pytest.approx(expected)
    assert F.word_error_rate(["a b c", "d"], ["a c", "d e"]) == 0.5
    assert F.word_error_rate("x", "") == math.inf


# ---- boxes, and what all share ------------------------------------------------------------------------------------------
def boxes(*rows, scores=None):
    """Of (x1, y1, x2, y2, label)."""
    rows = np.array(rows, np.float32).reshape(-1, 5)
    found = {"boxes": lamella.tensor(rows[:, :4]), "labels": lamella.tensor(rows[:, 4].astype(np.int64))}
    return found if scores is None else {**found, "scores": lamella.tensor(np.array(scores, np.float32))}


def test_mean_average_precision():
    truth = [boxes((0, 0, 1, 1, 0), (2, 2, 3, 3, 0), (0, 0, 1, 1, 1)), boxes((5, 5, 6, 6, 0), (7, 7, 8, 8, 0))]
    first = boxes((0, 0, 1, 1, 0), (0, 0, 1, 1.1, 0), (2, 2, 3, 3.5, 0), (0, 0, 1, 1, 2), scores=[0.9, 0.8, 0.7, 0.6])
    second = boxes(scores=[])
    # class 0: hit, twice the same box, hit (IoU 2/3) of four; class 1: none found; class 2 is in no target
    expected = (1 + 2 / 3) / 4 / 2
    assert by_batches(M.MeanAveragePrecision(), [first, second], truth) == pytest.approx(expected)
    strict = M.MeanAveragePrecision([0.5, 0.9])
    assert by_batches(strict, [first, second], truth) == pytest.approx((expected + 1 / 4 / 2) / 2)
    assert math.isnan(F.mean_average_precision([second], [boxes()]))


EVERY = [getattr(M, n) for n in dir(M) if isinstance(getattr(M, n), type) and n != "Metric"]


@pytest.mark.parametrize("metric", EVERY, ids=lambda m: m.__name__)
def test_nothing_yet(metric):
    """NaN, or no classes; and the same after reset."""
    made = metric()
    if not issubclass(metric, (M.ROC, M.PrecisionRecallCurve)):
        assert np.isnan(np.asarray(made.compute(), float)).all()
    assert made.name and made.clone().name == made.name
    made.reset()


def test_a_call_tells_the_batch_and_counts():
    metric = M.Accuracy()
    assert metric([1, 1], [1, 1]) == 1.0
    assert metric([1, 1], [0, 1]) == 0.5
    assert metric.compute() == 0.75
    mean = M.Mean(name="loss")
    assert mean(lamella.tensor([1.0, 3.0]), [1, 3]) == 2.5 and mean.name == "loss"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: M.Accuracy("many"), r"\[Accuracy\] task must be 'binary', 'multiclass' or 'multilabel', got 'many'"),
        (lambda: M.F1Score(average="mean"), r"\[F1Score\] average must be 'micro', .* got 'mean'"),
        (lambda: M.Accuracy("binary", top_k=2), r"top_k must be positive, and 1 unless task is 'multiclass', got 2"),
        (lambda: F.accuracy(SCORES, CLASSES, top_k=9), r"top_k must be at most the number of classes 5, got 9"),
        (lambda: F.accuracy(SCORES, CLASSES[:3]), r"target must have shape \(40,\) for output \(40, 5\) \(classes in dimension 1\), got \(3,\)"),
        (lambda: F.accuracy(SCORES, CLASSES + 3), r"\[Accuracy\] target must be classes from 0 to 4, got 6"),
        (lambda: F.accuracy(SCORES, CLASSES.astype(float)), r"target must be integer classes, got dtype float64"),
        (lambda: F.accuracy(SCORES[:, 0], CLASSES), r"output of target's shape must be integer classes, got dtype float32"),
        (lambda: F.accuracy(SCORES, CLASSES, num_classes=4), r"output must have 4 classes in dimension 1, got shape \(40, 5\)"),
        (lambda: F.auroc([0.5, 0.1], [0, 3], "binary"), r"\[AUROC\] target must be 0 or 1, got 3"),
        (lambda: F.auroc(CLASSES, CLASSES), r"output must be scores of all classes"),
        (lambda: F.confusion_matrix(SCORES, CLASSES, normalize="rows"), r"normalize must be 'true', 'pred', 'all' or None, got 'rows'"),
        (lambda: F.calibration_error(SCORES, CLASSES, norm="l3"), r"norm must be 'l1', 'l2' or 'max', got 'l3'"),
        (lambda: F.mean_squared_error([[1.0]], [1.0]), r"output must have target's shape \(1,\), got \(1, 1\)"),
        (lambda: F.r2_score([1.0], [1.0], multioutput="all"), r"multioutput must be .* got 'all'"),
        (lambda: M.frechet_distance([0.0], [[1.0]], [0.0], [[1.0, 0.0]]), r"mu_y and sigma_y must have shapes .* got \(1,\) and \(1, 2\)"),
        (lambda: F.perplexity(SCORES, CLASSES[:2]), r"target must have output's shape without the last dimension, \(40,\), got \(2,\)"),
        (lambda: F.perplexity(SCORES, CLASSES + 4), r"target must be tokens from 0 to 4, got 4 to 7"),
        (lambda: F.bleu_score("one text", ["one"]), r"\[BLEUScore\] output and target must be lists of the same length, got a text"),
        (lambda: M.BLEUScore(smooth="floor"), r"smooth must be True, False, 'exp' or 'none', got 'floor'"),
        (lambda: F.word_error_rate(["a"], ["a", "b"]), r"output must be as many texts as target \(2\), got 1"),
        (lambda: F.mean_average_precision([{}], []), r"predictions must be as many as targets, got 1 and 0"),
    ],
)  # fmt: skip
def test_bad_calls(call, text):
    with pytest.raises(ValueError, match=text):
        call()
