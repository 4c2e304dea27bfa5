"""YAML 1.2 in, plain values and their places out.

Belongs here: the core schema of YAML 1.2 (only `true`, `false`, `null` and numbers are more than text; `on`, `yes` and
`1_000` are text), and what a scenario may not use: duplicate keys, aliases, tags, several documents.
Does not belong here: what the values mean (`model`), tables (`table`).

PyYAML parses, in C; its own rules for scalars are those of YAML 1.1 and are not used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml._yaml import CParser  # not public: pyproject.toml says so beside the version
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.resolver import BaseResolver

from interop.scenario.problems import Problem, ScenarioError

Where = tuple[str | int, ...]
"""A place inside a file: keys and 0-based list indexes from the top."""

_KEYWORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
# `.inf` and `.nan` stay text: no field of a scenario takes them.


_PLAIN = re.compile(r"[A-Za-z$][A-Za-z0-9_ /$.-]*[A-Za-z0-9]|[A-Za-z]")
"""Text that needs no quotes, unless it is a keyword."""

_NO_TAG = ""


class _Composer(CParser, BaseResolver):
    """PyYAML's C parser without the resolution of scalars by YAML 1.1's rules: what has no tag stays without."""

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        BaseResolver.__init__(self)

    def resolve(self, kind: object, value: object, implicit: object) -> str:  # noqa: ARG002  # the parser's call
        return _NO_TAG

    def descend_resolver(self, _parent: object, _index: object) -> None:
        """Nothing: tags do not depend on where a value stands."""

    def ascend_resolver(self) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: 1-based line (of its key, if it has one) and the characters it takes up."""

    line: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """A file as plain values (dict, list, str, int, float, bool, None), with the place of each."""

    path: Path
    text: str
    data: Any
    places: dict[Where, Place]

    def line(self, where: Where) -> int:
        """The line of the innermost place in the file that contains `where`."""
        for length in range(len(where), 0, -1):
            if (place := self.places.get(where[:length])) is not None:
                return place.line
        return 1

    def source(self, where: Where) -> str:
        """The value as it is written, in one line, without comments on lines of their own."""
        place = self.places[where]
        lines = (line.strip() for line in self.text[place.start : place.end].splitlines())
        return " ".join(line for line in lines if line and not line.startswith("#"))

    def problem(self, where: Where, message: str) -> Problem:
        """A problem at that place."""
        return Problem(self.path, self.line(where), spelled(where), message)


def spelled(where: Where) -> str:
    """`steps[3].topic`, with list items counted from 1."""
    text = ""
    for part in where:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def written(value: Any) -> str:
    """Plain values as they would be written in one line: `{do: cut, link: sub}`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, str) and (value in _KEYWORDS or not _PLAIN.fullmatch(value)):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def read(path: Path, text: str) -> Document:
    """Parse one file; raises ScenarioError where it is not YAML, or uses what scenarios may not use."""
    try:
        root: Node | None = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise ScenarioError([_syntax_problem(path, text, error)]) from None
    except yaml.YAMLError as error:  # characters YAML does not allow
        raise ScenarioError([Problem(path, 1, "", f"not YAML: {' '.join(str(error).split())}")]) from None
    if root is None:
        raise ScenarioError([Problem(path, 1, "", "the file is empty; expected a scenario")])
    builder = _Builder(path)
    data = builder.build(root, ())
    if builder.problems:
        raise ScenarioError(builder.problems)
    return Document(path, text, data, builder.places)


def _syntax_problem(path: Path, text: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    message = f"not YAML: {error.problem or error.context}"
    if "${" in "".join(text.splitlines()[max(0, line - 2) : line]):
        message += '; inside { } or [ ] write "${name}" with quotes'
    return Problem(path, line, "", message)


class _Builder:
    """Turns nodes into values, and collects places and problems on the way."""

    def __init__(self, path: Path) -> None:
        self.places: dict[Where, Place] = {}
        self.problems: list[Problem] = []
        self._path = path
        self._seen: set[int] = set()

    def build(self, node: Node, where: Where) -> Any:
        """The node's value."""
        if node.tag != _NO_TAG:
            self._refuse(node, where, f"tags are not used in scenarios; found {node.tag}")
        if id(node) in self._seen:  # the same node twice: an alias
            self._refuse(node, where, "aliases (*name) are not used in scenarios; a `for_each` table says it once")
            return None
        self._seen.add(id(node))
        if isinstance(node, ScalarNode):
            return _scalar(node)
        return self._mapping(node, where) if isinstance(node, MappingNode) else self._sequence(node, where)

    def _sequence(self, node: Node, where: Where) -> list[Any]:
        assert isinstance(node, SequenceNode)
        values = []
        for index, item in enumerate(node.value):
            inner = (*where, index)
            self.places[inner] = _place(item, item)
            values.append(self.build(item, inner))
        return values

    def _mapping(self, node: MappingNode, where: Where) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value_node, value in self._entries(node, where):
            inner = (*where, key)
            if key in values:
                first = self.places[inner].line
                self._refuse(value_node[0], inner, f"the key {key!r} is here twice (first in line {first})")
                continue
            self.places[inner] = _place(*value_node)
            values[key] = self.build(value, inner)
        return values

    def _entries(self, node: MappingNode, where: Where) -> Iterator[tuple[str, tuple[Node, Node], Node]]:
        for key_node, value in node.value:
            key = _scalar(key_node) if isinstance(key_node, ScalarNode) else None
            if isinstance(key, str):
                yield key, (key_node, value), value
            else:
                written = f'"{key_node.value}"' if isinstance(key_node, ScalarNode) else "a name"
                self._refuse(key_node, where, f"expected text as the key; write {written}")

    def _refuse(self, node: Node, where: Where, message: str) -> None:
        # Of an alias, only the line of its key is known: its node is that of the anchor.
        place = self.places.get(where)
        line = place.line if place is not None and id(node) in self._seen else node.start_mark.line + 1
        self.problems.append(Problem(self._path, line, spelled(where), message))


def _place(key: Node, value: Node) -> Place:
    return Place(key.start_mark.line + 1, value.start_mark.index, value.end_mark.index)


def _scalar(node: ScalarNode) -> Any:
    text: str = node.value
    if node.style:  # quoted, or a block: text
        return text
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
