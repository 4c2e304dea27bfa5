"""Whether an implementation can do at all what a cell needs, going by what it declares.

Belongs here: versions, transports, features and settings of broker and client.
Does not belong here: what only asking shows (`preflight`); a failure is never inability.
"""

from __future__ import annotations

from collections.abc import Sequence

from interop.brokers.broker import BrokerSpec
from interop.brokers.claims import CLAIMS
from interop.drivers.contract import HelloEvent
from interop.runner.cell import Cell
from interop.runner.failures import Unsupported
from interop.scenario.features import missing

_NOT_SET = object()


def check_broker_can(cell: Cell, spec: BrokerSpec) -> None:
    """Raise Unsupported where a broker cannot be configured as a cell needs it, or lacks what it needs."""
    scenario = cell.loaded.scenario
    asked = {name: value for name, value in scenario.broker.items() if name not in spec.settings}
    if unknown := sorted(name for name, value in asked.items() if spec.started_with.get(name, _NOT_SET) != value):
        raise Unsupported(f"{spec.name} cannot be configured with {', '.join(unknown)}")
    if scenario.own_broker and not spec.exclusive:
        raise Unsupported(f"{spec.name} is shared with others, who would disturb the scenario")
    # What a setting takes away is no lack where a scenario asks for just that setting.
    taken_away = {claim.feature for claim in CLAIMS if claim.field in asked}
    lacks = [feature for feature in spec.lacks if feature not in taken_away]
    _check_can(spec.name, cell, cell.needs(), cell.spoken, spec.versions, spec.transports, lacks)


def check_client_can(cell: Cell, hello: HelloEvent, actor: str) -> None:
    """Raise Unsupported where the client lacks what its actor needs, going by what it says of itself."""
    _check_can(hello.client, cell, cell.needs(actor), (cell.mqtt,), hello.mqtt, hello.transports, hello.unsupported)


def _check_can(
    who: str,
    cell: Cell,
    needs: Sequence[str],
    spoken: Sequence[str],
    versions: Sequence[str],
    transports: Sequence[str],
    unsupported: Sequence[str],
) -> None:
    if foreign := [mqtt for mqtt in spoken if mqtt not in versions]:
        raise Unsupported(f"{who} does not speak MQTT {', '.join(foreign)}")
    if cell.transport not in transports:
        raise Unsupported(f"{who} has no {cell.transport}")
    if lacking := missing(needs, unsupported, max(spoken)):  # what only 5.0 has is needed where anybody speaks 5.0
        raise Unsupported(f"{who} has no {', '.join(lacking)}")
