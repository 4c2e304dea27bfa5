"""`also`: a row played again over a lost connection, out of the queue, by a share, ..."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import RIGHT, line_of, load_text, problems_of, with_steps

from interop.scenario.lint import lint
from interop.scenario.load import LoadedScenario
from interop.scenario.variants import VARIANTS


def also(variants: str, text: str = RIGHT) -> str:
    return text.replace("needs:", f"also: [{variants}]\nneeds:")


def the_variant(tmp_path: Path, name: str, text: str = RIGHT) -> LoadedScenario:
    plain, varied = load_text(tmp_path, also(name, text))
    assert plain.scenario.steps == load_text(tmp_path, text)[0].scenario.steps, "the row itself stays as it is"
    return varied


def steps(tmp_path: Path, name: str, text: str = RIGHT) -> list[str]:
    return list(the_variant(tmp_path, name, text).step_texts)


SUBSCRIBE, PUBLISH, RECEIVE = (line.removeprefix("  - ") for line in RIGHT.splitlines()[-3:])
BACK = "{do: connect, as: sub, session_present: true}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resumed", [SUBSCRIBE, "{do: cut, link: sub, how: fin}", BACK, PUBLISH, RECEIVE]),
        (
            "resumed-twice",
            [
                SUBSCRIBE,
                "{do: cut, link: sub, how: fin}",
                BACK,
                "{do: cut, link: sub, how: rst}",
                BACK,
                PUBLISH,
                RECEIVE,
            ],
        ),
        ("taken-over", [SUBSCRIBE, "{do: cut, link: sub, how: silence}", BACK, PUBLISH, RECEIVE]),
        ("queued", [SUBSCRIBE, "{do: disconnect, as: sub}", PUBLISH, BACK, RECEIVE]),
        (
            "resent",
            [
                SUBSCRIBE,
                "{do: mark, name: away-1}",
                "{do: cut, link: sub, at: PUBLISH, from: broker}",
                PUBLISH,
                "{do: wire, link: sub, from: broker, since: away-1, contains: [PUBLISH]}",
                BACK,
                RECEIVE,
            ],
        ),
        ("restarted", [SUBSCRIBE, "{do: restart, how: stop}", BACK, PUBLISH, RECEIVE]),
        (
            "queued+then-killed",
            [
                SUBSCRIBE,
                "{do: disconnect, as: sub}",
                PUBLISH,
                "{do: restart, how: kill}",
                "{do: connect, as: pub}",
                BACK,
                RECEIVE,
            ],
        ),
        (
            "resent-twice",
            [
                SUBSCRIBE,
                "{do: mark, name: away-1}",
                "{do: cut, link: sub, at: PUBLISH, from: broker}",
                PUBLISH,
                "{do: wire, link: sub, from: broker, since: away-1, contains: [PUBLISH]}",
                "{do: cut, link: sub, at: PUBLISH, from: broker}",
                BACK,
                "{do: wire, link: sub, from: broker, since: connect, contains: [PUBLISH]}",
                BACK,
                RECEIVE,
            ],
        ),
        (
            "held-up",
            [
                SUBSCRIBE,
                "{do: subscribe, as: sub, topic: away-1, qos: 1}",
                "{do: drop, link: sub, at: PUBACK, from: client}",
                "{do: publish, as: somebody_else, topic: away-1, qos: 1, payload: in the way}",
                "{do: receive, as: sub, topic: away-1, payload: in the way}",
                PUBLISH,
                "{do: cut, link: sub, how: silence}",
                "{do: drop, link: sub, at: PUBACK, from: client}",
                BACK,
                "{do: receive, as: sub, topic: away-1, payload: in the way}",
                "{do: cut, link: sub, how: fin}",
                BACK,
                "{do: receive, as: sub, topic: away-1, payload: in the way}",
                RECEIVE,
            ],
        ),
        ("shared", ["{do: subscribe, as: sub, topic: $share/sub/t, qos: 1}", PUBLISH, RECEIVE]),
        (
            "shared+queued",
            [
                "{do: subscribe, as: sub, topic: $share/sub/t, qos: 1}",
                "{do: disconnect, as: sub}",
                PUBLISH,
                BACK,
                RECEIVE,
            ],
        ),
        ("one-by-one", [SUBSCRIBE, PUBLISH, RECEIVE]),
    ],
)
def test_a_variant_puts_the_subscriber_into_its_condition(tmp_path: Path, name: str, expected: list[str]) -> None:
    assert steps(tmp_path, name) == expected


def test_who_is_held_up_takes_one_message_at_a_time_and_somebody_else_is_in_its_way(tmp_path: Path) -> None:
    actors = the_variant(tmp_path, "held-up").scenario.actors
    assert actors["sub"].properties == {"receive_maximum": 1}
    assert "somebody_else" in actors


def test_a_condition_sets_in_after_each_subscribe_or_unsubscribe_of_an_actor(tmp_path: Path) -> None:
    text = with_steps(
        """
        {do: subscribe, as: sub, topic: t, qos: 1}
        {do: publish, as: pub, topic: t, qos: 1, payload: a}
        {do: receive, as: sub, topic: t, payload: a}
        {do: unsubscribe, as: sub, topic: t}
        {do: publish, as: pub, topic: t, qos: 1, payload: b}
        """
    )
    verbs = [step.do for step in the_variant(tmp_path, "resumed", text).scenario.steps]
    assert verbs == [
        "subscribe", "cut", "connect", "publish", "receive", "unsubscribe", "cut", "connect", "publish"
    ]  # fmt: skip


def test_where_nothing_follows_the_condition_sets_in_at_the_end(tmp_path: Path) -> None:
    text = with_steps(
        """
        {do: publish, as: pub, topic: t, qos: 1, retain: true, payload: a}
        {do: subscribe, as: sub, topic: t, qos: 1}
        {do: receive, as: sub, topic: t, payload: a}
        """
    )
    assert [step.do for step in the_variant(tmp_path, "resumed", text).scenario.steps][-3:] == [
        "receive",
        "cut",
        "connect",
    ]


def test_what_an_absent_actor_would_publish_somebody_else_does(tmp_path: Path) -> None:
    text = RIGHT.replace("as: pub", "as: sub").replace("  pub: {}\n", "")
    varied = the_variant(tmp_path, "queued", text)
    assert varied.step_texts[2] == "{do: publish, as: somebody_else, topic: t, qos: 1, payload: hello}"
    assert list(varied.scenario.actors) == ["sub", "somebody_else"]


def test_a_variant_needs_a_kept_session_and_judges_the_broker_alone(tmp_path: Path) -> None:
    scenario = the_variant(tmp_path, "queued").scenario
    assert scenario.actors["sub"].session == "kept"
    assert scenario.actors["pub"].session == "clean"
    assert set(scenario.needs) == {"qos1", "kept-session", "offline-queue"}
    assert (scenario.judges, scenario.any_client) == ("broker", True)


def test_a_variant_adds_its_statement_and_binds_no_more_than_it(tmp_path: Path) -> None:
    scenario = the_variant(tmp_path, "resent").scenario
    assert {label: clause.cites for label, clause in scenario.versions.items()} == {
        "3.1.1": ("MQTT-3.8.4-6", "MQTT-4.4.0-1"),
        "5.0": ("MQTT-3.8.4-8", "MQTT-4.4.0-1"),
    }
    in_3_1 = RIGHT.replace('"3.1.1": {level: must, cites: [MQTT-3.8.4-6]}', '"3.1": {level: must, cites: [MQTT31-37]}')
    assert the_variant(tmp_path, "resent", in_3_1).scenario.versions["3.1"].level == "should"


def test_a_variant_is_left_out_of_the_versions_that_do_not_have_it(tmp_path: Path) -> None:
    assert list(the_variant(tmp_path, "shared").scenario.versions) == ["5.0"]


def test_a_repeated_message_has_no_given_dup_flag(tmp_path: Path) -> None:
    text = RIGHT.replace(RECEIVE, RECEIVE.replace("hello", "hello, dup: false"))
    assert steps(tmp_path, "queued", text)[-1].endswith("dup: false}")
    assert steps(tmp_path, "resent", text)[-1] == RECEIVE


def test_a_variant_is_named_behind_its_row_and_lists_in_the_title_what_happens(tmp_path: Path) -> None:
    text = also("queued", RIGHT.replace("payload: hello}", 'payload: "${x}"}')) + "for_each: {x: [a, b]}\n"
    loaded = load_text(tmp_path, text)
    assert [each.name for each in loaded] == [
        "area/some_file[a]", "area/some_file[a+queued]", "area/some_file[b]", "area/some_file[b+queued]"
    ]  # fmt: skip
    assert loaded[1].scenario.title == "A message arrives, the subscriber was away meanwhile"


def test_a_row_may_have_variants_of_its_own(tmp_path: Path) -> None:
    text = also("queued", RIGHT.replace("payload: hello}", 'payload: "${x}"}'))
    text += "for_each: [{x: a, case: a, also: [resumed, shared]}, {x: b, case: b, also: []}, {x: c}]\n"
    names = [each.name.partition("[")[2] for each in load_text(tmp_path, text)]
    assert names == ["a]", "a+resumed]", "a+shared]", "b]", "c]", "c+queued]"]


def test_a_broker_that_ends_is_nobody_elses_and_everybody_comes_back(tmp_path: Path) -> None:
    text = RIGHT.replace("steps:\n", "steps:\n  - {do: connect, as: pub}\n")
    varied = the_variant(tmp_path, "restarted", text)
    assert varied.scenario.own_broker
    assert [step.do for step in varied.scenario.steps] == [
        "connect", "subscribe", "restart", "connect", "connect", "publish", "receive"
    ]  # fmt: skip
    assert varied.step_texts[3:5] == ("{do: connect, as: pub}", BACK)


def test_several_subscribers_share_one_restart(tmp_path: Path) -> None:
    text = with_steps(
        """
        {do: subscribe, as: sub, topic: t, qos: 1}
        {do: subscribe, as: pub, topic: t, qos: 1}
        {do: publish, as: pub, topic: t, qos: 1, payload: a}
        """
    )
    assert [step.do for step in the_variant(tmp_path, "killed", text).scenario.steps].count("restart") == 1
    assert "several actors subscribe" in problems_of(tmp_path, also("queued+then-killed", text))[0]


@pytest.mark.parametrize(
    ("variants", "complaint"),
    [
        ("resumd", "unknown variant 'resumd'; did you mean 'resumed'?"),
        ("shared+queud", "unknown variant 'queud'; did you mean 'queued'?"),
    ],
)
def test_a_wrong_name_is_told_with_its_line(tmp_path: Path, variants: str, complaint: str) -> None:
    text = also(variants)
    assert problems_of(tmp_path, text)[0].startswith(f"{line_of(text, 'also')}: also[1]: {variants}: {complaint}")


def test_a_variant_without_a_place_is_a_problem(tmp_path: Path) -> None:
    text = also(
        "queued", RIGHT.replace("{do: publish, as: pub, topic: t, qos: 1, payload: hello}", "{do: connect, as: pub}")
    )
    assert problems_of(tmp_path, text) == [
        f"{line_of(text, 'also')}: also[1]: queued: no message is published after a subscription"
    ]


def test_a_variant_that_no_version_has_is_a_problem(tmp_path: Path) -> None:
    text = "\n".join(line for line in also("shared").splitlines() if '"5.0"' not in line) + "\n"
    assert problems_of(tmp_path, text) == [
        f"{line_of(text, 'also')}: also[1]: shared: none of the scenario's versions has it"
    ]


def test_a_wrong_row_is_told_once_and_not_again_for_its_variants(tmp_path: Path) -> None:
    text = also("resumed, queued", RIGHT.replace("qos: 1, payload", "qos: 3, payload"))
    assert len(problems_of(tmp_path, text)) == 1


def test_the_steps_of_a_variant_point_to_the_lines_they_come_from(tmp_path: Path) -> None:
    text = also("resumed")
    varied = the_variant(tmp_path, "resumed")
    where = [line_of(text, "do: subscribe"), *2 * [line_of(text, "also:")], line_of(text, "do: publish")]
    assert list(varied.step_lines[:4]) == where
    wrong = also("resumed", RIGHT.replace("{do: receive, as: sub", "{do: receive, as: nobody"))
    assert {problem.line for problem in lint(load_text(tmp_path, wrong)) if "nobody" in problem.message} == {
        line_of(wrong, "as: nobody")
    }


@pytest.mark.parametrize("name", [f"queued+{name}" if name.startswith("then-") else name for name in VARIANTS])
def test_every_variant_of_a_right_scenario_passes_the_lint(tmp_path: Path, name: str) -> None:
    assert lint(load_text(tmp_path, also(name))) == []
