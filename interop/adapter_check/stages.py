"""What an adapter is put to, stage by stage, and what it has to answer.

Belongs here: one function for each stage, in the table `STAGES`.
Does not belong here: their order in time and the processes they need (`examination`), lines (`lines`, `conversation`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from interop.adapter_check.conversation import Conversation
from interop.adapter_check.silent import SilentBroker
from interop.drivers import contract
from interop.drivers.contract import CONTRACT_VERSION, AnyEvent, ErrorEvent, HelloEvent, MessageEvent
from interop.drivers.driver import RESET_SECONDS, START_SECONDS, Probe
from interop.drivers.process import GOODBYE_SECONDS
from interop.scenario.features import unknown_features
from interop.tap.link import Link
from interop.tap.trace import Kind, Sender, Trace
from reference_broker.net.address import Address
from reference_broker.wire.packets import Connect as ConnectPacket
from reference_broker.wire.packets import Disconnect as DisconnectPacket
from reference_broker.wire.types import Version

ANSWER_SECONDS = 3.0
"""How long an answer on loopback may take; a run waits longer."""

Unasked = TypeVar("Unasked", MessageEvent, contract.Disconnected)

_PAYLOAD = b"\x00 any bytes \xff"
_USER_PROPERTY = (("check", "1"),)


@dataclass(slots=True)
class Setting:
    """What the stages share: the brokers, and what the adapter said of itself."""

    broker: Address
    silent: SilentBroker
    hello: HelloEvent | None = None

    @property
    def mqtt(self) -> contract.MqttLabel:
        """The first version it claims."""
        assert self.hello is not None
        return self.hello.mqtt[0]


Stage = Callable[[Conversation, Setting], Awaitable[None]]


# --- without a broker -------------------------------------------------------------------------------------------------


async def hello(talk: Conversation, setting: Setting) -> None:
    """Who it is, whether it says so at once, and whether all it says has a meaning."""
    answer = await talk.ask(contract.Hello(id=talk.next_id()), START_SECONDS, silence_is_told=False)
    if not isinstance(answer, HelloEvent):
        if isinstance(answer, ErrorEvent):
            talk.complain("`hello` is answered with `error`", "`hello`: who are you?", about_line=True)
        elif not talk.lines and talk.fault is None:
            await _explain_silence(talk)
        return
    setting.hello = answer
    for wrong, what, expected in (
        (answer.contract != CONTRACT_VERSION, f"`contract` is {answer.contract}", f"{CONTRACT_VERSION}"),
        (not answer.client.strip(), "`client` is empty", "the name of the client, for reports"),
        (not answer.version.strip(), "`version` is empty", "the version of the client"),
    ):
        if wrong:
            talk.complain(what, expected, about_line=True)
    for sentence in unknown_features(answer.unsupported):
        talk.complain(f"`unsupported`: {sentence}", "names of features", about_line=True)


async def _explain_silence(talk: Conversation) -> None:
    """Nothing came; it may be that what was written waits in a buffer, which the end of the process empties."""
    await talk.end_input()
    if talk.lines:
        talk.complain(
            f"nothing came within {START_SECONDS:g} s, and this when it ended: it does not flush",
            "standard output flushed after every line (C: fflush; Python: flush=True)",
            about_line=True,
        )
    else:
        talk.complain(f"it wrote nothing within {START_SECONDS:g} s of `hello`", "`hello`, with its id 1")


async def made_up_verb(talk: Conversation, setting: Setting) -> None:  # noqa: ARG001 - a stage
    """A verb of a later contract."""
    await _probe(talk)


async def _probe(talk: Conversation, while_: str = "") -> None:
    verb = f"verb-{secrets.token_hex(4)}"
    answer = await talk.ask(Probe(id=talk.next_id(), do=verb), ANSWER_SECONDS, while_=while_)
    if isinstance(answer, ErrorEvent) and answer.error != "unsupported":
        what = f"a verb that nobody knows, `{verb}`, is answered with the error `{answer.error}`"
        talk.complain(what, "the error `unsupported`", about_line=True)


async def without_connection(talk: Conversation, setting: Setting) -> None:  # noqa: ARG001 - a stage
    """`drop` where nothing is to be dropped, and a command that needs a connection."""
    answer = await talk.ask(contract.Drop(id=talk.next_id()), ANSWER_SECONDS, while_=", without a connection")
    if isinstance(answer, ErrorEvent) and answer.error != "unsupported":
        what = f"`drop` without a connection is answered with the error `{answer.error}`"
        talk.complain(what, "`dropped`: there is no connection afterwards, which is all it asks for", about_line=True)
    subscribe = contract.Subscribe(id=talk.next_id(), subscriptions=(_subscription("check"),))
    answer = await talk.ask(subscribe, ANSWER_SECONDS, while_=", without a connection")
    if answer is not None and not isinstance(answer, ErrorEvent):
        talk.complain("`subscribe` without a connection is answered with `subscribed`", "an `error`", about_line=True)


# --- with a broker ----------------------------------------------------------------------------------------------------


async def versions(talk: Conversation, setting: Setting) -> None:
    """A message there and back in each version it claims, then a new client instance."""
    assert setting.hello is not None
    for mqtt in setting.hello.mqtt:
        trace = Trace(asyncio.get_running_loop().time)
        link = Link("check", upstream=setting.broker, version=Version.from_label(mqtt), trace=trace)
        try:
            went_well = await _connect(talk, await link.open(), mqtt)
            _check_version(talk, trace, mqtt)
            if went_well:
                await _message_to_itself(talk, setting.hello, mqtt)
                await _need(talk, contract.Disconnect(id=talk.next_id()), f"in MQTT {mqtt}")
            if await talk.ask(contract.Reset(id=talk.next_id()), RESET_SECONDS) is None:
                return
        finally:
            await link.close()


async def _connect(talk: Conversation, address: Address, mqtt: contract.MqttLabel) -> bool:
    command = contract.Connect(
        id=talk.next_id(), mqtt=mqtt, host=address.host, port=address.port, client_id=f"check{secrets.token_hex(4)}"
    )
    return await _need(talk, command, f"although `hello` claims MQTT {mqtt}")


async def _need(talk: Conversation, command: contract.AnyCommand, when: str) -> bool:
    """Ask what has to succeed; gives whether it did."""
    answer = await talk.ask(command, ANSWER_SECONDS, while_=f", {when}")
    if isinstance(answer, ErrorEvent):
        what = f"`{command.do}` is answered with the error `{answer.error}`, {when}"
        talk.complain(what, f"`{contract.ANSWERS[command.do].model_fields['event'].default}`", about_line=True)
    return answer is not None and not isinstance(answer, ErrorEvent)


def _check_version(talk: Conversation, trace: Trace, mqtt: str) -> None:
    """The version on the wire, which no adapter may choose by itself."""
    for entry in trace:
        if isinstance(entry.packet, ConnectPacket) and entry.packet.version.label != mqtt:
            what = f"it was asked to connect with MQTT {mqtt}, and its CONNECT is of {entry.packet.version.label}"
            talk.complain(what, f"MQTT {mqtt}, or no {mqtt} in `mqtt` of `hello`")
        elif entry.kind is Kind.MALFORMED and entry.sender is Sender.CLIENT:
            talk.complain(f"it sent what is no packet of MQTT {mqtt}: {entry.note}", "well-formed packets")


async def _message_to_itself(talk: Conversation, said: HelloEvent, mqtt: str) -> None:
    topic, when = f"check/{secrets.token_hex(4)}", f"in MQTT {mqtt}"
    has_properties = mqtt == "5.0" and "publish-properties" not in said.unsupported
    properties = contract.PropertyValues(user_property=_USER_PROPERTY) if has_properties else contract.NONE
    subscribe = contract.Subscribe(id=talk.next_id(), subscriptions=(_subscription(topic),))
    publish = contract.Publish(id=talk.next_id(), topic=topic, payload=_PAYLOAD, properties=properties)
    if not (await _need(talk, subscribe, when) and await _need(talk, publish, when)):
        return
    message = await _unasked(talk, MessageEvent)
    if message is None:
        talk.complain(f"its own message did not reach it within {ANSWER_SECONDS:g} s, {when}", "`message`")
        return
    for field, found, wanted in (
        ("topic", message.topic, topic),
        ("payload", message.payload, _PAYLOAD),
        ("message", message.message, 1),
    ):
        if found != wanted:
            what = f"`{field}` of the first message of this client instance is {found!r:.80}, {when}"
            talk.complain(what, repr(wanted), about_line=True)


def _subscription(topic: str) -> contract.SubscriptionRequest:
    return contract.SubscriptionRequest(topic_filter=topic)


async def _unasked(talk: Conversation, kind: type[Unasked]) -> Unasked | None:
    """The next event of a kind that comes by itself; None when none does in time."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                _, event = await talk.events.get()
                if isinstance(event, kind):
                    return event
    except TimeoutError:
        return None


