"""YAML 1.2: which scalars are more than text, where values stand, what scenarios may not use."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.scenario.problems import ScenarioError
from interop.scenario.yaml12 import Document, read

HERE = Path("some.yaml")


def value_of(text: str) -> Any:
    return read(HERE, f"key: {text}").data["key"]


def complaint(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        read(HERE, text)
    return str(caught.value)


@pytest.mark.parametrize("text", ["on", "off", "yes", "no", "y", "n", "On", "YES", "tRue"])
def test_words_that_yaml_1_1_takes_for_booleans_are_text(text: str) -> None:
    assert value_of(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("FALSE", False), ("null", None), ("~", None), ("", None)],
)
def test_the_keywords_of_yaml_1_2(text: str, value: object) -> None:
    assert value_of(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("0x81", 129),
        ("0o17", 15),
        ("010", 10),
        ("1e3", 1000.0),
        ("2.0", 2.0),
        (".5", 0.5),
    ],
)
def test_numbers_of_yaml_1_2(text: str, value: float) -> None:
    found = value_of(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text", ["1_000", "0b11", "12:30:45", "3.1.1", "2024-01-01", "1e", "0x", "--1", ".", "=", "<<"]
)
def test_what_yaml_1_1_takes_for_numbers_or_dates_is_text(text: str) -> None:
    assert value_of(text) == text


@pytest.mark.parametrize("text", ["true", "5.0", "null", "0x81", "on"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_what_is_quoted_is_text(text: str, quote: str) -> None:
    assert value_of(f"{quote}{text}{quote}") == text


def test_a_version_without_quotes_is_no_key() -> None:
    assert complaint("versions:\n  3.1: {}\n") == 'some.yaml:2: versions: expected text as the key; write "3.1"'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "some.yaml:3: a: the key 'a' is here twice (first in line 1)"),
        ("a: &x [1]\nb: *x\n", "some.yaml:2: b: aliases"),
        ("a: &x 1\nb: *x\n", "some.yaml:2: b: aliases"),
        ("a: !!str 5\n", "some.yaml:1: a: tags are not used"),
        ("a: !mine {b: 1}\n", "some.yaml:1: a: tags are not used"),
        ("? [a]\n: b\n", "some.yaml:1: expected text as the key"),
        ("", "some.yaml:1: the file is empty"),
        ("# only a comment\n", "some.yaml:1: the file is empty"),
        ("a: 1\n---\nb: 2\n", "some.yaml:2: not YAML: but found another document"),
        ("a: [1\nb: 2\n", "some.yaml:2: not YAML"),
        ("a: 1\n b: 2\n", "some.yaml:2: not YAML"),
        ('a: "\x01"\n', "some.yaml:1: not YAML"),
        ("steps:\n  - {do: x, topic: ${t}}\n", "not YAML: did not find expected ',' or '}'; inside { } or [ ] write"),
    ],
)
def test_what_scenarios_may_not_use_is_refused_with_its_line(text: str, said: str) -> None:
    assert said in complaint(text)


def test_all_problems_of_a_file_are_named() -> None:
    assert len(complaint("a: 1\na: 2\n3.1: x\nb: !t 1\n").splitlines()) == 3


@pytest.fixture
def document() -> Document:
    text = "top:\n  inner: 1\nsteps:\n  # first\n  - {do: a,  x: 0x81}\n  - do: b\n    # why\n    y: 2\n\n  - do: c\n"
    return read(HERE, text)


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("top",), 1),
        (("top", "inner"), 2),
        (("steps", 0), 5),
        (("steps", 0, "x"), 5),
        (("steps", 1, "y"), 8),
        (("steps", 2), 10),
        (("steps", 1, "missing"), 6),  # the innermost place that exists
        (("missing",), 1),
    ],
)
def test_every_value_has_its_line(document: Document, where: tuple[str | int, ...], line: int) -> None:
    assert document.line(where) == line


def test_the_source_of_a_step_is_one_line_without_comment_lines(document: Document) -> None:
    assert [document.source(("steps", index)) for index in range(3)] == ["{do: a,  x: 0x81}", "do: b y: 2", "do: c"]


def test_offsets_count_characters_not_bytes() -> None:
    document = read(HERE, 'title: "größe €"\nsteps:\n  - {do: a, topic: "ü"}\n')
    assert document.source(("steps", 0)) == '{do: a, topic: "ü"}'


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc_", min_size=1), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc_", min_size=1), _values, min_size=1))
def test_json_reads_as_the_same_values(value: dict[str, Any]) -> None:
    # Every JSON text is YAML 1.2. The C parser is strict about a few characters that JSON leaves unescaped.
    assert read(HERE, json.dumps(value, ensure_ascii=False)).data == value


@given(st.text(max_size=60))
def test_no_text_makes_the_reader_crash(text: str) -> None:
    with suppress(ScenarioError):
        assert isinstance(read(HERE, text), Document)
