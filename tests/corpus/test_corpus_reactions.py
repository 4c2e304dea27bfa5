"""Whether an observation is one of the reactions allowed, and what it comes to when it is not."""

from __future__ import annotations

import pytest

from interop.corpus.cases import corpus
from interop.corpus.model import CLOSE, OPEN, End, Observed, Played, Reaction, UnderTest, answers, fits, says
from interop.corpus.results import Run, record, with_known
from interop.runner.known_failures import Entry, KnownFailures
from reference_broker.wire.packets import ConnAck, Disconnect, PingResp, SubAck
from reference_broker.wire.types import PacketType
from reports.record import Verdict

DISCONNECT, CONNACK, SUBACK = PacketType.DISCONNECT, PacketType.CONNACK, PacketType.SUBACK
SILENT_CLOSE = Observed(End.CLOSED)
ALIVE = Observed(End.ALIVE, (PingResp(),))
RUN = Run(UnderTest.BROKER, "some-broker", {}, "")


def closed_after(*packets: object) -> Observed:
    return Observed(End.CLOSED, packets)  # type: ignore[arg-type]  # packets


@pytest.mark.parametrize(
    ("reaction", "observed", "expected"),
    [
        (CLOSE, SILENT_CLOSE, True),
        (CLOSE, ALIVE, False),
        (CLOSE, Observed(End.SILENT), False),
        (CLOSE, closed_after(Disconnect(0x81)), False),
        (OPEN, ALIVE, True),
        (OPEN, SILENT_CLOSE, False),
        (OPEN, Observed(End.SILENT), False),
        (says(DISCONNECT, {0x81, 0x82}), closed_after(Disconnect(0x82)), True),
        (says(DISCONNECT, {0x81}), closed_after(Disconnect(0x82)), False),
        (says(DISCONNECT), closed_after(Disconnect(0x99)), True),
        (says(DISCONNECT, {0x81}), Observed(End.ALIVE, (Disconnect(0x81),)), False),
        (says(CONNACK, {0x81}), closed_after(ConnAck(False, 0)), False),
        (answers(SUBACK, {0x8F, 0}), Observed(End.ALIVE, (SubAck(1, (0x8F, 0)), PingResp())), True),
        (answers(SUBACK, {0x8F}), Observed(End.ALIVE, (SubAck(1, (0x8F, 0)), PingResp())), False),
        (answers(SUBACK), ALIVE, False),
        (OPEN, Observed(End.ALIVE, garbled="no packet"), False),
    ],
)
def test_an_observation_fits_a_reaction_or_not(reaction: Reaction, observed: Observed, expected: bool) -> None:
    assert fits(reaction, observed) is expected


def verdict(case_id: str, observed: Observed | None) -> Verdict:
    (case,) = corpus(UnderTest.BROKER, patterns=(case_id,))
    return record(RUN, Played(case, observed, "" if observed else "no connection", 0.1)).verdict


@pytest.mark.parametrize(
    ("case_id", "observed", "expected"),
    [
        ("3.1.1/pingreq/flags/0001", SILENT_CLOSE, Verdict.PASS),
        ("3.1.1/pingreq/flags/0001", ALIVE, Verdict.FAIL),
        ("3.1.1/pingreq/flags/0001", Observed(End.SILENT), Verdict.FAIL),
        ("5.0/pingreq/flags/0001", closed_after(Disconnect(0x81)), Verdict.PASS),
        ("5.0/pingreq/flags/0001", SILENT_CLOSE, Verdict.WARN),
        ("5.0/pingreq/flags/0001", closed_after(Disconnect(0x8B)), Verdict.WARN),
        ("5.0/pingreq/flags/0001", closed_after(Disconnect(0x00)), Verdict.FAIL),
        ("5.0/pingreq/flags/0001", ALIVE, Verdict.FAIL),
        ("3.1/pingreq/flags/0001", ALIVE, Verdict.OBSERVED),
        ("3.1/pingreq/flags/0001", SILENT_CLOSE, Verdict.OBSERVED),
        ("5.0/connect/receive-maximum/zero", SILENT_CLOSE, Verdict.PASS),
        ("5.0/connect/receive-maximum/zero", closed_after(ConnAck(False, 0x82)), Verdict.PASS),
        ("5.0/connect/receive-maximum/zero", Observed(End.ALIVE, (ConnAck(), PingResp())), Verdict.FAIL),
        ("3.1.1/connect/connect-flags/reserved-bit", closed_after(ConnAck(False, 2)), Verdict.FAIL),
        ("3.1.1/pingreq/packet/well-formed", ALIVE, Verdict.PASS),
        ("3.1.1/pingreq/packet/well-formed", SILENT_CLOSE, Verdict.FAIL),
        ("5.0/subscribe/topic-filter-1/two-hashes", closed_after(Disconnect(0x8F)), Verdict.PASS),
        ("5.0/subscribe/topic-filter-1/two-hashes", Observed(End.ALIVE, (SubAck(1, (0x8F, 0x8F)),)), Verdict.PASS),
        ("5.0/subscribe/topic-filter-1/two-hashes", Observed(End.ALIVE, (SubAck(1, (0, 0)),)), Verdict.FAIL),
        ("3.1.1/pingreq/flags/0001", None, Verdict.SETUP_FAILED),
    ],
)
def test_a_verdict_follows_the_level_of_what_was_broken(
    case_id: str, observed: Observed | None, expected: Verdict
) -> None:
    assert verdict(case_id, observed) is expected


