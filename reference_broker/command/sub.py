"""`mqtt-interop sub`: subscribe and print messages, as mosquitto_sub does.

Belongs here: which messages are printed, how, and when it ends.
Does not belong here: the options it shares with `pub` (`options`), the format language (`message_format`), signals and
errors (`running`).

A connection that is lost later is made again, as mosquitto_sub does. Unlike mosquitto_sub, a server that refuses every
subscription makes the exit code its reason, not 0.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reference_broker.client import Connected, Event, Message
from reference_broker.command.message_format import HELP, FormatError, MessageFormat
from reference_broker.command.options import (
    CommonOptions,
    OptionParser,
    UsageError,
    add_common_options,
    common_options,
)
from reference_broker.command.running import FAILED, TIMED_OUT, Refused, make_client, run, say
from reference_broker.net.client import Reconnection
from reference_broker.wire.errors import LocalError
from reference_broker.wire.packets import Subscription
from reference_broker.wire.reasons import reason_name
from reference_broker.wire.topics import check_topic_filter, matches
from reference_broker.wire.types import PacketType, is_error


def main(argv: Sequence[str] | None = None, *, prog: str = "mqtt-interop sub") -> int:
    """Print messages as the options say; give the exit code."""
    parser = _parser(prog)
    try:
        arguments = parser.read(sys.argv[1:] if argv is None else argv)
        options = common_options(arguments)
        printer = _Printer.from_arguments(arguments, options.quiet)
        _check(arguments, options)
    except SystemExit:  # --help
        return 0
    except (UsageError, LocalError, FormatError) as error:
        say(f"Error: {error}")
        return FAILED
    return run(lambda: _Subscriber(arguments, options, printer).run(), quiet=options.quiet, interrupted=0)


def _parser(prog: str) -> OptionParser:
    parser = OptionParser(prog, "Subscribe to topics and print the messages that come.", HELP)
    add_common_options(parser, "topic filter to subscribe to; again for more")
    value = parser.with_value
    flag = parser.add_argument
    value("-C", "--count", type=int, metavar="N", help="end after so many messages")
    value("-W", "--timeout", type=float, metavar="SECONDS", help="end after so many seconds, with exit code 27")
    flag("-E", "--exit-after-subscribe", action="store_true", help="end when the server has answered")
    flag("-v", "--verbose", action="store_true", help="print the topic before the payload")
    flag("-N", "--no-newline", action="store_true", help="print no line end after a message")
    value("-F", "--format", metavar="FORMAT", help="how to print a message, see below")
    flag("--pretty", action="store_true", help="print JSON over several lines")
    value("-T", "--filter-out", action="append", default=[], metavar="FILTER", help="print nothing from these topics")
    value("-U", "--unsubscribe", action="append", default=[], metavar="FILTER", help="unsubscribe from this")
    flag("--retain-as-published", action="store_true", help="keep the retain flag of new messages (5.0)")
    flag("-R", "--no-retained", action="store_true", help="print no retained messages")
    flag("--retained-only", action="store_true", help="print retained messages and end at the first other one")
    flag("--remove-retained", action="store_true", help="clear the retained messages that are printed")
    return parser


def _check(arguments: argparse.Namespace, options: CommonOptions) -> None:
    if not options.topics and not arguments.unsubscribe:
        raise UsageError("You must specify a topic to subscribe to (-t).")
    if arguments.no_retained and arguments.retained_only:
        raise UsageError("Combining '-R' and '--retained-only' makes no sense.")
    if arguments.count is not None and arguments.count < 1:
        raise UsageError(f'Invalid message count "{arguments.count}".')
    if arguments.timeout is not None and arguments.timeout <= 0:
        raise UsageError(f'Invalid timeout "{arguments.timeout:g}".')
    for topic_filter in (*options.topics, *arguments.unsubscribe, *arguments.filter_out):
        check_topic_filter(topic_filter)


@dataclass(frozen=True, slots=True)
class _Printer:
    """Writes messages to standard output, each at once."""

    format: MessageFormat | None
    verbose: bool
    end: bytes
    quiet: bool

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace, quiet: bool) -> _Printer:
        template = arguments.format
        message_format = None if template is None else MessageFormat(template, pretty=arguments.pretty)
        return cls(message_format, arguments.verbose, b"" if arguments.no_newline else b"\n", quiet)

    def show(self, message: Message) -> None:
        try:
            text = self._text(message)
        except FormatError as error:
            say(f"Error: {error}", quiet=self.quiet)
            return
        if text:
            sys.stdout.buffer.write(text + self.end)
            sys.stdout.buffer.flush()

    def _text(self, message: Message) -> bytes:
        if self.format is not None:
            return self.format.render(message, datetime.now().astimezone())
        if self.verbose:
            return message.topic.encode() + b" " + (message.payload or b"(null)")
        return message.payload


class _Subscriber:
    """One run of the command."""

    def __init__(self, arguments: argparse.Namespace, options: CommonOptions, printer: _Printer) -> None:
        self._arguments = arguments
        self._options = options
        self._printer = printer
        self._client = make_client(options, reconnection=Reconnection(1.0, 30.0), on_event=self._take)
        self._was_connected = False
        self._return: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Print messages until there is a reason to end; give the exit code."""
        arguments, client = self._arguments, self._client
        try:
            async with asyncio.timeout(arguments.timeout):
                await client.connect()
                await self._subscribe()
                if not arguments.exit_after_subscribe:
                    await self._show_messages()
        except TimeoutError:
            say("Timed out", quiet=self._options.quiet)
            return TIMED_OUT
        finally:
            await client.disconnect(properties=self._options.properties_of(PacketType.DISCONNECT))
        return 0

    def _take(self, event: Event) -> None:
        """Subscribe anew when the client came back to a server that has no session."""
        if not isinstance(event, Connected):
            return
        if self._was_connected and not event.session_present:
            self._return = asyncio.get_running_loop().create_task(self._subscribe_again())
        self._was_connected = True

    async def _subscribe_again(self) -> None:
        try:
            await self._subscribe()
        except (ConnectionError, Refused) as error:
            say(f"Error: {error}", quiet=self._options.quiet)

    async def _subscribe(self) -> None:
        options, arguments = self._options, self._arguments
        subscriptions = [
            Subscription(topic, options.qos, retain_as_published=arguments.retain_as_published)
            for topic in options.topics
        ]
        if subscriptions:
            properties = options.properties_of(PacketType.SUBSCRIBE)
            answer = await self._client.subscribe(*subscriptions, properties=properties)
            self._check_granted(answer.reasons)
        if arguments.unsubscribe:
            properties = options.properties_of(PacketType.UNSUBSCRIBE)
            await self._client.unsubscribe(*arguments.unsubscribe, properties=properties)

    def _check_granted(self, reasons: tuple[int, ...]) -> None:
        options = self._options
        for topic, reason in zip(options.topics, reasons, strict=True):
            if is_error(reason):
                name = reason_name(PacketType.SUBACK, reason, options.client.version)
                say(f"Warning: subscription to {topic} denied: {name}.", quiet=options.quiet)
        if is_error(min(reasons)):
            raise Refused("All subscription requests were denied.", reasons[0])

    async def _show_messages(self) -> None:
        arguments, shown = self._arguments, 0
        async for message in self._client.messages():
            if any(matches(topic_filter, message.topic) for topic_filter in arguments.filter_out):
                continue
            if arguments.retained_only and not message.retain:
                return
            if message.retain and arguments.no_retained:
                continue
            if message.retain and arguments.remove_retained:
                await self._client.publish(message.topic, b"", qos=1, retain=True)
            self._printer.show(message)
            shown += 1
            if shown == arguments.count:
                return
