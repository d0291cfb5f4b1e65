# SPDX-License-Identifier: MIT
"""Writes a page for each family of recipes from the files of lamella/recipes, and the gallery from what runs have left.

`python docs/make_recipes.py RUN...` keeps the pictures, texts and figures of finished runs (folders with a run.json) in docs/gallery,
scaled down; the pages show them from then on.
"""

import json
import sys
from pathlib import Path

from lamella import recipes

HERE = Path(__file__).parent
# page: (title, what to know, recipes); those that no page names are on the page "others"
FAMILIES = {
    "images": (
        "Images",
        "Begin with the smallest net that can learn one batch by heart. Convolutions with batch norm learn quickest; a Vision Transformer "
        "needs more data or more augmentation. Shift and mirror pictures while they are loaded, normalise with the training set's mean and "
        "deviation. What to look at: the confusion matrix, the wrong pictures, the filters of the first layer.",
        ("digits", "perceptron", "mlp", "lenet5", "cifar10", "image_classifier", "vit", "transfer", "multi_task", "domain_adaptation",
         "ssd", "unet", "clip"),
    ),
    "text": (
        "Sequences and text",
        "A tokenizer turns text into numbers: letters for small things, words or pieces of words for large ones. Batches of like length waste "
        "little on padding. Transformers want a warm-up of the rate, clipped gradients and AdamW. What to look at: the held-out loss in nats "
        "(its exponential is the perplexity), and what the model writes.",
        ("gpt", "llama", "language_model", "sentiment", "bert", "tagger", "translate", "seq2seq", "t5"),
    ),
    "speech": (
        "Speech",
        "Sound becomes a picture first: a mel spectrogram in decibels, 8 to 16 ms a column, normalised by itself so that loudness does not "
        "matter. Noise, masks (SpecAugment) and stretching in time and pitch take the place of more speakers. Where nobody has marked when "
        "each word is said, CTC sums over all ways to place them. Hold whole speakers out: a model that has heard a voice knows it.",
        ("spoken_digits", "speech_ctc", "wav2vec_ctc"),
    ),
    "generative": (
        "Generative models",
        "An autoencoder keeps what it needs to draw the picture again; a variational one has codes one can draw from; a GAN learns from a "
        "judge; diffusion takes noise away step by step. Losses say little here: look at samples, all from one seed, and at a distance "
        "between the statistics of true and made pictures.",
        ("autoencoder", "vae", "dcgan", "wgan_gp", "ddpm"),
    ),
    "reinforcement": (
        "Reinforcement learning",
        "The data depend on what the agent does, so runs differ far more than in supervised learning: compare several seeds, and look at the "
        "reward over episodes, never at the loss. Tables for a few hundred states, DQN for discrete actions, PPO where in doubt.",
        ("q_learning", "sarsa", "dqn", "reinforce", "a2c", "ppo"),
    ),
}


def families():
    """{page: (title, what to know, the recipes that exist)}, every recipe on one page."""
    known = recipes.names()
    pages = {page: (title, text, [n for n in names if n in known]) for page, (title, text, names) in FAMILIES.items()}
    rest = [n for n in known if not any(n in names for *_, names in pages.values())]
    pages |= {"others": ("Others", "", rest)}
    return {page: part for page, part in pages.items() if part[2]}


def kept():
    """{recipe: what its kept run says of itself}"""
    return {p.parent.name: json.loads(p.read_text()) for p in sorted((HERE / "gallery").glob("*/run.json"))}


def command(name, run=None):
    found = recipes.get(name)
    settings = {k: v for k, v in (run or {}).get("settings", {}).items() if v != found.settings[k].default} if run else {}
    words = ["lamella train", name, *(["--data DIR"] if found.data else []), *(f"{k}={v}" for k, v in settings.items())]
    return " ".join(words + ([f"--seed {run['seed']}"] if run and run["seed"] else []))


