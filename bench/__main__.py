# SPDX-License-Identifier: MIT
"""
python -m bench                                  every workload against every peer that imports
python -m bench --only 'sgemm*' --peers torch    some of them
python -m bench --python torch=/path/bin/python  a peer that lives in another environment
python -m bench compare A.json B.json            two runs beside each other
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
from pathlib import Path

from bench.compare import compare
from bench.measure import measure
from bench.peers import KNOWN, ROOT, start
from bench.report import figures, markdown, table
from bench.workloads import WORKLOADS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="*", metavar="PATTERN", help="workloads by shell pattern, several by comma")
    parser.add_argument("--peers", default="torch,jax,numpy", help="beside lamella, by comma")
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH", help="interpreter for a peer")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--quick", action="store_true", help="less time for each, wider spread")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument("--out", type=Path, help="JSON file (default: bench/results/<date>-<commit>.json)")
    parser.add_argument("--list", action="store_true", help="print the workloads and stop")
    return parser.parse_args()


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


def main() -> int:
    if sys.argv[1:2] == ["compare"] and len(sys.argv) == 4:
        print(compare(Path(sys.argv[2]), Path(sys.argv[3])))
        return 0
    options = arguments()
    patterns = options.only.split(",")
    chosen = [name for name in WORKLOADS if any(fnmatch.fnmatch(name, p) for p in patterns)]
    if options.list or not chosen:
        print("\n".join(WORKLOADS))
        return 0 if options.list else 2
    wanted = [p for p in options.peers.split(",") if p]
    if unknown := [p for p in wanted if p not in KNOWN]:
        print(f"bench: peers are {', '.join(KNOWN)}; got {', '.join(unknown)}", file=sys.stderr)
        return 2
    pythons = dict(p.split("=", 1) if "=" in p else (wanted[0], p) for p in options.python)

    peers = start(list(dict.fromkeys(["lamella", *wanted])), pythons, options.threads)
    try:
        ours = peers[0]
        commit = git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
        run = {
            "date": datetime.datetime.now().isoformat(timespec="minutes"),
            "commit": commit,
            "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"},
            "threads": options.threads,
            "peers": {p.name: p.about for p in peers},
            "peaks": ours.ask("peaks"),
            "import_threads": import_threads(pythons.get("lamella", sys.executable)),
            "results": {},
        }
        for name in chosen:
            if sys.stderr.isatty():
                print(f"\r\033[K{len(run['results']) + 1}/{len(chosen)} {name}", end="", file=sys.stderr, flush=True)
            run["results"][name] = measure(name, peers, options.quick)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        run["peaks_after"] = ours.ask("peaks")
    finally:
        for peer in peers:
            peer.close()

    print(markdown(run) if options.markdown else table(run))
    print("\n" + figures(run))
    for name, found in run["results"].items():
        for peer, result in found.items():
            if "error" in result:
                print(f"{name}: {peer}: {result['error']}", file=sys.stderr)
    out = options.out or ROOT / "bench" / "results" / f"{run['date'].replace(':', '')}-{commit.rstrip('+')}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(run, indent=1) + "\n")
    print(f"\nwritten to {out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
