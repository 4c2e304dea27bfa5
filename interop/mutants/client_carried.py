"""Clients that are wrong about what outlives a connection, and about what does not.

Belongs here: faults of a client that show at the second connection: resending, received messages, lost ones.
Does not belong here: the first connection (`client_connections`), the exchange of messages (`client_messages`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from interop.mutants.mutant import Change, Hears, Says, around, table
from interop.mutants.words import having, having_properties, when
from reference_broker.client.core import ClientCore
from reference_broker.client.publishing import Publisher
from reference_broker.client.receiving import Receiver
from reference_broker.client.session import Session
from reference_broker.session.packet_ids import HIGHEST_PACKET_ID
from reference_broker.wire.packets import ConnAck, Connect, PubComp, Publish, PubRel
from reference_broker.wire.properties import NO_PROPERTIES
from reference_broker.wire.types import PacketType, QoS, Version

_AREAS = "session qos1 qos2 ordering flow_control takeover connect topic_alias expiry will keep_alive delivery"

_MEMORY: dict[int, dict[Any, Any]] = {}
"""What a mutant remembers of a client's session, by the session's identity."""


def _memory(session: Any) -> dict[Any, Any]:
    return _MEMORY.setdefault(id(session), {"session": session})  # which keeps the identity its own


def connecting(act: Callable[[Any, int, bool], Any]) -> Any:
    """`act` (core, how often the session was resumed before, whether it is now) is done at CONNACK, before messages."""

    def agree(real: Any, self: Any, session_present: bool) -> bool:
        memory = _memory(self.session)
        resumed = session_present and memory.get("connected", False)
        count = memory["resumed"] = memory.get("resumed", 0) + 1 if resumed else 0
        memory["connected"] = True
        self.memory["resumed"] = count
        if count or not session_present:
            act(self, count, session_present)
        return bool(real(self, session_present))

    return around(ClientCore, "_agree_on_session", agree)


def _nothing(_core: Any, _count: int, _present: bool) -> None:
    pass


def at(count: int, change: Change) -> Change:
    """Change: only on the connection that resumed the session for the `count`th time."""
    return when(lambda _packet, end: end.memory.get("resumed") == count, change)


def _at(number: int, act: Callable[[Any], Any]) -> Any:
    return connecting(lambda core, count, _: act(core) if count == number else None)


def at_each_resumption(name: str, act: Callable[[Any], Any]) -> dict[str, Any]:
    """Rows: the same fault at the first resumption and at the second."""
    return {f"{name} at its first resumption": _at(1, act), f"{name} at its second resumption": _at(2, act)}


def at_each_resumption_says(name: str, kind: Any, change: Change) -> dict[str, Any]:
    """Rows: packets are mistold after the first resumption and after the second."""
    return {
        f"{name} after its {which} resumption": (connecting(_nothing), Says(kind, at(number, change)))
        for number, which in ((1, "first"), (2, "second"))
    }


# --- what is in flight ------------------------------------------------------------------------------------------------


def _is_repeat(packet: Publish, _end: Any) -> bool:
    return packet.dup


def _forget(which: Callable[[Any], bool]) -> Callable[[Any], None]:
    def act(core: Any) -> None:
        outbound = core.session.outbound
        for packet in list(outbound.resume()):
            if which(packet):
                outbound._publishes.pop(packet.packet_id, None)
                outbound._releases.pop(packet.packet_id, None)
                core.session.packet_ids.release(packet.packet_id)
                core.session.tickets.pop(packet.packet_id, None)

    return act


def _backwards(core: Any) -> None:
    outbound = core.session.outbound
    outbound._publishes = dict(reversed(outbound._publishes.items()))


def _numbers_from_1(core: Any) -> None:
    core.session.packet_ids._in_use.clear()
    core.session.packet_ids._last = 0


def _other_id(packet: Publish, _end: Any) -> Publish:
    assert packet.packet_id is not None
    return replace(packet, packet_id=packet.packet_id % HIGHEST_PACKET_ID + 1000)


def _publish_again(core: Any) -> None:
    """The PUBLISH behind a PUBREL that is owed is sent again instead."""
    memory, outbound = _memory(core.session), core.session.outbound
    for packet_id in list(outbound._releases):
        publish = memory.get(("published", packet_id))
        if publish is not None:
            del outbound._releases[packet_id]
            outbound._publishes[packet_id] = publish


def _remember(packet: Publish, end: Any) -> Publish:
    _memory(end.session)["published", packet.packet_id] = packet
    return packet


def _expired(packet: Publish, _end: Any) -> Any:
    """It expires although it was sent; one second is what scenarios let pass."""
    return None if packet.dup and packet.properties.message_expiry_interval == 1 else packet


_ANY = lambda _packet: True  # noqa: E731

SENDING = table("client", _AREAS, {
    **at_each_resumption("forgets what is in flight", _forget(_ANY)),
    **at_each_resumption("forgets the PUBREL it owes", _forget(lambda p: p.type is PacketType.PUBREL)),
    **at_each_resumption("sends again backwards", _backwards),
    **at_each_resumption("takes packet ids from 1 again", _numbers_from_1),
    **{name: (fault, Says(Publish, _remember)) for name, fault in at_each_resumption(
        "sends PUBLISH for PUBREL", _publish_again).items()},
    **at_each_resumption_says("sends again without DUP", Publish, having(dup=False)),
    **at_each_resumption_says("sends again under another id", Publish, when(_is_repeat, _other_id)),
    **at_each_resumption_says("sends again without properties", Publish, when(
        _is_repeat, having(properties=NO_PROPERTIES))),
    **at_each_resumption_says("sends again without RETAIN", Publish, when(_is_repeat, having(retain=False))),
    **at_each_resumption_says("sends again at QoS 1", Publish, when(_is_repeat, having(qos=QoS.AT_LEAST_ONCE))),
    **at_each_resumption_says("sends PUBREL twice", PubRel, lambda p, _: (p, p)),
    "lets messages expire in flight": Says(Publish, _expired),
})  # fmt: skip

# --- what was received ------------------------------------------------------------------------------------------------


def _forget_received(core: Any) -> None:
    core.session.inbound.drop_all()


def _kept(real: Any, self: Any) -> list[int]:
    received = list(self.inbound)
    lost: list[int] = real(self)
    for packet_id in received:
        self.inbound.restore(packet_id)
    return lost


def _kept_received(real: Any, self: Any) -> None:
    received = list(self.inbound)
    real(self)
    for packet_id in received:
        self.inbound.restore(packet_id)


def _no_pubcomp(packet: PubComp, end: Any) -> Any:
    return None if end.memory.get("resumed") else packet


def _not_found(packet: PubComp, end: Any) -> PubComp:
    return replace(packet, reason=0x92) if end.memory.get("resumed") and end.version is Version.V5 else packet


def _old_aliases(real: Any, self: Any, *arguments: Any, **named: Any) -> None:
    real(self, *arguments, **named)
    memory = _memory(self._session)
    self._aliases._topics = memory.setdefault("aliases", self._aliases._topics)


RECEIVING = table("client", f"{_AREAS} properties", {
    **at_each_resumption("forgets what it received", _forget_received),
    "keeps received ids of a lost session": (
        around(Session, "discard", _kept), around(Session, "forget_received", _kept_received)),
    "keeps received ids though it starts clean": around(Session, "discard", _kept),
    "answers no PUBREL after a resumption": (connecting(_nothing), Says(PubComp, _no_pubcomp)),
    "knows no PUBREL after a resumption": (connecting(_nothing), Says(PubComp, _not_found)),
    "keeps the server's topic aliases": around(Receiver, "__init__", _old_aliases),
})  # fmt: skip

# --- lost sessions ----------------------------------------------------------------------------------------------------


def _as_if_present(which: Callable[[Any], bool]) -> Any:
    """What is in flight is sent again though the server has no session."""

    def discard(real: Any, self: Any) -> Any:
        again = [packet for packet in self.outbound.resume() if which(packet)]
        tickets = dict(self.tickets)
        lost = real(self)
        for packet in again:
            self.outbound.restore(packet)
            self.tickets[packet.packet_id] = tickets[packet.packet_id]
        return [ticket for ticket in lost if ticket not in self.tickets.values()]

    return around(Session, "discard", discard)


def _of_qos(qos: int) -> Callable[[Any], bool]:
    return lambda packet: getattr(packet, "qos", None) == qos


LOST = table("client", _AREAS, {
    "sends QoS 1 of a lost session again": _as_if_present(_of_qos(1)),
    "sends QoS 2 of a lost session again": _as_if_present(_of_qos(2)),
    "sends PUBREL of a lost session": _as_if_present(lambda packet: packet.type is PacketType.PUBREL),
})  # fmt: skip

# --- what belongs to a connection -------------------------------------------------------------------------------------


def _old_limits(*names: str) -> Any:
    def publisher(real: Any, self: Any, session: Any, version: Any, limits: Any, **named: Any) -> None:
        first = _memory(session).setdefault("limits", limits)
        kept = replace(limits, **{name: getattr(first, name) for name in names})
        real(self, session, version, kept, **named)

    return around(Publisher, "__init__", publisher)


def _old_keep_alive(packet: ConnAck, end: Any) -> ConnAck:
    if end.version is not Version.V5:
        return packet
    first = _memory(end.session).setdefault("keep alive", packet.properties.server_keep_alive)
    return replace(packet, properties=replace(packet.properties, server_keep_alive=first))


def _alias_alone(packet: Publish, end: Any) -> Publish:
    """An alias that was set on any connection of the session goes without its topic."""
    alias, known = packet.properties.topic_alias, _memory(end.session).setdefault("aliases set", {})
    if alias is None or known.setdefault(alias, packet.topic) != packet.topic or not end.memory.get("resumed"):
        return packet
    return replace(packet, topic="")


def _first_only(change: Change) -> Says:
    """Every CONNECT of a session but the first is changed."""

    def connect(packet: Connect, end: Any) -> Any:
        memory = _memory(end.session)
        memory["connects"] = memory.get("connects", 0) + 1
        return change(packet, end) if memory["connects"] > 1 else packet

    return Says(Connect, connect)


CONNECTING = table("client", f"{_AREAS} auth properties disconnect", {
    "keeps the first Receive Maximum of the server": _old_limits("receive_maximum"),
    "keeps the first Maximum QoS of the server": _old_limits("maximum_qos"),
    "keeps the first Retain Available of the server": _old_limits("retain_available"),
    "keeps the first Topic Alias Maximum of the server": _old_limits("topic_alias_maximum"),
    "keeps the first Server Keep Alive": Hears(ConnAck, _old_keep_alive),
    "keeps its topic aliases": (connecting(_nothing), Says(Publish, _alias_alone)),
    "returns with a clean start": _first_only(having(clean_start=True)),
    "returns without a clean start": _first_only(having(clean_start=False)),
    "returns without its will": _first_only(having(will=None)),
    "returns without Session Expiry Interval": _first_only(having_properties(session_expiry_interval=None)),
    "returns without Receive Maximum": _first_only(having_properties(receive_maximum=None)),
    "returns without Topic Alias Maximum": _first_only(having_properties(topic_alias_maximum=None)),
    "returns without Maximum Packet Size": _first_only(having_properties(maximum_packet_size=None)),
    "returns without user name": _first_only(having(username=None, password=None)),
    "returns with keep alive 0": _first_only(having(keep_alive=0)),
})  # fmt: skip

MUTANTS = [*SENDING, *RECEIVING, *LOST, *CONNECTING]
