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
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from reference_broker.wire.topics import SHARE_PREFIX, matches
from reference_broker.wire.types import QoS, is_error

Key = tuple[str, bytes]
"""Topic and payload."""


@dataclass(slots=True)
class Origin:
    """One PUBLISH that reached the broker; `taken` is the entry that proves the broker had dealt with it, if any.

    That is the acknowledgement that ends the broker's part: PUBACK, or PUBCOMP.
    """

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

    `code` and `granted` are the SUBACK's, None while there was none; `given_up` is the UNSUBSCRIBE or later SUBSCRIBE,
    and `gone` the UNSUBACK, by which the broker says that it has given the subscription up.
    """

    subscription: Subscription
    identifier: int | None
    asked: TraceEntry
    code: int | None = None
    granted: TraceEntry | None = None
    given_up: TraceEntry | None = None
    gone: TraceEntry | None = None

    @property
    def is_shared(self) -> bool:
        """Whether the filter names a share; brokers have these in 3.x too, though no 3.x text does."""
        return self.subscription.topic_filter.startswith(SHARE_PREFIX)

    @property
    def was_refused(self) -> bool:
        """Whether SUBACK said no."""
        return self.code is not None and is_error(self.code)

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

    def copies(self, topic: str, payload: bytes) -> list[Delivery]:
        """What was sent of a message, without what was sent again."""
        return self._by_message.get((topic, payload), [])

    @cached_property
    def _by_message(self) -> dict[Key, list[Delivery]]:
        """For when all deliveries are there."""
        found: dict[Key, list[Delivery]] = {}
        for delivery, topic in new_deliveries(self):
            found.setdefault((topic, delivery.publish.payload), []).append(delivery)
        return found

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
        self.audiences = [_Reception(chain).read() for chain in case.chains(BROKER)]

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
        self._due: dict[tuple[type[Packet], int], list[Origin]] = {}
        """By the acknowledgement they wait for on this connection."""

    def read(self) -> None:
        """Note every message of the session."""
        for talk in self._chain.talks:
            aliases: dict[int, str] = {}
            self._due.clear()
            for event in talk.story(BROKER):
                if event.mine and isinstance(event.packet, PubRec) and is_error(event.packet.reason):
                    self._unreleased.pop(event.packet.packet_id, None)  # refused: the next one is new
                elif event.mine:
                    self._note_end(event)
                elif isinstance(event.packet, PubRel):
                    self._unreleased.pop(event.packet.packet_id, None)
                elif isinstance(event.packet, Publish):
                    self._note(talk, event, event.packet, _resolve(event.packet, aliases))

    def _note(self, talk: Talk, event: Event, publish: Publish, topic: str | None) -> None:
        if topic is None:
            return
        key = (topic, publish.payload)
        if publish.packet_id is not None and publish.qos is QoS.EXACTLY_ONCE:
            known = self._unreleased.get(publish.packet_id)
            self._unreleased[publish.packet_id] = publish
            if known is not None and known.payload == publish.payload:
                self._messages.repeated.add(key)
                return
        origin = Origin(event.entry, publish, topic, talk, self._chain.client_id)
        self._messages.origins.setdefault(key, []).append(origin)
        if publish.packet_id is not None:
            ending = PubAck if publish.qos is QoS.AT_LEAST_ONCE else PubComp
            self._due.setdefault((ending, publish.packet_id), []).append(origin)

    def _note_end(self, event: Event) -> None:
        packet = event.packet
        if isinstance(packet, PubAck | PubComp):
            for origin in self._due.pop((type(packet), packet.packet_id), ()):
                origin.taken = event.entry


def _resolve(publish: Publish, aliases: dict[int, str]) -> str | None:
    """The topic a PUBLISH means; remembers what its alias stands for."""
    alias = publish.properties.topic_alias
    if publish.topic:
        if alias is not None:
            aliases[alias] = publish.topic
        return publish.topic
    return None if alias is None else aliases.get(alias)


class _Reception:
    """What one session subscribes to, and what it is sent."""

    def __init__(self, chain: Chain) -> None:
        self._audience = Audience(chain)
        self._standing: dict[str, Grant] = {}  # by filter
        self._subscribed: dict[int, list[Grant]] = {}  # by the identifier of the last SUBSCRIBE that has it
        self._unsubscribed: dict[int, list[Grant]] = {}  # by that of an UNSUBSCRIBE without UNSUBACK
        self._unfinished: dict[int, bytes] = {}

    def read(self) -> Audience:
        """Follow it through all connections that are understood."""
        chain = self._audience.chain
        for talk in chain.talks:
            aliases: dict[int, str] = {}
            for event in talk.story(BROKER):
                if not event.mine:
                    self._gets(event)
                elif isinstance(event.packet, Publish):
                    self._audience.deliveries.append(self._delivery(talk, event, event.packet, aliases))
                else:
                    self._answers(event)
            if not talk.is_understood(BROKER):
                break
        return self._audience

    def _delivery(self, talk: Talk, event: Event, publish: Publish, aliases: dict[int, str]) -> Delivery:
        is_again = publish.dup
        if publish.packet_id is not None:
            is_again = is_again or self._unfinished.get(publish.packet_id) == publish.payload
            self._unfinished[publish.packet_id] = publish.payload
        return Delivery(talk, event.entry, publish, _resolve(publish, aliases), is_again)

    def _gets(self, event: Event) -> None:
        packet = event.packet
        if isinstance(packet, Subscribe):
            identifiers = packet.properties.subscription_identifier
            self._subscribed[packet.packet_id] = [
                self._subscribe(subscription, identifiers[0] if identifiers else None, event)
                for subscription in packet.subscriptions
            ]
        elif isinstance(packet, Unsubscribe):
            given_up = (self._give_up(topic_filter, event) for topic_filter in packet.topic_filters)
            self._unsubscribed.setdefault(packet.packet_id, []).extend(filter(None, given_up))
        elif isinstance(packet, PubAck | PubComp) or (isinstance(packet, PubRec) and is_error(packet.reason)):
            self._unfinished.pop(packet.packet_id, None)

    def _subscribe(self, subscription: Subscription, identifier: int | None, event: Event) -> Grant:
        self._give_up(subscription.topic_filter, event)
        grant = self._standing[subscription.topic_filter] = Grant(subscription, identifier, event.entry)
        self._audience.grants.append(grant)
        return grant

    def _give_up(self, topic_filter: str, event: Event) -> Grant | None:
        grant = self._standing.pop(topic_filter, None)
        if grant is not None:
            grant.given_up = event.entry
        return grant

    def _answers(self, event: Event) -> None:
        packet = event.packet
        if isinstance(packet, SubAck):
            asked = self._subscribed.get(packet.packet_id, [])
            if len(asked) == len(packet.reasons):
                for grant, code in zip(asked, packet.reasons, strict=True):
                    grant.code, grant.granted = code, event.entry
        elif isinstance(packet, UnsubAck):
            for grant in self._unsubscribed.pop(packet.packet_id, ()):
                grant.gone = event.entry


@lru_cache(maxsize=1)
def messages_of(case: Case) -> Messages:
    """The messages of a case, gathered once for all who ask."""
    return Messages(case)


def new_deliveries(audience: Audience) -> Iterator[tuple[Delivery, str]]:
    """What was sent for the first time and under a topic we know."""
    for delivery in audience.deliveries:
        if not delivery.is_again and delivery.topic is not None:
            yield delivery, delivery.topic
