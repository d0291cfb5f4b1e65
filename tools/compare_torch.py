# SPDX-License-Identifier: MIT
"""Every module of tests/modules.py against PyTorch's, where that is installed: a state_dict that PyTorch wrote as safetensors
loads, and outputs, gradients, changed buffers and the repr are the same, in training and in evaluation mode.

    python tools/compare_torch.py [PATTERN]
"""

from __future__ import annotations

import pathlib
import re
import sys
import tempfile
import warnings

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

TOLERANCE = 1e-5  # of the largest magnitude in a tensor, or a tenth of the largest in all of them; float32
OTHER_TEXT = {"NonDynamicallyQuantizableLinear": "Linear", "torch.float32": "lamella.float32"}


def flat(result):
    """The tensors in a result, however nested."""
    if isinstance(result, (tuple, list)):
        return [x for part in result for x in flat(part)]
    return [] if result is None else [result]


def run(lib, module, inputs):
    """Outputs, then gradients of inputs and parameters, then buffers, by name."""
    given = [lib.from_numpy(x.copy()) for x in inputs]
    for x, source in zip(given, inputs, strict=True):
        x.requires_grad_(source.dtype == np.float32)
    module.zero_grad()
    outputs = flat(module(*given))
    found = {f"output {i}": y for i, y in enumerate(outputs)}
    rng = np.random.default_rng(1)
    total = 0.0
    for y in outputs:
        total = total + (y * lib.from_numpy(np.asarray(rng.standard_normal(tuple(y.shape)), np.float32))).sum()
    if total.requires_grad:
        total.backward()
    named = [(f"input {i}", x) for i, x in enumerate(given)] + list(module.named_parameters())
    found |= {f"gradient of {name}": x.grad for name, x in named if x.grad is not None}
    found |= {f"buffer {name}": b for name, b in module.named_buffers()}
    return {name: np.asarray(value.detach().numpy(), np.float64) for name, value in found.items()}


def text(module):
    shown = repr(module)
    for theirs, ours in OTHER_TEXT.items():
        shown = shown.replace(theirs, ours)
    return shown


def compare(lib, torch, row, folder):
    """The differences, in words."""
    made = {}
    for name, library in (("theirs", torch), ("ours", lib)):
        made[name] = eval(f"nn.{row.code}", {"nn": library.nn})
    theirs, ours = made["theirs"], made["ours"]
    problems = [] if text(theirs) == repr(ours) else [f"repr {ours!r}, theirs {text(theirs)!r}"]
    inputs = row.inputs()
    with torch.no_grad():
        theirs(*(torch.from_numpy(x) for x in inputs))  # lazy layers get their sizes
        rng = np.random.default_rng(2)
        for p in theirs.parameters():  # none of them zero
            p.add_(torch.from_numpy(np.asarray(0.1 * rng.standard_normal(tuple(p.shape)), np.float32)))
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in theirs.state_dict().items()}, folder / "state.safetensors")
    ours.load_state_dict(lib.load(folder / "state.safetensors"))
    for mode in (True, False):
        want, got = run(torch, theirs.train(mode), inputs), run(lib, ours.train(mode), inputs)
        where = "training" if mode else "evaluation"
        most = max((np.abs(x).max(initial=0) for x in want.values()), default=0)
        problems += [f"{where}: {name} is missing on one side" for name in sorted(set(want) ^ set(got))]
        for name in sorted(set(want) & set(got)):
            a, b = want[name], got[name]
            error = np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), 0.1 * most) if a.shape == b.shape else np.inf
            if not error <= TOLERANCE:
                problems.append(f"{where}: {name} differs by {error:.1e}, shapes {b.shape} and {a.shape}")
    return problems


def main():
    try:
        import safetensors.torch  # noqa: F401
        import torch
    except ImportError as error:
        print(f"compare_torch: skipped, {error}")
        return 0
    import lamella
    from modules import ROWS

    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    failed = checked = 0
    with tempfile.TemporaryDirectory() as folder:
        for row in ROWS:
            if row.ours_alone or not re.search(sys.argv[1] if len(sys.argv) > 1 else "", row.code):
                continue
            checked += 1
            try:
                problems = compare(lamella, torch, row, pathlib.Path(folder))
            except Exception as error:
                problems = [f"{type(error).__name__}: {error}"]
            failed += bool(problems)
            for problem in problems:
                print(f"{row.code}: {problem}")
    print(f"compare_torch: {checked} modules, {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
