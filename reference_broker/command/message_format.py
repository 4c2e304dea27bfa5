"""How `sub` prints a message: the format language of mosquitto_sub's -F.

Belongs here: a format as a value, checked when it is made, and the text of one message.
Does not belong here: which messages are printed, and where to.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from reference_broker.client import Message
from reference_broker.wire.properties import Properties

_ESCAPES = {"\\": "\\", "0": "\0", "a": "\a", "e": "\033", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

HELP = """\
format of -F, as in mosquitto_sub:
  %t topic         %p payload       %x payload in hexadecimal, %X in upper case
  %l payload size  %q QoS           %r retain flag       %m packet identifier
  %j JSON          %J JSON with a payload that is JSON itself
  %I time, ISO 8601                 %U time, Unix seconds
  %A topic alias   %C content type  %D correlation data  %E message expiry interval
  %F payload format indicator       %P user properties   %R response topic
  %S subscription identifiers       %% a percent sign
  @X is strftime's %X (@N nanoseconds, @@ an at sign); \\n \\t \\r \\0 \\a \\e \\v \\\\ as in C
"""


class FormatError(ValueError):
    """A format that is none, or a message it cannot show; the text is for people."""


_Piece = Callable[[Message, datetime], bytes]


class MessageFormat:
    """A compiled -F format; raises FormatError for an unknown specifier."""

    def __init__(self, template: str, *, pretty: bool = False) -> None:
        """`pretty`: JSON over several lines."""
        self._indent = 2 if pretty else None
        self._pieces: list[_Piece] = []
        readers = {"%": self._percent, "@": self._strftime, "\\": self._escape}
        characters = iter(template)
        for character in characters:
            if character in readers:
                self._pieces.append(readers[character](next(characters, "")))
            else:
                self._pieces.append(_constant(character))

    def render(self, message: Message, now: datetime) -> bytes:
        """The message as bytes without a line end; raises FormatError when %J meets a payload that is no JSON."""
        return b"".join(piece(message, now) for piece in self._pieces)

    def _percent(self, specifier: str) -> _Piece:
        if specifier in ("j", "J"):
            return lambda message, now: self._json(message, now, payload_is_json=specifier == "J").encode()
        piece = _SPECIFIERS.get(specifier)
        if piece is None:
            raise FormatError(f"Invalid format specifier '{specifier}'.")
        return piece

    def _strftime(self, specifier: str) -> _Piece:
        if specifier == "@":
            return _constant("@")
        if specifier == "N":
            return lambda _, now: f"{now.microsecond * 1000:09}".encode()
        if not (specifier.isascii() and specifier.isalpha()):
            raise FormatError(f"Invalid format specifier '@{specifier}'.")
        return lambda _, now: now.strftime(f"%{specifier}").encode()

    def _escape(self, character: str) -> _Piece:
        if character not in _ESCAPES:
            raise FormatError(f"Invalid escape specifier '{character}'.")
        return _constant(_ESCAPES[character])

    def _json(self, message: Message, now: datetime, *, payload_is_json: bool) -> str:
        shown: dict[str, object] = {
            "tst": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ%z"),
            "topic": message.topic,
            "qos": int(message.qos),
            "retain": int(message.retain),
            "payloadlen": len(message.payload),
        }
        if message.packet_id is not None:
            shown["mid"] = message.packet_id
        if properties := _json_properties(message):
            shown["properties"] = properties
        shown["payload"] = _parsed(message) if payload_is_json else message.payload.decode(errors="replace")
        separators = (",", ":") if self._indent is None else None
        return json.dumps(shown, ensure_ascii=False, indent=self._indent, separators=separators)


def _constant(text: str) -> _Piece:
    data = text.encode(errors="surrogateescape")
    return lambda _message, _now: data


def _parsed(message: Message) -> object:
    try:
        parsed: object = json.loads(message.payload)
    except ValueError:
        raise FormatError(f"Message payload is not valid JSON on topic {message.topic}.") from None
    return parsed


def _json_properties(message: Message) -> dict[str, object]:
    """The properties under the names the specification gives them; a user property that repeats becomes a list."""
    shown: dict[str, object] = {}
    present = message.properties.present()
    if message.topic_alias is not None:
        present["topic_alias"] = message.topic_alias
    for name, value in present.items():
        key = name.replace("_", "-")
        if name == "user_property":
            shown["user-properties"] = _user_properties(message.properties)
        elif isinstance(value, tuple):
            shown[key] = value[0] if len(value) == 1 else list(value)
        elif isinstance(value, bytes):
            shown[key] = value.decode(errors="replace")
        else:
            shown[key] = value
    return shown


def _user_properties(properties: Properties) -> dict[str, str | list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in properties.user_property:
        grouped.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}


def _property(name: str) -> _Piece:
    def piece(message: Message, _: datetime) -> bytes:
        value = getattr(message.properties, name)
        if value is None:
            return b""
        return value if isinstance(value, bytes) else str(value).encode()

    return piece


_SPECIFIERS: dict[str, _Piece] = {
    "%": _constant("%"),
    "A": lambda message, _: b"" if message.topic_alias is None else b"%d" % message.topic_alias,
    "C": _property("content_type"),
    "D": _property("correlation_data"),
    "E": _property("message_expiry_interval"),
    "F": _property("payload_format_indicator"),
    "I": lambda _, now: now.strftime("%Y-%m-%dT%H:%M:%S%z").encode(),
    "l": lambda message, _: b"%d" % len(message.payload),
    "m": lambda message, _: b"%d" % (message.packet_id or 0),
    "P": lambda message, _: " ".join(f"{name}:{value}" for name, value in message.properties.user_property).encode(),
    "p": lambda message, _: message.payload,
    "q": lambda message, _: b"%d" % message.qos,
    "R": _property("response_topic"),
    "r": lambda message, _: b"%d" % message.retain,
    "S": lambda message, _: " ".join(map(str, message.properties.subscription_identifier)).encode(),
    "t": lambda message, _: message.topic.encode(),
    "U": lambda _, now: f"{now.timestamp():.6f}000".encode(),
    "x": lambda message, _: message.payload.hex().encode(),
    "X": lambda message, _: message.payload.hex().upper().encode(),
}
