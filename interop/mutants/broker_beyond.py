"""Brokers that are wrong about counts, and about what is carried over to another connection or another member.

Belongs here: faults that show beyond a window, a queue or a number of filters, and in what a session takes along.
Does not belong here: faults of the simple case (`broker_messages`, `broker_sessions`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

from interop.mutants.mutant import Hears, Patch, Says, Set, around, table
from reference_broker.broker.keeping.retained_tree import RetainedTree
from reference_broker.broker.keeping.routing import Router
from reference_broker.broker.keeping.sessions import Sessions
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.outgoing.waiting import Waiting
from reference_broker.broker.peers import subscribing
from reference_broker.broker.values.message import Delivery
from reference_broker.session.delivery import Sending
from reference_broker.wire.packets import PubAck, SubAck, Subscribe, UnsubAck, Unsubscribe

# --- shared subscriptions ---------------------------------------------------------------------------------------------


def _whatever_its_age(_real: Any, sessions: Any, undelivered: Any, now: float) -> None:
    for delivery in undelivered:
        if delivery.share is not None:
            sessions.house.exchange.deliver_to_share(delivery.share, delivery.message, now)


def _what_waited_whatever_its_age(real: Any, sessions: Any, session: Any, now: float) -> None:
    waiting = [delivery for delivery in session.queue or () if delivery.share is not None]
    real(sessions, session, now)
    _whatever_its_age(None, sessions, [each for each in waiting if each.message.is_expired(now)], now)


def _as_new(real: Any, sessions: Any, undelivered: Any, now: float) -> None:
    for delivery in undelivered:
        if not delivery.message.is_expired(now):
            delivery.message.accepted_at = now
    real(sessions, undelivered, now)


def _entered_twice(real: Any, router: Any, session: Any, options: Any, *rest: Any) -> Any:
    """What a filter was in another version stays entered where it was."""
    share = rest[-2]
    replaced = session.subscriptions.get(options.topic_filter)
    if replaced is not None and (replaced.share is None) is not (share is None):
        del session.subscriptions[options.topic_filter]
    return real(router, session, options, *rest)


# --- Receive Maximum --------------------------------------------------------------------------------------------------


def _freed_by(frees: Callable[[Any], bool]) -> Patch:
    """Some acknowledgements free a place, whether the message was sent on this connection or not."""

    def acknowledged(real: Any, sender: Any, packet: Any, now: float) -> None:
        if sender._uncharged and frees(packet):
            sender._uncharged.discard(packet.packet_id)
        real(sender, packet, now)

    return around(Sender, "acknowledged", acknowledged)


def _freed_again(real: Any, sender: Any, packet: Any, now: float) -> None:
    is_known = packet.packet_id in sender._session.outbound
    real(sender, packet, now)
    if isinstance(packet, PubAck) and not is_known:
        sender.quota.give_back()
        sender.pump(now)


def _sent_again_whatever_came(real: Any, sender: Any, now: float) -> None:
    """What was acknowledged before it was sent again is sent all the same."""
    session = sender._session
    settled = [each for each in sender._resend or () if session.outbound.state(each.packet_id) is Sending.UNKNOWN]
    real(sender, now)
    for publish in settled:
        if publish not in (sender._resend or ()):
            sender._put_in_flight(publish)


# --- many -------------------------------------------------------------------------------------------------------------


def _in_the_queue(_real: Any, link: Any, request: Any, granted: Any, now: float) -> None:
    """As messages like any others, which are dropped where the queue is full."""
    for message in link.house.retained.match(request.bare, now):
        if message is not None:
            qos = min(message.qos, granted)
            link.sender.deliver(Delivery(message, qos, True, request.subscription_ids), now)


def _without_the_rest(real: Any, self: Any, *arguments: Any) -> Any:
    session, present = real(self, *arguments)
    if present and session.queue is not None:
        session.queue.retained = None
    return session, present


def _from_the_beginning(real: Any, self: Any, client_id: str, version: Any, clean: bool, now: float) -> Any:
    session, present = real(self, client_id, version, clean, now)
    for waiting in (session.queue.retained or {}).values() if session.queue is not None else ():
        waiting._messages = self.house.retained.match(waiting.topic_filter, now)
        waiting.go_on()
    return session, present


def _behind_the_others(real: Any, queue: Any) -> Any:
    return None if queue._entries else real(queue)


def _at_most(count: int) -> Patch:
    """A session has room for so many subscriptions, and says nothing of it."""

    def subscribe(real: Any, router: Any, session: Any, *arguments: Any) -> bool:
        return len(session.subscriptions) < count and bool(real(router, session, *arguments))

    return around(Router, "subscribe", subscribe)


def _first_filters(count: int) -> tuple[Any, ...]:
    """Of an UNSUBSCRIBE so many filters are looked at; all are answered."""

    def heard(packet: Unsubscribe, end: Any) -> Unsubscribe:
        end.memory["asked"] = len(packet.topic_filters)
        return replace(packet, topic_filters=packet.topic_filters[:count])

    def said(packet: UnsubAck, end: Any) -> UnsubAck:
        missing = end.memory.get("asked", 0) - len(packet.reasons)
        return replace(packet, reasons=(*packet.reasons, *[0] * missing)) if packet.reasons else packet

    return Hears(Unsubscribe, heard), Says(UnsubAck, said)


def _asked_for(count: int) -> Any:
    return Hears(Subscribe, lambda packet, _: replace(packet, subscriptions=packet.subscriptions[:count]))


_BY_QOS = {f"drops retained messages of QoS {qos} beyond window and queue": qos for qos in (0, 1, 2)}


def _dropped_at(qos: int) -> tuple[Any, ...]:
    def send(real: Any, link: Any, request: Any, granted: Any, now: float) -> None:
        (_in_the_queue if granted == qos else (lambda real, *arguments: real(*arguments)))(
            real, link, request, granted, now
        )

    return (
        Set(maximum_inflight=20, queue_maximum_messages=100),
        around(subscribing, "_send_retained", send),
    )


BEYOND = table("broker", "shared flow_control retained subscription session versions", {
    "hands expired shared messages over": around(Sessions, "_hand_over_shared", _whatever_its_age),
    "hands over expired shared messages that waited": around(Sessions, "end", _what_waited_whatever_its_age),
    "hands shared messages over as new ones": around(Sessions, "_hand_over_shared", _as_new),
    "enters a filter once for each version": around(Router, "subscribe", _entered_twice),
    "frees a place by a PUBACK of an earlier connection": _freed_by(
        lambda packet: isinstance(packet, PubAck)
    ),
    "frees a place by any error of an earlier connection": _freed_by(lambda packet: packet.reason >= 0x80),
    "frees a place by a second PUBACK": around(Sender, "acknowledged", _freed_again),
    "sends again what was acknowledged meanwhile": around(Sender, "pump", _sent_again_whatever_came),
    **{name: _dropped_at(qos) for name, qos in _BY_QOS.items()},
    "sends 100 retained messages": around(
        RetainedTree, "match", lambda real, self, name, now: islice(real(self, name, now), 100)
    ),
    "sends 255 retained messages": around(
        RetainedTree, "match", lambda real, self, name, now: islice(real(self, name, now), 255)
    ),
    "forgets the rest of the retained messages at a reconnection": around(Sessions, "open", _without_the_rest),
    "begins retained messages anew at a reconnection": around(Sessions, "open", _from_the_beginning),
    "sends retained messages behind live ones": around(Waiting, "due_retained", _behind_the_others),
    "keeps 100 subscriptions of a session": _at_most(100),
    "keeps 255 subscriptions of a session": _at_most(255),
    "keeps 999 subscriptions of a session": _at_most(999),
    "answers 255 filters of a SUBSCRIBE": _asked_for(255),
    "answers 255 filters of a SUBSCRIBE, though it takes all": Says(
        SubAck, lambda packet, _: replace(packet, reasons=packet.reasons[:255])
    ),
    "unsubscribes 100 filters at a time": _first_filters(100),
    "unsubscribes 255 filters at a time": _first_filters(255),
    "unsubscribes 999 filters at a time": _first_filters(999),
})  # fmt: skip

MUTANTS = BEYOND
