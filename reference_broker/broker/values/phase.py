"""How far a connection has come.

Belongs here: the names. Does not belong here: which packet is allowed in which phase (`peers.dispatch`).
"""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """The phases of a connection, in order; authentication is left out where there is none. [5.0 3.1.4, 4.12]"""

    AWAITING_CONNECT = auto()
    AUTHENTICATING = auto()
    AWAITING_CHECK = auto()
    """It is being looked, elsewhere, whether the password is right."""
    AWAITING_SESSION = auto()
    """Let in, but the session is still on its way from the store."""
    CONNECTED = auto()
    CLOSED = auto()
