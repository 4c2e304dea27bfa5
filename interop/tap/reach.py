"""The way to a broker behind a network: when it is connected to, and in which form whom is written to.

Belongs here: what a tap and a monitor both do for `--network`.
Does not belong here: how long things take (`network`), bytes under way (`distant`), their order (`outlet`).
"""

from __future__ import annotations

import time

from interop.tap.distant import Distant, until
from interop.tap.network import Network
from interop.tap.outlet import Outlet
from interop.tap.trace import Sender
from reference_broker.net.address import Address
from reference_broker.net.errors import ConnectFailed
from reference_broker.net.stream import Stream, dial


async def reach(
    address: Address, network: Network, journey: str, *, has_frames: bool, half_closes: bool = False
) -> Stream | Distant:
    """Connect to the broker; `journey` names the connection, for the course of the jitter.

    `has_frames`: what goes there is a WebSocket's. `half_closes`: FIN ends one direction only. Raises as `dial`, when
    the news of it is here.
    """
    try:
        if network.is_distant:
            # The client has its TCP connection already. A broker would know of it as the first bytes come; one that
            # counts its keep alive from there would wait for one round trip until CONNACK, not two.
            await until(time.monotonic() + network.delay_seconds)
        stream = await dial(address)
    except ConnectFailed:
        await until(time.monotonic() + network.delay_seconds)
        raise
    if not network.is_distant:
        return stream
    return Distant(stream, network, journey, has_frames=has_frames, half_closes=half_closes)


def outlet_to(side: Sender, stream: Stream | Distant, network: Network, *, half_closes: bool = False) -> Outlet:
    """The way out to that side; what the network does at the receiver, a distant one does itself."""
    if isinstance(stream, Distant):
        return Outlet(stream, half_closes=half_closes)
    at_once = 0.0 if network.answers_together and side is Sender.CLIENT else None
    gather_seconds = at_once if network.gather_seconds is None else network.gather_seconds
    return Outlet(stream, network.piece_bytes, gather_seconds, half_closes=half_closes)
