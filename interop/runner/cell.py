"""One cell of the matrix: a scenario, played by a client against a broker, in one version over one transport.

Belongs here: the cell's identity and which cells a selection gives.
Does not belong here: playing one (`play`), pytest (`plugin`).
"""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from interop.runner.about import About
from interop.scenario.load import DEFAULT_FOLDER, LoadedScenario
from interop.scenario.model import VersionClause
from interop.scenario.steps import (
    AnyStep,
    Connect,
    Inject,
    Publish,
    Receive,
    Rewrite,
    Subscribe,
)
from interop.scenario.values import MqttLabel, TransportName

DEFAULT_CLIENTS = ("builtin", "paho", "gmqtt")
DEFAULT_BROKERS = ("reference",)

BESIDES_SECONDS = 0.3
"""What a cell takes besides the waits its scenario names: connections, adapters, the quiet at its end, the judge; from
the records of a matrix, on a machine that had other things to do."""

LIMIT_SECONDS = 60.0
"""A cell that is still under way after this long is ended: something hangs."""

SLOW_LIMIT_SECONDS = 5 * LIMIT_SECONDS
"""The same for a slow scenario: half a minute of work on a machine of its own, which it may not have."""


_TEST = "::test_cell["
"""What stands before a cell's id in the name of its test."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is run as one test, and gives one record."""

    loaded: LoadedScenario
    client: str
    broker: str
    mqtt: MqttLabel
    transport: TransportName
    adapter: str = ""
    """What starts the client, where that is not its name."""
    profile: str = ""
    """The file the broker speaks for itself in, where there is one."""

    @property
    def id(self) -> str:
        """Unique in a run, readable in a test's name."""
        return f"{self.loaded.name}-{self.client}-{self.broker}-{self.mqtt}-{self.transport}"

    @property
    def scenario(self) -> str:
        """The scenario's name, with its case."""
        return self.loaded.name

    @property
    def clause(self) -> VersionClause:
        """What the specification of the cell's version says about the scenario."""
        return self.loaded.scenario.versions[self.mqtt]

    def mqtt_of(self, actor: str) -> MqttLabel:
        """The version an actor speaks unless a step says otherwise: its own, else the cell's."""
        return self.loaded.scenario.actors[actor].mqtt or self.mqtt

    @property
    def spoken(self) -> tuple[MqttLabel, ...]:
        """Every version its actors ever speak, the cell's first."""
        changes = [step.mqtt for _, step in self.steps() if isinstance(step, Connect) and step.mqtt]
        return tuple(dict.fromkeys((self.mqtt, *map(self.mqtt_of, self.loaded.scenario.actors), *changes)))

    @property
    def is_alone(self) -> bool:
        """Whether its broker is started for it, to be nobody else's."""
        return self.loaded.scenario.own_broker or bool(self.loaded.scenario.broker)

    def steps(self) -> Iterator[tuple[int, AnyStep]]:
        """The steps of this version with their 0-based place in the file."""
        for place, step in enumerate(self.loaded.scenario.steps):
            if step.only is None or self.mqtt in step.only:
                yield place, step

    def needs(self, actor: str | None = None) -> tuple[str, ...]:
        """Features it cannot be played without: those it declares, and those that follow from its steps.

        These are the QoS its messages have or have to be granted (with `actor`, of that one only), and to be let in
        by a CONNECT written as bytes, which has no login of the broker's, or with a login the broker was not told of.
        """
        scenario = self.loaded.scenario
        used = {qos for _, step in self.steps() for who, qos in _qos_used(step) if actor in (None, who)}
        if actor is not None:  # a broker is free to grant less, a client has to ask for it
            asked = (step for _, step in self.steps() if isinstance(step, Subscribe) and step.actor == actor)
            used |= {each.qos for step in asked for each in step.requests()}
        used |= {each.will.qos for name, each in scenario.actors.items() if each.will and actor in (None, name)}
        implied = [f"qos{qos}" for qos in sorted(used) if qos]
        if any(isinstance(step, Rewrite) and step.hex and step.at == "CONNECT" for _, step in self.steps()):
            implied.append("anonymous")
        names = [each.username for each in scenario.actors.values()]
        names += [step.username for _, step in self.steps() if isinstance(step, Connect)]
        if "users" not in scenario.broker and any(name is not None for name in names):
            implied.append("any-login")
        return tuple(dict.fromkeys((*scenario.needs, *implied)))

    @property
    def expected_wait_seconds(self) -> float:
        """How long the scenario makes the cell wait when all goes well."""
        return sum(step.waits_seconds for _, step in self.steps())

    @property
    def expected_seconds(self) -> float:
        """How long it takes when all goes well."""
        return BESIDES_SECONDS + self.expected_wait_seconds

    @property
    def limit_seconds(self) -> float:
        """How long it may be under way."""
        return SLOW_LIMIT_SECONDS if self.loaded.scenario.slow else LIMIT_SECONDS

    @property
    def rerun(self) -> str:
        """The command that runs just this cell; a scenario that does not ship has its file named."""
        return self.rerun_with()

    def rerun_with(self, *more: str) -> str:
        """The same, with more options."""
        file = self.loaded.path.absolute()
        own = [] if file.is_relative_to(DEFAULT_FOLDER) else ["--scenarios", str(file)]
        client = f"{self.client}={self.adapter}" if self.adapter else self.client
        slow = ["--slow"] if self.loaded.scenario.slow else []
        broker = ["--broker-profile", self.profile] if self.profile else ["--broker", self.broker]
        return shlex.join(
            ["mqtt-interop", "run", "--client", client, *broker, "--mqtt", self.mqtt,
             "--transport", self.transport, *own, "--scenario", self.loaded.name, *slow, *more]
        )  # fmt: skip


