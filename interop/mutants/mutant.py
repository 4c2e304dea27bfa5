"""How a mutant is written down: a broker or a client of ours that is wrong in one thing.

Belongs here: the kinds of faults a mutant is made of, and `table`, which turns a table of them into mutants.
Does not belong here: the tables (`broker_...`, `client_...`), the ends that commit the faults (`wrong_ends`).
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from reference_broker.wire.errors import LocalError, RemoteError
from reference_broker.wire.rules import Rule

Change = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Says:
    """What leaves is changed: packets of `kind` become what `change(packet, end)` gives.

    That is a packet, bytes as they are to be sent, a tuple of those, or None for nothing. `end` is the link or client
    core; `end.memory` is a dict of the connection's for what a fault has to remember.
    """

    kind: Any
    change: Change


@dataclass(frozen=True)
class Hears:
    """What arrives is taken for something else: as `Says`, without bytes. `change` may raise RemoteError."""

    kind: Any
    change: Change


@dataclass(frozen=True)
class Tells:
    """A client's application is told something else: as `Says`, with events."""

    kind: Any
    change: Change


@dataclass(frozen=True)
class Patch:
    """An attribute of a class or module, or the value under a key of a dict, is another one."""

    owner: Any
    name: Any
    value: Any


def around(owner: Any, name: str, wrapper: Callable[..., Any]) -> Patch:
    """A function is another one: `wrapper` gets the right one and its arguments."""
    real = getattr(owner, name)
    return Patch(owner, name, lambda *arguments, **named: wrapper(real, *arguments, **named))


class Set:
    """A broker has these settings, whatever it was told."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings


class Overlooks:
    """Packets that break one of these rules of the wire are skipped as if nothing had come."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = frozenset(rules)


@dataclass(frozen=True, eq=False)
class Mutant:
    """One wrong broker or client; `subjects` are areas, or patterns, of scenarios that ought to notice."""

    name: str
    side: str
    subjects: tuple[str, ...]
    faults: tuple[Any, ...]

    def of(self, kind: type) -> list[Any]:
        """Its faults of one kind."""
        return [fault for fault in self.faults if isinstance(fault, kind)]

    @functools.cached_property
    def overlooked(self) -> tuple[Rule, ...]:
        """The rules of the wire it does not know."""
        return tuple(rule for fault in self.of(Overlooks) for rule in fault.rules)

    def overlooks(self, error: RemoteError) -> bool:
        """Whether it does not notice this violation."""
        return any(str(error).startswith(rule.value.text) for rule in self.overlooked)

    def concerns(self, scenario: str, *, slow: bool = False) -> bool:
        """Whether a scenario is one of its subjects: by area, or by a shell pattern of names; a `slow` one by name."""
        if slow:
            return scenario in self.subjects
        area = scenario.partition("/")[0]
        return any(area == subject or fnmatch.fnmatchcase(scenario, subject) for subject in self.subjects)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Be wrong until the end of the block, which must not await anything: others share the process."""
        patches = self.of(Patch)
        before = [_get(each.owner, each.name) for each in patches]
        for each in patches:
            _set(each.owner, each.name, each.value)
        try:
            yield
        except Exception as error:
            if not (isinstance(error, LocalError) and self.side == "client"):  # how a client refuses a command
                _CRASHES.add(f"{self.name}: {error!r}")
            raise
        finally:
            for each, value in zip(patches, before, strict=True):
                _set(each.owner, each.name, value)


_CRASHES: set[str] = set()


def take_crashes() -> tuple[str, ...]:
    """Mutants that fell over instead of being wrong, since the last call: a scenario red by a crash proves nothing."""
    crashes = tuple(sorted(_CRASHES))
    _CRASHES.clear()
    return crashes


def table(side: str, subjects: str, rows: Mapping[str, Any]) -> list[Mutant]:
    """The mutants of a table: name -> one fault or a tuple of them; `subjects` are areas, separated by spaces."""
    return [
        Mutant(name, side, tuple(subjects.split()), faults if isinstance(faults, tuple) else (faults,))
        for name, faults in rows.items()
    ]


_ABSENT = object()


def _get(owner: Any, name: Any) -> Any:
    return owner.get(name, _ABSENT) if isinstance(owner, dict) else vars(owner)[name]


def _set(owner: Any, name: Any, value: Any) -> None:
    if not isinstance(owner, dict):
        setattr(owner, name, value)
    elif value is _ABSENT:
        owner.pop(name, None)
    else:
        owner[name] = value
