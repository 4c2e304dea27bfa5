"""Windows: nobody waits for what cannot come any more, and says why it cannot; a window that passes is no work."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner_stage import played, scenario

from interop.runner import window
from interop.runner.stage import Stage

TAKEN_OVER = """
actors: {a: {client_id: same}, b: {client_id: same}, pub: {}}
steps:
  - {do: subscribe, as: a, topic: t, qos: 1}
  - {do: connect, as: b}
"""
"""The broker ends the connection of `a`, whose client did nothing."""

CUT = """
actors: {a: {}, b: {}}
steps:
  - {do: subscribe, as: a, topic: t, qos: 1}
  - {do: cut, link: a, how: rst}
"""

MISSED = [
    ("{do: receive, as: a, topic: t, within: 30}", "expected a to get a message on 't' within 30 s (0 of 1 so far)"),
    ("{do: receive, as: a, topic: 't/{n}', count: 2, within: 30}", "expected a to get 2 messages within 30 s"),
    ("{do: wire, link: a, contains: [PINGREQ], within: 30}", "expected PINGREQ on the link of a within 30 s"),
    ("{do: wire, link: a, since: b, exactly: [PINGREQ], within: 30}", "expected exactly PINGREQ on the link of a"),
]


@pytest.mark.parametrize(("step", "expected"), MISSED)
def test_what_cannot_come_on_a_closed_link_is_not_waited_for(tmp_path: Path, step: str, expected: str) -> None:
    record = played(scenario(tmp_path, f"judges: broker\n{TAKEN_OVER}  - {{do: mark, name: b}}\n  - {step}\n"))
    assert record.verdict == "fail"
    assert record.reason.startswith(expected)
    assert record.seconds < 20


def test_who_closed_and_when_is_said(tmp_path: Path) -> None:
    record = played(scenario(tmp_path, f"{TAKEN_OVER}  - {{do: receive, as: a, topic: t, within: 30}}\n"))
    (end,) = (each for each in record.trace if (each.link, each.kind, each.sender) == ("a", "close", "broker"))
    assert record.reason.endswith(f"but nothing came; the broker had closed the connection at {end.at:.3f} s")


def test_a_connection_that_the_scenario_cut_was_closed_by_nobody(tmp_path: Path) -> None:
    step = "  - {do: wire, link: a, contains: [PINGREQ], within: 30}\n"
    record = played(scenario(tmp_path, f"judges: client\n{CUT}{step}"))
    assert record.verdict == "fail"
    assert "the connection was cut at " in record.reason
    assert record.seconds < 20


@pytest.mark.parametrize(("step", "expected"), MISSED)
def test_what_is_missed_because_the_other_side_closed_is_no_fault(tmp_path: Path, step: str, expected: str) -> None:
    record = played(scenario(tmp_path, f"judges: client\n{TAKEN_OVER}  - {{do: mark, name: b}}\n  - {step}\n"))
    assert (record.verdict, record.findings) == ("setup-failed", ())
    assert record.reason.startswith(expected)
    assert "the broker had closed the connection" in record.reason


WITH_A_MESSAGE = """
actors: {a: {client_id: same, manual_ack: true}, b: {client_id: same}, pub: {}}
steps:
  - {do: subscribe, as: a, topic: t, qos: 1}
  - {do: publish, as: pub, topic: t, qos: 1, payload: x}
  - {do: receive, as: a, topic: t, payload: x}
  - {do: connect, as: b}
"""


def test_whom_a_foreign_broker_cut_off_before_it_acknowledged_is_not_to_blame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = f"judges: client\n{WITH_A_MESSAGE}  - {{do: closed, link: a, by: broker}}\n  - {{do: ack, as: a}}\n"
    monkeypatch.setattr(window, "REFERENCE_BROKER", "another")
    record = played(scenario(tmp_path, document))
    assert record.verdict == "setup-failed"
    assert record.reason.startswith("expected a to acknowledge, but it was cut-off (the broker's own doing)")


@pytest.mark.parametrize(
    "step",
    [
        "{do: subscribe, as: a, topic: t}",
        "{do: unsubscribe, as: a, topic: t}",
        "{do: publish, as: a, topic: t, qos: 1, payload: x}",
    ],
)
def test_whom_a_foreign_broker_cut_off_before_is_not_to_blame_for_what_it_cannot_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    document = f"judges: client\n{TAKEN_OVER}  - {{do: closed, link: a, by: broker}}\n  - {step}\n"
    assert played(scenario(tmp_path, document)).verdict == "fail"  # of our own broker it is known that it had a reason
    monkeypatch.setattr(window, "REFERENCE_BROKER", "another")
    record = played(scenario(tmp_path, document))
    assert record.verdict == "setup-failed"
    assert "the broker's own doing" in record.reason


def test_the_end_that_is_told_is_that_of_the_connection_that_took_over(tmp_path: Path) -> None:
    """The one taken over is closed by the broker, and only then."""
    document = """\
