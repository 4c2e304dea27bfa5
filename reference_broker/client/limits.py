"""What the server announced in CONNACK, and what that forbids this client to send. [5.0 3.2.2.3]

Belongs here: the limits as one value, and the checks of single packets against them.
Does not belong here: Receive Maximum's bookkeeping (`session.flow_control`), which needs more than one packet.
"""

from __future__ import annotations

from dataclasses import dataclass

from reference_broker.session.flow_control import DEFAULT_RECEIVE_MAXIMUM
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError, ProtocolError
from reference_broker.wire.packets import ConnAck, Packet, Publish, Subscribe
from reference_broker.wire.sender import Side, check_sender
from reference_broker.wire.topics import SHARE_PREFIX
from reference_broker.wire.types import QoS, Version


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """The limits of one connection; the defaults are what holds when CONNACK says nothing, as always in 3.x.

    `keep_alive` in seconds is the one in force. `maximum_packet_size` in bytes, None is unlimited.
    """

    keep_alive: int = 0
    receive_maximum: int = DEFAULT_RECEIVE_MAXIMUM
    maximum_qos: QoS = QoS.EXACTLY_ONCE
    retain_available: bool = True
    maximum_packet_size: int | None = None
    topic_alias_maximum: int = 0
    wildcard_subscription_available: bool = True
    subscription_identifier_available: bool = True
    shared_subscription_available: bool = True

    @classmethod
    def announced(cls, connack: ConnAck, keep_alive: int) -> ServerLimits:
        """The limits of an accepting CONNACK, where the client asked for `keep_alive`. [5.0 MQTT-3.1.2-21]"""
        said = connack.properties
        return cls(
            keep_alive=_or(said.server_keep_alive, keep_alive),
            receive_maximum=_or(said.receive_maximum, DEFAULT_RECEIVE_MAXIMUM),
            maximum_qos=QoS(_or(said.maximum_qos, QoS.EXACTLY_ONCE)),
            retain_available=said.retain_available != 0,
            maximum_packet_size=said.maximum_packet_size,
            topic_alias_maximum=_or(said.topic_alias_maximum, 0),
            wildcard_subscription_available=said.wildcard_subscription_available != 0,
            subscription_identifier_available=said.subscription_identifier_available != 0,
            shared_subscription_available=said.shared_subscription_available != 0,
        )

    def encode(self, packet: Packet, version: Version) -> bytes:
        """The bytes of a packet that a client may send and this server takes; raises LocalError. [5.0 MQTT-3.2.2-15]"""
        data = encode(packet, version)
        try:
            check_sender(packet, version, Side.CLIENT)
        except ProtocolError as error:
            raise LocalError(str(error)) from None
        if self.maximum_packet_size is not None and len(data) > self.maximum_packet_size:
            raise LocalError(
                f"a {packet.type.name} of {len(data)} bytes is larger than the server's Maximum Packet Size, "
                f"{self.maximum_packet_size} [5.0 MQTT-3.2.2-15]"
            )
        return data

    def check_publish(self, publish: Publish) -> None:
        """Raise LocalError for a QoS, RETAIN flag or topic alias that the server does not support."""
        if publish.qos > self.maximum_qos:
            raise LocalError(f"the server's Maximum QoS is {self.maximum_qos:d} [5.0 MQTT-3.2.2-11]")
        if publish.retain and not self.retain_available:
            raise LocalError("the server does not support retained messages [5.0 MQTT-3.2.2-14]")
        alias = publish.properties.topic_alias
        if alias is not None and alias > self.topic_alias_maximum:
            raise LocalError(f"the server's Topic Alias Maximum is {self.topic_alias_maximum} [5.0 MQTT-3.2.2-17]")

    def check_subscribe(self, subscribe: Subscribe) -> None:
        """Raise LocalError for a kind of subscription the server does not support. [5.0 3.2.2.3.11 to 3.2.2.3.13]"""
        if subscribe.properties.subscription_identifier and not self.subscription_identifier_available:
            raise LocalError("the server does not support subscription identifiers [5.0 3.2.2.3.12]")
        for subscription in subscribe.subscriptions:
            topic_filter = subscription.topic_filter
            if not self.shared_subscription_available and topic_filter.startswith(SHARE_PREFIX):
                raise LocalError("the server does not support shared subscriptions [5.0 3.2.2.3.13]")
            if not self.wildcard_subscription_available and ("#" in topic_filter or "+" in topic_filter):
                raise LocalError("the server does not support wildcard subscriptions [5.0 3.2.2.3.11]")


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
