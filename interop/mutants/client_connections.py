"""Clients that are wrong about the connection and the session: CONNECT, keep alive, limits, errors, DISCONNECT.

Belongs here: faults of a client outside the exchange of messages.
Does not belong here: messages and their acknowledgements (`client_messages`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.mutant import Hears, Patch, Says, Tells, around, table
from interop.mutants.words import having, having_properties, nothing, twice, when
from reference_broker.client import core
from reference_broker.client.core import ClientCore, State
from reference_broker.client.events import Cause, Disconnected
from reference_broker.client.limits import ServerLimits
from reference_broker.session import keep_alive
from reference_broker.session.keep_alive import ClientKeepAlive
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import Auth, ConnAck, Connect, Disconnect, PingReq, PingResp, Subscribe
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import QoS, ReasonCode, Version


def _other_limits(**values: Any) -> Any:
    def announced(real: Any, connack: Any, asked: int) -> ServerLimits:
        limits: ServerLimits = real(connack, asked)
        return replace(limits, **values)

    real = ServerLimits.announced
    return Patch(ServerLimits, "announced", staticmethod(lambda connack, asked: announced(real, connack, asked)))


def _own_keep_alive(connack: ConnAck, end: Any) -> Any:
    return having_properties(server_keep_alive=None)(connack, end)


def _goes_on(_real: Any, self: Any, error: RemoteError) -> None:
    self._reader.take_rest()


def _keeps_talking(packet: Disconnect, _end: Any) -> Any:
    return packet, PingReq()


def _ping_before_connack(packet: Connect, _end: Any) -> Any:
    return (packet, PingReq()) if packet.properties.authentication_method else packet


def _another_version(packet: Connect, _end: Any) -> bytes:
    other = Version.V311 if packet.version is not Version.V311 else Version.V31
    return encode(replace(packet, version=other, properties=NO_PROPERTIES, will=None), other)


def _kept_without_id(packet: Connect, end: Any) -> bytes:
    data = bytearray(encode(replace(packet, client_id="", clean_start=True), end.version))
    data[9 if end.version is not Version.V31 else 11] &= ~0x02  # Clean Session
    return bytes(data)


def _stays(real: Any, self: Any, event: Disconnected) -> None:
    if event.cause is Cause.REQUESTED:
        self._emit(event)
    else:
        real(self, event)


def _takes_any_session(real: Any, self: Any, session_present: bool) -> bool:
    self.session.established = True
    return True


def _never_resumes(real: Any, self: Any, now: float) -> None:
    self.session.outbound.drop_all()
    real(self, now)


CONNECTING = table("client", "connect session auth will disconnect malformed properties keep_alive qos1 "
                   "qos2 ordering", {
    "sends CONNECT twice": Says(Connect, twice),
    "speaks another version": Says(Connect, _another_version),
    "wants to keep a session without a client id": Says(Connect, _kept_without_id),
    "sends PINGREQ while it authenticates": Says(Connect, _ping_before_connack),
    "goes on with AUTH that begins anew, too": Says(Auth, lambda p, _: replace(p, reason=ReasonCode.RE_AUTHENTICATE)),
    "does not close after DISCONNECT": around(ClientCore, "_finish", _stays),
    "makes its session last in DISCONNECT": Says(Disconnect, having_properties(session_expiry_interval=60)),
    "hears PINGRESP before CONNACK without a word": Hears(
        PingResp, lambda p, end: p if end.state is State.CONNECTED else None),
    "sends PINGREQ before CONNECT": Says(Connect, lambda p, _: (PingReq(), p)),
    "always wants a clean session": Says(Connect, having(clean_start=True)),
    "never wants a clean session": Says(Connect, having(clean_start=False)),
    "sends no will": Says(Connect, having(will=None)),
    "sends its will at QoS 0": Says(Connect, lambda p, _: replace(
        p, will=replace(p.will, qos=QoS.AT_MOST_ONCE)) if p.will else p),
    "sends its will without RETAIN": Says(Connect, lambda p, _: replace(p, will=replace(p.will, retain=False))
        if p.will else p),
    "sends its will without properties": Says(Connect, lambda p, _: replace(
        p, will=replace(p.will, properties=NO_PROPERTIES)) if p.will else p),
    "sends no password": Says(Connect, having(password=None)),
    "sends no user name": Says(Connect, having(username=None, password=None)),
    "sends another client id": Says(Connect, lambda p, _: replace(p, client_id="x" + p.client_id[1:])),
    "sends no client id": Says(Connect, having(client_id="", clean_start=True)),
    "asks for no keep alive": Says(Connect, having(keep_alive=0)),
    "sends no properties in CONNECT": Says(Connect, having(properties=NO_PROPERTIES)),
    **{f"does not ask for {name}": Says(Connect, having_properties(**{name: None})) for name in (
        "session_expiry_interval", "receive_maximum", "maximum_packet_size", "topic_alias_maximum",
        "request_response_information", "request_problem_information", "authentication_method")},
    "says it is connected when it is refused": Hears(ConnAck, when(
        lambda p, _: p.reason != 0, lambda p, _: replace(p, reason=0))),
    "goes on with any session": around(ClientCore, "_agree_on_session", _takes_any_session),
    "never resumes": around(ClientCore, "connect", _never_resumes),
    "takes the server's session for lost": Hears(ConnAck, having(session_present=False)),
    "does not answer challenges": Says(Auth, nothing),
    "sends no DISCONNECT": Says(Disconnect, nothing),
    "sends DISCONNECT twice": Says(Disconnect, twice),
    "sends packets after DISCONNECT": Says(Disconnect, _keeps_talking),
    "gives another reason in DISCONNECT": Says(Disconnect, lambda p, end: replace(
        p, reason=0x80 if p.reason != 0x80 else 0x82) if end.version is Version.V5 else p),
    "sends no properties in DISCONNECT": Says(Disconnect, having(properties=NO_PROPERTIES)),
    "goes on after DISCONNECT of the server": Hears(Disconnect, nothing),
    "does not tell that it was disconnected": Tells(Disconnected, nothing),
    "tells another reason why it was disconnected": Tells(Disconnected, lambda e, _: replace(e, reason=0x80)),
    "goes on after what it cannot read": around(ClientCore, "_reject", _goes_on),
})  # fmt: skip

# --- keep alive and limits --------------------------------------------------------------------------------------------

KEEP_ALIVE = table("client", "keep_alive connect", {
    "sends no PINGREQ": around(ClientKeepAlive, "deadline", nothing),
    "sends PINGREQ late": Patch(keep_alive, "_PING_EARLY_FRACTION", -1.0),
    "never gives a silent server up": around(
        ClientKeepAlive, "ping_sent", lambda real, self, now: self.packet_sent(now)),
    "does not hear PINGRESP": Hears(PingResp, nothing),
    "ignores Server Keep Alive": Hears(ConnAck, _own_keep_alive),
    "takes keep alive 0 for a second": around(
        ClientKeepAlive, "__init__", lambda real, self, seconds, now, **named: real(self, seconds or 1, now, **named)),
})  # fmt: skip

LIMITS = table("client", "connect flow_control topic_alias subscription retained delivery shared properties", {
    "takes problem information it did not ask for": around(core, "_check_problem_information", nothing),
    "ignores Receive Maximum of the server": _other_limits(receive_maximum=65535),
    "ignores Maximum Packet Size of the server": _other_limits(maximum_packet_size=None),
    "ignores Maximum QoS": _other_limits(maximum_qos=QoS.EXACTLY_ONCE),
    "ignores Retain Available": _other_limits(retain_available=True),
    "ignores Topic Alias Maximum": _other_limits(topic_alias_maximum=65535),
    "ignores Wildcard Subscription Available": _other_limits(wildcard_subscription_available=True),
    "ignores Subscription Identifiers Available": _other_limits(subscription_identifier_available=True),
    "ignores Shared Subscription Available": _other_limits(shared_subscription_available=True),
    "takes Receive Maximum for 1": _other_limits(receive_maximum=1),
    "subscribes at QoS 0": Says(Subscribe, lambda p, _: replace(
        p, subscriptions=tuple(replace(s, qos=QoS.AT_MOST_ONCE) for s in p.subscriptions))),
    "subscribes without options": Says(Subscribe, lambda p, _: replace(p, subscriptions=tuple(
        type(s)(s.topic_filter, s.qos) for s in p.subscriptions))),
    "subscribes without identifier": Says(Subscribe, having_properties(subscription_identifier=())),
    "subscribes to the first filter only": Says(Subscribe, lambda p, _: replace(p, subscriptions=p.subscriptions[:1])),
})  # fmt: skip

MUTANTS = [*CONNECTING, *KEEP_ALIVE, *LIMITS]
