"""`mqtt-interop bench`: its options, and what it prints.

Belongs here: the command line. Does not belong here: measuring (`measure`), tables (`table`), suites (`suite`).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from interop.bench import stream
from interop.bench.cell import Cell, Mode
from interop.bench.chart import page
from interop.bench.compare import AUTOMATIC, compare
from interop.bench.crowds import crowds_table, measure_crowds, numbers
from interop.bench.curves import curves
from interop.bench.document import Document, Entry, document, entry, to_json
from interop.bench.durable import durable_table, measure_durable
from interop.bench.growth import QUICK, Sizes, growth_table, measure_growth
from interop.bench.pages import crowds_page, durable_page, growth_page, one_by_one_page, readme
from interop.bench.proc import raise_file_limit
from interop.bench.suite import ONE_BY_ONE, SUITES, quick
from interop.bench.table import as_text, detail_lines, in_short, table
from interop.bench.targets import REFERENCE, spec_of
from interop.brokers.registry import shown_command
from interop.exit_codes import FELL_SHORT, OK, CommandError
from reference_broker.net.address import Transport
from reference_broker.wire.types import QoS, Version
from reports.claim import Claim
from reports.write import CannotWrite, write_whole

_GROWTH = "growth"
_DURABLE = "durable"
_CROWDS = "crowds"
_DEFAULT_PUBLISHERS = {Mode.FAN_IN: 20, Mode.MESH: 20}
_DEFAULT_SUBSCRIBERS = {Mode.FAN_OUT: 20}

_NUMBERS: list[tuple[str, type, float, str]] = [
    ("payload", int, 64, "bytes of payload"),
    ("topics", int, 1, "topics of a publisher, taken in turn"),
    ("window", int, 100, "QoS 1 and 2 messages a publisher may have unfinished"),
    ("batch", int, 0, "PUBLISH packets in one send; 1 is one for each; 0 fills 64 KiB"),
    ("rate", float, 0, "messages per second over all publishers, to measure latency; 0 is as fast as it goes"),
    ("outstanding", int, AUTOMATIC, "deliveries that may be under way; 0: no bound; -1: what the broker needs"),
    ("connections", int, 2000, "connections of connect and idle"),
    ("at-a-time", int, 50, "handshakes at a time in connect and idle"),
    ("seconds", float, 3, "how long to send"),
]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bench`."""
    parser.add_argument(
        "mode",
        nargs="?",
        choices=[mode.value for mode in Mode],
        default=Mode.PAIRS,
        metavar="MODE",
        help=f"{', '.join(Mode)} (%(default)s)",
    )
    parser.add_argument("--broker", default=REFERENCE, metavar="NAME", help="HOST:PORT, a broker by name (%(default)s)")
    parser.add_argument(
        "--against", action="append", default=[], metavar="NAME",
        help="another broker, measured in the same run, e.g. mosquitto; may be repeated: ratios are to the best",
    )  # fmt: skip
    parser.add_argument("--qos", type=int, choices=(0, 1, 2), default=0, help="of publishers and subscribers (0)")
    parser.add_argument("--mqtt", choices=[each.label for each in Version], default="3.1.1", help="(%(default)s)")
    parser.add_argument("--transport", choices=list(Transport), type=Transport, default=Transport.TCP, help="(tcp)")
    parser.add_argument("--publishers", type=int, metavar="N", help="(1; 20 in fan-in and mesh)")
    parser.add_argument("--subscribers", type=int, metavar="N", help="(1; 20 in fan-out; pairs has one per publisher)")
    for name, kind, default, text in _NUMBERS:
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"{text} ({default:g})")
    parser.add_argument(
        "--durable", action="store_true", help="with a store and kept sessions; the reference broker only"
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="measure N times, give the median (1)")
    parser.add_argument(
        "--suite",
        choices=[*SUITES, _GROWTH, _DURABLE, _CROWDS],
        help="all cells of a table instead of one, or what becomes of a broker that has grown; MODE etc. go unused",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a suite so short that figures mean nothing: --out is not written"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="results, see `mqtt-interop schema bench`")
    parser.add_argument("--html", type=Path, metavar="FILE", help="a page with a chart")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="README.md, latest.json and latest.html of a suite; growth.md"
    )


