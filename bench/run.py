#!/usr/bin/python3
"""`make bench`: measures Slipway's figures of speed and size, next to a peer where there is one, and prints one table.

usage: bench/run.py --build DIR [--only WORD]

Peers come from Debian packages and run on loopback with their own configuration in a temporary folder. Own and peer's runs
alternate and medians are shown, because machines are noisy. A figure whose part is missing is skipped and says why.
Exit status: 1 when a target was missed."""
import argparse
import os
import pathlib
import resource
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import edge  # noqa: E402
import platform_figures  # noqa: E402
import repositories  # noqa: E402
from common import Figure, Skip, print_table  # noqa: E402

GROUPS = [("platform", platform_figures.figures), ("git", repositories.figures), ("edge", edge.figures)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default="build", help="folder of the build")
    parser.add_argument("--only", help="groups whose name has this: " + ", ".join(n for n, _ in GROUPS))
    args = parser.parse_args()
    slipway = pathlib.Path(args.build).resolve() / "src/cmd/slipway"
    if not slipway.exists():
        sys.exit(f"{slipway} is missing: build first (`make`)")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that whatever was started is stopped
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000) if hard > 0 else 20000, hard))
    found, start = [], time.monotonic()
    for name, figures in GROUPS:
        if args.only and args.only not in name:
            continue
        with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
            try:
                for f in figures(slipway, pathlib.Path(folder)):
                    found.append(f)
                    print(f"  {f.name}: {'skipped, ' + f.note if f.value is None else 'done'}", file=sys.stderr)
            except Skip as why:
                f = Figure(f"{name}: the rest", "")
                f.note = str(why)
                found.append(f)
    print_table(found)
    print(f"({time.monotonic() - start:.0f} s, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end)")
    return 1 if any(f.met() is False for f in found) else 0


if __name__ == "__main__":
    sys.exit(main())
