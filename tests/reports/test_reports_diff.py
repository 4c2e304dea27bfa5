"""Expected verdicts, and what differs from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports_samples import record, showcase

from reports.diff import (
    Cell,
    Change,
    compare,
    in_words,
    read_expected,
    read_verdicts,
    verdicts_of,
    write_expected,
)
from reports.record import BadResults, Verdict, write_records

HEADER = "scenario,client,broker,mqtt,transport,verdict"
CELL = Cell("qos2/resume", "paho", "reference", "5.0", "tcp")
cells = st.builds(Cell, *[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))] * 5)


def one_change(before: Verdict | None, after: Verdict | None) -> Change:
    (difference,) = compare({CELL: before} if before else {}, {CELL: after} if after else {})
    assert (difference.before, difference.after) == (before, after)
    return difference.change


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (Verdict.PASS, Verdict.FAIL, Change.WORSE),
        (Verdict.PASS, Verdict.WARN, Change.WORSE),
        (Verdict.PASS, Verdict.UNSUPPORTED, Change.WORSE),
        (Verdict.WARN, Verdict.FLAKY, Change.WORSE),
        (Verdict.FAIL, Verdict.HARNESS_ERROR, Change.WORSE),
        (Verdict.FAIL, Verdict.PASS, Change.BETTER),
        (Verdict.HARNESS_ERROR, Verdict.SETUP_FAILED, Change.BETTER),
        (Verdict.PASS, Verdict.OBSERVED, Change.CHANGED),
        (None, Verdict.FAIL, Change.NEW),
        (Verdict.PASS, None, Change.GONE),
    ],
)
def test_a_difference_has_its_word(before: Verdict | None, after: Verdict | None, change: Change) -> None:
    assert one_change(before, after) is change


@pytest.mark.parametrize("one", Verdict)
@pytest.mark.parametrize("two", Verdict)
def test_every_step_between_two_verdicts_is_reported_and_its_way_back_is_the_opposite(
    one: Verdict, two: Verdict
) -> None:
    opposite = {Change.WORSE: Change.BETTER, Change.BETTER: Change.WORSE, Change.CHANGED: Change.CHANGED}
    if one is two:
        assert compare({CELL: one}, {CELL: two}) == []
    else:
        assert one_change(two, one) is opposite[one_change(one, two)]


def test_what_got_worse_is_told_first() -> None:
    def verdicts(**by_name: Verdict) -> dict[Cell, Verdict]:
        return {CELL._replace(scenario=name): verdict for name, verdict in by_name.items()}

    before = verdicts(a=Verdict.FAIL, b=Verdict.PASS, c=Verdict.PASS, z=Verdict.PASS)
    after = verdicts(a=Verdict.PASS, b=Verdict.PASS, c=Verdict.FAIL, d=Verdict.PASS)
    assert in_words(compare(before, after)) == (
        "got worse (1):\n  c paho reference 5.0 tcp: pass -> fail\n"
        "gone (1):\n  z paho reference 5.0 tcp: pass -> absent\n"
        "got better (1):\n  a paho reference 5.0 tcp: fail -> pass\n"
        "new (1):\n  d paho reference 5.0 tcp: absent -> pass"
    )


def test_a_single_difference_is_one_line() -> None:
    (difference,) = compare({CELL: Verdict.PASS}, {CELL: Verdict.FAIL})
    assert str(difference) == "got worse: qos2/resume paho reference 5.0 tcp: pass -> fail"


def test_no_difference_is_said() -> None:
    assert in_words([]) == "No verdict differs."


@given(st.dictionaries(cells, st.sampled_from(Verdict)))
def test_expected_verdicts_survive_the_file(
    tmp_path_factory: pytest.TempPathFactory, verdicts: dict[Cell, Verdict]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "expected.csv"
    write_expected(path, verdicts)
    assert read_expected(path) == verdicts


def test_the_file_is_sorted_whatever_the_order_of_the_cells(tmp_path: Path) -> None:
    verdicts = verdicts_of(showcase())
    write_expected(tmp_path / "one.csv", verdicts)
    write_expected(tmp_path / "two.csv", dict(reversed(verdicts.items())))
    lines = (tmp_path / "one.csv").read_text().splitlines()
    assert (tmp_path / "two.csv").read_text().splitlines() == lines
    assert lines[0] == HEADER
    assert lines[1:] == sorted(lines[1:])
    assert len(lines) == 21


def test_results_and_expected_verdicts_compare_with_each_other(tmp_path: Path) -> None:
    write_records(tmp_path / "results.jsonl", showcase())
    write_expected(tmp_path / "expected-verdicts.csv", verdicts_of(showcase()))
    one, two = read_verdicts(tmp_path / "results.jsonl"), read_verdicts(tmp_path / "expected-verdicts.csv")
    assert len(one) == 20
    assert compare(one, two) == []


def test_a_known_failure_is_still_expected_to_fail() -> None:
    assert verdicts_of([record(verdict=Verdict.FAIL)]).popitem()[1] is Verdict.FAIL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f":1: the first line must be: {HEADER}"),
        ("scenario,verdict\n", f":1: the first line must be: {HEADER}"),
        (f"{HEADER}\na,b,c,5.0,tcp\n", ":2: 5 columns, expected 6"),
        (f"{HEADER}\na,b,c,5.0,tcp,good\n", ":2: unknown verdict 'good', expected one of: pass, fail, warn, "),
        (
            f"{HEADER}\na,b,c,5.0,tcp,pass\na,b,c,5.0,tcp,fail\n",
            ":3: this cell was given a verdict above: a b c 5.0 tcp",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "expected.csv"
    path.write_text(text)
    with pytest.raises(BadResults) as caught:
        read_expected(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_a_missing_or_unreadable_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadResults, match=r"nowhere\.csv: No such file or directory$"):
        read_verdicts(tmp_path / "nowhere.csv")
    (tmp_path / "rubbish.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(BadResults, match=r"rubbish\.csv: 'utf-8' codec"):
        read_verdicts(tmp_path / "rubbish.csv")
