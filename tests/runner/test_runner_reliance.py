"""A step that relies on an armed fault waits for it; who ended a connection is who the other side saw end it."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner_stage import HEAD, played, scenario

from reports.record import Verdict

LATE = """\
actors: {sub: {session: kept}, pub: {}}
steps:
  - {do: subscribe, as: sub, topic: t, qos: 1}
  - {do: connect, as: pub}
  # The broker hears of the message, and sends it, after the next steps could have been carried out.
  - {do: delay, link: pub, at: PUBLISH, from: client, seconds: 0.15}
"""


def test_a_client_connects_again_once_the_cut_before_it_has_happened(tmp_path: Path) -> None:
    text = LATE + (
        "  - {do: cut, link: sub, at: PUBLISH, from: broker}\n"
        "  - {do: publish, as: pub, topic: t, qos: 1, payload: hello, outcome: pending}\n"
        "  - {do: connect, as: sub, session_present: true}\n"
        "  - {do: receive, as: sub, topic: t, payload: hello, dup: true}\n"
    )
    record = played(scenario(tmp_path, text))
    assert (record.verdict, record.reason) == (Verdict.PASS, "")


def test_a_cut_at_this_moment_comes_after_what_was_to_be_dropped(tmp_path: Path) -> None:
    text = LATE + (
        "  - {do: drop, link: sub, at: PUBACK, from: client}\n"
        "  - {do: publish, as: pub, topic: t, qos: 1, payload: hello, outcome: pending}\n"
        "  - {do: cut, link: sub}\n"
        "  - {do: connect, as: sub, session_present: true}\n"
        "  - {do: receive, as: sub, topic: t, payload: hello, times: 2}\n"
    )
    assert played(scenario(tmp_path, text)).verdict is Verdict.PASS


def test_time_passes_once_the_packet_is_held_that_it_passes_for(tmp_path: Path) -> None:
    text = LATE + (
        "  - {do: hold, link: sub, at: PUBLISH, from: broker}\n"
        "  - {do: publish, as: pub, topic: t, qos: 1, payload: hello, outcome: pending}\n"
        "  - {do: elapse, seconds: 0.05, because: the message is under way}\n"
        "  - {do: thaw, link: sub}\n"
        "  - {do: receive, as: sub, topic: t, payload: hello, within: 0.1}\n"
    )
    record = played(scenario(tmp_path, text))
    assert record.verdict is Verdict.PASS
    assert "held" in [entry.fate for entry in record.trace]


def test_whoever_takes_a_client_id_over_waits_for_what_is_to_befall_its_holder(tmp_path: Path) -> None:
    text = """\
        actors: {first: {client_id: same}, second: {client_id: same}}
        steps:
          - {do: connect, as: first}
          - {do: delay, link: first, at: PUBLISH, from: client, seconds: 0.15}
          - {do: cut, link: first, at: PUBACK, from: broker}
          - {do: publish, as: first, topic: t, qos: 1, payload: hello, outcome: pending}
          - {do: connect, as: second}
          - {do: wire, link: first, from: broker, contains: [PUBACK], within: 0.01}
        """
    assert played(scenario(tmp_path, text)).verdict is Verdict.PASS


NEVER_FIRES = """\
actors: {sub: {}}
steps:
  - {do: connect, as: sub}
  - {do: cut, link: sub, at: PUBLISH, from: broker}
"""


@pytest.mark.parametrize(
    "relies",
    [
        "{do: connect, as: sub}",
        "{do: wire, link: sub, since: cut, never: [AUTH]}",
        "{do: elapse, seconds: 0, because: x}",
    ],
)
def test_a_fault_whose_packet_cannot_come_any_more_is_a_failed_set_up(tmp_path: Path, relies: str) -> None:
    text = f"{NEVER_FIRES}  - {{do: inject, link: sub, to: broker, hex: f0 00}}\n  - {relies}\n"
    record = played(scenario(tmp_path, text), "3.1.1")
    assert record.verdict is Verdict.SETUP_FAILED
    assert record.reason.startswith(
        "the broker never sent a PUBLISH on the link of sub to cut (FIN) at; the broker had closed the connection at "
    )


def test_a_scenario_whose_fault_never_fired_proves_nothing(tmp_path: Path) -> None:
    text = f"{NEVER_FIRES}  - {{do: disconnect, as: sub}}\n".replace("PUBLISH, from: broker", "PINGREQ")
    record = played(scenario(tmp_path, text))
    assert record.verdict is Verdict.SETUP_FAILED
    assert "the client never sent a PINGREQ on the link of sub" in record.reason


def test_nobody_waits_for_an_optional_fault(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {}}
        steps:
          - {do: connect, as: sub}
          - {do: drop, link: sub, at: PUBLISH, from: broker, optional: true}
          - {do: disconnect, as: sub}
          - {do: connect, as: sub}
        """
    assert played(scenario(tmp_path, text)).verdict is Verdict.PASS


