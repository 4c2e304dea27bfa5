"""What is answered only once it is kept.

Belongs here: output that waits for a commit, what becomes of it where that fails, taking in what was kept before.
Does not belong here: the thread that commits (`store_thread`), sockets (`connection`), what has to be kept (`broker`).

Output of a turn that promises something waits for the commit of that turn's changes; what a connection gets later waits
behind it, so that the order stays. Nobody else waits: not the loop, nor a connection that is promised nothing.

Messages leave before they are kept, and are often acknowledged before the disk would even have begun. So changes may be
left with the broker for a moment (`patience`): what is undone there needs no commit.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from reference_broker.broker import Link
from reference_broker.broker.outgoing.output import Buffer
from reference_broker.net.patience import PATIENCE_SECONDS, Patience
from reference_broker.net.store_thread import RunBeside, StoreThread
from reference_broker.store.records import Change, Changes, KeyRange, Row, Store, StoreError

OpenStore = Callable[[RunBeside], Store]
"""Opens the store, in the thread that it will be used in; raises StoreError."""

_MOST_UNKEPT_BYTES = 8 * 1024 * 1024
"""With more than that to be committed nobody is read who adds to it."""
_MOST_HELD_BYTES = 64 * 1024 * 1024
"""And with more than that waiting for it: one message may be output for very many."""
_CHANGE_BYTES = 64
"""About what a change costs besides its value."""
_LATER_SECONDS = 0.002
_MOST_LATER = 4_096
"""So long, and so much, changes that nobody waits for come together: each commit holds up those behind it."""
_SLICE_ROWS = 512
_SLICE_BYTES = 256 * 1024
"""About so much is read at once: the broker takes it in within some milliseconds."""
_RETRY_SECONDS = 1.0
_DRAIN_SECONDS = 1.0
_CLOSE_SECONDS = 1.0
"""How long the end waits for the disk."""


class Core(Protocol):
    """A broker that says what has to be kept."""

    store_is_full: bool
    """Set while nothing can be kept: it refuses what it would have to keep."""

    def take_changes(self) -> Changes | None:
        """What changed since the last call; None for nothing."""

    def end_turn(self) -> bool:
        """Instead of `take_changes`, where changes stay there: whether what this turn says depends on them."""

    @property
    def may_come_to_nothing(self) -> bool:
        """Whether it is worth waiting with `take_changes` for clients that have just got messages."""

    def has_come_to_nothing(self) -> bool:
        """Whether nothing is left to be kept: who got messages has acknowledged them all."""

    @property
    def is_open(self) -> bool:
        """Whether all was taken in that has to be before the first connection."""

    def next_read(self) -> KeyRange | None:
        """What is to be taken in next, None once there is nothing more."""

    def take_rows(self, covered: KeyRange, rows: Sequence[Row], now: float) -> None:
        """All rows there are between the two keys, which is as much of what was asked for as came at once."""


class Host(Protocol):
    """What keeping needs of the server it works for."""

    is_behind: bool
    """Set while nobody is to be read who adds to what is to be kept."""

    def write(self, link: Link, pieces: list[Buffer], close: bool) -> None:
        """Write to the link's connection, and close it behind that."""

    def refuse(self, links: Iterable[Link]) -> None:
        """End connections that wait for an answer which cannot be given."""

    def resume(self) -> None:
        """Read again."""

    def flush(self) -> None:
        """Write what the broker answered."""

    def tell_unkept(self, error: StoreError) -> None:
        """Say that nothing can be kept."""

    def tell_kept(self) -> None:
        """Say that everything is kept again."""

    def tell_taken_in(self) -> None:
        """Say that all is there that was kept before, or that not all of it can be read."""


@dataclass(slots=True)
class _Held:
    ticket: int
    size_bytes: int
    link: Link
    pieces: list[Buffer]
    close: bool


