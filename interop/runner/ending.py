"""What a run comes to: one exit code for all that its cells came to.

Belongs here: the one rule, for a run as for shards that are merged.
Does not belong here: how a run ends (`controller`), what a cell came to (`verdict`).
"""

from __future__ import annotations

from collections.abc import Sequence

from interop.exit_codes import FELL_SHORT, HARNESS_FELL_SHORT, NOTHING_RAN, OK
from reports.outcome import is_red
from reports.record import Record, Verdict

NO_VERDICT = frozenset({Verdict.SETUP_FAILED, Verdict.HARNESS_ERROR})

_GRAVEST_FIRST = (HARNESS_FELL_SHORT, FELL_SHORT, OK, NOTHING_RAN)


def exit_code_of(records: Sequence[Record], *, all_ran: bool = True, strict_known: bool = False) -> int:
    """0 all as expected, 1 an implementation fell short, 2 the harness did (or cells did not run), 3 nothing ran.

    With `strict_known`, a cell that passes though it is listed to fail is not as expected.
    """
    if not all_ran:
        return HARNESS_FELL_SHORT
    if not records:
        return NOTHING_RAN
    red = [record for record in records if is_red(record, strict_known=strict_known)]
    if any(record.verdict in NO_VERDICT for record in red):
        return HARNESS_FELL_SHORT
    return FELL_SHORT if red else OK


def gravest(*exit_codes: int) -> int:
    """The exit code of a run whose parts ended with these."""
    return min(exit_codes, key=_GRAVEST_FIRST.index, default=NOTHING_RAN)
