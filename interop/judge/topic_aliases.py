"""Topic aliases: within the receiver's maximum, and set before they are used. [5.0 3.3.2.3.4]

Belongs here: the aliases one side uses on one connection.
Does not belong here: alias 0, which the codec refuses (`form`).
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.rule import V5, Breach, Rule, must
from interop.judge.view import BROKER, CLIENT, Case, Chain, peer_limits
from interop.tap.trace import Sender
from reference_broker.wire.packets import Publish

ALIAS_MAXIMUM = Rule(
    "topic-alias-maximum",
    "a topic alias is no greater than the receiver's Topic Alias Maximum",
    client={V5: must("MQTT-3.2.2-17", "MQTT-3.3.2-9")},
    broker={V5: must("MQTT-3.1.2-26", "MQTT-3.3.2-11")},
)
NO_ALIASES = Rule(
    "no-topic-alias-allowed",
    "no topic alias goes to a receiver that announced no Topic Alias Maximum, or 0",
    client={V5: must("MQTT-3.2.2-18")},
    broker={V5: must("MQTT-3.1.2-27")},
)
ALIAS_IS_KNOWN = Rule(
    "topic-alias-known",
    "a topic alias without a topic name was given one before on the same connection",
    both={V5: must("MQTT-3.3.2-7", "MQTT5-U-46")},
)
RULES = (ALIAS_MAXIMUM, NO_ALIASES, ALIAS_IS_KNOWN)


def inspect(case: Case) -> Iterator[Breach]:
    """Look at the aliases of every connection, and whether unknown ones come from the connection before."""
    for side in (CLIENT, BROKER):
        for chain in case.chains(side):
            yield from _aliases(chain, side)


def _aliases(chain: Chain, side: Sender) -> Iterator[Breach]:
    before: set[int] = set()
    for talk in chain.talks:
        known: set[int] = set()
        limits = peer_limits(talk, side)
        for event in talk.story(side):
            publish = event.packet
            if not event.mine or not isinstance(publish, Publish) or publish.properties.topic_alias is None:
                continue
            alias = publish.properties.topic_alias
            maximum = 0 if limits is None else limits.topic_alias_maximum or 0
            if limits is not None and alias > maximum:
                rule = ALIAS_MAXIMUM if maximum else NO_ALIASES
                yield rule.broken(side, event.entry, f"topic alias {alias}, {maximum} is the maximum")
            if publish.topic:
                known.add(alias)
            elif alias not in known:
                where = "set on an earlier connection only" if alias in before else "never set"
                ids = None if alias in before else ("MQTT5-U-46",)
                yield ALIAS_IS_KNOWN.broken(side, event.entry, f"topic alias {alias} was {where}", ids)
        before |= known
