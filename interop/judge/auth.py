"""Enhanced authentication: who may send AUTH, with which method and code. [5.0 4.12]

Belongs here: AUTH, and the methods named beside it.
Does not belong here: whether credentials are right.
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.rule import V5, Breach, Rule, must
from interop.judge.view import BROKER, CLIENT, Case, Talk
from interop.tap.trace import Sender, TraceEntry
from reference_broker.wire.packets import Auth, ConnAck, Connect, Disconnect
from reference_broker.wire.types import ReasonCode, Version

NO_AUTH_WITHOUT_METHOD = Rule(
    "no-auth-without-method",
    "without an Authentication Method in CONNECT nobody sends AUTH, and CONNACK has no method",
    client={V5: must("MQTT-4.12.0-7")},
    broker={V5: must("MQTT-4.12.0-6")},
)
SAME_METHOD = Rule(
    "same-authentication-method",
    "every AUTH and the CONNACK that accepts have the method of CONNECT",
    client={V5: must("MQTT-4.12.0-5", "MQTT-4.12.1-1")},
    broker={V5: must("MQTT-4.12.0-5")},
)
ONLY_AUTH_BEFORE_CONNACK = Rule(
    "only-auth-before-connack",
    "a client that named a method sends only AUTH and DISCONNECT before CONNACK",
    client={V5: must("MQTT-3.1.2-30")},
)
CONTINUES_WITH_24 = Rule(
    "auth-continues-with-0x18",
    "AUTH that goes on with an exchange has reason code 0x18",
    client={V5: must("MQTT-4.12.0-3")},
    broker={V5: must("MQTT-4.12.0-2")},
)
RULES = (NO_AUTH_WITHOUT_METHOD, SAME_METHOD, ONLY_AUTH_BEFORE_CONNACK, CONTINUES_WITH_24)


def inspect(case: Case) -> Iterator[Breach]:
    """Look at every 5.0 connection."""
    for talk in case.talks:
        if talk.version is Version.V5:
            yield from _methods(talk, CLIENT)
            yield from _methods(talk, BROKER)
            yield from _before_connack(talk)


def _methods(talk: Talk, side: Sender) -> Iterator[Breach]:
    connect = talk.connect(side)
    if connect is None:
        return
    method = connect[1].properties.authentication_method
    for entry in talk.sent(side):
        if isinstance(entry.packet, Auth):
            named = entry.packet.properties.authentication_method
            if method is None:
                yield NO_AUTH_WITHOUT_METHOD.broken(side, entry, "AUTH, but CONNECT named no method")
            elif named != method:
                yield SAME_METHOD.broken(side, entry, f"AUTH has method {named!r}, CONNECT {method!r}")
    connack = talk.connack(BROKER)
    if side is BROKER and connack is not None:
        named = connack[1].properties.authentication_method
        if method is None and named is not None:
            yield NO_AUTH_WITHOUT_METHOD.broken(BROKER, connack[0], f"CONNACK has method {named!r}, CONNECT none")
        elif method is not None and connack[1].reason == 0 and named != method:
            yield SAME_METHOD.broken(BROKER, connack[0], f"CONNACK has method {named!r}, CONNECT {method!r}")


def _before_connack(talk: Talk) -> Iterator[Breach]:
    connect, connack = talk.connect(CLIENT), talk.connack(CLIENT)
    if connect is None or connect[1].properties.authentication_method is None:
        return
    for entry in _until(talk.sent(CLIENT), connack):
        if entry.packet is not None and not isinstance(entry.packet, Connect | Auth | Disconnect):
            yield ONLY_AUTH_BEFORE_CONNACK.broken(CLIENT, entry, f"{entry.packet.type.name} before CONNACK")
        yield from _continues(CLIENT, entry)
    for entry in _until(talk.sent(BROKER), talk.connack(BROKER)):
        yield from _continues(BROKER, entry)


def _until(entries: list[TraceEntry], connack: tuple[TraceEntry, ConnAck] | None) -> list[TraceEntry]:
    return entries if connack is None else [entry for entry in entries if entry.index < connack[0].index]


def _continues(side: Sender, entry: TraceEntry) -> Iterator[Breach]:
    if isinstance(entry.packet, Auth) and entry.packet.reason != ReasonCode.CONTINUE_AUTHENTICATION:
        message = f"AUTH before CONNACK has reason code {entry.packet.reason:#04x}"
        yield CONTINUES_WITH_24.broken(side, entry, message)
