"""What the tests of bounds share: what an attack makes the broker keep, and a bystander that has to be served."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

from broker_harness import Client

from reference_broker.wire.packets import (
    PingReq,
    PingResp,
)

MEBI = 1024 * 1024


def kept_bytes(attack: Callable[[], None]) -> int:
    """What an attack leaves in memory."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        attack()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before


def assert_served(bystander: Client) -> None:
    """The bystander's round trip: a message to itself, and a ping."""
    bystander.take()
    bystander.subscribe("bystander", qos=1)
    bystander.publish("bystander", b"x", 1)
    assert bystander.payloads() == [b"x"]
    bystander.send(PingReq())
    bystander.expect(PingResp)


def levels(count: int) -> str:
    return "/".join("l" * count)
