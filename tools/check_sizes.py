#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""No source file is longer than a reader can hold: 500 lines, and a licence line on top of each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CAP = 500
SUFFIXES = {".py", ".cpp", ".h", ".cu", ".cuh"}


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    bad = total = 0
    for path in (Path(name) for name in listed.split("\0") if name):
        if path.suffix not in SUFFIXES or not path.is_file():
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        total += len(lines)
        if len(lines) > CAP:
            print(f"{path}: {len(lines)} lines; split it by meaning (cap {CAP})")
            bad += 1
        if lines and not any("SPDX-License-Identifier: MIT" in line for line in lines[:2]):
            print(f"{path}: no SPDX line on top")
            bad += 1
    print(f"check_sizes: {total} lines, {bad} faults")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
