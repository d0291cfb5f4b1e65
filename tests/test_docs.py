# SPDX-License-Identifier: MIT
"""The documentation: examples in docstrings, concept scripts, pages that name everything public."""

import doctest
import importlib
import pkgutil
import re
import sys
from pathlib import Path

import pytest

import lamella
from lamella import nn

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))
import make_api  # noqa: E402
import make_concepts  # noqa: E402
import make_figures  # noqa: E402
import make_recipes  # noqa: E402

LIBRARIES = ("lamella._core", "lamella._cuda")
MODULES = ["lamella", *sorted({m.name for m in pkgutil.walk_packages(lamella.__path__, "lamella.")} - {*LIBRARIES})]
SCRIPTS = make_figures.scripts()


@pytest.fixture(autouse=True)
def style():
    """The scripts' style of pictures ends with the test."""
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context():
        yield


def examples():
    """One test for each docstring that has examples; ops of the extension are found by the name they are bound to."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = {"lamella": lamella, "nn": nn, "F": nn.functional}
    names |= {name: getattr(lamella, name) for name in ("models", "train", "recipes", "transfer")}
    for name in MODULES:
        if name.endswith("__main__"):
            continue
        module = importlib.import_module(name)
        for test in finder.find(module, name, globs={**vars(module), **names}):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", list(examples()))
def test_example(test):
    lamella.manual_seed(0)
    told = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(test, out=told.append, clear_globs=False)
    assert not told, "".join(told)


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_holds_its_claim(name, monkeypatch):
    """Drawing takes as long again: that is left to the documentation's build, but for one."""
    monkeypatch.setenv("LAMELLA_PICTURES", "")
    monkeypatch.setattr(sys, "path", sys.path[:])
    make_figures.run(SCRIPTS[name])


def test_script_draws(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMELLA_PICTURES", str(tmp_path))
    monkeypatch.setattr(sys, "path", sys.path[:])
    make_figures.run(SCRIPTS["dropout"])
    assert (tmp_path / "dropout.svg").read_text().startswith("<?xml")


def test_every_concept_has_a_page():
    listed = [name for names in make_concepts.GROUPS.values() for name in names]
    assert sorted(listed) == sorted(p.stem for p in (DOCS / "concepts").glob("*.py") if p.stem != "picture")


def test_every_recipe_is_on_one_page_with_its_source():
    pages = make_recipes.pages()
    text = "\n".join(pages.values())
    for name in lamella.recipes.names():
        assert len(re.findall(rf"^## {name}$", text.replace(pages.get("recipes/gallery.md", "-"), ""), re.M)) == 1
        assert f"](../gallery/{name}/" not in text or (DOCS / "gallery" / name / "run.json").exists()
    for include in re.findall(r"\{literalinclude\} (\S+)", text):
        assert (DOCS / "recipes" / include).resolve().exists()
    for picture in re.findall(r"\]\((\.\./gallery/\S+)\)", text):
        assert (DOCS / "recipes" / picture).resolve().exists()


def test_every_public_name_is_on_a_page_and_described():
    pages = make_api.pages()
    text = "\n".join(pages.values())
    shown = set()
    for entry in re.findall(r"^::::\{py:\w+\} ([\w.]+)", text, re.M):
        namespace, name = entry.rsplit(".", 1)
        shown.add(id(getattr(importlib.import_module(namespace), name)))
    missing = [f"{n}.{name}" for n in make_api.NAMESPACES for name, value in make_api.names(n).items() if id(value) not in shown]
    assert not missing
    members = [n for n in dir(lamella.Tensor) if n[0] != "_"]
    assert not [n for n in members if not re.search(rf"[ `]{n}[(`\n]", pages["tensor"])]
    assert not re.findall(r"^:{3,4}\{py:\w+\} (.*)\n\n\n?(?:::::|:::|Also)", text, re.M)  # nothing but a signature


def test_guide_names_what_exists():
    """Words in backquotes are names, arguments or string values of something public."""
    known = {*dir(lamella.Tensor)} | set(vars(lamella.nn.Module)) | {*dir(lamella.backends.cpu), "lamella", "torch", "LAMELLA_NUM_THREADS"}
    for namespace in make_api.NAMESPACES:
        known |= {*namespace.split("."), *dir(importlib.import_module(namespace))}
        for value in make_api.names(namespace).values():
            known |= {*(dir(value) if isinstance(value, type) else ())}
            known |= set(re.findall(r"\w+", make_api.signature(value) + (value.__doc__ or "")))
    told = {}
    for page in [*DOCS.glob("*.md"), *(DOCS / "guide").glob("*.md")]:
        text = re.sub(r"```.*?```|\$[^$]+\$", "", page.read_text(), flags=re.S)
        for quoted in re.findall(r"`([^`]+)`", text):
            unknown = [w for w in re.findall(r"[A-Za-z_]\w+", re.sub(r'"[^"]*"', "", quoted)) if w not in known]
            if unknown and not quoted.startswith(("import", "from", "[op]", "python", "torch.", "super", "lamella ")):
                told[page.name, quoted] = unknown
    assert not told
