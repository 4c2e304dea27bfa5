"""Every rule a single packet can break, once, with its statement in each version and the reason code that reports it.

Belongs here: the table; `decode` raises from it about a peer, `encode` and `topics` about our own side.
Does not belong here: rules that need a connection's or a session's state, and the code that notices a violation.

A peer's violation is a Malformed Packet where the bytes do not parse as laid out (or the specification says
"malformed"), and a Protocol Error where a packet parses into something not allowed. [5.0 1.2]
A statement is empty where that version has no numbered one for the rule; the section is then in the text.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from reference_broker.wire.errors import LocalError, MalformedPacket, ProtocolError
from reference_broker.wire.types import ReasonCode, Version

_STATEMENT_FIELDS = {Version.V31: "v31", Version.V311: "v311", Version.V5: "v5"}


class _Entry(NamedTuple):
    error: type[MalformedPacket] | type[ProtocolError]
    text: str
    v31: str
    v311: str
    v5: str
    reason: ReasonCode


def _malformed(text: str, *, v31: str = "", v311: str = "", v5: str = "") -> _Entry:
    return _Entry(MalformedPacket, text, v31, v311, v5, ReasonCode.MALFORMED_PACKET)


def _error(
    text: str, *, v31: str = "", v311: str = "", v5: str = "", reason: ReasonCode = ReasonCode.PROTOCOL_ERROR
) -> _Entry:
    return _Entry(ProtocolError, text, v31, v311, v5, reason)


class Rule(Enum):
    """One rule of the wire; the value holds what it says, where it is written and how a violation is reported."""

    # --- framing -----------------------------------------------------------------------------------------------------
    REMAINING_LENGTH = _malformed("a remaining length takes at most four bytes [2.1.4]")
    INTEGER_LENGTH = _malformed("a variable byte integer takes at most four bytes [5.0 1.5.5]")
    SHORTEST_ENCODING = _malformed("a variable byte integer takes as few bytes as possible", v5="MQTT-1.5.5-1")
    TRUNCATED = _malformed("every field ends within the packet")
    TRAILING_BYTES = _malformed("nothing follows a packet's last field")
    PACKET_TYPE = _malformed("packet types are 1 to 14, in 5.0 also 15 [2.1.2]")
    CONNECT_FIRST = _error("a client's first packet is CONNECT", v311="MQTT-3.1.0-1", v5="MQTT-3.1.0-1")
    SERVER_PACKET_SIZE = _error(
        "a packet is no larger than the server's Maximum Packet Size",
        v5="MQTT-3.2.2-15",
        reason=ReasonCode.PACKET_TOO_LARGE,
    )
    CLIENT_PACKET_SIZE = _error(
        "a packet is no larger than the client's Maximum Packet Size",
        v5="MQTT-3.1.2-24",
        reason=ReasonCode.PACKET_TOO_LARGE,
    )
    HEADER_FLAGS = _malformed("fixed header flags have the listed value", v311="MQTT-2.2.2-2", v5="MQTT-2.1.3-1")
    PUBREL_FLAGS = _malformed("fixed header flags of PUBREL are 0010", v311="MQTT-3.6.1-1", v5="MQTT-3.6.1-1")
    SUBSCRIBE_FLAGS = _malformed("fixed header flags of SUBSCRIBE are 0010", v311="MQTT-3.8.1-1", v5="MQTT-3.8.1-1")
    UNSUBSCRIBE_FLAGS = _malformed(
        "fixed header flags of UNSUBSCRIBE are 0010", v311="MQTT-3.10.1-1", v5="MQTT-3.10.1-1"
    )
    DISCONNECT_FLAGS = _malformed("fixed header flags of DISCONNECT are 0", v311="MQTT-3.14.1-1", v5="MQTT-3.14.1-1")
    AUTH_FLAGS = _malformed("fixed header flags of AUTH are 0", v5="MQTT-3.15.1-1")

    # --- strings, names and filters ----------------------------------------------------------------------------------
    STRING_UTF8 = _malformed("a string is well-formed UTF-8 without surrogates", v311="MQTT-1.5.3-1", v5="MQTT-1.5.4-1")
    STRING_NULL = _malformed("a string has no U+0000", v311="MQTT-1.5.3-2", v5="MQTT-1.5.4-2")
    STRING_LENGTH = _malformed("a string or binary field takes at most 65,535 bytes [1.5]")
    TOPIC_EMPTY = _error(
        "a topic name has at least one character",
        v311="MQTT-4.7.3-1",
        v5="MQTT-4.7.3-1",
        reason=ReasonCode.TOPIC_NAME_INVALID,
    )
    TOPIC_WILDCARD = _error(
        "a topic name has no wildcards",
        v311="MQTT-4.7.1-1",
        v5="MQTT-4.7.0-1",
        reason=ReasonCode.TOPIC_NAME_INVALID,
    )
    PUBLISH_TOPIC_WILDCARD = _error(
        "the topic name in a PUBLISH has no wildcards",
        v311="MQTT-3.3.2-2",
        v5="MQTT-3.3.2-2",
        reason=ReasonCode.TOPIC_NAME_INVALID,
    )
    FILTER_EMPTY = _error(
        "a topic filter has at least one character",
        v311="MQTT-4.7.3-1",
        v5="MQTT-4.7.3-1",
        reason=ReasonCode.TOPIC_FILTER_INVALID,
    )
    FILTER_MULTI_LEVEL = _error(
        "# stands alone on the last level of a topic filter",
        v311="MQTT-4.7.1-2",
        v5="MQTT-4.7.1-1",
        reason=ReasonCode.TOPIC_FILTER_INVALID,
    )
    FILTER_SINGLE_LEVEL = _error(
        "+ fills a whole level of a topic filter",
        v311="MQTT-4.7.1-3",
        v5="MQTT-4.7.1-2",
        reason=ReasonCode.TOPIC_FILTER_INVALID,
    )
    SHARE_NAME_EMPTY = _error(
        "a share name has at least one character", v5="MQTT-4.8.2-1", reason=ReasonCode.TOPIC_FILTER_INVALID
    )
    SHARE_NAME = _error(
        "a share name has no wildcards and is followed by / and a topic filter",
        v5="MQTT-4.8.2-2",
        reason=ReasonCode.TOPIC_FILTER_INVALID,
    )
    TOPIC_OR_ALIAS = _error("a PUBLISH has a topic name or a topic alias [5.0 3.3.2.1]")
    RESPONSE_TOPIC_WILDCARD = _error("a response topic has no wildcards", v5="MQTT-3.3.2-14")
    RESPONSE_TOPIC_EMPTY = _error("a response topic has at least one character", v5="MQTT-4.7.3-1")

    # --- identifiers, flags and payloads -----------------------------------------------------------------------------
    PACKET_ID = _error("a packet identifier is 1 to 65,535", v311="MQTT-2.3.1-1", v5="MQTT-2.2.1-3")
    PUBLISH_QOS = _malformed("QoS is 0, 1 or 2", v311="MQTT-3.3.1-4", v5="MQTT-3.3.1-4")
    PUBLISH_DUP = _malformed("DUP is 0 at QoS 0", v311="MQTT-3.3.1-2", v5="MQTT-3.3.1-2")
    PUBLISH_PACKET_ID = _malformed("a QoS 0 PUBLISH has no packet identifier", v311="MQTT-2.3.1-5", v5="MQTT-2.2.1-2")
    CONNECT_RESERVED = _malformed("bit 0 of the connect flags is 0", v311="MQTT-3.1.2-3", v5="MQTT-3.1.2-3")
    WILL_FIELDS = _malformed(
        "with Will Flag 1 the payload has the will's fields", v311="MQTT-3.1.2-9", v5="MQTT-3.1.2-9"
    )
    WILL_QOS = _malformed("Will QoS is 0, 1 or 2", v311="MQTT-3.1.2-14", v5="MQTT-3.1.2-12")
    WILL_QOS_WITHOUT_WILL = _malformed("without a will, Will QoS is 0", v311="MQTT-3.1.2-13", v5="MQTT-3.1.2-11")
    WILL_RETAIN_WITHOUT_WILL = _malformed("without a will, Will Retain is 0", v311="MQTT-3.1.2-15", v5="MQTT-3.1.2-13")
    WILL_MESSAGE_ASCII = _malformed("a will message is 7-bit ASCII text", v31="MQTT31-11")
    USER_NAME_FIELD = _malformed(
        "with User Name Flag 1 the payload has a user name", v311="MQTT-3.1.2-19", v5="MQTT-3.1.2-17"
    )
    PASSWORD_FIELD = _malformed(
        "with Password Flag 1 the payload has a password", v311="MQTT-3.1.2-21", v5="MQTT-3.1.2-19"
    )
    PASSWORD_WITHOUT_USER_NAME = _malformed("a password comes with a user name", v311="MQTT-3.1.2-22")
    PASSWORD_TEXT = _malformed("a password is a string", v31="MQTT31-10")
    KEEP_ALIVE = _malformed("Keep Alive is 0 to 65,535 seconds [3.1.2.10]")
    CONNACK_FLAGS = _malformed("bits 7 to 1 of the CONNACK flags are 0", v5="MQTT-3.2.2-1")
    SESSION_PRESENT = _error("a CONNACK with an error has Session Present 0", v311="MQTT-3.2.2-4", v5="MQTT-3.2.2-6")
    SESSION_PRESENT_UNKNOWN = _error("a 3.1 CONNACK has no Session Present", v31="MQTT31-6")
    SUBSCRIBE_EMPTY = _error("a SUBSCRIBE has at least one topic filter", v311="MQTT-3.8.3-3", v5="MQTT-3.8.3-2")
    SUBSCRIBE_RESERVED = _malformed("reserved bits of a subscription are 0", v311="MQTT-3.8.3-4", v5="MQTT-3.8.3-5")
    SUBSCRIBE_QOS_3 = _malformed("a requested QoS is 0, 1 or 2", v311="MQTT-3.8.3-4")
    MAXIMUM_QOS_3 = _error("a subscription's Maximum QoS is 0, 1 or 2 [5.0 3.8.3.1]")
    RETAIN_HANDLING = _error("Retain Handling is 0, 1 or 2 [5.0 3.8.3.1]")
    SHARED_NO_LOCAL = _error("No Local is 0 on a shared subscription", v5="MQTT-3.8.3-4")
    UNSUBSCRIBE_EMPTY = _error("an UNSUBSCRIBE has at least one topic filter", v311="MQTT-3.10.3-2", v5="MQTT-3.10.3-2")
    SUBACK_EMPTY = _error("a SUBACK has a code for each topic filter", v311="MQTT-3.8.4-5", v5="MQTT-3.8.4-6")
    UNSUBACK_EMPTY = _error("an UNSUBACK has a code for each topic filter", v5="MQTT-3.11.3-2")

    # --- reason codes ------------------------------------------------------------------------------------------------
    CONNACK_REASON = _error("CONNACK has a code of its table", v311="MQTT-3.2.2-6", v5="MQTT-3.2.2-8")
    PUBACK_REASON = _error("PUBACK has a reason of its table", v5="MQTT-3.4.2-1")
    PUBREC_REASON = _error("PUBREC has a reason of its table", v5="MQTT-3.5.2-1")
    PUBREL_REASON = _error("PUBREL has a reason of its table", v5="MQTT-3.6.2-1")
    PUBCOMP_REASON = _error("PUBCOMP has a reason of its table", v5="MQTT-3.7.2-1")
    SUBACK_REASON = _error("SUBACK has codes of its table", v31="MQTT31-7", v311="MQTT-3.9.3-2", v5="MQTT-3.9.3-2")
    UNSUBACK_REASON = _error("UNSUBACK has reasons of its table", v5="MQTT-3.11.3-2")
    DISCONNECT_REASON = _error("DISCONNECT has a reason of its table", v5="MQTT-3.14.2-1")
    AUTH_REASON = _error("AUTH has a reason of its table", v5="MQTT-3.15.2-1")

    # --- properties --------------------------------------------------------------------------------------------------
    PROPERTY_LENGTH = _malformed("properties are announced by their length, 0 if there are none", v5="MQTT-2.2.2-1")
    PROPERTY_PLACE = _malformed("a packet has only properties listed for its type [5.0 2.2.2.2]")
    PROPERTY_ONCE = _error("a property other than User Property stands once [5.0 2.2.2.2]")
    PROPERTY_RANGE = _error("a property's value is within its range [5.0 2.2.2.2]")
    TOPIC_ALIAS_ZERO = _error("a topic alias is 1 to 65,535", v5="MQTT-3.3.2-8", reason=ReasonCode.TOPIC_ALIAS_INVALID)
    AUTHENTICATION_DATA = _error("authentication data comes with a method [5.0 3.1.2.11.10]")
    AUTHENTICATION_METHOD = _error("AUTH names the authentication method [5.0 3.15.2.2.2]", v5="MQTT-4.12.0-5")

    # --- who may send what -------------------------------------------------------------------------------------------
    PACKET_DIRECTION = _error("each side sends only packets that flow its way [2.1.2]")
    PUBACK_REASON_DIRECTION = _error("PUBACK has a reason listed for its sender", v5="MQTT-3.4.2-1")
    PUBREC_REASON_DIRECTION = _error("PUBREC has a reason listed for its sender", v5="MQTT-3.5.2-1")
    DISCONNECT_REASON_DIRECTION = _error("DISCONNECT has a reason listed for its sender", v5="MQTT-3.14.2-1")
    AUTH_REASON_DIRECTION = _error("AUTH has a reason listed for its sender", v5="MQTT-3.15.2-1")
    CLIENT_SUBSCRIPTION_IDENTIFIER = _error("a client's PUBLISH has no Subscription Identifier", v5="MQTT-3.3.4-6")
    SERVER_SESSION_EXPIRY = _error("a server's DISCONNECT has no Session Expiry Interval", v5="MQTT-3.14.2-2")

    def statement(self, version: Version | None) -> str:
        """The numbered statement with its version, e.g. `5.0 MQTT-1.5.5-1`; empty where the version has none.

        Before a CONNECT was read the version is None: a number that 3.1.1 and 5.0 share is cited, any other is not.
        """
        if version is None:
            if self.value.v311 != self.value.v5:
                return ""
            version = Version.V5
        number: str = getattr(self.value, _STATEMENT_FIELDS[version])
        return f"{version.label} {number}" if number else ""

    def broken(self, version: Version | None, found: str = "") -> MalformedPacket | ProtocolError:
        """The error to raise because a peer broke this rule; `found` says what it sent instead."""
        entry = self.value
        message = f"{entry.text}; found {found}" if found else entry.text
        return entry.error(message, self.statement(version), entry.reason)

    def forbids(self, version: Version | None = None, found: str = "") -> LocalError:
        """The error to raise because our own side asked for what this rule forbids."""
        statement = self.statement(version)
        return LocalError(
            self.value.text + (f"; asked for {found}" if found else "") + (f" [{statement}]" if statement else "")
        )
