"""Plays scenarios given as text, with the built-in client against the reference broker, in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from textwrap import dedent

from interop.brokers.broker import BrokerSpec
from interop.brokers.registry import broker_spec
from interop.drivers.pool import DriverPool
from interop.runner.cell import Cell
from interop.runner.known_failures import KnownFailures
from interop.runner.pace import Slots
from interop.runner.play import Workshop, play
from interop.runner.preflight import Absences, Absent
from interop.scenario.load import LoadedScenario, load_file
from interop.tap.network import LOOPBACK, Network
from reference_broker.net.tls import make_test_certificates
from reports.record import Record

HEAD = """\
title: A case
versions:
  "3.1": {level: should, cites: [MQTT31-16]}
  "3.1.1": {level: must, cites: [MQTT-4.3.3-1]}
  "5.0": {level: must, cites: [MQTT-4.3.3-6]}
"""


def scenario(folder: Path, text: str, head: str = HEAD) -> LoadedScenario:
    """The (one) scenario of a file with that text below the usual head."""
    path = folder / "area" / "case.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + dedent(text), encoding="utf-8")
    (loaded,) = load_file(path)
    return loaded


def played(
    loaded: LoadedScenario,
    mqtt: str = "5.0",
    known: KnownFailures | None = None,
    client: str = "builtin",
    network: Network = LOOPBACK,
) -> Record:
    """The record of one cell of it."""
    cell = Cell(loaded, client, "reference", mqtt, "tcp")  # type: ignore[arg-type]  # tests name versions as text
    return asyncio.run(play_at(cell, broker_spec("reference"), known, network=network))


async def play_at(
    cell: Cell,
    broker: BrokerSpec,
    known: KnownFailures | None = None,
    absent: Absent | None = None,
    network: Network = LOOPBACK,
) -> Record:
    """The record of one cell at that broker, which is closed in the end; `absent`: versions it does not speak."""
    drivers = DriverPool(limit=8)
    workshop = Workshop(
        drivers=drivers,
        brokers={cell.broker: broker},
        known_failures=known or KnownFailures(),
        certificates=lambda: make_test_certificates(Path("unused")),
        slots=Slots(2, 2),
        absences=Absences(absent),
        network=network,
    )
    try:
        return await play(cell, workshop)
    finally:
        await drivers.close()
        await broker.close()
