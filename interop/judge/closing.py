"""How a connection ends by DISCONNECT.

Belongs here: what follows a DISCONNECT from the side that sent it, and what it may say.
Does not belong here: refused connections (`connect`), wills (`will`), takeover (`session`).
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.rule import V5, V311, Breach, Rule, must
from interop.judge.view import BROKER, CLIENT, Case, Talk
from interop.tap.trace import Sender

NOTHING_AFTER_DISCONNECT = Rule(
    "nothing-after-disconnect",
    "whoever sent DISCONNECT sends nothing after it",
    client={V311: must("MQTT-3.14.4-2"), V5: must("MQTT-3.14.4-1")},
    broker={V5: must("MQTT-3.14.4-1")},
)
DISCONNECT_CLOSES = Rule(
    "disconnect-closes",
    "whoever sent DISCONNECT closes the connection",
    client={V311: must("MQTT-3.14.4-1"), V5: must("MQTT-3.14.4-2")},
    broker={V5: must("MQTT-3.14.4-2")},
    clocked=True,
)
NO_NEW_EXPIRY = Rule(
    "no-session-expiry-out-of-nothing",
    "a session that was to end with its connection cannot be given an expiry in DISCONNECT",
    client={V5: must("MQTT5-U-59")},
)
RULES = (NOTHING_AFTER_DISCONNECT, DISCONNECT_CLOSES, NO_NEW_EXPIRY)


def inspect(case: Case) -> Iterator[Breach]:
    """Look behind every DISCONNECT."""
    for talk in case.talks:
        for side in (CLIENT, BROKER):
            yield from _after(talk, side)
        yield from _expiry(talk)


def _after(talk: Talk, side: Sender) -> Iterator[Breach]:
    disconnect = talk.disconnect(side)
    if disconnect is None:
        return
    for entry in talk.sent(side):
        if entry.index > disconnect[0].index:
            what = "bytes" if entry.packet is None else entry.packet.type.name
            yield NOTHING_AFTER_DISCONNECT.broken(side, entry, f"{what} after DISCONNECT")
    if talk.open_until(side) - disconnect[0].at > talk.reaction_seconds:
        yield DISCONNECT_CLOSES.broken(side, disconnect[0], f"still open {talk.reaction_seconds:g} s after DISCONNECT")


def _expiry(talk: Talk) -> Iterator[Breach]:
    connect, disconnect = talk.connect(CLIENT), talk.disconnect(CLIENT)
    if connect is None or disconnect is None or connect[1].properties.session_expiry_interval:
        return
    interval = disconnect[1].properties.session_expiry_interval
    if interval:
        yield NO_NEW_EXPIRY.broken(
            CLIENT, disconnect[0], f"Session Expiry Interval {interval} in DISCONNECT, 0 in CONNECT"
        )
