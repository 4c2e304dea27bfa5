"""Which topic filters match a topic, among very many. [3.1.1 4.7, 5.0 4.7]

Belongs here: a store of values under (filter, key) that is searched by topic name.
Does not belong here: what the values are, share names, or whether a filter is well-formed (the wire checked it).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Node(Generic[K, V]):
    """One level of the wildcard filters: what ends here, what ends here with `#`, and what goes on."""

    __slots__ = ("children", "multi_level", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[K, V]] = {}
        self.values: dict[K, V] = {}
        self.multi_level: dict[K, V] = {}

    def is_empty(self) -> bool:
        return not (self.children or self.values or self.multi_level)


class TopicTree(Generic[K, V]):
    """Values under (filter, key), found by topic name; `key_of` gives a value's key.

    Filters without wildcards, the most by far, lie in a flat dict, where a topic finds them in one step. The others
    form a tree of levels; a search takes at most two ways at each level, the level's own name and `+`.
    """

    def __init__(self, key_of: Callable[[V], K]) -> None:
        self._key_of = key_of
        self._exact: dict[str, V | dict[K, V]] = {}
        """Most filters have one value, which takes no dict; a value is none itself."""
        self._root: _Node[K, V] = _Node()
        self.node_count = 0
        """Levels of wildcard filters, each counted once where several filters begin alike."""

    def set(self, topic_filter: str, value: V) -> None:
        """Store a value, in place of the one the filter and its key had."""
        key = self._key_of(value)
        if has_wildcard(topic_filter):
            self._place(topic_filter)[key] = value
            return
        here = self._exact.get(topic_filter)
        if isinstance(here, dict):
            here[key] = value
        elif here is None or (its_key := self._key_of(here)) == key:
            self._exact[topic_filter] = value
        else:
            self._exact[topic_filter] = {its_key: here, key: value}

    def remove(self, topic_filter: str, key: K) -> None:
        """Remove what is stored under filter and key; nothing happens if nothing is."""
        if not has_wildcard(topic_filter):
            here = self._exact.get(topic_filter)
            if isinstance(here, dict):
                here.pop(key, None)
                is_over = not here
            else:
                is_over = here is not None and self._key_of(here) == key
            if is_over:
                del self._exact[topic_filter]
            return
        path: list[tuple[_Node[K, V], str]] = []
        node = self._root
        values = node.values
        for level in topic_filter.split("/"):
            if level == "#":
                values = node.multi_level
                break
            child = node.children.get(level)
            if child is None:
                return
            path.append((node, level))
            node, values = child, child.values
        values.pop(key, None)
        for parent, level in reversed(path):
            if not parent.children[level].is_empty():
                break
            del parent.children[level]
            self.node_count -= 1

    def match(self, topic: str) -> list[V]:
        """The values of all filters that match a topic name, in no particular order."""
        here = self._exact.get(topic)
        found = list(here.values()) if isinstance(here, dict) else [] if here is None else [here]
        root = self._root
        if root.children or root.multi_level:
            _collect(root, topic.split("/"), found)
        return found

    def _place(self, topic_filter: str) -> dict[K, V]:
        node = self._root
        for level in topic_filter.split("/"):
            if level == "#":
                return node.multi_level
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
                self.node_count += 1
            node = child
        return node.values


def has_wildcard(topic_filter: str) -> bool:
    """Whether a well-formed filter selects more than the one topic of its name."""
    return "+" in topic_filter or "#" in topic_filter


def _collect(root: _Node[K, V], levels: list[str], found: list[V]) -> None:
    """Add the values of all matching wildcard filters.

    All nodes of one depth at a time, not recursively: a topic may have 65,535 levels.
    """
    # A topic that begins with $ is not matched by a filter that begins with a wildcard. [5.0 MQTT-4.7.2-1]
    if levels[0].startswith("$"):
        child = root.children.get(levels[0])
        nodes = [child] if child is not None else []
        levels = levels[1:]
    else:
        nodes = [root]
    for level in levels:
        following = []
        for node in nodes:
            if node.multi_level:
                found.extend(node.multi_level.values())
            children = node.children
            if (child := children.get(level)) is not None:
                following.append(child)
            if (child := children.get("+")) is not None:
                following.append(child)
        if not following:
            return
        nodes = following
    for node in nodes:
        found.extend(node.values.values())
        found.extend(node.multi_level.values())  # `a/#` also matches `a` itself [5.0 4.7.1.2]
