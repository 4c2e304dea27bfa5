"""What every step of a scenario may say, whatever its verb.

Belongs here: what several families of verbs share.
Does not belong here: a verb (`verbs_of_actors`, `verbs_on_links`, `verbs_that_look`), their list (`steps`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from interop.scenario import numbered
from interop.scenario.values import (
    Level,
    MqttLabel,
    Strict,
)

WINDOW_SECONDS = 3.0
"""How long an observation waits when the step names no `within`."""


class AnyStep(Strict):
    """What every step may say."""

    only: tuple[MqttLabel, ...] | None = Field(None, description="this step is for these versions; others skip it")
    level: Level | None = Field(None, description="when this step is less (or more) binding than the scenario")
    cites: tuple[str, ...] | None = Field(
        None, description="statement ids, when this step proves others than the scenario"
    )

    @property
    def waits_seconds(self) -> float:
        """How long it makes a cell wait when all goes well."""
        return 0.0


Count = Annotated[
    int,
    Field(ge=1, le=numbered.MOST, description="so many, one for each n from 0: {n} in topic and payload is the number"),
]
