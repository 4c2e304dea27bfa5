"""Whether a session is there when it should be, and at one place only.

Belongs here: Session Present against what happened before, and takeover.
Does not belong here: what a session keeps (`flows`, `delivery`), Session Present for a clean start (`connect`).

Nothing is concluded once a CONNECT reached the broker that nobody can read: it may have been for any session.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from interop.judge.rule import V5, V31, V311, Breach, Rule, must
from interop.judge.view import BROKER, Case, Talk, broker_client_id
from interop.tap.trace import Kind, TraceEntry
from reference_broker.wire.properties import NEVER_EXPIRES
from reference_broker.wire.types import PacketType, ReasonCode, Version

SESSION_PRESENT = Rule(
    "session-present-when-kept",
    "a server that keeps a session tells so when its client comes back",
    broker={V311: must("MQTT-3.2.2-2"), V5: must("MQTT-3.2.2-3")},
    clocked=True,
)
NO_SESSION_PRESENT = Rule(
    "no-session-present-when-gone",
    "a session that ended is not there when its client comes back",
    broker={V311: must("MQTT-3.2.2-3", "MQTT-3.1.2-6"), V5: must("MQTT-3.2.2-3", "MQTT-4.1.0-2")},
    clocked=True,
)
ONE_PLACE = Rule(
    "takeover-closes",
    "when a client connects anew the server closes its older connection",
    broker={V31: must("MQTT31-27"), V311: must("MQTT-3.1.4-2"), V5: must("MQTT-3.1.4-3")},
    clocked=True,
)
TAKEOVER_IS_SAID = Rule(
    "takeover-says-why",
    "the older connection is told DISCONNECT 0x8E before it is closed",
    broker={V5: must("MQTT-3.1.4-3")},
    clocked=True,
)
RULES = (SESSION_PRESENT, NO_SESSION_PRESENT, ONE_PLACE, TAKEOVER_IS_SAID)

_MARGIN_SECONDS = 1.5


def inspect(case: Case) -> Iterator[Breach]:
    """Go through the connections of every client identifier, in the order the broker took them."""
    if any(_is_unreadable_connect(entry) for talk in case.talks for entry in talk.got(BROKER)):
        return
    by_client: dict[str, list[Talk]] = {}
    for talk in sorted((talk for talk in case.talks if talk.connect(BROKER)), key=lambda each: _connect(each).index):
        by_client.setdefault(broker_client_id(talk), []).append(talk)
    for talks in by_client.values():
        # What a connection without CONNACK did to the session is unknown, and a refused one did nothing.
        known = [talk for talk in talks if talk.connack(BROKER) is None or talk.accepted(BROKER)]
        for before, talk in itertools.pairwise(known):
            if before.accepted(BROKER) and talk.accepted(BROKER):
                yield from _presence(before, talk)
                yield from _takeover(before, talk)


def _is_unreadable_connect(entry: TraceEntry) -> bool:
    return entry.kind is Kind.MALFORMED and entry.data[:1] != b"" and entry.data[0] >> 4 == PacketType.CONNECT


def _connect(talk: Talk) -> TraceEntry:
    connect = talk.connect(BROKER)
    assert connect is not None  # only connections with one come here
    return connect[0]


@dataclass(frozen=True, slots=True)
class _Fate:
    """Until when a session that a connection left behind is there for sure, and from when it is gone for sure."""

    kept_until: float
    gone_from: float


def _presence(before: Talk, talk: Talk) -> Iterator[Breach]:
    accepted, answer = talk.accepted(BROKER), talk.connack(BROKER)
    if accepted is None or answer is None or accepted[0].clean_start:
        return
    fate = _fate(before, _connect(talk))
    now = answer[0].at
    is_present = accepted[1].session_present
    if not is_present and now < fate.kept_until - _MARGIN_SECONDS:
        yield SESSION_PRESENT.broken(BROKER, answer[0], "Session Present 0, but the session was to be kept")
    elif is_present and now > fate.gone_from:
        yield NO_SESSION_PRESENT.broken(BROKER, answer[0], "Session Present 1, but the session had ended")


def _fate(before: Talk, connect: TraceEntry) -> _Fate:
    """What becomes of a session when its connection ends. [3.1.1 3.1.2.4, 5.0 3.1.2.11.2, 3.14.2.2.2]"""
    accepted = before.accepted(BROKER)
    assert accepted is not None  # only accepted connections come here
    ending = before.end_known_to(BROKER)
    if not before.is_understood(BROKER):
        return _Fate(0.0, math.inf)
    if before.version is not Version.V5:
        if not accepted[0].clean_start:
            return _Fate(math.inf, math.inf)
        return _Fate(0.0, ending.at if ending is not None and ending.index < connect.index else math.inf)
    interval, margin_seconds = _expiry(before), _MARGIN_SECONDS + before.round_trip_seconds
    if interval == NEVER_EXPIRES:
        return _Fate(math.inf, math.inf)
    if ending is None or ending.index > connect.index:
        return _Fate(math.inf if interval else 0.0, math.inf)
    return _Fate(ending.at + interval, ending.at + interval + (margin_seconds if interval else 0))


def _expiry(talk: Talk) -> int:
    """The Session Expiry Interval that counts: DISCONNECT's, else the CONNACK's, else the CONNECT's, else 0.

    A DISCONNECT that would raise it from 0 is a Protocol Error and raises nothing. [5.0 3.14.2.2.2]
    """
    accepted, disconnect = talk.accepted(BROKER), talk.disconnect_got(BROKER)
    assert accepted is not None  # only accepted connections come here
    asked = accepted[0].properties.session_expiry_interval
    at_the_end = None if disconnect is None else disconnect[1].properties.session_expiry_interval
    said = [None if at_the_end and not asked else at_the_end, accepted[1].properties.session_expiry_interval, asked]
    return next((interval for interval in said if interval is not None), 0)


def _takeover(before: Talk, talk: Talk) -> Iterator[Breach]:
    connect = _connect(talk)
    ending = before.end_known_to(BROKER)
    if ending is not None and ending.index < connect.index:
        return
    if before.open_until(BROKER) - connect.at > before.reaction_seconds:
        yield ONE_PLACE.broken(
            BROKER, connect, f"the older connection is still open {before.reaction_seconds:g} s later"
        )
    closed, disconnect = before.closed_by(BROKER), before.disconnect(BROKER)
    if (
        closed is None
        or closed is not ending
        or closed.note != "FIN"
        or closed.at - connect.at > before.reaction_seconds
    ):
        return
    is_said = disconnect is not None and disconnect[1].reason == ReasonCode.SESSION_TAKEN_OVER
    if not is_said and before.disconnect_got(BROKER) is None and before.is_understood(BROKER):
        yield TAKEOVER_IS_SAID.broken(BROKER, closed, "the older connection is closed without DISCONNECT 0x8E")
