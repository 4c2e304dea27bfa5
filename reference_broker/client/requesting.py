"""SUBSCRIBE and UNSUBSCRIBE packets of one connection that were not answered yet.

Belongs here: finding the request an answer is for. Neither is session state: a lost connection ends them. [5.0 4.1]
Does not belong here: sending them (`core`), and a list of what is subscribed: the server has that.
"""

from __future__ import annotations

from dataclasses import dataclass

from reference_broker.session.packet_ids import PacketIds
from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.packets import SubAck, Subscribe, UnsubAck, Unsubscribe
from reference_broker.wire.types import PacketType, Version

_ANSWERS = {PacketType.SUBSCRIBE: PacketType.SUBACK, PacketType.UNSUBSCRIBE: PacketType.UNSUBACK}
_ONE_REASON_EACH = {
    (PacketType.SUBACK, Version.V31): "3.1 3.9",
    (PacketType.SUBACK, Version.V311): "3.1.1 MQTT-3.8.4-5",
    (PacketType.SUBACK, Version.V5): "5.0 MQTT-3.8.4-6",
    (PacketType.UNSUBACK, Version.V5): "5.0 MQTT-3.11.3-2",
}


@dataclass(frozen=True, slots=True)
class _Request:
    ticket: int
    packet: Subscribe | Unsubscribe


class Requests:
    """The requests under way, by packet identifier."""

    def __init__(self, packet_ids: PacketIds, version: Version) -> None:
        self._packet_ids = packet_ids
        self._version = version
        self._requests: dict[int, _Request] = {}

    def add(self, ticket: int, packet: Subscribe | Unsubscribe) -> None:
        """A request was sent."""
        self._requests[packet.packet_id] = _Request(ticket, packet)

    def answer(self, answer: SubAck | UnsubAck) -> int:
        """The ticket of the request that is answered; raises ProtocolError when the answer fits none."""
        request = self._requests.get(answer.packet_id)
        name = answer.type.name
        if request is None or _ANSWERS[request.packet.type] is not answer.type:
            raise ProtocolError(f"{name} for packet identifier {answer.packet_id}, which asked for none", "5.0 4.13.1")
        expected = self._expected_reasons(request.packet)
        if len(answer.reasons) != expected:
            raise ProtocolError(
                f"{name} with {len(answer.reasons)} reasons for {expected} topic filters",
                _ONE_REASON_EACH.get((answer.type, self._version), ""),
            )
        del self._requests[answer.packet_id]
        self._packet_ids.release(answer.packet_id)
        return request.ticket

    def drop_all(self) -> list[int]:
        """The connection is over; returns the tickets of the requests."""
        for packet_id in self._requests:
            self._packet_ids.release(packet_id)
        tickets = [request.ticket for request in self._requests.values()]
        self._requests.clear()
        return tickets

    def _expected_reasons(self, packet: Subscribe | Unsubscribe) -> int:
        if isinstance(packet, Subscribe):
            return len(packet.subscriptions)
        return len(packet.topic_filters) if self._version >= Version.V5 else 0
