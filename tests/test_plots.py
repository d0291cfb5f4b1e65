# SPDX-License-Identifier: MIT
"""Pictures draw what they are given (looking at them is for people); the graph of a model; the plane of PCA and t-SNE."""

import builtins
import io
import xml.dom.minidom

import numpy as np
import pytest

import lamella
from lamella import metrics, models, nn, optim, plots, train

matplotlib = pytest.importorskip("matplotlib")
RNG = np.random.default_rng(3)
ROWS = [{"epoch": i, "step": 9 * i, "loss": 3.0 / i**2, "val_loss": 4.0 / i, "val_accuracy": 0.1 * i, "lr": 0.1 / i} for i in range(1, 8)]


def drawn(figure):
    """It draws without a warning (pytest makes those errors); laying out, half of the time, is left to one test."""
    figure.set_layout_engine("none")
    figure.draw_without_rendering()
    return figure


def texts(figure):
    return [t.get_text() for axes in figure.axes for t in axes.texts]


def test_curves(tmp_path):
    train.write_csv(ROWS, tmp_path / "history.csv")
    for history in (train.History(ROWS), ROWS, tmp_path / "history.csv"):
        axes = plots.curves(history).axes
        assert [a.get_title("left") for a in axes] == ["loss", "accuracy", "learning rate"]
        np.testing.assert_allclose(axes[0].lines[1].get_ydata(), [r["val_loss"] for r in ROWS], rtol=1e-5)
        assert axes[0].get_yscale() == "log" and axes[1].get_yscale() == "linear"
    assert axes[0].get_title("right") == "best 0.5714 at epoch 7"
    assert len(drawn(plots.curves(ROWS, ["val_loss"], x="step", title="run")).axes) == 1
    same = [{**row, "lr": 1.0, "loss": float("nan")} for row in ROWS]
    assert len(drawn(plots.curves(same)).axes) == 2
    with pytest.raises(ValueError, match=r"\[plots.curves\] names must be among epoch, .* got 'acc'"):
        plots.curves(ROWS, ["acc"])
    with pytest.raises(ValueError, match="history must have at least one row, got none"):
        plots.curves([])


def test_lr_range():
    lrs, losses = np.geomspace(1e-4, 1, 30), np.concatenate([np.linspace(2, 1, 25), [1.5, 3, 9, 50, np.inf]])
    axes = drawn(plots.lr_range(lrs, losses, (1e-3, 1e-2, 1e-1))).axes[0]
    assert axes.get_xscale() == "log" and 2 < axes.get_ylim()[1] < 3
    model = nn.Linear(3, 1)
    finder = optim.LRFinder(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
    finder.range_test([(lamella.rand(4, 3), lamella.rand(4, 1))], 1e-3, 1.0, 20)
    assert len(drawn(plots.lr_range(finder)).axes[0].lines[-1].get_xdata()) == len(finder.history["lr"])
    with pytest.raises(ValueError, match=r"losses must be as many as rates"):
        plots.lr_range([0.1, 0.2], [1.0])


def test_histograms():
    values = {"a": RNG.normal(size=500), "b": np.maximum(RNG.normal(size=500), 0), "c": np.full(5, 2.0)}
    figure = drawn(plots.histograms(values))
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]
    assert "zero" in texts(figure)[1] and "zero" not in texts(figure)[0]
    over = {k: [v, v * 2, v * 3] for k, v in values.items()}
    assert len(drawn(plots.histograms(over, over_time=True)).axes) == 3
    with pytest.raises(ValueError, match="values must name at least one layer"):
        plots.histograms({})


