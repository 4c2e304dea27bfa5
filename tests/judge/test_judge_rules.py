"""Each rule of the judge finds what breaks it, blames the right side, cites the right statement, and nothing else."""

from __future__ import annotations

import judge_stories_acknowledging
import judge_stories_connection
import judge_stories_contents
import judge_stories_forwarding
import judge_stories_keep_alive
import judge_stories_limits
import judge_stories_resending
import judge_stories_sessions
import judge_stories_wills
import pytest
from judge_story import BREAKING, BROKER, CLIENT, KEEPING, Story, Told

from interop.judge import RULES, citations, judge
from interop.judge.registry import ONE_CONNECTION
from interop.requirements.requirements import statements
from reference_broker.wire.types import Version

STORIES = (
    judge_stories_acknowledging,
    judge_stories_connection,
    judge_stories_forwarding,
    judge_stories_contents,
    judge_stories_wills,
    judge_stories_keep_alive,
    judge_stories_limits,
    judge_stories_resending,
    judge_stories_sessions,
)


def _cases(told: list[Told]) -> list[object]:
    return [
        pytest.param(each, version, id=f"{each.rule}-{each.name}-{version.label}")
        for each in told
        for version in each.versions
    ]


@pytest.mark.parametrize(("told", "version"), _cases(BREAKING))
def test_a_broken_rule_is_found_with_blame_statement_and_place(told: Told, version: Version) -> None:
    story = Story(version)
    guilty = told.tell(story)
    assert guilty is not None
    findings = story.findings()
    assert {finding.rule for finding in findings} == {told.rule, *told.also}, findings
    found = next(finding for finding in findings if finding.rule == told.rule)
    assert (found.blame, found.trace_index, found.link) == (told.blame, guilty.index, guilty.link), findings
    clause = RULES[told.rule].clauses(told.blame)[version]
    assert found.cites == (clause.ids if told.cites is None else told.cites)
    assert found.level is clause.level
    assert found.message


@pytest.mark.parametrize(("told", "version"), _cases(KEEPING))
def test_what_comes_close_to_breaking_a_rule_breaks_none(told: Told, version: Version) -> None:
    story = Story(version)
    told.tell(story)
    assert story.findings() == []


@pytest.mark.parametrize(("told", "version"), _cases([*BREAKING, *KEEPING]))
def test_only_what_waits_for_something_is_refuted_by_what_comes_later(told: Told, version: Version) -> None:
    """A monitor tells findings of one connection before it is over."""
    story = Story(version)
    told.tell(story)
    entries = list(story.trace)
    found = judge(entries, version, ONE_CONNECTION)
    for size in range(len(entries)):
        refuted = {(each.rule, each.trace_index) for each in judge(entries[:size], version, ONE_CONNECTION)} - {
            (each.rule, each.trace_index) for each in found
        }
        assert all(RULES[rule].waits for rule, _ in refuted), (size, refuted)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_story_for_each_side_and_version_that_breaks_it_and_one_that_does_not(rule: str) -> None:
    for side in (CLIENT, BROKER):
        for version in RULES[rule].clauses(side):
            broken = [told for told in BREAKING if told.rule == rule and told.blame is side]
            assert any(version in told.versions for told in broken), (side, version)
            assert any(told.rule == rule and version in told.versions for told in KEEPING), version


@pytest.mark.parametrize("told", BREAKING, ids=lambda told: f"{told.rule}-{told.name}")
def test_no_rule_is_found_in_a_version_that_does_not_have_it(told: Told) -> None:
    for version in set(Version) - set(RULES[told.rule].clauses(told.blame)):
        story = Story(version)
        told.tell(story)
        assert not [each for each in story.findings() if each.rule == told.rule and each.blame is told.blame]


@pytest.mark.parametrize("version", list(Version), ids=lambda version: version.label)
def test_every_statement_a_rule_cites_is_in_the_table_of_its_version(version: Version) -> None:
    known = statements(version.label)
    for rule in RULES.values():
        for side in (CLIENT, BROKER):
            assert citations(rule, side, version) <= set(known), rule.name


@pytest.mark.parametrize("version", list(Version), ids=lambda version: version.label)
def test_a_rule_is_as_binding_as_the_statements_it_cites(version: Version) -> None:
    known = statements(version.label)
    for rule in RULES.values():
        for side in (CLIENT, BROKER):
            clause = rule.clauses(side).get(version)
            for each in () if clause is None else clause.ids:
                assert known[each].level == clause.level, (rule.name, each)


@pytest.mark.parametrize("version", list(Version), ids=lambda version: version.label)
def test_a_rule_cites_statements_that_oblige_the_side_it_blames(version: Version) -> None:
    known = statements(version.label)
    roles = {CLIENT: {"client", "both"}, BROKER: {"server", "both"}}
    for rule in RULES.values():
        for side in (CLIENT, BROKER):
            clause = rule.clauses(side).get(version)
            for each in () if clause is None else clause.ids:
                assert known[each].role in roles[side], (rule.name, each)


def test_rules_have_one_name_each() -> None:
    assert len({id(rule) for rule in RULES.values()}) == len(RULES)


def test_stories_are_told_for_known_versions_only() -> None:
    assert STORIES
    assert all(set(told.versions) <= set(RULES[told.rule].clauses(told.blame)) for told in BREAKING)
