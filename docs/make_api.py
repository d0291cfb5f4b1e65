# SPDX-License-Identifier: MIT
"""Writes the API pages from docstrings: every public name of every public namespace, on one page per family.

Ops lie on the page of their family (the module of lamella.ops that defines them), all else on that of its namespace, one
section for each defining module. A docstring's lines are text, its `>>>` examples and indented lines are code.
"""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import lamella
from lamella import ops

F = "lamella.nn.functional"
# page: (title, [(namespace, modules that define what the section shows), ...]); ops of families not named: page "other"
PAGES = {
    "creation": ("Creation and types", [("lamella", "ops.creation dtypes device"), ("lamella", "lamella printing")]),
    "random": ("Random numbers", [("lamella", "ops.random")]),
    "elementwise": ("Arithmetic and elementary functions", [("lamella", "ops.elementwise"), ("lamella", "ops.special")]),
    "reductions": ("Reductions, scans, sorting, statistics", [("lamella", f"ops.{s}") for s in ("reduce", "scan", "sort", "statistics")]),
    "indexing": ("Indexing and writing", [("lamella", "ops.index"), ("lamella", "ops.write"), (F, "ops.index_bag")]),
    "shapes": ("Shapes, views, joining", [("lamella", f"ops.{s}") for s in ("view", "shape", "join")]),
    "products": ("Products", [("lamella", "ops.gemm"), ("lamella", "ops.products ops.quant"), ("lamella.linalg", "linalg")]),
    "autograd": (
        "Autograd",
        [("lamella.autograd", m) for m in ("autograd", "autograd.function", "autograd.functional", "autograd.gradcheck")]
        + [("lamella.utils.checkpoint", "utils.checkpoint")],
    ),
    "activations": ("Activations", [(F, "ops.activation ops.gate"), (F, "ops.softmax"), ("lamella.nn", "nn.activation")]),
    "functional": (
        "Functions behind layers",
        [(F, f"ops.{s}") for s in ("conv", "pool", "fold", "resize", "batch_norm", "layer_norm", "attention", "rotary", "recurrent")]
        + [(F, "nn.functional")],
    ),
    "layers": ("Layers", []),
    "initialisation": ("Initialisation", [("lamella.nn.init", "nn.init")]),
    "losses": ("Losses", []),
    "nn_utils": ("Helpers around layers", []),
    "optimisers": ("Optimisers", [("lamella.optim.swa_utils", "optim.swa_utils")]),
    "schedules": ("Schedules", []),
    "data": ("Data", []),
    "models": ("Models", []),
    "train": ("Training", []),
    "amp": ("Mixed precision", [("lamella", "amp.autocast_mode")]),
    "cuda": ("GPUs", []),
    "transfer": ("Transfer", []),
    "metrics": ("Metrics", []),
    "plots": ("Pictures", []),
    "reinforcement": ("Reinforcement learning", []),
    "doctor": ("Doctor", []),
    "files": ("Files, testing", [("lamella.serialize", "serialize"), ("lamella.testing", "testing")]),
    "other": ("Others", []),
}
# namespaces whose sections are made of whatever modules define their names: page
WHOLE = {
    "lamella.nn": "layers",
    "lamella.nn.utils": "nn_utils",
    "lamella.nn.utils.rnn": "nn_utils",
    "lamella.nn.utils.parametrize": "nn_utils",
    "lamella.nn.utils.parametrizations": "nn_utils",
    "lamella.optim": "optimisers",
    "lamella.optim.lr_scheduler": "schedules",
    "lamella.data": "data",
    "lamella.data.transforms": "data",
    "lamella.models": "models",
    "lamella.train": "train",
    "lamella.amp": "amp",
    "lamella.cuda": "cuda",
    "lamella.transfer": "transfer",
    "lamella.doctor": "doctor",
    "lamella.recipes": "train",
    "lamella.utils.tensorboard": "train",
    "lamella.metrics": "metrics",
    "lamella.plots": "plots",
    "lamella.metrics.functional": "metrics",
    "lamella.rl": "reinforcement",
    "lamella.rl.plots": "reinforcement",
    "lamella.distributions": "reinforcement",
    F: "other",
    "lamella": "other",
}
NAMESPACES = [*dict.fromkeys([*WHOLE, *(n for _, parts in PAGES.values() for n, _ in parts)])]
OPS = {  # op: the module that defines it, which a callable of the extension does not know
    name: f"lamella.{module.__name__.removeprefix('lamella.')}"
    for info in pkgutil.walk_packages(ops.__path__, "lamella.ops.")
    for module in [importlib.import_module(info.name)]
    if not info.ispkg
    for name in getattr(module, "__all__", ())
}


