"""Which versions the brokers of a run do not speak, found out by asking before their first cell.

Belongs here: who is asked and when, what follows for cells, what is said of it.
Does not belong here: the asking (`interop.brokers.survey`), a broker that goes away later (`presence`).

Brokers at addresses are asked by the controller, all at once, before anything else: what is wrong with one of them ends
the run before it begins. Brokers that we start are asked by the worker that started them, once they listen. The
reference broker is asked nothing: it speaks them all.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from interop.brokers.address import AddressSpec
from interop.brokers.broker import PRESENCE_SECONDS, BrokerSpec, RunningBroker
from interop.brokers.claims import check_claims
from interop.brokers.profile import load_profile
from interop.brokers.profiled import ProfiledSpec
from interop.brokers.registry import broker_spec
from interop.brokers.survey import survey
from interop.runner.cell import Cell
from reference_broker.net.address import Transport

Absent = dict[str, dict[str, str]]
"""By broker at an address, then by version: what the broker said instead of speaking it."""


def ask_brokers(cells: Iterable[Cell], named: Mapping[str, str]) -> Absent:
    """Ask every broker at an address; raises BrokerFault in one line for one that cannot be tried at all.

    `named`: what the brokers of the cells were named on the command line, which may be more than they show.
    """
    cells = list(cells)
    specs = {name: broker_spec(named[name]) for name in dict.fromkeys(cell.broker for cell in cells)}
    asked = {name: spec for name, spec in specs.items() if isinstance(spec, AddressSpec | ProfiledSpec)}
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for cell in cells:
        if cell.broker in asked:
            wanted[cell.broker].update(cell.spoken)
    return asyncio.run(_ask(asked, wanted)) if asked else {}


async def _ask(specs: Mapping[str, AddressSpec | ProfiledSpec], wanted: Mapping[str, set[str]]) -> Absent:
    absent: Absent = {}
    surveys = await asyncio.gather(*(spec.surveys() for spec in specs.values()))
    for (name, spec), of_listeners in zip(specs.items(), surveys, strict=True):
        for found in of_listeners:
            found.check(wanted[name] & set(spec.versions), has_login=spec.login is not None)
        missing = {mqtt: why for found in of_listeners for mqtt, why in found.absent.items()}
        absent[name] = {mqtt: why for mqtt, why in missing.items() if mqtt in wanted[name]}
    return absent


def doubts_about(profiles: Iterable[str]) -> list[str]:
    """What brokers' CONNACKs say otherwise than the files they speak for themselves in, a sentence each."""
    known = [load_profile(Path(file)) for file in profiles]
    return asyncio.run(check_claims(known)) if known else []


def in_words(absent: Absent) -> list[str]:
    """A line for each version that is not there."""
    return [f"unsupported: {why}" for versions in absent.values() for why in versions.values()]


class Absences:
    """Which versions are not there, as far as one worker knows; `absent` is what the controller found out."""

    def __init__(self, absent: Absent | None = None) -> None:
        self._lock = asyncio.Lock()
        self._at_addresses = absent or {}
        self._started: dict[tuple[str, str], dict[str, str]] = {}

    def why(self, cell: Cell) -> str:
        """What the cell's broker said instead of speaking a version that the cell needs; empty where it speaks all."""
        absent = self._at_addresses.get(cell.broker) or self._started.get((cell.broker, cell.transport), {})
        return next((absent[mqtt] for mqtt in cell.spoken if mqtt in absent), "")

    async def learn(self, cell: Cell, spec: BrokerSpec, broker: RunningBroker) -> None:
        """Ask the cell's broker, once, when it has just been started."""
        if cell.broker in self._at_addresses:
            return
        async with self._lock:
            if (cell.broker, cell.transport) not in self._started:
                address = broker.address(Transport(cell.transport))
                found = await survey(spec.name, address, spec.login, PRESENCE_SECONDS)
                if found.is_reached:
                    self._started[cell.broker, cell.transport] = found.absent
