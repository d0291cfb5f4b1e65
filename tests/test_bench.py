# SPDX-License-Identifier: MIT
"""The bench's own arithmetic and its rows; nothing here is timed."""

import json

import pytest

import lamella
from bench import __main__ as command
from bench import measure, picture, report
from bench.compare import compare
from bench.figures import figures
from bench.peers import KNOWN
from bench.worker import Worker
from bench.workloads import WORKLOADS, registry


def run(**results):
    """A run with these results; a row's figures are (seconds of lamella, ratios of torch and numpy)."""
    found = {}
    for name, (ours, *ratios) in results.items():
        found[name] = {"lamella": {"seconds": ours, "faults": 0}}
        for peer, r in zip(("torch", "numpy"), ratios, strict=False):
            if r:
                found[name][peer] = {"seconds": ours * r, "ratio": r, "faults": 0}
    return {
        "date": "2026-01-01T00:00",
        "commit": "abc",
        "threads": 2,
        "machine": {"cpu": "CPU", "cores": 2, "system": "Linux"},
        "peers": {"lamella": {"version": "1", "isa": "v4"}, "torch": {"version": "2"}, "numpy": {"version": "3"}},
        "peaks": {"float32": 200.0, "float64": 100.0, "triad": 20.0},
        "rows": {
            "a": {"family": "gemm", "flops": 1e9, "bytes": 0, "dtype": "float64"},
            "a-train": {"family": "gemm", "flops": 3e9, "bytes": 0, "dtype": "float64"},
            "b": {"family": "rows", "flops": 0, "bytes": 1e9, "dtype": "float32"},
            "c": {"family": "models", "flops": 0, "bytes": 0, "dtype": "float32"},
        },
        "results": found,
    }


FULL = {"a": (0.02, 4.0, 2.0), "a-train": (0.06, 0.5), "b": (0.1, 2.0, 0.25), "c": (1e-5, 4.0)}


def test_rates_are_shares_of_the_measured_peaks():
    r = run(**FULL)
    assert report.rate(r, "a") == (pytest.approx(50), "GFLOP/s", pytest.approx(0.5))
    assert report.rate(r, "b") == (pytest.approx(10), "GB/s", pytest.approx(0.5))
    assert report.rate(r, "c") is None and report.rate(r, "unknown") is None


def test_means_and_what_is_behind():
    r = run(**FULL)
    assert report.best(r, "a") == 2 and report.best(r, "b") == 0.25 and report.best(r, "a-train") == 0.5
    text = report.means(r)
    assert "torch 2.00x over 4" in text and "numpy 0.71x over 2" in text and "row 1.00x over 4" in text
    assert report.behind(r) == "behind: b 0.25x (numpy), a-train 0.50x (torch)"
    assert report.behind(run(a=FULL["a"])) == ""


def test_what_is_left_out_says_why():
    r = run(**FULL)
    for name in ("a", "b"):
        r["results"][name]["torch"] = {"missing": "nn.X"}
    r["results"]["c"]["numpy"] = {"error": "numpy: ValueError: no"}
    assert report.left_out(r) == "left out: torch has no nn.X: a, b\nc: numpy: ValueError: no"
    assert "error" in report.table(r) and "left out" in report.table(r)


def test_scaling_and_memory():
    r = run(**FULL)
    assert report.scaling(r) == "" and report.memory(r) == ""
    r["by_threads"] = {"1": run(a=(0.04, 6.0), c=(1e-5,))["results"]}
    lines = report.scaling(r).splitlines()
    assert lines[0] == "1 to 2 threads, times faster" and lines[2].split() == ["a", "2.00x", "3.00x"]
    assert lines[-1].split() == ["c", "1.00x"]
    r["memory"] = {"c": {"lamella": 3 << 20, "torch": 5 << 20}}
    assert report.memory(r).splitlines()[1].split() == ["c", "3", "5"]


def test_markdown_joins_a_row_with_its_training():
    lines = [line for line in report.markdown(run(**FULL)).splitlines() if line.startswith("| ")]
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert lines[2] == "| `a` | 20 ms | 50% | 4.00x | 2.00x | 60 ms | 50% | 0.50x |  |"
    assert [line.split("`")[1] for line in lines[2:]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("s", "text"), [(2.0, "2 s "), (0.0123, "12.3 ms"), (4.5e-5, "45 µs"), (6.78e-7, "678 ns"), (1e-6, "1 µs")]
)
def test_durations(s, text):
    assert report.duration(s) == text


def test_a_noisy_machine_is_told():
    r = run(**FULL) | {"peaks_after": {"float32": 150.0, "float64": 99.0, "triad": 20.0}}
    assert "NOT A QUIET MACHINE" in report.about(r)
    assert "NOT A QUIET MACHINE" not in report.about(run(**FULL) | {"peaks_after": {"triad": 21.0}})


def test_samples_become_medians_and_paired_ratios():
    found = measure.summary([1.0, 2.0, 9.0], [0, 0, 3], ours=[1.0, 1.0, 3.0])
    assert found == {"seconds": 2.0, "best": 1.0, "mad": 0.5, "rounds": 3, "faults": 0, "ratio": 2.0}
    assert "ratio" not in measure.summary([1.0], [0], None)


