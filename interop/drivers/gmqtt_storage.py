"""Where gmqtt keeps what is not acknowledged yet, made to tell when something goes in or out.

Belongs here: gmqtt's own storage, of 0.8, whose methods are functions, and of the releases before it, whose are
coroutines. Does not belong here: what comes of it (`gmqtt`).
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from gmqtt import storage

from interop.drivers.adapter import Pending, Unsuccessful

_RETRY_SECONDS = 5
"""After which 0.6 sends again, as its `Client` has it where no storage is brought."""


class _Watched:
    """`last_stored` is the packet identifier of what went in last."""

    def __init__(self, pending: Pending, **given: Any) -> None:
        super().__init__(**given)
        self.pending = pending
        self.last_stored: int | None = None

    def tell_dropped(self, mid: int) -> None:
        """It will never be acknowledged."""
        self.pending.fail(("publish", mid), Unsuccessful("cut-off", "gmqtt dropped it: the broker has no session"))


if hasattr(storage, "PersistentStorage"):

    class _WatchedStorage(_Watched, storage.PersistentStorage):  # type: ignore[misc]  # gmqtt has no types
        """That of 0.8."""

        def push_message(self, mid: int, raw_package: bytes) -> None:
            self.last_stored = mid
            super().push_message(mid, raw_package)

        def remove_message_by_mid(self, mid: int) -> None:
            super().remove_message_by_mid(mid)
            self.pending.settle(("publish", mid))

        def clear(self) -> None:
            dropped = [mid for mid, _ in self.get_all()]
            super().clear()
            for mid in dropped:
                self.tell_dropped(mid)

else:

    class _WatchedStorage(_Watched, storage.HeapPersistentStorage):  # type: ignore[misc, no-redef]
        """That of the releases before."""

        def __init__(self, pending: Pending) -> None:
            takes_timeout = "timeout" in inspect.signature(storage.HeapPersistentStorage).parameters
            super().__init__(pending, **{"timeout": _RETRY_SECONDS} if takes_timeout else {})

        def push_message_nowait(self, mid: int, raw_package: bytes) -> asyncio.Future[None]:
            self.last_stored = mid
            pushed: asyncio.Future[None] = super().push_message_nowait(mid, raw_package)
            return pushed

        async def remove_message_by_mid(self, mid: int) -> None:
            await super().remove_message_by_mid(mid)
            self.pending.settle(("publish", mid))

        async def clear(self) -> None:
            cleared = self._mids()
            await super().clear()
            # To send all again, 0.7 takes all out and puts it in again before anybody else has a turn.
            asyncio.get_running_loop().call_soon(self._look_after, cleared)

        def _look_after(self, cleared: set[int]) -> None:
            for mid in cleared - self._mids():
                self.tell_dropped(mid)

        def _mids(self) -> set[int]:
            return {mid for _, mid, _ in self._queue}


WatchedStorage = _WatchedStorage
