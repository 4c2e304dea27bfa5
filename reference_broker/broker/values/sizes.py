"""About how much memory things take that a peer makes the broker keep, measured on CPython 3.11 and rounded up.

Belongs here: sizes in bytes of messages, topics and filters, for the bounds that are given in bytes.
Does not belong here: the bounds (`config`), or who keeps count.
"""

from __future__ import annotations

from typing import Final

from reference_broker.broker.values.message import Message
from reference_broker.wire.packets import Connect, Will
from reference_broker.wire.properties import NO_PROPERTIES, Properties

NODE_BYTES: Final = 350
"""One level in a tree of topics or filters."""

SUBSCRIPTION_BYTES: Final = 400
"""One subscription, its filter aside."""

SESSION_BYTES: Final = 1024
"""One session, with a client id, a user name and a will of some 256 bytes together."""

_RETAINED_BYTES = 300
_USER_PROPERTY_BYTES = 200
_RETAINED_NODE_BYTES = 250

ORDINARY_BEGINNING: Final = 256
"""Bytes of topic and properties that are not counted, because every message has some."""


def beginning_bytes(topic: str, properties: Properties) -> int:
    """What topic and properties take; 0 when they are of ordinary length."""
    size = len(topic)
    user_properties = 0
    if properties is not NO_PROPERTIES:
        size += len(properties.content_type or "") + len(properties.response_topic or "")
        size += len(properties.correlation_data or b"")
        for name, value in properties.user_property:
            size += len(name) + len(value)
        user_properties = len(properties.user_property)
    return size + user_properties * _USER_PROPERTY_BYTES if size > ORDINARY_BEGINNING else 0


def waiting_bytes(message: Message) -> int:
    """What a message counts for in a queue: its payload, and a topic and properties that are long."""
    return len(message.payload) + beginning_bytes(message.topic, message.properties)


def retained_bytes(message: Message) -> int:
    """What a message takes where it is retained, as if it shared no level of its topic with others."""
    levels = message.topic.count("/") + 1
    return _RETAINED_BYTES + levels * _RETAINED_NODE_BYTES + len(message.topic) + waiting_bytes(message)


def will_bytes(will: Will | None) -> int:
    """What a will takes beyond what every session is counted for."""
    if will is None:
        return 0
    size = len(will.topic) + len(will.payload) + beginning_bytes(will.topic, will.properties)
    return size if size > ORDINARY_BEGINNING else 0


def connect_bytes(connect: Connect) -> int:
    """What a CONNECT takes while its sender is still to be let in; 0 when it is of ordinary length."""
    size = len(connect.client_id) + len(connect.username or "") + len(connect.password or b"")
    size += beginning_bytes("", connect.properties) + will_bytes(connect.will)
    return size if size > ORDINARY_BEGINNING else 0
