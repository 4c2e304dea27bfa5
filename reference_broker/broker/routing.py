"""From a topic to the sessions that get its messages. [3.1.1 3.3.5, 5.0 3.3.4, 4.8]

Belongs here: the subscriptions of all sessions, and for each topic the merged answer, remembered until it changes.
Does not belong here: delivering, retained messages, or the packets that subscribe.
"""

from __future__ import annotations

from reference_broker.broker.access import AccessControl
from reference_broker.broker.sessions import Session
from reference_broker.broker.shared import SharedSubscription
from reference_broker.broker.topic_tree import TopicTree, has_wildcard
from reference_broker.wire.packets import Subscription
from reference_broker.wire.types import QoS

_CACHE_SIZE = 65_536


class Subscribed:
    """One subscription as granted; `subscription_id` 0 means none. [5.0 3.8.3.1]"""

    __slots__ = ("no_local", "qos", "retain_as_published", "session", "shared", "subscription_id")

    def __init__(
        self,
        session: Session,
        options: Subscription,
        granted: QoS,
        subscription_id: int = 0,
        shared: SharedSubscription | None = None,
    ) -> None:
        self.session = session
        self.qos = granted
        self.no_local = options.no_local
        self.retain_as_published = options.retain_as_published
        self.subscription_id = subscription_id
        self.shared = shared


class Target:
    """What one session gets of a topic's messages, its overlapping subscriptions merged into one copy.

    The copy has the highest granted QoS and all subscription identifiers [5.0 MQTT-3.3.4-2, MQTT-3.3.4-4], and keeps
    the RETAIN flag if any of the subscriptions asked for it. `own` is what the session gets of what it published
    itself: without its No Local subscriptions, None for nothing. [5.0 MQTT-3.8.3-3]
    """

    __slots__ = ("own", "qos", "retain_as_published", "session", "subscription_ids")

    def __init__(self, session: Session, subscriptions: list[Subscribed]) -> None:
        self.session = session
        self.qos = max(subscribed.qos for subscribed in subscriptions)
        self.retain_as_published = any(subscribed.retain_as_published for subscribed in subscriptions)
        self.subscription_ids = tuple(s.subscription_id for s in subscriptions if s.subscription_id)
        self.own: Target | None = self
        if any(subscribed.no_local for subscribed in subscriptions):
            rest = [subscribed for subscribed in subscriptions if not subscribed.no_local]
            self.own = Target(session, rest) if rest else None


class Route:
    """Everybody who gets the messages of one topic; each shared subscription chooses anew for each message."""

    __slots__ = ("shared", "targets")

    def __init__(self, targets: tuple[Target, ...], shared: tuple[SharedSubscription, ...]) -> None:
        self.targets = targets
        self.shared = shared


class Router:
    """The subscriptions of all sessions, and the routes that follow from them."""

    def __init__(self, access: AccessControl) -> None:
        self._access = access
        self._tree: TopicTree[Session, Subscribed] = TopicTree()
        self._shared_tree: TopicTree[SharedSubscription, SharedSubscription] = TopicTree()
        self._shared: dict[str, SharedSubscription] = {}
        self.routes: dict[str, Route] = {}
        self.generation = 0
        """Counts changes, so that whoever remembers a route elsewhere can tell that it is stale."""

    def route(self, topic: str) -> Route:
        """Who gets the messages of a topic, from the cache if nothing changed since it was asked last."""
        route = self.routes.get(topic)
        if route is None:
            if len(self.routes) >= _CACHE_SIZE:
                self.cut()
            route = self.routes[topic] = self._find(topic)
        return route

    def cut(self, topic_filter: str | None = None) -> None:
        """Forget remembered routes, because a filter's subscriptions or, with None, rights have changed."""
        self.generation += 1
        if topic_filter is None or has_wildcard(topic_filter):
            self.routes.clear()
        else:
            self.routes.pop(topic_filter, None)

    def subscribe(
        self, session: Session, options: Subscription, granted: QoS, subscription_id: int, share: str | None, bare: str
    ) -> bool:
        """Make or replace a subscription; whether it is new. [5.0 MQTT-3.8.4-3]

        `options.topic_filter` identifies it within the session, `bare` is that filter without `$share/{share}/`.
        """
        topic_filter = options.topic_filter
        is_new = topic_filter not in session.subscriptions
        shared = None
        if share is not None:
            shared = self._shared.get(topic_filter)
            if shared is None:
                shared = self._shared[topic_filter] = SharedSubscription(topic_filter)
                self._shared_tree.set(bare, shared, shared)
        subscribed = Subscribed(session, options, granted, subscription_id, shared)
        session.subscriptions[topic_filter] = subscribed
        if shared is None:
            self._tree.set(bare, session, subscribed)
        else:
            shared.join(subscribed)
        self.cut(bare)
        return is_new

    def unsubscribe(self, session: Session, topic_filter: str) -> bool:
        """Remove the subscription with exactly this filter; whether there was one. [5.0 MQTT-3.10.4-1]"""
        subscribed = session.subscriptions.pop(topic_filter, None)
        if subscribed is None:
            return False
        shared = subscribed.shared
        bare = topic_filter
        if shared is None:
            self._tree.remove(bare, session)
        else:
            bare = topic_filter.split("/", 2)[2]
            shared.leave(session)
            if not shared:  # the last member ends it [5.0 4.8.2]
                del self._shared[topic_filter]
                self._shared_tree.remove(bare, shared)
        self.cut(bare)
        return True

    def shared_subscription(self, topic_filter: str) -> SharedSubscription | None:
        """The shared subscription of a whole filter, `$share/...` included."""
        return self._shared.get(topic_filter)

    def remove_session(self, session: Session) -> None:
        """Remove all subscriptions of a session that ends."""
        for topic_filter in list(session.subscriptions):
            self.unsubscribe(session, topic_filter)

    def _find(self, topic: str) -> Route:
        by_session: dict[Session, list[Subscribed]] = {}
        for subscribed in self._tree.match(topic):
            by_session.setdefault(subscribed.session, []).append(subscribed)
        targets = tuple(
            Target(session, subscriptions)
            for session, subscriptions in by_session.items()
            if self._access.may_receive(session.username, topic)
        )
        return Route(targets, tuple(self._shared_tree.match(topic)))
