"""How a subcommand of `mqtt-interop` ends: the exit codes, and the one line for what a user can mend.

Belongs here: what every subcommand shares. Does not belong here: the subcommands (`cli`, and the `command` modules).
"""

from __future__ import annotations

OK, FELL_SHORT, HARNESS_FELL_SHORT, NOTHING_RAN = range(4)
"""All as expected; an implementation fell short, or two runs differ; the harness did or was misused; nothing ran."""


class CommandError(Exception):
    """A subcommand cannot do its work; the message is the one line a user sees."""
