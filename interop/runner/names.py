"""Names of a scenario made unique for one cell, and back again.

Belongs here: topics, topic filters, client ids.
Does not belong here: what is done with them.

Cells share a broker that somebody else started, so a scenario's `t` becomes `k3f9a2/t` on the wire. A name that begins
with `$`, or with `root:`, is taken as it is (`root:#` is the filter `#`): there the first level is what matters.
`sized:65535` becomes a topic of that many bytes.
"""

from __future__ import annotations

import itertools
import secrets
import string
from dataclasses import dataclass, field

from reference_broker.wire.topics import SHARE_PREFIX

ROOT = "root:"
SIZED = "sized:"
MAXIMUM_CLIENT_ID_LENGTH = 23  # the longest every server takes, [3.1 3.1, 3.1.1 MQTT-3.1.3-5]


_DIGITS = string.digits + string.ascii_lowercase
_PLACES = 5
_numbers = itertools.count(secrets.randbelow(len(_DIGITS) ** _PLACES))


def new_token() -> str:
    """Six characters that no other cell has.

    Numbers in a row from a random start: were each drawn by itself, some of a run's thousands would meet.
    """
    number = next(_numbers)
    return "k" + "".join(_DIGITS[number // len(_DIGITS) ** place % len(_DIGITS)] for place in range(_PLACES))


@dataclass(frozen=True, slots=True)
class Names:
    """The mapping of one cell."""

    token: str = field(default_factory=new_token)

    def topic(self, name: str) -> str:
        """The topic name or filter on the wire for a scenario's name; an empty one stays empty."""
        if name.startswith(SHARE_PREFIX) and name.count("/") >= 2:
            _, group, rest = name.split("/", 2)
            return f"{SHARE_PREFIX}{group}{self.token}/{self.topic(rest)}"
        if name.startswith(ROOT):
            return name.removeprefix(ROOT)
        if name.startswith(SIZED):
            return f"{self.token}/".ljust(int(name.removeprefix(SIZED)), "x")
        if not name or name.startswith("$"):
            return name
        return f"{self.token}/{name}"

    def relative(self, topic: str) -> str:
        """The scenario's name for a topic seen on the wire."""
        return topic.removeprefix(f"{self.token}/")

    def client_id(self, name: str) -> str:
        """The client id on the wire; an empty one stays empty, for the broker to assign."""
        return f"{self.token}{name}"[:MAXIMUM_CLIENT_ID_LENGTH] if name else ""
