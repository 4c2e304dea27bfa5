"""The tree of retained messages: the last one of each topic, found by topic filter. [3.1.1 3.3.1.3, 5.0 3.3.1.3]

Belongs here: keeping, replacing, clearing, and looking up by filter at a cost in proportion to what is found, one after
the other and however much changes in between.
Does not belong here: whether one is kept and until when (`retained`), who gets them when (`peers.subscribing`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from reference_broker.broker.values.message import Message

_MOST_IN_VAIN = 100
"""Nodes without a find that are passed without a pause."""


class _Node:
    """One topic level; its siblings in order of arrival are a list, so that any of them knows what follows."""

    __slots__ = ("children", "following", "message", "parent", "preceding", "serial")

    def __init__(self, parent: _Node | None, preceding: _Node | None) -> None:
        self.children: dict[str, _Node] | None = None
        self.message: Message | None = None
        self.serial = 0
        """Which change of the store the message came with."""
        self.parent = parent
        self.preceding = preceding
        self.following: _Node | None = None
        if preceding is not None:
            preceding.following = self

    def unlink(self) -> None:
        """Its siblings become neighbours."""
        if self.preceding is not None:
            self.preceding.following = self.following
        if self.following is not None:
            self.following.preceding = self.preceding


class RetainedTree:
    """Two trees of topic levels with at most one message at each node: of topics that begin with $, and of all others.

    No filter matches topics of both. [5.0 MQTT-4.7.2-1]
    """

    def __init__(self) -> None:
        self._root = _Node(None, None)
        self._dollar_root = _Node(None, None)
        self._count = 0
        self._changes = 0
        self._waiting_at: dict[_Node, set[_Walk]] = {}
        """Walks that are not going on at present, by the node they go on with."""

    def __len__(self) -> int:
        return self._count

    def get(self, topic: str) -> Message | None:
        """The message retained on one topic."""
        node = self._root_of(topic)
        for level in topic.split("/"):
            if node.children is None or level not in node.children:
                return None
            node = node.children[level]
        return node.message

    def set(self, message: Message, *, is_old: bool = False) -> None:
        """Keep a message in place of its topic's last one. [5.0 MQTT-3.3.1-5]

        One that `is_old` was there before all lookups.
        """
        node = self._root_of(message.topic)
        for level in message.topic.split("/"):
            if node.children is None:
                node.children = {}
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node(node, next(reversed(node.children.values()), None))
            node = child
        if node.message is None:
            self._count += 1
        self._changes += 1
        node.message, node.serial = message, 0 if is_old else self._changes

    def clear(self, topic: str) -> None:
        """Keep nothing on this topic any more. [5.0 MQTT-3.3.1-6]"""
        path: list[tuple[dict[str, _Node], str]] = []
        node = self._root_of(topic)
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
            for walk in self._waiting_at.pop(child, ()):
                walk.pass_by()
                self._wait(walk)
            child.unlink()
            del children[level]

    def match(self, topic_filter: str, now: float) -> Iterator[Message | None]:
        """The messages whose topic a filter matches, without those that expired. [5.0 MQTT-4.7.2-1, 3.3.2.3.3]

        Each is looked up when it is asked for, however much later: one that was cleared or replaced since this call is
        left out, one that is new is not found. None comes where a search takes long, for who has other things to do.
        """
        return self._walk(_Walk(self._root_of(topic_filter), topic_filter), self._changes, now)

    def __iter__(self) -> Iterator[Message]:
        nodes = chain(_subtree(self._root), _subtree(self._dollar_root))
        return (node.message for node in nodes if node.message is not None)

    def _root_of(self, topic: str) -> _Node:
        return self._dollar_root if topic.startswith("$") else self._root

    def _walk(self, walk: _Walk, last: int, now: float) -> Iterator[Message | None]:
        in_vain = 0
        while (node := walk.node) is not None:
            message = node.message
            if message is None or node.serial > last or not walk.is_found() or message.is_expired(now):
                message = None
                in_vain += 1
            walk.go_on()
            if message is not None or in_vain == _MOST_IN_VAIN:
                in_vain = 0
                self._wait(walk)
                try:
                    yield message
                finally:
                    self._wait_no_more(walk)

    def _wait(self, walk: _Walk) -> None:
        if walk.node is not None:
            self._waiting_at.setdefault(walk.node, set()).add(walk)

    def _wait_no_more(self, walk: _Walk) -> None:
        if walk.node is not None:
            walks = self._waiting_at[walk.node]
            walks.remove(walk)
            if not walks:
                del self._waiting_at[walk.node]


def _subtree(node: _Node) -> Iterator[_Node]:
    """A node and all below it, each level in order of arrival; nothing may change meanwhile."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        if current.children:
            stack.extend(reversed(current.children.values()))


class _Walk:
    """A way through a tree that leads to everything a filter matches, each level in order of arrival.

    It stands at a node it has not dealt with; None when there is no more.
    """

    __slots__ = ("_depth", "_is_open", "_levels", "node")

    def __init__(self, root: _Node, topic_filter: str) -> None:
        levels = topic_filter.split("/")
        self._is_open = levels[-1] == "#"
        self._levels = levels[:-1] if self._is_open else levels
        self._depth = 0
        self.node: _Node | None = root

    def is_found(self) -> bool:
        """Whether the filter matches the topic of this node; `a/#` also matches `a` itself. [5.0 4.7.1.2]"""
        return self._depth >= len(self._levels) if self._is_open else self._depth == len(self._levels)

    def go_on(self) -> None:
        """To the next node: the first one below, or the next one beside."""
        assert self.node is not None
        children = self.node.children
        if children:
            below = None
            if self._depth < len(self._levels) and (level := self._levels[self._depth]) != "+":
                below = children.get(level)
            elif self._depth < len(self._levels) or self._is_open:
                below = next(iter(children.values()))
            if below is not None:
                self.node = below
                self._depth += 1
                return
        self.pass_by()

    def pass_by(self) -> None:
        """To the next node that is not below this one."""
        node = self.node
        while self._depth and node is not None:
            is_any = self._depth > len(self._levels) or self._levels[self._depth - 1] == "+"
            if is_any and node.following is not None:
                self.node = node.following
                return
            node = node.parent
            self._depth -= 1
        self.node = None
