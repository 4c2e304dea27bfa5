"""Named sets of cells with what is aimed at: the ratio to the other broker, at least or at most.

Belongs here: the cells. Does not belong here: running them (`compare`), writing the results (`files`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from interop.bench.cell import Cell, Mode
from interop.bench.compare import AUTOMATIC
from reference_broker.net.address import Transport
from reference_broker.wire.types import QoS, Version


@dataclass(frozen=True, slots=True)
class Aim:
    """What must be reached, and what is the goal: a ratio to the other broker, or with `absolute` the figure itself.

    `at_most` where less is better.
    """

    must: float
    goal: float
    at_most: bool = False
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class SuiteCell:
    """A cell in the row of a table; in the same row are a streamed cell and its like with one PUBLISH per send."""

    row: str
    cell: Cell
    aim: Aim | None = None

    @property
    def one_per_send(self) -> bool:
        """Whether each PUBLISH is sent by itself."""
        return self.cell.batch == 1


def targets(seconds: float) -> list[SuiteCell]:
    """The cells the project's targets are about."""
    return [*_shapes(seconds), *_kinds(seconds)]


ONE_BY_ONE = "one-by-one"
SUITES: dict[str, Callable[[float], list[SuiteCell]]] = {
    "targets": targets,
    ONE_BY_ONE: lambda seconds: [*_singles(seconds), *_loads(seconds)],
}

QUICK_SECONDS = 0.2
_QUICK_CONNECTIONS = 200


def quick(cells: Iterable[SuiteCell]) -> list[SuiteCell]:
    """One cell of each kind, so short and small that figures mean nothing: whether everything runs."""
    kinds: dict[object, SuiteCell] = {}
    for each in cells:
        cell = each.cell
        kind = (cell.mode, cell.qos, cell.transport, each.one_per_send and cell.mode is Mode.PAIRS, cell.is_latency)
        few = replace(
            cell,
            seconds=QUICK_SECONDS,
            connections=min(cell.connections, _QUICK_CONNECTIONS),
            exact_subscribers=min(cell.exact_subscribers, _QUICK_CONNECTIONS),
        )
        kinds.setdefault(kind if cell.topics == 1 and not cell.user_properties else each.row, replace(each, cell=few))
    return list(kinds.values())


_ONE_TO_ONE: dict[str, Any] = {"mode": Mode.PAIRS}
_SHAPES: list[tuple[str, dict[str, Any], Aim, dict[str, Any] | None, Aim | None]] = [
    ("QoS 0, 1 to 1", _ONE_TO_ONE, Aim(10, 16), _ONE_TO_ONE, Aim(0.9, 1.3)),
    (
        "QoS 0, 20 to 1 (one per send: 100 to 1)",
        {"mode": Mode.FAN_IN, "publishers": 20},
        Aim(8, 17),
        {"mode": Mode.FAN_IN, "publishers": 100},
        Aim(0.9, 1.3),
    ),
    (
        "QoS 0, 1 to 20",
        {"mode": Mode.FAN_OUT, "subscribers": 20},
        Aim(60, 100),
        {"mode": Mode.FAN_OUT, "subscribers": 20},
        Aim(8, 16),
    ),
    (
        "QoS 0, mesh of 20",
        {"mode": Mode.MESH, "publishers": 20},
        Aim(45, 80),
        {"mode": Mode.MESH, "publishers": 20},
        Aim(8, 16),
    ),
    ("QoS 1, 1 to 1, window 100", {"qos": QoS.AT_LEAST_ONCE}, Aim(6, 9), None, None),
    ("QoS 2, 1 to 1, window 100", {"qos": QoS.EXACTLY_ONCE}, Aim(6, 12), None, None),
]


def _shapes(seconds: float) -> list[SuiteCell]:
    cells = []
    for version in (Version.V311, Version.V5):
        for name, streamed, aim, one_by_one, aim_one_by_one in _SHAPES:
            row = f"{name}, MQTT {version.label}"
            cells.append(_cell(row, aim, seconds, version=version, **streamed))
            if one_by_one is not None and aim_one_by_one is not None:
                cells.append(_cell(row, aim_one_by_one, seconds, version=version, batch=1, **one_by_one))
    return cells


