"""`mqtt-interop`: the one command, its subcommands, its exit codes.

Belongs here: the command line, and one clear line where something is wrong.
Does not belong here: what a subcommand does; the module that does it is imported when it runs, so that `--version` and
`lint` start fast. A subcommand with a package of its own has its options there too (`_PACKAGES`).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from itertools import chain
from pathlib import Path

from interop import subjects
from interop.exit_codes import HARNESS_FELL_SHORT, OK, CommandError
from interop.installed import missing, own_version
from interop.lifeline import sigterm_interrupts

PROG = "mqtt-interop"

_REFERENCE_COMMANDS = ("broker", "passwd", "pub", "sub")
"""Subcommands with options of their own: `-h` is a host there, as users of mosquitto_pub expect."""

_SCHEMAS = {
    "scenario": ("interop.scenario.schema", "scenario_schema"),
    "contract": ("interop.drivers.schema", "schema_text"),
    "results": ("reports.schema", "results_schema"),
    "bench": ("interop.bench.document", "schema_text"),
}
"""The published JSON Schemas: each with the module and the function that gives its text."""

_PACKAGES: dict[str, tuple[str, str]] = {
    "adapter": ("interop.adapter_check.command", "check that an adapter keeps the contract, or build those that ship"),
    "certify": ("interop.certify.command", "play a profile with a client or broker, and sign what came out"),
    "verify": ("interop.certify.verifying", "check a certificate, and say in one line what was certified"),
    "probe": ("interop.probe.command", "find out what a broker can do, and write the first version of its profile"),
    "report": ("interop.results.report", "write the pages again, from one or several results.jsonl"),
    "merge": ("interop.results.merge", "make one run of its shards: the pages, and the exit code of the whole"),
    "site": ("interop.results.site", "many runs as a site: who keeps what, release by release, and what differs"),
    "published": ("interop.results.published", "play what a plan names, and keep it small: the history of releases"),
    "defect": ("interop.results.defect", "one defect of a run, with what its maintainer asks for"),
    "diff": ("interop.results.diff", "compare verdicts; exit code 1 when any differs, or those that --fail-on names"),
    "coverage": ("interop.coverage.command", "which statements of the specifications there is evidence for"),
    "corpus": ("interop.corpus.command", "send malformed packets to brokers and clients, and judge how they react"),
    "bench": ("interop.bench.command", "measure how much a broker carries, alone or beside another"),
    "monitor": ("interop.monitor.command", "watch any clients talk to any broker, and name each statement they break"),
    "judge": ("interop.capture.command", "judge a capture file (pcapng, pcap): who broke which statement?"),
    "mutants": ("interop.mutants.command", "play scenarios against wrong brokers and clients: is each one caught?"),
    "simulate": ("interop.simulation.command", "broker and clients in virtual time, over failing links, from a seed"),
    "soak": (
        "interop.survival.soak",
        "thousands of clients for minutes: is everything accounted for, nothing grown?",
    ),
    "attack": ("interop.attack.command", "attack every bound of the reference broker: does it hold, is anybody hurt?"),
    "survive": ("interop.survival.command", "kill the broker again and again: is all that it acknowledged still true?"),
    "fairness": (
        "interop.fairness.command",
        "play under disturbances nobody is to blame for: does a verdict differ?",
    ),
}
"""Subcommands by name: the module that has their `add_options(parser)` and `run(options)`, and a line of help."""

_COMMANDS = (*_REFERENCE_COMMANDS, *_PACKAGES, "run", "lint", "schema", "list")

_LISTS = ("scenarios", "clients", "brokers", "features", "rules")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; gives the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and arguments[0] in _REFERENCE_COMMANDS:
            return _reference_command(arguments)
        if arguments and not arguments[0].startswith("-"):
            _check_installed(arguments[0])
        parser = _parser(arguments[0] if arguments else "")
        if arguments and not arguments[0].startswith("-") and arguments[0] not in _COMMANDS:
            close = get_close_matches(arguments[0], _COMMANDS, n=1)
            guess = f"; did you mean {close[0]}?" if close else ""
            parser.error(f"there is no command {arguments[0]!r}{guess} (`{PROG} --help` has them all)")
        options, extra = parser.parse_known_args(arguments)
        if extra and options.run is not _run:
            parser.error(f"unrecognized arguments: {' '.join(extra)}")
        options.extra = extra
        run: Callable[[argparse.Namespace], int] = options.run
        with sigterm_interrupts():
            return run(options)
    except KeyboardInterrupt:
        _say("interrupted")
        return HARNESS_FELL_SHORT
    except BrokenPipeError:  # the reader of our output left, e.g. `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except CommandError as error:
        _say(str(error))
        return HARNESS_FELL_SHORT
    except OSError as error:
        _say(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return HARNESS_FELL_SHORT


def _check_installed(subcommand: str) -> None:
    """All but the reference broker and client take packages that `pip install mqtt-interop` alone does not bring."""
    if lacking := missing("harness"):
        raise CommandError(
            f"{subcommand} needs packages that are not installed ({', '.join(lacking)}): "
            "pip install 'mqtt-interop[harness]'"
        )


def _say(text: str) -> None:
    sys.stderr.write("".join(f"{PROG}: {line}\n" for line in text.splitlines()))


def _print(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


# --- the command line -------------------------------------------------------------------------------------------------


def _parser(subcommand: str) -> argparse.ArgumentParser:
    """The whole command line; of the packages, only the one `subcommand` names is imported."""
    from reference_broker.command import DESCRIPTIONS  # noqa: PLC0415  # a table; the commands themselves are not loaded

    parser = argparse.ArgumentParser(prog=PROG, description="MQTT interoperability: do a client and a broker agree?")
    parser.add_argument("--version", action="version", version=f"{PROG} {own_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in _REFERENCE_COMMANDS:
        commands.add_parser(name, help=DESCRIPTIONS[name], add_help=False)
    for name, (module, text) in _PACKAGES.items():
        package = commands.add_parser(name, help=text, description=text)
        if name == subcommand:
            command = import_module(module)
            command.add_options(package)
            package.set_defaults(run=command.run)
    _add_run(commands.add_parser("run", help="run the compatibility matrix and write the report", allow_abbrev=False))

    lint = commands.add_parser("lint", help="check scenario files and the tables of statements")
    lint.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders (those that ship)")
    lint.set_defaults(run=_lint)

    schema = commands.add_parser("schema", help="print a published JSON Schema")
    schema.add_argument("name", choices=_SCHEMAS)
    schema.set_defaults(run=_schema)

    listing = commands.add_parser("list", help="what there is to run")
    listing.add_argument("what", choices=_LISTS)
    listing.add_argument("--scenarios", action="append", type=Path, metavar="FOLDER", help="your own (those that ship)")
    listing.set_defaults(run=_list)
    return parser


# --- broker, pub, sub -------------------------------------------------------------------------------------------------


def _reference_command(arguments: list[str]) -> int:
    from reference_broker.command import main as reference_main  # noqa: PLC0415  # only what runs is loaded

    return reference_main(arguments)


# --- run --------------------------------------------------------------------------------------------------------------

_RUN_OPTIONS = (
    ("--client", "NAME", subjects.CLIENT),
    ("--broker", "NAME", subjects.BROKER),
    ("--mqtt", "VERSION", "3.1, 3.1.1, 5.0"),
    ("--transport", "NAME", "tcp, tls, ws, wss"),
    ("--scenario", "NAME", "scenario by name or shell pattern, e.g. 'qos2/*'"),
    ("--statement", "ID", "cells that cite this statement, e.g. MQTT-4.3.3-10 or 5.0:MQTT-4.3.3-10"),
    ("--rule", "NAME", "cells that cite a statement this rule of the judge can find broken"),
    ("--scenarios", "FOLDER", "scenario files or folders of your own"),
)


_SINGLE_OPTIONS = (
    *("-k", "-m", "-n", "--loop", "--network", "--shard", "--cells"),
    *("--known-failures", "--write-known-failures", "--out"),
)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Every other option goes to pytest as it is, e.g. -x, -v, --collect-only."
    for option, metavar, text in _RUN_OPTIONS:
        parser.add_argument(option, action="append", default=[], metavar=metavar, help=f"{text}; may be repeated")
    parser.add_argument(
        "--broker-profile", action="append", default=[], metavar="FILE",
        help="a broker by the file it speaks for itself in (`mqtt-interop probe` writes one); may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--cells",
        metavar="FILE",
        help="only cells whose ids stand in this file, one a line, as --collect-only -q lists them",
    )
    parser.add_argument("--shard", metavar="I/N", help="part I of N, split by expected seconds; `merge` joins them")
    parser.add_argument("--slow", action="store_true", help="slow scenarios, too; -m slow plays them alone")
    parser.add_argument("-k", metavar="EXPRESSION", help="only cells whose name fits, as in pytest")
    parser.add_argument("-m", metavar="MARKERS", help="only cells with these markers, as in pytest")
    parser.add_argument("-n", metavar="WORKERS", help="worker processes (all processors where there is much to play)")
    parser.add_argument(
        "--loop",
        metavar="NAME",
        help="event loop of broker, taps and built-in client: fastest (default), asyncio, uvloop",
    )
    parser.add_argument(
        "--network", metavar="TEXT", help="play behind a worse network, e.g. 'delay=50ms jitter=20ms' (see the README)"
    )
    parser.add_argument("--known-failures", metavar="FILE", help="list of expected failures (the one that ships)")
    parser.add_argument(
        "--write-known-failures", metavar="FILE", help="write the list by which this run would be as expected"
    )
    parser.add_argument("--strict-known", action="store_true", help="fail where a known failure does not show any more")
    parser.add_argument("--out", metavar="FOLDER", help="where the reports go (compat)")
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="spread the run over the workers of this Dask scheduler, e.g. tcp://host:8786"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="with --dask: into so many shards (2 for each worker)")
    parser.add_argument(
        "--bring", action="append", default=[], metavar="PATH",
        help="with --dask: a file or folder the workers need, e.g. an adapter; may be repeated",
    )  # fmt: skip
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.dask is not None:
        from interop.fleet.spreading import run_on_fleet  # noqa: PLC0415  # what it needs comes with an extra

        # A worker of the fleet is a processor, and plays alone unless it was said how many are to.
        alone = {"out": None, "write_known_failures": None, "n": options.n or "0"}
        of_a_job = argparse.Namespace(**(vars(options) | alone))
        return run_on_fleet(options, pytest_arguments(of_a_job))
    from interop.runner.matrix import run_matrix  # noqa: PLC0415  # the other subcommands do without pytest

    return run_matrix(pytest_arguments(options))


def pytest_arguments(options: argparse.Namespace) -> list[str]:
    """What `run` was given, as options of pytest with the matrix's plugin."""
    arguments: list[str] = []
    for option, _, _ in _RUN_OPTIONS:
        for value in getattr(options, option.removeprefix("--")):
            arguments += [option, value]
    for file in options.broker_profile:
        arguments += ["--broker-profile", file]
    for option in _SINGLE_OPTIONS:
        value = getattr(options, option.lstrip("-").replace("-", "_"))
        if value is not None:
            arguments += [option, value]
    flags = [["--slow"] * options.slow, ["--strict-known"] * options.strict_known]
    return [*arguments, *chain(*flags), *options.extra]


