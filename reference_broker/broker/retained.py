"""Retained messages: the last one of each topic, found by topic filter. [3.1.1 3.3.1.3, 5.0 3.3.1.3]

Belongs here: keeping, replacing, clearing, and looking up by filter at a cost in proportion to what is found.
Does not belong here: who gets them when (`subscribing`), or whether retained messages are available at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from reference_broker.broker.message import Message


class _Node:
    __slots__ = ("children", "message")

    def __init__(self) -> None:
        self.children: dict[str, _Node] | None = None
        self.message: Message | None = None


class RetainedMessages:
    """A tree of topic levels with at most one message at each node."""

    def __init__(self) -> None:
        self._root = _Node()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, topic: str) -> Message | None:
        """The message retained on one topic."""
        node = self._root
        for level in topic.split("/"):
            if node.children is None or level not in node.children:
                return None
            node = node.children[level]
        return node.message

    def set(self, message: Message) -> None:
        """Keep a message in place of its topic's last one. [5.0 MQTT-3.3.1-5]"""
        node = self._root
        for level in message.topic.split("/"):
            if node.children is None:
                node.children = {}
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
            node = child
        if node.message is None:
            self._count += 1
        node.message = message

    def clear(self, topic: str) -> None:
        """Keep nothing on this topic any more. [5.0 MQTT-3.3.1-6]"""
        path: list[tuple[dict[str, _Node], str]] = []
        node = self._root
        for level in topic.split("/"):
            if node.children is None or level not in node.children:
                return
            path.append((node.children, level))
            node = node.children[level]
        if node.message is None:
            return
        node.message = None
        self._count -= 1
        for children, level in reversed(path):
            child = children[level]
            if child.message is not None or child.children:
                break
            del children[level]

    def match(self, topic_filter: str, now: float) -> Iterator[Message]:
        """The messages whose topic a filter matches, without those that expired. [5.0 MQTT-4.7.2-1, 3.3.2.3.3]"""
        for node in self._nodes(topic_filter):
            message = node.message
            if message is not None and not message.is_expired(now):
                yield message

    def __iter__(self) -> Iterator[Message]:
        return (node.message for node in _subtree(self._root) if node.message is not None)

    def _nodes(self, topic_filter: str) -> Iterator[_Node]:
        levels = topic_filter.split("/")
        nodes = [self._root]
        for depth, level in enumerate(levels):
            if level == "#":
                for node in nodes:
                    yield from _subtree(node, with_dollar=depth > 0)
                return
            if level == "+":
                nodes = [
                    child
                    for node in nodes
                    for name, child in (node.children or {}).items()
                    if depth > 0 or not name.startswith("$")
                ]
            else:
                nodes = [node.children[level] for node in nodes if node.children and level in node.children]
        yield from nodes


def _subtree(node: _Node, with_dollar: bool = True) -> Iterator[_Node]:
    """A node and all below it, each level in order of arrival; `with_dollar` False leaves out `$...` right below."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        if current.children:
            below = [
                child
                for name, child in current.children.items()
                if with_dollar or current is not node or not name.startswith("$")
            ]
            stack.extend(reversed(below))