def _kinds(seconds: float) -> list[SuiteCell]:
    crossing, large, wrapped, latency = Aim(3, 8), Aim(4, 8), Aim(2, 4), Aim(2, 1, at_most=True)
    v311, v5 = Version.V311, Version.V5
    settings: list[tuple[str, Aim, dict[str, Any]]] = [
        (
            "QoS 0, 10,000 topics to one # and 1,000 exact subscribers",
            Aim(5, 10),
            {"mode": Mode.FAN_OUT, "topics": 10_000, "exact_subscribers": 1000},
        ),
        (
            "QoS 0, 5.0 with 4 user properties and a subscription identifier",
            crossing,
            {"version": v5, "user_properties": 4, "subscription_identifier": 7},
        ),
        ("QoS 0, publisher 5.0, subscriber 3.1.1", crossing, {"version": v5, "subscriber_version": v311}),
        ("QoS 0, publisher 3.1.1, subscriber 5.0", crossing, {"subscriber_version": v5}),
        ("QoS 0, 1 to 1, 1,024 bytes", large, {"payload_bytes": 1024}),
        ("QoS 0, 1 to 20, 1,024 bytes", large, {"payload_bytes": 1024, "mode": Mode.FAN_OUT, "subscribers": 20}),
        ("QoS 0, 1 to 1, TLS", wrapped, {"transport": Transport.TLS}),
        ("QoS 0, 1 to 1, WebSocket", wrapped, {"transport": Transport.WS}),
        ("p99 latency at 5,000 msg/s, QoS 0", latency, {"rate": 5000.0}),
        ("p99 latency at 5,000 msg/s, QoS 1", latency, {"rate": 5000.0, "qos": QoS.AT_LEAST_ONCE}),
        ("2,000 connects, 50 at a time", Aim(0.4, 1), {"mode": Mode.CONNECT}),
        (
            "memory of one of 10,000 idle connections",
            Aim(5 * 1024, 2.5 * 1024, at_most=True, absolute=True),
            {"mode": Mode.IDLE, "connections": 10_000},
        ),
    ]
    return [_cell(row, aim, seconds, **fields) for row, aim, fields in settings]


_RATES = (1_000, 5_000, 20_000, 50_000, 100_000, 200_000)


def _singles(seconds: float) -> list[SuiteCell]:
    """One PUBLISH per send, as fast as it goes: from few and many, at each QoS, in both versions, and wrapped."""
    v311, v5 = Version.V311, Version.V5
    kinds = [
        *((publishers, qos, v311, Transport.TCP) for qos in QoS for publishers in (1, 10, 100)),
        *((1, qos, v5, Transport.TCP) for qos in QoS),
        *((1, qos, v311, wrapped) for wrapped in (Transport.TLS, Transport.WS) for qos in QoS),
    ]
    return [
        _cell(
            f"QoS {qos}, {publishers} to 1, MQTT {version.label}, {transport}", None, seconds,
            mode=Mode.FAN_IN if publishers > 1 else Mode.PAIRS,
            publishers=publishers, qos=qos, version=version, transport=transport, batch=1,
        )
        for publishers, qos, version, transport in kinds
    ]  # fmt: skip


def _loads(seconds: float) -> list[SuiteCell]:
    """Latency at one rate after another."""
    return [
        _cell(f"QoS {qos}, {rate:,} messages/s", None, seconds, qos=qos, rate=float(rate), batch=1)
        for qos in (QoS.AT_MOST_ONCE, QoS.AT_LEAST_ONCE)
        for rate in _RATES
    ]


_TWO_SHAPES = re.compile(r"(?P<streamed>\d+ to \d+) \(one per send: (?P<single>[^)]*)\)")
"""In the name of a row whose two cells differ in more than that."""


def _cell(row: str, aim: Aim | None, seconds: float, **fields: Any) -> SuiteCell:
    one_per_send = fields.get("batch") == 1 and not fields.get("rate")
    name = _TWO_SHAPES.sub(r"\g<single>" if one_per_send else r"\g<streamed>", row)
    if one_per_send:
        name += ", one PUBLISH per send"
    return SuiteCell(row, Cell(name=name, seconds=seconds, outstanding=AUTOMATIC, **fields), aim)
