"""Keep alive as arithmetic on times that others measure. [3.1.1 3.1.2.10, 5.0 3.1.2.10]

Belongs here: when a client owes a PINGREQ, when its answer is overdue, when a server must give a client up.
Does not belong here: clocks and timers. Times are seconds of any clock that only goes forward.
"""

from __future__ import annotations

from enum import Enum, auto

SERVER_GRACE = 1.5
"""A server waits one and a half times the keep alive. [3.1.1 MQTT-3.1.2-24, 5.0 MQTT-3.1.2-22]"""

_PING_EARLY_FRACTION = 0.1
_PING_EARLY_MAXIMUM_SECONDS = 5.0


class KeepAliveAction(Enum):
    """What a client has to do now."""

    NOTHING = auto()
    SEND_PINGREQ = auto()
    GIVE_UP = auto()


class ClientKeepAlive:
    """When a client sends PINGREQ, and when it takes the connection for dead. [5.0 MQTT-3.1.2-20, 3.1.2.10]

    PINGREQ is due when nothing was sent for the keep alive, and also when nothing was received: a client that only
    sends QoS 0 would otherwise never notice a dead link. It goes out a tenth (at most 5 s) early, because the interval
    between packets must not exceed the keep alive and timers fire late. PINGRESP may take `answer_timeout_seconds`,
    by default one whole keep alive, as 3.1 has it. [3.1 CONNECT, Keep Alive timer]
    """

    __slots__ = ("_answer_timeout", "_interval", "_last_received", "_last_sent", "_ping_sent")

    def __init__(self, keep_alive: int, now: float, *, answer_timeout_seconds: float | None = None) -> None:
        """`keep_alive` in seconds, 0 turns it off; the connection starts `now`."""
        early = min(keep_alive * _PING_EARLY_FRACTION, _PING_EARLY_MAXIMUM_SECONDS)
        self._interval: float | None = keep_alive - early if keep_alive else None
        self._answer_timeout = float(keep_alive) if answer_timeout_seconds is None else answer_timeout_seconds
        self._last_sent = now
        self._last_received = now
        self._ping_sent: float | None = None

    def packet_sent(self, now: float) -> None:
        """Any packet left, PINGREQ included."""
        self._last_sent = now

    def packet_received(self, now: float) -> None:
        """Any packet arrived, PINGRESP included."""
        self._last_received = now

    def ping_sent(self, now: float) -> None:
        """A PINGREQ left; of several without an answer the first one counts."""
        self._last_sent = now
        if self._ping_sent is None:
            self._ping_sent = now

    def excuse(self, now: float) -> None:
        """The peer was not read until now: that nothing came says nothing of it."""
        self._last_received = now
        if self._ping_sent is not None:
            self._ping_sent = now

    def ping_answered(self) -> None:
        """A PINGRESP arrived."""
        self._ping_sent = None

    def deadline(self) -> float | None:
        """When `action` has to be asked again; None if never."""
        if self._interval is None:
            return None
        if self._ping_sent is None:
            return min(self._last_sent, self._last_received) + self._interval
        # While an answer is owed silence from the server starts no second PINGREQ, silence of our own does.
        return min(self._ping_sent + self._answer_timeout, self._last_sent + self._interval)

    def action(self, now: float) -> KeepAliveAction:
        """What to do at this time."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return KeepAliveAction.NOTHING
        if self._ping_sent is not None and now >= self._ping_sent + self._answer_timeout:
            return KeepAliveAction.GIVE_UP
        return KeepAliveAction.SEND_PINGREQ


class ServerKeepAlive:
    """When a server takes a client for dead. [3.1.1 MQTT-3.1.2-24, 5.0 MQTT-3.1.2-22]

    Only whole packets from the client count: neither half a packet nor what the server sends.
    """

    __slots__ = ("_last_received", "_patience")

    def __init__(self, keep_alive: int, now: float) -> None:
        """`keep_alive` in seconds, 0 turns it off; CONNECT arrived `now`."""
        self._patience = keep_alive * SERVER_GRACE if keep_alive else None
        self._last_received = now

    def packet_received(self, now: float) -> None:
        """A whole packet arrived from the client."""
        self._last_received = now

    def deadline(self) -> float | None:
        """When the client is given up unless it sends; None if never."""
        return None if self._patience is None else self._last_received + self._patience

    def is_overdue(self, now: float) -> bool:
        """Whether the connection has to be closed as if the network had failed."""
        deadline = self.deadline()
        return deadline is not None and now >= deadline