def names(namespace):
    """What a namespace offers: {name: object}, without modules, imports of its own and dtypes."""
    module = importlib.import_module(namespace)
    listed = getattr(module, "__all__", None) or [n for n in dir(module) if n[0] != "_"]
    found = {}
    for name in sorted(listed, key=str.lower):
        value = getattr(module, name)
        if inspect.ismodule(value) or isinstance(value, lamella.dtype) or not callable(value):
            continue
        if str(home(name, value)).startswith("lamella"):
            found[name] = value
    return found


def home(name, value):
    """The module that defines it."""
    module = getattr(value, "__module__", None)
    return module if isinstance(module, str) and module != "lamella._core" else OPS.get(name, "lamella")


def signature(value):
    """(arguments) without annotations, as text that parses."""
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return "(...)"
    shown = []
    for p in parameters:
        default = p.default
        if default is not p.empty:
            text = repr(default)
            default = text if re.fullmatch(r"[\w.+\-'\"(), \[\]{}:]*", text) else getattr(default, "__name__", "...")
        shown.append(p.replace(annotation=p.empty))
        shown[-1] = shown[-1].replace(default=p.empty), default
    out, kinds = [], [p.kind for p, _ in shown]
    for i, (p, default) in enumerate(shown):
        if p.kind is p.KEYWORD_ONLY and (i == 0 or kinds[i - 1] not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)):
            out.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        out.append(star + p.name + ("" if default is p.empty else f"={default}"))
        if p.kind is p.POSITIONAL_ONLY and (i + 1 == len(kinds) or kinds[i + 1] is not p.POSITIONAL_ONLY):
            out.append("/")
    return f"({', '.join(out)})"


def markdown(docstring):
    """A docstring as Markdown: what Markdown would read as markup is escaped outside of backquotes."""
    blocks, code = [], None
    for line in inspect.cleandoc(docstring).splitlines():
        if line.startswith((">>>", "...")) or (code == "python" and line.strip()):
            kind = "python"
        elif (line.startswith("   ") and (code or not blocks or not blocks[-1].strip())) or re.search(r"\S {3,}\S", line):
            kind = "text"  # indented, or columns
        else:
            kind = None
        if kind != code:
            blocks += ["```", ""] if code else []
            blocks += ["", f"```{kind}"] if kind else []
            code = kind
        blocks.append(line if code else _escaped(line.lstrip() if line.startswith("   ") else line))
    return "\n".join(blocks + (["```"] if code else []))


def _escaped(line):
    parts = line.split("`")
    return "`".join(p if i % 2 else re.sub(r"([\\*_<\[$#|~{}])", r"\\\1", p) for i, p in enumerate(parts)).replace("@", "&#64;")


def entry(namespace, name, value, others=()):
    """One documented name."""
    kind = "class" if inspect.isclass(value) else "function"
    lines = [f"::::{{py:{kind}}} {namespace}.{name}{signature(value)}", ""]
    lines += [markdown(inspect.getdoc(value) or "")]
    if others:
        lines += ["", "Also " + ", ".join(f"`{o}`" for o in others) + "."]
    if kind == "class":
        for method, function in methods(value).items():
            lines += ["", f":::{{py:method}} {method}{signature(function)}".replace("(self, ", "(").replace("(self)", "()"), ""]
            lines += [markdown(inspect.getdoc(function)), ":::"]
    return [*lines, "::::", ""]


