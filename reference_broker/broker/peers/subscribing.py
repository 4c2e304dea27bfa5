"""SUBSCRIBE and UNSUBSCRIBE. [3.1.1 3.8 to 3.11, 5.0 3.8 to 3.11]

Belongs here: what is granted, the answers, and the retained messages a subscription brings.
Does not belong here: the store of subscriptions (`routing`), well-formed filters (the wire checked them).
"""

from __future__ import annotations

from dataclasses import dataclass

from reference_broker.broker.keeping.session import Session
from reference_broker.broker.keeping.topic_tree import has_wildcard
from reference_broker.broker.outgoing.waiting import WaitingRetained
from reference_broker.broker.peers.peer import Peer
from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.packets import SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.topics import split_shared
from reference_broker.wire.types import (
    SUBACK_FAILURE,
    PacketType,
    QoS,
    ReasonCode,
    RetainHandling,
    Version,
    is_error,
)


@dataclass(frozen=True, slots=True)
class _Request:
    """One topic filter of a SUBSCRIBE; `share` is None unless it is shared, `bare` the filter without its share."""

    options: Subscription
    share: str | None
    bare: str
    subscription_ids: tuple[int, ...]


def on_subscribe(link: Peer, packet: Subscribe, now: float) -> None:
    """Handle each filter as if it came alone, answer all in one SUBACK. [5.0 MQTT-3.8.4-1, MQTT-3.8.4-5]"""
    session, sender = link.parts()
    requests = [_request(link, options, packet) for options in packet.subscriptions]
    _check_available(link, requests)
    if link.version is Version.V5 and session.has_received(packet.packet_id):
        reasons = [int(ReasonCode.PACKET_IDENTIFIER_IN_USE)] * len(requests)
        sender.send(SubAck(packet.packet_id, tuple(reasons)))
        return
    reasons, retained = [], []
    for request in requests:
        reason = _refusal(link, request)
        if reason is not None:
            reasons.append(_failure(link, reason, request.options))
            continue
        granted = QoS(min(request.options.qos, link.house.config.granted_qos_maximum, link.house.config.maximum_qos))
        is_new = link.house.router.subscribe(
            session, request.options, granted, request.subscription_ids, request.share, request.bare
        )
        reasons.append(int(granted))
        if _brings_retained(request, is_new):
            retained.append((request, granted))
        else:
            _change_retained(session, request, granted)
    worst = max(reasons)
    properties = NO_PROPERTIES
    if is_error(worst):
        properties = sender.diagnostics(PacketType.SUBACK, "not every topic filter is allowed")
    sender.send(SubAck(packet.packet_id, tuple(reasons), properties))
    for request, granted in retained:
        _send_retained(link, request, granted, now)


def on_unsubscribe(link: Peer, packet: Unsubscribe, now: float) -> None:
    """Remove exactly these filters; always answered. [5.0 MQTT-3.10.4-1, MQTT-3.10.4-4, MQTT-3.10.4-5]

    The answer waits until all is kept that came before, also where no filter was removed: so a client can know.
    """
    link.depend()
    _, sender = link.parts()
    if link.version is not Version.V5:
        for topic_filter in packet.topic_filters:
            _unsubscribe(link, topic_filter)
        sender.send(UnsubAck(packet.packet_id))
    else:
        sender.send(UnsubAck(packet.packet_id, _unsubscribed(link, packet)))
    if sender.is_waiting():
        sender.pump(now)  # what waited for retained messages that do not come any more


def _unsubscribed(link: Peer, packet: Unsubscribe) -> tuple[int, ...]:
    """A reason code for each filter of an UNSUBSCRIBE of 5.0, which are removed."""
    session, _ = link.parts()
    if session.has_received(packet.packet_id):
        return (int(ReasonCode.PACKET_IDENTIFIER_IN_USE),) * len(packet.topic_filters)
    return tuple(
        int(ReasonCode.SUCCESS if _unsubscribe(link, topic_filter) else ReasonCode.NO_SUBSCRIPTION_EXISTED)
        for topic_filter in packet.topic_filters
    )


def _request(link: Peer, options: Subscription, packet: Subscribe) -> _Request:
    share, bare = None, options.topic_filter
    if link.version is Version.V5:  # in 3.x `$share/...` is a filter like any other
        share, bare = split_shared(options.topic_filter)
    return _Request(options, share, bare, packet.properties.subscription_identifier)


