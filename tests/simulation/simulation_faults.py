"""Brokers with one fault each, for the tests of the simulation.

Belongs here: a fault for each invariant, how a broker with it is made. Does not belong here: what is expected of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from interop.mutants.broker_restart import RESTART
from interop.mutants.mutant import Hears, Mutant, Patch, Says, around
from interop.simulation.medium import MakeBroker
from interop.simulation.wrong import wrong_broker
from reference_broker.broker.keeping.exchange import Exchange
from reference_broker.broker.keeping.moving_in import MovingIn
from reference_broker.broker.keeping.retained import RetainedMessages
from reference_broker.broker.keeping.sessions import Sessions
from reference_broker.broker.keeping.wills import Wills
from reference_broker.broker.outgoing.mailbox import Mailbox
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.journal import Journal
from reference_broker.broker.values.message import Message
from reference_broker.broker.values.rows import SESSION, SESSION_WILL
from reference_broker.session.delivery import Outbound
from reference_broker.session.flow_control import SendQuota
from reference_broker.store.records import Removal
from reference_broker.wire.packets import ConnAck, Connect, Disconnect, PubAck, Publish, SubAck
from reference_broker.wire.properties import NEVER_EXPIRES
from reference_broker.wire.types import PacketType, ReasonCode

COPIES = "each message as often as its QoS says"
ORDER = "order for each topic and publisher"
ACKNOWLEDGED = "nothing acknowledged lost"
WILLS = "will exactly when due"
PACKET_IDS = "no packet id twice"
MEMORY = "memory bounded"
JUDGE = "the judge silent"
CONTENT = "content unchanged"
SHARED = "one member gets what is shared"
SESSIONS = "sessions last as agreed"
EXPIRY = "nothing is sent that has expired"
PUBREL = PacketType.PUBREL

FAULTS: dict[str, tuple[Any, Any]] = {
    "delivers QoS 2 twice": (
        COPIES,
        around(Exchange, "deliver_to", lambda real, self, s, m, qos, *more: [
            real(self, s, m, qos, *more) for _ in range(max(1, qos))]),
    ),
    "delivers every QoS 1 message as QoS 0": (
        COPIES,
        around(Exchange, "deliver_to", lambda real, self, s, m, qos, *more: real(self, s, m, type(qos)(0), *more)),
    ),
    "queues nothing": (COPIES, around(Mailbox, "enqueue", lambda *_: None)),
    "resends backwards": (ORDER, around(Outbound, "resume", lambda real, self: iter(list(real(self))[::-1]))),
    "acknowledges another": (ACKNOWLEDGED, Says(PubAck, lambda p, _: replace(p, packet_id=p.packet_id % 65_535 + 1))),
    "acknowledges nothing": (ACKNOWLEDGED, Says(PubAck, lambda *_: None)),
    "retains nothing": (ACKNOWLEDGED, around(RetainedMessages, "keep", lambda *_: True)),
    "lets nothing expire": (EXPIRY, around(Message, "is_expired", lambda *_: False)),
    "says that all the time is left": (
        EXPIRY,
        around(Message, "properties_for", lambda real, self, version, ids, now: real(
            self, version, ids, self.accepted_at)),
    ),
    "sends no PUBREL again": (
        MEMORY, around(Outbound, "resume", lambda real, self: iter([p for p in real(self) if p.type != PUBREL]))
    ),
    "lets two messages wait, whatever there is room for": (
        COPIES,
        around(Mailbox, "_is_full", lambda real, self, *more: len(self.queue or ()) > 1 or real(self, *more)),
    ),
    "gives every member what is shared": (
        SHARED,
        around(Exchange, "deliver_shared", lambda real, self, shared, *more: [
            real(self, shared, *more) for _ in shared][-1]),
    ),
    "cuts payloads at their first null": (
        CONTENT, Says(Publish, lambda p, _: replace(p, payload=p.payload.partition(b"\0")[0]))
    ),
    "sends no user properties": (
        CONTENT, Says(Publish, lambda p, _: replace(p, properties=replace(p.properties, user_property=())))
    ),
    "sends no expiry": (
        CONTENT, Says(Publish, lambda p, _: replace(p, properties=replace(p.properties, message_expiry_interval=None)))
    ),
    "sends no subscription identifiers": (
        CONTENT, Says(Publish, lambda p, _: replace(p, properties=replace(p.properties, subscription_identifier=())))
    ),
    "never sends RETAIN": (COPIES, Says(Publish, lambda p, _: replace(p, retain=False))),
    "sends RETAIN with all that is subscribed": (
        CONTENT, Says(Publish, lambda p, _: replace(p, retain=p.retain or p.topic == "a/x"))
    ),
    "knows no Maximum Packet Size": ("no packet too large", Hears(Connect, lambda p, _: replace(
        p, properties=replace(p.properties, maximum_packet_size=None)))),
    "answers no SUBSCRIBE": (JUDGE, Says(SubAck, lambda *_: None)),
    "tells nobody that another took its place": (
        JUDGE, Says(Disconnect, lambda p, _: None if p.reason == ReasonCode.SESSION_TAKEN_OVER else p)
    ),
    "gives the same identifier to all": (
        PACKET_IDS, Says(Publish, lambda p, _: replace(p, packet_id=1) if p.qos else p)
    ),
    "forgets DUP": (PACKET_IDS, Says(Publish, lambda p, _: replace(p, dup=False))),
    "knows no quota": ("quota kept", around(SendQuota, "take", lambda *_: True)),
    "publishes no will": (WILLS, around(Wills, "publish", lambda *_: None)),
    "publishes wills in spite of DISCONNECT": (
        WILLS,
        around(Wills, "connection_closed", lambda real, self, s, now, *, publish_will: real(
            self, s, now, publish_will=True)),
    ),
    "publishes wills a second late": (
        WILLS,
        around(Wills, "publish_later", lambda real, self, s, delay, now: real(self, s, delay + 1, now)),
    ),
    "says that every session is new": (SESSIONS, Says(ConnAck, lambda p, _: replace(
        p, session_present=False))),
    "closes over the twelfth message": (
        "nobody is turned away",
        around(Exchange, "accept", lambda real, self, m, now: (
            self.house.connections[-1].disconnect(ReasonCode.UNSPECIFIED_ERROR, "", now)
            if m.payload == b"12" else None, real(self, m, now))[1]),
    ),
    "never lets a silent client go": ("nobody is turned away", around(Peer, "_watch_keep_alive", lambda *_: None)),
    "keeps sessions that are over": (
        MEMORY,
        around(Sessions, "end", lambda real, self, s, now: (real(self, s, now), self.add(f"{s.client_id} of old",
                                                                                        s.version))[0]),
    ),
}  # fmt: skip
"""By what it does wrong: the invariant that has to name it, and the fault."""


LEAVES: dict[str, tuple[Any, Any]] = {
    "hands nothing on when a member's session ends": (1, around(Sessions, "_hand_over_shared", lambda *_: None)),
    "hands on what is in flight at QoS 2": (
        2,
        around(
            Sessions,
            "end",
            lambda real, self, s, now: (
                inflight := [each for each in s.inflight.values() if each.share is not None and each.qos == 2],
                real(self, s, now),
                self._hand_over_shared(inflight, now),
            )[1],
        ),
    ),
}
"""What is wrong when a member of a share leaves with a message in flight: by what it does, at which QoS it shows."""


def _taking_in(change: Callable[[Any, Any], None]) -> Patch:
    """What a session's rows say is changed as a broker takes them in that starts again."""

    def add(real: Any, self: Any, number: bytes, head: Any, now: float) -> None:
        change(self, head)
        real(self, number, head, now)

    return around(MovingIn, "_add", add)


