"""The brokers that are measured, each started for its cell and stopped behind it.

Belongs here: names to running brokers. Does not belong here: how a program is started (`interop.brokers`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from interop.bench.measure import Target
from interop.brokers.broker import BrokerFault, BrokerSpec
from interop.brokers.process import REFERENCE_PROCESS, ProcessSpec
from interop.brokers.registry import broker_spec
from interop.exit_codes import CommandError
from reference_broker.net.address import Transport

REFERENCE = "reference"


def check(name: str) -> None:
    """Raise CommandError when it is plain that there is no such broker."""
    _spec(name)


@contextmanager
def running(name: str, transport: Transport = Transport.TCP) -> Iterator[Target]:
    """A broker that listens, fresh unless somebody else started it; raises CommandError."""
    spec = _spec(name)
    with asyncio.Runner() as runner:
        try:
            broker = runner.run(spec.start({}, transport=transport))
            yield Target(name, broker.version, broker.address(transport), broker.pid)
        except BrokerFault as problem:
            raise CommandError(str(problem)) from None
        finally:
            runner.run(spec.close())


def _spec(name: str) -> BrokerSpec:
    try:
        return ProcessSpec(REFERENCE_PROCESS) if name == REFERENCE else broker_spec(name)
    except BrokerFault as problem:
        raise CommandError(str(problem)) from None
