"""The list of known failures: what an entry says, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from interop.runner.known_failures import BadKnownFailures, explanation, load_known_failures

AMBIGUOUS = """\
- client: acme
  class: ambiguous
  scenarios: [will/at_the_end]
  reason: Whether a will is sent then is said twice, differently.
  readings: ["3.1.2.5 says it is [MQTT-3.1.2-8].", "3.14.4 says it is not [MQTT-3.14.4-3]."]
  evidence: [https://example.org/thread, traces/will.pcapng]
"""


def test_an_ambiguous_entry_hands_both_readings_and_its_evidence_on(tmp_path: Path) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(AMBIGUOUS)
    [entry] = load_known_failures(path).entries
    known = explanation(entry)
    assert known.is_ambiguous
    assert [reading[:6] for reading in known.readings] == ["3.1.2.", "3.14.4"]
    assert known.evidence == ("https://example.org/thread", "traces/will.pcapng")


@pytest.mark.parametrize(
    "text",
    [
        AMBIGUOUS.replace(', "3.14.4 says it is not [MQTT-3.14.4-3]."', ""),
        AMBIGUOUS.replace("  class: ambiguous\n", ""),
        AMBIGUOUS.replace("class: ambiguous", "class: doubtful"),
    ],
    ids=["one-reading", "no-class", "no-such-class"],
)
def test_ambiguous_is_what_has_two_readings_and_nothing_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(text)
    with pytest.raises(BadKnownFailures, match="entry 0"):
        load_known_failures(path)


def a_cell(scenario: str) -> SimpleNamespace:
    return SimpleNamespace(scenario=scenario, client="acme", broker="shop", mqtt="5.0", transport="tcp")


BOTH = """\
- client: acme
  scenarios: [qos1/resumed]
  rules: [wire, redelivery-with-dup]
  reason: No DUP.
- broker: shop
  scenarios: [qos1/*]
  rules: [takeover-says-why]
  reason: No DISCONNECT.
"""


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (["wire"], "No DUP."),
        (["takeover-says-why"], "No DISCONNECT."),
        (["takeover-says-why", "wire"], "No DUP. No DISCONNECT."),
        (["takeover-says-why", "wire", "closed"], None),
        (["closed"], None),
    ],
)
def test_what_is_known_of_both_sides_explains_a_cell_in_which_both_show_it(
    tmp_path: Path, broken: list[str], reason: str | None
) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(BOTH)
    cell = a_cell("qos1/resumed")
    found = load_known_failures(path).entry_that_explains(cell, {}, broken, "")
    assert (found.reason if found else None) == reason


@pytest.mark.parametrize(("rules", "is_explained"), [("\n  rules: [wire]", False), ("", True)])
def test_where_nothing_was_seen_to_be_broken_an_entry_that_says_what_breaks_explains_nothing(
    tmp_path: Path, rules: str, is_explained: bool
) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(f"- scenarios: [qos1/*]{rules}\n  client: acme\n  reason: It ends there.\n")
    found = load_known_failures(path).entry_that_explains(a_cell("qos1/resumed"), {}, [], "")
    assert (found is not None) == is_explained


def test_where_one_side_is_open_to_two_readings_the_other_does_not_explain_both(tmp_path: Path) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(AMBIGUOUS.replace("  reason", "  rules: [wire]\n  reason") + BOTH.replace("qos1/*", "will/*"))
    cell = a_cell("will/at_the_end")
    assert load_known_failures(path).entry_that_explains(cell, {}, ["wire", "takeover-says-why"], "") is None


EARLIER = """\
- broker: shop
  releases: '<2.1'
  scenarios: [qos1/*]
  reason: It was mended.
"""


@pytest.mark.parametrize(
    ("version", "is_known"),
    [("shop 2.0.11", True), ("shop 2.1.0", False), ("shop 2.1.3-rc1", False), ("shop built today", True), (None, True)],
)
def test_an_entry_of_some_releases_is_about_no_other_that_is_known(
    tmp_path: Path, version: str | None, is_known: bool
) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(EARLIER)
    played = {} if version is None else {"broker": version, "client": "acme 9"}
    assert (load_known_failures(path).entry_for(a_cell("qos1/resumed"), played) is not None) is is_known


@pytest.mark.parametrize(
    "text", [EARLIER.replace("<2.1", "before 2.1"), EARLIER.replace("broker: shop", "mqtt: ['5.0']")]
)
def test_releases_are_written_as_packages_write_them_and_of_somebody(tmp_path: Path, text: str) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(text)
    with pytest.raises(BadKnownFailures, match="releases: "):
        load_known_failures(path)


TOLD_BY_A_LOG = """\
- broker: shop
  scenarios: ['*']
  rules: [subscribe]
  log: closed too (soon|late)
  intermittent: true
  reason: It closes.
"""


@pytest.mark.parametrize(("log", "is_known"), [("12:00 closed too soon\n", True), ("closed", False), ("", False)])
def test_an_entry_that_a_log_tells_is_about_no_cell_whose_log_does_not(
    tmp_path: Path, log: str, is_known: bool
) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(TOLD_BY_A_LOG)
    known = load_known_failures(path)
    found = known.entry_that_explains(a_cell("qos1/resumed"), {}, ["subscribe"], log)
    assert (found is not None) is is_known


@pytest.mark.parametrize(
    "text", [TOLD_BY_A_LOG.replace("(soon", "soon"), TOLD_BY_A_LOG.replace("  intermittent: true\n", "")]
)
def test_what_a_log_tells_is_a_regular_expression_and_intermittent(tmp_path: Path, text: str) -> None:
    path = tmp_path / "known.yaml"
    path.write_text(text)
    with pytest.raises(BadKnownFailures, match="log: "):
        load_known_failures(path)


def test_a_cell_has_to_fail_by_the_entry_that_always_shows_whatever_shows_now_and_then(tmp_path: Path) -> None:
    path = tmp_path / "known.yaml"
    now_and_then = "- broker: shop\n  scenarios: ['*']\n  intermittent: true\n  reason: Now and then.\n"
    path.write_text(now_and_then + BOTH)
    known = load_known_failures(path)
    found = known.entry_for(a_cell("qos1/resumed"), {})
    assert (found.reason if found else None) == "No DUP."
    assert known.entry_for(a_cell("will/at_the_end"), {}) is None