def methods(cls):
    """Public methods that the class itself defines and documents."""
    return {
        n: f
        for n, f in vars(cls).items()
        if n[0] != "_" and inspect.isfunction(f) and f.__doc__ and not isinstance(f, staticmethod)
    }


def tensor_page():
    """Tensor: what only it has in full, functions and in-place forms by name."""
    own, functions, inplace = {}, [], []
    for name in sorted(n for n in dir(lamella.Tensor) if n[0] != "_"):
        value = getattr(lamella.Tensor, name)
        if getattr(lamella, name, None) is value:
            functions.append(name)
        elif name.endswith("_") and hasattr(lamella.Tensor, name[:-1]):
            inplace.append(name)
        else:
            own[name] = inspect.getattr_static(lamella.Tensor, name)
    lines = ["# Tensor", "", "::::{py:class} lamella.Tensor", "", markdown(lamella.Tensor.__doc__ or ""), ""]
    for name, value in own.items():
        plain = not callable(getattr(lamella.Tensor, name))
        text = inspect.getdoc(value) or ""
        mark = "attribute" if plain else "method"
        call = "" if plain else signature(value).replace("(self, ", "(").replace("(self)", "()")
        lines += [f":::{{py:{mark}}} {name}{call}", "", markdown(text), ":::", ""]
    lines += ["::::", "", "## Functions that are methods, too", "", " ".join(f"`{n}`" for n in functions), ""]
    lines += ["## In-place forms", "", " ".join(f"`{n}`" for n in inplace), ""]
    return "\n".join(lines)


def pages():
    """{page: its Markdown}. Each object has its entry under its first name; other names are told there."""
    offered = {namespace: names(namespace) for namespace in NAMESPACES}
    known = {}  # by identity: where it is documented
    content = {page: [] for page in PAGES}

    def section(page, namespace, modules):
        fresh = [n for n, v in offered[namespace].items() if id(v) not in known and home(n, v) in modules and v is not lamella.Tensor]
        entries = {}
        for n in fresh:
            entries.setdefault(id(offered[namespace][n]), []).append(n)
        if not entries:
            return
        docs = [inspect.getdoc(m) for m in (importlib.import_module(m) for m in modules if m != "lamella") if inspect.getdoc(m)]
        head = re.split(r"[.:;] |, and |\.$", docs[0].splitlines()[0])[0] if docs else "Settings"
        layers = " (layers)" if page == "losses" and namespace == "lamella.nn" else ""
        content[page] += [f"## {_escaped(head)}{layers}", ""]
        for key, [first, *rest] in entries.items():
            value = offered[namespace][first]
            known[key] = f"{namespace}.{first}"
            elsewhere = [  # nn.functional offers what is in lamella, too: not told each time
                f"{s}.{n}" for s in NAMESPACES if s not in (namespace, F) for n, v in offered[s].items() if v is value
            ]
            content[page] += entry(namespace, first, value, [*rest, *elsewhere])

    for page, (_, parts) in PAGES.items():
        for namespace, stems in parts:
            section(page, namespace, [f"lamella.{s}" if s != "lamella" else s for s in stems.split()])
    defining = dict.fromkeys(home(n, v) for n, v in {**offered[F], **offered["lamella.nn"]}.items())
    for module in sorted((m for m in defining if ".loss." in m or m.endswith(".ctc")), key=lambda m: (m.split(".")[-1], m), reverse=True):
        section("losses", F if ".ops." in module else "lamella.nn", [module])
    for namespace, page in WHOLE.items():
        for module in dict.fromkeys(home(n, v) for n, v in offered[namespace].items()):
            section(page, namespace, [module])
    made = {page: "\n".join([f"# {title}", "", *content[page]]) for page, (title, _) in PAGES.items() if content[page]}
    made = {"tensor": tensor_page(), **made}
    links = "\n".join(made)
    made["index"] = f"# API\n\nEvery public name, from its docstring.\n\n```{{toctree}}\n:maxdepth: 1\n\n{links}\n```\n"
    return made


def write(folder):
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    made = pages()
    for old in folder.glob("*.md"):
        if old.stem not in made:
            old.unlink()
    for page, text in made.items():
        path = folder / f"{page}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
