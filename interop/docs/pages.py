"""Which pages there are, and writing them.

Belongs here: file names. Does not belong here: what a page says (`settings`, `automata`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interop.docs.automata import automata_page
from interop.docs.settings import settings_page

FOLDER = Path(__file__).parents[2] / "docs"

PAGES: dict[str, Callable[[], str]] = {"settings.md": settings_page, "automata.md": automata_page}


def write_pages() -> None:
    """Write all of them, as `make docs` does."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