# --- with a broker that never answers ---------------------------------------------------------------------------------


async def _waiting(talk: Conversation, setting: Setting) -> asyncio.Task[AnyEvent | None] | None:
    """A connection on which a SUBSCRIBE waits for an answer that will not come; None when there is no connection."""
    if not await _connect(talk, setting.silent.address, setting.mqtt):
        return None
    command = contract.Subscribe(id=talk.next_id(), subscriptions=(_subscription("check"),))
    pending = asyncio.create_task(talk.ask(command, 2 * ANSWER_SECONDS, while_=", after the connection had ended"))
    await asyncio.sleep(0)
    return pending


async def overlap(talk: Conversation, setting: Setting) -> None:
    """A second command while the first waits for the broker, then the end of the connection beneath both."""
    if (pending := await _waiting(talk, setting)) is None:
        return
    await _probe(talk, ", while `subscribe` waits for the broker: it holds up the next command")
    if pending.done() and isinstance(pending.result(), contract.Subscribed):
        talk.complain("`subscribed` came before any SUBACK", "the answer when SUBACK is in", about_line=True)
        return
    await _need(talk, contract.Drop(id=talk.next_id()), "with a connection")
    answer = await pending
    if answer is not None and not (isinstance(answer, ErrorEvent) and answer.error in ("cut-off", "unsupported")):
        talk.complain("`subscribe` did not end as its connection did", "the error `cut-off`", about_line=True)
    await talk.settle(ANSWER_SECONDS)
    if not talk.events.empty():
        talk.complain("`drop` was followed by `disconnected`", "`dropped`, and nothing else", about_line=True)
    await _check_end_of_connection(talk, setting, "drop")


