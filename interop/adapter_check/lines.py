"""What is wrong with one line that an adapter wrote, in words for who wrote the adapter.

Belongs here: a line by itself, its fields and their types.
Does not belong here: what it answers (`conversation`), when it has to come (`stages`).

A run takes what can be understood, "7" for 7; here every type has to be the contract's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from interop.drivers.contract import EVENT, AnyEvent
from interop.scenario.problems import closest

SHOWN_CHARACTERS = 300
_TAIL_CHARACTERS = 95

_EVENTS = {each.model_fields["event"].default: each for each in get_args(get_args(AnyEvent)[0])}


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong: what, what was expected instead, and the line it is about, where there is one.

    `read` is the command that it is about, where no line is.
    """

    what: str
    expected: str
    line: bytes = b""
    seconds: float | None = None
    """The time in which something did not come, where it is about one: a machine that is too busy may explain it."""
    read: bytes = b""


def shown(line: bytes) -> str:
    """A line without its end, and without its middle where it is long: what is wrong often stands behind a payload."""
    text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[: SHOWN_CHARACTERS - _TAIL_CHARACTERS - 5]} ... {text[-_TAIL_CHARACTERS:]}"


def read_line(line: bytes) -> tuple[AnyEvent | None, list[Complaint]]:
    """The event of a line, None where there is none to be made out, and all that is wrong with it."""
    complaints = []
    if not line.endswith(b"\n"):
        complaints.append(Complaint("the line has no end", "a line feed after every event", line))
    try:
        return EVENT.validate_json(line, strict=True), complaints
    except ValidationError as problem:
        errors = problem.errors(include_url=False)
    if not _is_utf8(line):
        return None, [*complaints, Complaint("the line is not UTF-8", "UTF-8, whatever the locale is", line)]
    complaints += [Complaint(*_in_words(error), line) for error in errors]
    try:
        return EVENT.validate_json(line), complaints
    except ValidationError:
        return None, complaints


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def id_of(line: bytes) -> int:
    """The id in a line that is no event, -1 where there is none."""
    try:
        number = json.loads(line)["id"]
    except (ValueError, TypeError, KeyError):
        return -1
    return number if isinstance(number, int) else -1


def _in_words(error: Any) -> tuple[str, str]:
    """What is wrong, and what was expected, for one error of pydantic's."""
    event, *rest = error["loc"] or ("",)
    field = ".".join(map(str, rest))
    match error["type"]:
        case "json_invalid":
            return "the line is not JSON", "one JSON object on each line, and all other text on standard error"
        case "union_tag_not_found":
            return "there is no `event`", f"`event`, one of {', '.join(_EVENTS)}"
        case "union_tag_invalid":
            found = str(error["ctx"]["tag"])
            close = closest(found, _EVENTS)
            guess = f"`{close}`, or another" if close else "one"
            return f"there is no event `{found}`", f"{guess} of {', '.join(_EVENTS)}"
        case "missing":
            return f"`{event}` lacks the field `{field}`", f"`{field}` in every `{event}`"
        case "extra_forbidden":
            fields = ", ".join(_EVENTS[event].model_fields) if event in _EVENTS and len(rest) == 1 else ""
            wanted = f"the fields {fields}" if fields else "the fields of the contract"
            return f"`{event}` has no field `{field}`", f"{wanted}, and no others"
        case "model_type" | "model_attributes_type" | "dict_type" if not rest:
            return "the line is no JSON object", 'an object, {"event": ...}'
        case _:
            wrong = f"`{field}` of `{event}` is {error['input']!r:.80}"
            return wrong, error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
