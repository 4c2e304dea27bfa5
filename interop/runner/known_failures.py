"""Failures that are expected, with reason and upstream link: they still run, and are reported once they stop failing.

Belongs here: reading the list and finding the entry for a cell.
Does not belong here: verdicts (`verdict`), the list itself (`known_failures.yaml`).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Protocol

import yaml
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from interop.brokers.catalog import built_brokers
from interop.brokers.profile import load_profile
from interop.brokers.releases import broker_of
from interop.drivers.catalog import adapter_programs
from interop.drivers.releases import client_of
from interop.scenario.values import MqttLabel, Strict, TransportName
from reports.record import KnownFailure

SHIPPED = Path(__file__).with_name("known_failures.yaml")


class BadKnownFailures(Exception):
    """The list cannot be read; the message says where and why."""


class Subject(Protocol):
    """What an entry may speak of: a cell, or the record of one."""

    @property
    def scenario(self) -> str:
        """Its name, with the case."""

    @property
    def client(self) -> str:
        """The client."""

    @property
    def broker(self) -> str:
        """The broker."""

    @property
    def mqtt(self) -> MqttLabel:
        """The version."""

    @property
    def transport(self) -> str:
        """The transport."""


def _specifies(releases: str) -> str:
    try:
        SpecifierSet(releases)
    except InvalidSpecifier:
        raise ValueError(f"{releases!r} is none of '<2.1', '>=2.1', '>=2.0,<2.1', ...") from None
    return releases


Releases = Annotated[str, AfterValidator(_specifies)]
"""Which ones; none for all."""


class Entry(Strict):
    """One implementation's shortcoming and the cells it shows in.

    With `rules`, a cell is expected only where nothing but these is broken: a new fault in the same cell is still red.
    With `releases` it is about these only, as far as it is known which one was played, and with `log` only about cells
    in whose log, which has what the broker wrote meanwhile, that is found.
    One that is `intermittent` shows only now and then, so a cell that passes is no news. One of the class `ambiguous`
    is nobody's: the specification has two `readings`, and by one of them nothing is wrong.
    """

    model_config = ConfigDict(populate_by_name=True)

    client: str | None = None
    broker: str | None = Field(None, description="a name or shell pattern")
    releases: Releases = Field(
        "", description="of that broker, or of that client where no broker is named: '<2.1', '>=2.1'"
    )
    scenarios: tuple[str, ...] = Field(min_length=1, description="names or shell patterns, e.g. qos2/resume_*")
    mqtt: tuple[MqttLabel, ...] = ()
    transports: tuple[TransportName, ...] = ()
    rules: tuple[str, ...] = Field((), description="names of the judge's rules, or verbs of steps")
    log: str = Field(
        "", description="a regular expression: what the broker wrote where this is it; then it is intermittent"
    )
    intermittent: bool = False
    kind: Literal["shortcoming", "ambiguous"] = Field("shortcoming", alias="class")
    readings: tuple[str, ...] = Field((), description="of the specification, each in a sentence, with its statement")
    evidence: tuple[str, ...] = Field((), description="links to what shows it, or files: a trace, a script, a thread")
    reason: str
    link: str | None = Field(None, description="the upstream report or, where none was found, the code that does it")

    def speaks_of(self, cell: Subject, versions: Mapping[str, str]) -> bool:
        """Whether the cell is one of its own; `versions` of the implementations are as records have them."""
        return (
            self.is_about(cell.client, cell.broker)
            and (not self.mqtt or cell.mqtt in self.mqtt)
            and (not self.transports or cell.transport in self.transports)
            and any(_matches(cell.scenario, pattern) for pattern in self.scenarios)
            and (not self.releases or is_within(versions.get("broker" if self.broker else "client", ""), self.releases))
        )

    def is_about(self, client: str, broker: str) -> bool:
        """Whether cells of these two may be its own."""
        return self.client in (None, client) and (self.broker is None or _matches(broker, self.broker))

    @model_validator(mode="after")
    def _names_releases(self) -> Entry:
        if self.releases and not (self.broker or self.client):
            raise ValueError("releases: of which client or broker?")
        return self

    @model_validator(mode="after")
    def _is_written_now_and_then(self) -> Entry:
        try:
            re.compile(self.log)
        except re.error as error:
            raise ValueError(f"log: {error}") from None
        if self.log and not self.intermittent:
            raise ValueError("log: what is told from a log is intermittent")
        return self

    @model_validator(mode="after")
    def _has_both_readings(self) -> Entry:
        if (self.kind == "ambiguous") != (len(self.readings) > 1):
            raise ValueError("class: ambiguous is what has two readings of the specification or more, and no other")
        return self


@dataclass(frozen=True, slots=True)
class KnownFailures:
    """The list, looked up by cell."""

    entries: tuple[Entry, ...] = ()
    _by_pair: dict[tuple[str, str], list[Entry]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def _of(self, cell: Subject) -> list[Entry]:
        """Those about the cell's client and broker: of two hundred some twenty, and a run has few pairs."""
        pair = cell.client, cell.broker
        if pair not in self._by_pair:
            self._by_pair[pair] = [entry for entry in self.entries if entry.is_about(*pair)]
        return self._by_pair[pair]

    def entry_for(self, cell: Subject, versions: Mapping[str, str]) -> Entry | None:
        """The first entry by which the cell has to fail; `versions` of the implementations are as records have them."""
        speaking = (entry for entry in self._of(cell) if entry.speaks_of(cell, versions))
        return next((entry for entry in speaking if not entry.intermittent), None)

    def entry_that_explains(
        self, cell: Subject, versions: Mapping[str, str], broken: Iterable[str], log: str
    ) -> Entry | None:
        """The first entry that speaks of the cell, with this log, and of everything broken in it.

        Where nothing is, as of a broker that was not there, only one that is about the cell whatever happens in it.
        Where each side has a shortcoming of its own there, it takes several, and they are as one.
        """
        broken = set(broken)
        speaking = [entry for entry in self._of(cell) if entry.speaks_of(cell, versions) and re.search(entry.log, log)]
        alone = next((entry for entry in speaking if not entry.rules or (broken and broken <= set(entry.rules))), None)
        return alone or _together([entry for entry in speaking if broken & set(entry.rules)], broken)


