"""How late everything was while an adapter was examined, and what then becomes of a complaint about time.

Belongs here: measuring the check's own lag and the adapter's, and which complaints they explain.
Does not belong here: the heartbeat itself (`interop.runner.busy`), the stages' order (`examination`).

That a machine lets neither the check nor the adapter run is no fault of the adapter's. On Linux it is known for how
long the adapter's threads were ready and had no processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from interop.adapter_check.lines import Complaint
from interop.runner.busy import Heartbeat, Lag, Moment, cpu_waited_seconds


class Watch:
    """The lag of the loop that examines, and of one adapter's process after the other."""

    def __init__(self) -> None:
        self._heartbeat = Heartbeat()
        self._began: Moment = self._heartbeat.moment()
        self._waited_before = 0.0
        self._waited = 0.0

    async def beat(self) -> None:
        """Measure, as long as the loop runs."""
        await self._heartbeat.beat()

    def begin(self, pid: int | None = None) -> None:
        """A stage begins, with a process that is there already."""
        self._began = self._heartbeat.moment()
        self._waited = self._waited_before = waited_seconds(pid) if pid is not None else 0.0

    def look(self, pid: int) -> None:
        """See how long the process has waited so far, while it is there."""
        self._waited = max(self._waited, waited_seconds(pid))

    def lag(self) -> Lag:
        """How late it was in this stage, here or there."""
        lag = self._heartbeat.since(self._began)
        return replace(lag, lost_seconds=max(lag.lost_seconds, self._waited - self._waited_before))


def waited_seconds(pid: int) -> float:
    """How long the threads of a process were ready and waited for a processor; 0 where the system does not tell."""
    return sum(map(cpu_waited_seconds, Path(f"/proc/{pid}/task").glob("*")))


def is_in_doubt(complaints: Sequence[Complaint], lag: Lag) -> bool:
    """Whether this machine may have had a share in what was found, so that it is worth another look."""
    return bool(complaints) and (lag.is_noticeable or len(believed(complaints, lag)) < len(complaints))


def believed(complaints: Sequence[Complaint], lag: Lag) -> list[Complaint]:
    """Those before the first one that the lag explains: what follows may follow from it."""
    first = (at for at, each in enumerate(complaints) if each.seconds is not None and lag.explains(each.seconds))
    return list(complaints[: next(first, len(complaints))])
