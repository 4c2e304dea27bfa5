"""Lines for people about what peers did.

Belongs here: where they go, and keeping them short. Does not belong here: what is worth a line (whoever writes it).
"""

from __future__ import annotations

from collections.abc import Callable

_LONGEST_TEXT = 500


class Log:
    """Takes one line for each rejected peer; `write` is what an adapter does with it, nothing at first."""

    __slots__ = ("write",)

    def __init__(self) -> None:
        self.write: Callable[[str], None] = _nowhere


def shortened(text: str, longest: int = _LONGEST_TEXT) -> str:
    """A text for people with what a peer chose in it, such as a topic of 65,535 bytes."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def _nowhere(_line: str) -> None:
    pass
