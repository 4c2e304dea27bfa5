"""From a topic to the sessions that get its messages. [3.1.1 3.3.5, 5.0 3.3.4, 4.8]

Belongs here: the subscriptions of all sessions, and for each topic the merged answer, remembered until it changes.
Does not belong here: delivering, retained messages, or the packets that subscribe.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from sys import getsizeof

from reference_broker.broker.keeping.session import Session, Subscribed, SubscribedShare, Target
from reference_broker.broker.keeping.shared import SharedSubscription
from reference_broker.broker.keeping.topic_tree import TopicTree, has_wildcard
from reference_broker.broker.values.access import AccessControl
from reference_broker.broker.values.sizes import NODE_BYTES, SUBSCRIPTION_BYTES
from reference_broker.wire.packets import Subscription
from reference_broker.wire.types import QoS

_REMEMBERED_BYTES = 32 * 1024 * 1024
"""What remembered routes may take; past it all are forgotten. So many that only one topic in 500 bytes is too long."""

_ROUTE_BYTES, _TARGET_BYTES, _MERGED_BYTES = 300, 8, 150
"""What a route takes with its place in a dict, each of its targets, and each that was made for it."""

_SLICE = 500
"""So many subscriptions go at once, which takes some milliseconds."""


class Merged(Target):
    """Overlapping subscriptions of one session, merged into one copy.

    It has the highest granted QoS and all subscription identifiers. [5.0 MQTT-3.3.4-2, MQTT-3.3.4-4]
    """

    __slots__ = ("_rest",)

    def __init__(self, subscriptions: list[Subscribed]) -> None:
        super().__init__(
            subscriptions[0].session,
            max(each.qos for each in subscriptions),
            any(each.no_local for each in subscriptions),
            any(each.retain_as_published for each in subscriptions),
            tuple(chain.from_iterable(each.subscription_ids for each in subscriptions)),
        )
        rest = [each for each in subscriptions if not each.no_local] if self.no_local else []
        self._rest = Merged(rest) if rest else None

    @property
    def own(self) -> Target | None:
        """The same without the session's No Local subscriptions."""
        return self._rest if self.no_local else self


class Route:
    """Everybody who gets the messages of one topic; each shared subscription chooses anew for each message."""

    __slots__ = ("shared", "targets")

    def __init__(self, targets: tuple[Target, ...], shared: tuple[SharedSubscription, ...]) -> None:
        self.targets = targets
        self.shared = shared

    def size_bytes(self) -> int:
        """About how much memory it takes, its topic aside."""
        merged = [target for target in self.targets if isinstance(target, Merged)]
        made = len(merged) * _MERGED_BYTES + 8 * sum(len(target.subscription_ids) for target in merged)
        return _ROUTE_BYTES + (len(self.targets) + len(self.shared)) * _TARGET_BYTES + made