def test_classes():
    scores, target = RNG.normal(size=(60, 3)), RNG.integers(0, 3, 60)
    counts = metrics.functional.confusion_matrix(scores, target)
    figure = drawn(plots.confusion_matrix(counts, ["cat", "giraffe", "dog"]))
    assert sorted(texts(figure)) == sorted(str(n) for n in counts.ravel() if n)
    assert not texts(drawn(plots.confusion_matrix(np.ones((50, 50)))))
    drawn(plots.roc(scores, target, ["a", "b", "c"]))
    drawn(plots.roc(scores[:, 0], (target == 0).astype(int)))
    drawn(plots.calibration(scores, target))
    drawn(plots.calibration(lamella.rand(60), (target == 0).astype(int), 10))
    figure = drawn(plots.predictions(RNG.random((60, 3, 4, 4)), target, scores, ["a", "b", "c"], count=12))
    wrong = int((scores.argmax(1) != target).sum())
    assert figure._suptitle.get_text() == f"{wrong} of 60 wrong" and len(figure.axes) == 16
    assert sum("is" in a.get_title() for a in figure.axes) == 6
    with pytest.raises(ValueError, match=r"counts must have shape \(C, C\), got \(2, 3\)"):
        plots.confusion_matrix(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"classes must be 3 names, got 2"):
        plots.confusion_matrix(counts, ["a", "b"])


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        (nn.Conv2d(3, 12, 5), (3 * 6 - 1, 5 * 6 - 1 - 6 + 6, 3)),
        (nn.Sequential(nn.ReLU(), nn.Conv2d(4, 5, 3)), (5 * 4 - 1, 4 * 4 - 1)),
        (nn.Conv1d(20, 3, 4), (3 * 2 - 1, 16 * 5 - 1)),
    ],
    ids=["rgb", "grid", "1d"],
)
def test_filters(source, shape):
    figure = drawn(plots.filters(source))
    assert figure.axes[0].images[0].get_array().shape[: len(shape)] == shape


def test_images_and_attention():
    figure = drawn(plots.samples(lamella.rand(5, 1, 8, 8)))
    assert figure.axes[0].images[0].get_array().shape[1] > 8
    assert drawn(plots.samples(RNG.integers(0, 255, (2, 3, 8, 8), np.uint8), titles=["a", "b"])).axes[1].get_title() == "b"
    weights = lamella.softmax(lamella.randn(1, 4, 6, 6), -1)
    figure = drawn(plots.attention_map(weights, list("abcdef")))
    assert len([a for a in figure.axes if a.images]) == 4
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == list("abcdef")
    drawn(plots.attention_map(weights[0, 0, :2], ["x", "yy"], list("abcdef"), title="cross"))
    drawn(plots.alignment(weights[0, 0], list("abcdef"), "one two three four five six".split()))
    with pytest.raises(ValueError, match=r"weights must have shape \(heads, L, S\) of one sequence, got \(2, 4, 6, 6\)"):
        plots.attention_map(np.zeros((2, 4, 6, 6)))
    with pytest.raises(ValueError, match=r"weights must have shape \(1, 2\) \(target, source\), got \(2, 1\)"):
        plots.alignment(np.ones((2, 1)), "ab", "a")
    with pytest.raises(ValueError, match=r"images must have shape .* got \(8, 8\)"):
        plots.samples(np.ones((8, 8)))
    with pytest.raises(ValueError, match="source must have a convolution, got ReLU"):
        plots.filters(nn.ReLU())


def test_sound():
    tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    drawn(plots.waveform(tone, 8000))
    drawn(plots.waveform(lamella.rand(2, 100)))
    image = drawn(plots.spectrogram(tone, 8000, n_fft=256)).axes[0].images[0]
    assert np.asarray(image.get_array())[:, 10].argmax() == 1000 * 256 // 8000 and tuple(image.get_extent()) == (0, 1, 0, 4)
    drawn(plots.spectrogram(np.zeros(10)))
    with pytest.raises(ValueError, match=r"audio must have shape \(time,\) or \(channels, time\), got \(0,\)"):
        plots.waveform([])


def test_pca():
    x = RNG.normal(size=(30, 5)) * [9, 4, 1, 1, 1]
    plane, shares = plots.pca(x, 2)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    np.testing.assert_allclose(shares, values[::-1][:2] / values.sum())
    np.testing.assert_allclose(np.abs(plane), np.abs((x - x.mean(0)) @ vectors[:, :-3:-1]), atol=1e-9)
    with pytest.raises(ValueError, match=r"x must have shape \(N, D\) with N and D at least n_components=2, got \(9, 1\)"):
        plots.pca(np.ones((9, 1)))


