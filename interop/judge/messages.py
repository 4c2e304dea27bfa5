"""Application messages and subscriptions as the broker got to know them, over all links.

Belongs here: where a message came from, which subscriptions a session has, what the broker then delivered on it.
Does not belong here: judging any of it (`delivery`, `retained`, `message_properties`, `will`).

A message is recognised by topic and payload. Nothing is concluded about one that could have several origins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from operator import itemgetter

from interop.judge.view import BROKER, Case, Chain, Event, Talk
from interop.tap.trace import TraceEntry
from reference_broker.wire.packets import (
    Connect,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from reference_broker.wire.topics import SHARE_PREFIX, matches
from reference_broker.wire.types import QoS

Key = tuple[str, bytes]
"""Topic and payload."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One PUBLISH that reached the broker; `taken` is the entry that proves the broker had dealt with it, if any."""

    entry: TraceEntry
    publish: Publish
    topic: str
    talk: Talk
    client_id: str
    taken: TraceEntry | None = None


@dataclass(frozen=True, slots=True)
class WillOrigin:
    """A will that a CONNECT brought to the broker."""

    entry: TraceEntry
    will: Will
    talk: Talk


@dataclass(slots=True)
class Grant:
    """One topic filter of one SUBSCRIBE that reached the broker, until the filter is asked for anew or given up.

    `code` and `granted` are the SUBACK's, None while there was none; `given_up` is the UNSUBSCRIBE or later SUBSCRIBE.
    """

    subscription: Subscription
    identifier: int | None
    asked: TraceEntry
    code: int | None = None
    granted: TraceEntry | None = None
    given_up: TraceEntry | None = None

    @property
    def is_shared(self) -> bool:
        """Whether the filter names a share; brokers have these in 3.x too, though no 3.x text does."""
        return self.subscription.topic_filter.startswith(SHARE_PREFIX)

    @property
    def was_refused(self) -> bool:
        """Whether SUBACK said no."""
        return self.code is not None and self.code >= 0x80

    @property
    def was_replaced(self) -> bool:
        """Whether a later SUBSCRIBE for the same filter took its place."""
        return self.given_up is not None and isinstance(self.given_up.packet, Subscribe)

    @property
    def maximum_qos(self) -> int:
        """The highest QoS this grant allows: what was asked for while no SUBACK says less."""
        return int(self.subscription.qos) if self.code is None else self.code

    def selects(self, topic: str) -> bool:
        """Whether the filter matches the topic."""
        topic_filter = self.subscription.topic_filter
        if matches(topic_filter, topic):
            return True
        if not self.is_shared:
            return False
        rest = topic_filter.removeprefix(SHARE_PREFIX).partition("/")[2]
        return bool(rest) and matches(rest, topic)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One PUBLISH the broker sent; `topic` is None when only an alias unknown to us names it."""

    talk: Talk
    entry: TraceEntry
    publish: Publish
    topic: str | None
    is_again: bool  # it was sent before, on this connection or an earlier one


@dataclass
class Audience:
    """One session as a receiver: everything it ever subscribed to, and what it was sent."""

    chain: Chain
    grants: list[Grant] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    def matching(self, topic: str) -> list[Grant]:
        """All grants, given up or not, that select the topic and were not refused."""
        exact, others = self._by_filter
        found = [*exact.get(topic, ()), *(numbered for numbered in others if numbered[1].selects(topic))]
        return [grant for _, grant in sorted(found, key=itemgetter(0)) if not grant.was_refused]

    @cached_property
    def _by_filter(self) -> tuple[dict[str, list[tuple[int, Grant]]], list[tuple[int, Grant]]]:
        """The grants with their places: by filter where that is a topic, for a session may have thousands; all others.

        For when all grants are there.
        """
        exact: dict[str, list[tuple[int, Grant]]] = {}
        others = []
        for numbered in enumerate(self.grants):
            topic_filter = numbered[1].subscription.topic_filter
            if numbered[1].is_shared or "+" in topic_filter or "#" in topic_filter:
                others.append(numbered)
            else:
                exact.setdefault(topic_filter, []).append(numbered)
        return exact, others

    def only_grant(self, topic: str) -> Grant | None:
        """The one grant that ever selected the topic, if it is one, not shared, and its SUBACK is there."""
        matching = self.matching(topic)
        if len(matching) != 1 or matching[0].is_shared or matching[0].granted is None:
            return None
        return matching[0]


class Messages:
    """All origins, wills and audiences of a case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.origins: dict[Key, list[Origin]] = {}
        self.repeated: set[Key] = set()  # QoS 2 messages of which a copy came before PUBREL
        self.wills: dict[Key, list[WillOrigin]] = {}
        for chain in case.chains(BROKER):
            _Intake(self, chain).read()
        for talk in case.talks:
            self._read_will(talk)
        self.audiences = [_audience(chain) for chain in case.chains(BROKER)]

    def knows(self, topic: str, payload: bytes) -> bool:
        """Whether anybody published that, or left it as a will."""
        return (topic, payload) in self.origins or (topic, payload) in self.wills

    def origin(self, topic: str | None, payload: bytes) -> Origin | None:
        """The only PUBLISH a message can come from; None when there are several, or a will, or none."""
        if topic is None or (topic, payload) in self.wills:
            return None
        found = self.origins.get((topic, payload), [])
        return found[0] if len(found) == 1 else None

    def _read_will(self, talk: Talk) -> None:
        for entry in talk.got(BROKER):
            if isinstance(entry.packet, Connect) and entry.packet.will is not None:
                will = entry.packet.will
                self.wills.setdefault((will.topic, will.payload), []).append(WillOrigin(entry, will, talk))


