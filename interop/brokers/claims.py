"""What a broker's CONNACK says it can do, against what its profile says. [5.0 3.2.2.3]

Belongs here: which property of CONNACK stands for which feature or setting, and the sentence where they differ.
Does not belong here: finding out what it really does (`interop.probe`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from interop.brokers.conversation import NoAnswer, conversation
from interop.brokers.profile import BrokerProfile
from interop.brokers.profiled import login_of
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import Version

_UINT16 = 0xFFFF


@dataclass(frozen=True, slots=True)
class Claim:
    """A property of CONNACK: what its absence means, and the feature that a broker lacks below `at_least`."""

    field: str
    name: str
    absent: int | None
    feature: str = ""
    at_least: int = 1


CLAIMS = (
    Claim("maximum_qos", "Maximum QoS", 2, "qos1"),
    Claim("maximum_qos", "Maximum QoS", 2, "qos2", 2),
    Claim("retain_available", "Retain Available", 1, "retained"),
    Claim("wildcard_subscription_available", "Wildcard Subscription Available", 1, "wildcard"),
    Claim("subscription_identifier_available", "Subscription Identifier Available", 1, "subscription-identifier"),
    Claim("shared_subscription_available", "Shared Subscription Available", 1, "shared-subscription"),
    Claim("topic_alias_maximum", "Topic Alias Maximum", 0, "topic-alias"),
    Claim("receive_maximum", "Receive Maximum", _UINT16),
    Claim("maximum_packet_size", "Maximum Packet Size", None),
    Claim("server_keep_alive", "Server Keep Alive", None),
)
"""Those with a feature first; every one is a setting, too, by the same name. [5.0 3.2.2.3.2 to 3.2.2.3.14]"""


def lacking(said: Properties) -> tuple[str, ...]:
    """The features that a CONNACK says are lacking."""
    return tuple(claim.feature for claim in CLAIMS if claim.feature and _value(claim, said) < claim.at_least)


def _value(claim: Claim, said: Properties) -> Any:
    value = getattr(said, claim.field)
    return claim.absent if value is None else value


def mismatches(profile: BrokerProfile, said: Properties) -> list[str]:
    """A sentence for each thing that a profile says and a CONNACK of its broker says otherwise."""
    missing = lacking(said)
    sentences = []
    for claim in CLAIMS:
        shown = f"CONNACK says {claim.name} {getattr(said, claim.field)}"
        if claim.feature in missing and claim.feature not in profile.lacks:
            sentences.append(f"the profile does not say that it lacks {claim.feature}, but {shown}")
        elif claim.feature in profile.lacks and claim.feature not in missing:
            nothing = f"CONNACK does not say so with {claim.name}"
            sentences.append(f"the profile says that it lacks {claim.feature}, but {nothing}")
    for claim in {claim.field: claim for claim in CLAIMS}.values():
        if claim.field in profile.settings and int(profile.settings[claim.field]) != _value(claim, said):
            value = _value(claim, said)
            heard = f"CONNACK says {'nothing' if value is None else value}"
            sentences.append(f"the profile says that {claim.name} is {profile.settings[claim.field]}, but {heard}")
    return [f"{profile.name}: {sentence}" for sentence in sentences]


async def check_claims(profiles: Iterable[BrokerProfile]) -> list[str]:
    """Ask each broker that speaks 5.0 for its CONNACK; one that does not answer is no matter of claims."""
    answers = await asyncio.gather(*(_ask(profile) for profile in profiles if "5.0" in profile.mqtt))
    return [sentence for sentences in answers for sentence in sentences]


async def _ask(profile: BrokerProfile) -> list[str]:
    address = next(iter(profile.addresses.values()))
    try:
        async with conversation(address, Version.V5, login_of(profile)) as talk:
            return mismatches(profile, talk.connack.properties)
    except NoAnswer:
        return []
