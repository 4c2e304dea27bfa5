"""Brokers that are wrong on purpose, in the simulation: which mutants are about state, and what a world makes of one.

Belongs here: the choice of mutants, and their brokers as the world wants them.
Does not belong here: the mutants (`interop.mutants`).
"""

from __future__ import annotations

from interop.mutants import (
    broker_carried,
    broker_ending,
    broker_messages,
    broker_reconnected,
    broker_reported,
    broker_resent,
    broker_restart,
    broker_sessions,
)
from interop.mutants.mutant import Mutant
from interop.mutants.wrong_ends import WrongBroker
from interop.simulation.episode import EPISODE_STEPS, run_episode
from interop.simulation.medium import MakeBroker
from reference_broker.broker import Broker, BrokerConfig

_TABLES: tuple[list[Mutant], ...] = (
    broker_sessions.SESSIONS,
    broker_resent.IN_FLIGHT,
    broker_resent.RECEIVED,
    broker_resent.INHERITED,
    broker_reconnected.EXPIRY,
    broker_reconnected.WILLS,
    broker_ending.WILLS,
    broker_reported.IN_FLIGHT,
    broker_reported.WINDOWS,
    broker_reported.ENDS,
    broker_messages.QOS,
    broker_carried.WAITING,
)
"""What a broker keeps between packets: sessions, what is in flight or waits, wills, windows."""


def state_mutants(*, has_crashes: bool = False) -> dict[str, Mutant]:
    """The mutants that are about state, by name; with crashes also those that are wrong only after one."""
    tables = (*_TABLES, broker_restart.RESTART) if has_crashes else _TABLES
    return {mutant.name: mutant for table in tables for mutant in table}


def wrong_broker(mutant: Mutant) -> MakeBroker:
    """Makes brokers with a mutant's faults, which go without the fast path."""

    def make(config: BrokerConfig, _fast_path: bool, keeps: bool) -> Broker:
        return WrongBroker(mutant, config, keeps=keeps)

    return make


def killed_by(name: str, seed: int, steps: int, *, has_crashes: bool = False) -> str | None:
    """Which invariant a mutant breaks within so many steps, and how; None for none. That it falls over proves nothing.

    With `has_crashes` it crashes on purpose now and then, and goes on with what its store has.
    """
    make_broker = wrong_broker(state_mutants(has_crashes=has_crashes)[name])
    done = 0
    while done < steps:
        count, failure = run_episode(seed, min(EPISODE_STEPS, steps - done), make_broker, has_crashes=has_crashes)
        if failure is not None and not failure.is_crash:
            return f"{failure.book}: {failure.sentence}"
        done += max(count, 1)
        seed += 1
    return None
