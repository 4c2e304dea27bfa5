"""One connection of the load generator: a plain socket that never blocks, an inbox, perhaps an outbox.

Belongs here: connecting, reading and writing as much as the socket takes.
Does not belong here: what the bytes mean (`inbox`, `outbox`), when to send (`worker`), TLS and WebSocket (`carrier`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from interop.bench.carrier import Carrier, open_carrier
from interop.bench.inbox import Arrivals, BadStream, ClientDropped, Counts, Expected, Inbox
from interop.bench.outbox import Outbox
from interop.bench.stream import Form, Topics
from reference_broker.net.address import Address
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import ConnAck, Connect, Packet, SubAck, Subscribe, Subscription
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version, is_error

_READS_AT_ONCE = 8
_SENDS_AT_ONCE = 64
_KEPT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Publishing:
    """What a connection publishes."""

    publisher: int
    form: Form
    topics: Topics
    batch: int
    window: int


@dataclass(frozen=True, slots=True)
class Subscribing:
    """What a connection subscribes to, and what must come of it."""

    topic_filter: str
    qos: QoS
    expected: Expected
    identifier: int | None = None


@dataclass(frozen=True, slots=True)
class PeerPlan:
    """One connection."""

    client_id: str
    version: Version
    publishing: Publishing | None = None
    subscribing: Subscribing | None = None
    is_kept: bool = False
    """Whether its session outlives the connection."""


def connect_packet(address: Address, version: Version, client_id: str, *, is_kept: bool = False) -> Connect:
    """The CONNECT of a client of the load generator, with the login the broker's address has.

    In 5.0 a session is kept by its expiry: Clean Start 0 alone keeps nothing. [5.0 3.1.2.11.2]
    """
    properties = (
        Properties(session_expiry_interval=_KEPT_SECONDS) if is_kept and version is Version.V5 else NO_PROPERTIES
    )
    connect = Connect(version, client_id, clean_start=not is_kept, properties=properties)
    login = address.login
    return connect if login is None else replace(connect, username=login.username, password=login.password)


class Handshake:
    """A connection that still talks packet by packet, waiting for each answer; raises BadStream."""

    def __init__(self, address: Address, version: Version) -> None:
        self.carrier: Carrier = open_carrier(address)
        self._address = address
        self._version = version
        self._reader = Reader(version)

    @property
    def unread_bytes(self) -> int:
        """What came behind the last answer."""
        return len(self._reader)

    def connect(self, client_id: str, *, is_kept: bool = False) -> None:
        """Send CONNECT and wait for a CONNACK that accepts."""
        answer = self.ask(connect_packet(self._address, self._version, client_id, is_kept=is_kept))
        if not isinstance(answer, ConnAck) or answer.reason:
            raise BadStream(f"the broker did not accept {client_id}: {answer}")

    def subscribe(self, subscriptions: Sequence[Subscription], identifier: int | None = None) -> None:
        """Send SUBSCRIBE and wait for a SUBACK that grants all."""
        properties = NO_PROPERTIES if identifier is None else Properties(subscription_identifier=(identifier,))
        answer = self.ask(Subscribe(1, tuple(subscriptions), properties))
        if not isinstance(answer, SubAck) or is_error(max(answer.reasons)):
            raise BadStream(f"the broker did not grant the subscription: {answer}")

    def ask(self, packet: Packet) -> Packet:
        """Send a packet and wait for the next one that comes."""
        self.carrier.send_all(encode(packet, self._version))
        return self.next_packet(packet.type.name)

    def next_packet(self, asked: str) -> Packet:
        """Wait for the next packet, which is the answer to what was `asked`."""
        buffer = bytearray(4096)
        try:
            while (answer := self._reader.next_packet()) is None:
                count = self.carrier.receive_some(memoryview(buffer))
                if not count:
                    raise BadStream(f"the broker closed the connection instead of answering {asked}")
                self._reader.feed(bytes(buffer[:count]))
        except RemoteError as error:
            raise BadStream(f"the answer to {asked} is wrong: {error}") from None
        except TimeoutError:
            raise BadStream(f"no answer to {asked} in time") from None
        return answer


class Peer:
    """A connection in its run."""

    def __init__(self, plan: PeerPlan, address: Address) -> None:
        self.name = plan.client_id
        self._plan, self._address = plan, address
        self.publisher = plan.publishing.publisher if plan.publishing else -1
        self.counts = Counts()
        self.outbox: Outbox | None = None
        self.wants_write = False
        arrivals = None
        if publishing := plan.publishing:
            self.outbox = Outbox(
                publishing.form,
                publishing.topics,
                publishing.publisher,
                batch=publishing.batch,
                window=publishing.window,
            )
        if plan.subscribing:
            arrivals = Arrivals(plan.subscribing.expected, self.counts)
        self._inbox = Inbox(arrivals, self.outbox.acknowledged if self.outbox else None)
        self._unsent: memoryview = memoryview(b"")
        self._replies: list[bytes] = []
        handshake = Handshake(address, plan.version)
        handshake.connect(plan.client_id, is_kept=plan.is_kept)
        if subscribing := plan.subscribing:
            handshake.subscribe([Subscription(subscribing.topic_filter, subscribing.qos)], subscribing.identifier)
        self._carrier = handshake.carrier
        self._carrier.stop_blocking()

    def fileno(self) -> int:
        """For a selector."""
        return self._carrier.fileno()

    def read(self) -> None:
        """Take what is there, answer it; raises BadStream, and ClientDropped at the connection's end."""
        for turn in count():
            if turn >= _READS_AT_ONCE and not self._carrier.holds_back:
                break
            space = self._inbox.space()
            try:
                size = self._carrier.receive_some(space)
            except BlockingIOError:
                break
            except OSError as error:
                raise ClientDropped(f"{self.name}: {error.strerror or error}") from None
            finally:
                room = len(space)
                space.release()
            if not size:
                raise ClientDropped(f"{self.name}: the broker closed the connection")
            if reply := self._inbox.take(size, time.monotonic_ns()):
                self._replies.append(reply)
            if size < room and not self._carrier.holds_back:
                break
        if self._replies:
            self.flush()

    def flush(self) -> bool:
        """Send what is left over, then replies; False when the socket takes no more."""
        while True:
            if not self._unsent:
                if not self._replies:
                    return True
                self._unsent = memoryview(b"".join(self._replies))
                self._replies.clear()
            if not self._send():
                return False

    def publish(self, allowed: int) -> int:
        """Send up to `allowed` messages, in batches; gives how many."""
        assert self.outbox is not None
        before = self.outbox.sent
        for _ in range(_SENDS_AT_ONCE):
            if not self.flush():
                break
            self._unsent = self.outbox.next_batch(allowed - (self.outbox.sent - before))
            if not self._unsent or not self._send():
                break
        return self.outbox.sent - before

    def publish_now(self) -> bool:
        """Send one message with the time in it; False when the window is full or the socket takes no more."""
        assert self.outbox is not None
        if not self.flush():
            return False
        self._unsent = self.outbox.next_timed(time.monotonic_ns())
        return bool(self._unsent) and self._send()

    def close(self) -> None:
        """Leave without a word, and no session: the next run's messages would wait in it, at the broker's cost."""
        self._carrier.close()
        if self._plan.is_kept:
            with contextlib.suppress(BadStream, OSError):  # a broker that is gone has none
                last = Handshake(self._address, self._plan.version)
                last.connect(self.name)
                last.carrier.close()

    def _send(self) -> bool:
        try:
            count = self._carrier.send_some(self._unsent)
        except BlockingIOError:
            self.wants_write = True
            return False
        except OSError as error:
            raise ClientDropped(f"{self.name}: {error.strerror or error}") from None
        self._unsent = self._unsent[count:]
        self.wants_write = bool(self._unsent)
        return not self._unsent
