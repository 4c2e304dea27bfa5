"""A scene in virtual time: what the device does is written down, and happens while a stage waits."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from interop.hands_off.scene import LINK, Patience, Scene
from interop.tap.link import Link
from interop.tap.trace import Kind, Sender, Trace
from reference_broker.net.address import Address
from reference_broker.wire.packets import ConnAck, Connect, Packet
from reference_broker.wire.types import Version

PATIENCE = Patience(person=20, device=10, longest_keep_alive=60, long_run=30)


class ScriptedScene(Scene):
    """`later(seconds, *packets)` writes down what the device will send; a broker's packets are said to be its own."""

    def __init__(self, patience: Patience = PATIENCE) -> None:
        self.now = 0.0
        self.armed: list[str] = []
        self.asked: list[str] = []
        self.published: list[tuple[str, int]] = []
        self._script: list[tuple[float, Callable[[], None]]] = []
        trace = Trace(lambda: self.now)
        self.wire = SimpleNamespace(
            connections=0, is_open=lambda _: self.is_up, arm=self._arm, cut=self._cut, upstream=None
        )
        self.is_up = False
        self.on_cut: Callable[[], None] = lambda: None
        super().__init__(cast(Link, self.wire), trace, patience, self.asked.append, self._new_broker, self._publish)

    def _arm(self, when: Any, action: Any) -> None:
        self.armed.append(f"{action} at {when} {when.nth}")

    def _cut(self, _how: Any) -> None:
        self.trace.record(LINK, self.wire.connections, Kind.FAULT, Sender.HARNESS, note="cut")
        self.is_up = False
        self.on_cut()

    async def _new_broker(self) -> Address:
        return Address("127.0.0.1", 1)

    async def _publish(self, topic: str, _payload: bytes, qos: int) -> None:
        self.published.append((topic, qos))

    # --- the device ---------------------------------------------------------------------------------------------------

    def later(self, seconds: float, *packets: Packet, of: Sender = Sender.CLIENT) -> None:
        """In so many seconds from now, these are seen."""
        for packet in packets:
            self._script.append((self.now + seconds, lambda packet=packet: self._see(packet, of)))

    def leaves(self, seconds: float) -> None:
        """In so many seconds the device closes its connection."""
        self._script.append((self.now + seconds, self._close))

    def connects(self, seconds: float = 0.0, **fields: Any) -> None:
        """In so many seconds the device connects and is let in."""
        self.later(seconds, Connect(Version.V311, "dev", **{"keep_alive": 10, **fields}))
        self.later(seconds, ConnAck(), of=Sender.BROKER)

    def _see(self, packet: Packet, of: Sender) -> None:
        if isinstance(packet, Connect):
            self.wire.connections += 1
            self.trace.record(LINK, self.wire.connections, Kind.OPEN, Sender.CLIENT)
        self.is_up = self.is_up or isinstance(packet, ConnAck)
        self.trace.record(LINK, self.wire.connections, Kind.PACKET, of, packet=packet, receiver=of.peer)

    def _close(self) -> None:
        self.is_up = False
        self.trace.record(LINK, self.wire.connections, Kind.CLOSE, Sender.CLIENT, note="FIN")

    # --- time ---------------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = self.now + seconds
        while not condition():
            due = min(self._script, key=lambda each: each[0], default=None)
            if due is None or due[0] > deadline:
                self.now = deadline
                return condition()
            self._script.remove(due)
            self.now = max(self.now, due[0])
            due[1]()
        return True

    def begin(self) -> None:
        """The next stage begins here."""
        self.began = len(self.trace)