def test_a_failing_record_shows_what_was_sent_expected_and_received() -> None:
    (case,) = corpus(UnderTest.BROKER, patterns=("3.1.1/pingreq/flags/0001",))
    made = record(RUN, Played(case, Observed(End.ALIVE, (PingResp(),), "", b"\xd0\0"), "", 0.1))
    (finding,) = made.findings
    assert finding.expected == "close, to c1 00"
    assert finding.observed.endswith("stayed open and answered what came next: d0 00")
    assert [entry.hex for entry in made.trace] == ["c100", "d000"]
    assert made.scenario == "corpus/pingreq/flags/0001"
    assert made.cites == ("MQTT-2.2.2-1", "MQTT-2.2.2-2", "MQTT-4.8.0-1")
    assert made.rerun == "mqtt-interop corpus --broker some-broker --mqtt 3.1.1 --case 3.1.1/pingreq/flags/0001"


def test_a_known_failure_is_explained_and_nothing_else_is() -> None:
    (case,) = corpus(UnderTest.BROKER, patterns=("3.1.1/pingreq/flags/0001",))
    bad = record(RUN, Played(case, ALIVE, "", 0.1))
    good = record(RUN, Played(case, SILENT_CLOSE, "", 0.1))
    entry = Entry(broker="some-broker", scenarios=("corpus/*/flags/*",), rules=("reaction",), reason="does not look")
    explained = with_known([bad, good], KnownFailures((entry,)), whole=True)
    assert [one.known_failure is not None for one in explained] == [True, False]
    assert not any(one.unexpected_pass for one in explained)


@pytest.mark.parametrize("whole", [True, False])
def test_an_entry_that_explains_nothing_in_the_whole_corpus_is_out_of_date(whole: bool) -> None:
    (case,) = corpus(UnderTest.BROKER, patterns=("3.1.1/pingreq/flags/0001",))
    entry = Entry(broker="some-broker", scenarios=("corpus/*/flags/*",), rules=("reaction",), reason="does not look")
    good = record(RUN, Played(case, SILENT_CLOSE, "", 0.1))
    (one,) = with_known([good], KnownFailures((entry,)), whole=whole)
    assert one.unexpected_pass is whole


def test_return_code_4_of_3_1_1_stands_for_a_malformed_user_name() -> None:
    (of_311,) = corpus(UnderTest.BROKER, ("3.1.1",), ("3.1.1/connect/user-name/byte-ff",))
    (client_id,) = corpus(UnderTest.BROKER, ("3.1.1",), ("3.1.1/connect/client-identifier/byte-ff",))
    assert says(PacketType.CONNACK, {4}) in of_311.expected.allowed
    assert client_id.expected.allowed == {CLOSE}


def test_what_is_of_qos_2_needs_a_broker_that_has_it() -> None:
    needy = {case.packet for case in corpus(UnderTest.BROKER) if "qos2" in case.needs}
    assert needy == {"publish-qos-2", "pubrec", "pubrel", "pubcomp"}


def test_a_connect_without_login_needs_a_broker_that_asks_for_none() -> None:
    bare, full = (
        corpus(UnderTest.BROKER, ("5.0",), (f"5.0/connect/{case}",))[0]
        for case in ("connect-flags/bare-02", "receive-maximum/zero")
    )
    assert (bare.needs, full.needs) == (("anonymous",), ())
