"""What `pub` and `sub` have in common when they run: signals, errors as one line, exit codes, the client.

Belongs here: from a coroutine to a process's exit code.
Does not belong here: options (`options`), and what is published or printed (`pub`, `sub`).

Exit codes follow mosquitto_pub and mosquitto_sub: 0, 1 for wrong options and when nothing can be connected to, 7 when
the connection is lost, 27 when time is up, and a refusing server's return or reason code.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from reference_broker.access.scram_client import ScramClient
from reference_broker.client import Cause, Event
from reference_broker.command.options import CommonOptions, UsageError
from reference_broker.net.client import AsyncClient, ConnectionEnded, Reconnection
from reference_broker.net.config import ConfigError
from reference_broker.wire.describe import summary
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Packet
from reference_broker.wire.sender import Side

FAILED = 1
CONNECTION_LOST = 7
TIMED_OUT = 27


class Refused(Exception):
    """The server said no to what was asked; `reason` is its code and becomes the exit code."""

    def __init__(self, message: str, reason: int) -> None:
        super().__init__(message)
        self.reason = reason


def say(line: str, *, quiet: bool = False) -> None:
    """Print one line for people, apart from the messages."""
    if not quiet:
        sys.stderr.write(f"{line}\n")


def run(work: Callable[[], Coroutine[Any, Any, int]], *, quiet: bool, interrupted: int) -> int:
    """Run a command; gives its exit code, `interrupted` after SIGINT or SIGTERM."""
    try:
        return asyncio.run(_until_signal(work(), interrupted))
    except ConnectionEnded as error:
        if error.end.cause is Cause.REFUSED:
            say(f"Connection error: {error.end.explanation}", quiet=quiet)
            return error.end.reason
        say(f"Error: {error}", quiet=quiet)
        return CONNECTION_LOST
    except Refused as error:
        say(f"Error: {error}", quiet=quiet)
        return error.reason
    except BrokenPipeError:  # whoever read our output has gone; nothing is left to be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except ConnectionError as error:
        say(f"Error: {error}", quiet=quiet)
        return CONNECTION_LOST
    except (UsageError, ConfigError, LocalError, OSError) as error:
        say(f"Error: {error}", quiet=quiet)
        return FAILED
    except KeyboardInterrupt:  # before the loop could take the signal
        return interrupted


async def _until_signal(work: Coroutine[Any, Any, int], interrupted: int) -> int:
    """Run a coroutine; on SIGINT or SIGTERM cancel it, so that it disconnects, and give `interrupted`."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    # Signals can be taken in the main thread only; elsewhere the caller has to see to them.
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return interrupted


def make_client(
    options: CommonOptions,
    *,
    reconnection: Reconnection | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> AsyncClient:
    """The client the options ask for; with -d it prints every packet."""

    def show(sender: Side, packet: Packet) -> None:
        verb = "sending" if sender is Side.CLIENT else "received"
        client_id = client.session.client_id or "(null)"
        sys.stdout.write(f"Client {client_id} {verb} {summary(packet, options.client.version)}\n")
        sys.stdout.flush()

    how: dict[str, Any] = {
        "session": options.new_session(),
        "reconnection": reconnection,
        "connect_timeout_seconds": options.connect_timeout_seconds,
        "on_event": on_event,
        "on_packet": show if options.debug else None,
    }
    client: AsyncClient
    if options.scram is not None:
        client = ScramClient(options.address, *options.scram, options.client, **how)
    else:
        client = AsyncClient(options.address, options.client, **how)
    return client
