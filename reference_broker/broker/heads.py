"""What the fast path remembers of PUBLISH packets that begin alike.

Belongs here: which packets the fast path may take, decided once for each head (topic and properties).
Does not belong here: forwarding them (`fastpath`).
"""

from __future__ import annotations

from dataclasses import replace
from sys import getsizeof
from typing import TYPE_CHECKING

from reference_broker.broker.config import BrokerConfig
from reference_broker.broker.message import Message
from reference_broker.broker.routing import Route, Target
from reference_broker.broker.shared import SharedSubscription
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Publish
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version
from reference_broker.wire.varint import encode_varint, read_remaining_length

if TYPE_CHECKING:
    from reference_broker.broker.broker import Broker
    from reference_broker.broker.link import Link

_REMEMBERED_HEADS = 65_536
"""Heads of `_HEAD_BYTES` that may be remembered, 48 MiB; what takes more counts as several."""

_HEAD_BYTES = 768
"""What a head takes, its topic and properties in some 32 bytes included."""

_KEY_FACTOR, _PROPERTY_BYTES, _RECEIVER_BYTES = 6, 200, 100
"""What more of a key takes, as bytes and as a string; each User Property; each receiver of a new set of them."""

_LARGE = 1 << 20
"""Packets above this size gain nothing, and their copies in another version might not fit the protocol."""

_SHORT = 127
"""The highest remaining length of one byte."""


class Receivers:
    """Who gets messages: `targets` each of them, and of the members of `shared` one each.

    There is one object for the same receivers, so that neighbours in a stream can be told by identity.
    """

    __slots__ = ("shared", "targets")

    def __init__(self, targets: tuple[Target, ...], shared: SharedSubscription | None = None) -> None:
        self.targets = targets
        self.shared = shared


NOBODY = Receivers(())


class Head:
    """What is known about PUBLISH packets of one topic and one set of properties.

    `expires` says that the properties include a Message Expiry Interval, `is_bare` that there are none.
    """

    __slots__ = ("expires", "is_bare", "properties", "receivers", "topic")

    def __init__(self, topic: str, properties: Properties, receivers: Receivers = NOBODY) -> None:
        self.topic = topic
        self.properties = properties
        self.receivers = receivers
        self.expires = properties.message_expiry_interval is not None
        self.is_bare = properties == NO_PROPERTIES

    def for_nobody(self) -> Head:
        """The same without receivers, whose sessions would stay alive as long as anything waits for any of them."""
        return Head(self.topic, self.properties)

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


class Heads:
    """Heads by user name and by the bytes of topic and properties; None for those the fast path leaves alone."""

    def __init__(self, config: BrokerConfig) -> None:
        self.size_limit = min(config.maximum_packet_size or _LARGE, _LARGE)
        """Bytes of the largest packet the fast path takes."""
        self.longest_short = min(_SHORT, self.size_limit - 2)
        """The largest remaining length of one byte it takes."""
        self._by_user: dict[str | None, dict[bytes, Head | None]] = {}
        self._receivers: dict[tuple[object, ...], Receivers] = {}
        self._generation = -1
        self._count = 0

    def of(self, link: Link) -> dict[bytes, Head | None]:
        """What holds for one publisher now; ask again after anything that may change subscriptions."""
        generation = link.broker.router.generation
        if generation != self._generation or self._count >= _REMEMBERED_HEADS:
            self._generation = generation
            self._by_user.clear()
            self._receivers.clear()
            self._count = 0
        # The same topic may be open to one user and closed to another.
        username = link.parts()[0].username if link.broker.config.access_rules else None
        heads = self._by_user.get(username)
        if heads is None:
            heads = self._by_user[username] = {}
            self._count += getsizeof(username) // _HEAD_BYTES  # a user who publishes has heads that count
        return heads

    def learn(self, link: Link, key: bytes, packet: Publish, data: bytes) -> Head | None:
        """Remember what to do with packets that begin like this one: `packet` is what the wire decoded from `data`."""
        head = self.of(link)[key] = self._examine(link, packet, data)
        more_bytes = _KEY_FACTOR * len(key) + _PROPERTY_BYTES * len(packet.properties.user_property)
        self._count += 1 + more_bytes // _HEAD_BYTES
        return head

    def _examine(self, link: Link, packet: Publish, data: bytes) -> Head | None:
        broker, properties = link.broker, packet.properties
        if not packet.topic or properties.topic_alias is not None:
            return None
        if broker.config.validate_payload_format and properties.payload_format_indicator:
            return None
        if broker.admission.topic_refusal(link.parts()[0].username, packet.topic) is not None:
            return None
        route = broker.router.route(packet.topic)
        if any(target.no_local for target in route.targets):
            return None
        if route.shared and not _can_deal(broker, route):
            return None
        if not _is_as_encoded(packet, data, link.version):
            return None
        shared = route.shared[0] if route.shared else None
        identity = (shared, *((target.session, target.qos, target.subscription_ids) for target in route.targets))
        receivers = self._receivers.get(identity)
        if receivers is None:
            receivers = self._receivers[identity] = Receivers(route.targets, shared)
            self._count += _RECEIVER_BYTES * len(route.targets) // _HEAD_BYTES
        return Head(packet.topic, properties, receivers)


def _can_deal(broker: Broker, route: Route) -> bool:
    """Whether messages can be dealt out by the burst, because no session gets two copies that have to keep an order."""
    if len(route.shared) > 1 or broker.access.limits_receivers:
        return False
    return not any(target.session in route.shared[0] for target in route.targets)


def _is_as_encoded(packet: Publish, data: bytes, version: Version | None) -> bool:
    """Whether encoding gives these bytes: properties may come in any order, and be written in more than one way.

    Without them there is only one way (a padded length never gets here), but 3.1 lets clients send what may not be
    sent on.
    """
    if version is not Version.V31 and packet.properties is NO_PROPERTIES:
        return True
    assert version is not None
    try:
        return encode(packet, version) == data
    except LocalError:
        return False
