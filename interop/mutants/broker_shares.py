"""Brokers that are wrong about shares and retained messages over time: members, their options, what stays.

Belongs here: faults in shares whose members come and go, and in retained messages that are replaced, expire or wait.
Does not belong here: the simple case (`broker_messages`), what every session carries (`broker_carried`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.mutant import Hears, around, table
from reference_broker.broker.keeping.exchange import Exchange
from reference_broker.broker.keeping.retained import RetainedMessages
from reference_broker.broker.keeping.retained_tree import RetainedTree
from reference_broker.broker.keeping.routing import Router
from reference_broker.broker.keeping.sessions import Sessions
from reference_broker.broker.keeping.shared import SharedSubscription
from reference_broker.broker.outgoing.waiting import WaitingRetained
from reference_broker.broker.peers import subscribing
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.message import Delivery
from reference_broker.wire.packets import Unsubscribe
from reference_broker.wire.types import QoS

# --- shares -----------------------------------------------------------------------------------------------------------


def _connected_only(real: Any, self: Any, shared: Any, message: Any, now: float) -> bool:
    if any(member.session.sender is not None for member in shared._order):
        return bool(real(self, shared, message, now))
    return False


def _as_the_last_that_joined(*names: str) -> Any:
    def join(real: Any, self: Any, subscribed: Any) -> None:
        real(self, subscribed)
        for member in self._order:
            for name in names:
                setattr(member, name, getattr(subscribed, name))

    return around(SharedSubscription, "join", join)


def _as_the_first_that_joined(*names: str) -> Any:
    def join(real: Any, self: Any, subscribed: Any) -> None:
        real(self, subscribed)
        for name in names:
            setattr(subscribed, name, getattr(self._order[0], name))

    return around(SharedSubscription, "join", join)


def _member_twice(real: Any, self: Any, subscribed: Any) -> None:
    real(self, subscribed)
    self._order = [*self._order, subscribed]


def _left_at_disconnect(real: Any, link: Any, now: float, *, publish_will: bool) -> None:
    session = link.session
    if session is not None:
        for name in [name for name in session.subscriptions if name.startswith("$share/")]:
            link.house.router.unsubscribe(session, name)
    real(link, now, publish_will=publish_will)


def _all_leave(real: Any, self: Any, session: Any, name: str) -> bool:
    shared = self.shared_subscription(name)
    done = bool(real(self, session, name))
    if shared is not None:
        for member in list(shared._members):
            real(self, member, name)
    return done


def _not_beside_ordinary(real: Any, self: Any, shared: Any, message: Any, now: float) -> bool:
    """A client that has the message by an ordinary subscription gets none by its share, nor does anybody else."""
    ordinary = {target.session for target in self.house.router.route(message.topic).targets}
    return False if any(each in ordinary for each in shared._members) else bool(real(self, shared, message, now))


def _ordinary_instead(real: Any, self: Any, session: Any, options: Any, granted: Any, ids: Any, share: Any, bare: Any
                      ) -> bool:  # fmt: skip
    """A share takes the place of the ordinary subscription to the same filter."""
    if share is not None and bare in session.subscriptions:
        self.unsubscribe(session, bare)
    return bool(real(self, session, options, granted, ids, share, bare))


def _with_ordinary(real: Any, self: Any, session: Any, name: str) -> bool:
    """UNSUBSCRIBE of an ordinary filter ends the session's shares of it too."""
    if not name.startswith("$share/"):
        for each in [each for each in session.subscriptions if each.startswith("$share/")]:
            if each.split("/", 2)[2] == name:
                real(self, session, each)
    return bool(real(self, session, name))


def _dead_members_count(real: Any, self: Any, session: Any, now: float) -> None:
    """When a session expires its memberships stay."""
    if session.sender is None and session.expiry_timer is not None:
        router = self.house.router
        shares = {name: router.shared_subscription(name) for name, each in session.subscriptions.items() if each.share}
        members = {name: session.subscriptions[name] for name in shares}
        subscribed = session.subscribed
        real(self, session, now)
        session.subscribed = subscribed  # of one that has none nobody is chosen
        for name, shared in shares.items():
            if shared:
                shared.join(members[name])
        return
    real(self, session, now)


def _hand_over_at_loss(real: Any, self: Any, session: Any, now: float, *, publish_will: bool) -> None:
    """QoS 2 messages in flight go to other members as soon as the connection is lost."""
    real(self, session, now, publish_will=publish_will)
    for delivery in list(session.inflight.values()):
        shared = self.house.router.shared_subscription(delivery.share)
        others = [each for each in (shared._order if shared else ()) if each.session is not session]
        if others and delivery.qos == QoS.EXACTLY_ONCE:
            self.house.exchange.deliver_to(others[0].session, delivery.message, QoS.EXACTLY_ONCE, False, (), now)


