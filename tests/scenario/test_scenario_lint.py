"""The lint, rule by rule: what it says, and that it says nothing where all is well."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import RIGHT, line_of, load_text, save, with_steps

from interop.scenario.features import FEATURES, missing
from interop.scenario.lint import lint
from interop.scenario.load import DEFAULT_FOLDER, load_scenarios
from interop.scenario.steps import Reframe

RECEIVE = "{do: receive, as: sub, topic: t, payload: hello}"
USES_BOTH = f"{{do: publish, as: pub, topic: t}}\n{RECEIVE}\n"


def complaints(tmp_path: Path, text: str, name: str = "area/some_file.yaml") -> list[str]:
    found = lint(load_text(tmp_path, text, name))
    return [f"{each.line}: {each.where}: {each.message}" for each in found]


def step_complaints(tmp_path: Path, steps: str, *, only: str = "5.0", head: str = "") -> list[str]:
    """What the lint says of these steps, added to some that are right and use both actors."""
    return complaints(tmp_path, with_steps(USES_BOTH + steps, only=only, head=head))


def test_a_right_scenario_has_no_problems(tmp_path: Path) -> None:
    assert complaints(tmp_path, RIGHT) == []


def test_the_collection_that_ships_has_no_problems() -> None:
    assert [str(problem) for problem in lint(load_scenarios())] == []


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_title_belongs_to_one_file(tmp_path: Path) -> None:
    save(tmp_path, RIGHT, "area/one.yaml")
    save(tmp_path, RIGHT.replace("A message arrives", "a message ARRIVES"), "area/two.yaml")
    problems = lint(load_scenarios([tmp_path]))
    assert [str(each).partition("two.yaml")[2] for each in problems] == [
        ":1: title: the title 'a message ARRIVES' is also that of one.yaml"
    ]


def test_rows_of_one_table_share_a_title(tmp_path: Path) -> None:
    text = RIGHT.replace("hello", '"${x}"') + "for_each: {x: [a, b]}\n"
    assert complaints(tmp_path, text) == []


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    save(tmp_path, RIGHT, "here/area/one.yaml")
    save(tmp_path, RIGHT.replace("A message", "Another"), "there/area/one.yaml")
    [problem] = lint(load_scenarios([tmp_path]))
    assert "the name 'area/one' is also that of one.yaml" in str(problem)


@pytest.mark.parametrize("name", ["area/Some.yaml", "area/some-file.yaml", "Area/some.yaml", "area/some__file.yaml"])
def test_files_and_folders_are_in_lower_snake_case(tmp_path: Path, name: str) -> None:
    assert any("is not in lower_snake_case" in each for each in complaints(tmp_path, RIGHT, name))


def test_an_area_is_listed_in_the_readme_of_its_collection(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("| area | about |\n|---|---|\n| `will` | wills |\n| `qos2` | QoS 2 |\n")
    [problem] = complaints(tmp_path, RIGHT, "wil/some.yaml")
    assert "unknown area 'wil'; did you mean 'will'? (areas: will, qos2)" in problem
    assert complaints(tmp_path, RIGHT, "will/some.yaml") == []


def test_unknown_features_are_guessed(tmp_path: Path) -> None:
    [problem] = complaints(tmp_path, RIGHT.replace("needs: [qos1]", "needs: [qos1, kept-sesion]"))
    assert problem.startswith(
        "5: needs[2]: unknown feature 'kept-sesion'; did you mean 'kept-session'? (features: qos1, "
    )


def test_unknown_broker_settings_are_guessed(tmp_path: Path) -> None:
    text = RIGHT.replace("needs: [qos1]", "broker: {receive_maximum: 1, maximum_qs: 1}")
    [problem] = complaints(tmp_path, text)
    assert problem.startswith("5: broker.maximum_qs: unknown broker setting 'maximum_qs'; did you mean 'maximum_qos'?")


# --- actors, moments, observations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "where"),
    [
        ("{do: publish, as: pup, topic: t}", "steps[3].as"),
        ("{do: cut, link: pup}", "steps[3].link"),
        ("{do: wire, link: pup, never: [AUTH]}", "steps[3].link"),
    ],
)
def test_unknown_actors_are_guessed(tmp_path: Path, step: str, where: str) -> None:
    text = with_steps(USES_BOTH + step)
    [problem] = complaints(tmp_path, text)
    assert problem == f"{line_of(text, step)}: {where}: unknown actor 'pup'; did you mean 'pub'? (actors: sub, pub)"


def test_an_actor_that_no_step_speaks_of(tmp_path: Path) -> None:
    text = with_steps(RECEIVE)
    assert complaints(tmp_path, text) == [f"{line_of(text, 'pub: {}')}: actors.pub: no step speaks of the actor 'pub'"]


def test_since_names_a_moment_that_is_past(tmp_path: Path) -> None:
    steps = "{do: wire, link: pub, since: latr, never: [AUTH]}\n{do: mark, name: later}"
    assert step_complaints(tmp_path, steps) == [
        "11: steps[3].since: unknown moment 'latr' (moments: connect, cut, start)"
    ]
    assert (
        step_complaints(tmp_path, "{do: mark, name: later}\n{do: wire, link: pub, since: later, never: [AUTH]}") == []
    )


@pytest.mark.parametrize("name", ["start", "cut", "here"])
def test_a_mark_has_a_name_of_its_own(tmp_path: Path, name: str) -> None:
    [problem] = step_complaints(tmp_path, f"{{do: mark, name: here}}\n{{do: mark, name: {name}}}")
    assert problem == f"12: steps[4].name: the moment {name!r} is named already"


def test_since_cut_needs_a_fault_before(tmp_path: Path) -> None:
    wire = "{do: wire, link: pub, since: cut, never: [AUTH]}"
    [problem] = step_complaints(tmp_path, wire)
    assert "no fault comes before this step" in problem
    assert step_complaints(tmp_path, "{do: freeze, link: pub}\n" + wire) == []


def test_a_scenario_looks_at_something(tmp_path: Path) -> None:
    blind = "{do: publish, as: pub, topic: t}\n{do: subscribe, as: sub, topic: t}"
    [problem] = complaints(tmp_path, with_steps(blind))
    assert "nothing is observed or expected" in problem


@pytest.mark.parametrize(
    "step",
    [
        "{do: subscribe, as: sub, topic: t, granted: 0}",
        "{do: connect, as: sub, session_present: false}",
        "{do: connect, as: sub, outcome: refused}",
        "{do: connect, as: sub, outcome: cut-off}",
        "{do: stays_open, link: sub}",
    ],
)
def test_an_expected_answer_is_an_observation(tmp_path: Path, step: str) -> None:
    assert complaints(tmp_path, with_steps("{do: publish, as: pub, topic: t}\n" + step)) == []


def test_a_window_ends_after_it_begins(tmp_path: Path) -> None:
    [problem] = step_complaints(tmp_path, "{do: closed, link: sub, by: broker, after: 3.0, because: x}")
    assert "the window is empty: after 3 s but within 3 s" in problem


@pytest.mark.parametrize("window", ["after: 0.5", "within: 1.0", "within: 20"])
def test_a_window_of_its_own_says_what_sets_it(tmp_path: Path, window: str) -> None:
    closed = f"do: closed, link: sub, by: broker, {window}"
    [problem] = step_complaints(tmp_path, f"{{{closed}}}")
    assert "say with `because` which statement or tolerance sets" in problem
    assert step_complaints(tmp_path, f"{{{closed}, because: a second is generous}}") == []
    assert step_complaints(tmp_path, f"{{{closed}, level: may}}") == []


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        ("hold, at: PUBACK, from: client", "{do: thaw, link: sub}"),
        ("cut, at: PUBACK, from: client", "{do: wire, link: sub, since: cut, never: [AUTH]}"),
    ],
)
def test_no_step_relies_on_a_fault_that_may_not_happen(tmp_path: Path, fault: str, step: str) -> None:
    [problem] = step_complaints(tmp_path, f"{{do: {fault}, link: sub, optional: true}}\n{step}")
    assert "on the link of 'sub' is sure to have happened" in problem
    assert step_complaints(tmp_path, f"{{do: {fault}, link: sub}}\n{step}") == []


def test_nothing_is_let_go_where_nothing_was_kept_back(tmp_path: Path) -> None:
    [problem] = step_complaints(tmp_path, "{do: thaw, link: sub}")
    assert "no `freeze` or `hold` on the link of 'sub'" in problem


def test_something_follows_an_armed_fault_that_makes_it_fire(tmp_path: Path) -> None:
    drop = "{do: drop, link: sub, at: PUBACK, from: client}"
    [problem] = step_complaints(tmp_path, drop)
    assert "nothing that follows makes a PUBACK come" in problem
    assert step_complaints(tmp_path, drop + "\n{do: publish, as: pub, topic: t, qos: 1}") == []


# --- statements -------------------------------------------------------------------------------------------------------


def test_unknown_statements_name_the_nearest(tmp_path: Path) -> None:
    text = RIGHT.replace("MQTT-3.8.4-8", "MQTT-3.8.4-9")
    [problem] = complaints(tmp_path, text)
    assert problem.startswith(f"{line_of(text, '-9')}: versions.5.0.cites[1]: MQTT 5.0 has no statement 'MQTT-3.8.4-9'")
    assert "nearest: MQTT-3.8.4-8, " in problem


def test_a_statement_of_another_version_is_unknown(tmp_path: Path) -> None:
    # 3.1.1 stops at MQTT-3.1.2-24.
    [problem] = complaints(tmp_path, RIGHT.replace("MQTT-3.8.4-6", "MQTT-3.1.2-25"))
    assert "MQTT 3.1.1 has no statement 'MQTT-3.1.2-25'" in problem


def test_a_step_cites_statements_of_the_versions_it_runs_in(tmp_path: Path) -> None:
    step = "{do: stays_open, link: sub, cites: [MQTT-3.8.4-8]"
    [problem] = complaints(tmp_path, with_steps(USES_BOTH + step + "}"))
    assert "MQTT 3.1.1 has no statement 'MQTT-3.8.4-8'" in problem
    assert "write only: ['3.1.1', ...]" in problem
    assert complaints(tmp_path, with_steps(USES_BOTH + step + ', only: ["5.0"]}')) == []


@pytest.mark.parametrize(
    ("level", "cite", "is_right"),
    [
        ("must", "MQTT-4.13.1-1", True),
        ("should", "MQTT-4.13.1-1", True),
        ("must", "MQTT5-U-64", False),  # DISCONNECT before closing is a SHOULD [5.0 4.13.1]
        ("should", "MQTT5-U-64", True),
        ("should", "MQTT5-U-66", False),  # CONNACK for a bad CONNECT is a MAY [5.0 4.13.1]
        ("may", "MQTT5-U-66", True),
    ],
)
def test_a_scenario_binds_no_more_than_what_it_cites(tmp_path: Path, level: str, cite: str, is_right: bool) -> None:
    found = complaints(tmp_path, RIGHT.replace("must, cites: [MQTT-3.8.4-8]", f"{level}, cites: [{cite}]"))
    assert [("is at most a" in each) for each in found] == ([] if is_right else [True])


def test_a_step_binds_no_more_than_what_it_cites(tmp_path: Path) -> None:
    step = "{do: stays_open, link: sub, level: must, cites: [MQTT5-U-64]}"
    [problem] = step_complaints(tmp_path, step)
    assert "steps[3]: the level is must, but what is cited of MQTT 5.0 is at most a should" in problem


def test_only_a_may_cites_nothing(tmp_path: Path) -> None:
    found = complaints(tmp_path, RIGHT.replace("level: must, cites: [MQTT-3.8.4-8]", "level: should, cites: []"))
    assert ["no statement of MQTT 5.0 is cited" in each for each in found] == [True]
    assert complaints(tmp_path, RIGHT.replace("level: must, cites: [MQTT-3.8.4-8]", "level: may, cites: []")) == []


# --- versions ---------------------------------------------------------------------------------------------------------

ONLY_IN_5 = [
    ("{do: auth, as: sub}", "AUTH"),
    ("{do: disconnect, as: sub, reason: 4}", "`reason`"),
    ("{do: disconnect, as: sub, properties: {session_expiry_interval: 1}}", "`properties`"),
    ("{do: connect, as: sub, answer: {receive_maximum: 1}}", "`answer`"),
    ("{do: subscribe, as: sub, topic: t, no_local: true}", "`no_local`"),
    ("{do: subscribe, as: sub, topic: t, retain_as_published: true}", "`retain_as_published`"),
    ("{do: subscribe, as: sub, topics: [{topic: t, retain_handling: 1}]}", "`retain_handling`"),
    ("{do: subscribe, as: sub, topic: t, properties: {subscription_identifier: 1}}", "`properties`"),
    ("{do: unsubscribe, as: sub, topic: t, properties: {user_property: []}}", "`properties`"),
    ("{do: publish, as: sub, topic: t, reason: 16}", "`reason`"),
    ("{do: publish, as: sub, topic: t, properties: {content_type: a}}", "`properties`"),
    ("{do: receive, as: sub, topic: t, without: [topic_alias]}", "`without`"),
    ("{do: completed, as: sub, reason: 0}", "`reason`"),
    ("{do: wire, link: sub, contains: [AUTH]}", "AUTH"),
    ("{do: wire, link: sub, contains: [{packet: PUBACK, reason: 0}]}", "a reason code in PUBACK"),
    ("{do: wire, link: sub, exactly: [{packet: PUBLISH, properties: {topic_alias: 1}}]}", "`properties`"),
    ("{do: inject, link: sub, to: broker, packet: {type: PINGREQ, properties: {}}}", "`properties`"),
]


@pytest.mark.parametrize(("step", "what"), ONLY_IN_5)
def test_what_only_5_0_has_is_said_in_5_0_only(tmp_path: Path, step: str, what: str) -> None:
    said = f'{what} exists in 5.0 only, but the step runs in 3.x as well; say only: ["5.0"]'
    assert any(said in each for each in complaints(tmp_path, with_steps(USES_BOTH + step)))
    restricted = step.removesuffix("}") + ', only: ["5.0"]}'
    assert not any(said in each for each in complaints(tmp_path, with_steps(USES_BOTH + restricted)))


@pytest.mark.parametrize(
    "step",
    [
        "{do: connect, as: sub, properties: {receive_maximum: 1}, reason: 0}",
        "{do: closed, link: sub, by: broker, reason: 142}",
        "{do: reported, as: sub, reason: 142}",
        "{do: unsubscribe, as: sub, topic: t, reasons: [17]}",
        "{do: wire, link: sub, contains: [{packet: CONNACK, reason: 0}]}",
        "{do: wire, link: sub, never: [AUTH, {packet: PUBACK, reason: 1}]}",
    ],
)
def test_what_3_x_leaves_out_by_definition_is_fine(tmp_path: Path, step: str) -> None:
    assert complaints(tmp_path, with_steps(USES_BOTH + step)) == []


def test_only_names_versions_of_the_scenario(tmp_path: Path) -> None:
    [problem] = complaints(tmp_path, with_steps(USES_BOTH + '{do: stays_open, link: sub, only: ["3.1"]}'))
    assert "steps[3].only[1]: '3.1' is none of the scenario's versions (3.1.1, 5.0)" in problem


def test_a_row_may_leave_out_versions_its_steps_speak_of(tmp_path: Path) -> None:
    text = with_steps(USES_BOTH.replace("hello", '"${x}"') + '{do: stays_open, link: sub, only: ["3.1.1"]}')
    assert complaints(tmp_path, text + 'for_each: [{x: a}, {x: b, versions: ["5.0"]}]\n') == []


# --- packets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            "{do: publish, as: pub, topic: t, properties: {receive_maximum: 1}}",
            "receive_maximum is no property of PUBLISH",
        ),
        ("{do: connect, as: pub, properties: {topic_alias: 1}}", "topic_alias is no property of CONNECT"),
        ("{do: connect, as: pub, answer: {topic_alias: 1}}", "topic_alias is no property of CONNACK"),
        ("{do: disconnect, as: pub, properties: {topic_alias: 1}}", "topic_alias is no property of DISCONNECT"),
        ("{do: receive, as: sub, topic: t, without: [topic_alas]}", "unknown property 'topic_alas'"),
        (
            "{do: wire, link: pub, never: [{packet: SUBSCRIBE, reason_other_than: 0x81}]}",
            "unknown field of SUBSCRIBE 'reason'",
        ),
        ("{do: receive, as: sub, topic: t, without: [receive_maximum]}", "receive_maximum is no property of PUBLISH"),
        (
            "{do: wire, link: pub, contains: [{packet: PUBACK, properties: {topic_alias: 1}}]}",
            "steps[3].contains[1].properties: topic_alias is no property of PUBACK (it stands in PUBLISH)",
        ),
        ("{do: wire, link: pub, contains: [{packet: PUBACK, topic: t}]}", "unknown field of PUBACK 'topic'"),
        ("{do: wire, link: pub, contains: [{packet: CONNECT, dup: true}]}", "unknown field of CONNECT 'dup'"),
        ("{do: drop, link: pub, at: PUBLISH}", "both sides can send PUBLISH; say `from: client` or `from: broker`"),
        ("{do: drop, link: pub, at: CONNACK, from: client}", "a client never sends CONNACK"),
        ("{do: drop, link: pub, at: SUBSCRIBE, from: broker}", "a broker never sends SUBSCRIBE"),
        ("{do: rewrite, link: pub, at: CONNACK}", "give either `set` or `hex`"),
        ("{do: rewrite, link: pub, at: CONNACK, set: {reason: 1}, hex: '00'}", "give either `set` or `hex`"),
        (
            "{do: rewrite, link: pub, at: CONNACK, set: {reazon: 1}}",
            "unknown field of CONNACK 'reazon'; did you mean 'reason'?",
        ),
        (
            "{do: inject, link: pub, to: broker, packet: {type: PUBREK}}",
            "unknown packet type 'PUBREK'; did you mean 'PUBRE",
        ),
        ("{do: inject, link: pub, to: broker, packet: {packet_id: 1}}", "unknown packet type None"),
        ("{do: inject, link: pub, to: broker, packet: {type: PUBREL, pid: 1}}", "unknown field of PUBREL 'pid'"),
        ("{do: inject, link: pub, to: broker, packet: {type: PUBREL, packet_id: {of: CONNECT}}}", "expected a number"),
        ("{do: inject, link: pub, to: broker, repeat: PUBLISH, set: {dupp: true}}", "unknown field of PUBLISH 'dupp'"),
        (
            "{do: inject, link: pub, to: broker, hex: 'c000', set: {dup: true}}",
            "`set` changes a packet that is repeated",
        ),
        (
            "{do: inject, link: pub, to: broker, packet: {type: PUBACK, packet_id: 1, properties: {topic_alias: 1}}}",
            "topic_alias is no property of PUBACK",
        ),
    ],
)
def test_packets_are_described_as_the_wire_knows_them(tmp_path: Path, step: str, said: str) -> None:
    [problem] = step_complaints(tmp_path, f"{step}\n{RECEIVE}")
    assert said in problem


def test_properties_of_actors_stand_in_connect_and_will(tmp_path: Path) -> None:
    actor = "  sub: {properties: {will_delay_interval: 1}, will: {topic: w, properties: {receive_maximum: 1}}}"
    found = complaints(tmp_path, RIGHT.replace("  sub: {}", actor))
    assert [each.partition(" (")[0] for each in found] == [
        "7: actors.sub.properties: will_delay_interval is no property of CONNECT",
        "7: actors.sub.will.properties: receive_maximum is no property of WILL",
    ]


# --- features ---------------------------------------------------------------------------------------------------------


def test_what_only_5_0_has_is_not_needed_in_3_x() -> None:
    unsupported = {"auth", "qos2"}
    assert missing(["qos1", "qos2", "auth"], unsupported, "5.0") == ["qos2", "auth"]
    assert missing(["qos1", "qos2", "auth"], unsupported, "3.1.1") == ["qos2"]


def test_every_feature_is_explained() -> None:
    assert all(name == each.name and len(each.meaning) > 12 for name, each in FEATURES.items())


def test_every_area_that_ships_is_listed() -> None:
    assert (DEFAULT_FOLDER / "README.md").is_file()


def test_who_ends_the_broker_has_one_of_its_own_and_says_what_it_must_outlast(tmp_path: Path) -> None:
    def text(how: str, head: str) -> str:
        steps = f"{{do: subscribe, as: sub, topic: t, qos: 1}}\n{{do: restart, how: {how}}}\n{{do: nothing, as: sub}}"
        return with_steps(steps + "\n{do: connect, as: pub}").replace("needs: [qos1]\n", head)

    own, stop, kill = "own_broker: true\n", "needs: [persistence]\n", "needs: [crash-persistence]\n"
    assert [said.rpartition("; ")[2] for said in complaints(tmp_path, text("stop", ""))] == [
        "say needs: [persistence]", "say own_broker: true"
    ]  # fmt: skip
    assert complaints(tmp_path, text("stop", own + stop)) == []
    assert complaints(tmp_path, text("kill", own + kill)) == []
    assert len(complaints(tmp_path, text("kill", own + stop))) == 1


@pytest.mark.parametrize(
    ("count", "head", "is_right"), [(1000, "", True), (1001, "", False), (1001, "slow: true\n", True)]
)
def test_what_is_done_very_often_is_slow_and_says_so(tmp_path: Path, count: int, head: str, is_right: bool) -> None:
    found = step_complaints(tmp_path, f'{{do: publish, as: pub, topic: "t/{{n}}", count: {count}}}', head=head)
    assert [each.partition(": ")[2] for each in found] == (
        [] if is_right else ["steps[3].count: more than 1000 take long; say slow: true"]
    )


def test_who_is_kept_in_step_with_exists(tmp_path: Path) -> None:
    [problem] = step_complaints(tmp_path, '{do: publish, as: pub, topic: "t/{n}", count: 2, in_step_with: subb}')
    assert "steps[3].in_step_with: unknown actor 'subb'" in problem


# --- set-up and frames ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        "{do: split, link: sub, from: broker}",
        "{do: throttle, link: sub, from: broker, bytes_per_second: 10}",
        "{do: rewrite, link: sub, at: CONNECT, set: {keep_alive: 2}}",
        "{do: delay, link: sub, at: CONNACK, seconds: 1}",
    ],
)
def test_who_connects_under_a_fault_says_so(tmp_path: Path, fault: str) -> None:
    verb = fault[5:].partition(",")[0]
    [problem] = complaints(tmp_path, with_steps(f"{fault}\n{USES_BOTH}"))
    assert f"`{verb}` puts the connecting of 'sub' to the test; say {{do: connect, as: sub}} before this" in problem
    for right in (
        f"{fault}\n{{do: connect, as: sub}}\n{USES_BOTH}",
        f"{USES_BOTH}{fault}\n{RECEIVE}",
        f"{fault.replace('link: sub', 'link: pub')}\n{{do: connect, as: pub}}\n{USES_BOTH}",
    ):
        assert complaints(tmp_path, with_steps(right)) == []


def test_a_fault_that_waits_for_a_later_packet_leaves_connecting_alone(tmp_path: Path) -> None:
    steps = f"{{do: cut, link: sub, at: PUBLISH, from: broker}}\n{USES_BOTH}"
    assert complaints(tmp_path, with_steps(steps)) == []


@pytest.mark.parametrize(
    "step",
    [
        "{do: reframe, link: sub, from: broker, frame_bytes: 2}",
        "{do: frame, link: sub, from: client, what: pong}",
        "{do: inject, link: sub, to: client, hex: '89 00', beneath: true}",
    ],
)
def test_frames_are_spoken_of_where_there_are_some(tmp_path: Path, step: str) -> None:
    assert any("no WebSocket frames over tcp" in each for each in step_complaints(tmp_path, step + "\n"))
    assert step_complaints(tmp_path, step + "\n", head="transports: [ws, wss]\n") == []


def test_frames_of_no_size_and_together_with_nothing_between_are_refused() -> None:
    for wrong in ({}, {"together": True, "between": ["ping"]}):
        with pytest.raises(ValueError, match="give `frame_bytes`"):
            Reframe.model_validate({"do": "reframe", "link": "a", "from": "client", **wrong})
    Reframe.model_validate({"do": "reframe", "link": "a", "from": "client", "together": True})


MEETING = with_steps("""
    {do: subscribe, as: sub, topic: t}
    {do: publish, as: pub, topic: t, payload: hello, properties: {content_type: a}}
    {do: receive, as: sub, topic: t, payload: hello}
