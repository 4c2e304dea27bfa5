"""How a connection begins: CONNECT first and once, CONNACK first and once, what they must say to each other.

Belongs here: CONNECT and CONNACK of one connection.
Does not belong here: whether there was a session (`session`), authentication (`auth`), the CONNACK's limits (`limits`).
"""

from __future__ import annotations

from collections.abc import Iterator

from interop.judge.rule import V5, V31, V311, Breach, Rule, must
from interop.judge.view import BROKER, CLIENT, Case, Talk
from interop.tap.trace import TraceEntry
from reference_broker.wire.packets import Auth, ConnAck, Connect, Disconnect
from reference_broker.wire.types import PacketType, Version

CONNECT_FIRST = Rule(
    "connect-first",
    "the first packet a client sends is CONNECT",
    client={V31: must(section="3.1"), V311: must("MQTT-3.1.0-1"), V5: must("MQTT-3.1.0-1")},
)
ONE_CONNECT = Rule(
    "one-connect",
    "a client sends CONNECT once on a connection, and a server closes the connection at the second",
    client={V311: must(section="3.1"), V5: must(section="3.1")},
    broker={V311: must("MQTT-3.1.0-2"), V5: must("MQTT-3.1.0-2")},
    clocked=True,
)
CONNACK_FIRST = Rule(
    "connack-first",
    "the first packet a server sends is CONNACK, in 5.0 after AUTH at most",
    broker={V311: must("MQTT-3.2.0-1"), V5: must("MQTT-3.2.0-1")},
)
ONE_CONNACK = Rule("one-connack", "a server sends CONNACK once on a connection", broker={V5: must("MQTT-3.2.0-2")})
REFUSAL_IS_THE_END = Rule(
    "refusal-is-the-end",
    "after a CONNACK that refuses, the server sends nothing more and closes the connection",
    broker={V311: must("MQTT-3.2.2-5"), V5: must("MQTT-3.2.2-7")},
    clocked=True,
)
CLEAN_START_HAS_NO_SESSION = Rule(
    "clean-start-has-no-session",
    "a CONNACK that accepts a clean start has Session Present 0",
    broker={V311: must("MQTT-3.2.2-1"), V5: must("MQTT-3.2.2-2")},
)
ASSIGNED_ID = Rule(
    "assigned-client-id",
    "a client without an identifier is told the one it got",
    broker={V5: must("MQTT-3.1.3-7", "MQTT-3.2.2-16")},
)
EMPTY_ID_IS_CLEAN = Rule(
    "empty-client-id-is-clean",
    "a client without an identifier asks for a clean session",
    client={V311: must("MQTT-3.1.3-7")},
)
EMPTY_ID_REFUSED = Rule(
    "empty-client-id-refused",
    "a client identifier that is empty where it may not be is refused with return code 2",
    broker={V31: must("MQTT31-5"), V311: must("MQTT-3.1.3-8")},
)
RULES = (
    CONNECT_FIRST,
    ONE_CONNECT,
    CONNACK_FIRST,
    ONE_CONNACK,
    REFUSAL_IS_THE_END,
    CLEAN_START_HAS_NO_SESSION,
    ASSIGNED_ID,
    EMPTY_ID_IS_CLEAN,
    EMPTY_ID_REFUSED,
)


def inspect(case: Case) -> Iterator[Breach]:
    """Look at the beginning of every connection."""
    for talk in case.talks:
        yield from _connects(talk)
        yield from _connacks(talk)
        yield from _agreement(talk)


def _connects(talk: Talk) -> Iterator[Breach]:
    sent = talk.sent(CLIENT)
    if sent and _type(sent[0]) != PacketType.CONNECT:
        yield CONNECT_FIRST.broken(CLIENT, sent[0], f"{_name(sent[0])} comes before CONNECT")
    connects = [entry for entry in sent if isinstance(entry.packet, Connect)]
    for entry in connects[1:]:
        yield ONE_CONNECT.broken(CLIENT, entry, "a second CONNECT on the same connection")
    arrived = [entry for entry in talk.got(BROKER) if isinstance(entry.packet, Connect)]
    if len(arrived) > 1 and talk.open_until(BROKER) - arrived[1].at > talk.reaction_seconds:
        yield ONE_CONNECT.broken(BROKER, arrived[1], f"still open {talk.reaction_seconds:g} s after a second CONNECT")
    connect = talk.connect(CLIENT)
    if connect is not None and not connect[1].client_id and not connect[1].clean_start:
        yield EMPTY_ID_IS_CLEAN.broken(CLIENT, connect[0], "an empty client identifier with Clean Session 0")


def _connacks(talk: Talk) -> Iterator[Breach]:
    refused: TraceEntry | None = None
    connack: TraceEntry | None = None
    for entry in talk.sent(BROKER):
        if refused is not None:
            yield REFUSAL_IS_THE_END.broken(BROKER, entry, f"{_name(entry)} after a CONNACK that refused")
        elif connack is None and _type(entry) == PacketType.CONNACK:
            connack = entry
            if isinstance(entry.packet, ConnAck) and entry.packet.reason != 0:
                refused = entry
        elif connack is None and not isinstance(entry.packet, Auth):
            ids = ("MQTT-3.2.0-1", "MQTT-3.14.0-1") if isinstance(entry.packet, Disconnect) else None
            yield CONNACK_FIRST.broken(BROKER, entry, f"{_name(entry)} comes before CONNACK", ids)
            break
        elif _type(entry) == PacketType.CONNACK:
            yield ONE_CONNACK.broken(BROKER, entry, "a second CONNACK on the same connection")
    if refused is not None and talk.open_until(BROKER) - refused.at > talk.reaction_seconds:
        yield REFUSAL_IS_THE_END.broken(
            BROKER, refused, f"still open {talk.reaction_seconds:g} s after a CONNACK that refused"
        )


def _agreement(talk: Talk) -> Iterator[Breach]:
    accepted = talk.accepted(BROKER)
    if accepted is None:
        return
    connect, connack = accepted
    answer = talk.connack(BROKER)
    assert answer is not None  # it accepted
    if connect.clean_start and connack.session_present:
        yield CLEAN_START_HAS_NO_SESSION.broken(BROKER, answer[0], "Session Present 1 answers a clean start")
    if connect.client_id:
        return
    if talk.version is Version.V31 or (talk.version is Version.V311 and not connect.clean_start):
        yield EMPTY_ID_REFUSED.broken(BROKER, answer[0], "an empty client identifier was accepted")
    if not connack.properties.assigned_client_identifier:
        yield ASSIGNED_ID.broken(BROKER, answer[0], "no Assigned Client Identifier for an empty client identifier")


def _type(entry: TraceEntry) -> int | None:
    """The packet's type, also of one that could not be decoded; none of one that has no first byte."""
    if entry.packet is not None:
        return entry.packet.type
    return entry.data[0] >> 4 if entry.data else None


def _name(entry: TraceEntry) -> str:
    return "a malformed packet" if entry.packet is None else entry.packet.type.name
