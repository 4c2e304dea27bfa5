"""Loading: what comes out of a file, and how every kind of mistake is said, with file, line and expectation."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest
from scenario_files import RIGHT, line_of, load_text, problems_of, save, with_steps

from interop.scenario import load
from interop.scenario.load import DEFAULT_FOLDER, LoadedScenario, load_file, load_scenarios
from interop.scenario.problems import ScenarioError
from interop.scenario.steps import VERBS, Publish, Receive
from interop.scenario.values import Hex, Level, Sized


def test_a_file_becomes_a_scenario(tmp_path: Path) -> None:
    [one] = load_text(tmp_path, RIGHT)
    assert (one.name, one.area, one.scenario.title) == ("area/some_file", "area", "A message arrives")
    assert one.step_lines == (10, 11, 12)
    assert one.step_texts[0] == "{do: subscribe, as: sub, topic: t, qos: 1}"
    assert one.scenario.versions["5.0"].level is Level.MUST
    assert list(one.scenario.actors) == ["sub", "pub"]
    publish, receive = one.scenario.steps[1:]
    assert isinstance(publish, Publish)
    assert publish.payload == "hello"
    assert isinstance(receive, Receive)


def test_the_three_forms_of_a_payload(tmp_path: Path) -> None:
    steps = """
    {do: publish, as: pub, topic: t, payload: text}
    {do: publish, as: pub, topic: t, payload: {size_bytes: 9}}
    {do: publish, as: pub, topic: t, payload: {hex: "00 ff"}}
    """
    [one] = load_text(tmp_path, with_steps(steps))
    payloads = [step.payload for step in one.scenario.steps if isinstance(step, Publish)]
    assert payloads == ["text", Sized(size_bytes=9), Hex(hex="00 ff")]


def test_folders_are_read_whole_and_in_order(tmp_path: Path) -> None:
    for name in ("b/two.yaml", "a/one.yaml", "a/ignored.txt"):
        save(tmp_path, RIGHT.replace("A message arrives", name), name)
    assert [one.name for one in load_scenarios([tmp_path])] == ["a/one", "b/two"]
    assert [one.name for one in load_scenarios([tmp_path / "b", tmp_path / "a/one.yaml"])] == ["b/two", "a/one"]


def test_the_collection_that_ships_loads() -> None:
    assert {one.path.parent.parent for one in load_scenarios()} == {DEFAULT_FOLDER}


@pytest.mark.parametrize(
    "patterns",
    [
        ["delivery/*"],
        ["qos1/delivery_resumed*"],
        ["*/*resumed*"],
        ["qos?/delivery_resumed[[]*"],
        ["qos[12]/*", "connect/accepted"],
        ["nothing/of_the_kind"],
    ],
)
def test_files_left_out_have_nothing_that_fits(patterns: list[str]) -> None:
    def fitting(scenarios: list[LoadedScenario]) -> list[str]:
        return [one.name for one in scenarios if any(fnmatch.fnmatchcase(one.name, each) for each in patterns)]

    assert fitting(load_scenarios(patterns=patterns)) == fitting(load_scenarios())


def test_for_one_scenario_one_file_is_read() -> None:
    name = load_scenarios()[-1].name
    assert {one.file_name for one in load_scenarios(patterns=[name])} == {name.partition("[")[0]}


def test_scenarios_are_had_by_name_and_no_file_but_theirs_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = [(one.name, one.path) for one in load_scenarios() if one.area == "delivery"][::7]
    read: list[Path] = []
    monkeypatch.setattr(load, "load_file", lambda path: read.append(path) or load_file(path))
    assert [(one.name, one.path) for one in load.load_named(name for name, _ in reversed(loaded)).values()] == loaded
    assert read == sorted({path for _, path in loaded})


STEP_MISTAKES = [
    ("{do: publsh}", "steps[1]: unknown verb 'publsh'; did you mean 'publish'? (verbs: ack, auth, closed, "),
    ("{as: sub}", "steps[1]: a step begins with its verb, {do: verb, ...} (verbs: ack, "),
    ("{do: publish, as: pub}", "steps[1]: `topic` is missing"),
    (
        "{do: publish, as: pub, topic: t, payloat: x}",
        "steps[1].payloat: unknown key 'payloat'; did you mean 'payload'? (keys: as, ",
    ),
    ("{do: publish, as: pub, topic: t, qos: 3}", "steps[1].qos: found 3; expected at most 2"),
    ("{do: publish, as: pub, topic: t, qos: one}", 'steps[1].qos: found "one"; expected a whole number'),
    ("{do: publish, as: pub, topic: t, qos: '1'}", 'steps[1].qos: found "1"; expected a whole number'),
    ("{do: publish, as: pub, topic: t, retain: yes}", 'steps[1].retain: found "yes"; expected true or false'),
    ("{do: publish, as: pub, topic: 5}", 'steps[1].topic: found 5; expected text; write "5", with the quotes'),
    ("{do: publish, as: pub, topic: t, payload: 5}", 'steps[1].payload: found 5; expected text; write "5"'),
    ("{do: publish, as: pub, topic: t, payload: {size: 5}}", "steps[1].payload.size: unknown key 'size'"),
    ("{do: publish, as: pub, topic: t, payload: {hex: 0g}}", "steps[1].payload.hex: found '0g'; expected hexadecimal"),
    ("{do: publish, as: pub, topic: t, outcome: don}", "steps[1].outcome: found \"don\"; expected 'done', 'pending', "),
    ("{do: publish, as: pub, topic: t, reason: x}", 'steps[1].reason: found "x"; expected a whole number or a list'),
    ("{do: publish, as: pub, topic: t, reason: [0, x]}", 'steps[1].reason[2]: found "x"; expected a whole number'),
    ("{do: publish, as: pub, topic: t, only: '5.0'}", 'steps[1].only: found "5.0"; expected a list'),
    (
        "{do: publish, as: pub, topic: t, only: [5.0]}",
        "steps[1].only[1]: found 5.0; expected '3.1', '3.1.1' or '5.0'; write",
    ),
    (
        "{do: publish, as: pub, topic: t, level: most}",
        "steps[1].level: found \"most\"; expected 'must', 'should' or 'may'",
    ),
    ("{do: publish, as: pub, topic: t, properties: {topic_alais: 1}}", "unknown property 'topic_alais'; did you mean"),
    ("{do: publish, as: pub, topic: t, properties: {topic_alias: a}}", "topic_alias: found 'a'; expected an integer"),
    ("{do: publish, as: pub, topic: t, properties: {user_property: {a: b}}}", "expected a list of [name, value]"),
    (
        "{do: cut, link: pub, how: RST}",
        "steps[1].how: found \"RST\"; expected 'fin', 'rst' or 'silence'; did you mean 'rst'?",
    ),
    ("{do: wire, link: pub, contains: [CONECT]}", "steps[1].contains[1]: found \"CONECT\"; expected 'CONNECT', "),
    ("{do: wire, link: pub, contains: [{packet: PUBREK}]}", 'steps[1].contains[1].packet: found "PUBREK"; expected '),
    ("{do: wire, link: pub, contains: [{packet: PUBREL, id: 1}]}", "steps[1].contains[1].id: unknown key 'id'"),
    (
        "{do: wire, link: pub, contains: [], never: []}",
        "steps[1]: give exactly one of `exactly`, `contains` and `never`",
    ),
    ("{do: subscribe, as: sub}", "steps[1]: give either `topic` or `topics`"),
    (
        "{do: subscribe, as: sub, topics: [{topic: t, qs: 1}]}",
        "steps[1].topics[1].qs: unknown key 'qs'; did you mean 'qos'?",
    ),
    ("{do: inject, link: sub, to: broker}", "steps[1]: give exactly one of `packet`, `repeat` and `hex`"),
    ("{do: inject, link: sub, to: broker, hex: '123'}", "steps[1].hex: found '123'; expected hexadecimal bytes"),
    ("{do: elapse, seconds: 31, because: x}", "steps[1].seconds: found 31; expected at most 30"),
    ("{do: receive, as: sub, topic: t, times: {at_leest: 1}}", "steps[1].times: `at_least` is missing"),
    ("publish", 'steps[1]: found "publish"; expected a mapping'),
]


@pytest.mark.parametrize(("step", "said"), STEP_MISTAKES)
def test_a_mistake_in_a_step_is_named_with_line_and_expectation(tmp_path: Path, step: str, said: str) -> None:
    text = with_steps(step)
    problems = problems_of(tmp_path, text)
    assert any(problem.startswith(f"{line_of(text, step)}: ") and said in problem for problem in problems), problems


HEAD_MISTAKES = [
    ("title: A message arrives", "titel: A message arrives", "unknown key 'titel'; did you mean 'title'?"),
    ("title: A message arrives", "", "`title` is missing"),
    ('  "5.0": {level', '  "5.1": {level', "versions.5.1: found \"5.1\"; expected '3.1', '3.1.1' or '5.0'"),
    ('  "5.0": {level', "  5.0: {level", 'versions: expected text as the key; write "5.0"'),
    (
        "level: must, cites: [MQTT-3.8.4-8]",
        "level: mst, cites: []",
        "found \"mst\"; expected 'must', 'should' or 'may'",
    ),
    ("cites: [MQTT-3.8.4-8]", "cites: MQTT-3.8.4-8", 'cites: found "MQTT-3.8.4-8"; expected a list'),
    ("cites: [MQTT-3.8.4-8]", "cite: [MQTT-3.8.4-8]", "unknown key 'cite'; did you mean 'cites'?"),
    ("  sub: {}", "  sub: {sesion: kept}", "actors.sub.sesion: unknown key 'sesion'; did you mean 'session'?"),
    ("  sub: {}", "  sub: {session: keep}", "actors.sub.session: found \"keep\"; expected 'clean' or 'kept'"),
    ("  sub: {}", "  sub: {keep_alive: 70000}", "actors.sub.keep_alive: found 70000; expected at most 65535"),
    ("  sub: {}", "  sub: {will: {payload: x}}", "actors.sub.will: `topic` is missing"),
    ("needs: [qos1]", "needs: qos1", 'needs: found "qos1"; expected a list'),
    (
        "needs: [qos1]",
        "transports: [tpc]",
        "transports[1]: found \"tpc\"; expected 'tcp', 'tls', 'ws' or 'wss'; did you mean",
    ),
    ("needs: [qos1]", "judges: clients", "judges: found \"clients\"; expected 'client', 'broker' or 'both'"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), HEAD_MISTAKES)
def test_a_mistake_above_the_steps_is_named_with_its_line(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    assert right in RIGHT
    text = RIGHT.replace(right, wrong)
    line = line_of(text, wrong) if wrong else 1
    problems = problems_of(tmp_path, text)
    assert any(problem.startswith(f"{line}: ") and said in problem for problem in problems), problems


def test_one_mistake_gives_one_line(tmp_path: Path) -> None:
    mistakes = [step for step, _ in STEP_MISTAKES if "times:" not in step and "payload: {size:" not in step]
    for step in mistakes:
        assert len(problems_of(tmp_path, with_steps(step))) == 1, step


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    save(tmp_path, RIGHT.replace("do: publish", "do: publsh").replace("do: receive", "do: recieve"), "area/one.yaml")
    save(tmp_path, RIGHT.replace("title", "titel"), "area/two.yaml")
    with pytest.raises(ScenarioError) as caught:
        load_scenarios([tmp_path])
    files = [problem.path.name for problem in caught.value.problems]
    assert files == ["one.yaml", "one.yaml", "two.yaml", "two.yaml"]
    assert len(str(caught.value).splitlines()) == 4


def test_a_problem_is_one_line_of_file_line_place_and_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path, RIGHT.replace("do: publish", "do: publsh"), "scenarios/qos2/x.yaml")
    with pytest.raises(ScenarioError) as caught:
        load_scenarios([tmp_path])
    expected = "scenarios/qos2/x.yaml:11: steps[2]: unknown verb 'publsh'; did you mean 'publish'? (verbs: "
    assert str(caught.value).startswith(expected)
    assert all(verb in str(caught.value) for verb in VERBS)


def test_what_is_not_there_or_not_text_is_said_in_one_line(tmp_path: Path) -> None:
    binary = tmp_path / "area" / "binary.yaml"
    binary.parent.mkdir()
    binary.write_bytes(b"title: \xff\n")
    with pytest.raises(ScenarioError) as caught:
        load_scenarios([tmp_path, tmp_path / "absent.yaml"])
    assert "binary.yaml:1: not UTF-8: invalid start byte at byte 7" in str(caught.value)
    assert "absent.yaml:1: No such file or directory" in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n", "5\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert problems_of(tmp_path, text) == ["1: : expected a mapping with title, versions, actors and steps"]


def test_a_session_expiry_is_limited_only_for_clients_that_have_one() -> None:
    limited = [one for one in load_scenarios() if "session_expiry_maximum" in one.scenario.broker]
    assert len(limited) > 1
    assert [one.name for one in limited if "session-expiry" not in one.scenario.needs] == []


def test_no_retained_message_that_was_published_at_qos_0_has_to_be_found_later() -> None:
    """[3.1.1 MQTT-3.3.1-7, 5.0 3.3.1.3] A server may discard it at any time."""
    found = [
        (one.name, step.level or one.scenario.versions["5.0"].level)
        for one in load_scenarios()
        if "5.0" in one.scenario.versions
        for step in one.scenario.steps
        if isinstance(step, Receive) and step.retain and step.times == 1 and step.topic in at_qos_0(one)
    ]
    assert found
    assert [name for name, level in found if level is Level.MUST] == []


def at_qos_0(one: LoadedScenario) -> set[str]:
    published = [step for step in one.scenario.steps if isinstance(step, Publish) and step.retain]
    return {step.topic for step in published if step.qos == 0} - {step.topic for step in published if step.qos}


def test_a_pubrel_is_asked_to_be_answered_only_by_who_has_qos_2() -> None:
    repeated = {each.case: each for each in load_file(DEFAULT_FOLDER / "connect" / "dup_on_subscribe_in_3_1.yaml")}
    needs = {case: set(each.scenario.needs) for case, each in repeated.items()}
    assert needs == {"subscribe": set(), "unsubscribe": set(), "pubrel": {"qos2"}}
