# SPDX-License-Identifier: MIT
"""Makes the documentation's pictures: python docs/make_figures.py [--stale] [NAME...].

Runs the scripts of docs/concepts and docs/figures (all, or those named) in this process; each writes the picture of its
name. --stale leaves those that have one newer than the script and than the library.
"""

import argparse
import runpy
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
CONCEPTS = HERE / "concepts"


def scripts():
    """All that make a picture, by name."""
    found = [p for folder in ("concepts", "figures") for p in sorted((HERE / folder).glob("*.py"))]
    return {p.stem: p for p in found if p.stem != "picture"}


def run(script):
    """Runs one as `python script` would, with docs/concepts on the path."""
    if str(CONCEPTS) not in sys.path:
        sys.path.insert(0, str(CONCEPTS))
    runpy.run_path(str(script), run_name="__main__")


def _stale(name, script):
    import lamella

    picture = HERE / "pictures" / f"{name}.svg"
    newest = max(p.stat().st_mtime for p in (script, CONCEPTS / "picture.py", Path(lamella._core.__file__)))
    return not picture.exists() or picture.stat().st_mtime < newest


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--stale", action="store_true")
    options = parser.parse_args(arguments)
    for name, script in scripts().items():
        if (options.names and name not in options.names) or (options.stale and not _stale(name, script)):
            continue
        begun = time.perf_counter()
        run(script)
        print(f"{name}: {time.perf_counter() - begun:.2f} s", flush=True)


if __name__ == "__main__":
    main()
