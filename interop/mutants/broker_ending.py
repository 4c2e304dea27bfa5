"""Brokers that are wrong about how a connection ends: DISCONNECT, errors, takeover, keep alive, wills.

Belongs here: faults of a broker in giving a connection up, and in what it publishes then.
Does not belong here: what becomes of the session (`broker_sessions`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.broker_connect import refuses
from interop.mutants.mutant import Hears, Patch, Says, around, table
from interop.mutants.words import every_second, having, having_properties, nothing, twice
from reference_broker.broker.keeping.sessions import Sessions
from reference_broker.broker.keeping.wills import Wills
from reference_broker.broker.link import Link
from reference_broker.broker.outgoing.output import Output
from reference_broker.broker.outgoing.waiting import Waiting
from reference_broker.broker.peers import connecting
from reference_broker.broker.peers.dispatch import HANDLERS
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.message import Message
from reference_broker.broker.values.phase import Phase
from reference_broker.session import keep_alive
from reference_broker.session.keep_alive import ServerKeepAlive
from reference_broker.wire import decoders
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import ConnAck, Connect, Disconnect, PingReq, PingResp
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import PacketType, QoS, ReasonCode, Version

ON_DISCONNECT = (Phase.CONNECTED, PacketType.DISCONNECT)


def _leave_open(link: Any, packet: Disconnect, _now: float) -> None:
    if packet.reason == 0:
        link.session.will = None


def _disconnect_sets_expiry(link: Any, packet: Disconnect, now: float) -> None:
    link.session.expiry_interval = packet.properties.session_expiry_interval or 0
    link.end(now, publish_will=packet.reason != 0)


def _passes_over(*reasons: ReasonCode) -> Patch:
    """The connection stays open where the right broker closes it, with one of these codes or any."""

    def fail(real: Any, link: Any, error: RemoteError, now: float) -> None:
        if link.phase is not Phase.CONNECTED or (reasons and error.reason not in reasons):
            real(link, error, now)

    return around(Link, "fail", fail)


def _unless(reason: ReasonCode | None, *, silent: bool = False) -> Patch:
    """Closing from this side publishes no will, or with `silent` does not happen, for one reason or (None) any."""

    def disconnect(real: Any, link: Any, why: int, text: str, now: float, *, publish_will: bool = True) -> None:
        concerned = reason is None or why == reason
        if not (concerned and silent):
            real(link, why, text, now, publish_will=publish_will and not concerned)

    return around(Peer, "disconnect", disconnect)


def _one_at_a_time(real: Any, link: Any, now: float, data: Any) -> None:
    for other in link.house.connections:
        if other is not link:
            other.disconnect(ReasonCode.SESSION_TAKEN_OVER, "one at a time", now)
    real(link, now, data)


def _is_connected(packet: Connect, link: Any) -> bool:
    existing = link.house.sessions.get(packet.client_id)
    return existing is not None and existing.sender is not None


def _lose_others_messages(real: Any, link: Any, error: RemoteError, now: float) -> None:
    for session in link.house.sessions:
        session.queue = None
        session.outbound.drop_all()
        session.inbound.drop_all()
    real(link, error, now)


def _close_others(real: Any, link: Any, error: RemoteError, now: float) -> None:
    real(link, error, now)
    for other in link.house.connections:
        other.disconnect(ReasonCode.UNSPECIFIED_ERROR, "one of them broke the protocol", now)


def _said_goodbye(packet: Disconnect, link: Any) -> Disconnect:
    link.memory["goodbye"] = True
    return packet


def _unless_it_said_goodbye(real: Any, link: Any, now: float, *, publish_will: bool) -> None:
    if "goodbye" not in link.memory:
        real(link, now, publish_will=publish_will)


def _goodbye_in_3(real: Any, link: Any, now: float, *, publish_will: bool) -> None:
    if link.phase is Phase.CONNECTED and link.version is not Version.V5:
        link.write(b"\xe0\x00")
    real(link, now, publish_will=publish_will)


ENDING = table("broker", "connect disconnect takeover session malformed will flow_control topic_alias auth delivery "
               "qos1 qos2 subscription shared retained", {
    "takes no notice of DISCONNECT": Patch(HANDLERS, ON_DISCONNECT, nothing),
    "leaves the connection open after DISCONNECT": Patch(HANDLERS, ON_DISCONNECT, _leave_open),
    "lets DISCONNECT make a session last": Patch(HANDLERS, ON_DISCONNECT, _disconnect_sets_expiry),
    "closes without DISCONNECT": Says(Disconnect, nothing),
    "closes with an unspecified error": Says(Disconnect, having(reason=0x80)),
    "says DISCONNECT to 3.x": around(Peer, "end", _goodbye_in_3),
    "leaves the connection open after a DISCONNECT of its own": (
        Says(Disconnect, _said_goodbye), around(Peer, "end", _unless_it_said_goodbye),
    ),
    "leaves the connection open after errors": _passes_over(),
    "leaves the connection open after malformed packets": _passes_over(ReasonCode.MALFORMED_PACKET),
    "leaves the connection open after protocol errors": _passes_over(ReasonCode.PROTOCOL_ERROR),
    "publishes no will after errors": _unless(None),
    "leaves the older connection open": _unless(ReasonCode.SESSION_TAKEN_OVER, silent=True),
    "lets the older connection go without a word": Says(
        Disconnect, lambda p, _: None if p.reason == ReasonCode.SESSION_TAKEN_OVER else p
    ),
    "refuses the newer connection": refuses(_is_connected),
    "lets one client connect at a time": around(connecting, "accept", _one_at_a_time),
    "loses everybody's messages when one breaks the protocol": around(Link, "fail", _lose_others_messages),
    "closes everybody's connection when one breaks the protocol": around(Link, "fail", _close_others),
})  # fmt: skip

# --- keep alive -------------------------------------------------------------------------------------------------------


def _counts(*kinds: PacketType) -> Patch:
    """Only these packets count as activity."""

    def handle(real: Any, link: Any, packet: Any, now: float) -> None:
        watch = link.keep_alive
        last = watch._last_received if watch is not None else 0.0
        real(link, packet, now)
        if watch is not None and packet.type not in kinds:
            watch._last_received = last

    return around(Link, "handle", handle)


def _any_bytes_count(real: Any, link: Any, data: bytes, now: float) -> None:
    if link.keep_alive is not None:
        link.keep_alive.packet_received(now)
    real(link, data, now)


def _own_packets_count(real: Any, link: Any, data: bytes) -> None:
    if link.keep_alive is not None:
        link.keep_alive.packet_received(link.house.round.now)
    real(link, data)


KEEP_ALIVE = table("broker", "keep_alive will connect", {
    "gives a silent client 1.0 keep alive": Patch(keep_alive, "SERVER_GRACE", 1.0),
    "gives a silent client 3.0 keep alive": Patch(keep_alive, "SERVER_GRACE", 3.0),
    "never gives a silent client up": around(Peer, "_watch_keep_alive", nothing),
    "does not take PINGREQ for activity": _counts(*(set(PacketType) - {PacketType.PINGREQ})),
    "takes nothing but PINGREQ for activity": _counts(PacketType.PINGREQ),
    "takes nothing for activity": around(ServerKeepAlive, "packet_received", nothing),
    "takes half a packet for activity": around(Link, "receive_data", _any_bytes_count),
    "takes its own packets for activity": around(Output, "pass_on", _own_packets_count),
    "never answers PINGREQ": Says(PingResp, nothing),
    "answers PINGREQ twice": Says(PingResp, twice),
    "answers every second PINGREQ": Hears(PingReq, every_second),
    "answers PINGREQ with PINGREQ": Says(PingResp, lambda p, _: PingReq()),
    "demands no keep alive": Says(ConnAck, having_properties(server_keep_alive=None)),
    "takes keep alive 0 for one second": around(
        Peer, "connected", lambda real, link, now, seconds: real(link, now, seconds or 1)
    ),
    "publishes no will at a keep alive timeout": _unless(ReasonCode.KEEP_ALIVE_TIMEOUT),
    "gives a keep alive timeout another code": Says(
        Disconnect, lambda p, _: replace(p, reason=0x80) if p.reason == ReasonCode.KEEP_ALIVE_TIMEOUT else p
    ),
})  # fmt: skip

# --- wills ------------------------------------------------------------------------------------------------------------


def _wills_with(**values: Any) -> Hears:
    return Hears(Connect, lambda p, _: replace(p, will=replace(p.will, **values)) if p.will else p)


def _will_properties(**values: Any) -> Hears:
    def change(packet: Connect, _end: Any) -> Connect:
        if packet.will is None or packet.version is not Version.V5:
            return packet
        return replace(packet, will=replace(packet.will, properties=replace(packet.will.properties, **values)))

    return Hears(Connect, change)


def _will_later(packet: Connect, _end: Any) -> Connect:
    will = packet.will
    if will is None:
        return packet
    delay = (will.properties.will_delay_interval or 0) + 4
    return replace(packet, will=replace(will, properties=replace(will.properties, will_delay_interval=delay)))


def _publish_will_of(link: Any, now: float) -> None:
    will = link.connect.will
    if will is not None:
        message = Message(will.topic, will.payload, will.qos, will.retain, NO_PROPERTIES, now, link.client_id)
        link.house.exchange.accept(message, now)


def _also_when_refused(real: Any, link: Any, reason: int, text: str, now: float) -> None:
    real(link, reason, text, now)
    _publish_will_of(link, now)


def _also_at_connect(real: Any, link: Any, now: float, data: Any) -> None:
    _publish_will_of(link, now)
    real(link, now, data)


def _of_an_earlier_connection(real: Any, link: Any, now: float, data: Any) -> None:
    wills = link.house.memory
    if link.connect.will is None:
        link.connect = replace(link.connect, will=wills.get(link.connect.client_id))
    wills.setdefault(link.connect.client_id, link.connect.will)
    link.connect = replace(link.connect, will=wills[link.connect.client_id])
    real(link, now, data)


def _without_delay(real: Any, self: Any, session: Any, now: float, *, publish_will: bool) -> None:
    if publish_will:
        self.publish(session, now)
    real(self, session, now, publish_will=publish_will)


def _twice(real: Any, self: Any, session: Any, now: float) -> None:
    will = session.will
    real(self, session, now)
    session.will = will
    real(self, session, now)


def _online_only(real: Any, self: Any, session: Any, now: float) -> None:
    queues = {each: Waiting(each.queue or ()) for each in self.house.sessions if each.sender is None}
    real(self, session, now)
    for each, queue in queues.items():
        each.queue = queue


def _although_the_client_is_back(
    real: Any, self: Any, client_id: str, version: Version, clean_start: bool, now: float
) -> Any:
    waiting = self.get(client_id)
    will = waiting.will if waiting is not None else None
    session, present = real(self, client_id, version, clean_start, now)
    if present and will is not None:
        session.will = will
        self.house.wills.publish(session, now)
    return session, present


def _dropped_with_the_session(real: Any, self: Any, session: Any, now: float) -> None:
    session.will = None
    real(self, session, now)


WILLS = table("broker", "will keep_alive connect disconnect takeover malformed session", {
    "publishes no wills": around(Wills, "publish", lambda real, self, session, now: setattr(session, "will", None)),
    "publishes the will after DISCONNECT too": around(
        Wills, "connection_closed",
        lambda real, self, session, now, *, publish_will: real(self, session, now, publish_will=True),
    ),
    "publishes the will of a refused CONNECT": around(connecting, "refuse", _also_when_refused),
    "publishes the will at CONNECT": around(connecting, "accept", _also_at_connect),
    "publishes the will twice": around(Wills, "publish", _twice),
    "publishes the will of the first connection only": around(connecting, "accept", _of_an_earlier_connection),
    "publishes wills without their delay": around(Wills, "connection_closed", _without_delay),
    "publishes wills four seconds late": Hears(Connect, _will_later),
    "drops a delayed will with its session": around(Wills, "session_ended", _dropped_with_the_session),
    "publishes delayed wills although the client is back": around(Sessions, "open", _although_the_client_is_back),
    "takes Disconnect with Will Message for a normal one": Hears(
        Disconnect, lambda p, _: replace(p, reason=0) if p.reason == 4 else p
    ),
    "publishes no will at a takeover": _unless(ReasonCode.SESSION_TAKEN_OVER),
    "publishes no will when the network fails": around(
        Link, "connection_lost", lambda real, link, now: (link.end(now, publish_will=False), real(link, now))
    ),
    "publishes wills at QoS 0": _wills_with(qos=QoS.AT_MOST_ONCE),
    "publishes wills at QoS 1": _wills_with(qos=QoS.AT_LEAST_ONCE),
    "publishes wills at QoS 2": _wills_with(qos=QoS.EXACTLY_ONCE),
    "retains every will": _wills_with(retain=True),
    "retains no will": _wills_with(retain=False),
    "gives wills a payload of its own": _wills_with(payload=b"gone"),
    "cuts the payload of wills at their first null": Hears(Connect, lambda p, _: replace(
        p, will=replace(p.will, payload=p.will.payload.partition(b"\0")[0])
    ) if p.will else p),
    "publishes no will without a payload": Hears(
        Connect, lambda p, _: replace(p, will=None) if p.will and not p.will.payload else p
    ),
    "loses the properties of wills": _will_properties(
        payload_format_indicator=None, message_expiry_interval=None, content_type=None, response_topic=None,
        correlation_data=None, user_property=(),
    ),
    "loses the user properties of wills": _will_properties(user_property=()),
    "publishes wills to clients that are there only": around(Wills, "publish", _online_only),
    "takes wildcards in the topic of a will": Patch(decoders, "topic_name_violation", nothing),
})  # fmt: skip

MUTANTS = [*ENDING, *KEEP_ALIVE, *WILLS]