class Keeping:
    """Between a broker, its connections and its store, in the loop."""

    def __init__(self, core: Core, host: Host, open_store: OpenStore) -> None:
        self._core = core
        self._host = host
        self._thread = StoreThread(open_store, self)
        self.has_grown = False
        """Whether the last turn added to what is to be kept, or to the output that waits for it."""
        self._ticket = 0
        """The last that was given to output."""
        self._given_ticket = 0
        """The last of them whose changes went to the thread: those behind it need nothing else to be kept."""
        self._kept_ticket = 0
        self._patience = Patience()
        self._wait_ends: float | None = None
        """Until when changes stay with the broker, if they do. Its output gets the next ticket meanwhile."""
        self._later: list[Change] = []
        """What nobody is promised: it is kept with the next that is, or soon."""
        self._keeps_later: asyncio.Handle | None = None
        self._queue: deque[_Held] = deque()
        self._held: dict[Link, _Held] = {}
        """The last of the queue for each link."""
        self._held_bytes = 0
        self._unkept_bytes = 0
        self._sizes: deque[tuple[int, int]] = deque()
        self._failure: StoreError | None = None
        """Why nothing can be kept just now."""
        self._lack: StoreError | None = None
        """Why something that was kept could not be read."""
        self._limit = _SLICE_ROWS
        self._loading: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Open the store; raises StoreError."""
        await self._thread.open()

    async def load(self, now: Callable[[], float]) -> None:
        """Take in what has to be there before the first connection, and the rest behind it; raises StoreError."""
        while not self._core.is_open and (wanted := self._core.next_read()) is not None:
            await self._take_in(wanted, now)
        self._loading = asyncio.get_running_loop().create_task(self._load_rest(now))

    def note(self) -> int:
        """Have kept what this turn changed; the ticket that its output needs, 0 for none."""
        self.has_grown = True
        if self._waits():
            return self._ticket + 1 if self._core.end_turn() else 0
        changes = self._core.take_changes()
        if changes is None:
            self.has_grown = False
            return 0
        self._later += changes.changes
        if len(self._later) >= _MOST_LATER or (changes.is_promised and self._later):
            self._keep()
        else:
            self._keep_soon()
        return self._ticket if changes.is_promised and self._kept_ticket < self._ticket else 0

    def _keep_soon(self) -> None:
        if self._later and self._keeps_later is None:
            self._keeps_later = asyncio.get_running_loop().call_later(_LATER_SECONDS, self._keep_later)

    def _waits(self) -> bool:
        """Whether the changes stay with the broker for now."""
        if self._wait_ends is not None:
            return True
        if not self._core.may_come_to_nothing or self._failure is not None or not self._patience.has_any():
            return False
        self._wait_ends = time.perf_counter() + PATIENCE_SECONDS
        asyncio.get_running_loop().call_soon(self._look)
        return True

    def _look(self) -> None:
        """Look whether there is still something to be kept. Between two looks the loop reads what has come."""
        if self._wait_ends is None:
            return
        if self._core.has_come_to_nothing() or time.perf_counter() >= self._wait_ends:
            self._wait_no_more()
        else:
            time.sleep(0)  # who is to acknowledge may need this processor
            asyncio.get_running_loop().call_soon(self._look)

    def _wait_no_more(self) -> None:
        """Have kept what is left."""
        if self._wait_ends is None:
            return
        self._wait_ends = None
        changes = self._core.take_changes()
        has_come_to_nothing = changes is None or changes.has_come_to_nothing
        self._patience.note(was_worth_it=has_come_to_nothing)
        if changes is not None:
            self._later += changes.changes
        if not has_come_to_nothing:
            self._keep()
            return
        self._keep_soon()
        self._ticket += 1
        if self._kept_ticket >= self._given_ticket and self._failure is None:
            self.kept(self._given_ticket)

    def _keep(self) -> None:
        """Have kept what has come together."""
        changes, self._later = self._later, []
        self._ticket = self._given_ticket = ticket = self._ticket + 1
        self._thread.keep(ticket, changes)
        size = sum([_CHANGE_BYTES + len(value) for _, value in changes if value.__class__ is bytes])
        self._sizes.append((ticket, size))
        self._unkept_bytes += size
        if self._unkept_bytes > _MOST_UNKEPT_BYTES:
            self._fall_behind()

    def _keep_later(self) -> None:
        self._keeps_later = None
        if self._later and self._wait_ends is None:  # what is waited for comes first, and soon
            self._keep()

    def _keep_all(self) -> None:
        """Have kept whatever there is."""
        self._wait_no_more()
        if self._later:
            self._keep()

    def holds(self, link: Link, pieces: list[Buffer], close: bool, ticket: int) -> bool:
        """Take output that has to wait, for this ticket or behind what waits; False: it may leave."""
        last = self._held.get(link)
        if last is None and not ticket:
            return False
        self.has_grown = True
        size = sum(map(len, pieces))
        if last is None or ticket:
            self._held[link] = held = _Held(ticket, size, link, pieces, close)
            self._queue.append(held)
        else:
            last.pieces = last.pieces + pieces
            last.size_bytes += size
            last.close = last.close or close
        self._held_bytes += size
        if self._held_bytes > _MOST_HELD_BYTES:
            self._fall_behind()
        return True

    def refuse_held(self) -> None:
        """Where nothing can be kept, whoever waits for that waits no longer."""
        if self._failure is not None and self._queue:
            links = list(self._held)
            self._queue.clear()
            self._held.clear()
            self._held_bytes = 0
            self._host.refuse(links)

    def kill(self) -> None:
        """End as if the process had been killed."""
        if self._loading is not None:
            self._loading.cancel()
        self._thread.kill()

    async def drain(self) -> None:
        """Wait until everything is kept and what waits for it is written, or until it is clear that it will not be."""
        if self._loading is not None:
            self._loading.cancel()
        self._keep_all()
        if self._kept_ticket < self._ticket and self._failure is None:
            self._drained = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._drained], timeout=_DRAIN_SECONDS)

    async def close(self) -> StoreError | None:
        """Keep the rest, let go of the store, and say why something is not kept."""
        self._keep_all()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                return await self._thread.close() or self._lack
        except TimeoutError:
            return StoreError(f"the store did not keep the last changes within {_CLOSE_SECONDS:g} s: see to its disk")

    # --- what the thread tells ---------------------------------------------------------------------------------------

    def kept(self, ticket: int) -> None:
        """All changes up to those of this ticket are committed."""
        if ticket == self._given_ticket:
            ticket = self._ticket
        self._kept_ticket = ticket
        queue = self._queue
        released: dict[Link, _Held] = {}
        while queue and queue[0].ticket <= ticket:
            held = queue.popleft()
            self._held_bytes -= held.size_bytes
            if self._held[held.link] is held:
                del self._held[held.link]
            first = released.setdefault(held.link, held)
            if first is not held:
                first.pieces = first.pieces + held.pieces
                first.close = held.close
        for held in released.values():
            self._host.write(held.link, held.pieces, held.close)
        sizes = self._sizes
        while sizes and sizes[0][0] <= ticket:
            self._unkept_bytes -= sizes.popleft()[1]
        if self._failure is not None:
            self._failure = None
            self._core.store_is_full = False
            self._host.tell_kept()
        if self._unkept_bytes <= _MOST_UNKEPT_BYTES and self._held_bytes <= _MOST_HELD_BYTES:
            self._catch_up()
        if self._drained is not None and ticket == self._ticket:
            self._set_drained()

    def failed(self, error: StoreError) -> None:
        """Something could not be kept or tidied up."""
        if self._failure is None:
            self._host.tell_unkept(error)
        self._failure = error
        self._core.store_is_full = True
        self.refuse_held()
        self._catch_up()  # what is refused needs no room
        self._set_drained()

    def _fall_behind(self) -> None:
        if self._failure is None:
            self._host.is_behind = True

    def _catch_up(self) -> None:
        if self._host.is_behind:
            self._host.is_behind = False
            self._host.resume()

    def _set_drained(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # --- what was kept before ----------------------------------------------------------------------------------------

    async def _load_rest(self, now: Callable[[], float]) -> None:
        while (wanted := self._core.next_read()) is not None:
            try:
                await self._take_in(wanted, now)
            except StoreError as error:
                if self._lack is None:
                    self._host.tell_unkept(error)
                    self._host.tell_taken_in()
                self._lack = error
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._lack = None
                self._host.flush()
        self._host.tell_taken_in()

    async def _take_in(self, wanted: KeyRange, now: Callable[[], float]) -> None:
        """Take in a slice."""
        limit = self._limit
        rows = await self._thread.read(wanted, limit)
        end = rows[-1][0] + b"\0" if len(rows) == limit else wanted.end
        self._core.take_rows(KeyRange(wanted.begin, end), rows, now())
        size = sum([len(value) for _, value in rows])
        if size:
            self._limit = max(16, min(_SLICE_ROWS, _SLICE_BYTES * len(rows) // size))
