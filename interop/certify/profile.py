"""Profiles: what is played for a certificate and what has to come out, as data (`profiles/*.toml`).

Belongs here: the fields of a profile file, reading one, which scenarios it selects.
Does not belong here: playing them (`command`), weighing what came out (`weighing`).
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError, field_validator, model_validator

from interop.exit_codes import CommandError
from interop.hands_off.scene import Patience
from interop.hands_off.stages import STAGES
from interop.runner.about import About
from interop.scenario.features import unknown_features
from interop.scenario.load import LoadedScenario
from interop.scenario.problems import closest, first_problem
from interop.scenario.values import Level, MqttLabel, Side, Strict, TransportName
from reports.record import Verdict

FOLDER = Path(__file__).with_name("profiles")


class Selects(Strict):
    """Which rows of the collection are played; a row has to fit each field, and any entry of a field."""

    mqtt: tuple[MqttLabel, ...] = Field(min_length=1)
    transports: tuple[TransportName, ...] = Field((), description="none: those each scenario names")
    scenarios: tuple[str, ...] = Field((), description="names or shell patterns; none: all")
    without: tuple[str, ...] = Field((), description="names or shell patterns of those that are left out")
    statements: tuple[str, ...] = Field((), description="cells that cite one of these, as in `run`; none: all")
    rules: tuple[str, ...] = Field((), description="cells that have to do with one of these, as in `run`; none: all")
    levels: tuple[Level, ...] = Field(tuple(Level), min_length=1)
    slow: bool = Field(default=False, description="scenarios that take up to a minute each, too")

    @model_validator(mode="after")
    def _are_known(self) -> Selects:
        _ = self.about
        return self

    @property
    def about(self) -> About:
        """The statements and rules as a value; raises UnknownSubject."""
        return About(self.statements, self.rules)


class HandsOff(Strict):
    """A closed device is tested from the wire by these stages, and how long each may take (see `Patience`)."""

    stages: tuple[str, ...] = Field(min_length=1)
    may_stay_unreached: tuple[str, ...] = ()
    person_seconds: float = Field(Patience.person, gt=0)
    device_seconds: float = Field(Patience.device, gt=0)
    longest_keep_alive_seconds: float = Field(Patience.longest_keep_alive, gt=0)
    long_run_seconds: float = Field(Patience.long_run, gt=0)

    @field_validator("stages", "may_stay_unreached")
    @classmethod
    def _are_stages(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in STAGES]:
            raise ValueError(f"no stage {unknown[0]!r}; expected {', '.join(STAGES)}")
        return names

    @property
    def patience(self) -> Patience:
        """The same as a value."""
        return Patience(
            self.person_seconds, self.device_seconds, self.longest_keep_alive_seconds, self.long_run_seconds
        )


class Demands(Strict):
    """What has to come out of each cell, but for exceptions with a reason, and what the implementation has to have."""

    accepts: tuple[Verdict, ...] = Field(min_length=1)
    features: tuple[str, ...] = Field((), description="what may not be declared to be lacking")
    exceptions_at_most: float = Field(
        0.1,
        ge=0,
        le=1,
        description="which share of the cells that apply may be exceptions",
    )

    @field_validator("features")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if problems := unknown_features(names):
            raise ValueError("; ".join(problems))
        return names


class Content(Strict):
    """One profile file."""

    title: str = Field(min_length=1)
    about: str = Field(min_length=1)
    certifies: tuple[Side, ...] = Field(min_length=1)
    selects: Selects | None = Field(None, description="scenarios, played with an adapter or a broker")
    hands_off: HandsOff | None = Field(None, description="stages, played with a closed device")
    demands: Demands

    @model_validator(mode="after")
    def _is_one_kind(self) -> Content:
        if (self.selects is None) == (self.hands_off is None):
            raise ValueError("expected either selects or hands_off")
        return self


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile with its name (its file's) and its text, of which a certificate gives the digest."""

    name: str
    text: bytes
    content: Content

    def select(self, scenarios: Iterable[LoadedScenario], side: Side) -> list[LoadedScenario]:
        """The rows to be played for the certificate of a client or a broker.

        Rows that put only the other side to the test are left out: that one is the reference.
        """
        chosen = [one for one in self.selects.about.rows(scenarios) if _takes(self.selects, one, side)]
        if not chosen:
            raise CommandError(f"profile {self.name} selects nothing for a {side}")
        return chosen

    @property
    def selects(self) -> Selects:
        """What is played with an adapter or a broker; raises CommandError for a profile of devices."""
        if self.content.selects is None:
            raise CommandError(f"profile {self.name} is for closed devices: name yours with --device")
        return self.content.selects

    @property
    def hands_off(self) -> HandsOff:
        """What is played with a closed device; raises CommandError for a profile of anything else."""
        if self.content.hands_off is None:
            raise CommandError(f"profile {self.name} is not for closed devices: it needs --client or --broker")
        return self.content.hands_off


def _takes(wanted: Selects, one: LoadedScenario, side: Side) -> bool:
    scenario = one.scenario
    other = "broker" if side == "client" else "client"
    if scenario.judges == other or (side == "client" and scenario.any_client):
        return False
    if scenario.slow and not wanted.slow:
        return False
    if wanted.transports and not set(wanted.transports) & set(scenario.transports):
        return False
    if (wanted.scenarios and not _fits(one.name, wanted.scenarios)) or _fits(one.name, wanted.without):
        return False
    return any(clause.level in wanted.levels for mqtt, clause in scenario.versions.items() if mqtt in wanted.mqtt)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(name == each or fnmatch.fnmatchcase(name, each) for each in patterns)


def profile_names() -> list[str]:
    """The profiles that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_profile(name: str) -> Profile:
    """A profile that ships, by name, or one of somebody's own, by its file; raises CommandError in one line."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not name.endswith(".toml") and name not in profile_names():
        close = closest(name, profile_names())
        guess = f"; did you mean {close!r}?" if close else ""
        raise CommandError(f"no profile {name!r}{guess} (there are {', '.join(profile_names())}, or a FILE.toml)")
    try:
        text = path.read_bytes()
        return Profile(path.stem, text, Content.model_validate(tomllib.loads(text.decode())))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        raise CommandError(f"{path}: {first_problem(error, Content)}") from error