# --- scenarios --------------------------------------------------------------------------------------------------------


def _lint(options: argparse.Namespace) -> int:
    from interop.requirements.requirements import VERSIONS, table_problems  # noqa: PLC0415
    from interop.scenario.lint import lint  # noqa: PLC0415
    from interop.scenario.load import load_scenarios  # noqa: PLC0415
    from interop.scenario.problems import ScenarioError  # noqa: PLC0415

    if wrong := [problem for version_label in VERSIONS for problem in table_problems(version_label)]:
        sys.stderr.write("".join(f"{problem}\n" for problem in wrong))
        return HARNESS_FELL_SHORT
    try:
        loaded = load_scenarios(options.paths or None)
        if problems := lint(loaded):
            raise ScenarioError(problems)
    except ScenarioError as error:
        sys.stderr.write(f"{error}\n")
        return HARNESS_FELL_SHORT
    if not loaded:
        raise CommandError("no scenario files there")
    files = len({one.path for one in loaded})
    cells = sum(len(one.heading.versions) * len(one.heading.transports) for one in loaded)
    areas = len({one.area for one in loaded})
    slow = sum(one.heading.slow for one in loaded)
    rows = f"{len(loaded)} rows ({slow} slow)" if slow else f"{len(loaded)} rows"
    _print([f"{files} scenarios in {areas} areas, {rows}, {cells} cells for each client and broker: ok"])
    return OK