judges: broker
actors: {a: {session: kept}}
steps:
  - {do: connect, as: a}
  - {do: cut, link: a, how: silence}
  - {do: connect, as: a, session_present: true}
  - {do: inject, link: a, to: client, hex: "ff 00"}
  - {do: receive, as: a, topic: t, payload: x}
"""
    assert "the client had closed the connection" in played(scenario(tmp_path, document)).reason


def test_a_broker_that_closes_because_its_client_was_silent_did_not_close_on_its_own(tmp_path: Path) -> None:
    """After one and a half keep alives it has to [5.0 MQTT-3.1.2-22]: what is missed then is the client's fault."""
    document = """\
judges: client
actors: {a: {keep_alive: 1}}
steps:
  - {do: connect, as: a}
  - {do: drop, link: a, at: PINGREQ, every: true}
  - {do: mark, name: silent}
  - {do: wire, link: a, since: silent, contains: [{packet: DISCONNECT, from: client}], within: 30}
"""
    record = played(scenario(tmp_path, document))
    assert "the broker had closed the connection at " in record.reason
    assert (record.verdict, record.blame) == ("fail", "client")


def test_an_end_that_came_before_the_last_action_is_not_waited_for_again(tmp_path: Path) -> None:
    steps = "  - {do: connect, as: pub}\n  - {do: closed, link: a, by: broker, within: 30}\n"
    record = played(scenario(tmp_path, TAKEN_OVER + steps))
    assert "but it had ended before; the broker had closed the connection at " in record.reason
    assert record.seconds < 20


def test_who_is_about_to_connect_is_waited_for(tmp_path: Path) -> None:
    steps = """\
  - {do: connect, as: a, outcome: pending}
  - {do: wire, link: a, since: cut, contains: [CONNECT, CONNACK]}
"""
    assert played(scenario(tmp_path, CUT + steps)).verdict == "pass"


def test_a_window_that_passed_was_waiting_and_no_work(tmp_path: Path) -> None:
    text = "actors: {a: {}}\nsteps:\n  - {do: receive, as: a, topic: t, within: 0.6, because: it is short}\n"
    record = played(scenario(tmp_path, text))
    assert record.verdict == "fail"
    assert record.waiting_seconds >= 0.59
    assert record.overhead_seconds == pytest.approx(record.seconds - record.waiting_seconds, abs=0.001)


def test_a_keep_alive_counts_from_the_last_packet_however_late_the_step_that_looks_begins(tmp_path: Path) -> None:
    late = """
judges: broker
actors: {silent: {}}
steps:
  - {do: rewrite, link: silent, at: CONNECT, set: {keep_alive: 1}}
  - {do: rewrite, link: silent, at: CONNACK, set: {properties: {}}}
  - {do: connect, as: silent}
  - {do: elapse, seconds: 0.5, because: a busy machine comes no sooner to the next step}
  - {do: freeze, link: silent}
  - {do: stays_open, link: silent, seconds: 1.2}
"""
    from_the_action = played(scenario(tmp_path, late))
    assert from_the_action.verdict == "fail"
    assert "the broker closed it after" in from_the_action.reason
    assert played(scenario(tmp_path, late.replace("1.2", "1.2, since_last_of: client"))).verdict == "pass"


UNWANTED = """
judges: broker
actors: {sub: {}, pub: {}}
steps:
  - {do: subscribe, as: sub, topic: t}
  - {do: delay, link: sub, at: PUBLISH, from: broker, seconds: 0.4}
  - {do: publish, as: pub, topic: t, payload: x}
  - {do: nothing, as: sub, seconds: 0.2}
"""


def test_a_message_that_came_within_the_window_is_no_matter_of_time(tmp_path: Path) -> None:
    (finding,) = played(scenario(tmp_path, UNWANTED.replace("0.2", "1.0"))).findings
    assert "it got 'x' on 't'" in finding.message
    assert finding.window_seconds is None


def test_a_message_that_came_after_the_window_of_a_machine_that_listened_too_long_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_time = Stage.rest_until
    monkeypatch.setattr(Stage, "rest_until", lambda stage, moment: in_time(stage, moment + 0.6))
    (finding,) = played(scenario(tmp_path, UNWANTED)).findings
    assert "it got 'x' on 't'" in finding.message
    assert finding.window_seconds == 0.2
