"""Reads a report page as a browser without JavaScript would, and unpacks what its scripts would unpack."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_VOID = {"meta", "link", "br", "img", "input"}


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        parts = [child if isinstance(child, str) else child.text for child in self.children]
        return " ".join("".join(parts).split())

    @property
    def classes(self) -> set[str]:
        return set((self.attributes.get("class") or "").split())

    def all(self, name: str | None = None, *, css: str | None = None, ident: str | None = None) -> list[Element]:
        found = []
        for child in self.children:
            if isinstance(child, str):
                continue
            if (
                (name is None or child.name == name)
                and (css is None or css in child.classes)
                and (ident is None or child.attributes.get("id") == ident)
            ):
                found.append(child)
            found += child.all(name, css=css, ident=ident)
        return found

    def one(self, name: str | None = None, *, css: str | None = None, ident: str | None = None) -> Element:
        (element,) = self.all(name, css=css, ident=ident)
        return element


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.stack = [Element("page", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.stack[-1].children.append(element)
        if tag not in _VOID:
            self.stack.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.stack[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack[-1].name == tag, f"</{tag}> closes <{self.stack[-1].name}>"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        self.stack[-1].children.append(data)


def parse(html: str) -> Element:
    """The tree of a page; fails when a tag is closed by another's end."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    assert [element.name for element in builder.stack] == ["page"], "a tag was left open"
    return builder.stack[0]


def unpack(page: Element, ident: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(page.one("script", ident=ident).text)))