def _schema(options: argparse.Namespace) -> int:
    module, function = _SCHEMAS[options.name]
    sys.stdout.write(getattr(import_module(module), function)())
    return OK


def _list(options: argparse.Namespace) -> int:
    _print(_LISTINGS[options.what](options))
    return OK


def _scenarios(options: argparse.Namespace) -> list[str]:
    from interop.scenario.load import load_scenarios  # noqa: PLC0415
    from interop.scenario.problems import ScenarioError  # noqa: PLC0415

    try:
        loaded = load_scenarios(options.scenarios)
    except ScenarioError as error:
        raise CommandError(str(error)) from None
    return [
        f"{one.name}  ({', '.join(one.heading.versions)}){'  slow' * one.heading.slow}  {one.heading.title}"
        for one in loaded
    ]


def _clients(_: argparse.Namespace) -> list[str]:
    from interop.containers import CONTAINER_PREFIX  # noqa: PLC0415
    from interop.drivers.catalog import adapter_programs  # noqa: PLC0415
    from interop.drivers.registry import COMMAND_PREFIX, DRIVERS  # noqa: PLC0415

    known = [f"{name}  {entry.summary}" for name, entry in DRIVERS.items()]
    to_build = [
        f"{name}  {program.summary}{'' if program.is_built else f'; not built: {PROG} adapter build {name}'}"
        for name, program in adapter_programs().items()
    ]
    return [
        *known,
        *to_build,
        f"NAME={COMMAND_PREFIX}PROGRAM  an adapter of your own, see `{PROG} schema contract`",
        f"NAME={CONTAINER_PREFIX}IMAGE  the same in an image",
    ]


