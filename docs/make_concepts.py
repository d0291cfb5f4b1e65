# SPDX-License-Identifier: MIT
"""Writes a page for each script of docs/concepts from its docstring, the script and its picture, and the index."""

import ast
from pathlib import Path

GROUPS = {
    "What a network can say": ("perceptron", "universal_approximation", "softmax_cross_entropy"),
    "Descent": ("learning_rate", "optimizers", "learning_rate_range", "warmup", "gradient_clipping", "gradient_accumulation"),
    "Depth": ("vanishing_gradients", "initialization", "dead_relu", "normalization", "residual_connections"),
    "Generalisation": ("bias_variance", "regularization", "dropout", "early_stopping", "label_smoothing", "class_imbalance", "transfer"),
    "Images": ("convolution", "pooling", "receptive_field"),
    "Sequences": ("embeddings", "recurrent_memory", "attention_scaling", "attention_masks", "positional_encoding"),
    "Without labels": ("autoencoder", "vae", "gan", "diffusion", "contrastive"),
    "Reinforcement": ("q_learning",),
    "Numbers": ("reproducibility", "rounding", "quantization_error"),
}


def title_and_text(script):
    """The first line of a script's docstring, and the rest."""
    title, _, text = ast.get_docstring(ast.parse(script.read_text())).partition("\n\n")
    return title, text


def write(folder):
    folder = Path(folder)
    index = [
        "# Concepts",
        "",
        "Each is a script of a few dozen lines that runs in about a second: `python docs/concepts/NAME.py`. Its claim is an",
        "assertion at its end, so the test suite holds it to its word.",
    ]
    for group, names in GROUPS.items():
        index += ["", f"## {group}", ""]
        for name in names:
            title, text = title_and_text(folder / f"{name}.py")
            index.append(f"- [{title}]({name}.md)")
            script = f"```{{literalinclude}} {name}.py\n:lines: 2-\n:language: python\n```"
            _update(folder / f"{name}.md", f"# {title}\n\n{text}\n\n![{title}](../pictures/{name}.svg)\n\n{script}\n")
        index += ["", "```{toctree}", ":hidden:", "", *names, "```"]
    _update(folder / "index.md", "\n".join(index) + "\n")


def _update(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
