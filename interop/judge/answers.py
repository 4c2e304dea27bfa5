"""Requests a server has to answer, and did not although there was time.

Belongs here: the table of requests and answers, and waiting for them.
Does not belong here: answers that are wrong (`acknowledgements`, `subscriptions`), PUBREL (`flows`), clients: when one
acknowledges a message may be up to its application.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from interop.judge.rule import V5, V31, V311, Breach, Rule, must
from interop.judge.view import BROKER, Case, Event, Talk
from reference_broker.wire.packets import Connect, Packet, Publish
from reference_broker.wire.types import PacketType, QoS

_P = PacketType
CONNACK = Rule(
    "answers-connect",
    "a server answers a valid CONNECT with CONNACK, or closes",
    broker={V31: must(section="3.1"), V311: must("MQTT-3.1.4-4"), V5: must("MQTT-3.1.4-5")},
    waits=True,
)
PUBACK = Rule(
    "answers-qos1",
    "a server answers a QoS 1 PUBLISH with PUBACK",
    broker={
        V31: must("MQTT31-33"),
        V311: must("MQTT-3.3.4-1", "MQTT-4.3.2-2"),
        V5: must("MQTT-3.3.4-1", "MQTT-4.3.2-4"),
    },
    waits=True,
)
PUBREC = Rule(
    "answers-qos2",
    "a server answers a QoS 2 PUBLISH with PUBREC",
    broker={
        V31: must("MQTT31-33"),
        V311: must("MQTT-3.3.4-1", "MQTT-4.3.3-2"),
        V5: must("MQTT-3.3.4-1", "MQTT-4.3.3-8"),
    },
    waits=True,
)
PUBCOMP = Rule(
    "answers-pubrel",
    "a server answers PUBREL with PUBCOMP",
    broker={V31: must("MQTT31-34"), V311: must("MQTT-4.3.3-2"), V5: must("MQTT-4.3.3-11")},
    waits=True,
)
SUBACK = Rule(
    "answers-subscribe",
    "a server answers SUBSCRIBE with SUBACK",
    broker={V31: must("MQTT31-36"), V311: must("MQTT-3.8.4-1"), V5: must("MQTT-3.8.4-1")},
    waits=True,
)
UNSUBACK = Rule(
    "answers-unsubscribe",
    "a server answers UNSUBSCRIBE with UNSUBACK, also when nothing was subscribed",
    broker={
        V31: must("MQTT31-38"),
        V311: must("MQTT-3.10.4-4", "MQTT-3.10.4-5"),
        V5: must("MQTT-3.10.4-4", "MQTT-3.10.4-5"),
    },
    waits=True,
)
PINGRESP = Rule(
    "answers-pingreq",
    "a server answers PINGREQ with PINGRESP",
    broker={V31: must("MQTT31-39"), V311: must("MQTT-3.12.4-1"), V5: must("MQTT-3.12.4-1")},
    waits=True,
)
RULES = (CONNACK, PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK, PINGRESP)


class _Answer(NamedTuple):
    type: PacketType
    rule: Rule


_ANSWERS = {
    _P.CONNECT: _Answer(_P.CONNACK, CONNACK),
    _P.PUBREL: _Answer(_P.PUBCOMP, PUBCOMP),
    _P.SUBSCRIBE: _Answer(_P.SUBACK, SUBACK),
    _P.UNSUBSCRIBE: _Answer(_P.UNSUBACK, UNSUBACK),
    _P.PINGREQ: _Answer(_P.PINGRESP, PINGRESP),
}
_PUBLISH_ANSWERS = {QoS.AT_LEAST_ONCE: _Answer(_P.PUBACK, PUBACK), QoS.EXACTLY_ONCE: _Answer(_P.PUBREC, PUBREC)}


def inspect(case: Case) -> Iterator[Breach]:
    """Find requests that reached the server and were never answered, though the connection lived on."""
    for talk in case.talks:
        if talk.is_understood(BROKER):
            yield from _unanswered(talk)


def _unanswered(talk: Talk) -> Iterator[Breach]:
    is_accepted = talk.accepted(BROKER) is not None
    connect = talk.connect(BROKER)
    waiting: dict[tuple[PacketType, int | None], tuple[Event, Rule]] = {}
    for event in talk.story(BROKER):
        if event.mine:
            waiting.pop((event.packet.type, _packet_id(event.packet)), None)
        elif isinstance(event.packet, Connect) and (connect is None or event.entry is not connect[0]):
            continue  # a second one has no answer
        elif (answer := _due(event.packet)) and (is_accepted or isinstance(event.packet, Connect)):
            waiting[answer.type, _packet_id(event.packet)] = (event, answer.rule)
    over = talk.speaks_until(BROKER)
    for (answer_type, _), (request, rule) in waiting.items():
        if over - request.at > talk.reaction_seconds:
            message = f"{request.packet.type.name} without {answer_type.name} for {over - request.at:.1f} s"
            yield rule.broken(BROKER, request.entry, message)


def _due(packet: Packet) -> _Answer | None:
    if isinstance(packet, Publish):
        return _PUBLISH_ANSWERS.get(packet.qos)
    if isinstance(packet, Connect) and packet.properties.authentication_method is not None:
        return None  # AUTH may come first, and the client may be the one who keeps it waiting
    return _ANSWERS.get(packet.type)


def _packet_id(packet: Packet) -> int | None:
    return getattr(packet, "packet_id", None)
