"""Changes that are in the journal and not yet in their places.

Belongs here: what of them still matters when they are put there. Does not belong here: SQL (`sqlite`).

To note a change has to be cheap, because most are undone before they get anywhere: the message that was put and sent.
So they are only laid into dicts, and looked at once for all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from reference_broker.store.records import Change, Removal, Row, end_of


class Folding(NamedTuple):
    """What is to be done, in this order; keys in the order of bytes."""

    prefixes: list[bytes]
    """All keys that begin so go."""
    removed: list[bytes]
    put: list[Row]


class Pending:
    """Notes changes; a layer begins wherever every key with a prefix is removed."""

    def __init__(self) -> None:
        self.bytes = 0
        """How large the journal of these changes is."""
        self.count = 0
        """How many they are."""
        self._layers: list[tuple[list[bytes], dict[bytes, bytes | Removal]]] = [([], {})]

    def note(self, changes: Sequence[Change], size_bytes: int) -> None:
        """These come behind all before."""
        self.bytes += size_bytes
        self.count += len(changes)
        if Removal.ALL not in [value for _, value in changes if value.__class__ is Removal]:
            self._layers[-1][1].update(changes)
            return
        for key, value in changes:
            if value is not Removal.ALL:
                self._layers[-1][1][key] = value
            elif self._layers[-1][1]:
                self._layers.append(([key], {}))
            else:
                self._layers[-1][0].append(key)

    def folding(self) -> Folding:
        """What is left to do of all this: the last word on every key."""
        values, layer_of = self._last_words()
        keys = sorted(values)
        prefixes = set(self._layers[0][0])
        for number, (some, _) in enumerate(self._layers[1:], 1):
            prefixes.update(some)
            for prefix in some:
                end = end_of(prefix)
                last = len(keys) if end is None else bisect_left(keys, end)
                for key in keys[bisect_left(keys, prefix) : last]:
                    if layer_of[key] < number:
                        values.pop(key, None)
        return Folding(
            sorted(prefixes),
            [key for key in keys if values.get(key) is Removal.ONE],
            [(key, value) for key in keys if (value := values.get(key)).__class__ is bytes],
        )

    def _last_words(self) -> tuple[dict[bytes, bytes | Removal], dict[bytes, int]]:
        """The last value of every key, and in which layer that is."""
        values: dict[bytes, bytes | Removal] = {}
        layer_of: dict[bytes, int] = {}
        for number, (_, layer) in enumerate(self._layers):
            values |= layer
            if len(self._layers) > 1:
                layer_of |= dict.fromkeys(layer, number)
        return values, layer_of


def compacted(changes: Sequence[Change]) -> list[Change]:
    """As few changes as come to the same."""
    pending = Pending()
    pending.note(changes, 0)
    folding = pending.folding()
    return [
        *((prefix, Removal.ALL) for prefix in folding.prefixes),
        *((key, Removal.ONE) for key in folding.removed),
        *folding.put,
    ]
