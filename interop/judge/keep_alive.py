"""Keep alive: the client is never silent for longer, the server ends a silence of one and a half times that.

Belongs here: gaps in time on one connection. [3.1 3.1, 3.1.1 3.1.2.10, 5.0 3.1.2.10]
Does not belong here: answers to PINGREQ (`answers`).

All limits have a margin, because a trace is read on a busy machine: a finding is meant to be certain. A packet that
takes long to arrive is no silence of its sender, who only has to begin it in time. [3.1.1 3.1.2.10, 5.0 3.1.2.10]
Whether a server may wait for the rest of it the text leaves open, so that it may close and may stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from interop.judge.rule import V5, V31, V311, Breach, Rule, may, must, should
from interop.judge.view import BROKER, CLIENT, Case, Talk
from interop.tap.trace import Kind, TraceEntry
from reference_broker.wire.packets import PingReq, PingResp
from reference_broker.wire.types import ReasonCode

CLIENT_SPEAKS = Rule(
    "keeps-alive",
    "a client sends something within every Keep Alive period",
    client={V31: must("MQTT31-40"), V311: must("MQTT-3.1.2-23"), V5: must("MQTT-3.1.2-20")},
    waits=True,
)
CLIENT_GIVES_UP = Rule(
    "gives-up-without-pingresp",
    "a client that gets no PINGRESP closes the connection",
    client={V31: should("MQTT31-18"), V311: should("MQTT311-U-3"), V5: should("MQTT5-U-15")},
    waits=True,
)
SERVER_WAITS = Rule(
    "waits-for-keep-alive",
    "a server does not end a connection for silence before one and a half times Keep Alive",
    # "A Server is permitted to disconnect a Client that it determines to be inactive or non-responsive at any time,
    # regardless of the Keep Alive value" [3.1.1 3.1.2.10]; "may have other reasons" [5.0 3.1.2.10].
    broker={V31: may(section="3.1"), V311: may(section="3.1.2.10"), V5: may(section="3.1.2.10")},
    clocked=True,
)
SERVER_ENDS = Rule(
    "ends-silent-connection",
    "a server ends a connection that was silent for one and a half times Keep Alive",
    broker={V31: must("MQTT31-17"), V311: must("MQTT-3.1.2-24"), V5: must("MQTT-3.1.2-22")},
    waits=True,
)
RULES = (CLIENT_SPEAKS, CLIENT_GIVES_UP, SERVER_WAITS, SERVER_ENDS)

MARGIN_SECONDS = 1.5
"""How late a client's packet may be read: some look at their clock only every second, and a busy machine adds to it."""
EARLY_MARGIN_SECONDS = 0.1
"""How early a server's end may be read without being early."""
SERVER_MARGIN_SECONDS = 3.0
"""How late a server may notice: many look only every few seconds."""
_GRACE = 1.5


def inspect(case: Case) -> Iterator[Breach]:
    """Measure the silences of every connection."""
    for talk in case.talks:
        yield from _client(talk)
        yield from _server(case, talk)


def _client_period(talk: Talk) -> float:
    """Keep Alive as the client has to keep it: the server's wins. [5.0 MQTT-3.2.2-21]"""
    accepted = talk.accepted(CLIENT)
    if accepted is None:
        return 0.0
    connect, connack = accepted
    from_server = connack.properties.server_keep_alive
    return float(connect.keep_alive if from_server is None else from_server)


def _server_period(talk: Talk) -> float:
    accepted = talk.accepted(BROKER)
    if accepted is None:
        return 0.0
    connect, connack = accepted
    own = connack.properties.server_keep_alive
    return float(connect.keep_alive if own is None else own)


