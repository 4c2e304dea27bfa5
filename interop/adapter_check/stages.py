"""What an adapter is put to, stage by stage, and what it has to answer.

Belongs here: one function for each stage about its lines, its connections and its life, and the table `STAGES` of all.
Does not belong here: their order in time and the processes they need (`examination`), lines (`lines`, `conversation`),
what is looked at on the wire (`carried`), what all of them need (`asking`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from interop.adapter_check.asked import as_asked, at_the_edges
from interop.adapter_check.asking import (
    ANSWER_SECONDS,
    Setting,
    Stage,
    ask,
    check_nothing_follows,
    connect,
    connection,
    need,
    probe,
    subscription,
    unasked,
)
from interop.adapter_check.carried import versions
from interop.adapter_check.conversation import Conversation
from interop.drivers import contract
from interop.drivers.contract import CONTRACT_VERSION, AnyEvent, ErrorEvent, HelloEvent
from interop.drivers.driver import RESET_SECONDS, START_SECONDS
from interop.drivers.process import GOODBYE_SECONDS
from interop.scenario.features import unknown_features
from reference_broker.net.address import Address, Transport
from reference_broker.wire.packets import ConnAck
from reference_broker.wire.packets import Disconnect as DisconnectPacket
from reference_broker.wire.types import ConnectReturnCode, ReasonCode

ATTEMPT_SECONDS = 5.0
"""How long a client may take to give up, as in a run: some notice by a time limit of their own."""
RECONNECT_SECONDS = 1.5
"""How long it is watched whether a client connects again by itself; most that do begin within a second."""


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
            seconds=START_SECONDS,
        )
    else:
        what = f"it wrote nothing within {START_SECONDS:g} s of `hello`"
        talk.complain(what, "`hello`, with its id 1", seconds=START_SECONDS)


async def made_up_verb(talk: Conversation, setting: Setting) -> None:
    """A verb of a later contract."""
    setting.answers_any_verb = await probe(talk)


async def without_connection(talk: Conversation, setting: Setting) -> None:  # noqa: ARG001 - a stage
    """`drop` where nothing is to be dropped, and a command that needs a connection."""
    answer = await ask(talk, contract.Drop(id=talk.next_id()), ", without a connection")
    if isinstance(answer, ErrorEvent) and answer.error != "unsupported":
        what = f"`drop` without a connection is answered with the error `{answer.error}`"
        talk.complain(what, "`dropped`: there is no connection afterwards, which is all it asks for", about_line=True)
    subscribe = contract.Subscribe(id=talk.next_id(), subscriptions=(subscription("check"),))
    answer = await ask(talk, subscribe, ", without a connection", "an `error`")
    if answer is not None and not isinstance(answer, ErrorEvent):
        talk.complain("`subscribe` without a connection is answered with `subscribed`", "an `error`", about_line=True)


# --- with a broker that never answers ---------------------------------------------------------------------------------


async def _waiting(
    talk: Conversation, setting: Setting, request: Callable[[Conversation], contract.AnyCommand]
) -> asyncio.Task[AnyEvent | None] | None:
    """A connection on which a command waits for an answer that will not come; None when there is no connection."""
    if not await connect(talk, setting.silent.address, setting.mqtt):
        return None
    answer = talk.ask(
        request(talk), 2 * ANSWER_SECONDS, while_=", after the connection had ended", expected="the error `cut-off`"
    )
    pending = asyncio.create_task(answer)
    await asyncio.sleep(0)
    return pending


def _subscribe(talk: Conversation) -> contract.Subscribe:
    return contract.Subscribe(id=talk.next_id(), subscriptions=(subscription("check"),))


def _publish(talk: Conversation) -> contract.Publish:
    return contract.Publish(id=talk.next_id(), topic="check", qos=1)


async def overlap(talk: Conversation, setting: Setting) -> None:
    """A second command while the first waits for the broker, then the end of the connection beneath both."""
    if (pending := await _waiting(talk, setting, _subscribe)) is None:
        return
    await probe(talk, ", while `subscribe` waits for the broker: it holds up the next command")
    if pending.done() and isinstance(pending.result(), contract.Subscribed):
        talk.complain("`subscribed` came before any SUBACK", "the answer when SUBACK is in")
        return
    await need(talk, contract.Drop(id=talk.next_id()), "with a connection")
    answer = await pending
    if answer is not None and not (isinstance(answer, ErrorEvent) and answer.error in ("cut-off", "unsupported")):
        talk.complain("`subscribe` did not end as its connection did", "the error `cut-off`", about_line=True)
    await check_nothing_follows(talk, "`drop` was followed by an event without an id", "`dropped`, and nothing else")
    await _check_end_of_connection(talk, setting, "drop")


async def unacknowledged(talk: Conversation, setting: Setting) -> None:
    """A QoS 1 message that nobody acknowledges; what becomes of it after its connection is the client's business."""
    if not setting.has("qos1"):
        return
    if (pending := await _waiting(talk, setting, _publish)) is None:
        return
    await probe(talk, ", while `publish` waits for the broker: it holds up the next command")
    if pending.done() and isinstance(pending.result(), contract.Published):
        talk.complain("`published` came before any PUBACK", "the answer when PUBACK is in")
    pending.cancel()
    await talk.ask(contract.Reset(id=talk.next_id()), RESET_SECONDS)


