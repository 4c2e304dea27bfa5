"""What an operator, or a scenario, may ask of the broker: every limit and every legal oddity in one value.

Belongs here: settings with their units, defaults and the checks that they make sense together.
Does not belong here: reading files (the net layer), or what a setting does (the module that obeys it).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reference_broker.wire.errors import LocalError
from reference_broker.wire.properties import NEVER_EXPIRES
from reference_broker.wire.reasons import REASONS
from reference_broker.wire.topics import check_topic_filter
from reference_broker.wire.types import PacketType, Version

_UINT16: Final = 0xFFFF
_UINT32: Final = 0xFFFFFFFF


class DropPolicy(StrEnum):
    """Which message goes when a session's queue is full."""

    NEWEST = "newest"
    """The message that would not fit is dropped; what was queued stays."""
    OLDEST = "oldest"
    """The message that waited longest is dropped; the new one is queued."""


class Action(StrEnum):
    """What an access rule speaks of."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One line of the access list; the first rule that fits decides, and what no rule fits is allowed.

    `username` None fits everybody; `topic_filter` fits a topic it matches and a subscription all of whose topics it
    matches. A `subscribe` rule also keeps matching messages from subscribers whose filter is wider than the rule's.
    """

    topic_filter: str
    action: Action = Action.BOTH
    allow: bool = False
    username: str | None = None