def outcome(name, run):
    """A kept run's figures and pictures."""
    figures = ", ".join(f"{k.replace('_', ' ')} {v:.4g}" if isinstance(v, float) else f"{k.replace('_', ' ')} {v}" for k, v in run["figures"].items())
    lines = ["", f"```sh\n{command(name, run)}\n```", "", f"{figures}; seed {run['seed']}, {run['seconds']:.0f} s."]
    kept = HERE / "gallery" / name
    lines += [f"\n```{{literalinclude}} ../gallery/{name}/{p.name}\n:language: text\n```" for p in sorted(kept.glob("*.txt"))]
    return [*lines, *(f"\n![{name}: {p.stem}](../gallery/{name}/{p.name})" for p in sorted(kept.glob("*.png")))]


def section(name, run):
    """A recipe: what it does, its command, settings, source, and what came out."""
    found = recipes.get(name)
    lines = ["", f"## {name}", "", found.doc, ""]
    lines += [f"```sh\n{command(name)}\n```", ""]
    if found.data:
        lines += [f"`--data`: {found.data}.", ""]
    if found.settings:
        lines += ["| setting | type | default |", "|---|---|---|"]
        lines += [f"| `{s.name}` | {s.type.__name__}{' or none' if s.optional else ''} | {s.default} |" for s in found.settings.values()]
    lines += ["", f"```{{literalinclude}} ../../python/lamella/recipes/{name}.py\n:language: python\n:lines: 2-\n```"]
    return lines + (["", "What comes out:", *outcome(name, run)] if run else [])


def pages():
    """{file below docs: text}"""
    runs, made = kept(), {}
    index = [
        "# Recipes",
        "",
        "Each is a script of a page that trains a model and says what came out: `lamella train NAME --data DIR key=value`, or",
        '`recipes.get("NAME")(data, key=value)` in Python. Copy one and change it: `python my_recipe.py` is a command of its own.',
    ]
    for page, (title, text, names) in families().items():
        index += ["", f"## [{title}]({page}.md)", "", *(f"- [{n}]({page}.md#{n.replace('_', '-')}): {recipes.get(n).summary}" for n in names)]
        lines = [f"# {title}", "", text]
        for name in names:
            lines += section(name, runs.get(name))
        made[f"recipes/{page}.md"] = "\n".join(lines) + "\n"
    gallery = ["# Gallery", "", "What recipes drew, by which command, with which figures."]
    for name, run in runs.items():
        if name in recipes.names():
            gallery += ["", f"## {name}", *outcome(name, run)]
    index += ["", "```{toctree}", ":hidden:", "", *families(), *(["gallery"] if runs else []), "```"]
    made["recipes/index.md"] = "\n".join(index) + "\n"
    return made | ({"recipes/gallery.md": "\n".join(gallery) + "\n"} if runs else {})


def write(folder):
    for name, text in pages().items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def keep(folder, width=720):
    """Takes a run's run.json, texts and pictures, at most `width` pixels wide in 64 colours, into docs/gallery/RECIPE."""
    from PIL import Image

    run = json.loads((Path(folder) / "run.json").read_text())
    if "figures" not in run:
        raise ValueError(f"{folder}: the run is not finished")
    target = HERE / "gallery" / run["recipe"]
    target.mkdir(parents=True, exist_ok=True)
    for old in (*target.glob("*.png"), *target.glob("*.txt")):
        old.unlink()
    for path in Path(folder).glob("*.txt"):
        (target / path.name).write_text("\n".join(path.read_text().strip().splitlines()[:20]) + "\n")
    for path in sorted(Path(folder).glob("*.png")):
        with Image.open(path) as image:
            image = image.convert("RGB")
            image.thumbnail((width, 4 * width))
            image.quantize(64).save(target / path.name, optimize=True)
    what = {k: run[k] for k in ("recipe", "settings", "seed", "figures", "seconds", "isa")}
    (target / "run.json").write_text(json.dumps(what, indent=1) + "\n")


if __name__ == "__main__":
    for run in sys.argv[1:]:
        keep(run)
    write(HERE)
