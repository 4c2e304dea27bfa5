"""The generator: what holds for every case, and some cases written out by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from interop.corpus.cases import corpus
from interop.corpus.model import Case, Stage, UnderTest
from interop.requirements.requirements import known
from reference_broker.wire.decode import Reader
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.sender import Side
from reference_broker.wire.types import Version

BOTH = pytest.mark.parametrize("tested", list(UnderTest))


def parses(case: Case) -> bool:
    """Whether our own strict reader takes a case's bytes, all of them, for packets of their sender."""
    sender = Side.CLIENT if case.tested is UnderTest.BROKER else Side.SERVER
    version = None if case.tested is UnderTest.BROKER and case.stage is Stage.FIRST else case.version
    reader = Reader(version, sender=sender)
    reader.feed(case.data)
    try:
        return bool(list(reader)) and not len(reader)
    except RemoteError:
        return False


def case_of(case_id: str, tested: UnderTest = UnderTest.BROKER) -> Case:
    (case,) = corpus(tested, patterns=(case_id,))
    return case


def test_the_corpus_is_large_enough_in_each_direction() -> None:
    assert len(corpus(UnderTest.BROKER)) >= 3000
    assert len(corpus(UnderTest.CLIENT)) >= 1000


@BOTH
def test_no_two_cases_have_one_id(tested: UnderTest) -> None:
    counted = Counter(case.id for case in corpus(tested))
    assert [name for name, times in counted.items() if times > 1] == []


@BOTH
def test_every_cited_statement_exists_in_the_version_of_its_case(tested: UnderTest) -> None:
    unknown = {
        (case.id, cite)
        for case in corpus(tested)
        for cite in (*case.expected.cites, *case.expected.preferred_cites)
        if not known(case.version.label, cite)
    }
    assert unknown == set()


@BOTH
def test_what_can_be_judged_cites_a_statement(tested: UnderTest) -> None:
    unfounded = [case.id for case in corpus(tested) if case.expected.level == "must" and not case.expected.cites]
    assert [name for name in unfounded if not name.startswith("3.1/connect/")] == []


@BOTH
def test_what_is_called_malformed_is_refused_by_the_strict_reader(tested: UnderTest) -> None:
    assert [case.id for case in corpus(tested, ("3.1.1", "5.0")) if case.malformed and parses(case)] == []


@BOTH
def test_what_has_to_be_accepted_is_read_by_the_strict_reader(tested: UnderTest) -> None:
    good = [case for case in corpus(tested) if not case.expected.is_refusal and case.expected.level == "must"]
    assert len(good) > 200
    assert [case.id for case in good if not case.malformed and not parses(case)] == []


def test_towards_a_broker_nothing_but_acceptance_is_a_must_in_3_1() -> None:
    refusals = [case for case in corpus(UnderTest.BROKER, ("3.1",)) if case.expected.is_refusal]
    assert {case.expected.level for case in refusals} == {"may", "should"}


def test_a_broker_must_close_in_later_versions_and_a_client_should_in_5_0() -> None:
    def levels(tested: UnderTest, version: str) -> set[str]:
        return {case.expected.level for case in corpus(tested, (version,)) if case.malformed}

    assert levels(UnderTest.BROKER, "3.1.1") == levels(UnderTest.BROKER, "5.0") == {"must"}
    assert levels(UnderTest.CLIENT, "3.1.1") == {"must"}
    assert levels(UnderTest.CLIENT, "5.0") == {"should"}


def test_a_shortened_packet_has_the_right_remaining_length() -> None:
    shortened = [case for case in corpus(UnderTest.BROKER) if case.mutation.startswith("ends-after")]
    assert len(shortened) > 500
    assert all(case.data[1] == len(case.data) - 2 for case in shortened if case.data[1] < 128)


def test_every_connect_that_may_be_accepted_has_a_client_id_of_its_own() -> None:
    connects = [case.data for case in corpus(UnderTest.BROKER) if case.packet == "connect" and b"corpus-" in case.data]
    own = [data[data.index(b"corpus-") :][:15] for data in connects]
    whole = [name for name in own if len(name) == 15]
    assert b"corpus-00000000" not in whole
    assert len(set(whole)) > 0.99 * len(whole)


@pytest.mark.parametrize(
    ("case_id", "data"),
    [
        ("5.0/pingreq/remaining-length/padded-to-2-bytes", "c0 80 00"),
        ("3.1.1/pingreq/flags/0001", "c1 00"),
        ("3.1.1/puback/packet-identifier/zero", "40 02 00 00"),
        ("5.0/puback/reason-code/01-alone", "40 03 00 01 01"),
        ("3.1.1/puback/packet/followed-by-byte-ff", "40 03 00 01 ff"),
        ("5.0/disconnect/receive-maximum/not-allowed-here", "e0 05 00 03 21 00 64"),
        ("5.0/disconnect/session-expiry-interval/twice", "e0 0c 00 0a 11 00 00 00 00 11 00 00 00 00"),
        ("3.1.1/publish-qos-0/topic-name/null", "30 0a 00 03 61 00 62 68 65 6c 6c 6f"),
        ("3.1.1/pingreq/remaining-length/in-5-bytes", "c0 80 80 80 80 00"),
        ("5.0/auth/order/unasked-re-authenticate", "f0 06 19 04 15 00 01 6d"),
        ("3.1.1/type-0/order/flags-0000", "00 00"),
    ],
)
def test_a_case_is_the_bytes_its_id_says(case_id: str, data: str) -> None:
    assert case_of(case_id).data == bytes.fromhex(data)


def test_a_case_is_chosen_by_version_and_pattern() -> None:
    chosen = corpus(UnderTest.BROKER, ("5.0",), ("*/connect/receive-maximum/*",))
    assert {case.version for case in chosen} == {Version.V5}
    assert "5.0/connect/receive-maximum/zero" in {case.id for case in chosen}
    assert case_of("5.0/connect/receive-maximum/zero").expected.cites == ("MQTT5-U-6", "MQTT-3.1.4-1")
