"""Statements a trace is evidence for, because packets came by that could have broken them.

Belongs here: which statements a packet puts to the test just by being there. The codec refuses what is laid out wrongly
and the rules judge the rest, so the packet was held against them, whether it kept them or not.
Does not belong here: judging (the rules), statements that only a scenario can bring to the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from interop.judge.rule import V5, V311
from interop.judge.view import BROKER, CLIENT, Case, Talk
from interop.tap.trace import Kind, Sender
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    Publish,
    PubRec,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.topics import SHARE_PREFIX
from reference_broker.wire.types import QoS, Version

Statements = Mapping[Version, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What one kind of packet from one side puts to the test; `when` narrows the kind."""

    side: Sender
    kind: type[Packet]
    ids: Statements
    when: Callable[[Talk, Packet], bool] = lambda _talk, _packet: True


def statements_shown(case: Case, side: Sender, links: Sequence[str] | None = None) -> tuple[str, ...]:
    """The statements of the case's version that packets of `side` were held against, on all links or only these."""
    found: dict[str, None] = {}
    for talk in case.talks:
        if talk.version is case.version and (links is None or talk.link in links):
            for entry in talk.sent(side):
                if entry.packet is not None and entry.kind is Kind.PACKET:
                    found |= dict.fromkeys(_of_packet(talk, side, entry.packet))
    return tuple(sorted(found))


def _of_packet(talk: Talk, side: Sender, packet: Packet) -> Iterator[str]:
    for shown in _BY_KIND.get((side, type(packet)), ()):
        if talk.version in shown.ids and shown.when(talk, packet):
            yield from shown.ids[talk.version]


# --- conditions -------------------------------------------------------------------------------------------------------


def _is_first(talk: Talk, packet: Packet) -> bool:
    return talk.sent(CLIENT)[0].packet is packet


def _will(_: Talk, packet: Packet) -> bool:
    return isinstance(packet, Connect) and packet.will is not None


def _no_will(_: Talk, packet: Packet) -> bool:
    return isinstance(packet, Connect) and packet.will is None


def _username(_: Talk, packet: Packet) -> bool:
    return isinstance(packet, Connect) and packet.username is not None


def _no_username(_: Talk, packet: Packet) -> bool:
    return isinstance(packet, Connect) and packet.username is None


def _password(_: Talk, packet: Packet) -> bool:
    return isinstance(packet, Connect) and packet.password is not None


def _no_password(_: Talk, packet: Packet) -> bool:
    return isinstance(packet, Connect) and packet.password is None


def _no_client_id(_: Talk, packet: Packet) -> bool:
    return isinstance(packet, Connect) and not packet.client_id


def _answered_without_method(talk: Talk, packet: Packet) -> bool:
    """Whether a connection without Authentication Method went on long enough for AUTH to be wrong in it."""
    return (
        isinstance(packet, Connect)
        and packet.properties.authentication_method is None
        and talk.accepted(CLIENT) is not None
    )


def _answered_with_method(talk: Talk, packet: Packet) -> bool:
    return (
        isinstance(packet, Connect)
        and packet.properties.authentication_method is not None
        and talk.connack(CLIENT) is not None
    )


def _shared(_: Talk, packet: Packet) -> bool:
    return isinstance(packet, Subscribe) and any(
        each.topic_filter.startswith(SHARE_PREFIX) for each in packet.subscriptions
    )


def _first_time(qos: QoS) -> Callable[[Talk, Packet], bool]:
    return lambda _, packet: isinstance(packet, Publish) and packet.qos is qos and not packet.dup


def _expiry_not_asked_for(talk: Talk, _: Packet) -> bool:
    connect = talk.connect(CLIENT)
    return connect is not None and not connect[1].properties.session_expiry_interval


def _has(name: str) -> Callable[[Talk, Packet], bool]:
    return lambda _, packet: name in getattr(packet, "properties", NO_PROPERTIES).present()


def _will_has(name: str) -> Callable[[Talk, Packet], bool]:
    return lambda _, packet: (
        isinstance(packet, Connect) and packet.will is not None and name in packet.will.properties.present()
    )


def _ended(side: Sender) -> Callable[[Talk, Packet], bool]:
    """Whether the connection ended after it, so that what followed is known."""
    return lambda talk, _: talk.end_known_to(side) is not None


# --- the tables -------------------------------------------------------------------------------------------------------


def _both(*ids: str) -> Statements:
    return {V311: ids, V5: ids}


_PROPERTIES: Mapping[tuple[Sender, type[Packet]], Mapping[str, str]] = {
    (CLIENT, Connect): {
        "session_expiry_interval": "MQTT5-U-5",
        "receive_maximum": "MQTT5-U-6",
        "maximum_packet_size": "MQTT5-U-7",
        "topic_alias_maximum": "MQTT5-U-8",
        "request_response_information": "MQTT5-U-9",
        "request_problem_information": "MQTT5-U-10",
        "authentication_method": "MQTT5-U-11",
        "authentication_data": "MQTT5-U-12",
    },
    (BROKER, ConnAck): {
        "receive_maximum": "MQTT5-U-26",
        "maximum_qos": "MQTT5-U-27",
        "retain_available": "MQTT5-U-28",
        "maximum_packet_size": "MQTT5-U-29",
        "assigned_client_identifier": "MQTT5-U-30",
        "topic_alias_maximum": "MQTT5-U-31",
        "reason_string": "MQTT5-U-32",
        "server_keep_alive": "MQTT5-U-36",
        "response_information": "MQTT5-U-37",
        "server_reference": "MQTT5-U-38",
        "authentication_method": "MQTT5-U-39",
    },
    (BROKER, SubAck): {"reason_string": "MQTT5-U-57"},
    (BROKER, UnsubAck): {"reason_string": "MQTT5-U-57"},
}
"""Statements about one property: it is there at most once, with a value it may have. The codec refuses all else."""