async def _check_end_of_connection(talk: Conversation, setting: Setting, verb: str) -> None:
    peer = setting.silent.peer
    try:
        await asyncio.wait_for(peer.ended.wait(), GOODBYE_SECONDS)
    except TimeoutError:
        what = f"the network connection is still open after `{verb}`"
        talk.complain(what, "its end before the answer", seconds=GOODBYE_SECONDS)
    if any(isinstance(packet, DisconnectPacket) for packet in peer.packets):
        talk.complain(f"`{verb}` sent DISCONNECT", "the end of the network connection without a word to the broker")


async def lost_connection(talk: Conversation, setting: Setting) -> None:
    """The broker goes away, and is there again."""
    if not await connect(talk, setting.silent.address, setting.mqtt):
        return
    before = setting.silent.connections
    setting.silent.peer.close()
    if await unasked(talk, contract.Disconnected) is None:
        what = f"the broker closed the connection, and nothing was said of it within {ANSWER_SECONDS:g} s"
        talk.complain(what, "`disconnected`, without an id", seconds=ANSWER_SECONDS)
    await asyncio.sleep(RECONNECT_SECONDS)
    if setting.silent.connections > before:
        talk.complain("it connected again by itself", "no connection until there is another `connect`")
    await check_nothing_follows(talk, "there was another event after `disconnected`", "one, and nothing else")


async def no_connection(talk: Conversation, setting: Setting) -> None:
    """CONNACK says no, the connection ends instead, and nobody is there at all."""
    code = ReasonCode.NOT_AUTHORIZED if setting.mqtt == "5.0" else ConnectReturnCode.NOT_AUTHORIZED
    silent = setting.silent
    try:
        silent.answer = ConnAck(reason=code)
        error = await _in_vain(talk, setting, silent.address, "CONNACK refuses it", "refused")
        if error is not None and error.reason not in (None, code):
            what = f"`reason` of the error `refused` is {error.reason}, and CONNACK has {int(code)}"
            talk.complain(what, f"{int(code)}, or null where the client does not tell", about_line=True)
        silent.answer = None
        await _in_vain(talk, setting, silent.address, "the connection ends before CONNACK", "cut-off", "failed")
    finally:
        silent.answer = ConnAck()
    await _in_vain(talk, setting, _nobody(), "nobody listens there", "failed")


async def _in_vain(talk: Conversation, setting: Setting, address: Address, why: str, *kinds: str) -> ErrorEvent | None:
    """Connect where nothing comes of it; gives the right error."""
    expected = " or ".join(f"the error `{kind}`" for kind in kinds)
    attempt = connection(talk, address, setting.mqtt)
    answer = await talk.ask(attempt, ATTEMPT_SECONDS, while_=f", although {why}", expected=expected)
    error = answer if isinstance(answer, ErrorEvent) and answer.error in kinds else None
    if answer is not None and error is None:
        found = f"the error `{answer.error}`" if isinstance(answer, ErrorEvent) else f"`{answer.event}`"
        talk.complain(f"`connect` is answered with {found}, although {why}", expected, about_line=True)
    what = f"there was an event besides the answer to `connect`, although {why}"
    await check_nothing_follows(talk, what, f"{expected}, and nothing else")
    return error


def _nobody() -> Address:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return Address("127.0.0.1", held.getsockname()[1], Transport.TCP)


async def reset(talk: Conversation, setting: Setting) -> None:
    """A new client instance while the old one has a connection and a command that waits."""
    if (pending := await _waiting(talk, setting, _subscribe)) is None:
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
    await check_nothing_follows(talk, "there was an event of the old client instance after `ready`")
    await connect(talk, setting.silent.address, setting.mqtt)


async def two_at_once(talk: Conversation, setting: Setting) -> None:
    """A second process beside the first, as a cell with two clients has: a fixed port, file or lock is in its way."""
    assert setting.another is not None
    when = ", while another process of it runs"
    if not await connect(talk, setting.silent.address, setting.mqtt):
        return
    async with setting.another() as other:
        answer = await other.ask(contract.Hello(id=other.next_id()), START_SECONDS, while_=when)
        if isinstance(answer, HelloEvent):
            second = connection(other, setting.silent.address, setting.mqtt)
            await need(other, second, when.removeprefix(", "))
            await probe(talk, when)


async def leave(talk: Conversation, setting: Setting) -> None:
    """`exit` with a connection."""
    if not await connect(talk, setting.silent.address, setting.mqtt):
        return
    answer = await talk.ask(contract.Exit(id=talk.next_id()), GOODBYE_SECONDS)
    if answer is not None and not await talk.has_ended():
        what = f"it is still there {GOODBYE_SECONDS:g} s after `bye`"
        talk.complain(what, "the end of the process", seconds=GOODBYE_SECONDS)


async def end_of_input(talk: Conversation, setting: Setting) -> None:
    """The end of standard input, with a connection: the harness may be gone."""
    if not await connect(talk, setting.silent.address, setting.mqtt):
        return
    if not await talk.end_input():
        what = f"it is still there {GOODBYE_SECONDS:g} s after the end of its standard input"
        talk.complain(what, "the end of the process, so that it never outlives a run", seconds=GOODBYE_SECONDS)


STAGES: dict[str, Stage] = {
    "hello": hello,
    "a made-up verb": made_up_verb,
    "drop without a connection": without_connection,
    "every version": versions,
    "what is asked for": as_asked,
    "what is seldom asked for": at_the_edges,
    "overlapping commands": overlap,
    "a message without acknowledgement": unacknowledged,
    "a lost connection": lost_connection,
    "no connection": no_connection,
    "reset": reset,
    "two at once": two_at_once,
    "exit": leave,
    "end of input": end_of_input,
}
"""By the words of the report, in their order; the first decides whether there is any use in the others."""

ENDING = (leave, end_of_input)
"""Stages after which there is no process left."""
