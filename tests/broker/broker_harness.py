"""A broker in virtual time with clients made of packets: no sockets, no clock, no client library."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from reference_broker.broker import Broker, BrokerConfig, Link
from reference_broker.broker.link import Buffer
from reference_broker.store.memory import MemoryStore
from reference_broker.store.records import KeyRange
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from reference_broker.wire.properties import Properties
from reference_broker.wire.sender import Side
from reference_broker.wire.types import QoS, Version

P = TypeVar("P", bound=Packet)
V31, V311, V5 = Version.V31, Version.V311, Version.V5
ALL_VERSIONS = (V31, V311, V5)
FOREVER = 0xFFFFFFFF


class World:
    """One broker, its clients and the time; with a `store`, all that has to survive the broker."""

    def __init__(
        self,
        broker: Broker | None = None,
        store: MemoryStore | None = None,
        unix_time: float = 1_000_000.0,
        **settings: Any,
    ) -> None:
        self.broker = broker or Broker(BrokerConfig(**settings), seed=1, keeps=store is not None)
        self.store = store
        self.now = 1000.0
        self._unix_time_at_zero = unix_time - self.now
        self.log: list[str] = []
        self.broker.log = self.log.append
        self.clients: dict[Link, Client] = {}
        if store is not None:
            self.broker.load(self.now, unix_time)
            self.take_in()

    @property
    def unix_time(self) -> float:
        """By the clock on the wall."""
        return self._unix_time_at_zero + self.now

    def take_in(self) -> None:
        """Let the broker have all that is stored."""
        while self.take_slice(3):
            pass

    def take_slice(self, most: int) -> bool:
        """Let the broker have so many of the rows it wants next; whether there were any to be had."""
        assert self.store is not None
        wanted = self.broker.next_read()
        if wanted is None:
            return False
        rows = self.store.read(*wanted, most)
        covered = KeyRange(wanted.begin, rows[-1][0] + b"\0") if len(rows) == most else wanted
        self.broker.take_rows(covered, rows, self.now)
        self.collect()
        return True

    def restarted(self, down_seconds: float = 0.0, **settings: Any) -> World:
        """Another broker after a crash of this one: nobody said goodbye."""
        assert self.store is not None
        return World(store=MemoryStore(self.store.rows), unix_time=self.unix_time + down_seconds, **settings)

    def client(self, client_id: str = "", version: Version = V5, **connect: Any) -> Client:
        """A client that has connected; `connect` are fields of CONNECT or properties."""
        client = Client(self, client_id, version)
        client.connect(**connect)
        return client

    def raw(self, version: Version = V5) -> Client:
        """A client whose connection is open and has sent nothing."""
        client = Client(self, "raw", version)
        client.open()
        return client

    def collect(self) -> None:
        """Give the clients what the broker has written."""
        while output := self._kept_output():
            for link, pieces, close in output:
                client = self.clients.get(link)
                if client is not None:
                    client.take_bytes(b"".join(pieces), close)

    def _kept_output(self) -> list[tuple[Link, list[Buffer], bool]]:
        """What the broker has written, once what it depends on is kept."""
        changes = self.broker.take_changes()
        if changes is not None and self.store is not None:
            self.store.commit(changes.changes)
        return self.broker.take_output()

    def advance(self, seconds: float) -> None:
        """Let time pass, stopping at every deadline on the way."""
        end = self.now + seconds
        while (deadline := self.broker.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.broker.handle_timer(self.now)
            self.collect()
        self.now = end


class Client:
    """One end of a connection: sends what it is told, keeps what it gets, answers nothing by itself."""

    def __init__(self, world: World, client_id: str, version: Version) -> None:
        self.world = world
        self.client_id = client_id
        self.version = version
        self.peer = f"peer-{client_id}"
        """Where it comes from."""
        self.inbox: list[Packet] = []
        self.wire = b""
        self.closed = True
        self.automatic = False
        self._ids = itertools.count(1)

    def open(self) -> None:
        """A new network connection."""
        self.link = self.world.broker.connect(self.world.now, self.peer)
        self.world.clients[self.link] = self
        self.reader = Reader(self.version, sender=Side.SERVER)
        self.closed = False
        self.wire = b""

    def connect(self, *, expect: int = 0, **fields: Any) -> ConnAck:
        """Open a connection and send CONNECT; the CONNACK has the expected reason."""
        self.open()
        self.reader.maximum_packet_size = fields.get("maximum_packet_size")
        self.send(self.connect_packet(**fields))
        connack = self.inbox.pop(0)
        assert isinstance(connack, ConnAck), connack
        assert connack.reason == expect, connack
        self.connack = connack
        return connack

    def connect_packet(self, **fields: Any) -> Connect:
        """CONNECT with these fields; others are properties."""
        properties = {key: fields.pop(key) for key in list(fields) if key not in Connect.__dataclass_fields__}
        if properties:
            fields["properties"] = Properties(**properties)
        return Connect(**{"version": self.version, "client_id": self.client_id, **fields})

    def send(self, *packets: Packet) -> None:
        """Send packets in one read."""
        self.send_bytes(b"".join(encode(packet, self.version) for packet in packets))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes in one read."""
        self.link.receive_data(data, self.world.now)
        self.world.collect()

    def take_bytes(self, data: bytes, close: bool) -> None:
        """The broker wrote."""
        assert not self.closed, "the broker wrote after it closed"
        self.wire += data
        self.reader.feed(data)
        for packet in self.reader:
            self.inbox.append(packet)
            if self.automatic:
                self.acknowledge(packet)
        self.closed = close

    def acknowledge(self, packet: Packet) -> None:
        """Answer as a client does."""
        answer: Packet | None = None
        if isinstance(packet, Publish) and packet.packet_id is not None:
            answer = PubAck(packet.packet_id) if packet.qos == QoS.AT_LEAST_ONCE else PubRec(packet.packet_id)
        elif isinstance(packet, PubRel):
            answer = PubComp(packet.packet_id)
        if answer is not None:
            self.link.receive_data(encode(answer, self.version), self.world.now)

    def drop(self) -> None:
        """The network connection breaks."""
        self.closed = True
        self.world.clients.pop(self.link)
        self.link.connection_lost(self.world.now)
        self.world.collect()

    def disconnect(self, reason: int = 0, **properties: Any) -> None:
        """DISCONNECT, and the end of the connection."""
        self.send(Disconnect(reason, Properties(**properties)))
        assert self.closed
        self.drop()

    def take(self) -> list[Packet]:
        """What arrived since last asked."""
        taken, self.inbox = self.inbox, []
        return taken

    def expect(self, kind: type[P]) -> P:
        """The one packet that arrived, of this kind."""
        packets = self.take()
        assert len(packets) == 1, packets
        assert isinstance(packets[0], kind), packets
        return packets[0]

    def messages(self) -> list[Publish]:
        """The PUBLISH packets that arrived; nothing else did."""
        packets = self.take()
        assert all(isinstance(packet, Publish) for packet in packets), packets
        return packets  # type: ignore[return-value]

    def payloads(self) -> list[bytes]:
        """The payloads of the PUBLISH packets that arrived; nothing else did."""
        return [message.payload for message in self.messages()]

    def subscribe(
        self, *filters: str | Subscription, qos: int = 0, identifier: int | None = None, **options: Any
    ) -> SubAck:
        """SUBSCRIBE, and the SUBACK; retained messages stay in the inbox."""
        subscriptions = tuple(
            f if isinstance(f, Subscription) else Subscription(f, QoS(qos), **options) for f in filters
        )
        properties = Properties(subscription_identifier=(identifier,) if identifier else ())
        self.send(Subscribe(self.next_id(), subscriptions, properties))
        return self._pick(SubAck)

    def unsubscribe(self, *filters: str) -> UnsubAck:
        """UNSUBSCRIBE, and the UNSUBACK."""
        self.send(Unsubscribe(self.next_id(), filters))
        return self._pick(UnsubAck)

    def publish(
        self, topic: str, payload: bytes = b"", qos: int = 0, *, retain: bool = False, **properties: Any
    ) -> Packet | None:
        """PUBLISH, completed at QoS 1 and 2; returns PUBACK or PUBREC."""
        packet_id = self.next_id() if qos else None
        self.send(Publish(topic, payload, QoS(qos), retain, False, packet_id, Properties(**properties)))
        if not qos:
            return None
        if qos == 1:
            return self._pick(PubAck)
        pubrec = self._pick(PubRec)
        if pubrec.reason < 0x80:
            self.send(PubRel(pubrec.packet_id))
            self._pick(PubComp)
        return pubrec

    def next_id(self) -> int:
        """A packet identifier not used before."""
        return next(self._ids)

    def _pick(self, kind: type[P]) -> P:
        for position, packet in enumerate(self.inbox):
            if isinstance(packet, kind):
                del self.inbox[position]
                return packet
        raise AssertionError(f"no {kind.__name__} in {self.inbox}")


def in_flight(world: World, client_id: str) -> int:
    """How many QoS 1 and 2 messages were sent to a client and are not settled, in whatever form they are kept."""
    session = world.broker.house.sessions.get(client_id)
    assert session is not None
    return len(session.outbound) + (0 if session.flight is None else len(session.flight))


def kept(version: Version) -> dict[str, Any]:
    """CONNECT fields for a session that is kept."""
    return {"clean_start": False, **({"session_expiry_interval": FOREVER} if version is V5 else {})}


def will(
    topic: str = "gone", payload: bytes = b"will", qos: int = 0, *, retain: bool = False, **properties: Any
) -> Will:
    """A will."""
    return Will(topic, payload, QoS(qos), retain, Properties(**properties))


__all__ = ["ALL_VERSIONS", "FOREVER", "V5", "V31", "V311", "Callable", "Client", "World", "kept", "replace", "will"]