def _check_available(link: Peer, requests: list[_Request]) -> None:
    """A 5.0 client was told what is not available; asking for it is a protocol error. [5.0 3.2.2.3.11 to .13]"""
    if link.version is not Version.V5:
        return
    config = link.house.config
    for request in requests:
        if request.subscription_ids and not config.subscription_identifier_available:
            reason = ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED
            raise ProtocolError("SUBSCRIBE with a subscription identifier", "5.0 3.2.2.3.12", reason)
        if request.share is not None and not config.shared_subscription_available:
            reason = ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
            raise ProtocolError("SUBSCRIBE with a shared filter", "5.0 3.2.2.3.13", reason)
        if has_wildcard(request.bare) and not config.wildcard_subscription_available:
            reason = ReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED
            raise ProtocolError("SUBSCRIBE with a wildcard", "5.0 3.2.2.3.11", reason)


def _refusal(link: Peer, request: _Request) -> ReasonCode | None:
    """Why one filter is not granted, or None."""
    session, _ = link.parts()
    refusal = link.house.admission.filter_refusal(session, request.bare)
    if refusal is not None:
        link.log(f"not allowed to subscribe to {request.options.topic_filter!r}")
        return refusal
    no_room = link.house.admission.keeping_refusal(has_to_be_kept=session.ledger is not None)
    if no_room is not None:
        link.log(no_room.text)
        return no_room.reason
    is_new = request.options.topic_filter not in session.subscriptions
    if is_new and len(session.subscriptions) >= link.house.config.maximum_subscriptions:
        link.log("no more subscriptions for this session")
        return ReasonCode.QUOTA_EXCEEDED
    if is_new and link.house.router.size_bytes() >= link.house.config.subscriptions_maximum_bytes:
        link.log("no room for another subscription")
        return ReasonCode.QUOTA_EXCEEDED
    if has_wildcard(request.bare) and not link.house.config.wildcard_subscription_available:
        return ReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED  # [3.1.1 MQTT-3.8.3-2]
    return None


def _failure(link: Peer, reason: ReasonCode, options: Subscription) -> int:
    """How each version says no: 3.1 cannot, so the subscription is granted and stays silent. [3.1 MQTT31-7]"""
    if link.version is Version.V5:
        return int(reason)
    return SUBACK_FAILURE if link.version is Version.V311 else int(options.qos)


def _brings_retained(request: _Request, is_new: bool) -> bool:
    """Whether retained messages follow. [5.0 MQTT-3.3.1-9 to -11, 4.8.2, 3.1.1 MQTT-3.8.4-3]"""
    if request.share is not None:
        return False
    handling = request.options.retain_handling
    return handling is RetainHandling.SEND or (handling is RetainHandling.SEND_IF_NEW and is_new)


def _send_retained(link: Peer, request: _Request, granted: QoS, now: float) -> None:
    """Let the retained messages follow, however many; what does not leave now waits in the store. [5.0 3.3.1.3]"""
    _, sender = link.parts()
    options = request.options
    messages = link.house.retained.match(request.bare, now)
    waiting = WaitingRetained(options.topic_filter, messages, granted, options.no_local, request.subscription_ids)
    if not waiting.is_over:
        sender.bring(waiting, now)


def _change_retained(session: Session, request: _Request, granted: QoS) -> None:
    """What an earlier SUBSCRIBE of this filter brings goes on, as the subscription is now. [5.0 MQTT-3.8.4-4, -8]"""
    retained = session.queue.retained if session.queue is not None else None
    waiting = retained.get(request.options.topic_filter) if retained else None
    if waiting is not None:
        waiting.qos = granted
        waiting.no_local = request.options.no_local
        waiting.subscription_ids = request.subscription_ids


def _unsubscribe(link: Peer, topic_filter: str) -> bool:
    """Remove one subscription and what it was still to bring; whether there was one. [5.0 MQTT-3.10.4-2]"""
    session, _ = link.parts()
    if session.queue is not None:
        session.queue.remove_retained(topic_filter)
    return link.house.router.unsubscribe(session, topic_filter)
