"""One cell from its first connection to its record, with real sockets on loopback."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from runner_stage import HEAD, played, scenario

from interop.brokers.address import AddressSpec
from interop.brokers.broker import BrokerSpec
from interop.brokers.reference import ReferenceSpec
from interop.drivers.pool import DriverPool
from interop.mutants.mutant import Mutant, Says
from interop.mutants.words import having_properties
from interop.mutants.wrong_ends import WrongBrokerSpec
from interop.runner.cell import Cell
from interop.runner.known_failures import Entry, KnownFailures
from interop.runner.pace import Slots
from interop.runner.play import Workshop, play
from interop.scenario.load import LoadedScenario
from interop.scenario.values import MqttLabel
from reference_broker.net.address import Address
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Publish
from reference_broker.wire.types import QoS, Version
from reports.record import Record, Verdict

PUBLISH_AND_RECEIVE = """\
    actors:
      sub: {}
      pub: {}
    steps:
      - {do: subscribe, as: sub, topic: t, qos: 1}
      - {do: publish, as: pub, topic: t, qos: 1, payload: hello}
      - {do: receive, as: sub, topic: t, payload: %s, qos: 1}
    """


@pytest.mark.parametrize("mqtt", ["3.1", "3.1.1", "5.0"])
def test_a_scenario_whose_expectations_hold_passes(tmp_path: Path, mqtt: str) -> None:
    record = played(scenario(tmp_path, PUBLISH_AND_RECEIVE % "hello"), mqtt)
    assert (record.verdict, record.reason, record.findings) == (Verdict.PASS, "", ())
    assert [step.status for step in record.steps] == ["passed"] * 3
    assert {entry.packet for entry in record.trace} >= {
        "CONNECT",
        "CONNACK",
        "SUBSCRIBE",
        "SUBACK",
        "PUBLISH",
        "PUBACK",
    }
    assert record.implementations["client"].startswith("builtin")


def test_a_broken_must_fails_and_names_step_expectation_and_statement(tmp_path: Path) -> None:
    record = played(scenario(tmp_path, PUBLISH_AND_RECEIVE % "goodbye"))
    assert record.verdict is Verdict.FAIL
    assert "'goodbye'" in record.reason
    assert "'hello'" in record.reason
    assert record.cites == ("MQTT-4.3.3-6",)
    assert record.findings[0].step == 3
    assert record.trace[record.findings[0].trace_index or 0].packet == "PUBLISH"


def test_a_message_that_does_not_come_is_named_with_how_many_did(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {}}
        steps:
          - {do: subscribe, as: sub, topic: t}
          - {do: publish, as: sub, topic: t, payloads: [a, b]}
          - {do: receive, as: sub, topic: t, payloads: [a, b, c], within: 0.2}
        """
    assert "to get 'c' on 't' within 0.2 s (2 of 3 so far)" in played(scenario(tmp_path, text)).reason


def test_a_broken_should_warns(tmp_path: Path) -> None:
    assert played(scenario(tmp_path, PUBLISH_AND_RECEIVE % "goodbye"), "3.1").verdict is Verdict.WARN


def test_a_may_is_observed_whatever_happens(tmp_path: Path) -> None:
    head = HEAD.replace("level: must", "level: may")
    assert played(scenario(tmp_path, PUBLISH_AND_RECEIVE % "hello", head)).verdict is Verdict.OBSERVED
    assert played(scenario(tmp_path, PUBLISH_AND_RECEIVE % "goodbye", head)).verdict is Verdict.OBSERVED


def test_a_step_can_be_less_binding_than_its_scenario(tmp_path: Path) -> None:
    text = (PUBLISH_AND_RECEIVE % "goodbye").replace("qos: 1}\n    ", "qos: 1, level: should}\n    ")
    assert played(scenario(tmp_path, text)).verdict is Verdict.WARN


def test_steps_after_a_failed_one_are_not_run(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {}}
        steps:
          - {do: connect, as: sub, session_present: true}
          - {do: disconnect, as: sub}
        """
    assert [step.status for step in played(scenario(tmp_path, text)).steps] == ["failed", "not-run"]


def test_steps_of_other_versions_are_skipped(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {}}
        steps:
          - {do: connect, as: sub, session_present: true, only: ["3.1.1"]}
          - {do: connect, as: sub, session_present: false, only: ["5.0"]}
        """
    assert [step.status for step in played(scenario(tmp_path, text)).steps] == ["skipped", "passed"]


