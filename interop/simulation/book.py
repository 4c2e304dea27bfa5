"""What an invariant is: an object that is told what happens and raises `Broken` when it must not have happened.

Belongs here: the hooks, the failure, statements by version.
Does not belong here: the invariants (`books_...`), who calls the hooks (`world`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from interop.simulation.ledger import Ledger
from interop.simulation.wires import Wire
from reference_broker.client.events import Event
from reference_broker.wire.packets import Packet
from reference_broker.wire.types import Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5


class Broken(Exception):
    """An invariant does not hold; `book` is its name, `str()` the sentence that says what happened and cites."""

    def __init__(self, book: str, sentence: str) -> None:
        super().__init__(sentence)
        self.book = book


class Book:
    """One invariant. Only the hooks that a book has of its own are called."""

    name: ClassVar[str]
    """What it stands for, as one says it: `QoS 2 exactly once`."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def broker_got(self, wire: Wire, packet: Packet) -> None:
        """A whole packet reached the broker; the ledger has it, the broker acts on it next."""

    def broker_sent(self, wire: Wire, packet: Packet) -> None:
        """The broker sent a packet, which may never arrive."""

    def client_sent(self, wire: Wire, packet: Packet) -> None:
        """A client sent a packet, which may never arrive."""

    def client_got(self, wire: Wire, packet: Packet) -> None:
        """A packet reached a client, which acts on it next."""

    def told(self, wire: Wire, event: Event) -> None:
        """A client told its application something."""

    def opened(self, wire: Wire) -> None:
        """A connection was made."""

    def client_closed(self, wire: Wire) -> None:
        """A client closed a connection, or lost it."""

    def broker_lost(self, wire: Wire) -> None:
        """The broker learned that a connection is over, which it did not close itself."""

    def broker_closed(self, wire: Wire) -> None:
        """The broker closed a connection; the ledger does not know yet."""

    def turn_over(self) -> None:
        """The broker has done all that was to be done at this moment."""

    def settled(self) -> None:
        """All are connected, and nothing moves any more."""

    def break_if(self, is_broken: bool, sentence: str, version: Version, statements: Mapping[Version, str]) -> None:
        """Raise Broken with the sentence and the statement of that version."""
        if is_broken:
            raise self.broken(sentence, version, statements)

    def broken(self, sentence: str, version: Version, statements: Mapping[Version, str]) -> Broken:
        """The failure, in words that cite the statement of the version spoken, else of the next that has one."""
        for each in (version, V311, V5):
            if each in statements:
                return Broken(self.name, f"{sentence} [{each.label} {statements[each]}]")
        return Broken(self.name, sentence)
