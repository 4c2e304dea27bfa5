"""Badges: a few words that do not flatter, as an image and as shields.io reads them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from reports_samples import record

from reports.badge import message_of, write_badge, write_shields
from reports.record import KnownFailure, Record, Verdict
from reports.summary import Summary

KNOWN = record("a/known", verdict=Verdict.FAIL, known_failure=KnownFailure(reason="so it is"))
FAILED, BROKEN = record("a/fail", verdict=Verdict.FAIL), record("a/setup", verdict=Verdict.SETUP_FAILED)
LISTED = record("a/listed", verdict=Verdict.SETUP_FAILED, known_failure=KnownFailure(reason="so it is"))
UNSUPPORTED = record("a/not", verdict=Verdict.UNSUPPORTED)


@pytest.mark.parametrize(
    ("records", "message", "colour"),
    [
        ([record()], "1 of 1 pass", "brightgreen"),
        ([record(), UNSUPPORTED], "1 of 1 pass", "brightgreen"),
        ([record(), KNOWN], "1 of 2 pass", "green"),
        ([record(), KNOWN, FAILED], "1 of 3 pass, 1 new failure", "red"),
        ([record(), BROKEN], "1 of 2 pass, 1 without a verdict", "lightgrey"),
        ([record(), LISTED], "1 of 2 pass", "green"),
        ([BROKEN, FAILED], "0 of 2 pass, 1 new failure", "red"),
        ([UNSUPPORTED], "nothing ran", "lightgrey"),
        ([], "nothing ran", "lightgrey"),
    ],
)
def test_a_badge_says_what_the_run_came_to(records: list[Record], message: str, colour: str) -> None:
    assert message_of(Summary.of(records)) == (message, colour)


def test_cells_that_did_not_run_are_no_green_badge() -> None:
    assert message_of(Summary.of([record()], not_run=2)) == ("1 of 1 pass, 2 without a verdict", "lightgrey")


def test_shields_gets_the_keys_of_its_endpoint(tmp_path: Path) -> None:
    write_shields(Summary.of([record()]), tmp_path / "badge.json")
    badge = json.loads((tmp_path / "badge.json").read_text())
    assert badge == {"schemaVersion": 1, "label": "MQTT interop", "message": "1 of 1 pass", "color": "brightgreen"}


def test_the_image_is_svg_with_its_words_as_its_name(tmp_path: Path) -> None:
    write_badge(Summary.of([record(), FAILED]), tmp_path / "badge.svg")
    root = ET.parse(tmp_path / "badge.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("aria-label") == "MQTT interop: 1 of 2 pass, 1 new failure"
