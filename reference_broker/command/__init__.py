"""The commands of the reference broker and client: `broker`, `passwd`, `pub` and `sub`.

Belongs here: which commands there are, and running one.
Does not belong here: what a command does (a module for each, imported when it runs).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

DESCRIPTIONS = {
    "broker": "run the reference broker",
    "passwd": "write a user's password into a file for the broker",
    "pub": "publish messages, as mosquitto_pub does",
    "sub": "subscribe and print messages, as mosquitto_sub does",
}
"""Every command with one line about it; `reference_broker.command.<name>.main(argv)` runs it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `argv` begins with, or the broker when it begins with an option; give the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = "broker"
    if arguments and not arguments[0].startswith("-"):
        name = arguments.pop(0)
    if name not in DESCRIPTIONS:
        sys.stderr.write(f"unknown command {name!r}; expected one of {', '.join(DESCRIPTIONS)}\n")
        return 2
    exit_code: int = importlib.import_module(f"{__name__}.{name}").main(arguments)
    return exit_code