def _qos_used(step: AnyStep) -> Iterator[tuple[str, int]]:
    """Who uses which QoS in a step."""
    match step:
        case Publish():
            yield step.actor, step.qos
        case Subscribe() if step.granted is not None:  # else a broker is free to grant less
            yield from ((step.actor, each.qos) for each in step.requests())
        case Receive() if step.qos is not None:
            yield step.actor, step.qos
        case Inject() if step.packet is not None:
            yield step.link, int(step.packet.get("qos", 0))


@dataclass(frozen=True, slots=True)
class Selection:
    """What the command line asked for; an empty tuple stands for "all that a scenario names"."""

    clients: tuple[str, ...] = DEFAULT_CLIENTS
    brokers: tuple[str, ...] = DEFAULT_BROKERS
    versions: tuple[str, ...] = ()
    transports: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    about: About = field(default_factory=About)
    adapters: Mapping[str, str] = field(default_factory=dict)
    """What starts the clients, by name, where that is not the name itself."""
    profiles: Mapping[str, str] = field(default_factory=dict)
    """The files that brokers speak for themselves in, by name."""
    cells: frozenset[str] | None = None
    """The ids of those that are wanted, where they were named one by one."""

    def rows(self, scenarios: Iterable[LoadedScenario]) -> Iterator[LoadedScenario]:
        """The scenarios that are wanted, in the versions that are about what is wanted.

        They are called exactly, or matched as a shell pattern by, one of those asked for.
        """
        scenarios = list(scenarios)
        names = {loaded.name for loaded in scenarios}
        patterns = [wanted for wanted in self.scenarios if wanted not in names]  # a case's brackets are no pattern
        exact = names & set(self.scenarios)
        for loaded in self.about.rows(scenarios):
            if not self.scenarios or loaded.name in exact or any(fnmatch.fnmatchcase(loaded.name, p) for p in patterns):
                yield loaded


def plan(scenarios: Iterable[LoadedScenario], selection: Selection) -> Sequence[Cell]:
    """All cells of a selection, in the order of the scenario files."""
    cells = (
        Cell(
            loaded,
            client,
            broker,
            mqtt,
            transport,
            adapter=selection.adapters.get(client, ""),
            profile=selection.profiles.get(broker, ""),
        )
        for loaded in selection.rows(scenarios)
        for mqtt in loaded.heading.versions
        if not selection.versions or mqtt in selection.versions
        for transport in loaded.heading.transports
        if not selection.transports or transport in selection.transports
        for broker in selection.brokers
        for client in (selection.clients[:1] if loaded.heading.any_client else selection.clients)
    )
    return [cell for cell in cells if selection.cells is None or cell.id in selection.cells]


def named_cells(file: Path) -> frozenset[str]:
    """The ids in a file, one a line, alone or in the name of a test as pytest lists it; raises BadCells."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadCells(f"--cells {file}: {getattr(error, 'strerror', None) or error}") from None
    return frozenset(line.partition(_TEST)[2].removesuffix("]") or line for line in map(str.strip, lines) if line)


class BadCells(Exception):
    """A file of cells that cannot be read; the message is one line."""
