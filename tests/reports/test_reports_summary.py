"""The counting model."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports_samples import record, showcase

from reports.counts import Column, Counts
from reports.outcome import Outcome, is_known, outcome_of, reading_order, why
from reports.record import KnownFailure, Record, Verdict
from reports.summary import Overhead, Summary
from reports.words import duration, milliseconds

KNOWN = KnownFailure(reason="always did")

records = st.builds(
    record,
    scenario=st.sampled_from(["qos1/a", "qos2/b", "will/c"]),
    client=st.sampled_from(["builtin", "paho"]),
    broker=st.sampled_from(["reference", "mosquitto"]),
    mqtt=st.sampled_from(["3.1", "5.0"]),
    verdict=st.sampled_from(Verdict),
    known_failure=st.sampled_from([None, KNOWN]),
    unexpected_pass=st.booleans(),
    blame=st.sampled_from(["client", "broker", "none"]),
    overhead_seconds=st.floats(0, 10),
)


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_is_an_outcome_with_a_label_and_a_meaning(verdict: Verdict) -> None:
    outcome = outcome_of(record(verdict=verdict))
    assert outcome.value == verdict.value
    assert outcome.label
    assert outcome.meaning


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_meaning_of_its_own(outcome: Outcome) -> None:
    assert [other for other in Outcome if other.meaning == outcome.meaning] == [outcome]


def test_a_listed_failure_is_known_but_a_listed_pass_is_unexpected() -> None:
    assert outcome_of(record(verdict=Verdict.FAIL, known_failure=KNOWN)) is Outcome.KNOWN_FAILURE
    assert outcome_of(record(known_failure=KNOWN, unexpected_pass=True)) is Outcome.UNEXPECTED_PASS


def test_a_listed_set_up_that_fails_is_known_and_no_news_but_no_failure_either() -> None:
    listed = record("a/listed", verdict=Verdict.SETUP_FAILED, known_failure=KNOWN)
    assert outcome_of(listed) is Outcome.KNOWN_SETUP_FAILED
    summary = Summary.of([listed])
    assert summary.headline == "Nothing new failed in 1 cell."
    assert summary.implementations[0].rest == "1 known setup failure"
    assert summary.counts.failed == 0
    both = Summary.of([listed, record("a/new", verdict=Verdict.SETUP_FAILED)])
    assert both.headline == "1 failed setup in 2 cells."
    assert both.implementations[0].rest == "1 setup failed, 1 known setup failure"


@pytest.mark.parametrize("verdict", [Verdict.HARNESS_ERROR, Verdict.WARN, Verdict.FLAKY])
def test_being_listed_rewrites_no_other_verdict(verdict: Verdict) -> None:
    assert outcome_of(record(verdict=verdict, known_failure=KNOWN)).value == verdict.value


def test_an_error_of_the_harness_is_never_a_known_shortcoming() -> None:
    assert not is_known(record(verdict=Verdict.HARNESS_ERROR, known_failure=KNOWN))
    assert is_known(record(verdict=Verdict.SETUP_FAILED, known_failure=KNOWN))


def test_an_unexpected_pass_says_that_it_is_listed_even_if_nobody_says_why() -> None:
    assert why(record(unexpected_pass=True)) == "it passed, but is listed to fail"
    assert why(record(unexpected_pass=True, known_failure=KNOWN)) == "it passed, but is listed to fail: always did"
    assert why(record(verdict=Verdict.FAIL, reason="late", known_failure=KNOWN)) == "late"


def test_failures_are_read_first_new_ones_before_known_ones() -> None:
    order = [
        record("b/new", verdict=Verdict.FAIL),
        record("a/broken", verdict=Verdict.HARNESS_ERROR),
        record("a/setup", verdict=Verdict.SETUP_FAILED),
        record("a/flaky", verdict=Verdict.FLAKY),
        record("a/surprise", known_failure=KNOWN, unexpected_pass=True),
        record("a/known", verdict=Verdict.FAIL, known_failure=KNOWN),
        record("a/setup_listed", verdict=Verdict.SETUP_FAILED, known_failure=KNOWN),
        record("a/warn", verdict=Verdict.WARN),
        record("a/cannot", verdict=Verdict.UNSUPPORTED),
        record("a/seen", verdict=Verdict.OBSERVED),
        record("a/good"),
    ]
    backwards = order[::-1]
    assert sorted(backwards, key=reading_order) == order


@given(st.lists(records, max_size=30))
def test_no_cell_is_lost_or_counted_twice(cells: list[Record]) -> None:
    summary = Summary.of(cells)
    assert summary.counts.total == len(cells)
    assert sum(counts.total for counts in summary.matrix.values()) == len(cells)
    for role in ("client", "broker"):
        assert sum(i.counts.total for i in summary.implementations if i.role == role) == len(cells)
    assert sum(count for _, count in summary.counts.present()) == len(cells)
    assert sorted(r.cell_id for r in summary.records) == sorted(r.cell_id for r in cells)


@given(st.lists(records, min_size=1, max_size=30))
def test_passed_and_failed_are_the_verdicts_and_nothing_else(cells: list[Record]) -> None:
    counts = Summary.of(cells).counts
    assert counts.passed == sum(cell.verdict is Verdict.PASS for cell in cells)
    assert counts.failed == sum(cell.verdict is Verdict.FAIL for cell in cells)


@given(st.lists(records, max_size=30))
def test_the_matrix_adds_up_in_every_direction(cells: list[Record]) -> None:
    summary = Summary.of(cells)
    by_area = sum(summary.counts_where(area=area).total for area in summary.areas)
    by_column = sum(summary.counts_where(**column._asdict()).applying for column in summary.columns)
    assert by_area == summary.counts_where().total == len(cells)
    assert by_column == summary.counts.applying


@given(st.lists(records, max_size=30))
def test_attention_begins_with_the_worst_and_ends_before_the_passes(cells: list[Record]) -> None:
    attention = Summary.of(cells).attention
    assert all(outcome_of(one).rank <= outcome_of(two).rank for one, two in pairwise(attention))
    assert not {outcome_of(r) for r in attention} & {Outcome.PASS, Outcome.OBSERVED, Outcome.UNSUPPORTED}


def test_the_sentence_names_version_role_counts_and_known_failures() -> None:
    cells = [
        *(record(f"a/{n}") for n in range(3)),
        record("a/f1", verdict=Verdict.FAIL),
        record("a/f2", verdict=Verdict.FAIL, known_failure=KNOWN),
        record("a/u", verdict=Verdict.UNSUPPORTED),
    ]
    client, broker = Summary.of(cells).implementations
    assert (
        client.sentence == "paho-mqtt 2.2.0 (client) passes 3 of 5 cells that apply; 2 fail (1 known), 1 unsupported."
    )
    assert (
        broker.sentence == "reference 0.1.0 (broker) passes 3 of 5 cells that apply; 2 fail (1 known), 1 unsupported."
    )


def test_the_sentence_of_a_perfect_implementation_is_short() -> None:
    assert Summary.of([record()]).implementations[0].sentence == "paho-mqtt 2.2.0 (client) passes 1 of 1 cell."


def test_the_sentence_says_when_the_other_side_is_to_blame() -> None:
    cells = [record("a/1", verdict=Verdict.FAIL, blame="broker"), record("a/2", verdict=Verdict.FAIL, blame="client")]
    client, broker = Summary.of(cells).implementations
    assert client.sentence.endswith("2 fail; the broker is to blame for 1 of the 2 failures.")
    assert broker.sentence.endswith("2 fail; the client is to blame for 1 of the 2 failures.")
    alone = Summary.of(cells[:1]).implementations
    assert alone[0].sentence.endswith("1 fails; the broker is to blame for the failure.")
    assert alone[1].sentence.endswith("1 fails.")


def test_versions_of_merged_runs_are_all_named() -> None:
    cells = [
        record("a/1", implementations={"client": "2.1.0", "python": "3.11"}),
        record("a/2", implementations={"client": "2.2.0", "python": "3.12"}),
        record("a/3", implementations={}),
    ]
    summary = Summary.of(cells)
    assert summary.implementations[0].label == "paho 2.1.0, 2.2.0"
    assert summary.environment == {"python": "3.11, 3.12"}


def test_the_network_is_part_of_the_environment_where_there_was_one() -> None:
    networks = ("", "pieces=1", "delay=50ms")
    summary = Summary.of([record(f"a/{name}", network=name, implementations={}) for name in networks])
    assert summary.environment == {"network": "delay=50ms, pieces=1"}


@pytest.mark.parametrize(
    ("cells", "headline"),
    [
        ([], "Nothing ran."),
        ([record()], "Nothing new failed in 1 cell."),
        ([record(verdict=Verdict.FAIL, known_failure=KNOWN)], "Nothing new failed in 1 cell."),
        (
            [record(verdict=Verdict.FAIL), record("a/2", verdict=Verdict.FLAKY)],
            "1 new failure, 1 flaky cell in 2 cells.",
        ),
    ],
)
def test_the_headline_is_the_worst_news(cells: list[Record], headline: str) -> None:
    assert Summary.of(cells).headline == headline


@pytest.mark.parametrize(
    ("cells", "not_run", "headline"),
    [
        ([], 3, "Nothing ran; 3 cells did not run."),
        ([record()], 1, "Nothing new failed in 1 cell; 1 cell did not run."),
        ([record(verdict=Verdict.FAIL)], 1290, "1 new failure in 1 cell; 1,290 cells did not run."),
    ],
)
def test_the_headline_counts_what_did_not_run(cells: list[Record], not_run: int, headline: str) -> None:
    assert Summary.of(cells, not_run=not_run).headline == headline


def test_overhead_is_the_median_and_the_95th_percentile_in_milliseconds() -> None:
    cells = [record(f"a/{n}", overhead_seconds=n / 1000) for n in range(1, 101)]
    assert Overhead.of(cells) == Overhead(pytest.approx(50.5), pytest.approx(95.0))
    assert Overhead.of([]) is None
    one = Overhead.of([record(overhead_seconds=0.0042)])
    assert one is not None
    assert one.sentence == "Median overhead per cell: 4.2 ms (waiting not counted), p95 4.2 ms."


def test_the_matrix_has_a_column_for_each_client_broker_and_version_that_was_played() -> None:
    summary = Summary.of(showcase())
    assert summary.areas == ("flow", "qos2", "session", "will")
    assert len(summary.columns) == 8
    assert Column("gmqtt", "reference", "3.1") not in summary.columns
    assert summary.unsupported_sentence == "Not shown, because unsupported: gmqtt with reference, MQTT 3.1."
    counts = summary.matrix["qos2", Column("gmqtt", "reference", "3.1.1")]
    assert counts.present() == [(Outcome.FAIL, 1)]


def test_unknown_keys_for_counting_are_refused() -> None:
    with pytest.raises(AssertionError):
        Summary.of([]).counts_where(verdict="pass")


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ([], ""),
        ([Outcome.FAIL], "1 fails"),
        ([Outcome.KNOWN_FAILURE], "1 fails (known)"),
        ([Outcome.KNOWN_FAILURE] * 2, "2 fail (all known)"),
        ([Outcome.FAIL, Outcome.WARN, Outcome.WARN], "1 fails, 2 warnings"),
    ],
)
def test_what_did_not_pass_is_said_in_words(outcomes: list[Outcome], words: str) -> None:
    assert Counts(outcomes).besides_passes() == words


@pytest.mark.parametrize(("seconds", "words"), [(0.314, "0.31 s"), (12.44, "12.4 s"), (83.2, "1 min 23 s")])
def test_durations_read_well(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("value", "words"), [(0.44, "0.4 ms"), (41.2, "41 ms"), (1234.0, "1,234 ms")])
def test_milliseconds_read_well(value: float, words: str) -> None:
    assert milliseconds(value) == words


def test_passes_are_of_the_cells_that_apply() -> None:
    counts = Counts([Outcome.PASS, Outcome.FAIL, Outcome.UNSUPPORTED])
    assert (counts.passed, counts.applying, counts.of_applying) == (1, 2, "of 2 cells that apply")
    assert Counts([Outcome.PASS]).of_applying == "of 1 cell"


def test_a_version_that_names_an_address_stands_alone() -> None:
    versions = {"broker": "127.0.0.1:1883 version unknown"}
    summary = Summary.of([record(broker="127.0.0.1:1883", implementations=versions)])
    assert summary.implementations[1].label == "127.0.0.1:1883 version unknown"