def _due_at(change: Callable[[float | None], float | None]) -> Callable[[Any, Any], None]:
    def change_will(_broker: Any, head: Any) -> None:
        head.will = head.will and replace(head.will, due_at=change(head.will.due_at))

    return change_will


def _is_over(broker: Any, head: Any) -> None:
    expires_at = head.row.expires_at
    if expires_at is not None and expires_at <= broker._unix_time:
        head.row = replace(head.row, expires_at=broker._unix_time + head.row.expiry_interval)


def _begins_to_expire(broker: Any, head: Any) -> None:
    row = head.row
    if row.is_connected and row.expiry_interval not in (0, NEVER_EXPIRES):
        head.row = replace(row, is_connected=False, expires_at=broker._unix_time + row.expiry_interval)


def _drop(real: Any, self: Any, key: bytes) -> None:
    is_of_session_that_stays = key[:1] == SESSION_WILL and (SESSION + key[1:], Removal.ONE) not in self._changes
    if not is_of_session_that_stays:
        real(self, key)


def _live(real: Any, self: Any, now: float) -> None:
    if self._alive_at < 0:
        real(self, now)


def _known(book: str, seed: int, name: str) -> dict[str, tuple[str, int, Any]]:
    """A mutant that scenarios with a restart are to find, too."""
    return {each.name: (book, seed, each.faults[0]) for each in RESTART if each.name == name}


CRASHES: dict[str, tuple[str, int, Any]] = {
    "keeps a will that was published": (WILLS, 38, around(Journal, "drop", _drop)),
    "publishes wills as it starts, whatever their delay": (WILLS, 14, _taking_in(_due_at(lambda _: 0.0))),
    "begins delays anew as it starts": (WILLS, 24, _taking_in(_due_at(lambda _: None))),
    "takes connections to have lasted until it starts again": (
        WILLS, 8, around(MovingIn, "_died_at", lambda _, self: self._unix_time)
    ),
    "takes connections to have ended when it noted last that it lives": (
        WILLS, 39, around(MovingIn, "_died_at", lambda _, self: self._alive_at or self._unix_time)
    ),
    "notes only once that it lives": (WILLS, 18, around(Journal, "live", _live)),
    "brings back a session that expired while it was down": (SESSIONS, 8, _taking_in(_is_over)),
    "lets sessions begin to expire as it starts": (SESSIONS, 7, _taking_in(_begins_to_expire)),
    **_known(WILLS, 21, "keeps no will over a restart"),
    **_known(WILLS, 21, "lets wills of clean sessions go with it"),
    **_known(WILLS, 8, "brings back what had ended"),
    **_known(SESSIONS, 38, "keeps sessions for ever over a restart"),
    **_known(EXPIRY, 7, "lets messages begin anew at a restart"),
}  # fmt: skip
"""What is wrong when a broker goes on after a crash: by what it does, the invariant that names it, and in which world.

Where worlds change, one of the next will do.
"""


def broker_that(does: str) -> MakeBroker:
    """Makes brokers with that fault."""
    return wrong_broker(Mutant(does, "broker", (), ((FAULTS | LEAVES | CRASHES)[does][-1],)))
