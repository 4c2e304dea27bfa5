"""Brokers that are wrong about what outlives a connection.

Belongs here: faults of a broker in keeping, resuming and ending sessions, and in what waits in them.
Does not belong here: messages of a connected client (`broker_messages`), wills (`broker_ending`).
"""

from __future__ import annotations

from typing import Any

from interop.mutants.mutant import Patch, Set, around, table
from interop.mutants.words import nothing
from reference_broker.broker.keeping.exchange import Exchange
from reference_broker.broker.keeping.sessions import Sessions
from reference_broker.broker.outgoing.mailbox import Mailbox
from reference_broker.broker.outgoing.waiting import Waiting
from reference_broker.wire.properties import NEVER_EXPIRES
from reference_broker.wire.types import ReasonCode


def _expiring(seconds: Any) -> Patch:
    def leave(real: Any, self: Any, session: Any, now: float, *, publish_will: bool) -> None:
        session.expiry_interval = seconds(session.expiry_interval)
        real(self, session, now, publish_will=publish_will)

    return around(Sessions, "leave", leave)


def _emptied(what: Any) -> Patch:
    def open_session(real: Any, self: Any, client_id: str, version: Any, clean: bool, now: float) -> Any:
        session, present = real(self, client_id, version, clean, now)
        if present:
            what(self, session)
        return session, present

    return around(Sessions, "open", open_session)


def _without_subscriptions(sessions: Any, session: Any) -> None:
    for name in list(session.subscriptions):
        sessions.house.router.unsubscribe(session, name)


def _kept_by_clean_start(real: Any, self: Any, client_id: str, version: Any, clean: bool, now: float) -> Any:
    session, present = real(self, client_id, version, False, now)
    return session, present and not clean


def _newest_first(_real: Any, self: Any) -> Any:
    *others, newest = self.queue
    self.queue = Waiting(others)
    return newest


def _all_at_qos_1(real: Any, self: Any, session: Any, now: float) -> None:
    for each in session.inflight.values():
        each.qos = min(each.qos, 1)
    real(self, session, now)


def _every_second(real: Any, self: Any, message: Any, now: float) -> Any:
    self.house.memory["count"] = self.house.memory.get("count", 0) + 1
    return real(self, message, now) if self.house.memory["count"] % 2 else ReasonCode.SUCCESS


SESSIONS = table("broker", "session shared connect qos1 qos2 ordering takeover will expiry disconnect delivery "
                 "flow_control", {
    "keeps no session": _expiring(lambda _: 0),
    "keeps every session": _expiring(lambda seconds: seconds or NEVER_EXPIRES),
    "keeps sessions for ever": _expiring(lambda seconds: NEVER_EXPIRES if seconds else 0),
    "keeps sessions two seconds longer": _expiring(lambda s: s + 2 if 0 < s < NEVER_EXPIRES else s),
    "keeps sessions a second less": _expiring(lambda s: s - 1 if 0 < s < NEVER_EXPIRES else s),
    "keeps the session at a clean start": around(Sessions, "open", _kept_by_clean_start),
    "drops the session at any connect": around(
        Sessions, "open", lambda real, self, client_id, version, clean, now: real(self, client_id, version, True, now)
    ),
    "forgets subscriptions of a kept session": _emptied(_without_subscriptions),
    "forgets what waited in a kept session": _emptied(lambda _, session: setattr(session, "queue", None)),
    "forgets what was in flight": _emptied(lambda _, session: session.outbound.drop_all()),
    "forgets QoS 2 messages it received": _emptied(lambda _, session: session.inbound.drop_all()),
    "queues nothing for the absent": around(Mailbox, "enqueue", nothing),
    "queues QoS 0 for the absent too": Set(queue_qos0_offline=True),
    "queues the newest first": around(Mailbox, "dequeue", _newest_first),
    "queues without bounds": around(Mailbox, "_is_full", lambda *_: False),
    "queues one message": around(Mailbox, "_is_full", lambda real, self, size, config: bool(self.queue)),
    "hands nothing over from shared subscriptions": around(Sessions, "_hand_over_shared", nothing),
    "hands QoS 2 in flight over too": around(Sessions, "end", _all_at_qos_1),
    "loses every second message": around(Exchange, "accept", _every_second),
})  # fmt: skip

MUTANTS = SESSIONS
