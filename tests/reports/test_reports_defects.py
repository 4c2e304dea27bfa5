"""Defects: which cells are one, in what order they are read, and what is said of them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports_samples import Tape, record

from reports.defects import Defect, find_defects, in_numbers, is_bad
from reports.outcome import Outcome
from reports.record import Finding, KnownFailure, Record, Verdict

KNOWN = KnownFailure(reason="does not set DUP", link="https://example.org/1")
STAYED_OPEN = "expected the link of client to be closed by the client within 3 s, but it stayed open"


def bad(scenario: str, message: str, *, cites: tuple[str, ...] = (), more: str = "", **fields: Any) -> Record:
    """A cell that fails for one finding; fields that a finding has go there, all others to the record."""
    own = {key: fields.pop(key) for key in ("source", "rule", "blame", "trace_index") if key in fields}
    level = "should" if fields.get("verdict") is Verdict.WARN else "must"
    finding = Finding(
        **({"source": "step", "rule": "closed", "blame": "client"} | own), level=level, cites=cites, message=message
    )  # type: ignore[arg-type]  # as the tests give them
    base: dict[str, Any] = {"verdict": Verdict.FAIL, "findings": (finding,), "cites": cites, "blame": finding.blame}
    return record(scenario, **(base | {"reason": message + more} | fields))


def judged(scenario: str, message: str, **fields: Any) -> Record:
    return bad(scenario, message, **({"source": "judge", "rule": "redelivery-with-dup"} | fields))


def wire(packets: int, link: str = "pub") -> dict[str, Any]:
    """A trace that ends with a PUBLISH, and the place of it."""
    tape = Tape("5.0")
    for number in range(packets):
        tape.publish(link, "client", "t", b"x", qos=1, packet_id=number + 1)
    return {"trace": tuple(tape.entries), "trace_index": packets - 1}


def one(records: list[Record]) -> Defect:
    (defect,) = find_defects(records)
    return defect


messages = st.sampled_from(
    [
        STAYED_OPEN,
        "PUBLISH 1 is sent again with DUP 0",
        "PUBLISH 7 is sent again with DUP 0",
        "expected 'a', but sub got 'b'",
        "expected exactly CONNECT, CONNACK, PUBLISH{qos: 1} on the link of pub, but there was CONNECT, CONNACK",
        "found … in 'a'",
        "found 'x' in 'a'",
    ]
) | st.text(max_size=9)
cells = st.builds(
    bad,
    scenario=st.sampled_from(["a/one[x]", "a/one[y]", "a/two", "b/three", "b/four"]),
    message=messages,
    cites=st.lists(st.sampled_from(["MQTT-1", "MQTT-2", "MQTT-3", "MQTT-4"]), max_size=2, unique=True).map(tuple),
    source=st.sampled_from(["step", "judge"]),
    blame=st.sampled_from(["client", "broker", "unknown"]),
    client=st.sampled_from(["gmqtt", "paho"]),
    mqtt=st.sampled_from(["3.1.1", "5.0"]),
    verdict=st.sampled_from([Verdict.FAIL, Verdict.WARN, Verdict.PASS, Verdict.UNSUPPORTED, Verdict.FLAKY]),
    known_failure=st.none() | st.just(KNOWN),
    more=st.sampled_from(["", " (and 1 more)"]),
)
runs = st.lists(cells, max_size=25, unique_by=lambda cell: cell.cell_id)


@given(runs)
def test_every_bad_cell_is_in_exactly_one_defect_and_no_other_is(records: list[Record]) -> None:
    found = Counter(cell.cell_id for defect in find_defects(records) for cell in defect.records)
    assert found == Counter(cell.cell_id for cell in records if is_bad(cell))


@given(runs, st.randoms())
def test_the_order_of_the_records_does_not_matter(records: list[Record], random: Any) -> None:
    shuffled = random.sample(records, len(records))
    assert find_defects(shuffled) == find_defects(records)


@given(runs)
def test_the_worst_come_first_then_the_new_then_the_most_frequent(records: list[Record]) -> None:
    defects = find_defects(records)
    assert [defect.number for defect in defects] == [*range(1, len(defects) + 1)]
    badness = [(defect.outcome.rank, defect.is_known, -len(defect.records)) for defect in defects]
    assert all(one <= two for one, two in pairwise(badness))


@given(runs)
def test_cells_of_one_defect_have_one_side_one_name_and_one_verdict(records: list[Record]) -> None:
    for defect in find_defects(records):
        assert len({cell.verdict for cell in defect.records}) == 1
        assert {finding.blame for cell in defect.records for finding in cell.findings} == {defect.side}
        if defect.side == "client":
            assert {cell.client for cell in defect.records} == {defect.name}


@given(runs)
def test_cells_that_nobody_looks_at_change_no_defect(records: list[Record]) -> None:
    assert find_defects(filter(is_bad, records)) == find_defects(records)


def test_one_rule_of_the_judge_is_one_defect_over_scenarios_versions_and_numbers() -> None:
    defect = one(
        [
            judged("qos1/resumed", "pub: PUBLISH 1 is sent again with DUP 0", cites=("MQTT-3.3.1-1",), **wire(3)),
            judged("qos2/resumed", "sub: PUBLISH 12 is sent again with DUP 0", mqtt="3.1", **wire(4, "sub")),
        ]
    )
    assert defect.headline == "PUBLISH … is sent again with DUP 0"
    assert (defect.blamed, defect.extent) == ("the client paho", "2 cells")


def test_what_no_cell_says_otherwise_stays_in_the_headline() -> None:
    found = one([judged(f"a/{n}", "pub: PUBLISH 1 is sent again with DUP 0", **wire(n)) for n in (2, 3)])
    assert found.headline == "PUBLISH 1 is sent again with DUP 0"


def test_a_rule_of_the_judge_broken_by_another_packet_is_another_defect() -> None:
    tape = (
        Tape("5.0")
        .packet("pub", "client", b"\x82\x01", kind="malformed")
        .packet("pub", "client", b"\x10\x01", kind="malformed")
    )
    same = {"rule": "well-formed", "trace": tuple(tape.entries)}
    cells = [
        judged(f"a/{index}", "pub: every field ends within the packet", trace_index=index, **same) for index in (0, 1)
    ]
    assert len(find_defects(cells)) == 2


def test_a_step_is_one_defect_over_scenarios_that_cite_the_same_statement() -> None:
    cells = [
        bad(f"malformed/{name}", STAYED_OPEN, cites=cites)
        for name, cites in (("a", ("MQTT-1", "MQTT-9")), ("b", ("MQTT-9",)))
    ]
    defect = one(cells)
    assert defect.statements == (("5.0", "MQTT-9"),)


def test_a_step_that_says_the_same_of_something_else_is_another_defect() -> None:
    cells = [bad(f"a/{name}", STAYED_OPEN, cites=(f"MQTT-{name}",)) for name in ("1", "2")]
    assert len(find_defects(cells)) == 2


def test_the_same_number_in_another_version_is_another_statement() -> None:
    cells = [bad(f"a/{mqtt}", STAYED_OPEN, cites=("MQTT-3.1.2-1",), mqtt=mqtt) for mqtt in ("3.1.1", "5.0")]
    assert len(find_defects(cells)) == 2


def test_a_scenario_ties_its_versions_together_and_each_has_its_statement() -> None:
    cells = [
        bad("a/b[c]", STAYED_OPEN, cites=(cite,), mqtt=mqtt)
        for mqtt, cite in (("3.1.1", "MQTT-4.8.0-1"), ("5.0", "MQTT5-U-65"))
    ]
    defect = one(cells)
    assert set(defect.statements) == {("3.1.1", "MQTT-4.8.0-1"), ("5.0", "MQTT5-U-65")}
    assert defect.statements[0].mqtt == defect.smallest.mqtt
    assert defect.where == "MQTT 3.1.1, 5.0 over tcp"


def test_packets_and_links_of_a_step_may_differ() -> None:
    text = "expected exactly {} on the link of {}, but there was CONNECT, CONNACK"
    cells = [
        bad("a/b[1]", text.format("CONNECT, CONNACK, PUBREL{id: 1}", "pub"), **wire(2)),
        bad("a/b[2]", text.format("CONNECT, CONNACK", "client"), **wire(3, "client")),
    ]
    assert one(cells).headline == text.format("CONNECT, CONNACK, PUBREL{id: 1}", "…"), (
        "the packets of the smallest case"
    )


@pytest.mark.parametrize(
    ("one_says", "other_says"),
    [
        ("answered to f0 04 18 02", "answered to 10 1b"),
        ("DISCONNECT 0x80/0x81", "DISCONNECT 0x82"),
        ("found 'a b'", "found 'it\\'s'"),
        ('PUBLISH q1 "t"', 'PUBLISH q1 "house/light"'),
        ("PUBLISH{qos: 1}", "PUBLISH{payload: 'x', qos: 2}"),
        ("reason [1, 2]", "reason 3"),
        ("closed at 1.5 s", "closed at 12 s"),
    ],
)
def test_bytes_texts_and_values_may_differ(one_says: str, other_says: str) -> None:
    defect = one([bad("a/b[1]", one_says), bad("a/b[2]", other_says)])
    assert defect.headline.count("…") == 1


def test_a_defect_that_is_partly_known_is_new_and_says_how_much_is_known() -> None:
    cells = [
        judged("a/new", "PUBLISH 1 is sent again"),
        judged("a/old", "PUBLISH 1 is sent again", known_failure=KNOWN),
    ]
    defect = one(cells)
    assert (defect.outcome, defect.extent, defect.is_known) == (Outcome.FAIL, "2 cells, 1 of them known", False)
    assert defect.listed_as == (KNOWN,)


def test_a_known_failure_is_a_defect_and_marked() -> None:
    defect = one([judged("a/old", "PUBLISH 1 is sent again", known_failure=KNOWN)])
    assert (defect.outcome, defect.extent, defect.is_known) == (Outcome.KNOWN_FAILURE, "1 cell, known", True)


def test_the_smallest_case_is_the_one_with_the_shortest_trace_that_has_one() -> None:
    long, short, none = (bad(f"a/b[{name}]", STAYED_OPEN) for name in ("long", "short", "none"))
    long, short = (cell.model_copy(update={"trace": wire(n)["trace"]}) for cell, n in ((long, 9), (short, 2)))
    assert one([none, long, short]).smallest == short


def test_the_finding_that_the_reason_tells_decides() -> None:
    told = Finding(source="judge", rule="maximum-qos", level="must", blame="client", message="QoS 2, 1 is the maximum")
    consequence = Finding(source="step", rule="wire", level="must", blame="broker", message="expected PUBACK")
    cell = record(
        verdict=Verdict.FAIL, reason=f"{told.message} (and 1 more)", findings=(consequence, told), blame="both"
    )
    assert (one([cell]).rule, one([cell]).side) == ("maximum-qos", "client")


def test_a_cell_without_findings_has_its_reason() -> None:
    defect = one([record(verdict=Verdict.FAIL, reason="it was wrong", cites=("MQTT-1",))])
    assert (defect.headline, defect.blamed) == ("it was wrong", "paho with reference, side unknown")
    assert defect.sentence({("5.0", "MQTT-1"): "It is right"}) == "It is right"
    assert defect.sentence({}) == ""


def test_defects_are_counted_in_words() -> None:
    cells = [
        judged("a/1", "one"),
        judged("a/2", "two", known_failure=KNOWN),
        *(judged(f"a/{text}", text, verdict=Verdict.WARN) for text in ("three", "four")),
    ]
    assert in_numbers(find_defects(cells)) == "4 defects: 1 new, 1 known, 2 warnings."
    assert in_numbers(find_defects(cells[:1])) == "1 defect: 1 new."
    assert in_numbers(()) == ""
