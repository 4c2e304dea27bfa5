"""What a session that is put away no longer holds in memory for its rows."""

from __future__ import annotations

import sys

from reference_broker.broker.keeping.record import Record
from reference_broker.broker.outgoing.ledger import Ledger
from reference_broker.broker.values.journal import Journal


def test_a_ledger_that_once_had_much_in_flight_is_as_small_as_a_new_one_when_it_is_put_away() -> None:
    """A dict stays as large as it once was."""
    ledger = Ledger(Journal(), b"1")
    for packet_id in range(1, 1000):
        ledger.was_released(packet_id)
    for packet_id in range(1, 1000):
        ledger.settled(packet_id)
    ledger.put_away()
    assert sys.getsizeof(ledger._flying) == sys.getsizeof({})


def test_a_ledger_that_is_put_away_still_knows_what_is_in_flight() -> None:
    ledger = Ledger(Journal(), b"1")
    ledger.was_released(7)
    ledger.put_away()
    ledger.settled(7)


def test_a_record_that_is_settled_lets_go_of_the_identifiers_it_was_told() -> None:
    """They are the session's, which forgets its own when it is put away."""
    received = {1, 2, 3}
    journal = Journal()
    before = sys.getrefcount(received)
    record = Record(journal, b"1")
    record.received((1,), received)
    assert sys.getrefcount(received) > before
    record.settle(journal)
    assert sys.getrefcount(received) == before