def _together(entries: Sequence[Entry], broken: set[str]) -> Entry | None:
    """Entries that are each about a part of what is broken, as one; None where they leave anything, or one is open."""
    explained = {rule for entry in entries for rule in entry.rules}
    if not entries or not broken <= explained or any(entry.readings for entry in entries):
        return None
    return entries[0].model_copy(
        update={
            "rules": tuple(explained),
            "reason": " ".join(dict.fromkeys(entry.reason for entry in entries)),
            "intermittent": any(entry.intermittent for entry in entries),
        }
    )


def explanation(entry: Entry) -> KnownFailure:
    """What the record says of it."""
    return KnownFailure(reason=entry.reason, link=entry.link, evidence=entry.evidence, readings=entry.readings)


def is_within(version: str, releases: str) -> bool:
    """Whether `mosquitto 2.0.11` is one of `<2.1`; what says no version is, for all that is known."""
    try:
        return _specified(releases).contains(Version(version.rpartition(" ")[2]), prereleases=True)
    except InvalidVersion:
        return True


@cache
def _specified(releases: str) -> SpecifierSet:
    return SpecifierSet(releases)


def _matches(name: str, pattern: str) -> bool:
    # A case stands in brackets, which are special in shell patterns: an exact name is compared as it is.
    return name == pattern or _written(pattern).match(name) is not None


@cache
def _written(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))


_ENTRIES = TypeAdapter(tuple[Entry, ...])


def load_known_failures(
    path: Path | None = None,
    *,
    profiles: Mapping[str, str] | None = None,
    clients: Iterable[str] = (),
    brokers: Iterable[str] = (),
) -> KnownFailures:
    """The list in a file, by default the one that ships and those of what is built among `clients` and `brokers`.

    Before them come those of brokers' profiles, by broker. Raises BadKnownFailures, and BrokerFault for a profile that
    cannot be read.
    """
    entries = [entry for broker, file in (profiles or {}).items() for entry in _of_profile(broker, file)]
    named = {name: client_of(name) for name in clients}
    of_brokers = {name: broker_of(name) for name in brokers}
    built = () if path else _of_what_is_built(dict.fromkeys(named.values()), dict.fromkeys(of_brokers.values()))
    for source in (path or SHIPPED, *built):
        entries += _in_file(source)
    return KnownFailures(
        (*entries, *_of_releases(entries, "client", named), *_of_releases(entries, "broker", of_brokers))
    )


def _of_releases(
    entries: Iterable[Entry], side: Literal["client", "broker"], named: Mapping[str, str]
) -> Iterator[Entry]:
    """What is known of one is no news of another release of it; that it is not so there is none, either."""
    for name, known_as in named.items():
        if name != known_as:
            for entry in entries:
                if getattr(entry, side) == known_as:
                    yield entry.model_copy(update={side: name, "intermittent": True})


def _of_what_is_built(clients: Iterable[str], brokers: Iterable[str]) -> list[Path]:
    adapters, programs = adapter_programs(), built_brokers()
    of_adapters = [adapters[name].known_failures for name in clients if name in adapters]
    return of_adapters + [programs[name].known_failures for name in brokers if name in programs]


def _in_file(source: Path) -> tuple[Entry, ...]:
    try:
        written = yaml.load(source.read_text(encoding="utf-8"), yaml.CSafeLoader) or []
    except OSError as error:
        raise BadKnownFailures(f"{source}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadKnownFailures(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    return _entries(written, str(source))


def _of_profile(broker: str, file: str) -> tuple[Entry, ...]:
    written = load_profile(Path(file)).known_failures
    return _entries([{**entry, "broker": broker} for entry in written], f"{file}: known_failures")


def _entries(written: object, where: str) -> tuple[Entry, ...]:
    try:
        return _ENTRIES.validate_python(written)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadKnownFailures(f"{where}: entry {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
