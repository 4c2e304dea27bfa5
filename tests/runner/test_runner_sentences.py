"""What a failed step says: in words and in the specification's terms, whatever the harness is written in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from runner_stage import play_at, played, scenario

from interop.mutants.mutant import Mutant, Says
from interop.mutants.wrong_ends import WrongBrokerSpec
from interop.runner.cell import Cell
from interop.runner.matching import shown, shown_pattern
from interop.scenario.values import PacketPattern
from reference_broker.wire.packets import PingResp


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "absent"),
        (True, "true"),
        (7, "7"),
        (b"abc", "'abc'"),
        ((("a", "b"),), "[['a', 'b']]"),
        ({"server_keep_alive": 2, "retain_available": False}, "server_keep_alive: 2, retain_available: false"),
    ],
)
def test_values_are_written_as_in_a_scenario(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_pattern_is_written_as_in_a_scenario() -> None:
    assert shown_pattern(PacketPattern(packet="PUBLISH", dup=True, qos=1)) == "PUBLISH{qos: 1, dup: true}"


def test_flags_are_told_as_numbers(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {}}
        steps:
          - {do: subscribe, as: sub, topic: t}
          - {do: publish, as: sub, topic: t, payload: x}
          - {do: receive, as: sub, topic: t, payload: x, retain: true}
        """
    assert played(scenario(tmp_path, text)).reason == "expected retain 1, but it is 0"


def test_bytes_that_nobody_can_read_are_one_packet_too_many(tmp_path: Path) -> None:
    text = """\
        actors: {client: {}}
        steps:
          - {do: connect, as: client}
          - {do: inject, link: client, to: broker, hex: "c0 00"}
          - {do: wire, link: client, from: broker, exactly: [CONNACK]}
        """
    no_packet = Says(PingResp, lambda _packet, _end: bytes.fromhex("82 02 0001"))
    spec = WrongBrokerSpec(Mutant("says what is no packet", "broker", (), (no_packet,)))
    cell = Cell(scenario(tmp_path, text), "builtin", spec.name, "3.1.1", "tcp")
    record = asyncio.run(play_at(cell, spec))
    (found,) = [each for each in record.findings if each.source == "step"]
    assert found.observed == "there was CONNACK, a malformed SUBSCRIBE"