def _client(talk: Talk) -> Iterator[Breach]:
    period = _client_period(talk)
    connack = talk.connack(CLIENT)
    if not period or connack is None:
        return
    over = talk.speaks_until(CLIENT)
    last: TraceEntry = connack[0]
    moments = [entry for entry in talk.sent(CLIENT) if last.index < entry.index and entry.at <= over]
    pending_since = _unanswered_ping(talk)
    for entry in moments:
        silence = entry.began - last.at
        if silence > period + MARGIN_SECONDS:
            yield CLIENT_SPEAKS.broken(
                CLIENT, entry, f"{silence:.1f} s of silence before it, Keep Alive is {period:g} s"
            )
        last = entry
    if pending_since is None and over - last.at > period + MARGIN_SECONDS:
        message = f"{over - last.at:.1f} s of silence after it, Keep Alive is {period:g} s"
        yield CLIENT_SPEAKS.broken(CLIENT, last, message)
    if pending_since is not None and over - pending_since.at > 2 * period + MARGIN_SECONDS:
        waited = over - pending_since.at
        yield CLIENT_GIVES_UP.broken(CLIENT, pending_since, f"still there {waited:.1f} s after it, without PINGRESP")


def _unanswered_ping(talk: Talk) -> TraceEntry | None:
    """The first PINGREQ after which no PINGRESP came any more."""
    pending: TraceEntry | None = None
    for event in talk.story(CLIENT):
        if event.mine and isinstance(event.packet, PingReq) and pending is None:
            pending = event.entry
        elif not event.mine and isinstance(event.packet, PingResp):
            pending = None
    return pending


def _server(case: Case, talk: Talk) -> Iterator[Breach]:
    period = _server_period(talk)
    heard = [entry for entry in talk.got(BROKER) if entry.kind is Kind.PACKET]
    if not period or not heard or not talk.is_understood(BROKER):
        return
    limit = period * _GRACE
    disconnect = talk.disconnect(BROKER)
    if disconnect is not None and disconnect[1].reason == ReasonCode.KEEP_ALIVE_TIMEOUT:
        silence = _silence_before(talk, heard, disconnect[0])
        if silence < limit - EARLY_MARGIN_SECONDS:
            message = f"Keep Alive timeout after {silence:.2f} s of silence, {limit:g} s are allowed"
            yield SERVER_WAITS.broken(BROKER, disconnect[0], message)
    closing = talk.closed_by(BROKER)
    if closing is not None and disconnect is None and not _has_other_reason(case, talk, closing):
        silence = _silence_before(talk, heard, closing)
        if period - EARLY_MARGIN_SECONDS < silence < limit - EARLY_MARGIN_SECONDS:
            message = f"closed after {silence:.2f} s of silence, {limit:g} s are allowed"
            yield SERVER_WAITS.broken(BROKER, closing, message)
    over = talk.open_until(BROKER)
    moments = [entry for entry in heard if entry.at <= over]
    for entry, next_at in zip(moments, [*(each.began for each in moments), over][1:], strict=True):
        if next_at - entry.at > limit + SERVER_MARGIN_SECONDS + talk.round_trip_seconds:
            message = f"{next_at - entry.at:.1f} s of silence after it, Keep Alive is {period:g} s"
            yield SERVER_ENDS.broken(BROKER, entry, message)


def _silence_before(talk: Talk, heard: list[TraceEntry], moment: TraceEntry) -> float:
    """Seconds since a packet was last heard; without end if none was. The broker may not have had the latest yet."""
    known_until = moment.at - talk.round_trip_seconds
    known = (entry.at for entry in heard if entry.index < moment.index and entry.at <= known_until)
    return moment.at - max(known, default=-math.inf)


def _has_other_reason(case: Case, talk: Talk, closing: TraceEntry) -> bool:
    """Whether something else explains the end: the client's farewell or end, or the same client elsewhere."""
    if talk.disconnect_got(BROKER) is not None or closing is not talk.end_known_to(BROKER):
        return True
    connect = talk.connect(BROKER)
    return connect is None or any(
        connect[0].index < entry.index < closing.index and again.client_id == connect[1].client_id
        for entry, again in case.connects
    )
