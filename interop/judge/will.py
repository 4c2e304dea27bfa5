"""Wills: published when a connection ends out of order, at most once, never after DISCONNECT.

Belongs here: a will's way to the sessions that subscribed to its topic. [3.1 3.1, 3.1.1 3.1.2.5, 5.0 3.1.2.5]
Does not belong here: what a will looks like in CONNECT (`form`).

Only a will that nothing else in the trace looks like is followed.
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.messages import Audience, Delivery, WillOrigin, messages_of
from interop.judge.rule import V5, V31, V311, Breach, Rule, must
from interop.judge.view import BROKER, Case, Talk
from interop.tap.trace import TraceEntry
from reference_broker.wire.packets import Disconnect, PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import Version, is_error

NOT_AFTER_DISCONNECT = Rule(
    "no-will-after-disconnect",
    "a will is not published when its client said goodbye, nor while it is connected",
    broker={V31: must("MQTT31-31"), V311: must("MQTT-3.14.4-3"), V5: must("MQTT-3.14.4-3")},
    clocked=True,
)
ONCE = Rule(
    "will-once",
    "a will is published once",
    broker={V311: must("MQTT-3.1.2-10"), V5: must("MQTT-3.1.2-10")},
)
PUBLISHED = Rule(
    "will-published",
    "a will is published when its connection ends without DISCONNECT",
    broker={V31: must("MQTT31-31"), V311: must("MQTT-3.1.2-8"), V5: must("MQTT-3.1.2-8")},
    clocked=True,
)
RULES = (NOT_AFTER_DISCONNECT, ONCE, PUBLISHED)


def inspect(case: Case) -> Iterator[Breach]:
    """Follow every will that is unmistakable."""
    messages = messages_of(case)
    for key, wills in messages.wills.items():
        if len(wills) == 1 and key not in messages.origins and wills[0].talk.accepted(BROKER):
            for audience in messages.audiences:
                yield from _follow(case, wills[0], audience)


def _follow(case: Case, origin: WillOrigin, audience: Audience) -> Iterator[Breach]:
    will, talk = origin.will, origin.talk
    copies = audience.copies(will.topic, will.payload)
    if copies and not _may_be_published(talk, copies[0]):
        yield NOT_AFTER_DISCONNECT.broken(BROKER, copies[0].entry, f"the will of {talk.link} is published")
    live = [copy for copy in copies if not copy.publish.retain]
    if len(live) > 1 and audience.only_grant(will.topic) is not None:
        yield ONCE.broken(BROKER, live[1].entry, f"the will of {talk.link} is published again")
    if not copies:
        yield from _missing(case, origin, audience)


def _may_be_published(talk: Talk, copy: Delivery) -> bool:
    """Whether the broker could have a reason: the connection is over for it, or it is about to end it itself."""
    goodbye = talk.disconnect_got(BROKER)
    if goodbye is not None and _is_goodbye(talk, goodbye[1]):
        return goodbye[0].index > copy.entry.index and _ends_out_of_order(talk, copy)
    return _ends_out_of_order(talk, copy)


def _is_goodbye(talk: Talk, disconnect: Disconnect) -> bool:
    """Whether it deletes the will: to ask for a Session Expiry where CONNECT had none is not valid. [5.0 3.14.2.2.2]"""
    connect = talk.connect(BROKER)
    had_none = connect is not None and not connect[1].properties.session_expiry_interval
    return disconnect.reason == 0 and not (had_none and disconnect.properties.session_expiry_interval)


def _ends_out_of_order(talk: Talk, copy: Delivery) -> bool:
    """Whether an end came before the copy, or so soon after it that the broker may have acted before it closed."""
    ending = talk.end_known_to(BROKER)
    said = talk.disconnect(BROKER)
    if not talk.is_understood(BROKER) or said is not None:
        return True
    return ending is not None and ending.at < copy.entry.at + talk.reaction_seconds


def _missing(case: Case, origin: WillOrigin, audience: Audience) -> Iterator[Breach]:
    talk = origin.talk
    ending = talk.end_known_to(BROKER)
    if ending is None or talk.disconnect_got(BROKER) is not None or not talk.is_understood(BROKER):
        return
    if talk.version is Version.V31 and ending.sender is BROKER:
        return  # one passage of 3.1 has the server act as if DISCONNECT came [MQTT31-17]
    due = ending.at + _delay(origin)
    grant = audience.only_grant(origin.will.topic)
    if grant is None or grant.granted is None or grant.granted.index > ending.index or grant.given_up is not None:
        return
    if not audience.chain.is_complete or grant.subscription.no_local or _comes_back(case, talk, due):
        return
    listening = audience.chain.talks[-1]
    if len(audience.chain.talks) == 1 and _is_listening(listening, grant.granted, due):
        waited = f"{talk.reaction_seconds:g} s, though {listening.link} waits"
        message = f"the will of {talk.link} is not published within {waited}"
        yield PUBLISHED.broken(BROKER, ending, message)


def _delay(origin: WillOrigin) -> float:
    """How long a server may wait: the Will Delay Interval. [5.0 3.1.3.2.2]"""
    return float(origin.will.properties.will_delay_interval or 0) if origin.talk.version is Version.V5 else 0.0


def _comes_back(case: Case, talk: Talk, due: float) -> bool:
    """Whether the client connects again before its will is due."""
    connect = talk.connect(BROKER)
    return connect is None or any(
        again.client_id == connect[1].client_id
        and entry.index > connect[0].index
        and entry.at < due + talk.reaction_seconds
        for entry, again in case.connects
    )


def _is_listening(talk: Talk, since: TraceEntry, due: float) -> bool:
    """Whether a subscriber was there all the time and long enough, without a limit that could keep a message back."""
    connect = talk.connect(BROKER)
    if connect is None or not talk.is_understood(BROKER):
        return False
    limits = connect[1].properties
    if limits.receive_maximum is not None or limits.maximum_packet_size is not None:
        return False
    return since.at < due and any(
        min(end, talk.speaks_until(BROKER)) - max(begin, due) > talk.reaction_seconds
        for begin, end in _spans_without_debt(talk)
    )


def _spans_without_debt(talk: Talk) -> Iterator[tuple[float, float]]:
    """From when to when the client had acknowledged all: else a server may wait. [5.0 3.3.4, 3.1.1 4.6]"""
    unfinished: set[int] = set()
    begin = 0.0
    for event in talk.story(BROKER):
        packet = event.packet
        if event.mine and isinstance(packet, Publish | PubRel) and packet.packet_id is not None:
            if not unfinished:
                yield begin, event.at
            unfinished.add(packet.packet_id)
        elif event.mine:
            continue
        elif isinstance(packet, PubAck | PubComp) or (isinstance(packet, PubRec) and is_error(packet.reason)):
            unfinished.discard(packet.packet_id)
            begin = event.at
    if not unfinished:
        yield begin, talk.end