def test_tsne_keeps_neighbours():
    labels = np.repeat(np.arange(4), 15)
    x = np.eye(4)[labels] @ RNG.normal(size=(4, 10)) * 6 + RNG.normal(size=(60, 10))
    plane = plots.tsne(x, perplexity=10, n_iter=200)
    distance = ((plane[:, None] - plane) ** 2).sum(-1) + 1e9 * np.eye(60)
    assert (labels[distance.argmin(1)] == labels).mean() > 0.95
    np.testing.assert_array_equal(plane, plots.tsne(x, perplexity=10, n_iter=200))


def test_embeddings():
    x, labels = RNG.normal(size=(40, 6)), RNG.integers(0, 3, 40)
    figure = drawn(plots.embeddings(x, labels, classes=["a", "b", "c"]))
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "b", "c"]
    drawn(plots.embeddings(x[:, :2], x[:, 3]))
    assert texts(drawn(plots.embeddings(x[:3], texts=["p", "q", "r"]))) == ["p", "q", "r"]
    with pytest.raises(ValueError, match="method must be 'pca' or 'tsne', got 'umap'"):
        plots.embeddings(x, method="umap")


# ---- graphs ------------------------------------------------------------------------------------------------------------
class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.act, self.second = nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)

    def forward(self, x):
        return x.reshape(-1, 4) + self.second(self.act(self.first(x)))


def test_graph_has_residuals_and_no_views(tmp_path):
    model = Residual().train()
    made = plots.graph(model, lamella.zeros(2, 4))
    names = [n.path or n.label for n in made.nodes]
    edges = {(names[a], names[b]) for a, b in made.edges}
    assert edges == {("input", "first"), ("first", "act"), ("act", "second"), ("second", "add"), ("input", "add"), ("add", "output")}
    assert model.training and model.first.weight.grad is None and model._hooks is None
    assert made.nodes[names.index("first")].shape == (2, 4)
    for name in ("g.dot", "g.svg", "g.png"):
        made.save(tmp_path / name)
    assert xml.dom.minidom.parse(str(tmp_path / "g.svg")).documentElement.tagName == "svg"
    assert made.dot.count("->") == 6 and (tmp_path / "g.png").read_bytes()[1:4] == b"PNG"
    drawn(made.figure())


def test_graph_of_whole_models():
    gpt = models.GPT(11, 8, 2, 2, 8)
    made = plots.graph(gpt, lamella.zeros(1, 8, dtype=lamella.int64))
    labels = [n.label for n in made.nodes]
    assert labels.count("attention") == 2 and labels.count("add") == 5 and labels.count("Embedding") == 2
    blocks = plots.graph(gpt, lamella.zeros(1, 8, dtype=lamella.int64), depth=2)
    assert [n.label for n in blocks.nodes].count("Block") == 2 and len(blocks.nodes) < 10
    shared = nn.Linear(3, 3)
    twice = plots.graph(nn.Sequential(shared, shared), lamella.zeros(1, 3))
    assert [n.label for n in twice.nodes] == ["input", "Linear", "Linear", "output"]
    at = plots.graph(models.create("resnet18"), lamella.zeros(1, 3, 32, 32))._layout()
    boxes = sorted(zip(at.centres, at.sizes, strict=True))
    for i, ((x, y), (w, h)) in enumerate(boxes):
        for (u, v), (a, b) in boxes[i + 1 :]:
            assert abs(x - u) >= (w + a) / 2 or abs(y - v) >= (h + b) / 2  # none covers another
    with pytest.raises(ValueError, match="model must compute something differentiable"):
        plots.graph(nn.Flatten(), lamella.zeros(2, 3, dtype=lamella.int64))


def test_without_matplotlib(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"\[plots.samples\] matplotlib must be installed for pictures: pip install matplotlib"):
        plots.samples(np.zeros((1, 2, 2)))


def test_layout():
    figure = plots.attention_map(np.full((3, 4, 4), 0.25), ["two", "words", "and", "two"], title="title")
    figure.savefig(io.BytesIO(), format="png")
    boxes = [axes.get_window_extent() for axes in figure.axes[:3]]
    assert boxes[0].x1 < boxes[1].x0 < boxes[1].x1 < boxes[2].x0


def test_settings_stay():
    before = dict(matplotlib.rcParams)
    plots.curves(ROWS)
    assert dict(matplotlib.rcParams) == before