def run(options: argparse.Namespace) -> int:
    """Measure; gives the exit code: 1 when messages were lost, clients dropped, or the protocol broken."""
    for name in (options.broker, *options.against):
        spec_of(name)
    for file in filter(None, (options.json, options.html)):
        if not file.parent.is_dir():
            raise CommandError(f"cannot write {file}: there is no folder {file.parent}")
    raise_file_limit()
    if options.out is None or options.quick:  # what means nothing is not kept
        return _run(options)
    try:
        with Claim(options.out, _command(options)):
            return _run(options)
    except CannotWrite as error:
        raise CommandError(str(error)) from None


def _run(options: argparse.Namespace) -> int:
    if options.suite == _GROWTH:
        return _run_growth(options)
    if options.suite == _DURABLE:
        return _run_durable(options)
    if options.suite == _CROWDS:
        return _run_crowds(options)
    entries = _run_suite(options) if options.suite else [_run_cell(options)]
    made = document(entries, _command(options))
    files: dict[Path | None, str] = {options.json: to_json(made), options.html: page(made)}
    if options.out and not options.quick:
        files |= _pages(options.suite or "", made, options.out)
    _write_all(files)
    return FELL_SHORT if any(each.result.fell_short for each in entries) else OK


def _run_cell(options: argparse.Namespace) -> Entry:
    cell = cell_of(options)
    row = compare(cell, options.broker, options.against, repeat=options.repeat)
    for result in (row.result, *row.others):
        _print("\n".join(detail_lines(result)))
    if row.others:
        _print(as_text(table([row])))
    return entry(cell.name, row, one_per_send=cell.batch == 1)


def _run_suite(options: argparse.Namespace) -> list[Entry]:
    """The cells of a suite, each printed when it is done, and the table at the end."""
    cells = SUITES[options.suite](options.seconds)
    if options.quick:
        cells = quick(cells)
    rows, entries = [], []
    for number, each in enumerate(cells, 1):
        with_ceiling = number == 1 or not options.quick
        row = compare(each.cell, options.broker, options.against, repeat=options.repeat, with_ceiling=with_ceiling)
        rows.append(row)
        entries.append(entry(each.row, row, each.aim, one_per_send=each.one_per_send))
        reached = f"  {entries[-1].reached}" if entries[-1].reached and not options.quick else ""
        _print(f"[{number}/{len(cells)}] {each.cell.name}: {in_short(row)}{reached}")
    _print(as_text(table(rows)))
    if options.quick:
        _print("These were too short to mean anything: all that is shown is that everything runs.")
    return entries


def _run_growth(options: argparse.Namespace) -> int:
    """Each figure is printed when it is there, and the table at the end."""
    if options.against or options.json or options.html:
        raise CommandError("--suite growth measures one broker and writes growth.md: no --against, --json or --html")
    sizes = QUICK if options.quick else replace(Sizes(), seconds=options.seconds)
    figures = measure_growth(options.broker, sizes, lambda figure: _print(" ".join(growth_table([figure])[1])))
    _print(as_text(growth_table(figures)))
    if options.out and not options.quick:
        made = document([], _command(options))
        _write_all(_kept_beside(options.out / "growth.md", growth_page(made, growth_table(figures))))
    return OK


def _run_durable(options: argparse.Namespace) -> int:
    """As `_run_growth`."""
    if options.against or options.json or options.html:
        raise CommandError("--suite durable measures one broker and writes durable.md: no --against, --json or --html")
    seconds, rounds = (0.2, 1) if options.quick else (options.seconds, 5)
    costs = measure_durable(options.broker, seconds, rounds, lambda cost: _print(" ".join(durable_table([cost])[1])))
    _print(as_text(durable_table(costs)))
    if options.out and not options.quick:
        text = durable_page(document([], _command(options)), durable_table(costs))
        _write_all(_kept_beside(options.out / "durable.md", text))
    return OK


def _run_crowds(options: argparse.Namespace) -> int:
    """As `_run_growth`."""
    if options.against or options.json or options.html:
        raise CommandError("--suite crowds measures one broker and writes crowds.md: no --against, --json or --html")
    crowds = numbers(quick=options.quick)
    costs = measure_crowds(options.broker, crowds, lambda cost: _print(" ".join(crowds_table([cost])[1])))
    _print(as_text(crowds_table(costs)))
    if options.out and not options.quick:
        text = crowds_page(document([], _command(options)), crowds_table(costs))
        _write_all(_kept_beside(options.out / "crowds.md", text))
    return OK


