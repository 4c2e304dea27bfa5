"""The harness's judge as one more invariant: a world's wires as a trace, which it reads when everything has arrived.

Belongs here: what stands in the trace when. Does not belong here: rules (`interop.judge`).

A packet stands there twice, as one that a tap has delayed: when it was sent and when it arrived, if it did.
"""

from __future__ import annotations

from interop.judge import RULES, judge
from interop.simulation.book import Book, Broken
from interop.simulation.ledger import Ledger
from interop.simulation.wires import Wire
from interop.tap.trace import Fate, Kind, Sender, Trace
from reference_broker.wire.packets import Packet
from reference_broker.wire.types import Version

CLIENT, BROKER = Sender.CLIENT, Sender.BROKER


class Judged(Book):
    """No rule of the judge is broken.

    Where clients cease to read, which no trace tells, what is missing in time may wait for one of them: there only
    those rules count that are no matter of time.
    """

    name = "the judge silent"

    def __init__(self, ledger: Ledger, *, has_pauses: bool) -> None:
        super().__init__(ledger)
        self._has_pauses = has_pauses
        self._trace = Trace(lambda: ledger.now)
        self._numbers: dict[Wire, int] = {}
        self._counts: dict[str, int] = {}
        self._versions: dict[tuple[str, int], Version] = {}

    def opened(self, wire: Wire) -> None:
        """A connection was made."""
        self._counts[wire.name] = self._numbers[wire] = self._counts.get(wire.name, 0) + 1
        self._versions[wire.name, self._numbers[wire]] = wire.version
        self._record(wire, Kind.OPEN, CLIENT)

    def client_sent(self, wire: Wire, packet: Packet) -> None:
        """The client sent a packet."""
        self._record(wire, Kind.PACKET, CLIENT, Fate.DELAYED, packet)

    def broker_got(self, wire: Wire, packet: Packet) -> None:
        """A packet reached the broker."""
        self._record(wire, Kind.PACKET, CLIENT, Fate.RELEASED, packet)

    def broker_sent(self, wire: Wire, packet: Packet) -> None:
        """The broker sent a packet."""
        self._record(wire, Kind.PACKET, BROKER, Fate.DELAYED, packet)

    def client_got(self, wire: Wire, packet: Packet) -> None:
        """A packet reached the client."""
        self._record(wire, Kind.PACKET, BROKER, Fate.RELEASED, packet)

    def broker_closed(self, wire: Wire) -> None:
        """The broker closed a connection."""
        self._record(wire, Kind.CLOSE, BROKER, Fate.HELD, note="FIN")

    def client_closed(self, wire: Wire) -> None:
        """A client closed a connection, or lost it."""
        self._record(wire, Kind.CLOSE, CLIENT, Fate.HELD, note="RST")

    def broker_lost(self, wire: Wire) -> None:
        """The broker learned that a connection is over."""
        self._record(wire, Kind.CLOSE, CLIENT, Fate.RELEASED, note="RST")

    def settled(self) -> None:
        """Everything has arrived."""
        findings = judge(
            self._trace,
            Version.V5,
            until=self.ledger.now,
            asked=lambda link, number: self._versions[link, number],
        )
        for finding in findings:
            if self._has_pauses and RULES[finding.rule].is_timed:
                continue
            cites = f" [{', '.join(finding.cites)}]" if finding.cites else ""
            raise Broken(self.name, f"{finding.link}: {finding.blame} broke {finding.rule}: {finding.message}{cites}")

    def _record(
        self,
        wire: Wire,
        kind: Kind,
        sender: Sender,
        fate: Fate = Fate.FORWARDED,
        packet: Packet | None = None,
        note: str = "",
    ) -> None:
        receiver = None if packet is None else sender.peer
        self._trace.record(
            wire.name, self._numbers[wire], kind, sender, fate=fate, packet=packet, note=note, receiver=receiver
        )