""")


def test_what_only_5_0_has_is_said_by_an_actor_that_speaks_it_whatever_the_cell_speaks(tmp_path: Path) -> None:
    assert complaints(tmp_path, MEETING.replace("pub: {}", 'pub: {mqtt: "5.0"}')) == []
    said = "`properties` exists in 5.0 only, but its actor speaks 3.1"
    assert any(said in each for each in complaints(tmp_path, MEETING.replace("pub: {}", 'pub: {mqtt: "3.1"}')))


def test_the_first_actor_speaks_the_version_of_the_cell(tmp_path: Path) -> None:
    said = "the first actor speaks the version of the cell; give another one a version"
    (complaint,) = complaints(tmp_path, RIGHT.replace("sub: {}", 'sub: {mqtt: "3.1"}'))
    assert complaint.endswith(f"actors.sub.mqtt: {said}")


def test_an_actor_speaks_the_version_of_its_latest_connect(tmp_path: Path) -> None:
    steps = """
        {do: connect, as: sub}
        {do: connect, as: pub, mqtt: "3.1"}
        {do: publish, as: pub, topic: t, properties: {content_type: a}}
        {do: connect, as: pub%s}
        {do: publish, as: pub, topic: t, properties: {content_type: a}}
        {do: nothing, as: sub}
    """
    for again in ("", ', mqtt: "5.0"'):
        (complaint,) = complaints(tmp_path, with_steps(steps % again, only="5.0"))
        assert "steps[3].properties" in complaint  # the third step; the fifth is right again
    text = with_steps('{do: connect, as: sub, mqtt: "3.1"}\n{do: connect, as: pub}\n{do: nothing, as: sub}', only="5.0")
    said = "the first actor speaks the version of the cell"
    assert any(said in each for each in complaints(tmp_path, text))
