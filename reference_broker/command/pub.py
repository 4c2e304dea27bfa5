"""`mqtt-interop pub`: publish messages, as mosquitto_pub does.

Belongs here: where the payload comes from, and publishing it.
Does not belong here: the options it shares with `sub` (`options`), signals and errors (`running`).

Unlike mosquitto_pub, a message that a 5.0 server refuses makes the exit code the server's reason, not 0.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO

from reference_broker.command.options import (
    CommonOptions,
    OptionParser,
    UsageError,
    add_common_options,
    common_options,
)
from reference_broker.command.running import FAILED, Refused, make_client, run, say
from reference_broker.net.client import AsyncClient
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Publish
from reference_broker.wire.reasons import reason_name
from reference_broker.wire.topics import check_topic_name
from reference_broker.wire.types import PacketType, is_error

INTERRUPTED = 130
"""As a shell shows a process that SIGINT ended: not everything was published."""


def main(argv: Sequence[str] | None = None, *, prog: str = "mqtt-interop pub") -> int:
    """Publish what the options say; give the exit code."""
    parser = _parser(prog)
    try:
        arguments = parser.read(sys.argv[1:] if argv is None else argv)
        options = common_options(arguments)
        topic = _topic(options)
        if (arguments.stdin_line or arguments.stdin_file) and sys.stdin is None:
            raise UsageError("Standard input is closed.")
        payload = None if arguments.stdin_line else _payload(arguments)
    except SystemExit:  # --help
        return 0
    except (UsageError, LocalError, OSError) as error:
        say(f"Error: {error}")
        return FAILED
    return run(lambda: _publish(arguments, options, topic, payload), quiet=options.quiet, interrupted=INTERRUPTED)


def _parser(prog: str) -> OptionParser:
    parser = OptionParser(prog, "Publish messages on one topic and end.")
    add_common_options(parser, "topic to publish to")
    value = parser.with_value
    value("-m", "--message", metavar="MESSAGE", help="the payload")
    value("-f", "--file", type=Path, metavar="FILE", help="send the contents of a file")
    parser.add_argument("-n", "--null-message", action="store_true", help="send an empty message")
    parser.add_argument("-s", "--stdin-file", action="store_true", help="send all of standard input as one message")
    parser.add_argument("-l", "--stdin-line", action="store_true", help="send each line of standard input")
    parser.add_argument("-r", "--retain", action="store_true", help="make it a retained message")
    value("-M", "--max-inflight", type=int, default=20, metavar="N", help="lines under way at QoS 1 and 2 (20)")
    value("--repeat", type=int, default=1, metavar="N", help="publish the message so many times (1)")
    value("--repeat-delay", type=float, default=0.0, metavar="SECONDS", help="between repetitions (0)")
    return parser


def _topic(options: CommonOptions) -> str:
    if len(options.topics) != 1:
        raise UsageError("Exactly one topic must be given, by -t or -L.")
    (topic,) = options.topics
    if topic:  # an empty one stands for a topic alias
        check_topic_name(topic)
    return topic


def _payload(arguments: argparse.Namespace) -> bytes:
    """The one message to send; raises UsageError unless exactly one source is given."""
    if arguments.repeat < 1 or arguments.repeat_delay < 0 or arguments.max_inflight < 1:
        raise UsageError("--repeat, --repeat-delay and -M cannot be that small.")
    sources = [
        arguments.message is not None,
        arguments.file is not None,
        arguments.null_message,
        arguments.stdin_file,
    ]
    if sum(sources) != 1:
        raise UsageError("Exactly one of -m, -f, -n, -s and -l must be given.")
    if arguments.message is not None:
        return os.fsencode(arguments.message)
    if arguments.file is not None:
        file: Path = arguments.file
        try:
            return file.read_bytes()
        except OSError as error:
            raise UsageError(f'Unable to open file "{file}": {error.strerror}.') from None
    return sys.stdin.buffer.read() if arguments.stdin_file else b""


async def _publish(arguments: argparse.Namespace, options: CommonOptions, topic: str, payload: bytes | None) -> int:
    client = make_client(options)
    publish = Publish(topic, payload or b"", options.qos, arguments.retain)
    await client.connect()
    try:
        if payload is None:
            await _publish_lines(client, options, publish, arguments.max_inflight)
        else:
            for repetition in range(arguments.repeat):
                if repetition:
                    await asyncio.sleep(arguments.repeat_delay)
                await _publish_one(client, options, publish, payload)
    finally:
        await client.disconnect(properties=options.properties_of(PacketType.DISCONNECT))
    return 0


async def _publish_one(client: AsyncClient, options: CommonOptions, publish: Publish, payload: bytes) -> None:
    properties = options.properties_of(PacketType.PUBLISH)
    published = await client.publish(publish.topic, payload, publish.qos, publish.retain, properties)
    if is_error(published.reason):
        acknowledgement = PacketType.PUBACK if publish.qos == 1 else PacketType.PUBREC
        name = reason_name(acknowledgement, published.reason, options.client.version)
        raise Refused(f"Publish {published.packet_id} failed: {name}.", published.reason)


async def _publish_lines(client: AsyncClient, options: CommonOptions, publish: Publish, maximum: int) -> None:
    """Publish each line of standard input, several under way at a time, in order."""
    free = asyncio.Semaphore(maximum)

    async def publish_line(line: bytes) -> None:
        try:
            await _publish_one(client, options, publish, line)
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as group:
            # A task begins in the order it was made, and `publish` queues its message before it first waits.
            async for line in _lines(_standard_input()):
                await free.acquire()
                group.create_task(publish_line(line))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the first line that failed speaks for all


def _standard_input() -> BinaryIO:
    """Standard input by a reader of our own: as it ends, Python locks that of `sys.stdin`, where a thread may wait."""
    try:
        return os.fdopen(sys.stdin.buffer.fileno(), "rb", closefd=False)
    except OSError:  # it was replaced by something that is no file
        return sys.stdin.buffer


async def _lines(stream: BinaryIO) -> AsyncIterator[bytes]:
    """The lines as they come, without their ends.

    They are read by a thread, which works for terminals, pipes and files alike, and which nobody waits for when the
    command is interrupted.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1000)

    def read() -> None:
        try:
            for line in stream:
                asyncio.run_coroutine_threadsafe(lines.put(line.removesuffix(b"\n")), loop).result()
            asyncio.run_coroutine_threadsafe(lines.put(None), loop).result()
        except RuntimeError:
            pass  # the loop is closed: the command has ended

    threading.Thread(target=read, name="standard input", daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line