def _brokers(_: argparse.Namespace) -> list[str]:
    from interop.brokers.registry import BROKERS  # noqa: PLC0415
    from interop.containers import CONTAINER_PREFIX  # noqa: PLC0415

    return [*BROKERS, f"{CONTAINER_PREFIX}IMAGE", "HOST:PORT", "mqtt://HOST:PORT, mqtts://..., ws://..., wss://..."]


def _features(_: argparse.Namespace) -> list[str]:
    from interop.scenario.features import FEATURES, Role  # noqa: PLC0415

    whose = {Role.CLIENT: "client", Role.BROKER: "broker", Role.BOTH: "both"}
    width = max(map(len, FEATURES))
    return [
        f"{each.name:{width}}  {whose[each.roles]:6}  {each.meaning}{' (5.0)' * each.only_in_5}"
        for each in sorted(FEATURES.values(), key=lambda each: each.roles is Role.BROKER)
    ]


def _rules(_: argparse.Namespace) -> list[str]:
    from interop.judge import RULES  # noqa: PLC0415

    width = max(map(len, RULES))
    return [f"{name:{width}}  {rule.demands}" for name, rule in RULES.items()]


_LISTINGS: dict[str, Callable[[argparse.Namespace], list[str]]] = {
    "scenarios": _scenarios,
    "clients": _clients,
    "brokers": _brokers,
    "features": _features,
    "rules": _rules,
}
