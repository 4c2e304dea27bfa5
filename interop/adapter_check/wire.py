"""What an adapter's client and the broker say to each other, and whether it is what was asked for.

Belongs here: looking at packets on the wire. Does not belong here: what is asked (`carried`, `asked`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TypeVar

from interop.adapter_check.asking import Setting
from interop.adapter_check.conversation import Conversation
from interop.tap.link import Link
from interop.tap.trace import Sender, Trace
from reference_broker.net.address import Address
from reference_broker.wire.packets import ConnAck, Connect, Disconnect, Publish, SubAck, Subscribe, Unsubscribe
from reference_broker.wire.types import Version

_OnWire = TypeVar("_OnWire", ConnAck, Connect, Disconnect, Publish, SubAck, Subscribe, Unsubscribe)

Row = tuple[str, object, object, str]
"""A field, as it was sent, as it was asked for, and the feature a client without it lacks."""


@contextlib.asynccontextmanager
async def seen(setting: Setting, mqtt: str) -> AsyncIterator[tuple[Address, Trace]]:
    """An address at which the broker is, and all that is sent there."""
    trace = Trace(asyncio.get_running_loop().time)
    link = Link("check", upstream=setting.broker, version=Version.from_label(mqtt), trace=trace)
    try:
        yield await link.open(), trace
    finally:
        await link.close()


def packets(trace: Trace, kind: type[_OnWire], sender: Sender = Sender.CLIENT) -> Iterator[_OnWire]:
    """The packets of a kind that one side sent so far."""
    return (entry.packet for entry in trace if isinstance(entry.packet, kind) and entry.sender is sender)


def check_fields(talk: Conversation, setting: Setting, packet: str, rows: Iterable[Row]) -> None:
    """Complain about what was sent otherwise than asked for."""
    for field, sent, asked, feature in rows:
        if sent != asked and (not feature or setting.has(feature)):
            what = f"{packet} has `{field}` {sent!r:.80}, and it was asked for {asked!r:.80}"
            instead = f", or `{feature}` in `unsupported` of `hello`" if feature else ""
            talk.complain(what, f"what was asked for{instead}")
