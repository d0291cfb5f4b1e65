#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What ptxas said of every kernel, held against cuda/budget.json: registers and static shared memory of each kernel (the
most of its instances) must not grow, nothing may spill, and no note of a serialised wgmma (C75xx) may stand there.

    cmake --build BUILD --target _cuda | tee LOG        (-Xptxas -v is in the flags)
    python tools/check_cuda.py LOG [--update]
    python tools/check_cuda.py --sources            (that these sources are those of the last such check)
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

BUDGET = Path(__file__).resolve().parent.parent / "cuda" / "budget.json"
ENTRY = re.compile(r"Compiling entry function '([^']+)' for '([^']+)'")
SPILL = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(?:.*?(\d+)(?:\+\d+)? bytes smem)?")


def digest() -> str:
    """Of everything that a kernel's code depends on: the sources and what they include."""
    top = BUDGET.parent.parent
    files, left = {top / "cuda" / "CMakeLists.txt"}, [*top.glob("cuda/*.cu")]
    while left:
        file = left.pop()
        if file in files or "emulate" in file.parts:
            continue
        files.add(file)
        for name in re.findall(r'^\s*#include "([^"]+)"', file.read_text(encoding="utf-8"), re.M):
            found = (p for p in (file.parent / name, top / name, top / "cpp" / name) if p.exists())
            left += [p.resolve() for p in found][:1]
    total = hashlib.sha256()
    for f in sorted(files):
        total.update(f.relative_to(top).as_posix().encode() + b"\0" + f.read_bytes() + b"\0")
    return total.hexdigest()


def plain_names(mangled: set[str]) -> dict[str, str]:
    """lamella::cuda::(anonymous namespace)::softmax_rows<float, 4>(...) as softmax_rows."""
    names = sorted(mangled)
    text = subprocess.run(["c++filt", *names], check=True, capture_output=True, text=True).stdout.splitlines()

    def short(full: str) -> str:
        full = re.sub(r"\(anonymous namespace\)::|lamella::|cuda::", "", full.removeprefix("void "))
        return re.split(r"[<(]", full, maxsplit=1)[0]

    return {name: short(full) for name, full in zip(names, text, strict=True)}


def read(log: str) -> tuple[dict[str, dict[str, dict[str, int]]], list[str]]:
    found: list[tuple[str, str, int, int, int]] = []
    faults = [line.strip() for line in log.splitlines() if re.search(r"\(?C75\d\d\)?|warning", line) and "ptxas" in line]
    entry, spilled = None, 0
    for line in log.splitlines():
        if m := ENTRY.search(line):
            entry, spilled = (m[1], m[2]), 0
        elif m := SPILL.search(line):
            spilled = int(m[2]) + int(m[3])
        elif entry and (m := USED.search(line)):
            found.append((*entry, int(m[1]), int(m[2] or 0), spilled))
            entry = None
    names = plain_names({f[0] for f in found}) if found else {}
    table: dict[str, dict[str, dict[str, int]]] = {}
    for mangled, arch, registers, shared, spills in found:
        row = table.setdefault(arch, {}).setdefault(names[mangled], {"registers": 0, "shared": 0, "instances": 0})
        row["registers"] = max(row["registers"], registers)
        row["shared"] = max(row["shared"], shared)
        row["instances"] += 1
        if spills:
            faults.append(f"{arch} {names[mangled]}: {spills} bytes spilled")
    return table, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("log", type=Path, nargs="?")
    parser.add_argument("--sources", action="store_true", help="compare the sources' digest with the budget's, and no more")
    parser.add_argument("--update", action="store_true", help="write what the log says as the new budget")
    args = parser.parse_args()
    if args.sources:
        same = json.loads(BUDGET.read_text(encoding="utf-8")).get("sources") == digest()
        print("check_cuda: the sources are", "those that were compiled" if same else f"others than {BUDGET.name} has: compile them, --update")
        return 0 if same else 1
    table, faults = read(args.log.read_text(encoding="utf-8", errors="replace"))
    if not table:
        faults.append(f"{args.log}: no kernel in it")
    if args.update and table:
        old = json.loads(BUDGET.read_text(encoding="utf-8")) if BUDGET.exists() else {}
        BUDGET.write_text(json.dumps({**old, **table, "sources": digest()}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    budget = json.loads(BUDGET.read_text(encoding="utf-8"))
    for arch, kernels in table.items():
        for name, row in sorted(kernels.items()):
            allowed = budget.get(arch, {}).get(name)
            if allowed is None:
                faults.append(f"{arch} {name}: not in {BUDGET.name}; --update writes it")
                continue
            faults += [f"{arch} {name}: {row[k]} {k}, {allowed[k]} in {BUDGET.name}" for k in ("registers", "shared") if row[k] > allowed[k]]
        faults += [f"{arch} {name}: in {BUDGET.name}, not built" for name in budget.get(arch, {}) if name not in kernels]
    for fault in faults:
        print(fault)
    count = sum(r["instances"] for kernels in table.values() for r in kernels.values())
    print(f"check_cuda: {count} kernels of {', '.join(sorted(table))}, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
