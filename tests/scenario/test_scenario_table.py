"""`for_each`: rows and products, names of cases, `${name}`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_files import RIGHT, line_of, load_text, problems_of, save

from interop.scenario.load import load_file
from interop.scenario.table import expand
from interop.scenario.yaml12 import read


def rows_of(table: str, template: str = 'title: "${x}"\n') -> list[tuple[str, dict[str, Any]]]:
    return [(row.case, row.data) for row in expand(read(Path("some.yaml"), f"{template}for_each: {table}\n"))]


def table_problems(tmp_path: Path, table: str, title: str = "${x}") -> list[str]:
    return problems_of(tmp_path, RIGHT.replace("A message arrives", f'"{title}"') + f"for_each: {table}\n")


def test_without_a_table_there_is_one_row_without_a_case() -> None:
    assert [(row.case, row.data) for row in expand(read(Path("a.yaml"), "title: t\n"))] == [("", {"title": "t"})]


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("5", 5),
        ("true", True),
        ("null", None),
        ("2.5", 2.5),
        ("text", "text"),
        ("[1, a]", [1, "a"]),
        ("{k: 1}", {"k": 1}),
    ],
)
def test_a_value_that_is_a_reference_and_nothing_else_keeps_its_type(value: str, parsed: object) -> None:
    [(_, data)] = rows_of(f"[{{case: one, x: {value}}}]")
    assert data == {"title": parsed}
    assert type(data["title"]) is type(parsed)


@pytest.mark.parametrize(("value", "text"), [("5", "<5>"), ("true", "<true>"), ("null", "<>"), ("abc", "<abc>")])
def test_inside_a_text_a_reference_is_replaced_as_text(value: str, text: str) -> None:
    assert rows_of(f"[{{case: one, x: {value}}}]", 'title: "<${x}>"\n')[0][1] == {"title": text}


def test_several_references_in_one_text() -> None:
    assert rows_of("[{x: 1, y: b}]", 'title: "${x}-${y}-${x}"\n')[0][1] == {"title": "1-b-1"}


def test_a_reference_in_a_key_is_replaced() -> None:
    assert rows_of("[{x: content_type}]", 'properties: {"${x}": 1}\n')[0][1] == {"properties": {"content_type": 1}}


def test_a_product_has_a_row_for_each_combination_in_order() -> None:
    rows = rows_of("{x: [1, 2], y: [a, b]}", 'title: "${x}${y}"\n')
    assert [data["title"] for _, data in rows] == ["1a", "1b", "2a", "2b"]


@pytest.mark.parametrize(
    ("table", "cases"),
    [
        ("[{case: plain, x: 1}]", ["plain"]),
        ("[{x: 1}, {x: 2}]", ["x1", "x2"]),
        ("{x: [fin, rst]}", ["fin", "rst"]),
        ("{x: [true, false]}", ["x", "no_x"]),
        ("{x: [null]}", ["no_x"]),
        ("{x: ['']}", ["no_x"]),
        ("{x: ['a b', 'a/b#']}", ["a_b", "a_b_"]),
        ("{x: [-1, 2.5]}", ["x-1", "x2.5"]),
    ],
)
def test_a_case_is_named_after_its_values(table: str, cases: list[str]) -> None:
    assert [case for case, _ in rows_of(table)] == cases


def test_versions_of_a_row_leave_the_others_out(tmp_path: Path) -> None:
    text = RIGHT.replace("hello", '"${x}"') + 'for_each: [{x: a}, {x: b, versions: ["5.0"]}]\n'
    assert [list(one.scenario.versions) for one in load_text(tmp_path, text)] == [["3.1.1", "5.0"], ["5.0"]]


def test_names_and_step_texts_of_rows(tmp_path: Path) -> None:
    text = RIGHT.replace("payload: hello", 'payload: "${x}"', 1) + "for_each: {x: [one, two]}\n"
    text = text.replace("topic: t, payload: hello", 'topic: t, payload: "${x}"')
    loaded = load_text(tmp_path, text)
    assert [one.name for one in loaded] == ["area/some_file[one]", "area/some_file[two]"]
    assert {one.file_name for one in loaded} == {"area/some_file"}
    assert loaded[1].step_texts[1] == "{do: publish, as: pub, topic: t, qos: 1, payload: two}"
    assert loaded[0].step_lines == tuple(line_of(text, f"do: {verb}") for verb in ("subscribe", "publish", "receive"))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[]", "for_each: expected a list of rows, or a product"),
        ("{}", "for_each: expected a list of rows, or a product"),
        ("{x: 1}", "for_each: expected a list of rows, or a product"),
        ("[1]", "for_each[1]: expected a row"),
        ("[{case: 5, x: a}]", "for_each[1].case: found 5; expected a name"),
        ("[{case: 'a b', x: a}]", "for_each[1].case: found 'a b'; expected a name"),
        ("[{case: a, x: t}, {case: a, x: u}]", "for_each[2]: the case 'a' is here twice"),
        ("{x: ['', null]}", "for_each: the case 'no_x' is here twice"),
        ("[{case: a, x: t, y: 1}]", "for_each[1].y: the column 'y' is not used: nothing says ${y}"),
        ("[{y: 1}]", "title: unknown column 'x'"),
        ("[{case: a, x: t}, {case: b}]", "for_each[2]: the row has no 'x', which ${x} asks for"),
        ("[{x: {a: 1}}]", "for_each[1]: x is not a plain value, so the row needs a name"),
        ("[{x: t, versions: '5.0'}]", "for_each[1].versions: expected a list of versions"),
        ("[{x: t, versions: [5.0]}]", "for_each[1].versions: found 5.0; expected versions of the scenario"),
        ("[{x: t, versions: ['3.1']}]", "for_each[1].versions: found '3.1'; expected versions of the scenario"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, table: str, said: str) -> None:
    problems = table_problems(tmp_path, table)
    assert any(said in problem for problem in problems), problems


def test_a_row_may_leave_out_what_only_other_versions_ask_for(tmp_path: Path) -> None:
    text = RIGHT.replace("[MQTT-3.8.4-8]", '"${cites}"')
    text += '  - {do: stays_open, link: pub, only: ["5.0"], level: "${level}"}\n'
    five = "{case: five, cites: [MQTT-3.8.4-8], level: may}"
    rows = load_text(tmp_path, text + f'for_each: [{five}, {{case: three, versions: ["3.1.1"]}}]\n')
    assert [list(one.scenario.versions) for one in rows] == [["3.1.1", "5.0"], ["3.1.1"]]
    problems = problems_of(tmp_path, text + f'for_each: [{five}, {{case: lacking, versions: ["5.0"]}}]\n')
    assert [problem.rpartition(": ")[2] for problem in problems] == [
        "the row has no 'cites', which ${cites} asks for",
        "the row has no 'level', which ${level} asks for",
    ]


def test_a_reference_without_a_table_is_refused_with_its_line(tmp_path: Path) -> None:
    text = RIGHT.replace("payload: hello", 'payload: "${greeting}"', 1)
    assert problems_of(tmp_path, text) == [
        f"{line_of(text, 'greeting')}: steps[2].payload: ${{greeting}} stands for nothing: there is no `for_each`"
    ]


def test_a_misspelt_column_is_guessed(tmp_path: Path) -> None:
    assert "did you mean 'payload'?" in table_problems(tmp_path, "[{payload: a}]", "${pay_load}")[0]


def test_a_wrong_value_in_a_row_is_found_where_it_is_used(tmp_path: Path) -> None:
    text = RIGHT.replace("qos: 1}", 'qos: "${x}"}') + "for_each: {x: [1, 3]}\n"
    assert problems_of(tmp_path, text) == ["10: steps[1].qos: found 3; expected at most 2"]


_plain = st.integers(0, 9) | st.booleans() | st.text("abc", min_size=1, max_size=3)


@given(st.dictionaries(st.sampled_from("xyz"), st.lists(_plain, min_size=1, max_size=3, unique_by=str), min_size=1))
def test_a_product_gives_every_combination_once(table: dict[str, list[Any]]) -> None:
    template = "".join(f'{name}: "${{{name}}}"\n' for name in table)
    rows = [data for _, data in rows_of(json.dumps(table), template)]
    expected = 1
    for values in table.values():
        expected *= len(values)
    assert len(rows) == expected
    assert len({json.dumps(row) for row in rows}) == expected
    assert all(row[name] in table[name] for row in rows for name in table)


def test_many_tables_load_in_a_moment(tmp_path: Path) -> None:
    # The whole collection is read by every worker of every run: it must cost milliseconds, not seconds.
    text = RIGHT.replace("hello", '"${x}"') + "for_each: {x: [a, b, c]}\n"
    path = save(tmp_path, text)
    began = time.process_time()
    assert sum(len(load_file(path)) for _ in range(200)) == 600
    assert time.process_time() - began < 2.0