_WILL_PROPERTIES: Mapping[str, str] = {
    "will_delay_interval": "MQTT5-U-17",
    "payload_format_indicator": "MQTT5-U-18",
    "message_expiry_interval": "MQTT5-U-19",
    "content_type": "MQTT5-U-20",
    "response_topic": "MQTT5-U-21",
    "correlation_data": "MQTT5-U-22",
}

SHOWN: tuple[Shown, ...] = (
    # CONNECT
    Shown(CLIENT, Connect, _both("MQTT-3.1.0-1"), _is_first),
    Shown(CLIENT, Connect, {V311: ("MQTT-3.1.3-3",), V5: ("MQTT-3.1.2-1", "MQTT-3.1.3-3")}),
    Shown(
        CLIENT,
        Connect,
        {V311: ("MQTT-3.1.2-11", "MQTT-3.1.2-13", "MQTT-3.1.2-15"), V5: ("MQTT-3.1.2-11", "MQTT-3.1.2-13")},
        _no_will,
    ),
    Shown(
        CLIENT,
        Connect,
        {V311: ("MQTT-3.1.2-14", "MQTT-3.1.3-10"), V5: ("MQTT-3.1.2-12", "MQTT-3.1.3-11")},
        _will,
    ),
    Shown(CLIENT, Connect, {V311: ("MQTT-3.1.3-11",), V5: ("MQTT-3.1.3-12",)}, _username),
    Shown(CLIENT, Connect, {V311: ("MQTT-3.1.2-18",), V5: ("MQTT-3.1.2-16",)}, _no_username),
    Shown(CLIENT, Connect, {V311: ("MQTT-3.1.2-22",)}, _password),
    Shown(CLIENT, Connect, {V311: ("MQTT-3.1.2-20",), V5: ("MQTT-3.1.2-18",)}, _no_password),
    Shown(CLIENT, Connect, {V311: ("MQTT-3.1.3-7",)}, _no_client_id),
    Shown(CLIENT, Connect, {V5: ("MQTT-4.12.0-7",)}, _answered_without_method),
    Shown(CLIENT, Connect, {V5: ("MQTT-3.1.2-30",)}, _answered_with_method),
    # SUBSCRIBE and UNSUBSCRIBE
    Shown(
        CLIENT,
        Subscribe,
        {
            V311: ("MQTT-3.8.1-1", "MQTT-3.8.3-1", "MQTT-3.8.3-3", "MQTT-4.7.3-2"),
            V5: ("MQTT-3.8.1-1", "MQTT-3.8.3-1", "MQTT-3.8.3-2", "MQTT-4.7.3-2", "MQTT5-U-55", "MQTT5-U-56"),
        },
    ),
    Shown(CLIENT, Subscribe, {V5: ("MQTT-3.8.3-4", "MQTT-4.8.2-1", "MQTT-4.8.2-2")}, _shared),
    Shown(CLIENT, Subscribe, {V5: ("MQTT5-U-53", "MQTT5-U-54")}, _has("subscription_identifier")),
    Shown(CLIENT, Unsubscribe, _both("MQTT-3.10.1-1", "MQTT-3.10.3-1", "MQTT-3.10.3-2")),
    Shown(
        BROKER, SubAck, {V311: ("MQTT-2.3.1-7", "MQTT-3.8.4-2"), V5: ("MQTT-2.2.1-6", "MQTT-3.8.4-2", "MQTT-3.9.3-2")}
    ),
    Shown(BROKER, UnsubAck, {V311: ("MQTT-2.3.1-7",), V5: ("MQTT-2.2.1-6", "MQTT-3.11.3-2")}),
    # PUBLISH and its acknowledgements
    Shown(CLIENT, Publish, {V311: ("MQTT-4.7.3-2",), V5: ("MQTT-3.3.4-6", "MQTT-4.7.3-2")}),
    Shown(BROKER, Publish, _both("MQTT-4.7.3-2")),
    *(
        Shown(side, Publish, {V5: ids}, _first_time(qos))
        for side in (CLIENT, BROKER)
        for qos, ids in (
            (QoS.AT_LEAST_ONCE, ("MQTT-4.3.2-1", "MQTT-4.3.2-2")),
            (QoS.EXACTLY_ONCE, ("MQTT-4.3.3-1", "MQTT-4.3.3-2")),
        )
    ),
    *(Shown(side, kind, _both("MQTT-3.3.4-1")) for side in (CLIENT, BROKER) for kind in (PubAck, PubRec)),
    # CONNACK and the end
    Shown(BROKER, ConnAck, {V5: ("MQTT-3.2.2-1",)}),
    Shown(CLIENT, Disconnect, {V5: ("MQTT5-U-59",)}, _expiry_not_asked_for),
    Shown(BROKER, Disconnect, {V5: ("MQTT-3.14.2-2",)}),
    Shown(BROKER, Disconnect, {V5: ("MQTT-3.14.4-1", "MQTT-3.14.4-2")}, _ended(BROKER)),
    *(
        Shown(side, kind, {V5: (statement,)}, _has(name))
        for (side, kind), statements in _PROPERTIES.items()
        for name, statement in statements.items()
    ),
    *(Shown(CLIENT, Connect, {V5: (statement,)}, _will_has(name)) for name, statement in _WILL_PROPERTIES.items()),
)
"""Every kind of packet that is evidence by itself."""

_BY_KIND: dict[tuple[Sender, type[Packet]], list[Shown]] = {}
for _each in SHOWN:
    _BY_KIND.setdefault((_each.side, _each.kind), []).append(_each)