CLOSED_TWICE = """\
    actors: {client: {}}
    steps:
      - {do: connect, as: client}
      - {do: freeze, link: client, only_from: client}
      - {do: disconnect, as: client}
      - {do: inject, link: client, to: broker, hex: "f0 00"}
      - {do: closed, link: client, by: broker}
    """


def test_an_end_that_was_kept_back_is_none_for_the_other_side(tmp_path: Path) -> None:
    record = played(scenario(tmp_path, CLOSED_TWICE), "3.1.1")
    assert (record.verdict, record.reason) == (Verdict.PASS, "")
    closes = [(entry.sender, entry.fate) for entry in record.trace if entry.kind == "close"]
    assert closes[:2] == [("client", "held"), ("broker", "forwarded")]


@pytest.mark.parametrize(
    ("judges", "verdict", "blame"),
    [("client", Verdict.FAIL, "client"), ("broker", Verdict.SETUP_FAILED, "unknown")],
)
def test_what_the_other_side_did_is_no_fault_of_the_one_that_is_judged(
    tmp_path: Path, judges: str, verdict: Verdict, blame: str
) -> None:
    text = """\
        actors: {client: {}}
        steps:
          - {do: connect, as: client}
          - {do: disconnect, as: client}
          - {do: stays_open, link: client, seconds: 0.05}
        """
    record = played(scenario(tmp_path, text, HEAD.replace("versions:", f"judges: {judges}\nversions:")))
    assert (record.verdict, record.blame) == (verdict, blame)
    assert "the client closed it" in record.reason


@pytest.mark.parametrize("client", ["builtin", "paho"])
def test_a_failed_step_speaks_of_the_side_that_is_judged_whoever_is_foreign(tmp_path: Path, client: str) -> None:
    text = """\
        actors: {client: {}}
        steps:
          - {do: connect, as: client, session_present: true}
        """
    head = HEAD.replace("versions:", "judges: broker\nversions:")
    assert played(scenario(tmp_path, text, head), client=client).blame == "broker"


def test_who_makes_the_other_side_close_by_an_answer_it_should_not_have_given_is_at_fault(tmp_path: Path) -> None:
    text = """\
        actors: {client: {}}
        steps:
          - {do: connect, as: client}
          - {do: inject, link: client, to: broker, hex: "82 06 0001 0001 74 00"}
          - {do: closed, link: client, by: broker}
        """
    record = played(scenario(tmp_path, text, HEAD.replace("versions:", "judges: broker\nversions:")), "3.1.1")
    assert (record.verdict, record.blame) == (Verdict.FAIL, "broker")
    assert "the client closed it" in record.reason


@pytest.mark.parametrize("ends", ["{do: cut, link: sub}", "{do: cut, link: sub, how: silence}", "{do: mark, name: m}"])
def test_a_connection_is_left_once_what_came_on_it_is_acknowledged(tmp_path: Path, ends: str) -> None:
    text = f"""\
        actors: {{sub: {{session: kept}}, pub: {{}}}}
        steps:
          - {{do: subscribe, as: sub, topic: t, qos: 2}}
          # The application has the message at PUBREL or before; PUBCOMP comes after the next step could have begun.
          - {{do: delay, link: sub, at: PUBREL, from: broker, seconds: 0.05}}
          - {{do: publish, as: pub, topic: t, qos: 2, payload: once}}
          - {{do: wire, link: sub, contains: [PUBREC]}}
          - {ends}
          - {{do: connect, as: sub, session_present: true}}
          - {{do: receive, as: sub, topic: t, payload: once}}
          - {{do: wire, link: sub, since: connect, never: [PUBREL]}}
        """
    record = played(scenario(tmp_path, text))
    assert (record.verdict, record.reason) == (Verdict.PASS, "")


def test_nobody_waits_for_an_acknowledgement_that_the_application_keeps_back(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {session: kept, manual_ack: true}, pub: {}}
        steps:
          - {do: subscribe, as: sub, topic: t, qos: 1}
          - {do: publish, as: pub, topic: t, qos: 1, payload: hello}
          - {do: receive, as: sub, topic: t, payload: hello}
          - {do: cut, link: sub}
        """
    record = played(scenario(tmp_path, text))
    cut = record.steps[-1]
    assert record.verdict is Verdict.PASS
    assert (cut.seconds or 0) < 0.2


def test_a_message_that_need_not_come_is_waited_for_while_it_is_on_its_way(tmp_path: Path) -> None:
    text = """\
        actors: {sub: {}, pub: {}}
        steps:
          - {do: subscribe, as: sub, topic: t, qos: 1}
          - {do: delay, link: sub, at: PUBLISH, from: broker, seconds: 0.5}
          - {do: publish, as: pub, topic: t, qos: 1, payload: hello}
          - {do: wire, link: sub, from: broker, contains: [PUBLISH]}
          - {do: receive, as: sub, topic: t, payload: hello, times: {at_least: 0, at_most: 1}}
          - {do: nothing, as: sub, seconds: 0.5}
        """
    record = played(scenario(tmp_path, text))
    assert (record.verdict, record.reason) == (Verdict.PASS, "")
