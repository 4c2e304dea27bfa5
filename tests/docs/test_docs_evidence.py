"""What is said of other people's code can be read there as it was when it was said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (
    "*.md",
    "docs/*.md",
    "findings/*",
    "interop/runner/known_failures.yaml",
    "*/*/known_failures.yaml",
    "*/*/README.md",
)
PAGES = sorted({page for place in PLACES for page in ROOT.glob(place)} - set(ROOT.glob("reports/published/*")))

_MOVING = re.compile(r"https?://\S+/(?:blob|tree|raw|edit)/(?:main|master|develop|dev|trunk|next|HEAD)\b\S*")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_leads_to_a_branch_that_moves_on(page: Path) -> None:
    assert _MOVING.findall(page.read_text(encoding="utf-8")) == []
