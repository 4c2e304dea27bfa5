"""Attacks: there is one on each bound, and each tells a broker without its bound."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.attack.attacks import NOT_ATTACKED, Attack
from interop.attack.bystander import running_bystander
from interop.attack.command import page, run
from interop.attack.playing import ATTACKS, Arena, Outcome

ROOT = Path(__file__).parents[2]
BY_BOUND = {attack.bound: attack for attack in ATTACKS}
NO_SETTING = [attack.bound for attack in ATTACKS if not attack.raised]


def test_every_bound_is_attacked_or_it_is_said_why_not() -> None:
    """By the setting's name, or where it has none by what is protected."""
    text = (ROOT / "README.md").read_text()
    table = text[text.index("### What bounds a peer") : text.index("## How fast is a broker?")]
    rows = [re.split(r" \| ", line.strip("| ")) for line in table.splitlines() if line.startswith(("| `", "| - "))]
    bounds = {protects if name == "-" else name.strip("`") for name, _, protects, _ in rows}
    assert len(rows) > 30
    assert bounds == BY_BOUND.keys() | NOT_ATTACKED.keys()
    assert not BY_BOUND.keys() & NOT_ATTACKED.keys()
    assert len(BY_BOUND) == len(ATTACKS)


def test_each_bound_that_is_a_setting_can_be_raised() -> None:
    assert [bound for bound in NO_SETTING if bound.isidentifier()] == []


def test_every_attack_can_fail_by_more_than_time() -> None:
    for attack in ATTACKS:
        assert attack.expects or attack.at_most or attack.most_bytes, attack.bound


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with running_bystander() as bystander, Arena(bystander) as arena:
        yield arena


@pytest.mark.parametrize(
    ("bound", "breach"),
    [
        ("maximum_connections", "nobody was answered CONNACK 0x97"),
        ("queue_maximum_messages", "times PUBLISH, at most 500"),
        ("outgoing_maximum_bytes", "grew by"),
    ],
)
def test_a_broker_without_its_bound_is_caught(arena: Arena, bound: str, breach: str) -> None:
    """By an answer that nobody gets, by too many of another, by memory; and one with its bound is not."""
    attack = BY_BOUND[bound]
    assert arena.play(attack, 0.0).breaches == []
    assert any(breach in found for found in arena.play(attack, 0.0, attack.raised).breaches)


@pytest.mark.thorough
@pytest.mark.parametrize("bound", [attack.bound for attack in ATTACKS if attack.raised])
def test_every_bound_that_is_taken_away_is_missed(arena: Arena, bound: str) -> None:
    attack = BY_BOUND[bound]
    assert arena.play(attack, 0.0, attack.raised).breaches


def test_a_bystander_that_waits_too_long_is_a_fault_and_no_breach() -> None:
    late = Outcome(Attack("b", "does", print), p99_seconds=0.2)
    assert late.breaches == []
    assert late.faults == ["a bystander's round trip took 200 ms at p99"]
    assert late.faults[0] in page([late])
    assert Outcome(Attack("b", "does", print), p99_seconds=0.05).faults == []


def test_the_page_says_what_was_answered() -> None:
    attack = Attack("b", "does", print, {"limit": 3}, "CONNACK 0x97", {"PUBLISH": 7})
    text = page([Outcome(attack, 2, 3.0, Counter({"CONNACK 0x97": 1500, "PUBLISH": 5}), 1 << 25, 1 << 21)])
    assert "| b | does; 2 times in 3.0 s | limit 3 | CONNACK 0x97: 1,500, PUBLISH: 5 | 32 | 2.0 | 24 | 0.0 |" in text


def test_the_command_plays_what_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "attacks.md"
    options = argparse.Namespace(seconds=0.0, quick=True, bound="maximum_connections", unbounded=True, out=out)
    assert run(options) == 0
    assert capsys.readouterr().out.endswith("1 bounds taken away, 0 not missed\n")
    assert "nobody was answered CONNACK 0x97" in out.read_text()
