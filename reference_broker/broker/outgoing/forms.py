"""The forms a PUBLISH takes for different receivers: one topic and one set of properties, encoded where it is needed.

Belongs here: what packets that begin alike have in common, and their beginnings for one kind of receiver.
Does not belong here: who receives them (`fast.heads`), the packets themselves (`bursts`).
"""

from __future__ import annotations

from dataclasses import replace

from reference_broker.broker.values.message import Message
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Publish
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version
from reference_broker.wire.varint import encode_varint, read_remaining_length


class Form:
    """What is known about PUBLISH packets of one topic and one set of properties.

    `expires` says that the properties include a Message Expiry Interval, `is_bare` that there are none.
    """

    __slots__ = ("expires", "is_bare", "properties", "topic")

    def __init__(self, topic: str, properties: Properties) -> None:
        self.topic = topic
        self.properties = properties
        self.expires = properties.message_expiry_interval is not None
        self.is_bare = properties is NO_PROPERTIES or properties == NO_PROPERTIES

    def message(self, payload: bytes, qos: QoS, now: float, publisher: str | None) -> Message:
        """One of its messages as an object."""
        return Message(self.topic, payload, qos, False, self.properties, now, publisher)

    def beginning(
        self, is_v5: bool, subscription_ids: tuple[int, ...], payload_size: int, qos: QoS
    ) -> tuple[bytes, int]:
        """All bytes before the payload of a PUBLISH for receivers of one kind, and where the topic ends in them.

        There a packet identifier follows at QoS 1 and 2.
        """
        version = Version.V5 if is_v5 else Version.V311  # 3.1 and 3.1.1 have the same PUBLISH
        properties = NO_PROPERTIES
        if is_v5:
            properties = self.properties
            if subscription_ids:
                properties = replace(properties, subscription_identifier=subscription_ids)
        packet_id = 1 if qos else None
        empty = encode(Publish(self.topic, qos=qos, packet_id=packet_id, properties=properties), version)
        size, behind = read_remaining_length(empty, 0) or (0, 0)
        header = empty[:1] + encode_varint(size + payload_size)
        return header + empty[behind:], len(header) + 2 + (empty[behind] << 8 | empty[behind + 1])
