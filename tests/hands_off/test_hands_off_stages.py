"""What each stage of a hands-off test takes for right, for wrong, and for not reached; in virtual time."""

from __future__ import annotations

import asyncio

import pytest
from hands_off_scene import ScriptedScene

from interop.hands_off import stages
from interop.hands_off.scene import FellShort, LeftOpen, NotReached
from interop.tap.trace import Sender
from reference_broker.wire.packets import Connect, PingReq, PubAck, Publish, Subscribe, Subscription
from reference_broker.wire.types import QoS, Version

CONNECT = Connect(Version.V311, "dev", keep_alive=10)
SUBSCRIBE = Subscribe(1, (Subscription("cmd/+/now", QoS.AT_LEAST_ONCE),))
ON = Publish("state", b"on", QoS.AT_LEAST_ONCE, packet_id=7)
FROM_BROKER = Publish("cmd/x/now", b"{}", QoS.AT_LEAST_ONCE, packet_id=1)


def play(stage: str, scene: ScriptedScene) -> None:
    scene.begin()
    asyncio.run(stages.STAGES[stage].play(scene))


def connected(**fields: object) -> ScriptedScene:
    """A device that is connected."""
    scene = ScriptedScene()
    scene.connects(**fields)  # type: ignore[arg-type]
    asyncio.run(scene.until(scene.is_connected, 1))
    return scene


def falls_short(stage: str, scene: ScriptedScene, words: str) -> None:
    with pytest.raises(FellShort, match=words):
        play(stage, scene)


def is_not_reached(stage: str, scene: ScriptedScene, words: str) -> None:
    with pytest.raises(NotReached, match=words):
        play(stage, scene)


def test_every_stage_but_those_by_the_way_says_in_plain_words_what_to_do() -> None:
    assert len(stages.STAGES) == 12
    assert all(stage.title and not stage.title.endswith(".") for stage in stages.STAGES.values())


def test_a_device_that_connects_in_time_passes_and_one_that_does_not_is_not_reached() -> None:
    scene = ScriptedScene()
    scene.connects(19)
    play("connects", scene)
    assert scene.asked == ["Switch the device on, so that it connects to the address above."]
    is_not_reached("connects", ScriptedScene(), "did not connect within 20 s")


def test_a_device_that_leaves_before_it_is_let_in_falls_short() -> None:
    scene = ScriptedScene()
    scene.later(1, CONNECT)
    falls_short("connects", scene, "did not stay until it was let in")


@pytest.mark.parametrize(("stage", "packet"), [("subscribes", SUBSCRIBE), ("publishes", ON)])
def test_what_the_person_has_the_device_do_is_waited_for(stage: str, packet: Subscribe | Publish) -> None:
    scene = connected()
    scene.later(19, packet)
    play(stage, scene)
    is_not_reached(stage, connected(), f"did not {stage.removesuffix('s').removesuffix('e')}")


def test_nobody_is_asked_for_a_subscription_that_is_there() -> None:
    scene = connected()
    scene.later(0, SUBSCRIBE)
    asyncio.run(scene.pass_time(1))
    play("subscribes", scene)
    assert scene.asked == []


def test_a_message_has_to_be_acknowledged_at_the_qos_that_was_asked_for() -> None:
    for answer in (PubAck(1), None):
        scene = connected()
        scene.later(0, SUBSCRIBE)
        asyncio.run(scene.pass_time(1))
        scene.later(0, FROM_BROKER, of=Sender.BROKER)
        if answer:
            scene.later(1, answer)
            play("acknowledges", scene)
            assert scene.published == [("cmd/x/now", 1)]
        else:
            falls_short("acknowledges", scene, "a message at QoS 1 was not acknowledged")
    is_not_reached("acknowledges", connected(), "subscribes to nothing above QoS 0")


@pytest.mark.parametrize(("pings", "longest"), [((9, 19), 0), ((9,), 11.0), ((), 20.0)])
def test_a_device_may_not_be_silent_for_longer_than_its_keep_alive(pings: tuple[float, ...], longest: float) -> None:
    scene = connected()
    for moment in pings:
        scene.later(moment, PingReq())
    if longest and longest > 12:
        falls_short("keeps_alive", scene, f"silent for {longest:.1f} s, with a keep alive of 10 s")
    else:
        play("keeps_alive", scene)


@pytest.mark.parametrize(("keep_alive", "words"), [(0, "switched keep alive off"), (600, "no more than 60 s")])
def test_a_keep_alive_that_is_off_or_too_long_is_not_reached(keep_alive: int, words: str) -> None:
    for stage in ("keeps_alive", "notices_a_lost_pingresp"):
        is_not_reached(stage, connected(keep_alive=keep_alive), words)


