"""Steps that say the same of many topics: `count: 300` with `{n}` in the topic.

Belongs here: what each of the many is. Does not belong here: which steps may say so (`steps`), carrying them out.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

PLACEHOLDER = "{n}"
MOST = 1000

S = TypeVar("S", bound=BaseModel)


def numbered(step: S) -> list[S]:
    """A step with a `count` for each number, from 0; the step itself where that is 1."""
    fields = dict(step)
    if fields["count"] == 1:
        return [step]
    written = {name: text for name in ("topic", "payload") if isinstance(text := fields.get(name), str)}
    return [
        step.model_copy(
            update={"count": 1} | {name: text.replace(PLACEHOLDER, str(number)) for name, text in written.items()}
        )
        for number in range(fields["count"])
    ]
