"""The page about every setting of the broker.

Belongs here: reading names, types, defaults, ranges and docstrings from the classes of settings.
Does not belong here: what a setting does (whoever obeys it), its words (the docstring beside it).
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

from reference_broker.access.config import GuardedConfig
from reference_broker.broker.values.config import RANGES, BrokerConfig
from reference_broker.net.config import ServerConfig
from reference_broker.observe.config import ObservedConfig

_HEAD = """# Settings of the broker

Written by `make docs` from [BrokerConfig](../reference_broker/broker/values/config.py),
[ServerConfig](../reference_broker/net/config.py), [GuardedConfig](../reference_broker/access/config.py) and
[ObservedConfig](../reference_broker/observe/config.py). Each is a key of the TOML file given by
`mqtt-interop broker --config FILE` and a field of the class; most are also options of `mqtt-interop broker`. Times are
in seconds, sizes in bytes. What bounds a peer is put together in [README.md](../README.md#what-bounds-a-peer).
"""

_WITHOUT_SEPARATORS = 9_999
"""Up to here, where ports are."""

_KINDS = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "file", NoneType: "none"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: `group` is the comment above its neighbours, `words` its docstring, empty where it has none."""

    group: str
    name: str
    kind: str
    allowed: str
    default: str
    words: str


def settings() -> list[Setting]:
    """All settings in the order of the file."""
    return [
        *_of(ServerConfig, "Where it listens"),
        *_of(GuardedConfig, ""),
        *_of(ObservedConfig, ""),
        *_of(BrokerConfig, ""),
    ]


def settings_page() -> str:
    """The page as it is committed."""
    lines = [_HEAD]
    group = None
    for each in settings():
        if each.group != group:
            group = each.group
            lines += [f"\n## {group}\n", "| setting | value | default | what it does |", "|---|---|---|---|"]
        value = f"{each.kind}{', ' + each.allowed if each.allowed else ''}"
        lines.append(f"| `{each.name}` | {value} | {each.default} | {each.words} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _of(cls: type, group: str) -> Iterator[Setting]:
    source = textwrap.dedent(inspect.getsource(cls))
    rows = source.splitlines()
    body = typing.cast("ast.ClassDef", ast.parse(source).body[0]).body
    hints = typing.get_type_hints(cls)
    defaults = {field.name: field for field in dataclasses.fields(cls)}
    ranges = {name: (lowest, highest) for name, lowest, highest in RANGES}
    for node, behind in zip(body, [*body[1:], None], strict=True):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        name = node.target.id
        if name == "broker":
            continue
        above = rows[node.lineno - 2].strip()
        if above.startswith("# "):
            group = above.removeprefix("# ").rstrip(".")
        yield Setting(
            group, name, _kind(hints[name]), _range(*ranges[name]) if name in ranges else "",
            _value(defaults[name].default), _docstring(behind),
        )  # fmt: skip


def _docstring(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split()).replace("|", "\\|")
    return ""


def _kind(hint: Any) -> str:
    if isinstance(hint, UnionType):
        return " or ".join(_kind(each) for each in typing.get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return " or ".join(f"`{each.value}`" for each in hint)
    if typing.get_origin(hint) in (tuple, dict):
        return "table" if typing.get_origin(hint) is dict else "list"
    return _KINDS[hint]


def _range(lowest: float, highest: float) -> str:
    return f"at least {lowest:,}" if highest == float("inf") else f"{lowest:,} to {highest:,}"


def _value(default: Any) -> str:
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int | float):
        return f"{default:,}" if default > _WITHOUT_SEPARATORS else str(default)
    return f"`{default}`"
