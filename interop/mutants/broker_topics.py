"""Brokers that translate topics: what is sent under one name comes out, or is found, under another.

Belongs here: faults of a broker in the characters of topic names and filters.
Does not belong here: wildcards and levels as such (`broker_messages`), what is no topic at all (`overlooks`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from interop.mutants.broker_versions import NOTED, STATES
from interop.mutants.mutant import Hears, Says, around, table
from interop.mutants.words import when
from reference_broker.broker.keeping.retained_tree import RetainedTree
from reference_broker.broker.keeping.routing import Router
from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.packets import Publish, Subscribe

Translation = Callable[[str], str]

_SPECIAL = {
    "a dot": ".", "a star": "*", "a greater-than sign": ">", "a less-than sign": "<", "a space": " ", "a colon": ":",
    "a percent sign": "%", "a backslash": "\\", "a quotation mark": '"', "an apostrophe": "'", "a backtick": "`",
    "a semicolon": ";", "a comma": ",", "an ampersand": "&", "a question mark": "?", "an exclamation mark": "!",
    "an at sign": "@", "a caret": "^", "a tilde": "~", "a bar": "|", "an underscore": "_", "a hyphen": "-",
    "an equals sign": "=", "a parenthesis": "(", "a bracket": "[", "a brace": "{",
}  # fmt: skip


def _behind_token(translate: Translation) -> Translation:
    """Only behind the first level, which the harness adds."""

    def change(topic: str) -> str:
        first, slash, rest = topic.partition("/")
        return first + slash + translate(rest)

    return change


def _shows(translate: Translation) -> Says:
    change = _behind_token(translate)
    return Says(Publish, lambda p, _: replace(p, topic=change(p.topic)))


def _matches(translate: Translation) -> tuple[Any, ...]:
    """Topics and filters are the same where their translations are; they come out as they were sent."""
    change = _behind_token(translate)
    return (
        around(Router, "_find", lambda real, self, topic: real(self, change(topic))),
        around(Router, "subscribe", lambda real, self, *rest: real(self, *rest[:-1], change(rest[-1]))),
    )


def _retains(translate: Translation) -> tuple[Any, ...]:
    """Retained messages are found under, and replaced by, what translates to the same."""
    change = _behind_token(translate)
    return (around(RetainedTree, "match", lambda real, self, name, now: real(self, change(name), now)),)


def _closes_at(character: str) -> Hears:
    def hear(packet: Publish, _end: Any) -> Publish:
        if character in packet.topic:
            raise ProtocolError(f"{character!r} is not liked in a topic")
        return packet

    return Hears(Publish, hear)


def _filters_without(character: str) -> Hears:
    def hear(packet: Subscribe, _end: Any) -> Subscribe:
        if any(character in each.topic_filter for each in packet.subscriptions):
            raise ProtocolError(f"{character!r} is not liked in a filter")
        return packet

    return Hears(Subscribe, hear)


def _wild(character: str, wildcard: str) -> Translation:
    return lambda name: "/".join(wildcard if level == character else level for level in name.split("/"))


_TRANSLATIONS: dict[str, Translation] = {
    "dots to slashes": lambda name: name.replace(".", "/"),
    "dots and slashes swapped": lambda name: name.translate(str.maketrans("./", "/.")),
    "backslashes to slashes": lambda name: name.replace("\\", "/"),
    "colons to dots": lambda name: name.replace(":", "."),
    "case folded": str.lower,
    "spaces trimmed": lambda name: "/".join(level.strip(" ") for level in name.split("/")),
    "spaces to underscores": lambda name: name.replace(" ", "_"),
    "percent signs decoded": unquote,
    "composed": lambda name: unicodedata.normalize("NFC", name),
    "decomposed": lambda name: unicodedata.normalize("NFD", name),
    "compatible characters the same": lambda name: unicodedata.normalize("NFKC", name),
    "empty levels left out": lambda name: re.sub("/+", "/", name).rstrip("/"),
    "dot levels resolved": lambda name: "/".join(level for level in name.split("/") if level not in (".", "..")),
    "only ASCII": lambda name: name.encode("ascii", "replace").decode(),
    "leading zeros left out": lambda name: re.sub(r"(^|/)0+(?=[0-9])", r"\1", name),
    "markup undone": lambda name: name.replace("&amp;", "&"),
    "quotation marks doubled": lambda name: name.replace("'", "''"),
}

TOPICS = table("broker", "topics/arrive_as_sent*", {
    **{f"shows topics with {what}": _shows(translate) for what, translate in _TRANSLATIONS.items()},
    **{
        f"matches topics with {what}": _matches(_TRANSLATIONS[what])
        for what in ("dots to slashes", "spaces trimmed", "percent signs decoded", "composed",
                     "compatible characters the same", "backslashes to slashes", "leading zeros left out")
    },
    **{
        f"finds retained messages with {what}": _retains(_TRANSLATIONS[what])
        for what in ("dots to slashes", "spaces trimmed", "case folded", "percent signs decoded", "composed")
    },
    **{
        f"shows what is {state} with dots to slashes": (*NOTED, Says(Publish, when(condition, lambda p, _: replace(
            p, topic=p.topic.replace(".", "/")))))
        for state, condition in STATES.items() if state != "repeated"
    },
    **{f"closes at {name} in a topic": _closes_at(character) for name, character in _SPECIAL.items()},
    "closes at a dot in a filter": _filters_without("."),
    "closes at a dollar sign inside a topic": _closes_at("/$"),
    "takes a star for a wildcard": _matches(_wild("*", "+")),
    "takes a greater-than sign for a wildcard": _matches(_wild(">", "#")),
    "ends topics at a quotation mark": _shows(lambda name: name.partition('"')[0]),
})  # fmt: skip

MUTANTS = TOPICS