SHARES = table("broker", "shared session takeover subscription delivery retained expiry topics", {
    "shares among connected members only": around(Exchange, "deliver_shared", _connected_only),
    "grants all who share what the last one asked for": _as_the_last_that_joined("qos"),
    "grants all who share what the first one asked for": _as_the_first_that_joined("qos"),
    "sends all who share the last one's identifier": _as_the_last_that_joined("subscription_ids"),
    "sends all who share the first one's identifier": _as_the_first_that_joined("subscription_ids"),
    "keeps RETAIN for all who share as the last one asked": _as_the_last_that_joined("retain_as_published"),
    "keeps RETAIN for all who share as the first one asked": _as_the_first_that_joined("retain_as_published"),
    "leaves shares with the connection": around(Peer, "end", _left_at_disconnect),
    "ends a share when one member leaves": around(Router, "unsubscribe", _all_leave),
    "delivers nothing by a share beside an ordinary subscription": around(
        Exchange, "deliver_shared", _not_beside_ordinary),
    "takes a share in place of the ordinary subscription": around(Router, "subscribe", _ordinary_instead),
    "unsubscribes shares with the ordinary subscription": around(Router, "unsubscribe", _with_ordinary),
    "keeps members whose session expired": around(Sessions, "end", _dead_members_count),
    "hands QoS 2 over when the connection is lost": around(Sessions, "leave", _hand_over_at_loss),
})  # fmt: skip

# --- retained messages ------------------------------------------------------------------------------------------------


def _old_timer_clears(real: Any, self: Any, message: Any) -> None:
    self.clear(message.topic)


def _old_timer_goes_on(real: Any, self: Any, last: Any, message: Any) -> None:
    self._expiring.pop(message.topic if last is None else last.topic, None)
    real(self, last, message)


def _not_when_shorter(real: Any, self: Any, message: Any, **age: Any) -> None:
    old = self.get(message.topic)
    if old is not None:
        message.properties = replace(message.properties, user_property=old.properties.user_property)
    real(self, message, **age)


def _without_own(real: Any, link: Any, request: Any, granted: Any, now: float) -> None:
    """What a session published itself it does not get as a retained message."""
    kept = link.house.retained
    own = [m for m in kept if m.publisher == link.client_id]
    for message in own:
        kept.clear(message.topic)
    real(link, request, granted, now)
    for message in own:
        kept.set(message)


def _changed_retained(**values: Any) -> Any:
    """What is sent because of a SUBSCRIBE is another delivery."""

    def delivery(real: Any, self: Any, message: Any) -> Any:
        right = real(self, message)
        names = ("message", "qos", "retain", "subscription_ids", "share")
        return Delivery(**{name: getattr(right, name) for name in names} | values)

    return around(WaitingRetained, "delivery", delivery)


def _only_if_it_may_leave(real: Any, link: Any, request: Any, granted: Any, now: float) -> None:
    """What does not leave at once is dropped."""
    real(link, request, granted, now)
    if link.session is not None and link.session.queue is not None:
        link.session.queue.remove_retained(request.options.topic_filter)


def _cleared_by_unsubscribe(packet: Unsubscribe, end: Any) -> Unsubscribe:
    for name in packet.topic_filters:
        message = end.house.retained.get(name)
        if message is not None and message.publisher != end.client_id:
            end.house.retained.clear(name)
    return packet


def _in_session_only(real: Any, self: Any, session: Any, now: float) -> None:
    """Retained messages go with their publisher's session."""
    for message in list(self.house.retained):
        if message.publisher == session.client_id and session.sender is None:
            self.house.retained.clear(message.topic)
    real(self, session, now)


RETAINED = table("broker", "retained expiry subscription session shared will flow_control delivery takeover", {
    "lets the old message's expiry clear the new one": (
        around(RetainedMessages, "_expire", _old_timer_clears),
        around(RetainedMessages, "_account_for", _old_timer_goes_on),
    ),
    "keeps user properties of the retained message before": around(RetainedTree, "set", _not_when_shorter),
    "sends nobody its own retained messages": around(subscribing, "_send_retained", _without_own),
    "sends retained messages without identifiers": _changed_retained(subscription_ids=()),
    "sends retained messages with RETAIN 0": _changed_retained(retain=False),
    "drops retained messages beyond the window": around(subscribing, "_send_retained", _only_if_it_may_leave),
    "clears a retained message when somebody unsubscribes": Hears(Unsubscribe, _cleared_by_unsubscribe),
    "forgets retained messages with the publisher's session": around(Sessions, "end", _in_session_only),
})  # fmt: skip

MUTANTS = [*SHARES, *RETAINED]
