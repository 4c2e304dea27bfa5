"""What people read leads somewhere: every link to a file of ours, and one picture in each guide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = ("certify-a-client", "certify-a-broker", "use-in-ci", "write-a-scenario")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "scenarios" / "README.md"])

_LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)#\s]+)?(?:#([\w-]+))?\)")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[tuple[str, str, str]]:
    """`!` for a picture, the file, the heading."""
    return _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for _, file, heading in links(page):
        if "://" in file:
            continue
        there = (page.parent / file) if file else page
        assert there.exists(), file
        assert not heading or heading in anchors(there), f"{file}#{heading}"


@pytest.mark.parametrize("name", GUIDES)
def test_each_guide_has_one_small_picture_and_is_named_in_the_readme(name: str) -> None:
    (picture,) = [file for mark, file, _ in links(ROOT / "docs" / f"{name}.md") if mark]
    assert picture == f"pictures/{name}.png"
    assert (ROOT / "docs" / picture).stat().st_size <= 150_000
    assert f"docs/{name}.md" in [file for _, file, _ in links(ROOT / "README.md")]


def test_each_threat_names_tests_that_there_are() -> None:
    rows = re.findall(r"^\| (?!threat).*", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
    there = set(re.findall(r"def (test_\w+)", "".join(each.read_text() for each in ROOT.glob("tests/**/test_*.py"))))
    assert len(rows) > 15
    for row in rows:
        named = set(re.findall(r"`(test_\w+)`", row.rsplit("|", 2)[1]))
        assert named, row
        assert named <= there, named - there
