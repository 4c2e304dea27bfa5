"""What an implementation may lack without breaking the specification, by the names scenarios use in `needs`.

Belongs here: one row for each feature, with what it means and who must have it.
Does not belong here: who has it (an adapter's `hello`, a broker's description), versions and transports (a scenario has
fields of their own for them).

An implementation declares what it lacks, and which extra it has; a cell that needs what is lacking is `unsupported`,
which is never inferred from a failure.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from enum import Flag, auto

from interop.scenario.problems import closest


class Role(Flag):
    """Who must have a feature."""

    CLIENT = auto()
    BROKER = auto()
    BOTH = CLIENT | BROKER


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: what it means, and who must have it."""

    name: str
    meaning: str
    roles: Role = Role.BOTH
    only_in_5: bool = False
    is_extra: bool = False
    """No part of MQTT: it is asked only of who says that it has it."""


def _in_5(name: str, meaning: str, roles: Role = Role.BOTH) -> Feature:
    return Feature(name, meaning, roles, only_in_5=True)


_FEATURES = (
    Feature("qos1", "publishes and receives at QoS 1"),
    Feature("qos2", "publishes and receives at QoS 2"),
    Feature("kept-session", "keeps session state over network connections, within one client instance"),
    Feature("will", "a will in CONNECT, published when the client goes away"),
    _in_5("will-delay", "Will Delay Interval"),
    Feature("retained", "retained messages"),
    Feature("wildcard", "topic filters with + and #", Role.BROKER),
    _in_5("shared-subscription", "$share/group/filter", Role.BROKER),
    _in_5("subscription-identifier", "a Subscription Identifier in SUBSCRIBE and in received messages"),
    _in_5(
        "plain-subscribe", "SUBSCRIBE has no Subscription Identifier unless the application asks for one", Role.CLIENT
    ),
    _in_5("subscription-options", "No Local, Retain As Published, Retain Handling in SUBSCRIBE"),
    Feature("multiple-filters", "several topic filters in one SUBSCRIBE or UNSUBSCRIBE", Role.CLIENT),
    _in_5("topic-alias", "the client publishes with topic aliases the broker allows"),
    _in_5("topic-alias-inbound", "the broker sends with topic aliases, the client resolves them"),
    _in_5("receive-maximum", "obeys the peer's Receive Maximum"),
    _in_5("announce-receive-maximum", "the client announces a Receive Maximum of the application's choice"),
    _in_5("maximum-packet-size", "the client announces a Maximum Packet Size of the application's choice"),
    _in_5("refuse-message", "the application refuses a message with a reason code in PUBACK or PUBREC", Role.CLIENT),
    Feature("manual-ack", "the application decides when a message is acknowledged", Role.CLIENT),
    _in_5("auth", "enhanced authentication with AUTH"),
    Feature("empty-client-id", "sends a zero-length client id as it is, without making one up", Role.CLIENT),
    Feature("assigned-client-id", "the broker assigns a client id to a client without one", Role.BROKER),
    Feature("anonymous", "the broker lets clients in without user name and password", Role.BROKER),
    Feature("any-login", "the broker does not mind which user name and password a client gives", Role.BROKER),
    Feature("username-password", "user name and password in CONNECT", Role.CLIENT),
    Feature(
        "keep-alive", "the client keeps the connection alive with PINGREQ, and the interval can be chosen", Role.CLIENT
    ),
    _in_5("server-keep-alive", "the client obeys Server Keep Alive", Role.CLIENT),
    _in_5("server-disconnect", "the broker says why with DISCONNECT before it closes", Role.BROKER),
    _in_5("disconnect-reason", "DISCONNECT with a reason code of the application's choice", Role.CLIENT),
    _in_5("disconnect-properties", "DISCONNECT with properties, e.g. Session Expiry Interval", Role.CLIENT),
    _in_5("connect-properties", "CONNECT with properties of the application's choice", Role.CLIENT),
    _in_5("publish-properties", "PUBLISH with properties, and received ones shown to the application", Role.CLIENT),
    _in_5("will-properties", "will properties of the application's choice", Role.CLIENT),
    _in_5("subscribe-properties", "SUBSCRIBE and UNSUBSCRIBE with User Properties", Role.CLIENT),
    _in_5("reason-codes", "reason codes of acknowledgements are shown to the application", Role.CLIENT),
    _in_5("message-expiry", "Message Expiry Interval"),
    _in_5("session-expiry", "Session Expiry Interval of the application's choice"),
    Feature("concurrent-deliveries", "QoS 1 and 2 messages are sent before earlier ones are settled", Role.BROKER),
    Feature("offline-queue", "QoS 1 and 2 messages wait for a client that is away", Role.BROKER),
    Feature("persistence", "sessions and retained messages outlast an orderly restart of the broker", Role.BROKER),
    Feature("crash-persistence", "whatever was acknowledged outlasts the broker's being killed", Role.BROKER),
    Feature("publish-offline", "takes messages while there is no connection and sends them later", Role.CLIENT),
    Feature("large-payload", "payloads of 64 KiB and more"),
    Feature(
        "sparkplug-aware", "births are kept below $sparkplug/certificates (Sparkplug 3.0)", Role.BROKER, is_extra=True
    ),
)

FEATURES: dict[str, Feature] = {feature.name: feature for feature in _FEATURES}
"""Every feature by its name, in the order people read about them."""

EXTRAS = frozenset(name for name, feature in FEATURES.items() if feature.is_extra)


def unknown_features(names: Iterable[str]) -> list[str]:
    """What is wrong with names that somebody declares: a sentence for each that stands for no feature."""
    return [_unknown(name) for name in names if name not in FEATURES]


def _unknown(name: str) -> str:
    close = closest(name, FEATURES)
    guess = f"; did you mean {close!r}?" if close else ""
    return f"there is no feature {name!r}{guess} (`mqtt-interop list features` has them all)"


def missing(needs: Iterable[str], unsupported: Container[str], mqtt: str) -> list[str]:
    """Which of a scenario's needs an implementation lacks; in 3.x nothing needs what only 5.0 has."""
    return [need for need in needs if need in unsupported and (mqtt == "5.0" or not FEATURES[need].only_in_5)]