class Router:
    """The subscriptions of all sessions, and the routes that follow from them."""

    def __init__(self, access: AccessControl) -> None:
        self._access = access
        self._tree: TopicTree[Session, Subscribed] = TopicTree(lambda subscribed: subscribed.session)
        self._shared_tree: TopicTree[SharedSubscription, SharedSubscription] = TopicTree(lambda shared: shared)
        self._shared: dict[str, SharedSubscription] = {}
        self.routes: dict[str, Route] = {}
        self._remembered_bytes = 0
        self._ending_count = 0
        """Of how many sessions that have ended there are still subscriptions, which bring nothing."""
        self._subscription_bytes = 0
        self.subscription_count = 0
        """Subscriptions of all sessions."""
        self.generation = 0
        """Counts changes, so that whoever remembers a route elsewhere can tell that it is stale."""

    @property
    def shared_count(self) -> int:
        """Shared subscriptions, however many members they have."""
        return len(self._shared)

    def size_bytes(self) -> int:
        """About how much memory all subscriptions take."""
        nodes = self._tree.node_count + self._shared_tree.node_count
        return self._subscription_bytes + NODE_BYTES * nodes

    def route(self, topic: str) -> Route:
        """Who gets the messages of a topic, from the cache if nothing changed since it was asked last."""
        route = self.routes.get(topic)
        if route is None:
            route = self._find(topic)
            size_bytes = route.size_bytes() + getsizeof(topic)
            if self._remembered_bytes + size_bytes > _REMEMBERED_BYTES:
                self.cut()
            self.routes[topic] = route
            self._remembered_bytes += size_bytes
        return route

    def cut(self, topic_filter: str | None = None) -> None:
        """Forget remembered routes, because a filter's subscriptions or, with None, rights have changed."""
        self.generation += 1
        if topic_filter is None or has_wildcard(topic_filter):
            self.routes.clear()
            self._remembered_bytes = 0
        elif (route := self.routes.pop(topic_filter, None)) is not None:
            self._remembered_bytes -= route.size_bytes() + getsizeof(topic_filter)

    def subscribe(
        self,
        session: Session,
        options: Subscription,
        granted: QoS,
        subscription_ids: tuple[int, ...],
        share: str | None,
        bare: str,
    ) -> bool:
        """Make or replace a subscription; whether it is new. [5.0 MQTT-3.8.4-3]

        `options.topic_filter` identifies it within the session, `bare` is that filter without `$share/{share}/`. The
        same text may have been a filter like any other in 3.x and be a shared one in 5.0: one replaces the other.
        """
        topic_filter = options.topic_filter
        replaced = session.subscriptions.get(topic_filter)
        is_new = replaced is None
        if replaced is not None and (replaced.share is None) is not (share is None):
            self.unsubscribe(session, topic_filter)
        shared = None
        if share is not None:
            shared = self._shared.get(topic_filter)
            if shared is None:
                shared = self._shared[topic_filter] = SharedSubscription(topic_filter)
                self._shared_tree.set(bare, shared)
        kind = Subscribed if share is None else SubscribedShare
        subscribed = kind(session, options, granted, subscription_ids)
        session.subscriptions[topic_filter] = subscribed
        session.keep_subscription(topic_filter)
        if is_new:
            self._subscription_bytes += SUBSCRIPTION_BYTES + getsizeof(topic_filter)
            self.subscription_count += 1
        if shared is None:
            self._tree.set(bare, subscribed)
        else:
            shared.join(subscribed)
        self.cut(bare)
        return is_new

    def ask_rules_again(self, session: Session) -> None:
        """Silence the subscriptions that a session's user may not make, and let the others be heard."""
        for topic_filter, subscribed in list(session.subscriptions.items()):
            if subscribed.share is not None:
                continue  # its members are asked for each message
            if self._access.may_subscribe(session, topic_filter):
                self._tree.set(topic_filter, subscribed)
            else:
                self._tree.remove(topic_filter, session)
        self.cut()

    def unsubscribe(self, session: Session, topic_filter: str) -> bool:
        """Remove the subscription with exactly this filter; whether there was one. [5.0 MQTT-3.10.4-1]"""
        subscribed = session.subscriptions.pop(topic_filter, None)
        if subscribed is None:
            return False
        session.keep_subscription(topic_filter)
        self.cut(self._forget(subscribed))
        return True

    def _forget(self, subscribed: Subscribed) -> str:
        """Let go of a subscription that its session does not have any more; its filter without share name."""
        session, topic_filter = subscribed.session, subscribed.topic_filter
        self._subscription_bytes -= SUBSCRIPTION_BYTES + getsizeof(topic_filter)
        self.subscription_count -= 1
        if subscribed.share is None:
            self._tree.remove(topic_filter, session)
            return topic_filter
        bare = topic_filter.split("/", 2)[2]
        shared = self._shared[topic_filter]
        shared.leave(session)
        if not shared:  # the last member ends it [5.0 4.8.2]
            del self._shared[topic_filter]
            self._shared_tree.remove(bare, shared)
        return bare

    def shared_subscription(self, topic_filter: str) -> SharedSubscription | None:
        """The shared subscription of a whole filter, `$share/...` included."""
        return self._shared.get(topic_filter)

    def remove_session(self, session: Session) -> Iterator[None]:
        """Have no subscription of a session that ends bring anything, at once; they go slice by slice.

        All are gone when the iterator is through. The first slice is done before it pauses: mostly that is all.
        """
        former = list(session.subscriptions.values())
        session.subscribed = None
        for subscribed in former[:_SLICE]:
            self.cut(self._forget(subscribed))
        if len(former) <= _SLICE:
            return
        self.cut()
        self._ending_count += 1
        for start in range(_SLICE, len(former), _SLICE):
            yield
            for subscribed in former[start : start + _SLICE]:
                self._forget(subscribed)
        self._ending_count -= 1

    def _find(self, topic: str) -> Route:
        access = self._access
        found = self._tree.match(topic)
        shared = self._shared_tree.match(topic) if self._shared else []
        if self._ending_count:
            found = [each for each in found if each.session.subscribed is not None]
            shared = [each for each in shared if each.has_any()]
        if access.limits_receivers:
            found = [each for each in found if access.may_receive(each.session, topic)]
        return Route(_merge(found), tuple(shared))


def _merge(found: list[Subscribed]) -> tuple[Target, ...]:
    """One target for each session."""
    if len(found) < 2:
        return tuple(found)
    by_session: dict[Session, list[Subscribed]] = {}
    for subscribed in found:
        by_session.setdefault(subscribed.session, []).append(subscribed)
    return tuple(each[0] if len(each) == 1 else Merged(each) for each in by_session.values())
