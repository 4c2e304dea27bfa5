"""The client's side of one network connection: commands, bytes and times go in; bytes, deadlines and events come out.

Belongs here: the life of a connection, which packet is expected when, requests and their answers, authentication.
Does not belong here: sockets and clocks (`net`); messages (`publishing`, `receiving`); what outlives the connection
(`session`). Make a new ClientCore for each connection and hand it the same Session to go on.

Use: `connect`, then send `data_to_send()` and feed what arrives to `receive_data` or `connection_lost`; call
`handle_timer` at `next_deadline()`; look at `take_events()` and `closing` after every call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum, StrEnum, auto
from typing import Any, ClassVar

from reference_broker.client.authenticating import Authentication
from reference_broker.client.events import (
    Cause,
    Connected,
    Disconnected,
    Event,
    Failed,
    Message,
    Subscribed,
    Unsubscribed,
)
from reference_broker.client.limits import ServerLimits
from reference_broker.client.options import ClientOptions
from reference_broker.client.publishing import Publisher
from reference_broker.client.receiving import Receiver
from reference_broker.client.requesting import Requests
from reference_broker.client.session import Session
from reference_broker.session.keep_alive import ClientKeepAlive, KeepAliveAction
from reference_broker.wire.decode import Reader
from reference_broker.wire.errors import LocalError, ProtocolError, RemoteError
from reference_broker.wire.packets import (
    Auth,
    ConnAck,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
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
)
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.reasons import CLIENT_REASONS, reason_name
from reference_broker.wire.sender import Side
from reference_broker.wire.types import PacketType, QoS, ReasonCode, Version


class State(StrEnum):
    """Where a connection stands."""

    IDLE = "not connected yet"
    CONNECTING = "waiting for CONNACK"
    CONNECTED = "connected"
    CLOSED = "disconnected"


class Closing(Enum):
    """What the network's owner has to do besides sending `data_to_send()`."""

    NO = auto()
    FLUSH = auto()
    """Send what is left, then close."""
    ABORT = auto()
    """Close at once: the peer takes nothing any more."""


_LARGEST_OPENING = 1024 * 1024
"""Bytes of a packet up to CONNACK: room for every property once, at its longest, and a few of the user's."""
_UNRESPONSIVE = frozenset({Cause.NO_CONNACK, Cause.NO_PINGRESP})
_MAY_EXPLAIN = frozenset({PacketType.PUBLISH, PacketType.CONNACK, PacketType.DISCONNECT})
"""Where a server may put a Reason String and User Properties, wanted or not. [5.0 MQTT-3.1.2-29]"""
_CLEAN_MEANS_NO_SESSION = {
    Version.V31: "",
    Version.V311: "3.1.1 MQTT-3.2.2-1",
    Version.V5: "5.0 MQTT-3.2.2-2",
}


