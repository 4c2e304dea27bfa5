"""Steps that say the same of many topics: `count: 300` with `{n}` in the topic.

Belongs here: what each of the many is. Does not belong here: which steps may say so (`steps`), carrying them out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from pydantic import BaseModel

PLACEHOLDER = "{n}"
MOST = 65_536
"""One more than there are packet identifiers."""
MOST_UNLESS_SLOW = 1000
"""More takes a scenario that says `slow: true`."""

S = TypeVar("S", bound=BaseModel)


def numbered(step: S) -> Iterator[S]:
    """A step with a `count` for each number, from 0; the step itself where that is 1."""
    fields = dict(step)
    if fields["count"] == 1:
        yield step
        return
    written = {name: text for name in ("topic", "payload") if isinstance(text := fields.get(name), str)}
    for number in range(fields["count"]):
        named = {name: text.replace(PLACEHOLDER, str(number)) for name, text in written.items()}
        yield step.model_copy(update={"count": 1} | named)