@dataclass(frozen=True, slots=True)
class ChallengeMethod:
    """A demonstration of enhanced authentication: the server sends `challenge`, the client must answer `response`.

    With `final_data` set, the success (CONNACK or AUTH 0x00) carries it as Authentication Data. [5.0 4.12]
    `username` is whom a right answer proves; None for nobody in particular.
    """

    method: str
    challenge: bytes
    response: bytes
    final_data: bytes | None = None
    username: str | None = None


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """All settings of one broker; times in seconds, sizes in bytes; raises LocalError for what the wire cannot say."""

    # Announced in a 5.0 CONNACK when they differ from the specification's default, and enforced on every version.
    receive_maximum: int = _UINT16
    """QoS 1 and QoS 2 publications one 5.0 client may have unfinished, 1 to 65,535. [5.0 3.2.2.3.3]"""
    maximum_qos: int = 2
    """Highest QoS a client may publish with. [5.0 3.2.2.3.4]"""
    retain_available: bool = True
    """Whether retained messages exist; without them a 3.x RETAIN flag is ignored. [5.0 3.2.2.3.5]"""
    maximum_packet_size: int | None = None
    """Largest packet a client may send, fixed header included; None for the protocol's own limit. [5.0 3.2.2.3.6]"""
    topic_alias_maximum: int = 32
    """Highest topic alias a client may use, 0 to 65,535. [5.0 3.2.2.3.8]"""
    wildcard_subscription_available: bool = True
    """Whether filters may have wildcards. [5.0 3.2.2.3.11]"""
    subscription_identifier_available: bool = True
    """Whether subscriptions may have identifiers. [5.0 3.2.2.3.12]"""
    shared_subscription_available: bool = True
    """Whether subscriptions may be shared. [5.0 3.2.2.3.13]"""
    server_keep_alive: int | None = None
    """Keep alive 5.0 clients must use instead of their own, 0 turns it off; None leaves theirs. [5.0 3.2.2.3.14]"""
    session_expiry_maximum: int = NEVER_EXPIRES
    """Longest Session Expiry Interval granted; 3.x sessions that are kept last as long. [5.0 3.2.2.3.2]"""
    response_information: str | None = None
    """Prefix of the Response Information a client may ask for; its client id is appended. [5.0 3.2.2.3.15]"""
    connack_user_property: tuple[tuple[str, str], ...] = ()
    """User Properties on every CONNACK. [5.0 3.2.2.3.10]"""

    # Legal choices a scenario may want to see.
    granted_qos_maximum: int = 2
    """SUBACK grants at most this. [5.0 3.8.4]"""
    outgoing_topic_alias_maximum: int = 16
    """Topic aliases the broker sets towards a client that allows them; 0 for none. [5.0 3.1.2.11.5]"""
    assigned_client_id_prefix: str = "auto-"
    """What client ids made by the broker begin with. [5.0 3.2.2.3.7]"""
    allow_empty_client_id: bool = True
    """Whether 3.1.1 and 5.0 clients may leave their id to the broker. [3.1.1 3.1.3.1, 5.0 3.1.3.1]"""
    enforce_client_id_length_31: bool = False
    """Whether a 3.1 client id of more than 23 characters is refused, as 3.1 says and few brokers do. [3.1 3.1]"""
    no_matching_subscribers_reason: bool = True
    """Whether PUBACK and PUBREC say 0x10 when nobody subscribes to the topic. [5.0 3.4.2.1]"""
    reason_strings: bool = True
    """Whether failures carry a Reason String where the client wants one. [5.0 3.1.2.11.7]"""
    validate_payload_format: bool = False
    """Whether a payload said to be UTF-8 is checked. [5.0 3.3.2.3.2]"""
    retry_31_seconds: float = 0.0
    """How long 3.1 clients may take to acknowledge before it is sent again, 0 for ever; not after 3.1. [3.1 4.1]"""
    refuse_connect: int | None = None
    """Reason code (5.0) or return code (3.x, when at most 5) with which every CONNECT is refused."""
    server_reference: str | None = None
    """Server Reference sent along with `refuse_connect` 0x9C or 0x9D. [5.0 4.11]"""

    # Who may do what.
    users: dict[str, str] | None = None
    """User names and passwords; None lets everybody in."""
    allow_anonymous: bool = False
    """Whether clients without a user name are let in although there are users; elsewhere than on loopback, at all."""
    access_rules: tuple[AccessRule, ...] = ()
    """The access list: the first rule that fits decides, and what no rule fits is allowed. [5.0 5.4.2]"""
    dollar_topics_between_clients: bool = True
    """Whether a client may publish to a topic that begins with $; it should not, see SHOULD.md. [5.0 4.7.2]"""
    authentication_methods: tuple[ChallengeMethod, ...] = ()
    """Methods of enhanced authentication a client may name. [5.0 4.12]"""

    # What keeps memory bounded.
    maximum_topic_length: int = _UINT16
    """Bytes of a topic or filter, share name aside; more is refused with 0x90 or 0x8F. [5.0 3.4.2.1, 3.9.3]"""
    maximum_topic_levels: int = 200
    """Levels of a topic or filter, share name aside; more is refused with 0x90 or 0x8F. [5.0 3.4.2.1, 3.9.3]"""
    connect_timeout_seconds: float = 10.0
    """How long a connection may take to a successful CONNACK; what the store takes is not counted. [5.0 3.1.4]"""
    maximum_half_open: int = 16_384
    """Connections without CONNACK; one more ends the oldest of them."""
    maximum_connect_size: int = 64 * 1024
    """Largest CONNECT without a will; more is refused with 0x95 as soon as its first bytes say so. [5.0 3.1.4]"""
    maximum_connect_size_with_will: int = 512 * 1024
    """Largest packet before CONNACK: has room for every field of a CONNECT at its longest; else 0x95. [5.0 3.1.4]"""
    maximum_control_size: int = 1024 * 1024
    """Largest packet of a client that is no PUBLISH; else it is disconnected with 0x97. [5.0 4.13]"""
    maximum_properties_size: int = 512 * 1024
    """Bytes of a PUBLISH's properties; else its client is disconnected with 0x97. [5.0 4.13]"""
    maximum_filters: int = 1000
    """Filters of one SUBSCRIBE or UNSUBSCRIBE; more of them disconnect their client with 0x97. [5.0 4.13]"""
    maximum_subscriptions: int = 100_000
    """Subscriptions of one session; one more is refused with 0x97 or 0x80. [5.0 3.9.3]"""
    opening_maximum_bytes: int = 64 * 1024 * 1024
    """Bytes of incomplete packets before CONNACK, of all connections; past it the one that holds most ends."""
    incoming_maximum_bytes: int = 512 * 1024 * 1024
    """Bytes of incomplete packets of all clients; past it the one that holds most is disconnected with 0x97."""
    maximum_connections: int | None = 100_000
    """Connected clients; one more is refused with 0x97 or 0x03."""
    maximum_connections_per_address: int | None = 20_000
    """Connections from one IPv4 address, or one IPv6 network of 64 bits; one more is closed at once."""
    maximum_connects_per_second: int | None = None
    """Connections one such address may open in a second; what comes faster is not read until its time has come."""
    maximum_failed_logins_per_minute: int | None = 60
    """Wrong passwords and proofs from one such address in a minute; past it none from there is looked at for a time."""
    maximum_packets_per_second: int | None = None
    """Packets one client may send in a second; who sends more is not read until its time has come."""
    maximum_bytes_per_second: int | None = None
    """Bytes one client may send in a second; who sends more is not read until its time has come."""
    maximum_inflight: int = 1024
    """Outgoing QoS 1 and QoS 2 messages unacknowledged per client, or the client's Receive Maximum if that is less."""
    queue_maximum_messages: int = 10_000
    """Messages waiting in one session, for an absent client or a slow one."""
    queue_maximum_bytes: int = 16 * 1024 * 1024
    """Payload bytes waiting in one session; topic and properties count where they are longer than 256 bytes."""
    queues_maximum_bytes: int = 1024 * 1024 * 1024
    """The same of all sessions together; past it every queue is full."""
    queue_drop_policy: DropPolicy = DropPolicy.NEWEST
    """Which message goes when a session's queue is full: `newest`, the one that would not fit, or `oldest`."""
    queue_qos0_offline: bool = False
    """Whether QoS 0 messages are queued for absent clients, which the specification leaves open. [5.0 4.1]"""
    retained_maximum_messages: int | None = 5_000_000
    """Retained messages held; one more is delivered but not kept, and PUBACK or PUBREC say 0x97."""
    retained_maximum_bytes: int = 2048 * 1024 * 1024
    """What retained messages may take with their topics' levels; past it as for their number."""
    subscriptions_maximum_bytes: int = 2048 * 1024 * 1024
    """What all subscriptions may take with their filters' levels; past it SUBACK refuses new ones with 0x97 or 0x80."""
    sessions_maximum_bytes: int = 1024 * 1024 * 1024
    """What sessions and wills may take, without subscriptions and messages; past it CONNECT is refused (0x97, 0x03)."""
    inflight_maximum_bytes: int = 64 * 1024 * 1024
    """Payloads of more than 64 KiB that one client may have to acknowledge; others wait in its queue behind one."""
    outgoing_maximum_bytes: int = 32 * 1024 * 1024
    """Bytes held for a client that does not read; past it QoS 0 messages are dropped, QoS 1 and 2 wait in the queue."""
    backpressure_seconds: float = 1.0
    """How long publishers wait for a subscriber that does not keep up, before it is left behind; 0 for never."""

    def __post_init__(self) -> None:
        for name, lowest, highest in RANGES:
            value = getattr(self, name)
            if value is not None and not lowest <= value <= highest:
                raise LocalError(f"{name} = {value} is not in {lowest}..{highest}")
        if self.refuse_connect is not None and self.refuse_connect not in _REFUSALS:
            raise LocalError(f"refuse_connect = {self.refuse_connect:#04x} is no code a CONNACK refuses with")
        for rule in self.access_rules:
            check_topic_filter(rule.topic_filter)


