#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nothing compiled for a newer CPU may be linked where an older one runs it.

    python tools/check_symbols.py BUILD_DIR

1. Every symbol that a kernel object defines lies in its ISA's namespace. A function outside it that two objects both
   emit (an inline, a template of the standard library) is merged by the linker, and then all ISAs run one of them.
2. No baseline object (core, dispatch, ops, bindings) uses the wide registers ymm and zmm.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

BASELINE = re.compile(r"/cpp/(core|dispatch|ops|bindings)/")
# What a compiler emits for itself: pointers to the personality routine, and what the sanitizers add.
HARMLESS = re.compile(r"^(DW\.ref\.__gxx_personality_v0|__odr_asan.*|__asan_.*|__ubsan_.*)$")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def strangers(path: Path, isa: str) -> list[str]:
    """Defined global and weak symbols outside lamella::<isa>."""
    inside = re.compile(rf"^(guard variable for |vtable for |typeinfo (name )?for )?.*\blamella::{isa}::")
    mangled = re.compile(rf"^_Z+NK?7lamella{len(isa)}{isa}")  # names whose lambdas are nested too deep for nm
    found = []
    for line in run("nm", "--defined-only", "--extern-only", "--demangle", str(path)).splitlines():
        kind, name = line.split(maxsplit=2)[1:] if line[0] != " " else line.split(maxsplit=1)
        if not (inside.match(name) or mangled.match(name) or HARMLESS.match(name)):
            found.append(f"{kind} {name}")
    return found


def wide(path: Path) -> int:
    """Instructions on ymm or zmm."""
    return len(re.findall(r"%[yz]mm\d", run("objdump", "--disassemble", "--no-show-raw-insn", str(path))))


def main(build: Path) -> int:
    objects = sorted(build.rglob("*.o"))
    kernels = [(o, m[1]) for o in objects if (m := re.search(r"/kernels_(\w+)\.dir/", str(o)))]
    baseline = [o for o in objects if BASELINE.search(str(o)) and "/kernels_" not in str(o)]
    if not kernels or not baseline:
        print(f"check_symbols: {build} holds {len(kernels)} kernel objects and {len(baseline)} others: not a build")
        return 2
    bad = 0
    for path, isa in kernels:
        for symbol in strangers(path, isa):
            print(f"{path}: outside lamella::{isa}: {symbol}")
            bad += 1
    for path in baseline:
        if count := wide(path):
            print(f"{path}: {count} uses of ymm or zmm registers in code that every CPU runs")
            bad += 1
    print(f"check_symbols: {len(kernels)} kernel objects, {len(baseline)} others, {bad} faults")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve()))
