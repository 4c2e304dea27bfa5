"""What a scenario is: a title, what it proves, its actors, and one verb per line.

Belongs here: the fields of a scenario file, with the meaning of each; the published JSON Schema comes from it.
Does not belong here: the verbs (`steps`), reading YAML and expanding tables (`load`), checks that need more than one
field (`lint`), or doing anything (`interop.runner`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field

from interop.requirements.requirements import known, statement
from interop.scenario.steps import Restart, Step
from interop.scenario.values import Level, MqttLabel, Payload, PropertyMap, QoSLevel, Side, Strict, TransportName


class VersionClause(Strict):
    """What the specification of one version says about the scenario."""

    level: Level = Field(description="must: a failure is red; should: a warning; may: what happened is recorded")
    cites: tuple[str, ...] = Field(description="statement ids of this version, e.g. MQTT-4.3.3-1 or MQTT31-16")


class Will(Strict):
    """An actor's will."""

    topic: str
    payload: Payload = ""
    qos: QoSLevel = 0
    retain: bool = False
    properties: PropertyMap = Field(default_factory=dict, description="5.0 will properties, e.g. will_delay_interval")


class Actor(Strict):
    """One client of the scenario. The client under test plays the first actor, the reference client the others.

    `clean` is Clean Session 1 in 3.x, Clean Start 1 without Session Expiry in 5.0.
    `kept` is Clean Session 0 in 3.x, Clean Start 0 with Session Expiry Interval 300 in 5.0 unless `properties` says
    otherwise.
    An actor connects by itself when a step first uses it; a `connect` step does it explicitly.
    `mqtt` lets versions meet, and `connect` with `mqtt` lets a session go on in another one: the first actor always
    speaks the cell's. Statements are those of the cell's version.
    """

    mqtt: MqttLabel | None = Field(None, description="the version it speaks, where it need not be the cell's")
    session: Literal["clean", "kept"] = "clean"
    keep_alive: Annotated[int, Field(ge=0, le=65535)] = 60
    client_id: str | None = Field(None, description="none: the runner makes one; '' asks the broker to assign one")
    username: str | None = None
    password: str | None = None
    will: Will | None = None
    properties: PropertyMap = Field(default_factory=dict, description="5.0 CONNECT properties; left out in 3.x")
    manual_ack: bool = False


class Scenario(Strict):
    """One scenario file, or one row of its table once expanded."""

    title: str
    about: str = Field(
        "", description="what a reader should know: the intent, and why the expectation follows from the text"
    )
    judges: Literal["client", "broker", "both"] = Field(
        "both", description="whose behaviour the steps put to the test; a failed step is blamed on it"
    )
    any_client: bool = Field(
        default=False,
        description="no client is put to the test, any will do: only the first one asked for plays it",
    )
    versions: dict[MqttLabel, VersionClause] = Field(min_length=1)
    needs: tuple[str, ...] = Field(
        (), description="features client and broker must have; see interop/scenario/features.py"
    )
    transports: tuple[TransportName, ...] = ("tcp",)
    broker: dict[str, Any] = Field(
        default_factory=dict, description="settings of the broker (fields of BrokerConfig), where it can be configured"
    )
    own_broker: bool = Field(
        default=False,
        description="cells that share a broker would disturb each other: common topics, extreme sizes",
    )
    slow: bool = Field(
        default=False,
        description="many seconds of work for a machine: played only when asked for, and with nobody beside it",
    )
    for_each: tuple[dict[str, Any], ...] | dict[str, tuple[Any, ...]] | None = Field(
        None,
        description=(
            "a table: a list of rows, or a product {name: [values]}. `${name}` in any value is replaced. "
            "A row may have `case` (its short name) and `versions` (a list: only these)."
        ),
    )
    also: tuple[str, ...] = Field(
        (),
        description=(
            "variants in which each row is played again, e.g. [resumed, queued, shared+queued]; see "
            "interop/scenario/variants.py. A row of `for_each` may have its own `also` instead."
        ),
    )
    actors: dict[str, Actor] = Field(min_length=1)
    steps: tuple[Step, ...] = Field(min_length=1)

    def is_restarted(self) -> bool:
        """Whether its broker ends and starts again, and so has to keep its state."""
        return any(isinstance(step, Restart) for step in self.steps)

    def covers(self, mqtt: MqttLabel, ran: Collection[int] | None = None) -> dict[Side, tuple[str, ...]]:
        """The statements of a version the scenario puts to the test, by side; `ran`: by these steps (0-based) alone.

        A step answers for the statements it names. Those of the scenario were put to the test once all its steps ran,
        or when the last that ran, which then failed, names no others. What both sides are judged by tells of each only
        the statements that oblige it.
        """
        steps = [place for place, step in enumerate(self.steps) if not step.only or mqtt in step.only]
        done = steps if ran is None else [place for place in steps if place in ran]
        is_whole = done == steps or (done and self.steps[done[-1]].cites is None)
        cited = [
            *(self.versions[mqtt].cites if is_whole else ()),
            *(each for place in done for each in self.steps[place].cites or ()),
        ]
        ids = tuple(each for each in dict.fromkeys(cited) if known(mqtt, each))
        if self.judges != "both":
            return {self.judges: ids}
        roles: dict[Side, tuple[str, str]] = {"client": ("client", "both"), "broker": ("server", "both")}
        return {
            side: tuple(each for each in ids if statement(mqtt, each).role in obliged)
            for side, obliged in roles.items()
        }
