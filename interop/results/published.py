"""`mqtt-interop published`: what a plan names is played and kept small, for years: the history of releases.

Belongs here: the command, the plan. Does not belong here: what is kept of records (`reports.slim`), the site of it
(`site`), how another release of a client is had (`interop.drivers.releases`).

What this machine cannot play is left out with a line, and what was kept of it earlier stays. What was played already
is not played again: an interrupted command goes on. With `--complete` a run that is kept gets the cells it lacks
(`completing`), and no others are played; to play all of it again, its file is removed first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from interop.brokers.broker import BrokerFault, UnknownBroker
from interop.brokers.registry import broker_spec
from interop.brokers.releases import release
from interop.building import Buildable, NotBuildable, build
from interop.drivers.registry import DRIVERS
from interop.drivers.releases import program
from interop.exit_codes import FELL_SHORT, OK, CommandError
from interop.requirements.requirements import sentences
from interop.results.completing import cells_of, joined, of_other_releases, of_today, without_verdict
from interop.runner.known_failures import Releases, explanation, is_within, load_known_failures
from interop.runner.presence import PROCESS_ENDED
from interop.runner.verdict import REFERENCE_CLIENT
from interop.runner.worker import ANY_CLIENT
from interop.scenario.load import load_scenarios
from interop.scenario.values import Strict, TransportName
from reports.record import BadResults, Record, Verdict, read_records, write_packed
from reports.site.brokers import brokers_in_markdown
from reports.site.decisions import decisions, in_markdown
from reports.site.plays import Plays
from reports.slim import slimmed
from reports.write import RESULTS, write_whole

PUBLISHED = Path("reports") / "published"
_RUNS, _PLAN, _DEFECTS, _BROKERS = "runs", "plan.toml", "defects.md", "brokers.md"
_KEPT = ".jsonl.xz"
_MORE, _CELLS = "more", "cells.txt"
"""In the folder of a run's whole results: of the cells played to complete it, and which these are."""

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Planned(Strict):
    """One run: each of these clients with each of these brokers, in every version."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$", description="of the run, and of its file")
    clients: Names = Field(description="as --client takes them, NAME@RELEASE included")
    brokers: Names = Field(description="as --broker takes them")
    releases: Releases = Field("", description="of its brokers, where a machine has one or the other: '<2.1', '>=2.1'")
    transports: tuple[TransportName, ...] = Field((), description="as --transport takes them; none for all")


class Plan(Strict):
    """All runs."""

    run: Annotated[tuple[Planned, ...], Field(min_length=1)]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which plan, which runs of it, where to."""
    parser.epilog = (
        "A run that is kept is not played again, unless its file is removed. Exit code 1: a red defect is not decided."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these runs of the plan (all)")
    parser.add_argument(
        "--published", type=Path, default=PUBLISHED, metavar="FOLDER", help="the plan, and what is kept"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("compat") / "published", metavar="FOLDER",
        help="whole results; a run that is there is not played again (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--complete", action="store_true",
        help="play of runs that are kept the cells that they lack (of new scenarios, or left out) or that have no"
        " verdict (setup-failed, as on a busy machine), and no others; of scenarios that are gone nothing is kept",
    )  # fmt: skip
    parser.add_argument("-n", dest="workers", default="auto", metavar="N", help="workers of each run (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Play what is missing, keep it, list the defects; gives the exit code. Raises CommandError."""
    kept = options.published / _RUNS
    kept.mkdir(parents=True, exist_ok=True)
    wanted = _wanted(options.published / _PLAN, options.names)
    for planned in wanted:
        path, work = kept / f"{planned.name}{_KEPT}", options.work / planned.name
        if not (path.exists() or (work / RESULTS).exists()):
            _play(planned, work, options.workers)
        records = _joined(planned.name, (path, work / RESULTS, work / _MORE / RESULTS))
        if options.complete and records:
            records = _completed(planned, records, work / _MORE, options.workers)
        if records:
            slim = list(slimmed(_as_listed_now(records)))  # what a log explains, as long as there is one
            write_whole(path, partial(write_packed, records=slim))
            _say(f"kept     {planned.name}: {len(slim)} cells")
    return _tell(kept, options.published)


def _wanted(path: Path, names: Iterable[str]) -> list[Planned]:
    try:
        plan = Plan.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise CommandError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    by_name = {planned.name: planned for planned in plan.run}
    if unknown := [name for name in names if name not in by_name]:
        raise CommandError(f"{path} has no run {unknown[0]!r}; it has {', '.join(by_name)}")
    return [by_name[name] for name in names or by_name]


def _joined(run_name: str, files: Iterable[Path], kept: Sequence[Record] = ()) -> list[Record]:
    """What is kept, and what was played of it since."""
    records = list(kept)
    for file in files:
        if file.exists():
            played = list(_about_its_client(read_records(file)))
            for line in of_other_releases(records, played).values():
                _say(f"LEFT OUT {run_name}: {line}")
            records = joined(records, played)
    return records


def _completed(planned: Planned, kept: Sequence[Record], out: Path, workers: str) -> list[Record]:
    """With the cells that have no verdict yet, as far as this machine can play them, in place of scenarios of old."""
    clients, brokers = _players(planned)
    if not clients or not brokers:
        return list(kept)
    records = of_today(kept)
    cells = cells_of(clients, brokers, planned.transports)
    if missing := without_verdict(cells, records):
        out.mkdir(parents=True, exist_ok=True)
        (out / RESULTS).unlink(missing_ok=True)  # of the last time: joined already
        (out / _CELLS).write_text("\n".join(missing) + "\n", encoding="utf-8")
        _play(planned, out, workers, out / _CELLS)
        records = _joined(planned.name, [out / RESULTS], records)
        left = len(without_verdict(cells, records))
        _say(f"completed {planned.name}: {len(missing) - left} cells of {len(missing)} that had no verdict")
    return records


def _players(planned: Planned) -> tuple[list[str], list[str]]:
    """The clients and brokers of a run that this machine has."""
    without_broker = partial(_without_broker, planned.releases)
    return (
        [name for name in planned.clients if _is_there(planned.name, name, _without_client)],
        [name for name in planned.brokers if _is_there(planned.name, name, without_broker)],
    )


def _play(planned: Planned, out: Path, workers: str, cells: Path | None = None) -> None:
    clients, brokers = _players(planned)
    if not clients or not brokers:
        return
    words = [f"--{role}={name}" for role, names in (("client", clients), ("broker", brokers)) for name in names]
    words += [f"--transport={name}" for name in planned.transports]
    words += [f"--cells={cells}"] if cells else []
    if clients[0] != REFERENCE_CLIENT:  # who is named first plays them, and of another they are not kept
        words += ["-m", f"not {ANY_CLIENT}"]
    _say(f"playing  {planned.name}: {', '.join(clients)} with {', '.join(brokers)}")
    subprocess.run(
        [sys.executable, "-m", "interop", "run", *words, "-n", workers, "-q", f"--out={out}"], check=False
    )  # its exit code says what its results say


def _about_its_client(records: Iterable[Record]) -> Iterator[Record]:
    """Without cells for which any client does, but of ours, and without those in which a process ended by itself.

    What ends a client or a broker is for its maintainers first, and of the release it says no more than that.
    """
    for_any = {loaded.name for loaded in load_scenarios() if loaded.scenario.any_client}
    for record in records:
        if record.verdict is Verdict.HARNESS_ERROR or record.reason.startswith(PROCESS_ENDED):
            _say(f"LEFT OUT {record.client} with {record.broker}: {record.reason}")
        elif record.client == REFERENCE_CLIENT or record.scenario not in for_any:
            yield record


def _is_there(run_name: str, name: str, without: Callable[[str], str]) -> bool:
    if lacking := without(name):
        _say(f"SKIPPED  {run_name}: {name}: {lacking}")
    return not lacking


def _without_client(name: str) -> str:
    """Why a client cannot be played here; it is built, where it is not."""
    try:
        found = None if name in DRIVERS else program(name)
    except NotBuildable as problem:
        return str(problem)
    return _without_build(found)


def _without_broker(releases: str, name: str) -> str:
    """Why one of these releases of a broker cannot be played here; one that is named is built, where it is not."""
    try:
        if lacking := _without_build(release(name)):
            return lacking
        version = broker_spec(name).version
    except NotBuildable as problem:
        return str(problem)
    except (BrokerFault, UnknownBroker) as fault:
        return str(fault)
    return "" if not releases or is_within(version, releases) else f"this machine has {version}"


def _without_build(found: Buildable[Any] | None) -> str:
    if found is None or found.is_built:
        return ""
    built = build(found)
    return built.skipped or built.failure


def _tell(kept: Path, published: Path) -> int:
    """Write the pages about what is kept; gives the exit code."""
    try:
        plays = Plays.of(_kept(kept))
    except BadResults as error:
        raise CommandError(str(error)) from None
    (published / _DEFECTS).write_text(in_markdown(plays, sentences()), encoding="utf-8")
    (published / _BROKERS).write_text(brokers_in_markdown(plays, REFERENCE_CLIENT), encoding="utf-8")
    undecided = [each for each in decisions(plays) if not each.words]
    for play, defect, _ in undecided:
        _say(f"UNDECIDED  {play.label}: {defect.blamed}: {defect.headline} ({defect.extent})")
    return FELL_SHORT if undecided else OK


def _kept(folder: Path) -> Iterator[tuple[str, Iterable[Record]]]:
    """What is kept; where a failure was decided after it was played, or less is kept nowadays, it is kept so."""
    for path in sorted(folder.glob(f"*{_KEPT}")):
        before = list(read_records(path))
        records = list(slimmed(_as_listed_now(before)))
        if records != before:
            write_whole(path, partial(write_packed, records=records))
        yield path.name.removesuffix(_KEPT), records


def _as_listed_now(records: Sequence[Record]) -> Iterator[Record]:
    known = load_known_failures(
        clients={record.client for record in records}, brokers={record.broker for record in records}
    )
    for record in records:
        changes: dict[str, object] = {}
        if record.unexpected_pass:
            changes["unexpected_pass"] = known.entry_for(record, record.implementations) is not None
        elif record.verdict is Verdict.FAIL and record.known_failure is None and record.findings:
            rules = [finding.rule for finding in record.findings]
            if entry := known.entry_that_explains(record, record.implementations, rules, record.log):
                changes["known_failure"] = explanation(entry)
        yield record.model_copy(update=changes)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