async def _check_end_of_connection(talk: Conversation, setting: Setting, verb: str) -> None:
    peer = setting.silent.peer
    try:
        await asyncio.wait_for(peer.ended.wait(), GOODBYE_SECONDS)
    except TimeoutError:
        talk.complain(f"the network connection is still open after `{verb}`", "its end before the answer")
    if any(isinstance(packet, DisconnectPacket) for packet in peer.packets):
        talk.complain(f"`{verb}` sent DISCONNECT", "the end of the network connection without a word to the broker")


async def lost_connection(talk: Conversation, setting: Setting) -> None:
    """The broker goes away."""
    if not await _connect(talk, setting.silent.address, setting.mqtt):
        return
    setting.silent.peer.close()
    if await _unasked(talk, contract.Disconnected) is None:
        what = f"the broker closed the connection, and nothing was said of it within {ANSWER_SECONDS:g} s"
        talk.complain(what, "`disconnected`, without an id")


async def reset(talk: Conversation, setting: Setting) -> None:
    """A new client instance while the old one has a connection and a command that waits."""
    if (pending := await _waiting(talk, setting)) is None:
        return
    answer = await talk.ask(contract.Reset(id=talk.next_id()), RESET_SECONDS)
    if isinstance(answer, ErrorEvent):
        talk.complain(
            "`reset` is answered with `error`", "`ready`: a new process is what else it takes", about_line=True
        )
    pending.cancel()
    if answer is None or isinstance(answer, ErrorEvent):
        return
    await _check_end_of_connection(talk, setting, "reset")
    await talk.settle(ANSWER_SECONDS)
    if not talk.events.empty():
        talk.complain("there was an event of the old client instance after `ready`", "nothing", about_line=True)
    await _connect(talk, setting.silent.address, setting.mqtt)


async def leave(talk: Conversation, setting: Setting) -> None:
    """`exit` with a connection."""
    if not await _connect(talk, setting.silent.address, setting.mqtt):
        return
    answer = await talk.ask(contract.Exit(id=talk.next_id()), GOODBYE_SECONDS)
    if answer is not None and not await talk.has_ended():
        talk.complain(f"it is still there {GOODBYE_SECONDS:g} s after `bye`", "the end of the process")


async def end_of_input(talk: Conversation, setting: Setting) -> None:
    """The end of standard input, with a connection: the harness may be gone."""
    if not await _connect(talk, setting.silent.address, setting.mqtt):
        return
    if not await talk.end_input():
        what = f"it is still there {GOODBYE_SECONDS:g} s after the end of its standard input"
        talk.complain(what, "the end of the process, so that it never outlives a run")


STAGES: dict[str, Stage] = {
    "hello": hello,
    "a made-up verb": made_up_verb,
    "drop without a connection": without_connection,
    "every version": versions,
    "overlapping commands": overlap,
    "a lost connection": lost_connection,
    "reset": reset,
    "exit": leave,
    "end of input": end_of_input,
}
"""By the words of the report, in their order; the first decides whether there is any use in the others."""

ENDING = (leave, end_of_input)
"""Stages after which there is no process left."""
