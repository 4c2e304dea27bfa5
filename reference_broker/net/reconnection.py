"""Whether and when a client comes back after its connection ended.

Belongs here: the delays, and which ends are final.
Does not belong here: doing it (`client`).
"""

from __future__ import annotations

from dataclasses import dataclass

from reference_broker.client import Cause, Disconnected
from reference_broker.wire.types import ConnectReturnCode, ReasonCode, Version


@dataclass(frozen=True, slots=True)
class Reconnection:
    """How to come back after a connection was lost: the delay doubles from the first to the longest, in seconds.

    It begins anew after each success. `maximum_attempts` bounds the failures in a row, None does not.
    """

    first_delay_seconds: float = 0.5
    maximum_delay_seconds: float = 30.0
    maximum_attempts: int | None = None

    def delay(self, failures: int) -> float | None:
        """How long to wait after this many failed attempts in a row; None: give up."""
        if self.maximum_attempts is not None and failures >= self.maximum_attempts:
            return None
        doubled: float = self.first_delay_seconds * 2.0 ** min(failures, 60)
        return min(doubled, self.maximum_delay_seconds)


# After these, coming back would be refused again or would fight another client for the identifier.
_FINAL_CAUSES = frozenset({Cause.REQUESTED, Cause.BAD_PACKET, Cause.UNEXPECTED_SESSION})
_FINAL_DISCONNECTS = frozenset({
    ReasonCode.NOT_AUTHORIZED, ReasonCode.SESSION_TAKEN_OVER, ReasonCode.ADMINISTRATIVE_ACTION,
    ReasonCode.USE_ANOTHER_SERVER, ReasonCode.SERVER_MOVED, ReasonCode.BAD_AUTHENTICATION_METHOD,
})  # fmt: skip
_PASSING_RETURN_CODES = frozenset({ConnectReturnCode.SERVER_UNAVAILABLE})
_PASSING_REASONS = frozenset({
    ReasonCode.SERVER_UNAVAILABLE, ReasonCode.SERVER_BUSY, ReasonCode.QUOTA_EXCEEDED,
    ReasonCode.CONNECTION_RATE_EXCEEDED,
})  # fmt: skip


def is_final(end: Disconnected, version: Version) -> bool:
    """Whether trying again is of no use."""
    if end.cause is Cause.REFUSED:
        return end.reason not in (_PASSING_REASONS if version >= Version.V5 else _PASSING_RETURN_CODES)
    if end.cause is Cause.BY_SERVER:
        return end.reason in _FINAL_DISCONNECTS
    return end.cause in _FINAL_CAUSES
