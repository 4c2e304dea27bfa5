"""Playing an attack against a broker of its own, and whether all held.

Belongs here: the order of things, what is measured and demanded. Does not belong here: the attacks (`opening`,
`keeping`, `streaming`), the page (`command`).
"""

from __future__ import annotations

import asyncio
import resource
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from interop.attack import keeping, opening, streaming
from interop.attack.attacker import Scene
from interop.attack.attacks import Attack
from interop.attack.bystander import Bystander
from interop.bench.inbox import BadStream
from interop.bench.proc import forget_peak, peak_bytes, usage
from interop.bench.result import percentile
from interop.brokers.broker import BrokerFault
from interop.brokers.process import ProcessSpec
from interop.brokers.programs import REFERENCE_PROCESS
from interop.exit_codes import CommandError
from reference_broker.access.passwords import new_user, write_user
from reference_broker.net.address import Login

ATTACKS: Final = (*opening.ATTACKS, *streaming.ATTACKS, *keeping.ATTACKS)
MOST_P99_SECONDS: Final = 0.1
"""So long the 99th percentile of a bystander's round trips may be, without what others on the machine take."""

_LINE: Final = "line of the log"
_BEFORE_SECONDS: Final = 0.1


@dataclass(slots=True)
class Outcome:
    """What came of one attack; `grown_bytes` is the most memory the process had, less what it had before."""

    attack: Attack
    waves: int = 0
    seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    before_bytes: int = 0
    grown_bytes: int = 0
    p99_seconds: float = 0.0
    p99_with_others_seconds: float = 0.0
    """The same by the clock on the wall."""
    breaches: list[str] = field(default_factory=list)
    """How the bound did not hold, in words."""

    @property
    def faults(self) -> list[str]:
        """All that did not hold: the bound, or that others are served."""
        if self.p99_seconds <= MOST_P99_SECONDS:
            return self.breaches
        return [*self.breaches, f"a bystander's round trip took {self.p99_seconds * 1e3:.0f} ms at p99"]


class Arena:
    """Starts a broker for each attack; a context manager."""

    def __init__(self, bystander: Bystander) -> None:
        self._bystander = bystander
        self._runner = asyncio.Runner()
        self._spec = ProcessSpec(REFERENCE_PROCESS)
        self._folder = Path(tempfile.mkdtemp(prefix="mqtt-interop-attack-"))
        self._login = Login("bystander", secrets.token_hex(8).encode())

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._spec.close())
        self._runner.close()
        shutil.rmtree(self._folder)

    def play(self, attack: Attack, seconds: float, changed: Mapping[str, Any] | None = None) -> Outcome:
        """Attack in waves for so long, once at least, with settings `changed`; raises CommandError without a broker."""
        settings = {**attack.settings, **(changed or {})}
        if attack.has_users:
            settings["password_file"] = str(self._users())
        start = self._spec.start_own(settings, transport=attack.transport, persistent=attack.is_durable)
        try:
            broker = self._runner.run(start)
        except BrokerFault as problem:
            raise CommandError(str(problem)) from None
        outcome = Outcome(attack)
        address = broker.address(attack.transport)
        try:
            assert broker.pid is not None
            self._bystander.begin(replace(address, login=self._login) if attack.has_users else address, broker.pid)
            time.sleep(_BEFORE_SECONDS)
            before = usage(broker.pid)
            assert before is not None
            if attack.handles:
                resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (attack.handles, attack.handles))
            outcome.before_bytes = before.rss_bytes
            forget_peak(broker.pid)
            began = time.monotonic()
            while not outcome.waves or (time.monotonic() - began < seconds and not outcome.breaches):
                self._wave(outcome, Scene(address))
            outcome.seconds = time.monotonic() - began
            outcome.grown_bytes = peak_bytes(broker.pid) - before.rss_bytes
            trips = self._bystander.end()
            outcome.p99_seconds = percentile(sorted(trip.own_ns for trip in trips), 99) / 1e9
            outcome.p99_with_others_seconds = percentile(sorted(trip.took_ns for trip in trips), 99) / 1e9
            outcome.answers[_LINE] = len(broker.log.splitlines())
        except (BadStream, OSError) as problem:
            outcome.breaches.append(str(problem))
        finally:
            self._runner.run(broker.stop())
        _judge(outcome)
        return outcome

    def _users(self) -> Path:
        file = self._folder / "users"
        if not file.exists():
            assert self._login.password is not None
            write_user(file, self._login.username, new_user(self._login.password.decode(), with_scram=False))
        return file

    def _wave(self, outcome: Outcome, scene: Scene) -> None:
        attack = outcome.attack
        with scene:
            attack.play(scene)
        outcome.waves += 1
        outcome.answers += scene.answers
        for word, most in attack.at_most.items():
            if scene.answers[word] > most:
                outcome.breaches.append(f"{scene.answers[word]:,} times {word}, at most {most:,}")


def _judge(outcome: Outcome) -> None:
    attack = outcome.attack
    if attack.expects and not outcome.answers[attack.expects]:
        outcome.breaches.append(f"nobody was answered {attack.expects}")
    if outcome.grown_bytes > attack.most_bytes:
        outcome.breaches.append(
            f"grew by {outcome.grown_bytes / 2**20:.0f} MiB, at most {attack.most_bytes / 2**20:.0f}"
        )
