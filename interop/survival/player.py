"""A client that outlives its broker, and enters what it is promised and what comes in the book.

Belongs here: one connection after another with the same session, what each event means for the book.
Does not belong here: what clients do (`parts`), what has to be true (`invariants`), the client's protocol
(`reference_broker.client`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from interop.survival.book import Arrival, Book, Grant, PresenceBook, Publication, WillBook
from reference_broker.broker import BrokerConfig
from reference_broker.client import (
    Cause,
    ClientCore,
    ClientOptions,
    Closing,
    Connected,
    Disconnected,
    Event,
    Failed,
    Message,
    Published,
    Session,
    State,
    Subscribed,
    Unsubscribed,
)
from reference_broker.wire.packets import Publish, Subscription, Will
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version

HOST = "127.0.0.1"
KEPT_SECONDS = 100_000
_SLOW_SECONDS = 0.02
_ANSWER_SECONDS = 15.0
_BROKER_WAITS_SECONDS = BrokerConfig().connect_timeout_seconds
"""For CONNECT."""
_ENDED_BY_US = frozenset({Cause.REQUESTED, Cause.LOST})


class BrokerGone(Exception):
    """The broker is not there (any more): what a killed one is expected to be."""


class Presence(Enum):
    """Whether the broker has this client's session."""

    YES = auto()
    NO = auto()
    UNCERTAIN = auto()
    """It was asked for a change and has not answered."""

    @property
    def expected(self) -> bool | None:
        """What CONNACK has to say."""
        return None if self is Presence.UNCERTAIN else self is Presence.YES


@dataclass(frozen=True, slots=True)
class Terms:
    """How a client connects; `is_kept` when its session outlives its connections, `is_slow` when it reads late."""

    version: Version
    is_kept: bool = True
    is_slow: bool = False
    receive_maximum: int | None = None

    def options(self, client_id: str, *, clean: bool, will: Will | None) -> ClientOptions:
        """The same as a CONNECT."""
        properties = NO_PROPERTIES
        if self.version is Version.V5:
            expiry = KEPT_SECONDS if self.is_kept else 0
            properties = Properties(session_expiry_interval=expiry, receive_maximum=self.receive_maximum)
        return ClientOptions(client_id, self.version, clean, keep_alive=0, will=will, properties=properties)


