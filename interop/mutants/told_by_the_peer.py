"""Brokers and clients that are wrong, or go another way, where a CONNACK or an AUTH tells them something.

Belongs here: Maximum Packet Size with topic aliases, properties CONNACK cannot have, clients that are asked for what
they cannot do, and what they make of an assigned client id and of a session that is lost.
Does not belong here: one limit alone (`broker_messages`, `client_connections`, `client_messages`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.mutant import Hears, Says, around, table
from interop.mutants.words import having, nothing
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.client.limits import ServerLimits
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import Auth, ConnAck, Connect, Publish, Subscribe
from reference_broker.wire.types import Version
from reference_broker.wire.varint import decode_varint, encode_varint


def _aliased_in_any_case(_real: Any, self: Any, publish: Any, _plain: bytes) -> bytes:
    return encode(self._aliases.apply(publish), self.version)


def _dropped_with_its_alias(real: Any, self: Any, publish: Any, plain: bytes) -> bytes:
    aliased = encode(replace(publish, properties=replace(publish.properties, topic_alias=1)), self.version)
    limit = self.maximum_packet_size
    return b"" if limit is not None and len(aliased) > limit else bytes(real(self, publish, plain))


def _alias_without_a_name(packet: Publish, end: Any) -> Publish:
    takes_aliases = end.sender is not None and end.sender.maximum_packet_size is not None
    if packet.properties.topic_alias is None and len(packet.payload) > 80 and takes_aliases:
        return replace(packet, topic="", properties=replace(packet.properties, topic_alias=1))
    return packet


def _measured_without_alias(real: Any, self: Any, packet: Any, version: Any) -> Any:
    if not isinstance(packet, Publish) or packet.properties.topic_alias is None or not packet.topic:
        return real(self, packet, version)
    real(self, replace(packet, properties=replace(packet.properties, topic_alias=None)), version)
    return encode(packet, version)


def _with_property(data: bytes) -> Any:
    """Change of a CONNACK: these bytes are one more property."""

    def change(packet: ConnAck, end: Any) -> Any:
        if end.version is not Version.V5:
            return packet
        encoded = encode(packet, end.version)
        length, properties = decode_varint(encoded, 4, len(encoded))  # its own length takes one byte
        body = encoded[2:4] + encode_varint(length + len(data)) + encoded[properties:] + data
        return encoded[:1] + encode_varint(len(body)) + body

    return change


def _asked(packet: Subscribe, end: Any) -> Subscribe:
    end.session.asked = packet
    return packet


def _asked_again(packet: Connect, end: Any) -> Any:
    asked = getattr(end.session, "asked", None)
    return packet if asked is None else (packet, asked)


MUTANTS = [
    *table("broker", "topic_alias", {
        "sets aliases whatever the size": around(Sender, "_encode_with_alias", _aliased_in_any_case),
        "drops what has no room for its alias": around(Sender, "_encode_with_alias", _dropped_with_its_alias),
        "sends large messages by an alias it never set": Says(Publish, _alias_without_a_name),
    }),
    *table("client", "topic_alias auth", {
        "measures a PUBLISH without its alias": around(ServerLimits, "encode", _measured_without_alias),
        "takes no notice of AUTH": Hears(Auth, nothing),
    }),
    *table("broker", "connect", {
        "says a property in CONNACK that has no place there": Says(ConnAck, _with_property(b"\x23\x00\x01")),
        "says a property in CONNACK that does not exist": Says(ConnAck, _with_property(b"\x7e\x00")),
    }),
    *table("client", "connect/assigned* subscription/again*", {
        "forgets the client id it was assigned": Says(Connect, having(client_id="")),
        "subscribes again by itself": (Says(Subscribe, _asked), Says(Connect, _asked_again)),
    }),
]  # fmt: skip
