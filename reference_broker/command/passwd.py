"""`mqtt-interop passwd`: a file of users, for `mqtt-interop broker --password-file`.

Belongs here: options, asking for the password, exit codes.
Does not belong here: the file's form (`access.passwords`).

Exit codes: 0, 1 when there is nothing to delete, 2 for wrong options and for a file that cannot be used.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from reference_broker.access.passwords import new_user, write_user
from reference_broker.command.parsing import Parser
from reference_broker.net.config import ConfigError


def main(argv: Sequence[str] | None = None, *, prog: str = "mqtt-interop passwd") -> int:
    """Write one user's password, or take the user out; give the exit code."""
    parser = Parser(
        prog=prog,
        description="Add a user to FILE, or change the password, which is asked for, or read from standard input.",
        epilog="A broker that runs reads the file again at SIGHUP.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="made where there is none, for its owner only")
    parser.add_argument("user", metavar="USER", help="the user name of CONNECT")
    parser.add_argument("--scram", action="store_true", help="also for SCRAM-SHA-256 (enhanced authentication of 5.0)")
    parser.add_argument("--delete", action="store_true", help="take the user out")
    options = parser.parse_args(argv)
    try:
        user = None if options.delete else new_user(_password(options.user), with_scram=options.scram)
        was_there = write_user(options.file, options.user, user)
    except ConfigError as error:
        sys.stderr.write(f"{prog}: {error}\n")
        return 2
    if options.delete and not was_there:
        sys.stderr.write(f"{prog}: {options.file} has no user {options.user!r}\n")
        return 1
    return 0


def _password(user: str) -> str:
    """Ask twice at a terminal; else take the first line there is. Raises ConfigError."""
    if sys.stdin.isatty():
        password = getpass.getpass(f"password of {user}: ")
        if getpass.getpass("again: ") != password:
            raise ConfigError("the two passwords differ; nothing is written")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise ConfigError("an empty password; nothing is written")
    return password