class Player(asyncio.Protocol):
    """One client; the coroutines raise BrokerGone where the broker goes away meanwhile."""

    def __init__(self, name: str, terms: Terms, book: Book) -> None:
        self.name = name
        self.terms = terms
        self.book = book
        self.session = Session()
        self.presence = Presence.NO
        self._core: ClientCore | None = None
        self._transport: asyncio.Transport | None = None
        self._lost: asyncio.Event = asyncio.Event()
        self._lost.set()
        self._by_ticket: dict[int, Publication] = {}
        self._requests: dict[int, list[Grant]] = {}
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._connected: asyncio.Future[None] | None = None
        self._will: WillBook | None = None
        self._must: bool | None = None
        self._is_asking_to_end = False
        self._takes_leave = False
        self._outlives = terms.is_kept
        self._expected: bool | None = None
        self._has_dropped = False
        self._sent = 0
        self._connects_since = 0.0

    # --- connecting and leaving --------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether CONNACK came and the connection lasts."""
        return self._core is not None and self._core.state is State.CONNECTED

    @property
    def grants(self) -> list[Grant]:
        """The subscriptions its session has, as far as that is certain."""
        return [grant for grant in self.book.grants if grant.receiver == self.name and grant.unasked is None]

    async def connect(self, port: int, *, clean: bool = False, will: WillBook | None = None, delay: int = 0) -> None:
        """Connect, and wait for CONNACK.

        A client that does not know whether there is a session begins anew: it may not go on with one it has not.
        [5.0 MQTT-3.2.2-4]
        """
        clean = clean or not self._can_go_on
        root = self.book.root
        last_will = None if will is None else _will(will, delay, root)
        options = self.terms.options(root + self.name, clean=clean, will=last_will)
        self._will = will
        self._core = ClientCore(options, self.session)
        self._has_dropped = False
        self._outlives = self.terms.is_kept and (self.terms.version is Version.V5 or not clean)
        self._expected = False if clean else self.presence.expected
        loop = asyncio.get_running_loop()
        self._connected = loop.create_future()
        self._connects_since = loop.time()
        try:
            await loop.create_connection(lambda: self, HOST, port)
        except OSError as error:
            raise BrokerGone(str(error)) from None
        self._tell(f"connects, clean start {clean:d}" + (f", will {will.publication.name}" if will else ""))
        if clean:
            self._ask_to_end()
        elif self.presence is Presence.NO:
            self.presence = Presence.UNCERTAIN
        if will is not None:
            self._must, will.must = will.must, None  # until CONNACK nobody knows whether the broker has it
            self.book.wills.append(will)
        self._core.connect(time.monotonic())
        self._step()
        await self._answered(self._connected)

    @property
    def _can_go_on(self) -> bool:
        return self.terms.is_kept and self.presence is not Presence.UNCERTAIN

    async def disconnect(self, *, is_session_over: bool = False, reason: int = 0) -> None:
        """Leave, and wait until the broker has seen it: then it is certain that it is so."""
        core = self._connection()
        properties = NO_PROPERTIES
        if self.terms.version is Version.V5:
            properties = Properties(session_expiry_interval=0 if is_session_over else None)
        if self._will is not None and not reason:
            self._will.must = None
        ends = is_session_over or not self._outlives
        self._tell(f"disconnects{', session over' * ends}, reason {reason}")
        if ends:
            self._ask_to_end()
        self._is_asking_to_end = ends
        self._takes_leave = True
        core.disconnect(time.monotonic(), reason, properties)
        self._step()
        async with asyncio.timeout(_ANSWER_SECONDS):
            await self._lost.wait()

    def drop(self) -> None:
        """Be gone without a word."""
        if self._transport is not None:
            self._tell("drops its connection")
            self._has_dropped = True
            self._transport.abort()

    async def be_or_not_be(self) -> None:
        """What it was doing was cancelled: a connection that was being made is made, one that is ending ends."""
        if self._transport is not None and self._core is not None and self._core.state is State.CONNECTING:
            self._connected = asyncio.get_running_loop().create_future()
            with contextlib.suppress(BrokerGone):
                await self._answered(self._connected)
        if self._has_dropped or not self.is_connected:
            await self.until_lost()

    async def until_lost(self) -> None:
        """Wait until the connection is gone."""
        if self._transport is not None:
            self._transport.resume_reading()
        await self._lost.wait()

    def _ask_to_end(self) -> None:
        self.presence = Presence.UNCERTAIN
        for grant in self.grants:
            grant.unasked = self.book.now

    def _session_over(self) -> None:
        """It is certain that there is none."""
        self.presence = Presence.NO
        for grant in self.book.grants:
            if grant.receiver == self.name and grant.over is None and grant.unasked is not None:
                grant.over, grant.is_session_over = self.book.now, True

    # --- commands ----------------------------------------------------------------------------------------------------

    def new_publication(self, topic: str, qos: QoS) -> Publication:
        """The next one; it has this client's name and is known to the book."""
        self._sent += 1
        name = f"{self.name}:{self._sent:07d}"
        publication = Publication(name, topic, qos, self.name, self._sent, self.book.now)
        self.book.publications[name] = publication
        return publication

    def publish(self, topics: Sequence[str], qos: QoS, *, retain: bool = False, is_empty: bool = False) -> None:
        """Publish a message to each of these topics, in one write."""
        core, now = self._connection(), time.monotonic()
        for topic in topics:
            publication = self.new_publication(topic, qos)
            publication.began = self._tell(f"sends {publication.name} to {topic} at QoS {qos}")
            self._note_retained(publication, retain, is_empty)
            payload = b"" if is_empty else publication.name.encode()
            ticket = core.publish(Publish(self.book.root + topic, payload, qos, retain), now)
            if qos:
                self._by_ticket[ticket] = publication
        self._step()

    def _note_retained(self, publication: Publication, retain: bool, is_empty: bool) -> None:
        """For those who remember it."""

    async def subscribe(self, *wanted: tuple[str, QoS], share: str = "") -> None:
        """Subscribe, and wait for SUBACK."""
        core = self._connection()
        asked = self._tell(f"subscribes to {', '.join(topic_filter for topic_filter, _ in wanted)}")
        grants = [Grant(self.name, topic_filter, share, qos, asked) for topic_filter, qos in wanted]
        prefix = (f"$share/{share}/" if share else "") + self.book.root
        ticket = core.subscribe([Subscription(prefix + name, qos) for name, qos in wanted], time.monotonic())
        self._requests[ticket] = grants
        self.book.grants += grants
        await self._request(ticket)

    async def unsubscribe(self, grant: Grant) -> None:
        """Unsubscribe, and wait for UNSUBACK."""
        core = self._connection()
        grant.unasked = self._tell(f"unsubscribes from {grant.topic_filter}")
        ticket = core.unsubscribe([self.book.root + grant.topic_filter], time.monotonic())
        self._requests[ticket] = [grant]
        await self._request(ticket)

    def _connection(self) -> ClientCore:
        core = self._core
        if core is None or core.state is not State.CONNECTED or self._has_dropped:
            raise BrokerGone("not connected")
        return core

    async def _request(self, ticket: int) -> None:
        self._answers[ticket] = future = asyncio.get_running_loop().create_future()
        self._step()
        try:
            await self._answered(future)
        finally:
            self._answers.pop(ticket, None)

    async def _answered(self, future: asyncio.Future[None]) -> None:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await future

    # --- the connection ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._takes_leave = False
        self._lost.clear()

    def data_received(self, data: bytes) -> None:
        """The broker says something."""
        assert self._core is not None
        self._core.receive_data(data, time.monotonic())
        self._step()
        if self.terms.is_slow and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._transport.resume_reading)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        assert self._core is not None
        self._transport = None
        self._tell("has lost its connection" + (f": {exc}" if exc else ""))
        is_begun = self._core.state is not State.IDLE  # else it was given up while it was being made
        is_ours = self._has_dropped or self._core.closing is not Closing.NO or self._came_too_late()
        if self.book.is_broker_alive and is_begun and not is_ours:
            self.book.faults.append((self.name, "the broker dropped it, which did nothing wrong"))
        self._core.connection_lost(time.monotonic())
        self._step()
        if self._is_asking_to_end and self.book.is_broker_alive and not self._has_dropped:
            self._session_over()
        elif is_begun and not self._outlives and self.presence is Presence.YES:
            self._ask_to_end()
            self._session_over()
        self._is_asking_to_end = False
        self._requests.clear()
        gone = [*self._answers.values(), *([self._connected] if self._connected else [])]
        for future in gone:
            if not future.done():
                future.set_exception(BrokerGone("connection lost"))
                future.exception()  # whoever waits still gets it
        self._lost.set()

    def _came_too_late(self) -> bool:
        """Whether its CONNECT may not have been there in time: this machine was busy."""
        is_connecting = self._core is not None and self._core.state is State.CONNECTING
        return is_connecting and asyncio.get_running_loop().time() - self._connects_since >= _BROKER_WAITS_SECONDS

    def _step(self) -> None:
        """Do what the core wants; who takes its leave closes when the broker does.

        Closing with messages still unread would send RST, which takes a DISCONNECT the broker has not read with it.
        """
        core = self._core
        assert core is not None
        for event in core.take_events():
            self._take(event)
        data = core.data_to_send()
        if self._transport is not None:
            if data:
                self._transport.write(data)
            if core.closing is not Closing.NO and not self._takes_leave:
                self._transport.close()

    def _take(self, event: Event) -> None:
        match event:
            case Message():
                self._take_message(event)
            case Published() if event.ticket in self._by_ticket:
                publication = self._by_ticket.pop(event.ticket)
                at = self._tell(f"has {publication.name} acknowledged, reason {event.reason:#x}")
                if event.reason < 0x80:
                    publication.acknowledged = at
            case Failed():
                if (lost := self._by_ticket.pop(event.ticket, None)) is not None:
                    self._tell(f"gives up {lost.name}: {event.why}")
            case Subscribed() | Unsubscribed():
                self._take_answer(event)
            case Connected():
                self._take_connected(event)
            case Disconnected():
                if event.cause not in _ENDED_BY_US:
                    self.book.faults.append((self.name, f"{event} ({self._tell(str(event))})"))

    def _take_message(self, message: Message) -> None:
        name = message.payload.decode("utf-8", "replace")
        at = self._tell(f"gets {name} at QoS {message.qos}{', DUP' * message.dup}{', RETAIN' * message.retain}")
        topic = message.topic.removeprefix(self.book.root)
        self.book.arrived(Arrival(at, self.name, name, topic, message.qos, message.dup, message.retain))

    def _take_answer(self, event: Subscribed | Unsubscribed) -> None:
        is_granted = isinstance(event, Subscribed)
        grants = self._requests.pop(event.ticket)
        at = self._tell(f"has {'SUBACK' if is_granted else 'UNSUBACK'} for {grants[0].topic_filter}")
        for grant in grants:
            if is_granted:
                grant.granted = at
            else:
                grant.over = at
        if (future := self._answers.get(event.ticket)) is not None and not future.done():
            future.set_result(None)

    def _take_connected(self, event: Connected) -> None:
        at = self._tell(f"has CONNACK, session present {event.session_present:d}")
        assert self._core is not None
        if self.terms.version is not Version.V31:  # whose CONNACK does not say
            self.book.presences.append(PresenceBook(self.name, at, self._expected, event.session_present))
        if self._core.options.clean_start or (self.terms.version is not Version.V31 and not event.session_present):
            self._session_over()
        self.presence = Presence.YES
        if self._will is not None:
            self._will.must = self._must
        assert self._connected is not None
        if not self._connected.done():
            self._connected.set_result(None)

    def _tell(self, text: str) -> int:
        return self.book.tell(f"{self.name} {text}")


def _will(will: WillBook, delay_seconds: int, root: str) -> Will:
    publication = will.publication
    properties = replace(NO_PROPERTIES, will_delay_interval=delay_seconds) if delay_seconds else NO_PROPERTIES
    return Will(root + publication.topic, publication.name.encode(), publication.qos, properties=properties)
