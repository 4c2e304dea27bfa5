"""Incoming messages of one connection: which are new, and when their acknowledgements leave.

Belongs here: topic aliases of the server, our Receive Maximum, the order of acknowledgements.
Does not belong here: the session's state (`session`), and whether the application acknowledges by hand (`core`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reference_broker.client.events import Message
from reference_broker.client.session import Session, Unanswered
from reference_broker.session.flow_control import DEFAULT_RECEIVE_MAXIMUM, ReceiveQuota
from reference_broker.session.topic_aliases import InboundAliases
from reference_broker.wire.packets import PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version, is_error

_Answer = TypeVar("_Answer", PubAck, PubRec)


class Receiver:
    """Takes messages from the server and keeps their acknowledgements in order. [5.0 MQTT-4.6.0-2, -3]

    An acknowledgement the application gives out of turn is held back until those of all earlier messages of that QoS
    have left.
    """

    def __init__(
        self,
        session: Session,
        version: Version,
        announced: Properties,
        *,
        send: Callable[[PubAck | PubRec | PubComp], None],
    ) -> None:
        """`announced` are the properties of our CONNECT."""
        self._session = session
        self._send = send
        self._aliases = InboundAliases(announced.topic_alias_maximum or 0)
        # 3.x knows no Receive Maximum, and in 3.1 a server may repeat messages at any time.
        limited = version >= Version.V5
        self._quota = ReceiveQuota((limited and announced.receive_maximum) or DEFAULT_RECEIVE_MAXIMUM)
        # By ticket, in order of arrival: the acknowledgement, or None while the application has not given it.
        self._pubacks: dict[int, PubAck | None] = {}
        self._pubrecs: dict[int, PubRec | None] = {}

    def receive(self, publish: Publish) -> Message | None:
        """The message if it is new to the application; raises ProtocolError 0x82, 0x93 or 0x94."""
        alias = publish.properties.topic_alias
        publish = self._aliases.resolve(publish)
        packet_id = publish.packet_id
        if packet_id is None:
            return self._message(publish, alias)
        self._quota.take(packet_id)
        is_new = self._session.inbound.receive(publish)
        if not is_new:
            self._receive_repeat(packet_id)
            return None
        message = self._message(publish, alias)
        if publish.qos == QoS.AT_LEAST_ONCE:
            self._pubacks[message.ticket] = None
        else:
            self._pubrecs[message.ticket] = None
            self._session.unanswered[packet_id] = Unanswered(message.ticket)
        return message

    def _receive_repeat(self, packet_id: int) -> None:
        """Answer a repeated QoS 2 message once more, but not before the application does. [5.0 MQTT-4.3.3-10]"""
        unanswered = self._session.unanswered.get(packet_id)
        if unanswered is None:
            self._pubrecs[self._session.new_ticket()] = PubRec(packet_id)
        else:  # it was handed over on an earlier connection, or a moment ago
            self._pubrecs.setdefault(unanswered.ticket, unanswered.answer)
        self._flush()

    def _message(self, publish: Publish, alias: int | None) -> Message:
        return Message(
            ticket=self._session.new_ticket(),
            topic=publish.topic,
            payload=publish.payload,
            qos=publish.qos,
            retain=publish.retain,
            dup=publish.dup,
            packet_id=publish.packet_id,
            properties=publish.properties,
            topic_alias=alias,
        )

    def answer_to(self, message: Message, reason: int = 0, properties: Properties = NO_PROPERTIES) -> PubAck | PubRec:
        """The acknowledgement of a QoS 1 or QoS 2 message."""
        assert message.packet_id is not None
        kind = PubAck if message.qos == QoS.AT_LEAST_ONCE else PubRec
        return kind(message.packet_id, reason, properties)

    def acknowledge(self, message: Message, answer: PubAck | PubRec) -> bool:
        """Send the application's acknowledgement in its turn; False: there is nothing to acknowledge (any more).

        A QoS 1 message of an earlier connection cannot be acknowledged here: the server will send it again, and that
        copy is a message of its own. A QoS 2 message can: PUBREC leaves when the server repeats it.
        """
        if isinstance(answer, PubAck):
            if self._pubacks.get(message.ticket, answer) is not None:
                return False
            self._pubacks[message.ticket] = answer
        else:
            unanswered = self._session.unanswered.get(answer.packet_id)
            if unanswered is None or unanswered.ticket != message.ticket or unanswered.answer is not None:
                return False
            unanswered.answer = answer
            if message.ticket in self._pubrecs:
                self._pubrecs[message.ticket] = answer
        self._flush()
        return True

    def release(self, pubrel: PubRel) -> None:
        """Answer PUBREL. [5.0 MQTT-4.3.3-11]"""
        unanswered = self._session.unanswered.pop(pubrel.packet_id, None)
        if unanswered is not None:  # the server did not wait for PUBREC: it wants no more of this message
            self._pubrecs.pop(unanswered.ticket, None)
        pubcomp = self._session.inbound.release(pubrel)
        self._quota.give_back(pubrel.packet_id)
        self._send(pubcomp)

    def _flush(self) -> None:
        for puback in _take_ready(self._pubacks):
            self._quota.give_back(puback.packet_id)
            self._send(puback)
        for pubrec in _take_ready(self._pubrecs):
            self._session.unanswered.pop(pubrec.packet_id, None)
            if is_error(pubrec.reason):
                self._session.inbound.forget(pubrec.packet_id)
                self._quota.give_back(pubrec.packet_id)
            self._send(pubrec)


def _take_ready(answers: dict[int, _Answer | None]) -> list[_Answer]:
    """Take the acknowledgements off the front, up to the first that is missing."""
    ready: list[_Answer] = []
    while answers:
        ticket = next(iter(answers))
        answer = answers[ticket]
        if answer is None:
            break
        ready.append(answer)
        del answers[ticket]
    return ready