def _command(options: argparse.Namespace) -> str:
    """What was typed, as it may be shown."""
    return shown_command(["mqtt-interop", "bench", *sys.argv[2:]], (options.broker, *options.against))


def _pages(suite: str, made: Document, out: Path) -> dict[Path | None, str]:
    """What a suite leaves in the folder of benchmarks, with what people wrote there kept."""
    if suite == ONE_BY_ONE:
        file = out / "one-by-one.md"
        return _kept_beside(file, one_by_one_page(made)) | {out / "one-by-one.svg": curves(made.entries)}
    return _kept_beside(out / "README.md", readme(made)) | {
        out / "latest.json": to_json(made),
        out / "latest.html": page(made),
    }


def _kept_beside(file: Path, text: str) -> dict[Path | None, str]:
    """A page that is made anew, with what people wrote into it."""
    return {file: text + _notes(file)}


def _notes(file: Path) -> str:
    """What people wrote into a page that is made anew: everything from its first heading below the title on."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return text[start:] if (start := text.find("\n## ")) >= 0 else ""


def cell_of(options: argparse.Namespace) -> Cell:
    """The cell the options describe; raises CommandError for what cannot be."""
    mode = Mode(options.mode)
    cell = Cell(
        mode=mode,
        publishers=options.publishers or _DEFAULT_PUBLISHERS.get(mode, 1),
        subscribers=options.subscribers or _DEFAULT_SUBSCRIBERS.get(mode, 1),
        connections=options.connections,
        at_a_time=options.at_a_time,
        qos=QoS(options.qos),
        payload_bytes=options.payload,
        version=Version.from_label(options.mqtt),
        topics=options.topics,
        window=options.window,
        batch=options.batch,
        rate=options.rate,
        outstanding=options.outstanding,
        seconds=options.seconds,
        transport=options.transport,
        is_durable=options.durable,
    )
    for name, value, least, most in (
        ("payload", cell.payload_bytes, stream.MINIMUM_PAYLOAD_BYTES, 1 << 20),
        ("publishers", cell.publishers, 1, stream.MAXIMUM_PUBLISHERS),
        ("subscribers", cell.subscribers, 1, 10_000),
        ("topics", cell.topics, 1, stream.MAXIMUM_TOPICS),
        ("window", cell.window, 1, stream.MAXIMUM_WINDOW),
        ("batch", cell.batch, 0, 1 << 20),
        ("connections", cell.connections, 1, 1 << 20),
        ("at-a-time", cell.at_a_time, 1, 10_000),
    ):
        if not least <= value <= most:
            raise CommandError(f"--{name} {value} is not between {least} and {most}")
    if mode in {Mode.CONNECT, Mode.IDLE} and cell.transport is not Transport.TCP:
        raise CommandError(f"{mode} is measured over tcp only, not over {cell.transport}")
    if cell.is_durable and (options.broker != REFERENCE or options.against or mode in {Mode.CONNECT, Mode.IDLE}):
        raise CommandError(
            "--durable measures messages of the reference broker alone: no other keeps before it answers"
        )
    if cell.seconds <= 0 or cell.rate < 0:
        raise CommandError("--seconds must be above 0, --rate not below")
    return replace(cell, name=_name(cell))


def _name(cell: Cell) -> str:
    if cell.mode in {Mode.CONNECT, Mode.IDLE}:
        return f"{cell.mode}, {cell.connections:,} connections, {cell.version.label}"
    people = f"{cell.publishers} to {cell.publishers if cell.mode is Mode.MESH else cell.subscribers}"
    kind = f"{cell.version.label}, {cell.transport}{', durable' * cell.is_durable}"
    return f"QoS {cell.qos}, {cell.mode} {people}, {cell.payload_bytes} bytes, {kind}"


def _write_all(files: dict[Path | None, str]) -> None:
    """Write what can be written; raises CommandError, in a line for each file, for the rest."""
    failed = []
    for file, text in files.items():
        if file is not None:
            try:
                write_whole(file, partial(Path.write_text, data=text, encoding="utf-8"))
            except OSError as error:
                failed.append(f"cannot write {file}: {error.strerror or error}")
    if failed:
        raise CommandError("\n".join(failed))


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
