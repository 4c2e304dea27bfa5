"""A store in a thread of its own, because it blocks.

Belongs here: committing what has piled up meanwhile at once, reading between commits, trying again what failed.
Does not belong here: which output waits for what (`keeping`), files (`store`).

As little as possible of this is Python: whatever this thread computes, the loop cannot compute meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol

from reference_broker.store.pending import compacted
from reference_broker.store.records import Change, KeyRange, Row, Store, StoreError

RunBeside = Callable[[Callable[[], None]], None]
"""Runs what may take long in a thread of its own."""

_IDLE_SECONDS = 1.0
"""After so long without a change the store tidies up."""
_RETRY_SECONDS = 1.0
_MOST_CHANGES = 32_768
"""So many are committed at once."""


class Watcher(Protocol):
    """What the loop is told, in the loop."""

    def kept(self, ticket: int) -> None:
        """All changes up to those of this ticket are committed."""

    def failed(self, error: StoreError) -> None:
        """Something could not be kept or tidied up; it is tried again until `kept` says otherwise."""


class _Read(NamedTuple):
    range: KeyRange
    limit: int
    answer: asyncio.Future[list[Row]]


class StoreThread:
    """Owns a store from `open` to `close`; everything else is called in the loop it was made in."""

    def __init__(self, open_store: Callable[[RunBeside], Store], watcher: Watcher) -> None:
        self._open_store = open_store
        self._watcher = watcher
        self._loop = asyncio.get_running_loop()
        self._items: SimpleQueue[tuple[int, list[Change]] | _Read | None] = SimpleQueue()
        self._unkept: list[Change] = []
        self._ticket = 0
        """That of the last of them."""
        self._reads: deque[_Read] = deque()
        self._woken = threading.Event()
        self._is_ending = False
        self._is_killed = False
        self._beside: list[threading.Thread] = []
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[StoreError | None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    async def open(self) -> None:
        """Start; raises StoreError for a store that cannot be used."""
        self._thread.start()
        await self._opened

    def keep(self, ticket: int, changes: list[Change]) -> None:
        """Commit these, with all that comes until it is their turn."""
        self._items.put((ticket, changes))

    async def read(self, range_: KeyRange, limit: int) -> list[Row]:
        """The first rows of a range as they are after all changes given so far; raises StoreError."""
        answer: asyncio.Future[list[Row]] = self._loop.create_future()
        self._items.put(_Read(range_, limit, answer))
        return await answer

    async def close(self) -> StoreError | None:
        """Commit what was given, let go of the store, and say why something was not kept."""
        self._end()
        return await asyncio.shield(self._closed)

    def kill(self) -> None:
        """End as if the process had been killed: what is not committed by now is lost."""
        self._is_killed = True
        self._end()
        if self._thread.is_alive():
            self._thread.join()

    def _end(self) -> None:
        self._woken.set()
        self._items.put(None)

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            store = self._open_store(self._run_beside)
        except BaseException as error:
            self._tell(_fail, self._opened, error)
            return
        self._tell(_answer, self._opened, None)
        failure: StoreError | None = None
        try:
            failure = self._serve(store)
        except BaseException as error:
            self._tell(self._watcher.failed, failure := StoreError(f"the store's thread ended: {error!r}"))
            raise
        finally:
            for thread in self._beside:
                thread.join()
            store.close()
            self._tell(_answer, self._closed, failure)

    def _run_beside(self, work: Callable[[], None]) -> None:
        self._beside = [thread for thread in self._beside if thread.is_alive()]
        self._beside.append(threading.Thread(target=work, name="store, beside", daemon=True))
        self._beside[-1].start()

    def _serve(self, store: Store) -> StoreError | None:
        """Commit, read and tidy up until the end; give why something was not kept."""
        has_more = is_idle = is_failing = False
        while not self._is_killed:
            if not self._take(0.0 if has_more else _IDLE_SECONDS):
                if self._is_ending and not self._unkept:
                    return None
                is_idle = is_idle or not has_more
            else:
                is_idle = False
            try:
                if self._unkept:
                    store.commit(self._unkept)
                    self._unkept = []
                    self._tell(self._watcher.kept, self._ticket)
                while self._reads:
                    self._read(store, *self._reads.popleft())
                has_more = store.tend(is_idle=is_idle) or self._is_ending
            except StoreError as error:
                if self._is_ending and self._items.empty():
                    return error if self._unkept else None
                self._tell(self._watcher.failed, error)
                is_failing = has_more = True
                self._unkept = compacted(self._unkept)  # this may go on for long
                self._woken.wait(_RETRY_SECONDS)
            else:
                if is_failing:
                    is_failing = False
                    self._tell(self._watcher.kept, self._ticket)
        return None

    def _take(self, seconds: float) -> bool:
        """Take what is to be done, waiting so long for the first of it; whether there was any."""
        items = self._items
        try:
            item = items.get(timeout=seconds)
        except Empty:
            return False
        taken = 0
        while True:
            if item is None:
                self._is_ending = True
            elif isinstance(item, _Read):
                self._reads.append(item)
            else:
                self._ticket, changes = item
                taken += len(changes)
                if self._unkept:
                    self._unkept += changes
                else:
                    self._unkept = changes
            if items.empty() or taken >= _MOST_CHANGES:
                return True
            item = items.get()

    def _read(self, store: Store, range_: KeyRange, limit: int, answer: asyncio.Future[list[Row]]) -> None:
        try:
            self._tell(_answer, answer, store.read(range_.begin, range_.end, limit))
        except StoreError as error:
            self._tell(_fail, answer, error)

    def _tell(self, what: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed by somebody who did not wait for the end
            self._loop.call_soon_threadsafe(what, *values)


def _answer(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