class ClientCore:
    """One connection of a client; see the module for how to drive it.

    Commands raise LocalError, and send nothing, for what the specification or this server's limits forbid or when not
    connected. Times are seconds of any clock that only goes forward.
    """

    def __init__(self, options: ClientOptions, session: Session | None = None) -> None:
        """`session` is what earlier connections left; None begins without one."""
        self.options = options
        self.session = Session() if session is None else session
        self.state = State.IDLE
        self.closing = Closing.NO
        self.limits = ServerLimits()
        self.watch: Callable[[Side, Packet], None] | None = None
        """Told about every packet, sent or received, before it takes effect; for logs."""
        maximum = options.properties.maximum_packet_size
        self._reader = Reader(
            options.version, maximum_packet_size=min(maximum or _LARGEST_OPENING, _LARGEST_OPENING), sender=Side.SERVER
        )
        self._out: list[bytes] = []
        self._events: list[Event] = []
        self._now = 0.0
        self._last_sent = 0.0
        self._connack_deadline: float | None = None
        self._keep_alive: ClientKeepAlive | None = None
        self._requests = Requests(self.session.packet_ids, options.version)
        self._authentication = Authentication(options.properties.authentication_method)
        self._expiry = options.properties.session_expiry_interval or 0
        self._publisher: Publisher | None = None
        self._receiver = Receiver(self.session, options.version, options.properties, send=self._send)

    # --- what goes out -----------------------------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """The bytes to write now; they are handed out once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def take_events(self) -> list[Event]:
        """The news since the last call, in order; Disconnected is the last there will be."""
        events, self._events = self._events, []
        return events

    def next_deadline(self) -> float | None:
        """When `handle_timer` has to be called; None: no need. Ask again after every call."""
        if self.state is State.CONNECTING:
            return self._connack_deadline
        if self.state is State.CONNECTED and self._keep_alive is not None:
            return self._keep_alive.deadline()
        return None

    # --- commands ----------------------------------------------------------------------------------------------------

    def connect(self, now: float) -> None:
        """Send CONNECT; the network connection was just made.

        With `clean_start` the session's state is dropped on this side too. [5.0 MQTT-3.1.2-4]
        """
        if self.state is not State.IDLE:
            raise LocalError("a ClientCore serves one connection; make a new one [5.0 MQTT-3.1.0-2]")
        options, session = self.options, self.session
        kept_id = "" if options.clean_start else session.client_id
        if session.established and options.client_id and kept_id not in ("", options.client_id):
            raise LocalError(f"the session belongs to client {kept_id!r}, not {options.client_id!r}")
        connect = options.connect_packet(options.client_id or kept_id)
        data = self.limits.encode(connect, options.version)
        if options.clean_start:
            self._fail(session.discard(), "the session was dropped by a clean start")
        session.set_version(options.version)
        session.client_id = connect.client_id
        self.state = State.CONNECTING
        if options.connack_timeout_seconds is not None:
            self._connack_deadline = now + options.connack_timeout_seconds
        self._now = now
        self._write(connect, data)

    def publish(self, publish: Publish, now: float) -> int:
        """Send a message; returns its ticket. Published or Failed tells its fate.

        `packet_id` and `dup` are chosen here. Beyond the server's Receive Maximum a message waits. [5.0 MQTT-3.3.4-7]
        A topic alias in the properties is used as asked for, with or without the topic.
        """
        self._require(now, State.CONNECTED)
        assert self._publisher is not None
        return self._publisher.publish(publish if publish.packet_id is None else replace(publish, packet_id=None))

    def subscribe(
        self, subscriptions: Sequence[Subscription], now: float, properties: Properties = NO_PROPERTIES
    ) -> int:
        """Send SUBSCRIBE; returns its ticket. Subscribed or Failed tells its fate."""
        self._require(now, State.CONNECTED)
        packet_id = self.session.packet_ids.allocate()
        return self._request(Subscribe(packet_id, tuple(subscriptions), properties))

    def unsubscribe(self, topic_filters: Sequence[str], now: float, properties: Properties = NO_PROPERTIES) -> int:
        """Send UNSUBSCRIBE; returns its ticket. Unsubscribed or Failed tells its fate."""
        self._require(now, State.CONNECTED)
        packet_id = self.session.packet_ids.allocate()
        return self._request(Unsubscribe(packet_id, tuple(topic_filters), properties))

    def acknowledge(
        self, message: Message, now: float, reason: int = 0, properties: Properties = NO_PROPERTIES
    ) -> bool:
        """Acknowledge a QoS 1 or QoS 2 message (PUBACK, PUBREC) where that is manual; False: it needs none (any more).

        It leaves when all earlier messages of its QoS are acknowledged. [5.0 MQTT-4.6.0-2, -3]
        """
        if message.qos == QoS.AT_MOST_ONCE:
            return False
        self._require(now, State.CONNECTED)
        answer = self._receiver.answer_to(message, reason, properties)
        self.limits.encode(answer, self.options.version)
        return self._receiver.acknowledge(message, answer)

    def authenticate(self, data: bytes | None, now: float, properties: Properties = NO_PROPERTIES) -> None:
        """Answer an AuthChallenge, or begin a re-authentication when there is none. [5.0 4.12, 4.12.1]"""
        self._require(now, State.CONNECTING, State.CONNECTED)
        self._send(self._authentication.answer(data, properties))
        self._authentication.answered()

    def disconnect(self, now: float, reason: int = 0, properties: Properties = NO_PROPERTIES) -> None:
        """Send DISCONNECT and end the connection; the session stays as far as its expiry says. [5.0 3.14]

        Allowed before CONNACK too, for a client that thinks better of it. [5.0 MQTT-3.1.2-30]
        """
        self._require(now, State.CONNECTING, State.CONNECTED)
        expiry = properties.session_expiry_interval
        if expiry and not self._expiry_asked:
            raise LocalError("Session Expiry Interval was 0 in CONNECT and cannot be set at the end [5.0 3.14.2.2.2]")
        self._send(Disconnect(reason, properties))
        if expiry is not None:
            self._expiry = expiry
        self._finish(Disconnected(Cause.REQUESTED, reason, properties))

    # --- what comes in -----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes from the server; never raises for what they are."""
        if self.state not in (State.CONNECTING, State.CONNECTED):
            return
        self._now = now
        self._reader.feed(data)
        try:
            while (packet := self._reader.next_packet()) is not None:
                self._receive(packet)
                if self.closing is not Closing.NO:
                    return  # nothing counts behind the packet that ended the connection [5.0 MQTT-3.14.4-1]
        except RemoteError as error:
            self._reject(error)
        except LocalError as error:  # this server's Maximum Packet Size is too small for an answer that is due
            self._close_with(ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR, Cause.BAD_PACKET, str(error))

    def connection_lost(self, now: float, explanation: str = "") -> None:
        """The network connection ended, whoever ended it."""
        self._now = now
        if self.state is not State.CLOSED:
            self._finish(Disconnected(Cause.LOST, explanation=explanation))

    def overwhelmed(self, now: float) -> None:
        """End the connection, because the application leaves more untaken than it can keep. [5.0 4.13]"""
        self._require(now, State.CONNECTED)
        self._close_with(ReasonCode.QUOTA_EXCEEDED, Cause.OVERWHELMED, "")

    def excuse_silence(self, now: float) -> None:
        """The server was not read until now: that nothing came says nothing of it."""
        if self._keep_alive is not None:
            self._keep_alive.excuse(now)

    def handle_timer(self, now: float) -> None:
        """Do what is due; nothing is before `next_deadline()`."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return
        self._now = now
        if self.state is State.CONNECTING:
            self._finish(Disconnected(Cause.NO_CONNACK))
            return
        assert self._keep_alive is not None
        action = self._keep_alive.action(now)
        if action is KeepAliveAction.SEND_PINGREQ:
            self._send(PingReq())
            self._keep_alive.ping_sent(now)
        elif action is KeepAliveAction.GIVE_UP:
            self._finish(Disconnected(Cause.NO_PINGRESP))

    def _receive(self, packet: Packet) -> None:
        if self.watch is not None:
            self.watch(Side.SERVER, packet)
        if self.options.properties.request_problem_information == 0:
            _check_problem_information(packet)
        handler = self._HANDLERS[self.state].get(packet.type)
        if handler is None:
            raise ProtocolError(f"{packet.type.name} from the server while {self.state}", _out_of_turn(packet))
        if self._keep_alive is not None:
            self._keep_alive.packet_received(self._now)
        handler(self, packet)

    def _receive_connack(self, connack: ConnAck) -> None:
        if connack.reason:
            self._finish(
                Disconnected(
                    Cause.REFUSED,
                    connack.reason,
                    connack.properties,
                    _explain(connack, self.options.version),
                )
            )
            return
        self._authentication.accept(connack)
        if not self._agree_on_session(connack.session_present):
            return
        session, said = self.session, connack.properties
        session.client_id = said.assigned_client_identifier or session.client_id
        if said.session_expiry_interval is not None:
            self._expiry = said.session_expiry_interval
        self.limits = ServerLimits.announced(connack, self.options.keep_alive)
        self._keep_alive = ClientKeepAlive(
            self.limits.keep_alive, self._last_sent, answer_timeout_seconds=self.options.ping_timeout_seconds
        )
        self._keep_alive.packet_received(self._now)
        self.state = State.CONNECTED
        self._reader.maximum_packet_size = self.options.properties.maximum_packet_size
        self._emit(Connected(connack.session_present, session.client_id, self.limits, said))
        self._publisher = Publisher(
            session,
            self.options.version,
            self.limits,
            automatic_topic_aliases=self.options.automatic_topic_aliases,
            send=self._send,
            emit=self._emit,
        )
        self._publisher.resume()

    def _agree_on_session(self, session_present: bool) -> bool:
        """Bring our session in line with the server's; False: the connection was closed over it. [5.0 3.2.2.1.1]"""
        session, version = self.session, self.options.version
        if session_present and self.options.clean_start:
            raise ProtocolError("session present after a clean start", _CLEAN_MEANS_NO_SESSION[version])
        if session_present and not session.established and version >= Version.V5:
            # [5.0 MQTT-3.2.2-4]; 3.1.1 leaves the choice to the client, and what the server kept is welcome then.
            self._close_with(ReasonCode.PROTOCOL_ERROR, Cause.UNEXPECTED_SESSION, "")
            return False
        if not session_present and version >= Version.V5:
            self._fail(session.discard(), "the server has no session for this client")  # [5.0 MQTT-3.2.2-5]
        elif not session_present and version == Version.V311:
            # 3.1.1 has the client re-send whatever the server kept [MQTT-4.4.0-1], but what the server sends is new.
            session.forget_received()
        session.established = True
        return True

    def _receive_publish(self, publish: Publish) -> None:
        message = self._receiver.receive(publish)
        if message is None:
            return
        self._emit(message)
        if message.qos and not self.options.manual_acknowledgement:
            self._receiver.acknowledge(message, self._receiver.answer_to(message))

    def _receive_acknowledgement(self, packet: PubAck | PubRec | PubComp) -> None:
        assert self._publisher is not None
        self._publisher.acknowledge(packet)

    def _receive_pubrel(self, pubrel: PubRel) -> None:
        self._receiver.release(pubrel)

    def _receive_suback(self, suback: SubAck) -> None:
        ticket = self._requests.answer(suback)
        self._emit(Subscribed(ticket, suback.packet_id, suback.reasons, suback.properties))

    def _receive_unsuback(self, unsuback: UnsubAck) -> None:
        ticket = self._requests.answer(unsuback)
        self._emit(Unsubscribed(ticket, unsuback.packet_id, unsuback.reasons, unsuback.properties))

    def _receive_pingresp(self, _: PingResp) -> None:
        assert self._keep_alive is not None
        self._keep_alive.ping_answered()

    def _receive_disconnect(self, disconnect: Disconnect) -> None:
        explanation = _explain(disconnect, self.options.version)
        self._finish(Disconnected(Cause.BY_SERVER, disconnect.reason, disconnect.properties, explanation))

    def _receive_auth(self, auth: Auth) -> None:
        self._emit(self._authentication.receive(auth))

    _HANDLERS: ClassVar[dict[State, dict[PacketType, Callable[[ClientCore, Any], None]]]] = {
        State.CONNECTING: {
            PacketType.CONNACK: _receive_connack,
            PacketType.AUTH: _receive_auth,
        },
        State.CONNECTED: {
            PacketType.PUBLISH: _receive_publish,
            PacketType.PUBACK: _receive_acknowledgement,
            PacketType.PUBREC: _receive_acknowledgement,
            PacketType.PUBREL: _receive_pubrel,
            PacketType.PUBCOMP: _receive_acknowledgement,
            PacketType.SUBACK: _receive_suback,
            PacketType.UNSUBACK: _receive_unsuback,
            PacketType.PINGRESP: _receive_pingresp,
            PacketType.DISCONNECT: _receive_disconnect,
            PacketType.AUTH: _receive_auth,
        },
    }
    """Which packets a server may send in which state. [3.1.1 MQTT-3.2.0-1, 5.0 MQTT-3.2.0-1, -2]

    The key fixes the packet's class, which the type of a dict cannot say; hence Any.
    """

    # --- inside ------------------------------------------------------------------------------------------------------

    @property
    def _expiry_asked(self) -> int:
        return self.options.properties.session_expiry_interval or 0

    def _require(self, now: float, *states: State) -> None:
        if self.state not in states:
            raise LocalError(f"cannot do this while {self.state}")
        self._now = now

    def _request(self, packet: Subscribe | Unsubscribe) -> int:
        try:
            if isinstance(packet, Subscribe):
                self.limits.check_subscribe(packet)
            data = self.limits.encode(packet, self.options.version)
        except LocalError:
            self.session.packet_ids.release(packet.packet_id)
            raise
        ticket = self.session.new_ticket()
        self._requests.add(ticket, packet)
        self._write(packet, data)
        return ticket

    def _send(self, packet: Packet) -> None:
        self._write(packet, self.limits.encode(packet, self.options.version))

    def _write(self, packet: Packet, data: bytes) -> None:
        if self.watch is not None:
            self.watch(Side.CLIENT, packet)
        self._out.append(data)
        self._last_sent = self._now
        if self._keep_alive is not None:
            self._keep_alive.packet_sent(self._now)

    def _emit(self, event: Event) -> None:
        self._events.append(event)

    def _fail(self, tickets: list[int], why: str) -> None:
        for ticket in tickets:
            self._emit(Failed(ticket, why))

    def _reject(self, error: RemoteError) -> None:
        """Close over a packet the server should not have sent. [3.1.1 MQTT-4.8.0-1, 5.0 4.13.1]"""
        reason = error.reason
        if reason not in CLIENT_REASONS[PacketType.DISCONNECT]:
            reason = ReasonCode.PROTOCOL_ERROR
        explanation = f"{error} [{error.statement}]" if error.statement else str(error)
        self._close_with(reason, Cause.BAD_PACKET, explanation)

    def _close_with(self, reason: ReasonCode, cause: Cause, explanation: str) -> None:
        """End the connection from our side; 5.0 says why, 3.x has no way to."""
        if self.options.version >= Version.V5:
            with contextlib.suppress(LocalError):  # a server may take no packet as large as this [5.0 MQTT-3.2.2-15]
                self._send(Disconnect(reason))
        self._finish(Disconnected(cause, reason, explanation=explanation))

    def _finish(self, event: Disconnected) -> None:
        """Leave the connection and, where it does not outlive it, the session. [3.1.1 3.1.2.4, 5.0 4.1]"""
        was_connected = self.state is State.CONNECTED
        self.state = State.CLOSED
        self.closing = Closing.ABORT if event.cause in _UNRESPONSIVE else Closing.FLUSH
        self._fail(self._requests.drop_all(), "the connection ended before the server answered")
        if was_connected and not self._session_outlives:
            lost = self.session.discard() + self.session.drop_waiting()
            self._fail(lost, "the session ended before the message was acknowledged")
        self._emit(event)

    @property
    def _session_outlives(self) -> bool:
        if self.options.version >= Version.V5:
            return self._expiry > 0
        return not self.options.clean_start


def _out_of_turn(packet: Packet) -> str:
    return "5.0 MQTT-3.2.0-2" if packet.type is PacketType.CONNACK else "5.0 MQTT-3.2.0-1"


def _check_problem_information(packet: Packet) -> None:
    """Raise ProtocolError for what we asked not to be told. [5.0 3.1.2.11.7, MQTT5-U-14]"""
    properties = getattr(packet, "properties", NO_PROPERTIES)
    if packet.type not in _MAY_EXPLAIN and (properties.reason_string is not None or properties.user_property):
        raise ProtocolError(f"{packet.type.name} with problem information nobody asked for", "5.0 MQTT-3.1.2-29")


def _explain(packet: ConnAck | Disconnect, version: Version) -> str:
    """The server's reason in words, and its Reason String where it gave one."""
    name = reason_name(packet.type, packet.reason, version)
    said = packet.properties.reason_string
    return f"{name} ({said})" if said and said.casefold() != name.casefold() else name