class _Intake:
    """Messages one session publishes, as they reach the broker."""

    def __init__(self, messages: Messages, chain: Chain) -> None:
        self._messages = messages
        self._chain = chain
        self._unreleased: dict[int, Publish] = {}

    def read(self) -> None:
        """Note every message of the session."""
        for talk in self._chain.talks:
            story = talk.story(BROKER)
            aliases: dict[int, str] = {}
            for place, event in enumerate(story):
                if event.mine and isinstance(event.packet, PubRec) and event.packet.reason >= 0x80:
                    self._unreleased.pop(event.packet.packet_id, None)  # refused: the next one is new
                elif event.mine:
                    continue
                elif isinstance(event.packet, PubRel):
                    self._unreleased.pop(event.packet.packet_id, None)
                elif isinstance(event.packet, Publish):
                    self._note(talk, event, event.packet, _resolve(event.packet, aliases), story[place + 1 :])

    def _note(self, talk: Talk, event: Event, publish: Publish, topic: str | None, rest: list[Event]) -> None:
        if topic is None:
            return
        key = (topic, publish.payload)
        if publish.packet_id is not None and publish.qos is QoS.EXACTLY_ONCE:
            known = self._unreleased.get(publish.packet_id)
            self._unreleased[publish.packet_id] = publish
            if known is not None and known.payload == publish.payload:
                self._messages.repeated.add(key)
                return
        origin = Origin(event.entry, publish, topic, talk, self._chain.client_id, _taken(publish, rest))
        self._messages.origins.setdefault(key, []).append(origin)


def _taken(publish: Publish, rest: list[Event]) -> TraceEntry | None:
    """The acknowledgement that ends the broker's part: PUBACK, or PUBCOMP."""
    wanted = PubAck if publish.qos is QoS.AT_LEAST_ONCE else PubComp
    return next(
        (
            event.entry
            for event in rest
            if event.mine and isinstance(event.packet, wanted) and event.packet.packet_id == publish.packet_id
        ),
        None,
    )


def _resolve(publish: Publish, aliases: dict[int, str]) -> str | None:
    """The topic a PUBLISH means; remembers what its alias stands for."""
    alias = publish.properties.topic_alias
    if publish.topic:
        if alias is not None:
            aliases[alias] = publish.topic
        return publish.topic
    return None if alias is None else aliases.get(alias)


def _audience(chain: Chain) -> Audience:
    audience = Audience(chain)
    unfinished: dict[int, bytes] = {}
    for talk in chain.talks:
        aliases: dict[int, str] = {}
        for event in talk.story(BROKER):
            if not event.mine:
                _note_request(audience, event)
                if isinstance(event.packet, PubAck | PubComp) or (
                    isinstance(event.packet, PubRec) and event.packet.reason >= 0x80
                ):
                    unfinished.pop(event.packet.packet_id, None)
            elif isinstance(event.packet, SubAck):
                _note_suback(audience, event, event.packet)
            elif isinstance(event.packet, Publish):
                audience.deliveries.append(_delivery(talk, event, event.packet, aliases, unfinished))
        if not talk.is_understood(BROKER):
            break
    return audience


def _delivery(
    talk: Talk, event: Event, publish: Publish, aliases: dict[int, str], unfinished: dict[int, bytes]
) -> Delivery:
    is_again = publish.dup
    if publish.packet_id is not None:
        is_again = is_again or unfinished.get(publish.packet_id) == publish.payload
        unfinished[publish.packet_id] = publish.payload
    return Delivery(talk, event.entry, publish, _resolve(publish, aliases), is_again)


def _note_request(audience: Audience, event: Event) -> None:
    packet = event.packet
    if isinstance(packet, Subscribe):
        identifiers = packet.properties.subscription_identifier
        for subscription in packet.subscriptions:
            _give_up(audience, subscription.topic_filter, event)
            identifier = identifiers[0] if identifiers else None
            audience.grants.append(Grant(subscription, identifier, event.entry))
    elif isinstance(packet, Unsubscribe):
        for topic_filter in packet.topic_filters:
            _give_up(audience, topic_filter, event)


def _give_up(audience: Audience, topic_filter: str, event: Event) -> None:
    for grant in audience.grants:
        if grant.subscription.topic_filter == topic_filter and grant.given_up is None:
            grant.given_up = event.entry


def _note_suback(audience: Audience, event: Event, suback: SubAck) -> None:
    asked = _asked_by(audience, suback.packet_id)
    if len(asked) == len(suback.reasons):
        for grant, code in zip(asked, suback.reasons, strict=True):
            grant.code, grant.granted = code, event.entry


def _asked_by(audience: Audience, packet_id: int) -> list[Grant]:
    """The grants of the last SUBSCRIBE with that identifier."""
    entries = [
        grant.asked
        for grant in audience.grants
        if isinstance(grant.asked.packet, Subscribe) and grant.asked.packet.packet_id == packet_id
    ]
    return [grant for grant in audience.grants if grant.asked is entries[-1]] if entries else []


@lru_cache(maxsize=1)
def messages_of(case: Case) -> Messages:
    """The messages of a case, gathered once for all who ask."""
    return Messages(case)


def new_deliveries(audience: Audience) -> Iterator[tuple[Delivery, str]]:
    """What was sent for the first time and under a topic we know."""
    for delivery in audience.deliveries:
        if not delivery.is_again and delivery.topic is not None:
            yield delivery, delivery.topic
