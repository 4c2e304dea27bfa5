"""Somebody who does no harm, in a process of its own: round trips at QoS 1 while others attack.

Belongs here: its connection, its times. Does not belong here: attacks, and what its times must be (`playing`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from interop.bench.inbox import BadStream
from interop.bench.peer import Handshake
from interop.lifeline import beside
from interop.runner.busy import cpu_waited_seconds
from reference_broker.net.address import Address
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import PubAck, Publish, Subscription
from reference_broker.wire.types import QoS, Version, is_error

_VERSION: Final = Version.V5
_TOPIC: Final = "bystander"
_PUBLISH: Final = encode(Publish(_TOPIC, bytes(64), QoS.AT_LEAST_ONCE, packet_id=1), _VERSION)
_EVERY_SECONDS: Final = 0.004
_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """From PUBLISH to PUBACK and its own message, in nanoseconds; for `waited_ns` others had the processors."""

    took_ns: int
    waited_ns: int

    @property
    def own_ns(self) -> int:
        """What broker and bystander made of it, whoever else is on the machine."""
        return max(0, self.took_ns - self.waited_ns)


class Bystander:
    """The process, from outside; it looks at one broker after the other."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def begin(self, address: Address, pid: int) -> None:
        """Connect to the broker of a process, and begin with round trips; raises BadStream."""
        self._pipe.send((address, pid))
        self._hear(_START_SECONDS)

    def end(self) -> list[RoundTrip]:
        """Leave, and tell of each round trip; raises BadStream."""
        self._pipe.send(None)
        return self._hear(_END_SECONDS)

    def _hear(self, seconds: float) -> list[RoundTrip]:
        if not self._pipe.poll(seconds):
            raise BadStream(f"the bystander was not answered for {seconds:g} s")
        said: list[RoundTrip] | str = self._pipe.recv()
        if isinstance(said, str):
            raise BadStream(said)
        return said


@contextmanager
def running_bystander() -> Iterator[Bystander]:
    """One that waits to be told where to go."""
    with beside(_stand_by) as (pipe, _):
        yield Bystander(pipe)


def _stand_by(parent: Connection) -> None:
    while True:
        told = parent.recv()
        if told is None:  # it had ended before it was told to
            continue
        address, pid = told
        try:
            parent.send(_round_trips(address, pid, parent))
        except (BadStream, OSError) as problem:
            parent.send(f"the bystander: {problem}")


def _round_trips(address: Address, pid: int, parent: Connection) -> list[RoundTrip]:
    client = Handshake(address, _VERSION)
    with closing(client.carrier):
        client.connect(_TOPIC)
        client.subscribe([Subscription(_TOPIC, QoS.AT_LEAST_ONCE)])
        parent.send([])
        took = []
        while not parent.poll(_EVERY_SECONDS):
            waited = _waited_ns(pid)
            began = time.monotonic_ns()
            ended = _round_trip(client)
            took.append(RoundTrip(ended - began, _waited_ns(pid) - waited))
        parent.recv()
        return took


def _waited_ns(pid: int) -> int:
    """For how long the broker's first thread and this process's were ready and others had the processors."""
    return round(1e9 * sum(cpu_waited_seconds(Path(f"/proc/{each}")) for each in (pid, "self")))


def _round_trip(client: Handshake) -> int:
    """When both had come, whichever came first; a message that is refused, because nothing is taken, does not come."""
    client.carrier.send_all(_PUBLISH)
    waits_for = {PubAck, Publish}
    while waits_for:
        packet = client.next_packet("PUBLISH")
        waits_for -= {type(packet)}
        if isinstance(packet, Publish) and packet.packet_id is not None:
            client.carrier.send_all(encode(PubAck(packet.packet_id), _VERSION))
        elif not isinstance(packet, PubAck):
            raise BadStream(f"the broker sent {packet}")
        elif is_error(packet.reason):
            waits_for.clear()
    return time.monotonic_ns()
