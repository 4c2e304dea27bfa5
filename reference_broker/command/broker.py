"""`mqtt-interop broker`: the reference broker as a process.

Belongs here: options, the lines a person sees, signals and exit codes.
Does not belong here: what settings mean (`net.config`, `broker.config`), sockets (`net.server`), speed (`tuning`).

Exit codes: 0 after SIGINT or SIGTERM, 1 when it cannot listen, 2 for wrong options, a wrong settings file or a store
that cannot be used, 3 when it ended with something that it could not keep.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reference_broker.command.parsing import Parser
from reference_broker.command.tuning import (
    fastest_loop,
    garbage_looked_for_seldom,
    keep_freed_memory,
    leave_to_the_system,
)
from reference_broker.net.broker_connection import LOGGER
from reference_broker.net.config import ConfigError, load_settings, make_config
from reference_broker.net.errors import ListenFailed
from reference_broker.net.handles import ask_for_all
from reference_broker.observe.config import LogFormat, ObservedConfig
from reference_broker.observe.logs import log_handler
from reference_broker.observe.server import ObservedServer
from reference_broker.store.records import StoreError

_LISTENING: list[tuple[str, type, str]] = [
    ("host", str, "where to listen (127.0.0.1)"),
    ("port", int, "TCP port (1883); 0 picks one, here and below"),
    ("unix", Path, "a Unix socket in the place of the TCP port (none)"),
    ("tls_port", int, "TLS port (none)"),
    ("ws_port", int, "WebSocket port (none)"),
    ("wss_port", int, "secure WebSocket port (none)"),
    ("cert", Path, "PEM file of the server's certificate chain"),
    ("key", Path, "PEM file of its key"),
]

_ACCESS: list[tuple[str, type, str]] = [
    ("password_file", Path, "users, as mqtt-interop passwd writes them (none: everybody is let in, on loopback)"),
    ("rules_file", Path, "who may publish and subscribe to what (none: everything)"),
]

_KEEPING: list[tuple[str, type, str]] = [
    ("store", Path, "file for sessions and retained messages, which then survive a restart (none)"),
]

_SEEING: list[tuple[str, type, str]] = [
    ("sys_interval_seconds", float, "how often $SYS/broker/... is published (0: never)"),
    ("metrics_port", int, "HTTP port of /metrics and /health, on 127.0.0.1 (none)"),
    ("log_file", Path, "where the log goes (standard error)"),
]

_LIMITS: list[tuple[str, type, str]] = [
    ("maximum_connections", int, "connected clients (100000)"),
    ("maximum_connections_per_address", int, "connections from one address (20000)"),
    ("maximum_connects_per_second", int, "connections one address may open in a second"),
    ("maximum_failed_logins_per_minute", int, "wrong passwords of one address in a minute (60)"),
    ("maximum_packets_per_second", int, "packets one client may send in a second"),
    ("maximum_bytes_per_second", int, "bytes one client may send in a second"),
    ("memory_maximum_bytes", int, "bytes of the process's memory (8589934592)"),
    ("tcp_keepalive_seconds", int, "seconds until a silent client's machine is known to be gone (120)"),
    ("maximum_half_open", int, "connections not let in yet (16384)"),
    ("maximum_packet_size", int, "bytes of a packet from a client"),
    ("maximum_connect_size", int, "bytes of a CONNECT without will (65536)"),
    ("opening_maximum_bytes", int, "bytes of all incomplete packets before CONNACK (67108864)"),
    ("incoming_maximum_bytes", int, "bytes of all incomplete packets after it (536870912)"),
    ("receive_maximum", int, "QoS 1 and 2 messages a client may have unfinished"),
    ("maximum_topic_levels", int, "levels of a topic or filter (200)"),
    ("maximum_qos", int, "highest QoS a client may publish with"),
    ("maximum_inflight", int, "QoS 1 and 2 messages to a client without its acknowledgement"),
    ("topic_alias_maximum", int, "highest topic alias a client may use"),
    ("server_keep_alive", int, "seconds of keep alive that 5.0 clients must use"),
    ("session_expiry_maximum", int, "seconds a session outlives its connection"),
    ("connect_timeout_seconds", float, "seconds a connection may take to its CONNACK"),
    ("queue_maximum_messages", int, "messages waiting in a session"),
    ("queue_maximum_bytes", int, "payload bytes waiting in a session"),
    ("queues_maximum_bytes", int, "payload bytes waiting in all sessions (1073741824)"),
    ("maximum_subscriptions", int, "subscriptions of a session (100000)"),
    ("retained_maximum_messages", int, "retained messages (5000000)"),
    ("retained_maximum_bytes", int, "bytes of retained messages and their topics (2147483648)"),
    ("subscriptions_maximum_bytes", int, "bytes of all subscriptions (2147483648)"),
    ("sessions_maximum_bytes", int, "bytes of all sessions and wills (1073741824)"),
    ("inflight_maximum_bytes", int, "payload bytes to a client without its acknowledgement (67108864)"),
    ("outgoing_maximum_bytes", int, "bytes held for a client that does not read"),
]

_USERNAME, _PASSWORD = "MQTT_INTEROP_USERNAME", "MQTT_INTEROP_PASSWORD"
"""Variables of the environment: the only user (mqtt) and the password, for containers."""

_LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


def main(argv: Sequence[str] | None = None, *, prog: str = "mqtt-interop broker") -> int:
    """Run the broker until SIGINT or SIGTERM; give the exit code."""
    arguments = vars(_parser(prog).parse_args(argv))
    level = arguments.pop("log_level")
    file: Path | None = arguments.pop("config", None)
    try:
        settings = load_settings(file, ObservedConfig) if file is not None else {}
        config = _config(settings | arguments)
        _set_up_log(log_handler(config), level)
        server = ObservedServer(config)
    except ConfigError as error:
        return _fail(prog, error, 2)
    keep_freed_memory()
    ask_for_all()
    try:
        with asyncio.Runner(loop_factory=fastest_loop()) as runner:
            unkept = runner.run(_serve(server))
    except ListenFailed as error:
        return _fail(prog, error, 1)
    except StoreError as error:
        return _fail(prog, error, 2)
    except KeyboardInterrupt:  # the second one, while shutting down
        return 130
    return 0 if unkept is None else _fail(prog, unkept, 3)


def _config(settings: dict[str, Any]) -> ObservedConfig:
    """Make the configuration; the environment may have one user's password, which a command line would show."""
    password = os.environ.get(_PASSWORD)
    if password and not settings.keys() & {"users", "password_file"}:
        settings["users"] = {os.environ.get(_USERNAME, "mqtt"): password}
    if "listener" in settings:
        settings.setdefault("port", None)
    return make_config(settings, ObservedConfig)


