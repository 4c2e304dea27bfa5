"""Larger results to measure reports by: those of a run, again and again under other names of clients.

python benchmarks/larger.py compat/results.jsonl 50000 larger.jsonl
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path


def main(source: Path, count: int, to: Path) -> None:
    """Write so many records, each cell once."""
    lines = source.read_bytes().splitlines()
    with to.open("wb") as out:
        for place, line in zip(range(count), itertools.cycle(lines)):
            name = b'"client":"%s' % json.loads(line)["client"].encode()
            again = b"-%d" % (place // len(lines)) if place >= len(lines) else b""
            out.write(line.replace(name, name + again, 1) + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
