"""A published run completed: which of its cells have no verdict yet, and what was played of them put to the rest.

Belongs here: the cells of a planned run today, which of them are to be played, joining what was played at other times.
Does not belong here: playing, the plan (`published`), results of one run in several parts (`joining`).

Scenarios are added after a run was played, and on a busy machine some cells are withheld. A run has one release of each
implementation, so what another one did is never put to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from interop.runner.cell import Cell, Selection, plan
from interop.runner.parts import id_of
from interop.runner.verdict import REFERENCE_CLIENT
from interop.scenario.load import load_scenarios
from reports.record import Record, Verdict

_ROLES: tuple[Literal["client", "broker"], ...] = ("client", "broker")
_SAYS_NOTHING = frozenset({Verdict.SETUP_FAILED, Verdict.HARNESS_ERROR})

Place = tuple[str, str, str]
"""A scenario, version and transport, whoever plays them."""


def cells_of(clients: Sequence[str], brokers: Sequence[str], transports: Sequence[str]) -> list[Cell]:
    """Those that a run of these plays today: none that is slow, and of what any client does, ours only."""
    selection = Selection(clients=tuple(clients), brokers=tuple(brokers), transports=tuple(transports))
    has_ours = selection.clients[:1] == (REFERENCE_CLIENT,)
    return [
        cell
        for cell in plan(load_scenarios(), selection)
        if not cell.loaded.heading.slow and (has_ours or not cell.loaded.heading.any_client)
    ]


def without_verdict(cells: Iterable[Cell], records: Iterable[Record]) -> list[str]:
    """The ids of cells that are not among the records, or of which these say nothing, e.g. as they are withheld."""
    settled = {id_of(record) for record in records if not _says_nothing(record)}
    return [cell.id for cell in cells if cell.id not in settled]


def of_other_releases(kept: Iterable[Record], played: Iterable[Record]) -> dict[str, str]:
    """The names among what was played that are of another release than in what is kept, with a line about each."""
    before, after = _releases(kept), _releases(played)
    return {
        name: f"{name}: {', '.join(sorted(said))} was played, {', '.join(sorted(before[name]))} is kept"
        for name, said in after.items()
        if before[name] and not said <= before[name]
    }


def joined(kept: Iterable[Record], played: Iterable[Record]) -> list[Record]:
    """One record for each cell: the later one, but never one that says nothing for one that says something.

    What is of another release than what is kept is left out. Times that are kept are of the minute, so of two that
    began in the same one, what was played is the later one.
    """
    kept, played = list(kept), list(played)
    others = of_other_releases(kept, played).keys()
    found = {record.cell_id: record for record in kept}
    for record in played:
        before = found.get(record.cell_id)
        if record.client not in others and record.broker not in others and (not before or _is_later(record, before)):
            found[record.cell_id] = record
    return list(found.values())


def of_today(records: Iterable[Record]) -> list[Record]:
    """Without cells of scenarios that are not there any more, or not in that version or over that transport."""
    there: set[Place] = {
        (loaded.name, mqtt, transport)
        for loaded in load_scenarios()
        for mqtt in loaded.heading.versions
        for transport in loaded.heading.transports
    }
    return [record for record in records if (record.scenario, record.mqtt, record.transport) in there]


def _says_nothing(record: Record) -> bool:
    return record.verdict in _SAYS_NOTHING and record.known_failure is None


def _is_later(record: Record, before: Record) -> bool:
    if _says_nothing(record) != _says_nothing(before):
        return _says_nothing(before)
    return record.started_at >= before.started_at


def _releases(records: Iterable[Record]) -> defaultdict[str, set[str]]:
    """What each client and broker said it is, by name; a cell that was not played has nobody who says it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        for role in _ROLES:
            if said := record.implementations.get(role):
                found[getattr(record, role)].add(said)
    return found