_REFUSALS: Final = (REASONS[Version.V5][PacketType.CONNACK] | REASONS[Version.V311][PacketType.CONNACK]) - {0}

RANGES: Final = (
    ("receive_maximum", 1, _UINT16),
    ("maximum_qos", 0, 2),
    ("maximum_packet_size", 2, _UINT32),
    ("topic_alias_maximum", 0, _UINT16),
    ("server_keep_alive", 0, _UINT16),
    ("session_expiry_maximum", 0, _UINT32),
    ("granted_qos_maximum", 0, 2),
    ("outgoing_topic_alias_maximum", 0, _UINT16),
    ("retry_31_seconds", 0, float("inf")),
    ("maximum_half_open", 1, float("inf")),
    ("maximum_connect_size", 64, _UINT32),
    ("opening_maximum_bytes", 0, float("inf")),
    ("incoming_maximum_bytes", 0, float("inf")),
    ("maximum_connect_size_with_will", 64, _UINT32),
    ("maximum_control_size", 64, _UINT32),
    ("maximum_properties_size", 64, _UINT32),
    ("maximum_filters", 1, float("inf")),
    ("maximum_subscriptions", 1, float("inf")),
    ("maximum_connections_per_address", 1, float("inf")),
    ("maximum_connects_per_second", 1, float("inf")),
    ("maximum_failed_logins_per_minute", 1, float("inf")),
    ("maximum_packets_per_second", 1, float("inf")),
    ("maximum_bytes_per_second", 1, float("inf")),
    ("maximum_topic_length", 1, _UINT16),
    ("maximum_topic_levels", 1, 65_536),
    ("connect_timeout_seconds", 0.001, float("inf")),
    ("maximum_connections", 1, float("inf")),
    ("maximum_inflight", 1, _UINT16),
    ("queue_maximum_messages", 0, float("inf")),
    ("queue_maximum_bytes", 0, float("inf")),
    ("queues_maximum_bytes", 0, float("inf")),
    ("retained_maximum_messages", 0, float("inf")),
    ("retained_maximum_bytes", 0, float("inf")),
    ("subscriptions_maximum_bytes", 0, float("inf")),
    ("sessions_maximum_bytes", 0, float("inf")),
    ("inflight_maximum_bytes", 0, float("inf")),
    ("outgoing_maximum_bytes", 0, float("inf")),
    ("backpressure_seconds", 0, float("inf")),
)
"""By setting: the lowest and the highest value it may have."""