def test_a_device_has_to_leave_when_its_ping_is_not_answered() -> None:
    scene = connected()
    scene.later(10, PingReq())
    scene.leaves(25)
    play("notices_a_lost_pingresp", scene)
    assert scene.armed == [f"drop at PINGRESP from broker {nth}" for nth in range(1, 5)]
    scene = connected()
    scene.later(10, PingReq())
    falls_short("notices_a_lost_pingresp", scene, "went on for 20 s after the PINGREQ")
    is_not_reached("notices_a_lost_pingresp", connected(), "did not send PINGREQ")


def test_a_device_has_to_come_back_by_itself() -> None:
    scene = connected()
    scene.on_cut = lambda: scene.connects(9)
    play("reconnects", scene)
    falls_short("reconnects", connected(), "did not connect again within 10 s")


@pytest.mark.parametrize(
    ("pauses", "words"),
    [
        ((1, 2, 4, 8), ""),
        ((1, 1, 1, 1.6), ""),
        ((1, 1, 1, 1), "do not grow: 1.0, 1.0, 1.0, 1.0 s"),
        ((1,), "gave up after 2"),
    ],
)
def test_the_pauses_between_vain_attempts_have_to_grow(pauses: tuple[float, ...], words: str) -> None:
    scene = connected()

    def come_back() -> None:
        at = 1.0
        for pause in (*pauses, 3.0):
            scene.later(at, CONNECT)
            at += pause
        if len(pauses) > 1:
            scene.connects(at)

    scene.on_cut = come_back
    if words:
        falls_short("backs_off", scene, words)
    else:
        play("backs_off", scene)
    assert scene.armed == [f"cut (FIN) at CONNECT from client {nth}" for nth in range(1, 6)]


@pytest.mark.parametrize(
    ("again", "clean", "outcome"),
    [
        (Publish("state", b"on", QoS.AT_LEAST_ONCE, packet_id=7, dup=True), False, None),
        (Publish("state", b"on", QoS.AT_LEAST_ONCE, packet_id=8, dup=True), False, FellShort),
        (Publish("state", b"on", QoS.AT_LEAST_ONCE, packet_id=7), False, FellShort),
        (Publish("state", b"on", QoS.AT_LEAST_ONCE, packet_id=8), True, LeftOpen),
        (None, False, FellShort),
        (None, True, LeftOpen),
    ],
)
def test_an_unacknowledged_message_is_sent_again_as_the_same(
    again: Publish | None, clean: bool, outcome: type[Exception] | None
) -> None:
    scene = connected(clean_start=clean)
    scene.later(2, ON)

    def come_back() -> None:
        scene.connects(1, clean_start=clean)
        if again:
            scene.later(1.5, again)

    scene.on_cut = come_back
    if outcome is None:
        play("publishes_again", scene)
    else:
        with pytest.raises(outcome):
            play("publishes_again", scene)
    assert scene.armed == ["drop at PUBACK from broker 1"]


def test_a_device_that_never_publishes_at_qos_1_is_not_reached() -> None:
    scene = connected()
    scene.later(1, Publish("state", b"on"))
    is_not_reached("publishes_again", scene, "did not publish at QoS 1")


def test_a_lost_session_has_to_be_subscribed_anew() -> None:
    for comes, subscribes, words in (
        (True, True, ""),
        (True, False, "not subscribe again"),
        (False, False, "not connect"),
    ):
        scene = connected()
        scene.later(0, SUBSCRIBE)
        asyncio.run(scene.pass_time(1))

        def come_back(scene: ScriptedScene = scene, comes: bool = comes, subscribes: bool = subscribes) -> None:
            if comes:
                scene.connects(1)
            if subscribes:
                scene.later(2, SUBSCRIBE)

        scene.on_cut = come_back
        if words:
            falls_short("subscribes_again", scene, words)
        else:
            play("subscribes_again", scene)
        assert scene.wire.upstream is not None
    is_not_reached("subscribes_again", connected(), "subscribes to nothing")


def test_a_reset_is_asked_for_and_waited_for() -> None:
    scene = connected()
    scene.leaves(1)
    scene.connects(15)
    play("comes_back_after_reset", scene)
    assert scene.asked == ["Press reset on the device, or switch it off and on again."]
    is_not_reached("comes_back_after_reset", connected(), "did not connect after a reset within 20 s")


def test_a_device_stays_connected_in_a_long_run() -> None:
    play("runs_long", connected())
    scene = connected()
    scene.leaves(29)
    falls_short("runs_long", scene, "closed its connection, 1 in all")


def test_a_device_that_is_away_and_stays_away_is_not_reached() -> None:
    scene = connected()
    scene.leaves(0)
    asyncio.run(scene.pass_time(1))
    is_not_reached("reconnects", scene, "was not connected again within 10 s")
