"""QoS 1 and 2 from the side that receives: which answer, under which identifier, in which order.

Belongs here: PUBACK, PUBREC and PUBCOMP a side sends. [3.1.1 4.3, 4.6, 5.0 4.3, 4.6]
Does not belong here: answers that never come (`answers`), what a server forwards (`delivery`).
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.order import AnswerOrder
from interop.judge.rule import V5, V31, V311, Breach, Rule, must
from interop.judge.view import BROKER, CLIENT, Case, Chain, Event
from reference_broker.wire.packets import PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import QoS

ANSWERS_WHAT_CAME = Rule(
    "acknowledges-what-came",
    "an acknowledgement has the identifier of a packet that was received",
    both={V31: must("MQTT31-33", "MQTT31-34"), V311: must("MQTT-2.3.1-6"), V5: must("MQTT-2.2.1-5")},
)
ANSWER_FITS_QOS = Rule(
    "acknowledgement-fits-qos",
    "PUBACK answers QoS 1, PUBREC answers QoS 2",
    both={V31: must("MQTT31-33"), V311: must("MQTT-3.3.4-1"), V5: must("MQTT-3.3.4-1")},
)
PUBACK_ORDER = Rule(
    "puback-order",
    "PUBACKs leave in the order the messages came in",
    client={V311: must("MQTT-4.6.0-2"), V5: must("MQTT-4.6.0-2")},
)
PUBREC_ORDER = Rule(
    "pubrec-order",
    "PUBRECs leave in the order the messages came in",
    client={V311: must("MQTT-4.6.0-3"), V5: must("MQTT-4.6.0-3")},
)
RULES = (ANSWERS_WHAT_CAME, ANSWER_FITS_QOS, PUBACK_ORDER, PUBREC_ORDER)

_ORDERS = {QoS.AT_LEAST_ONCE: PUBACK_ORDER, QoS.EXACTLY_ONCE: PUBREC_ORDER}


def inspect(case: Case) -> Iterator[Breach]:
    """Follow what each side acknowledges, session by session."""
    for side in (CLIENT, BROKER):
        for chain in case.chains(side):
            yield from _Receiver(chain).follow()


class _Receiver:
    """One side's answers over a session."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._came: dict[QoS, set[int]] = {QoS.AT_LEAST_ONCE: set(), QoS.EXACTLY_ONCE: set()}
        self._released: set[int] = set()
        self._order: dict[QoS, AnswerOrder] = {}

    def follow(self) -> Iterator[Breach]:
        """Go through all connections."""
        talk = None
        for now, event in self._chain.events():
            if now is not talk:
                talk = now
                self._order = {qos: AnswerOrder() for qos in _ORDERS}
            if event.mine:
                yield from self._sends(event)
            else:
                self._gets(event)

    def _gets(self, event: Event) -> None:
        packet = event.packet
        if isinstance(packet, Publish) and packet.packet_id is not None:
            self._came[packet.qos].add(packet.packet_id)
            self._order[packet.qos].asked(packet.packet_id)
        elif isinstance(packet, PubRel):
            self._released.add(packet.packet_id)

    def _sends(self, event: Event) -> Iterator[Breach]:
        packet = event.packet
        if isinstance(packet, PubAck):
            yield from self._acknowledges(event, packet.packet_id, QoS.AT_LEAST_ONCE, QoS.EXACTLY_ONCE)
        elif isinstance(packet, PubRec):
            yield from self._acknowledges(event, packet.packet_id, QoS.EXACTLY_ONCE, QoS.AT_LEAST_ONCE)
        elif isinstance(packet, PubComp) and packet.packet_id not in self._released and self._chain.is_complete:
            message = f"PUBCOMP {packet.packet_id} answers no PUBREL"
            yield ANSWERS_WHAT_CAME.broken(self._chain.side, event.entry, message)

    def _acknowledges(self, event: Event, packet_id: int, fitting: QoS, other: QoS) -> Iterator[Breach]:
        side, name = self._chain.side, event.packet.type.name
        early = self._order[fitting].answered(packet_id, event)
        if early is not None:
            message = f"{name} overtakes {name} {packet_id}, whose PUBLISH came in before"
            yield _ORDERS[fitting].broken(side, early.entry, message)
        if packet_id in self._came[fitting] or not self._chain.is_complete:
            return
        if packet_id in self._came[other]:
            yield ANSWER_FITS_QOS.broken(side, event.entry, f"{name} {packet_id} answers a QoS {int(other)} PUBLISH")
        else:
            yield ANSWERS_WHAT_CAME.broken(side, event.entry, f"{name} {packet_id} answers no PUBLISH")
