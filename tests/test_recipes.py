# SPDX-License-Identifier: MIT
"""The frame that recipes stand in: settings, runs, what they leave; and that every recipe keeps to it."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import lamella
from lamella import nn, optim, recipes
from lamella.nn import functional as F
from lamella.recipes import recipe


@recipe(data="a file of numbers")
def tiny(run, data=None, *, steps: int = 3, lr: float = 0.1, name: str = "a", flag: bool = False, limit: int | None = None):
    """Fits a line.

    More words.
    """
    lamella.manual_seed(run.seed)
    model = nn.Linear(2, 1)
    batch = (lamella.ones(4, 2), lamella.zeros(4, 1))
    trainer = run.trainer(model, optim.SGD(model.parameters(), lr=lr), F.mse_loss)
    history = trainer.fit([batch] * 2, epochs=steps)
    run.save(model, {"limit": limit})
    run.figure("nothing", missing_library)
    run.text("words.txt", "done\n")
    return {"loss": history.last["loss"], "flag": flag}


def missing_library():
    raise ImportError("plots need matplotlib")


def test_settings_by_text_and_value():
    assert tiny.summary == "Fits a line." and tiny.settings["limit"].optional and not tiny.settings["lr"].optional
    parsed = tiny.parse({"steps": "5", "lr": "1e-2", "flag": "yes", "limit": "none", "name": "x=y"})
    assert parsed == {"steps": 5, "lr": 0.01, "name": "x=y", "flag": True, "limit": None}
    assert tiny.parse({"limit": 4, "lr": 1}) == {"steps": 3, "lr": 1.0, "name": "a", "flag": False, "limit": 4}
    for bad, text in (({"flag": "maybe"}, "flag must be of type bool, got 'maybe'"), ({"steps": 1.5}, "steps must be of type int, got '1.5'")):
        with pytest.raises(ValueError, match=text):
            tiny.parse(bad)


def test_a_run_and_its_files(tmp_path, capsys):
    figures = tiny(tmp_path, out=tmp_path / "run", quiet=False, lr=0.2)
    out = capsys.readouterr().out
    assert "no pictures: plots need matplotlib" in out and "epoch 3/3" in out
    what = json.loads((tmp_path / "run" / "run.json").read_text())
    assert what["settings"]["lr"] == 0.2 and what["data"] == str(tmp_path) and what["figures"] == figures
    assert set(what["files"]) == {"state.safetensors", "history.csv", "model.safetensors", "words.txt"}
    assert all((tmp_path / "run" / name).exists() for name in what["files"])
    with pytest.raises(ValueError, match=r"\[tiny\] data must be there, got .*nowhere"):
        tiny(tmp_path / "nowhere", out=tmp_path / "x")


def test_what_a_recipe_must_be():
    with pytest.raises(TypeError, match="lr must be keyword-only, int, float, str or bool, with a default"):
        recipe(lambda run, *, lr=0.1: None)
    with pytest.raises(ValueError, match=r"\[recipes\] name must be one of .*, got 'nothing'"):
        recipes.get("nothing")


def test_a_recipe_of_ones_own_runs_itself(tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(
            """
            from lamella.recipes import recipe

            @recipe
            def mine(run, *, n: int = 1):
                "Counts."
                return {"n": n}

            if __name__ == "__main__":
                raise SystemExit(mine.main())
            """
        )
    )
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    made = subprocess.run([sys.executable, tmp_path / "mine.py", "n=4", "--out", tmp_path / "run"], env=path, capture_output=True, text=True)
    assert made.returncode == 0 and "n 4; seed 0" in made.stdout, made.stderr


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_a_page(name):
    """One function of the file's name, a line of summary, under 80 lines, runs by itself."""
    found = recipes.get(name)
    path = Path(recipes.__file__).with_name(f"{name}.py")
    text = path.read_text()
    assert found.name == name and found.summary.endswith((".", "!", ")")) and len(text.splitlines()) < 80
    assert f"{name}.main()" in text and "build" in vars(found.module)
