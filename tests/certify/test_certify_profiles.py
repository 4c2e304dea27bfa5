"""Profiles: those that ship select what they name, and what is wrong with one is said in a line."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest
from certify_samples import profile

from interop.certify.profile import FOLDER, Profile, load_profile, profile_names
from interop.exit_codes import CommandError
from interop.scenario.load import load_scenarios
from interop.scenario.values import Side

SCENARIOS = load_scenarios()
TEXT = (FOLDER / "wills.toml").read_text(encoding="utf-8")
PLAYED = [name for name in profile_names() if load_profile(name).content.selects]
SIDES = [(name, side) for name in PLAYED for side in load_profile(name).content.certifies]


@pytest.mark.parametrize(("name", "side"), SIDES)
def test_each_profile_selects_rows_that_put_its_side_to_the_test(name: str, side: Side) -> None:
    rows = load_profile(name).select(SCENARIOS, side)
    assert {row.scenario.judges for row in rows} <= {side, "both"}
    assert side == "broker" or not any(row.scenario.any_client for row in rows)


@pytest.mark.parametrize("name", PLAYED)
def test_no_pattern_of_a_profile_is_about_nothing(name: str) -> None:
    selects = load_profile(name).selects
    names = [row.name for row in SCENARIOS if set(row.scenario.versions) & set(selects.mqtt)]
    for pattern in (*selects.scenarios, *selects.without):
        assert fnmatch.filter(names, pattern), pattern


def played(**selects: object) -> set[str]:
    """The rows a broker is certified by."""
    small = profile()
    chosen = small.selects.model_copy(update={"scenarios": ("will/*",), **selects})
    content = small.content.model_copy(update={"selects": chosen})
    return {row.name for row in Profile("small", b"", content).select(SCENARIOS, "broker")}


def test_a_row_has_to_fit_every_field_of_a_selection() -> None:
    all_of_them = played()
    rows = {row.name: row.scenario for row in SCENARIOS if row.name in all_of_them}
    delayed = {name for name in rows if "delay" in name}
    assert delayed
    assert played(without=("*delay*",)) == set(rows) - delayed
    old = played(mqtt=("3.1",))
    assert old != all_of_them
    assert all("3.1" in row.scenario.versions for row in SCENARIOS if row.name in old)
    assert played(levels=("must",)) == {name for name, one in rows.items() if one.versions["5.0"].level == "must"}
    cited = {name for name, one in rows.items() if "MQTT-3.1.2-8" in one.versions["5.0"].cites}
    assert cited
    assert played(statements=("MQTT-3.1.2-8",)) >= cited
    assert played(statements=("MQTT-3.1.2-8",)) < set(rows)


def test_a_selection_of_nothing_is_no_profile() -> None:
    with pytest.raises(CommandError, match="selects nothing for a broker"):
        played(scenarios=("nothing/*",))


def test_a_profile_of_ones_own_is_named_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT, encoding="utf-8")
    mine = load_profile(str(path))
    assert (mine.name, mine.content) == ("mine", load_profile("wills").content)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('features = ["will"]', 'features = ["wil"]', "did you mean 'will'"),
        ('accepts = ["pass",', 'accepts = ["passed",', "demands.accepts.0"),
        ("[selects]", "[select]", "select"),
        ("[selects]", '[selects]\nstatements = ["MQTT-3.1.2-88"]', "unknown statement MQTT-3.1.2-88; nearest are"),
        ("[selects]", '[selects]\nrules = ["will-onse"]', "did you mean will-once?"),
        ("title =", "title", "not TOML"),
    ],
)
def test_what_is_wrong_with_a_profile_is_said_in_one_line(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace(right, wrong), encoding="utf-8")
    with pytest.raises(CommandError, match=r"mine\.toml") as caught:
        load_profile(str(path))
    assert said in str(caught.value)


def test_a_name_there_is_none_of_is_answered_with_those_there_are() -> None:
    with pytest.raises(CommandError, match=r"no profile 'will'; did you mean 'wills'\? \(there are .*keep-alive"):
        load_profile("will")
    with pytest.raises(CommandError, match=r"absent\.toml: No such file"):
        load_profile("absent.toml")


# --- closed devices ---------------------------------------------------------------------------------------------------

DEVICES = [name for name in profile_names() if name not in PLAYED]


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_has_to_connect_whatever_else_it_need_not_come_to(name: str) -> None:
    stages = load_profile(name).hands_off
    assert stages.stages[0] == "connects"
    assert set(stages.may_stay_unreached) < set(stages.stages) - {"connects"}


def test_a_profile_is_either_of_scenarios_or_of_stages(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is for closed devices: name yours with --device"):
        load_profile("device-basic").select(SCENARIOS, "client")
    with pytest.raises(CommandError, match="is not for closed devices"):
        _ = load_profile("wills").hands_off
    path = tmp_path / "both.toml"
    path.write_text(f'{TEXT}\n[hands_off]\nstages = ["connects"]\n', encoding="utf-8")
    with pytest.raises(CommandError, match="expected either selects or hands_off"):
        load_profile(str(path))
    path.write_text(path.read_text().replace('"connects"', '"connect"'), encoding="utf-8")
    with pytest.raises(CommandError, match="no stage 'connect'; expected connects, subscribes"):
        load_profile(str(path))