def test_a_message_that_no_step_expects_fails_the_cell(tmp_path: Path) -> None:
    text = (PUBLISH_AND_RECEIVE % "hello").replace("payload: hello}", "payloads: [hello, and more]}", 1)
    record = played(scenario(tmp_path, text))
    assert record.verdict is Verdict.FAIL
    assert record.findings[0].rule == "unexpected-message"
    assert "'and more'" in record.reason


def test_an_actor_that_cannot_connect_is_a_failed_setup(tmp_path: Path) -> None:
    text = """\
        broker: {refuse_connect: 0x88}
        actors: {sub: {}}
        steps:
          - {do: subscribe, as: sub, topic: t}
        """
    record = played(scenario(tmp_path, text))
    assert record.verdict is Verdict.SETUP_FAILED
    assert "refused" in record.reason


def test_a_client_that_is_no_program_is_a_harness_error(tmp_path: Path) -> None:
    record = played(scenario(tmp_path, PUBLISH_AND_RECEIVE % "hello"), client="command:./there-is-no-such-adapter")
    assert record.verdict is Verdict.HARNESS_ERROR
    assert "there-is-no-such-adapter" in record.reason


def test_waiting_that_the_scenario_demands_is_not_overhead(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {}}
        steps:
          - {do: connect, as: sub}
          - {do: elapse, seconds: 0.3, because: the test wants some time to pass}
        """
    record = played(scenario(tmp_path, text))
    assert record.waiting_seconds >= 0.3
    assert record.overhead_seconds == pytest.approx(record.seconds - record.waiting_seconds, abs=0.001)


def test_a_window_opens_at_the_last_action(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {}}
        steps:
          - {do: connect, as: sub}
          - {do: cut, link: sub}
          - {do: reported, as: sub, after: 1.0, within: 2.0}
        """
    record = played(scenario(tmp_path, text))
    assert record.verdict is Verdict.FAIL
    assert "not before 1 s" in record.reason


def test_a_cut_is_seen_by_both_sides_and_the_session_resumes(tmp_path: Path) -> None:
    text = """\
        actors:
          pub: {session: kept}
          sub: {}
        steps:
          - {do: subscribe, as: sub, topic: t, qos: 2}
          - {do: cut, link: pub, at: PUBREL, from: client}
          - {do: publish, as: pub, topic: t, qos: 2, payload: once, outcome: cut-off}
          - {do: connect, as: pub, session_present: true}
          - {do: completed, as: pub}
          - {do: receive, as: sub, topic: t, payload: once, times: 1}
          - {do: wire, link: pub, since: cut, exactly: [CONNECT, CONNACK, PUBREL, PUBCOMP]}
        """
    record = played(scenario(tmp_path, text))
    assert (record.verdict, record.reason) == (Verdict.PASS, "")
    lost = [entry for entry in record.trace if entry.fate == "lost"]
    assert [entry.packet for entry in lost] == ["PUBREL"]


def test_what_a_silenced_connection_still_carries_is_not_part_of_the_next_one(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {session: kept}}
        steps:
          - {do: connect, as: sub}
          - {do: cut, link: sub, how: silence}
          - {do: connect, as: sub, session_present: true}
          - {do: wire, link: sub, since: connect, exactly: [CONNECT, CONNACK]}
        """
    record = played(scenario(tmp_path, text))
    assert (record.verdict, record.reason) == (Verdict.PASS, "")
    assert [entry.packet for entry in record.trace if entry.fate == "lost" and entry.packet] == ["DISCONNECT"]


def test_an_injected_packet_can_have_the_identifier_of_a_packet_that_was_seen(tmp_path: Path) -> None:
    text = """\
        actors: {pub: {}}
        steps:
          - {do: connect, as: pub}
          - {do: drop, link: pub, at: PUBACK, from: broker}
          - {do: publish, as: pub, topic: t, qos: 1, payload: x, outcome: pending}
          - {do: wire, link: pub, contains: [PUBACK]}
          - {do: inject, link: pub, to: client, packet: {type: PUBACK, packet_id: {of: PUBLISH}}}
          - {do: completed, as: pub}
        """
    assert played(scenario(tmp_path, text)).verdict is Verdict.PASS


def test_exactly_fails_on_one_packet_too_many(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {}}
        steps:
          - {do: subscribe, as: sub, topic: t}
          - {do: wire, link: sub, exactly: [CONNECT, CONNACK, SUBSCRIBE]}
        """
    record = played(scenario(tmp_path, text))
    assert record.verdict is Verdict.FAIL
    assert record.trace[record.findings[0].trace_index or 0].packet == "SUBACK"


