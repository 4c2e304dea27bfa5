"""How every stage asks: what it has at hand, a command that has to succeed, an event that has to come.

Belongs here: what more than one stage needs.
Does not belong here: what is asked (`stages`, `carried`), which command a line answers (`conversation`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeVar

from interop.adapter_check.conversation import Conversation
from interop.adapter_check.silent import SilentBroker
from interop.drivers import contract
from interop.drivers.contract import AnyEvent, ErrorEvent, HelloEvent, MessageEvent
from interop.drivers.driver import Probe
from reference_broker.net.address import Address

ANSWER_SECONDS = 3.0
"""How long an answer on loopback may take; a run waits longer."""

Unasked = TypeVar("Unasked", MessageEvent, contract.Disconnected)


@dataclass(slots=True)
class Setting:
    """What the stages share: the brokers, and what the adapter said of itself."""

    broker: Address
    silent: SilentBroker
    hello: HelloEvent | None = None
    another: Callable[[], AbstractAsyncContextManager[Conversation]] | None = None
    """Starts a second process of the adapter, beside the one a stage has."""
    answers_any_verb: bool = True
    """Whether a verb that nobody knows is answered; where it is not, that was said."""

    @property
    def mqtt(self) -> contract.MqttLabel:
        """The first version it claims."""
        assert self.hello is not None
        return self.hello.mqtt[0]

    @property
    def newest(self) -> contract.MqttLabel:
        """The newest version it claims."""
        assert self.hello is not None
        return max(self.hello.mqtt)

    @property
    def is_5(self) -> bool:
        """Whether that has properties."""
        return self.newest == "5.0"

    def has(self, feature: str) -> bool:
        """Whether it does not say that it lacks this."""
        assert self.hello is not None
        return feature not in self.hello.unsupported


Stage = Callable[[Conversation, Setting], Awaitable[None]]


def token(beginning: str = "check") -> str:
    """A name that nobody had before."""
    return f"{beginning}{secrets.token_hex(4)}"


def subscription(topic_filter: str) -> contract.SubscriptionRequest:
    """One topic filter with nothing special about it."""
    return contract.SubscriptionRequest(topic_filter=topic_filter)


def connection(talk: Conversation, address: Address, mqtt: contract.MqttLabel) -> contract.Connect:
    """The command to connect there with nothing special about it."""
    return contract.Connect(id=talk.next_id(), mqtt=mqtt, host=address.host, port=address.port, client_id=token())


async def ask(
    talk: Conversation, command: contract.AnyCommand | Probe, while_: str = "", expected: str = ""
) -> AnyEvent | None:
    """The answer, where one came in time that can be made something of."""
    return await talk.ask(command, ANSWER_SECONDS, while_=while_, expected=expected)


async def need(talk: Conversation, command: contract.AnyCommand, when: str) -> bool:
    """Ask what has to succeed; gives whether it did."""
    answer = await ask(talk, command, f", {when}")
    if isinstance(answer, ErrorEvent):
        what = f"`{command.do}` is answered with the error `{answer.error}`, {when}"
        talk.complain(what, f"`{contract.ANSWERS[command.do].model_fields['event'].default}`", about_line=True)
    return answer is not None and not isinstance(answer, ErrorEvent)


async def connect(talk: Conversation, address: Address, mqtt: contract.MqttLabel) -> bool:
    """Connect there; gives whether it did."""
    return await need(talk, connection(talk, address, mqtt), f"although `hello` claims MQTT {mqtt}")


async def probe(talk: Conversation, while_: str = "") -> bool:
    """Ask for a verb of a later contract, unless it is known that none is answered; gives whether it was."""
    if not talk.answers_any_verb:
        return False
    verb = token("verb-")
    answer = await ask(talk, Probe(id=talk.next_id(), do=verb), while_)
    if isinstance(answer, ErrorEvent) and answer.error != "unsupported":
        what = f"a verb that nobody knows, `{verb}`, is answered with the error `{answer.error}`"
        talk.complain(what, "the error `unsupported`", about_line=True)
    return answer is not None


async def unasked(talk: Conversation, kind: type[Unasked]) -> Unasked | None:
    """The next event of a kind that comes by itself; None when none does in time."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                _, event = await talk.events.get()
                if isinstance(event, kind):
                    return event
                wanted = kind.model_fields["event"].default
                talk.complain(f"`{event.event}` came, and nothing had happened that it tells of", f"`{wanted}`")
    except TimeoutError:
        return None


async def forget_what_came(talk: Conversation) -> None:
    """Let go of events that follow from what was complained about before."""
    await talk.settle(ANSWER_SECONDS)
    while not talk.events.empty():
        talk.events.get_nowait()


async def check_nothing_follows(talk: Conversation, what: str, expected: str = "nothing") -> None:
    """Complain where an event came that nobody asked for; `what` says after what it is one too many."""
    await talk.settle(ANSWER_SECONDS)
    while not talk.events.empty():
        _, event = talk.events.get_nowait()
        talk.complain(f"{what}: `{event.event}`", expected)
