"""Brokers that are wrong about what a session carries from one connection to the next, or past its end.

Belongs here: faults in subscriptions, what waits, what is in flight, what was received, carried over or wrongly kept.
Does not belong here: what a connection has for itself (`broker_reconnected`), sessions as a whole (`broker_sessions`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interop.mutants.moments import (
    Resumption,
    at_each_moment,
    mark,
    not_enqueued,
    once_marked,
    resuming,
    waited,
    waiting_as,
)
from interop.mutants.mutant import Hears, around, table
from reference_broker.broker.keeping.exchange import Exchange
from reference_broker.broker.keeping.routing import Router
from reference_broker.broker.keeping.topic_tree import has_wildcard
from reference_broker.broker.values.message import Delivery, Message
from reference_broker.wire.packets import Subscribe
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import QoS, RetainHandling

_AREAS = (
    "session takeover subscription retained delivery shared expiry will ordering qos1 qos2 flow_control properties "
    "topic_alias topics request_response"
)

# --- subscriptions ----------------------------------------------------------------------------------------------------


def _options(**values: Any) -> Any:
    def act(resumption: Resumption) -> None:
        for subscribed in resumption.session.subscriptions.values():
            for name, value in values.items():
                setattr(subscribed, name, value)
        resumption.reroute()

    return act


def _lower_qos(resumption: Resumption) -> None:
    for subscribed in resumption.session.subscriptions.values():
        subscribed.qos = QoS(max(0, subscribed.qos - 1))
    resumption.reroute()


def _forgotten(which: Any) -> Any:
    def act(resumption: Resumption) -> None:
        names = list(resumption.session.subscriptions)
        for name in names:
            if which(name, names):
                resumption.house.router.unsubscribe(resumption.session, name)

    return act


def _remember_first(real: Any, self: Any, session: Any, options: Any, *rest: Any) -> bool:
    is_new: bool = real(self, session, options, *rest)
    subscribed = session.subscriptions[options.topic_filter]
    if session.sender is not None and subscribed.share is None:
        session.sender.output.house.memory.setdefault(("first", session.client_id, options.topic_filter), subscribed)
    return is_new


def _put_back(resumption: Resumption, name: str) -> None:
    first = resumption.house.memory.get(("first", resumption.session.client_id, name))
    if first is not None and first.session is resumption.session:
        resumption.session.subscriptions[name] = first
        resumption.house.router._tree.set(name, first)
        resumption.reroute()


def _first_options(resumption: Resumption) -> None:
    for name in list(resumption.session.subscriptions):
        _put_back(resumption, name)


def _once_subscribed(resumption: Resumption) -> None:
    for key in list(resumption.house.memory):
        if key[:2] == ("first", resumption.session.client_id):
            _put_back(resumption, key[2])


def _retained_again(resumption: Resumption) -> None:
    for subscribed, name in [(each, name) for name, each in resumption.session.subscriptions.items()]:
        if subscribed.share is None:
            for message in list(resumption.house.retained.match(name, resumption.now)):
                qos = QoS(min(message.qos, subscribed.qos))
                resumption.sender.deliver(Delivery(message, qos, True, subscribed.subscription_ids), resumption.now)


def _retained_in_resumed(*handlings: RetainHandling, brings: bool) -> Any:
    """In a session that was resumed, SUBSCRIBE with this handling brings retained messages, or does not."""
    wrong = RetainHandling.SEND if brings else RetainHandling.DO_NOT_SEND

    def change(packet: Subscribe, _end: Any) -> Subscribe:
        misheard = (
            replace(each, retain_handling=wrong) if each.retain_handling in handlings else each
            for each in packet.subscriptions
        )
        return replace(packet, subscriptions=tuple(misheard))

    return Hears(Subscribe, once_marked(change))


def _twice_if_marked(real: Any, self: Any, session: Any, *rest: Any) -> None:
    real(self, session, *rest)
    if session.sender is not None and "marked" in session.sender.output.memory:
        real(self, session, *rest)


SUBSCRIPTIONS = table("broker", _AREAS, {
    **at_each_moment("forgets No Local", _options(no_local=False)),
    **at_each_moment("takes subscriptions for No Local", _options(no_local=True)),
    **at_each_moment("forgets Retain As Published", _options(retain_as_published=False)),
    **at_each_moment("takes subscriptions for Retain As Published", _options(retain_as_published=True)),
    **at_each_moment("forgets subscription identifiers", _options(subscription_ids=())),
    **at_each_moment("lowers granted QoS", _lower_qos),
    **at_each_moment("raises granted QoS", _options(qos=QoS.EXACTLY_ONCE)),
    **at_each_moment("forgets all subscriptions", _forgotten(lambda name, _: True)),
    **at_each_moment("forgets the newest subscription", _forgotten(lambda name, names: name == names[-1])),
    **at_each_moment("forgets filters with wildcards", _forgotten(lambda name, _: has_wildcard(name))),
    **at_each_moment("leaves its shares", _forgotten(lambda name, _: name.startswith("$share/"))),
    **at_each_moment("goes back to the first options", _first_options, around(Router, "subscribe", _remember_first)),
    **at_each_moment("takes up what was unsubscribed", _once_subscribed,
                     around(Router, "subscribe", _remember_first)),
    **at_each_moment("delivers everything twice", mark, around(Exchange, "deliver_to", _twice_if_marked)),
    **at_each_moment("sends retained messages again", _retained_again, afterwards=True),
    **at_each_moment("takes every subscription for new", mark,
                     _retained_in_resumed(RetainHandling.SEND_IF_NEW, brings=True)),
    **at_each_moment("ignores Retain Handling 2", mark,
                     _retained_in_resumed(RetainHandling.DO_NOT_SEND, brings=True)),
    **at_each_moment("sends no retained messages any more", mark,
                     _retained_in_resumed(RetainHandling.SEND, brings=False)),
})  # fmt: skip

# --- what waits -------------------------------------------------------------------------------------------------------


def _set(**values: Any) -> Any:
    def change(delivery: Any, session: Any) -> Any:
        same = {name: getattr(delivery, name) for name in ("message", "qos", "retain", "subscription_ids", "share")}
        return Delivery(**same | {name: value(delivery, session) for name, value in values.items()})

    return waited(change)


def _message(change: Any) -> Any:
    """What waited is another message: `change(message)` gives the arguments that differ."""

    def changed(delivery: Any, session: Any) -> Any:
        message = delivery.message
        same = {name: getattr(message, name) for name in ("topic", "payload", "qos", "retain", "properties")}
        now = message.accepted_at
        return Message(**same | {"now": now, "publisher": message.publisher} | change(message, session))

    return _set(message=changed)


def _without(*names: str) -> Any:
    absent = {name: getattr(NO_PROPERTIES, name) for name in names}
    return _message(lambda message, _: {"properties": replace(message.properties, **absent)})


def _granted(delivery: Any, session: Any) -> QoS:
    granted = [each.qos for each in session.subscriptions.values()]
    return QoS(min([delivery.qos, *granted]))


def _one_to_a_topic(session: Any, delivery: Any) -> bool:
    return any(each.message.topic == delivery.message.topic for each in session.queue or ())


def _same_waits(session: Any, delivery: Any) -> bool:
    return any(each.message.payload == delivery.message.payload for each in session.queue or ())


def _drop_what_waits(packet: Any, end: Any) -> Any:
    if any(each.topic_filter in end.session.subscriptions for each in packet.subscriptions):
        end.session.queue = None
    return packet


def _not_after_unsubscribe(real: Any, self: Any, session: Any, name: str) -> bool:
    done: bool = real(self, session, name)
    if done and session.sender is not None:
        session.outbound.drop_all()
        session.inflight.clear()
    return done


def _all_with_one(resumption: Resumption) -> None:
    queue = list(resumption.session.queue or ())
    if any(each.message.is_expired(resumption.now) for each in queue):
        resumption.session.queue = None


def _fresh(resumption: Resumption) -> None:
    """The lifetime of what waits begins anew."""
    for delivery in resumption.session.queue or ():
        message = delivery.message
        if message.expires_at is not None:
            message.accepted_at = resumption.now
            message.expires_at = resumption.now + message.properties.message_expiry_interval


def _counted_from_now(resumption: Resumption) -> None:
    for delivery in resumption.session.queue or ():
        delivery.message.accepted_at = resumption.now


WAITING = table("broker", _AREAS, {
    **at_each_moment("forgets what waited", lambda r: setattr(r.session, "queue", None)),
    **at_each_moment("keeps the first of what waited only", waiting_as(lambda waiting: waiting[:1])),
    **at_each_moment("turns round what waited", waiting_as(lambda waiting: waiting[::-1])),
    **at_each_moment("gives what waited a new lifetime", _fresh),
    **at_each_moment("counts expiry anew", _counted_from_now),
    "sends what waited without identifiers": _set(subscription_ids=lambda *_: ()),
    "sends what waited without RETAIN": _set(retain=lambda *_: False),
    "sends what waited with the publisher's RETAIN": _set(retain=lambda delivery, _: delivery.message.retain),
    "sends what waited with RETAIN": _set(retain=lambda *_: True),
    "sends what waited at QoS 1": _set(qos=lambda *_: QoS.AT_LEAST_ONCE),
    "sends what waited at the publisher's QoS": _set(qos=lambda delivery, _: delivery.message.qos),
    "sends what waited at the lowest QoS granted": _set(qos=_granted),
    "sends what waited without its expiry": _without("message_expiry_interval"),
    "sends what waited without content type": _without("content_type"),
    "sends what waited without response topic": _without("response_topic", "correlation_data"),
    "sends what waited without user properties": _without("user_property"),
    "sends what waited without payload format": _without("payload_format_indicator"),
    "keeps empty messages waiting for ever": not_enqueued(lambda _, delivery: not delivery.message.payload),
    "keeps retained messages from waiting": not_enqueued(lambda _, delivery: delivery.message.retain),
    "keeps own messages from waiting": not_enqueued(
        lambda session, delivery: delivery.message.publisher == session.client_id),
    "lets one message of a topic wait": not_enqueued(_one_to_a_topic),
    "lets no message wait beside its like": not_enqueued(_same_waits),
    "lets only QoS 2 wait": not_enqueued(lambda _, delivery: delivery.qos < 2),
    "lets only QoS 1 wait": not_enqueued(lambda _, delivery: delivery.qos > 1),
    "lets no shared message wait": not_enqueued(lambda _, delivery: delivery.share is not None),
    "drops all that waited when one has expired": resuming(_all_with_one),
    "drops what waited when its subscription is replaced": Hears(Subscribe, _drop_what_waits),
    "drops what is in flight at UNSUBSCRIBE": around(Router, "unsubscribe", _not_after_unsubscribe),
})  # fmt: skip

MUTANTS = [*SUBSCRIPTIONS, *WAITING]
