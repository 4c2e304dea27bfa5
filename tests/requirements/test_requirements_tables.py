"""The tables of statements: complete, well-formed, and found by version and id."""

import csv
import re
from collections import Counter
from dataclasses import replace
from importlib.resources import files

import pytest

from interop.requirements.requirements import (
    COLUMNS,
    VERSIONS,
    known,
    nearest,
    row_problems,
    sentences,
    statement,
    statements,
    table_problems,
)

NUMBERED = re.compile(r"MQTT-\d+\.\d+\.\d+-\d+")


@pytest.mark.parametrize(("version", "count"), [("3.1.1", 141), ("5.0", 251)])
def test_every_numbered_statement_of_appendix_b_is_there(version: str, count: int) -> None:
    assert sum(bool(NUMBERED.fullmatch(known_id)) for known_id in statements(version)) == count


@pytest.mark.parametrize(
    ("version", "section", "last"),
    [
        ("3.1.1", "3.1.2", 24),
        ("3.1.1", "4.3.3", 2),
        ("3.1.1", "3.10.4", 6),
        ("5.0", "3.1.2", 30),
        ("5.0", "3.2.2", 22),
        ("5.0", "4.3.3", 13),
        ("5.0", "4.12.0", 7),
    ],
)
def test_the_numbers_of_a_section_have_no_gap(version: str, section: str, last: int) -> None:
    in_section = {known_id for known_id in statements(version) if known_id.startswith(f"MQTT-{section}-")}
    assert in_section == {f"MQTT-{section}-{number}" for number in range(1, last + 1)}


@pytest.mark.parametrize(("version", "is_said"), [("3.1", False), ("3.1.1", True), ("5.0", True)])
def test_what_sparkplug_asks_besides_is_cited_with_the_versions_it_speaks_and_counts_for_none(
    version: str, is_said: bool
) -> None:
    asked = "tck-id-conformance-mqtt-aware-store"
    assert known(version, asked) is is_said
    assert asked not in statements(version)


def test_numbering_of_5_0_section_2_2_1_begins_at_two() -> None:
    assert not known("5.0", "MQTT-2.2.1-1")
    assert known("5.0", "MQTT-2.2.1-2")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_cell_of_a_table_has_an_allowed_value(version: str) -> None:
    assert table_problems(version) == []
    for row in statements(version).values():
        assert row.section, row
        assert row.topic, row
        assert len(row.summary) > 20, row


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"level": "shall"}, "level is 'shall', not one of must, should, may"),
        ({"testable_by": "broker"}, "testable_by is 'broker', not one of"),
        ({"testable_by": "not-observable"}, "reason does not say why"),
        ({"reason": "it is inside"}, "no place for the reason 'it is inside'"),
    ],
)
def test_a_row_has_allowed_values_and_a_reason_exactly_where_nobody_can_be_tested(
    changes: dict[str, str], problem: str
) -> None:
    row = statement("5.0", "MQTT-3.1.0-1")
    assert list(row_problems(row)) == []
    (found,) = row_problems(replace(row, **changes))  # type: ignore[arg-type]  # values no table may have
    assert problem in found


@pytest.mark.parametrize("name", ["mqtt31.csv", "mqtt311.csv", "mqtt5.csv"])
def test_no_id_stands_twice_and_no_row_is_ragged(name: str) -> None:
    rows = list(csv.reader((files("interop.requirements") / name).read_text(encoding="utf-8").splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert [found for found, count in Counter(row[0] for row in rows).items() if count > 1] == []


def test_ids_of_one_prefix_count_up_from_one() -> None:
    for version, prefix in (("3.1", "MQTT31-"), ("3.1.1", "MQTT311-U-"), ("5.0", "MQTT5-U-")):
        numbers = [int(found.removeprefix(prefix)) for found in statements(version) if found.startswith(prefix)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_same_number_means_different_things_in_3_1_1_and_5_0() -> None:
    assert statement("3.1.1", "MQTT-3.1.2-24").topic == "keepalive"
    assert statement("5.0", "MQTT-3.1.2-24").topic == "packet-size"


@pytest.mark.parametrize(
    ("version", "statement_id", "level"),
    [
        ("3.1.1", "MQTT-3.1.3-5", "must"),
        ("3.1.1", "MQTT311-U-3", "should"),  # a client without PINGRESP SHOULD close [3.1.1 3.1.2.10]
        ("5.0", "MQTT-3.2.2-12", "must"),
        ("5.0", "MQTT5-U-64", "should"),  # DISCONNECT with the reason before closing [5.0 4.13.1]
        ("5.0", "MQTT5-U-66", "may"),  # CONNACK with the reason for a bad CONNECT [5.0 4.13.1]
        ("5.0", "MQTT5-U-4", "may"),  # what a receiver makes of a control character [5.0 1.5.4]
        ("5.0", "MQTT5-U-71", "should"),  # that there is none in a string [5.0 1.5.4]
        ("3.1.1", "MQTT-3.1.2-7", "must"),  # the session's end deletes no retained message [3.1.1 3.1.2.4]
        ("3.1.1", "MQTT311-U-12", "should"),  # nor does anything but a client [3.1.1 4.1]
        ("3.1", "MQTT31-19", "may"),  # "may delete a retained message" [3.1 2.1]
        ("3.1", "MQTT31-49", "should"),  # "should be kept over restarts" [3.1 2.1]
        ("3.1", "MQTT31-16", "should"),
        ("3.1", "MQTT31-23", "may"),
    ],
)
def test_the_level_is_that_of_the_specification(version: str, statement_id: str, level: str) -> None:
    assert statement(version, statement_id).level == level


def test_all_numbered_statements_are_binding() -> None:
    for version in ("3.1.1", "5.0"):
        assert {row.level for row in statements(version).values() if NUMBERED.fullmatch(row.id)} == {"must"}


def test_an_unknown_statement_is_not_known() -> None:
    assert not known("5.0", "MQTT-4.3.3-14")
    with pytest.raises(KeyError):
        statement("5.0", "MQTT-4.3.3-14")


@pytest.mark.parametrize(
    ("version", "wrong", "near"),
    [
        ("5.0", "MQTT-4.3.3-14", "MQTT-4.3.3-13"),
        ("3.1.1", "MQTT-4.3.3-14", "MQTT-4.3.3-2"),
        ("5.0", "MQTT-3.8.5-1", "MQTT-3.8.4-1"),
        ("3.1", "MQTT31-999", "MQTT31-53"),
    ],
)
def test_the_nearest_ids_are_of_the_same_section(version: str, wrong: str, near: str) -> None:
    assert near in nearest(version, wrong)


def test_the_page_of_shoulds_not_followed_names_shoulds_of_their_version() -> None:
    page = (files("reference_broker") / "SHOULD.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1] for row in page.splitlines() if re.match(r"\| \d", row)]
    named = [(version, known_id) for row in rows for version, known_id in re.findall(r"([\d.]+) (MQTT\S+?)[, ]", row)]
    assert len(named) >= len(rows) > 0
    assert [(*each, statement(*each).level) for each in named if statement(*each).level != "should"] == []


def test_every_statement_has_its_sentence_by_version_and_id() -> None:
    found = sentences()
    assert found["5.0", "MQTT5-U-65"] == statement("5.0", "MQTT5-U-65").summary
    assert {key for key in found if not key[1].startswith("tck-id-")} == {
        (label, known_id) for label in VERSIONS for known_id in statements(label)
    }
    assert all(found.values())
