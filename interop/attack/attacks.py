"""What an attack is, and which bounds of README's table none is about.

Belongs here: the row's form. Does not belong here: the rows (`opening`, `keeping`, `streaming`), playing one
(`playing`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from interop.attack.attacker import Scene
from reference_broker.net.address import Transport

KIBI: Final = 1024
MEBI: Final = 1024 * KIBI
HIGH: Final = 1 << 30
"""A bound that no attack reaches."""
SLACK_BYTES: Final = 24 * MEBI
"""What the process may grow by aside from what is bounded: some KiB for each connection, one read and one write of each
peer that is worked for, and what the allocator keeps for later."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One bound, who attacks it, and what has to hold meanwhile."""

    bound: str
    """The setting, or where there is none what it protects, as in README's table."""
    does: str
    """What the attackers do, in words."""
    play: Callable[[Scene], None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How the broker is set, so that a bound is reached in seconds."""
    expects: str = ""
    """The answer that somebody has to get; nothing where the bound is kept in silence."""
    at_most: Mapping[str, int] = field(default_factory=dict)
    """How often what is answered in each wave, where more would be beyond the bound."""
    most_bytes: int = SLACK_BYTES
    """What the process may grow by."""
    raised: Mapping[str, Any] = field(default_factory=dict)
    """The settings of a broker without this bound, which has to be caught; none where it is no setting."""
    transport: Transport = Transport.TCP
    is_durable: bool = False
    """Whether the broker has a store."""
    handles: int = 0
    """How many file handles the process may have; 0 for as many as the system says."""
    has_users: bool = False
    """Whether it has a file of users, of whom the bystander is one."""


NOT_ATTACKED: Final = {
    "tcp_keepalive_seconds": "on loopback nobody's machine can be gone: its kernel answers",
}
"""Bounds that cannot be attacked over sockets of one machine, and why."""
