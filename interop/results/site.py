"""`mqtt-interop site`: runs as pages that belong together, for a disk or any web server.

Belongs here: the command. Does not belong here: the pages (`reports.site`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from interop.coverage.coverage import coverage, ran
from interop.exit_codes import OK, CommandError
from interop.requirements.requirements import sentences
from interop.results.joining import Part, read_parts, told_in_a_line
from reports.record import Record
from reports.resting import resting_collector
from reports.site.write import write_site
from reports.write import RESULTS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which runs, and where the site goes."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="the folder of a run, or its results (.jsonl, .jsonl.xz, .jsonl.gz)",
    )
    parser.add_argument("--out", type=Path, default=Path("site"), metavar="FOLDER", help="where to (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Write it, and say where; gives the exit code. Raises CommandError."""
    with resting_collector(), told_in_a_line():
        parts = read_parts(options.runs)
        records = list(chain.from_iterable(part.records for part in parts))
        if not records:
            raise CommandError(f"no results in {', '.join(str(part.path) for part in parts)}")
        page = write_site(_named(parts), options.out, coverage(ran(records)), sentences())
    sys.stdout.write(f"{len(records)} results of {len(parts)} {'run' if len(parts) == 1 else 'runs'}: {page}\n")
    return OK


def _named(parts: Iterable[Part]) -> Iterator[tuple[str, Iterable[Record]]]:
    """Each run by the name of its folder, or of its file, with a number where it is not the first of that name."""
    taken: dict[str, int] = {}
    for part in parts:
        name = part.path.resolve().parent.name if part.path.name == RESULTS else part.path.name.partition(".")[0]
        taken[name] = taken.get(name, 0) + 1
        yield (name if taken[name] == 1 else f"{name} ({taken[name]})"), part.records