def test_the_judge_finds_what_no_step_looks_for(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {}}
        steps:
          - {do: connect, as: sub}
          - {do: rewrite, link: sub, at: SUBACK, set: {packet_id: 4242}}
          - {do: subscribe, as: sub, topic: t, outcome: pending}
          - {do: wire, link: sub, contains: [SUBACK]}
        """
    record = played(scenario(tmp_path, text))
    # The broker sent the right packet id; what the proxy made of it must not be held against anybody.
    assert all(finding.blame != "broker" for finding in record.findings)


def test_a_known_failure_still_runs_and_says_why_it_is_expected(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, PUBLISH_AND_RECEIVE % "goodbye")
    known = KnownFailures(
        (Entry(client="builtin", scenarios=("area/*",), reason="it is like that", link="https://example.org/1"),)
    )
    record = played(loaded, known=known)
    assert record.verdict is Verdict.FAIL
    assert record.known_failure is not None
    assert record.known_failure.reason == "it is like that"


def test_a_known_failure_of_other_rules_explains_nothing(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, PUBLISH_AND_RECEIVE % "goodbye")
    known = KnownFailures((Entry(client="builtin", scenarios=("area/*",), rules=("closed",), reason="another"),))
    assert played(loaded, known=known).known_failure is None


def test_a_known_failure_that_passes_is_reported(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, PUBLISH_AND_RECEIVE % "hello")
    known = KnownFailures((Entry(client="builtin", scenarios=("area/case",), reason="fixed meanwhile"),))
    record = played(loaded, known=known)
    assert record.verdict is Verdict.PASS
    assert record.unexpected_pass


def test_a_known_failure_that_shows_now_and_then_is_no_news_when_it_does_not(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, PUBLISH_AND_RECEIVE % "hello")
    known = KnownFailures((Entry(scenarios=("area/case",), intermittent=True, reason="depends on the clock"),))
    assert not played(loaded, known=known).unexpected_pass


# --- what a broker has to have ----------------------------------------------------------------------------------------


def played_with(loaded: LoadedScenario, spec: BrokerSpec, mqtt: MqttLabel = "5.0") -> Record:
    async def main() -> Record:
        drivers = DriverPool(limit=8)
        workshop = Workshop(drivers, {spec.name: spec}, KnownFailures(), lambda: pytest.fail("no TLS"), Slots(2, 2))
        try:
            return await play(Cell(loaded, "builtin", spec.name, mqtt, "tcp"), workshop)
        finally:
            await drivers.close()

    return asyncio.run(main())


def test_what_needs_a_broker_of_its_own_is_not_played_with_one_that_others_use(tmp_path: Path) -> None:
    loaded = scenario(tmp_path, PUBLISH_AND_RECEIVE % "hello", HEAD + "own_broker: true\n")
    record = played_with(loaded, AddressSpec(Address("127.0.0.1", 1)))
    assert record.verdict is Verdict.UNSUPPORTED
    assert record.reason == "127.0.0.1:1 is shared with others, who would disturb the scenario"
    assert played_with(loaded, ReferenceSpec()).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "step",
    [
        "publish, as: client, topic: t, qos: 2",
        "subscribe, as: client, topic: t, qos: 2, granted: 2",
        "receive, as: client, topic: t, qos: 2",
        "inject, link: client, to: broker, packet: {type: PUBLISH, topic: t, qos: 2, packet_id: 7}",
    ],
)
def test_a_broker_without_qos_2_is_not_asked_for_it(tmp_path: Path, step: str) -> None:
    loaded = scenario(tmp_path, f"actors:\n  client: {{}}\nsteps:\n  - {{do: {step}}}\n")
    spec = AddressSpec(Address("127.0.0.1", 1))
    spec.unsupported = ("qos2",)
    record = played_with(loaded, spec)
    assert (record.verdict, record.reason) == (Verdict.UNSUPPORTED, "127.0.0.1:1 has no qos2")


def test_a_subscription_that_may_be_granted_less_needs_qos_2_of_its_client_only(tmp_path: Path) -> None:
    steps = "actors:\n  client: {}\n  other: {}\nsteps:\n  - {do: subscribe, as: client, topic: t, qos: 2}\n"
    loaded = scenario(tmp_path, steps + "  - {do: publish, as: other, topic: t, qos: 1}\n")
    cell = Cell(loaded, "builtin", "reference", "5.0", "tcp")
    assert (cell.needs(), cell.needs("client")) == (("qos1",), ("qos2",))


def test_actors_without_a_login_of_their_own_have_the_one_a_broker_asks_of_everybody(tmp_path: Path) -> None:
    text = """\
        broker: {users: {alice: sesame, bob: secret}}
        actors:
          client: {}
          other: {username: bob, password: secret}
        steps:
          - {do: connect, as: client}
          - {do: connect, as: other}
        """
    spec = ReferenceSpec()
    spec.login = ("alice", "sesame")
    record = played_with(scenario(tmp_path, text), spec)
    assert record.verdict is Verdict.PASS
    said = [entry.summary for entry in record.trace if entry.packet == "CONNECT"]
    assert [name in summary for name, summary in zip(("alice", "bob"), said, strict=True)] == [True, True]


def test_a_connect_written_as_bytes_needs_a_broker_that_asks_for_no_login(tmp_path: Path) -> None:
    text = """\
        actors:
          client: {}
        steps:
          - {do: rewrite, link: client, at: CONNECT, hex: "10 00"}
          - {do: connect, as: client, outcome: cut-off}
        """
    spec = AddressSpec(Address("127.0.0.1", 1))
    spec.unsupported = ("anonymous",)
    assert played_with(scenario(tmp_path, text), spec).reason == "127.0.0.1:1 has no anonymous"


TWO_VERSIONS = """\
    actors:
      client: {}
      other: {mqtt: "5.0"}
    steps:
      - {do: subscribe, as: client, topic: t, qos: 1}
      - {do: publish, as: other, topic: t, qos: 1, payload: hello, properties: {content_type: a}}
      - {do: receive, as: client, topic: t, payload: hello, without: [content_type], only: ["5.0"]}
      - {do: receive, as: client, topic: t, payload: hello, only: ["3.1", "3.1.1"]}
    """


def test_an_actor_speaks_the_version_it_is_given_and_is_judged_by_it(tmp_path: Path) -> None:
    record = played(scenario(tmp_path, TWO_VERSIONS), "3.1.1")
    assert (record.verdict, record.findings) == (Verdict.PASS, ())
    said = {entry.link: entry.summary for entry in record.trace if entry.packet == "CONNECT"}
    assert "3.1.1" in said["client"]
    assert "5.0" in said["other"]


def test_a_cell_is_unsupported_where_the_broker_does_not_speak_a_version_of_an_actor(tmp_path: Path) -> None:
    spec = AddressSpec(Address("127.0.0.1", 1))
    spec.versions = ("3.1.1",)
    record = played_with(scenario(tmp_path, TWO_VERSIONS), spec, "3.1.1")
    assert (record.verdict, record.reason) == (Verdict.UNSUPPORTED, "127.0.0.1:1 does not speak MQTT 5.0")


def test_a_broker_needs_what_only_5_0_has_where_any_actor_speaks_5_0(tmp_path: Path) -> None:
    spec = AddressSpec(Address("127.0.0.1", 1))
    spec.unsupported = ("message-expiry",)
    needing = TWO_VERSIONS.replace("actors:", "needs: [message-expiry]\n    actors:")
    assert played_with(scenario(tmp_path, needing), spec, "3.1.1").reason == "127.0.0.1:1 has no message-expiry"
    alone = needing.replace('mqtt: "5.0"', "").replace(", properties: {content_type: a}", "")
    assert played_with(scenario(tmp_path, alone), spec, "3.1.1").verdict is not Verdict.UNSUPPORTED


def test_a_connack_with_a_wrong_property_is_named_and_hides_no_other_fault(tmp_path: Path) -> None:
    def with_receive_maximum_0(packet: ConnAck, _end: object) -> bytes:
        return encode(packet, Version.V5).replace(b"\x22\x00\x0a", b"\x21\x00\x00")

    faults = Says(ConnAck, with_receive_maximum_0), Says(Publish, having_properties(content_type=None))
    text = """\
        broker: {topic_alias_maximum: 10}
        actors:
          client: {}
          talker: {}
        steps:
          - {do: subscribe, as: client, topic: t}
          - {do: publish, as: talker, topic: t, payload: hello, properties: {content_type: a}, only: ["5.0"]}
          - {do: receive, as: client, topic: t, payload: hello}
        """
    spec = WrongBrokerSpec(Mutant("two faults", "broker", (), faults))
    record = played_with(scenario(tmp_path, text), spec)
    assert record.verdict is Verdict.FAIL
    assert [each.status for each in record.steps] == ["passed"] * 3
    assert {each.rule for each in record.findings} == {"well-formed", "message-properties-unchanged"}
    assert {each.blame for each in record.findings} == {"broker"}


def test_a_set_up_that_fails_because_a_must_was_broken_names_it(tmp_path: Path) -> None:
    no_connack = Says(ConnAck, lambda _packet, _end: bytes.fromhex("20 02 00 07"))  # of no table
    text = """\
        actors:
          client: {}
        steps:
          - {do: subscribe, as: client, topic: t}
          - {do: nothing, as: client}
        """
    spec = WrongBrokerSpec(Mutant("answers in no version", "broker", (), (no_connack,)))
    record = played_with(scenario(tmp_path, text), spec, "3.1.1")
    assert (record.verdict, record.blame, record.covered) == (Verdict.FAIL, "broker", {})
    assert [each.rule for each in record.findings] == ["well-formed"]
    assert record.cites == ("MQTT-3.2.2-6",)


def test_a_missing_packet_identifier_is_named_before_what_a_step_saw_of_it(tmp_path: Path) -> None:
    def without_packet_id(packet: Publish, _end: object) -> bytes:
        plain = encode(replace(packet, qos=QoS.AT_MOST_ONCE, packet_id=None), Version.V311)
        return bytes([plain[0] | packet.qos << 1]) + plain[1:]

    spec = WrongBrokerSpec(Mutant("no packet id", "broker", (), (Says(Publish, without_packet_id),)))
    record = played_with(scenario(tmp_path, PUBLISH_AND_RECEIVE % "hello"), spec, "3.1.1")
    assert record.reason.startswith("sub: PUBLISH of QoS 1 on ")
    assert "without an identifier" in record.reason
    assert "MQTT-2.3.1-1" in record.cites
    assert "client" not in {each.blame for each in record.findings if each.source == "judge"}


def test_an_actor_may_change_its_version_and_is_judged_by_what_each_connection_was_asked_for(tmp_path: Path) -> None:
    text = """\
        actors:
          client: {}
          mover: {session: kept}
        steps:
          - {do: subscribe, as: mover, topic: t, qos: 1}
          - {do: cut, link: mover}
          - {do: connect, as: mover, mqtt: "3.1.1", session_present: true}
          - {do: publish, as: client, topic: t, qos: 1, payload: hello}
          - {do: receive, as: mover, topic: t, payload: hello}
          - {do: cut, link: mover}
          - {do: connect, as: mover, session_present: true}
        """
    record = played(scenario(tmp_path, text), "5.0")
    assert (record.verdict, record.findings) == (Verdict.PASS, ())
    said = [entry.summary for entry in record.trace if entry.packet == "CONNECT" and entry.link == "mover"]
    assert [each.split()[1] for each in said] == ["5.0", "3.1.1", "5.0"]
