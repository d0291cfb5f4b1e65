# SPDX-License-Identifier: MIT
"""
python -m bench                                  every workload against every peer that imports
python -m bench --only 'sgemm*' --peers torch    some of them; @conv is the family conv
python -m bench --python torch=/path/bin/python  a peer that lives in another environment
python -m bench --threads 1,2                    what threads bring
python -m bench --sweep                          products, attention and ReLU over sizes
python -m bench report RUN.json                  a run's tables again; markdown: as the README has it
python -m bench compare A.json B.json            two runs beside each other
python -m bench picture RUN.json OUT.svg [PEER]  the ratios as bars (needs matplotlib)
"""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.compare import compare
from bench.figures import figures
from bench.measure import BUDGET, measure, memory
from bench.peers import KNOWN, ROOT, importing, start
from bench.report import markdown, table
from bench.workloads import WORKLOADS


def thread_counts(text: str) -> list[int]:
    counts = sorted({int(part) for part in text.split(",")})
    if counts[0] < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return counts


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    here = [len(os.sched_getaffinity(0))]
    parser.add_argument("--only", default="*", metavar="PATTERN", help="workloads by shell pattern or @family, by comma")
    parser.add_argument("--peers", default="torch,jax,numpy", help=f"by comma, of {', '.join(KNOWN[1:])}")
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH", help="interpreter for a peer")
    parser.add_argument("--threads", type=thread_counts, default=here, metavar="N[,N]", help="the most is the run's")
    parser.add_argument("--sweep", action="store_true", help="the rows of many sizes, instead of the others")
    parser.add_argument("--quick", action="store_true", help="less time for each, wider spread; no memory")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument("--out", type=Path, help="JSON file (default: bench/results/<date>-<commit>.json)")
    parser.add_argument("--list", action="store_true", help="print the workloads and stop")
    return parser.parse_args()


def choose(patterns: str, sweep: bool) -> list[str]:
    """Rows whose name matches a pattern, or whose family an @pattern; with `sweep` those of many sizes."""

    def matches(name: str, family: str) -> bool:
        return any(
            fnmatch.fnmatch(family, p[1:]) if p.startswith("@") else fnmatch.fnmatch(name, p) for p in patterns.split(",")
        )

    return [name for name, known in WORKLOADS.items() if known.sweep == sweep and matches(name, known.family)]


def git(*command: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True).stdout.strip()


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def import_threads(python: str) -> int:
    """How many threads `import lamella` starts, beyond those of NumPy."""
    code = "import os, numpy; n = len(os.listdir('/proc/self/task')); import lamella; " + (
        "print(len(os.listdir('/proc/self/task')) - n)"
    )
    return int(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)


def tell(text: str, end: str = "") -> None:
    """A line of progress, which the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end=end, file=sys.stderr, flush=True)


def measure_all(chosen: list[str], pythons: dict[str, str], threads: int, quick: bool) -> dict[str, Any]:
    """One number of threads: what the peers are, the peaks before and after, the results."""
    peers = list(start(pythons, threads))
    try:
        found = {"peers": {p.name: p.about for p in peers}, "peaks": peers[0].ask("peaks"), "results": {}}
        for i, name in enumerate(chosen, 1):
            tell(f"{i}/{len(chosen)} {name}, {threads} threads")
            found["results"][name] = measure(name, peers, quick)
        return found | {"peaks_after": peers[0].ask("peaks")}
    finally:
        for peer in peers:
            peer.close()


def run_all(chosen: list[str], pythons: dict[str, str], options: argparse.Namespace) -> dict[str, Any]:
    commit = git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    run = {
        "date": datetime.datetime.now().isoformat(timespec="minutes"),
        "commit": commit,
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"},
        "threads": options.threads[-1],
        "import_threads": import_threads(pythons["lamella"]),
        "rows": {name: {k: getattr(WORKLOADS[name], k) for k in ("family", "flops", "bytes", "dtype")} for name in chosen},
    }
    fewer = {str(n): measure_all(chosen, pythons, n, options.quick)["results"] for n in options.threads[:-1]}
    run |= measure_all(chosen, pythons, options.threads[-1], options.quick)
    if fewer:
        run["by_threads"] = fewer
    if not options.quick:
        tell("peak memory")
        plain = {name: python for name, python in pythons.items() if name in ("lamella", "torch")}
        run["memory"] = memory(chosen, lambda: start(plain, options.threads[-1]))
    tell("")
    return run


def show(command: str, files: list[str]) -> int:
    """The commands that read runs; 2 for wrong arguments."""
    if command == "compare" and len(files) == 2:
        print(compare(Path(files[0]), Path(files[1])))
    elif command in ("report", "markdown") and len(files) == 1:
        run = json.loads(Path(files[0]).read_text())
        print(markdown(run) if command == "markdown" else table(run))
    elif command == "picture" and len(files) in (2, 3):
        from bench.picture import draw

        draw(json.loads(Path(files[0]).read_text()), Path(files[1]), *files[2:])
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    return 0


def main() -> int:
    if sys.argv[1:2] and sys.argv[1] in ("compare", "report", "markdown", "picture"):
        return show(sys.argv[1], sys.argv[2:])
    options = arguments()
    chosen = choose(options.only, options.sweep)
    if options.list or not chosen:
        print("\n".join(chosen or WORKLOADS))
        return 0 if options.list else 2
    wanted = [p for p in options.peers.split(",") if p]
    if unknown := [p for p in wanted if p not in KNOWN]:
        print(f"bench: peers are {', '.join(KNOWN)}; got {', '.join(unknown)}", file=sys.stderr)
        return 2
    pythons = importing(
        list(dict.fromkeys(["lamella", *wanted])),
        dict(p.split("=", 1) if "=" in p else (wanted[0], p) for p in options.python),
    )
    each = sum(name in WORKLOADS[row].builds for row in chosen for name in pythons) * len(options.threads)
    print(f"bench: {len(chosen)} rows, about {each * (BUDGET[options.quick] + 0.8):.0f} s", file=sys.stderr)

    began = time.monotonic()
    run = run_all(chosen, pythons, options)
    print(markdown(run) if options.markdown else table(run))
    print("\n" + figures(run))
    out = options.out or ROOT / "bench" / "results" / f"{run['date'].replace(':', '')}-{run['commit'].rstrip('+')}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(run, indent=1) + "\n")
    print(f"\n{time.monotonic() - began:.0f} s; written to {out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
