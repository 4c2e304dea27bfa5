"""What Sparkplug asks of an aware server: asked of who says that it is one, and of nobody else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from interop.brokers.broker import BrokerSpec
from interop.brokers.reference import ReferenceSpec
from interop.drivers.pool import DriverPool
from interop.mutants.broker_sparkplug import SUBJECT, keeps
from interop.mutants.mutant import Mutant
from interop.mutants.wrong_ends import WrongBrokerSpec
from interop.runner.cell import Cell
from interop.runner.known_failures import KnownFailures
from interop.runner.pace import Slots
from interop.runner.play import Workshop, play
from interop.scenario.load import load_named
from reference_broker.net.tls import make_test_certificates
from reports.record import Record

SCENARIOS = [
    "sparkplug/birth_outlives_its_node", "sparkplug/dbirth_is_kept", "sparkplug/nbirth_is_kept",
    "sparkplug/rebirth_takes_its_place",
]  # fmt: skip
AWARE = Mutant("aware", "broker", (SUBJECT,), (keeps(),))


def put_to(spec: BrokerSpec) -> dict[str, Record]:
    """The record of each scenario with a broker and the built-in client, side by side."""

    async def all_of_them() -> list[Record]:
        drivers = DriverPool(limit=16)
        workshop = Workshop(
            drivers=drivers,
            brokers={"reference": spec},
            known_failures=KnownFailures(),
            certificates=lambda: make_test_certificates(Path("unused")),
            slots=Slots(4, 4),
        )
        cells = [Cell(one, "builtin", "reference", "3.1.1", "tcp") for one in load_named(SCENARIOS).values()]
        try:
            return list(await asyncio.gather(*(play(cell, workshop) for cell in cells)))
        finally:
            await drivers.close()

    return {record.scenario: record for record in asyncio.run(all_of_them())}


@pytest.fixture(scope="module")
def with_aware() -> dict[str, Record]:
    """What comes out with a broker that keeps births."""
    return put_to(WrongBrokerSpec(AWARE))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_server_that_keeps_births_as_they_pass_is_aware(with_aware: dict[str, Record], name: str) -> None:
    assert with_aware[name].verdict == "pass", with_aware[name].reason
    assert all(cite.startswith("tck-id-conformance-mqtt-aware-") for cite in with_aware[name].cites)


def test_nobody_is_asked_to_be_aware_who_does_not_say_that_he_is() -> None:
    told = {(record.verdict, record.reason) for record in put_to(ReferenceSpec()).values()}
    assert {verdict for verdict, _ in told} == {"unsupported"}
    assert all("sparkplug-aware" in reason for _, reason in told)
