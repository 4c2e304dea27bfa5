"""The broker and the client core that commit a mutant's faults, and how the harness starts them.

Belongs here: where each kind of fault takes hold of the right broker and the right client.
Does not belong here: the faults themselves (`mutant`), which mutants there are (`broker_...`, `client_...`).

A patch holds while its own side is at work and at no other time: the cores are synchronous, so a function that is
replaced when a core is called, and put back when it returns, is seen by nobody else in the process.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from interop.brokers.reference import ReferenceSpec
from interop.drivers.builtin import BuiltinAdapter
from interop.mutants.broker_sparkplug import SUBJECT as SPARKPLUG
from interop.mutants.mutant import Hears, Mutant, Says, Set, Tells
from interop.mutants.wrong_websocket import wrong_websocket
from interop.scenario.features import EXTRAS
from reference_broker.broker.broker import Broker
from reference_broker.broker.fast.heads import Heads
from reference_broker.broker.keeping.house import House
from reference_broker.broker.link import Buffer, Link
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.client import ClientCore
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import Packet
from reference_broker.wire.types import Version

C = TypeVar("C", bound=type)


def wrong_during(*names: str) -> Callable[[C], C]:
    """These methods of a class are where work begins: the patches of `self.mutant` are in force while they run."""

    def decorate(wrong: C) -> C:
        for name in names:
            setattr(wrong, name, _at_work(wrong, name, vars(wrong).get(name)))
        return wrong

    return decorate


def _at_work(wrong: type, name: str, own: Callable[..., Any] | None) -> Callable[..., Any]:
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        with self.mutant.at_work():
            if own is not None:
                return own(self, *arguments, **named)
            return getattr(super(wrong, self), name)(*arguments, **named)  # looked up now: it may be patched

    return method


def changed(faults: list[Any], value: Any, end: Any) -> list[Any]:
    """What a packet or event becomes under several faults, one after the other."""
    values = [value]
    for fault in faults:
        values = [
            answer
            for each in values
            for answer in (_listed(fault.change(each, end)) if isinstance(each, fault.kind) else [each])
        ]
    return values


def _listed(answer: Any) -> list[Any]:
    if answer is None:
        return []
    return list(answer) if isinstance(answer, tuple) else [answer]


def _encoded(answer: Packet | bytes, version: Version) -> bytes:
    return answer if isinstance(answer, bytes) else encode(answer, version)


def spoken_before_connect(data: bytes) -> Version:
    """The version of a CONNACK that answers what could not be read: in 3.x its Remaining Length is 2."""
    return Version.V311 if data[1] == 2 else Version.V5  # [3.1.1 3.2.1]


def skip_packet(reader: Reader) -> None:
    """Go on behind the packet a reader complains about, or throw away all there is when it has no length."""
    reader.maximum_packet_size = None
    try:
        frame = reader.next_frame()
    except RemoteError:
        frame = None
    if frame is None:
        reader.take_rest()


# --- the broker -------------------------------------------------------------------------------------------------------


@wrong_during("receive_data", "connection_lost", "resume_writing")
class WrongLink(Link):
    """A broker's link with faults."""

    __slots__ = ("memory", "mutant")

    def __init__(self, house: House, heads: Heads | None, now: float, peer: str) -> None:
        self.mutant: Mutant = vars(house)["mutant"]
        self.memory: dict[Any, Any] = {}
        super().__init__(house, heads, now, peer)

    def _receive_packets(self, data: bytes, now: float) -> None:
        reader = self.reader
        reader.feed(data)
        while not self.has_to_wait():
            try:
                packet = reader.next_packet()
            except RemoteError as error:
                if not self.mutant.overlooks(error):
                    raise
                skip_packet(reader)
                continue
            if packet is None:
                return
            self.handle(packet, now)

    def handle(self, packet: Packet, now: float) -> None:
        """Act on a packet as it is misheard."""
        for heard in changed(self.mutant.of(Hears), packet, self):
            super().handle(heard, now)

    def pass_on(self, data: Buffer) -> None:
        """Send packets as they are mistold."""
        faults = self.mutant.of(Says)
        if not faults:
            super().pass_on(data)
            return
        version = self.version or spoken_before_connect(bytes(data))
        reader = Reader(version)
        reader.feed(bytes(data))
        for packet in reader:
            for said in changed(faults, packet, self):
                super().pass_on(_encoded(said, version))


@wrong_during(
    "load", "next_read", "take_rows", "take_changes", "end_turn", "shutdown", "connect", "handle_timer", "take_output"
)
class WrongBroker(Broker):
    """The reference broker with a mutant's faults; it goes without the fast path, which knows no faults."""

    link_type = WrongLink

    def __init__(self, mutant: Mutant, config: BrokerConfig, *, keeps: bool = False) -> None:
        self.mutant = mutant
        settings = {name: value for fault in mutant.of(Set) for name, value in fault.settings.items()}
        super().__init__(dataclasses.replace(config, **settings), keeps=keeps, fast_path=False)
        house = self.house
        vars(house).update(mutant=mutant, memory={})
        for room in (house.exchange, house.retained, house.sessions, house.wills):
            vars(room).update(house=house)  # a fault in one room may need what the right broker keeps in another


class WrongBrokerSpec(ReferenceSpec):
    """Starts brokers with one mutant's faults."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__()
        self.name = mutant.name
        self.offers = tuple(EXTRAS) if SPARKPLUG in mutant.subjects else ()
        self._mutant = mutant
        self.websocket_type = wrong_websocket(mutant)

    def _make_broker(self, config: BrokerConfig, *, keeps: bool) -> Broker:
        return WrongBroker(self._mutant, config, keeps=keeps)


# --- the client -------------------------------------------------------------------------------------------------------


@wrong_during(
    "__init__", "connect", "publish", "subscribe", "unsubscribe", "acknowledge", "authenticate", "disconnect",
    "receive_data", "connection_lost", "handle_timer", "next_deadline",
)  # fmt: skip
class WrongCore(ClientCore):
    """The built-in client's core with a mutant's faults."""

    mutant: Mutant

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.memory: dict[Any, Any] = {}
        super().__init__(*arguments, **named)

    @property
    def version(self) -> Version:
        """The version it speaks."""
        return self.options.version

    def _receive(self, packet: Packet) -> None:
        for heard in changed(self.mutant.of(Hears), packet, self):
            super()._receive(heard)

    def _write(self, packet: Packet, data: bytes) -> None:
        for said in changed(self.mutant.of(Says), packet, self):
            super()._write(packet, data if said is packet else _encoded(said, self.version))

    def _emit(self, event: Any) -> None:
        for told in changed(self.mutant.of(Tells), event, self):
            super()._emit(told)

    def _reject(self, error: RemoteError) -> None:
        if not self.mutant.overlooks(error):
            super()._reject(error)
            return
        skip_packet(self._reader)
        self.receive_data(b"", self._now)  # whatever came behind it


@functools.cache
def wrong_adapter(mutant: Mutant) -> type[BuiltinAdapter]:
    """The adapter of the built-in client, on a core with a mutant's faults."""
    core = type("WrongCoreOfOne", (WrongCore,), {"mutant": mutant})
    return type("WrongAdapter", (BuiltinAdapter,), {"core": core, "websocket_type": wrong_websocket(mutant)})
