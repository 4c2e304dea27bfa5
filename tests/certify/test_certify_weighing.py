"""When a profile is met: its demands against what the cells came to."""

from __future__ import annotations

import pytest
from certify_samples import ACCEPTED, KNOWN, profile, record, subject

from interop.certify.profile import Content, Profile
from interop.certify.weighing import Result, weigh
from reports.record import Finding, Verdict

PASSED = record()


def test_a_profile_is_met_where_every_cell_comes_to_what_is_accepted() -> None:
    weighed = weigh(profile(), subject(), [PASSED, record("qos1/other", Verdict.OBSERVED)])
    assert weighed.result is Result.PASSED
    assert (weighed.passed, weighed.failed, weighed.shortfalls) == ((PASSED.cell_id,), (), ())


@pytest.mark.parametrize("verdict", [each for each in Verdict if each.value not in ACCEPTED])
def test_any_other_verdict_falls_short_and_is_named(verdict: Verdict) -> None:
    red = record("qos1/other", verdict, reason="no PUBACK", blame="client")
    weighed = weigh(profile(), subject(), [PASSED, red])
    assert weighed.result is Result.FAILED
    assert weighed.failed == (red.cell_id,)
    (said,) = weighed.shortfalls
    assert said.startswith(verdict.value)
    assert "qos1/other" in said
    assert "no PUBACK" in said


def test_one_defect_is_one_sentence_however_many_cells_show_it() -> None:
    finding = Finding(source="judge", rule="puback", level="must", blame="client", message="no PUBACK")
    red = [record(f"qos1/{n}", Verdict.FAIL, reason="no PUBACK", blame="client", findings=(finding,)) for n in "abc"]
    assert weigh(profile(), subject(), [PASSED, *red]).shortfalls == (
        "fail by the client acme: no PUBACK (3 cells, MQTT 5.0 over tcp; e.g. qos1/a)",
    )


def test_a_failure_with_a_reason_listed_before_is_an_exception_and_not_hidden() -> None:
    known = [record(f"qos1/{name}", Verdict.FAIL, known_failure=KNOWN) for name in ("one", "other")]
    weighed = weigh(profile(exceptions_at_most=0.7), subject(), [PASSED, *known])
    assert weighed.result is Result.WARNED
    (exception,) = weighed.exceptions
    assert (exception.reason, exception.link, len(exception.cells)) == (KNOWN.reason, KNOWN.link, 2)
    assert weighed.warned == tuple(each.cell_id for each in known)


def test_who_has_a_reason_for_nearly_everything_does_not_meet_a_profile() -> None:
    known = record("qos1/known", Verdict.FAIL, known_failure=KNOWN)
    passes = [record(f"qos1/{number}") for number in range(9)]
    assert weigh(profile(), subject(), [*passes, known]).result is Result.WARNED
    unsupported = [record(f"qos1/un{number}", Verdict.UNSUPPORTED) for number in range(9)]
    weighed = weigh(profile(), subject(), [*passes[1:], known, *unsupported])
    assert weighed.result is Result.FAILED
    assert weighed.shortfalls == ("1 of 9 cells that apply are exceptions; the profile allows 10%",)


def test_a_harness_error_is_never_an_exception() -> None:
    broken = record("qos1/other", Verdict.HARNESS_ERROR, known_failure=KNOWN)
    assert weigh(profile(), subject(), [PASSED, broken]).result is Result.FAILED


def test_a_warning_is_said_where_it_is_accepted_and_falls_short_where_it_is_not() -> None:
    warned = record("qos1/other", Verdict.WARN)
    accepted = weigh(profile(), subject(), [PASSED, warned])
    assert (accepted.result, accepted.warned) == (Result.WARNED, (warned.cell_id,))
    assert weigh(profile(accepts=("pass",)), subject(), [PASSED, warned]).result is Result.FAILED


def test_what_the_profile_asks_for_may_not_be_declared_to_be_lacking() -> None:
    asked = profile(features=("qos1", "will"))
    assert weigh(asked, subject("qos2"), [PASSED]).result is Result.PASSED
    (said,) = weigh(asked, subject("qos2", "will"), [PASSED]).shortfalls
    assert said == "acme declares that it lacks will, which the profile asks for"


def test_a_version_of_which_no_cell_passes_is_not_certified() -> None:
    absent = record(verdict=Verdict.UNSUPPORTED)
    (said,) = weigh(profile(), subject(), [absent]).shortfalls
    assert said == "no cell of MQTT 5.0 passes"


# --- closed devices ---------------------------------------------------------------------------------------------------


def device_profile() -> Profile:
    """One with two stages, of which the second need not be reached."""
    stages = {"stages": ("connects", "publishes"), "may_stay_unreached": ("publishes",)}
    content = {**profile().content.model_dump(), "selects": None, "hands_off": stages}
    return Profile("device", b"", Content.model_validate(content))


def test_what_a_device_did_not_come_to_is_listed_and_never_passed() -> None:
    reached = record("device/connects")
    unreached = record("device/publishes", Verdict.SETUP_FAILED, reason="the device did not publish within 9 s")
    weighed = weigh(device_profile(), subject(), [reached, unreached])
    assert weighed.result is Result.WARNED
    assert weighed.passed == (reached.cell_id,)
    assert weighed.unreached == ("device/publishes: the device did not publish within 9 s",)


def test_what_a_device_has_to_come_to_falls_short_where_it_does_not() -> None:
    unreached = record("device/connects", Verdict.SETUP_FAILED, reason="the device did not connect within 9 s")
    weighed = weigh(device_profile(), subject(), [unreached])
    assert weighed.result is Result.FAILED
    assert weighed.unreached == ()
