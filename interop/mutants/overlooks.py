"""Brokers and clients that overlook one rule of the wire each: what breaks it is skipped as if it had not come.

Belongs here: one mutant for each rule and side, by the name of the rule.
Does not belong here: what is wrong beyond a single packet (`broker_...`, `client_...`); rules that no scenario breaks,
only the corpus does, or an encoder.
"""

from __future__ import annotations

from interop.mutants.mutant import Mutant, Overlooks, table
from reference_broker.wire.rules import Rule

_BY_BROKERS = """
    REMAINING_LENGTH INTEGER_LENGTH SHORTEST_ENCODING TRUNCATED TRAILING_BYTES PACKET_TYPE SERVER_PACKET_SIZE
    HEADER_FLAGS PUBREL_FLAGS SUBSCRIBE_FLAGS UNSUBSCRIBE_FLAGS DISCONNECT_FLAGS AUTH_FLAGS STRING_UTF8 STRING_NULL
    TOPIC_EMPTY TOPIC_WILDCARD PUBLISH_TOPIC_WILDCARD FILTER_EMPTY FILTER_MULTI_LEVEL FILTER_SINGLE_LEVEL
    RESPONSE_TOPIC_WILDCARD PACKET_ID PUBLISH_QOS PUBLISH_DUP CONNECT_RESERVED WILL_FIELDS WILL_QOS
    WILL_QOS_WITHOUT_WILL USER_NAME_FIELD PASSWORD_FIELD
    PASSWORD_WITHOUT_USER_NAME SUBSCRIBE_EMPTY SUBSCRIBE_RESERVED SUBSCRIBE_QOS_3 MAXIMUM_QOS_3
    RETAIN_HANDLING SHARED_NO_LOCAL UNSUBSCRIBE_EMPTY PUBACK_REASON PUBREC_REASON PUBREL_REASON DISCONNECT_REASON
    AUTH_REASON PROPERTY_LENGTH PROPERTY_PLACE PROPERTY_ONCE PROPERTY_RANGE TOPIC_ALIAS_ZERO AUTHENTICATION_DATA
    AUTHENTICATION_METHOD PACKET_DIRECTION DISCONNECT_REASON_DIRECTION AUTH_REASON_DIRECTION
    CLIENT_SUBSCRIPTION_IDENTIFIER
"""
_BY_CLIENTS = """
    CLIENT_PACKET_SIZE CONNACK_FLAGS CONNACK_REASON DISCONNECT_FLAGS HEADER_FLAGS PACKET_DIRECTION PACKET_TYPE
    PROPERTY_ONCE PROPERTY_PLACE PROPERTY_RANGE PUBACK_REASON PUBLISH_QOS PUBLISH_TOPIC_WILDCARD REMAINING_LENGTH
    SERVER_SESSION_EXPIRY SHORTEST_ENCODING STRING_UTF8 SUBACK_EMPTY TOPIC_ALIAS_ZERO TOPIC_EMPTY TOPIC_OR_ALIAS
    TRUNCATED
"""


def _mutants(side: str, subjects: str, rules: str) -> list[Mutant]:
    rows = {f"{side} that overlooks: {_said(rule)}": Overlooks(rule) for rule in (Rule[name] for name in rules.split())}
    return table(side, subjects, rows)


def _said(rule: Rule) -> str:
    """What a rule says, without where it is written."""
    return rule.value.text.partition(" [")[0]


MUTANTS = [
    *_mutants("broker", "malformed connect topics subscription shared topic_alias auth will", _BY_BROKERS),
    *_mutants("client", "malformed connect topic_alias delivery/packet_larger*", _BY_CLIENTS),
]
