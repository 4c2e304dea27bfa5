"""An application message inside the broker, and the form in which one subscriber gets it.

Belongs here: what was published, when it expires, and turning it into the PUBLISH for one subscription.
Does not belong here: sessions, packet identifiers, or who gets it.
"""

from __future__ import annotations

from dataclasses import replace

from reference_broker.broker.values.journal import Body
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Publish
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import QoS, Version

_AT_MOST_ONCE = QoS.AT_MOST_ONCE


class Message:
    """One application message, shared by everybody who gets it.

    `retain` is the publisher's flag, `publisher` its client id (None for the broker's own), `properties` are those
    that travel on. `expires_at` is None or the time at which its Message Expiry Interval ends. [5.0 3.3.2.3.3]
    """

    __slots__ = (
        "_encoded",
        "accepted_at",
        "body",
        "expires_at",
        "index",
        "payload",
        "properties",
        "publisher",
        "qos",
        "retain",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        payload: bytes,
        qos: QoS,
        retain: bool,
        properties: Properties,
        now: float,
        publisher: str | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
        self.publisher = publisher
        self.accepted_at = now
        interval = properties.message_expiry_interval
        self.expires_at = None if interval is None else now + interval
        self._encoded: dict[tuple[bool, bool, tuple[int, ...]], bytes] | None = None
        self.body: Body | None = None
        """What the store has of it, if anything, among `index` others."""
        self.index = 0

    def is_expired(self, now: float) -> bool:
        """Whether a copy still waiting must be deleted. [5.0 MQTT-3.3.2-5]"""
        return self.expires_at is not None and now >= self.expires_at

    def properties_for(self, version: Version, subscription_ids: tuple[int, ...], now: float) -> Properties:
        """The properties of the copy that leaves now: expiry less the time waited, the receiver's own identifiers.

        Whole seconds waited are taken off. A copy sent again after its time has 0 left: the handshake goes on.
        [5.0 MQTT-3.3.2-6, MQTT-3.3.4-3, MQTT-4.3.3-7]
        """
        if version < Version.V5:
            return NO_PROPERTIES
        properties = self.properties
        remaining = properties.message_expiry_interval
        if remaining is not None:
            remaining = max(0, remaining - int(now - self.accepted_at))
        if remaining == properties.message_expiry_interval and not subscription_ids:
            return properties
        return replace(properties, message_expiry_interval=remaining, subscription_identifier=subscription_ids)

    def encoded_qos0(self, version: Version, retain: bool, subscription_ids: tuple[int, ...], now: float) -> bytes:
        """The QoS 0 PUBLISH for one kind of receiver, made once for all receivers of the kind.

        Only for messages being passed on at once: what waited has another expiry and is encoded by itself.
        """
        if self._encoded is None:
            self._encoded = {}
        shape = (version >= Version.V5, retain, subscription_ids)
        data = self._encoded.get(shape)
        if data is None:
            properties = self.properties_for(version, subscription_ids, now)
            publish = Publish(self.topic, self.payload, _AT_MOST_ONCE, retain, properties=properties)
            data = self._encoded[shape] = encode(publish, version)
        return data

    def forget_encoded(self) -> None:
        """Passing on is over: what is retained or queued keeps one copy of the payload only."""
        self._encoded = None


class Delivery:
    """One message on its way to one session: at which QoS, with which RETAIN flag and subscription identifiers.

    `share` is the filter, `$share/...` included, of the shared subscription it came by, because its fate differs when
    the session ends. [5.0 4.8.2]
    """

    __slots__ = ("message", "qos", "retain", "row", "share", "subscription_ids")

    def __init__(
        self,
        message: Message,
        qos: QoS,
        retain: bool,
        subscription_ids: tuple[int, ...] = (),
        share: str | None = None,
    ) -> None:
        self.message = message
        self.qos = qos
        self.retain = retain
        self.subscription_ids = subscription_ids
        self.share = share
        self.row: bytes | None = None
        """The key under which the store has it while it waits."""

    def publish(self, version: Version, now: float) -> Publish:
        """The PUBLISH to send now, without packet identifier."""
        message = self.message
        properties = message.properties_for(version, self.subscription_ids, now)
        return Publish(message.topic, message.payload, self.qos, self.retain, properties=properties)