async def _serve(server: ObservedServer) -> StoreError | None:
    """Serve until a signal; give why something was not kept. SIGHUP has users, rules and certificates read again."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: SIGINT raises KeyboardInterrupt instead
            loop.add_signal_handler(number, stopped.set)
    with contextlib.suppress(AttributeError, NotImplementedError):  # Windows
        loop.add_signal_handler(signal.SIGHUP, server.read_again)
    async with server:
        with garbage_looked_for_seldom():
            for address in server.listening:
                sys.stdout.write(f"listening on {address}\n")
            if server.metrics_address is not None:
                sys.stdout.write(f"metrics on http://{server.metrics_address.host_and_port}/metrics\n")
            sys.stdout.flush()
            await _first_of(server.is_taken_in, stopped)
        await stopped.wait()
    leave_to_the_system(server)
    return server.unkept


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


def _parser(prog: str) -> Parser:
    """Build the parser; what was not given is left out of its result, so that the file's value stands."""
    parser = Parser(
        prog=prog,
        description="Run the reference broker: MQTT 3.1, 3.1.1 and 5.0 on every port.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    _add_options(parser.add_argument_group("where to listen"), _LISTENING)
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file with these settings and more; options go before it"
    )
    _add_access(parser.add_argument_group("who may come in, and do what"))
    _add_options(parser.add_argument_group("what is kept"), _KEEPING)
    _add_options(parser.add_argument_group("limits"), _LIMITS)
    seeing = parser.add_argument_group("what can be seen of it")
    _add_options(seeing, _SEEING)
    seeing.add_argument("--log-format", type=LogFormat, metavar="line|json", help="what a line looks like (line)")
    seeing.add_argument("--log-to-syslog", action="store_true", help="have the log go to the system's")
    log = parser.add_mutually_exclusive_group()
    log.add_argument("--log-level", choices=_LOG_LEVELS, default="warning", help="(warning: one line per bad peer)")
    log.add_argument("-v", "--verbose", action="store_const", const="debug", dest="log_level", help="log connections")
    log.add_argument("-q", "--quiet", action="store_const", const="critical", dest="log_level", help="log nothing")
    return parser


def _add_options(group: Any, options: list[tuple[str, type, str]]) -> None:
    for name, kind, help_text in options:
        metavar = {int: "N", float: "SECONDS", str: "HOST", Path: "FILE"}[kind]
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=help_text)


def _add_access(group: Any) -> None:
    _add_options(group, _ACCESS)
    group.add_argument("--allow-anonymous", action="store_true", help="let in clients without a user name, anywhere")


def _set_up_log(handler: logging.Handler, level: str) -> None:
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False


def _fail(prog: str, error: Exception, exit_code: int) -> int:
    sys.stderr.write(f"{prog}: {error}\n")
    return exit_code
