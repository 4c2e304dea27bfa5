"""The brokers that are measured, each started for its cell and stopped behind it.

Belongs here: names to running brokers. Does not belong here: how a program is started (`interop.brokers`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from interop.bench.measure import Target
from interop.brokers.broker import BrokerFault, BrokerSpec
from interop.brokers.process import ProcessSpec
from interop.brokers.programs import REFERENCE_PROCESS
from interop.brokers.registry import broker_spec, shown_name
from interop.exit_codes import CommandError
from reference_broker.net.address import Transport

REFERENCE = "reference"

_SETTINGS = {"mosquitto": {"maximum_inflight": 0, "queue_maximum_messages": 0}}
"""What a broker is started with so that it shows its best; 0 is no limit.

With its own limits mosquitto 2.0 drops QoS 1 and 2 messages beyond 1,000 waiting ones, and leaves the rest waiting
when nothing more is published."""


@contextmanager
def running(name: str, transport: Transport = Transport.TCP, *, is_durable: bool = False) -> Iterator[Target]:
    """A broker that listens, fresh unless somebody else started it; raises CommandError."""
    spec = spec_of(name)
    with asyncio.Runner() as runner, ExitStack() as stack:
        stack.callback(lambda: runner.run(spec.close()))
        try:
            settings = _SETTINGS.get(name, {})
            start = (
                spec.start_own(settings, transport=transport, persistent=True)
                if is_durable
                else (spec.start(settings, transport=transport))
            )
            broker = runner.run(start)
            stack.callback(lambda: runner.run(broker.stop()))
            yield Target(shown_name(name), broker.version, broker.address(transport), broker.pid)
        except BrokerFault as problem:
            raise CommandError(str(problem)) from None


def spec_of(name: str) -> BrokerSpec:
    """What a name stands for; raises CommandError when it is plain that there is no such broker."""
    try:
        return ProcessSpec(REFERENCE_PROCESS) if name == REFERENCE else broker_spec(name)
    except BrokerFault as problem:
        raise CommandError(str(problem)) from None
