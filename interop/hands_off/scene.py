"""What a stage of a hands-off test works with: the device's link, the broker behind it, and the person beside it.

Belongs here: waiting for what the device does, asking the person, and what ends a stage.
Does not belong here: the single stage (`stages`), telling the person (`page`), records (`play`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from interop.tap.link import How, Link
from interop.tap.trace import Kind, Sender, Trace, TraceEntry
from reference_broker.net.address import Address
from reference_broker.wire.packets import ConnAck, Connect, Packet, Subscribe, Subscription

LINK = "device"
Kind_ = TypeVar("Kind_", bound=Packet)


class NotReached(Exception):
    """The device never came to what the stage is about; the message says what it did not do."""


class FellShort(Exception):
    """The device did something wrong; the message says what was expected and what happened."""


class LeftOpen(Exception):
    """The specification leaves it open; the message says what the device did."""


@dataclass(frozen=True)
class Patience:
    """How long things may take, in seconds.

    `person`: until the person beside the device has done what was asked. `device`: until the device does by itself what
    it does, a reconnect for one. `longest_keep_alive`: a longer one is not waited for. `long_run`: of the long run.
    """

    person: float = 120.0
    device: float = 90.0
    longest_keep_alive: float = 120.0
    long_run: float = 600.0


class Scene:
    """One device under test; entries of the trace before `began` are of earlier stages."""

    def __init__(
        self,
        link: Link,
        trace: Trace,
        patience: Patience,
        ask: Callable[[str], None],
        new_broker: Callable[[], Awaitable[Address]],
        publish: Callable[[str, bytes, int], Awaitable[None]],
    ) -> None:
        """`ask` tells the person what to do; `new_broker` gives one that knows nothing, `publish` is a client of it."""
        self.link = link
        self.trace = trace
        self.patience = patience
        self.ask = ask
        self.new_broker = new_broker
        self.publish = publish
        self.began = 0

    # --- what the device did ------------------------------------------------------------------------------------------

    def packets(self, kind: type[Kind_], side: Sender = Sender.CLIENT, since: int | None = None) -> list[TraceEntry]:
        """The packets of a kind that a side sent, since the stage began or an entry."""
        first = self.began if since is None else since
        sent = (entry for entry in self.trace.of(LINK, first) if entry.sender is side and entry.sent)
        return [entry for entry in sent if isinstance(entry.packet, kind)]

    async def wait_for(
        self, kind: type[Kind_], seconds: float, what: str, side: Sender = Sender.CLIENT, since: int | None = None
    ) -> TraceEntry:
        """The first such packet, which may be there already; raises NotReached with `what` after so long."""
        found: list[TraceEntry] = []

        def there() -> bool:
            found[:] = self.packets(kind, side, since)[:1]
            return bool(found)

        if not await self.until(there, seconds):
            raise NotReached(f"the device did not {what} within {seconds:g} s")
        return found[0]

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds, looking whenever anything happens; False after so long."""
        deadline = self.trace.clock() + seconds
        while not condition():
            if not await self.trace.changed(len(self.trace), deadline):
                return condition()
        return True

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass."""
        await self.until(lambda: False, seconds)

    # --- what is so now -----------------------------------------------------------------------------------------------

    @property
    def connect(self) -> Connect:
        """The CONNECT of the connection there is; raises NotReached where there is none."""
        for entry in reversed(self.trace.entries):
            if isinstance(entry.packet, Connect) and entry.connection == self.link.connections:
                return entry.packet
        raise NotReached("the device is not connected")

    def is_connected(self) -> bool:
        """Whether the device was let in on a connection that both sides still have."""
        let_in = [
            entry
            for entry in self.trace.of(LINK, kind=Kind.PACKET)
            if isinstance(entry.packet, ConnAck) and entry.packet.reason == 0 and entry.delivered
        ]
        return bool(let_in) and let_in[-1].connection == self.link.connections and self.link.is_open(Sender.CLIENT)

    async def be_connected(self) -> None:
        """Wait until the device is connected, by itself; raises NotReached."""
        if not await self.until(self.is_connected, self.patience.device):
            raise NotReached(f"the device was not connected again within {self.patience.device:g} s")

    @property
    def keep_alive(self) -> int:
        """In seconds, of the connection there is; raises NotReached where it is not worth waiting for."""
        seconds = self.connect.keep_alive
        if seconds == 0:
            raise NotReached("the device has switched keep alive off (0)")
        if seconds > self.patience.longest_keep_alive:
            longest = self.patience.longest_keep_alive
            raise NotReached(f"the device's keep alive is {seconds} s; no more than {longest:g} s are waited for")
        return seconds

    def subscriptions(self) -> Iterator[Subscription]:
        """All the device ever asked for, newest first."""
        for entry in reversed(self.packets(Subscribe, since=0)):
            assert isinstance(entry.packet, Subscribe)
            yield from entry.packet.subscriptions

    def lose_the_connection(self) -> int:
        """Cut the device off; gives where the trace goes on."""
        self.link.cut(How.RST)
        return len(self.trace)