def test_compare(tmp_path):
    for name, row in (("a", FULL["a"]), ("b", (0.01, 6.0))):
        (tmp_path / name).write_text(json.dumps(run(a=row, c=FULL["c"])))
    line = compare(tmp_path / "a", tmp_path / "b").splitlines()[-2]
    assert line.split() == ["a", "20", "ms", "10", "ms", "2.00x", "4.00x,", "6.00x"]


def test_figures_say_what_is_reached():
    r = run(**{"add-16": (5e-7,), "mlp-b32-step": (1e-4, 1.5)})
    lines = figures(r).splitlines()
    assert "a + b" in lines[1] and lines[1].endswith(" reached") and "NOT" not in lines[1]
    assert any("MLP" in line and line.endswith("NOT REACHED") for line in lines)


def test_families_and_columns_of_the_picture():
    r = run(**FULL)
    assert picture.families(r, "torch") == {
        "gemm": [("a", 4.0, 0.5)],
        "rows": [("b", 2.0, None)],
        "models": [("c", 4.0, None)],
    }
    lines = {name: [None] * n for name, n in (("p", 10), ("q", 6), ("r", 4))}
    assert picture.columns(lines) == [["p"], ["q", "r"]]


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_picture(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    out = tmp_path / f"out.{suffix}"
    picture.draw(run(**FULL), out)
    assert out.stat().st_size > 1000
    with pytest.raises(SystemExit, match="no row with jax"):
        picture.draw(run(**FULL), out, "jax")


def test_commands_that_read_runs(tmp_path, capsys):
    (tmp_path / "a.json").write_text(json.dumps(run(**FULL)))
    assert command.show("report", [str(tmp_path / "a.json")]) == 0 and "geometric mean" in capsys.readouterr().out
    assert command.show("markdown", [str(tmp_path / "a.json")]) == 0 and "| `a` |" in capsys.readouterr().out
    assert command.show("picture", []) == 2


# ---- rows ------------------------------------------------------------------------------------------------------------
def test_every_row_is_well_formed():
    for name, row in WORKLOADS.items():
        assert row.name == name and row.family in picture.FAMILIES and "lamella" in row.builds
        assert set(row.builds) <= set(KNOWN) and not (row.flops and row.bytes)
        if name.endswith("-train") and (base := name.removesuffix("-train")) in WORKLOADS:
            assert (row.flops, row.bytes) >= (WORKLOADS[base].flops, WORKLOADS[base].bytes)
    assert WORKLOADS["sgemm-64"].flops == 2 * 64**3
    assert WORKLOADS["conv2d-3x3s2-64-128@56"].flops == 2 * 16 * 28 * 28 * 128 * 64 * 9


def test_choice_of_rows():
    assert command.choose("sgemm-64,add-16*", False) == ["sgemm-64", "add-16M", "add-16M-train", "add-16", "add-16-grad"]
    assert set(command.choose("@optim", False)) == {n for n, w in WORKLOADS.items() if w.family == "optim"}
    sweep = command.choose("*", True)
    assert sweep and not set(sweep) & set(command.choose("*", False))


SMALL = ["sgemm-64", "conv2d-lenet1-train", "add-16", "add-16-grad", "chain-400x16-train", "adamw-200x1K",
         "clip_grad_norm-200x1K", "mlp-b32-step", "lenet5-b64-inference", "argmax-4096x1024", "relu-2^10"]  # fmt: skip


@pytest.fixture
def worker():
    before = lamella.get_num_threads()
    yield Worker("lamella", 2)
    lamella.set_num_threads(before)


@pytest.mark.parametrize("name", SMALL)
def test_small_rows_run(worker, name):
    assert worker.build(name) == {}
    answer = worker.sample(2, True)
    assert answer["seconds"] > 0 and answer["faults"] >= 0


def test_a_row_that_a_library_lacks(worker, monkeypatch):
    row = registry.Workload("x", "rows", needs=("nn.Nothing", "zeros"), builds={"lamella": lambda lib: None})
    monkeypatch.setitem(WORKLOADS, "x", row)
    assert worker.build("x") == {"missing": "nn.Nothing"}
    worker.peer = "numpy"
    assert worker.build("x") == {"absent": True}


def test_memory_of_a_row(monkeypatch):
    made = registry.Workload("x", "rows", builds={"lamella": lambda lib: lambda: lib.ones(1 << 24)})
    monkeypatch.setitem(WORKLOADS, "x", made)
    found = Worker("lamella", lamella.get_num_threads()).memory("x")["bytes"]
    assert 0 <= found < 1 << 30


def test_an_op_becomes_rows_of_every_peer(monkeypatch):
    rows = {}
    monkeypatch.setattr(registry, "WORKLOADS", rows)
    seen = []

    def pick(lib, index, w):
        seen.append((tuple(index.shape), tuple(w.shape), str(w.dtype)))
        return w[index]

    registry.add_op("rows", "pick", pick, [registry.Index(5, (3,)), (5, 2)], dtype="float64", numpy=pick, bytes=10.0)
    assert set(rows) == {"pick", "pick-train"} and set(rows["pick"].builds) == {"lamella", "torch", "numpy"}
    assert rows["pick-train"].bytes == 30
    rows["pick"].builds["lamella"](lamella)()
    rows["pick-train"].builds["lamella"](lamella)()
    import numpy

    assert rows["pick"].builds["numpy"](numpy)().shape == (3, 2)
    assert {s[:2] for s in seen} == {((3,), (5, 2))} and {s[2].split(".")[-1] for s in seen} == {"float64"}
