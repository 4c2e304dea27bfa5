"""What SUBACK grants is held against what was asked for, in the order in which the client asked."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from interop.runner.act import _check_granted
from interop.runner.failures import StepFailed
from interop.scenario.steps import Subscribe
from reference_broker.wire.packets import Subscribe as SubscribePacket
from reference_broker.wire.packets import Subscription
from reference_broker.wire.types import QoS

STEP = Subscribe.model_validate(
    {"do": "subscribe", "as": "c", "topics": [{"topic": "a", "qos": 2}, {"topic": "b"}, {"topic": "c"}],
     "granted": [2, 0, 1]}
)  # fmt: skip


def stage_where_the_client_asked(*topic_filters: str) -> SimpleNamespace:
    packet = SubscribePacket(1, tuple(Subscription(f"p/{each}", QoS.EXACTLY_ONCE) for each in topic_filters))
    return SimpleNamespace(
        last_packet=lambda *_: (None, packet), names=SimpleNamespace(topic=lambda topic: f"p/{topic}")
    )


@pytest.mark.parametrize(
    ("asked", "granted"), [("abc", (2, 0, 1)), ("cab", (1, 2, 0)), ("bac", (0, 2, 1)), ("xyz", (2, 0, 1))]
)
def test_a_client_may_ask_for_its_filters_in_any_order(asked: str, granted: tuple[int, ...]) -> None:
    stage, player = stage_where_the_client_asked(*asked), SimpleNamespace(name="c")
    _check_granted(stage, player, STEP, granted, 0)  # type: ignore[arg-type]
    wrong = (*granted[:2], 0x80)
    with pytest.raises(StepFailed):
        _check_granted(stage, player, STEP, wrong, 0)  # type: ignore[arg-type]
