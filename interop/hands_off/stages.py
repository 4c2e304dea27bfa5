"""The stages of a hands-off test: what the person is asked for, what the tap does, what the device has to do.

Belongs here: one function for each stage, and the table of them with their titles.
Does not belong here: waiting (`scene`), the order and the records (`play`).

The shape of reconnects, the lost PINGRESP, publishing again with the same identifier, subscribing again after a lost
session and the long run are what AWS IoT Device Advisor asks of a device; here they are asked without a cloud.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

from interop.hands_off.scene import FellShort, LeftOpen, NotReached, Scene
from interop.tap.faults import Cut, Drop
from interop.tap.link import How, When
from interop.tap.trace import Kind, Sender
from reference_broker.wire.packets import Connect, PingReq, PubAck, Publish, PubRec, Subscribe
from reference_broker.wire.types import PacketType, QoS

ATTEMPTS = 5
"""How many connections in a row are refused, to see how the device comes back."""
GROWTH = 1.5
"""How much longer the longest pause between them has to be than the first."""
ACKNOWLEDGE_SECONDS = 10.0
_MARGIN = 0.1


async def connects(scene: Scene) -> None:
    """The device connects."""
    scene.ask("Switch the device on, so that it connects to the address above.")
    await scene.wait_for(Connect, scene.patience.person, "connect")
    if not await scene.until(scene.is_connected, ACKNOWLEDGE_SECONDS):
        raise FellShort("the device connected, but did not stay until it was let in")


async def subscribes(scene: Scene) -> None:
    """The device subscribes."""
    if any(scene.subscriptions()):
        return
    scene.ask("Have the device subscribe to anything. A restart of it may do.")
    await scene.wait_for(Subscribe, scene.patience.person, "subscribe")


async def publishes(scene: Scene) -> None:
    """The device publishes."""
    scene.ask("Have the device publish anything: press its button, warm its sensor.")
    await scene.wait_for(Publish, scene.patience.person, "publish")


async def acknowledges(scene: Scene) -> None:
    """A message at the QoS the device asked for is acknowledged. [3.1.1 MQTT-4.3.2-2, 5.0 MQTT-4.3.2-4]"""
    await scene.be_connected()
    wanted = next((each for each in scene.subscriptions() if each.qos and not each.topic_filter.startswith("$")), None)
    if wanted is None:
        raise NotReached("the device subscribes to nothing above QoS 0")
    topic = wanted.topic_filter.replace("+", "x").replace("#", "x")
    await scene.publish(topic, b"{}", wanted.qos)
    await scene.wait_for(Publish, ACKNOWLEDGE_SECONDS, "get the message (the broker's doing)", Sender.BROKER)
    kind = PubAck if wanted.qos == QoS.AT_LEAST_ONCE else PubRec
    if not await scene.until(lambda: bool(scene.packets(kind)), ACKNOWLEDGE_SECONDS):
        raise FellShort(f"a message at QoS {wanted.qos} was not acknowledged within {ACKNOWLEDGE_SECONDS:g} s")


async def keeps_alive(scene: Scene) -> None:
    """The device sends something within every keep alive. [3.1.1 MQTT-3.1.2-23, 5.0 MQTT-3.1.2-20]"""
    await scene.be_connected()
    seconds, began = scene.keep_alive, scene.trace.clock()
    scene.ask(f"Leave the device alone for {2 * seconds} s.")
    await scene.pass_time(2 * seconds)
    moments = [entry.at for entry in scene.trace.entries if entry.sender is Sender.CLIENT and entry.sent]
    last = [at for at in moments if at < began][-1:] or [began]
    pauses = [later - before for before, later in pairwise([*last, *(at for at in moments if at >= began)])]
    longest = max([*pauses, scene.trace.clock() - (moments or [began])[-1]])
    if longest > seconds * (1 + _MARGIN) + 1:
        raise FellShort(f"the device was silent for {longest:.1f} s, with a keep alive of {seconds} s")


async def notices_a_lost_pingresp(scene: Scene) -> None:
    """No PINGRESP comes: the device closes the connection. [3.1.1 3.1.2.10, 5.0 3.1.2.10]"""
    await scene.be_connected()
    seconds, connection = scene.keep_alive, scene.link.connections
    scene.ask(f"Leave the device alone: its PINGRESPs are kept from it, for up to {4 * seconds} s.")
    for nth in range(1, 5):
        scene.link.arm(When(PacketType.PINGRESP, Sender.BROKER, nth=nth, optional=True), Drop())
    await scene.wait_for(PingReq, 2 * seconds, "send PINGREQ")

    def has_left() -> bool:
        return scene.link.connections > connection or not scene.link.is_open(Sender.CLIENT)

    if not await scene.until(has_left, 2 * seconds):
        raise FellShort(f"the device went on for {2 * seconds} s after the PINGREQ that nobody answered")


async def reconnects(scene: Scene) -> None:
    """The connection is lost: the device connects again, by itself."""
    await scene.be_connected()
    scene.ask("Leave the device alone: its connection is cut.")
    scene.lose_the_connection()
    if not await scene.until(lambda: bool(scene.packets(Connect)), scene.patience.device):
        raise FellShort(f"the device did not connect again within {scene.patience.device:g} s")
    await scene.be_connected()


async def backs_off(scene: Scene) -> None:
    """Where it is not let in, the device waits longer and longer between its attempts."""
    await scene.be_connected()
    scene.ask(f"Leave the device alone: its next {ATTEMPTS} attempts to connect are in vain.")
    for nth in range(1, ATTEMPTS + 1):
        scene.link.arm(When(PacketType.CONNECT, Sender.CLIENT, nth=nth, optional=True), Cut(How.FIN))
    cut_at = scene.lose_the_connection()

    def attempts() -> list[float]:
        return [entry.at for entry in scene.packets(Connect, since=cut_at)]

    await scene.until(lambda: len(attempts()) >= ATTEMPTS, ATTEMPTS * scene.patience.device)
    pauses = [later - before for before, later in pairwise(attempts())]
    if len(pauses) < ATTEMPTS - 1:
        raise FellShort(f"the device gave up after {len(pauses) + 1} attempts" if attempts() else "it made no attempt")
    shown = ", ".join(f"{each:.1f}" for each in pauses)
    if max(pauses[1:]) < GROWTH * pauses[0]:
        raise FellShort(f"the pauses between the attempts do not grow: {shown} s")
    await scene.be_connected()


async def publishes_again(scene: Scene) -> None:
    """A QoS 1 message without its PUBACK is sent again, with DUP and the same id. [MQTT-4.4.0-1, MQTT-3.3.1-1]"""
    await scene.be_connected()
    scene.ask("Have the device publish at QoS 1: press its button, warm its sensor.")
    scene.link.arm(When(PacketType.PUBACK, Sender.BROKER, optional=True), Drop())
    found = scene.packets(Publish)

    def first() -> bool:
        found[:] = [entry for entry in scene.packets(Publish) if entry.packet.qos == QoS.AT_LEAST_ONCE]  # type: ignore[union-attr]
        return bool(found)

    if not await scene.until(first, scene.patience.person):
        raise NotReached(f"the device did not publish at QoS 1 within {scene.patience.person:g} s")
    message, is_clean = found[0].packet, scene.connect.clean_start
    assert isinstance(message, Publish)
    cut_at = scene.lose_the_connection()

    def again() -> list[Publish]:
        sent = [entry.packet for entry in scene.packets(Publish, since=cut_at)]
        return [each for each in sent if isinstance(each, Publish) and each.payload == message.payload and each.qos]

    if not await scene.until(lambda: bool(again()), scene.patience.device):
        if is_clean:
            raise LeftOpen("the message was not sent again; with a clean session it need not be")
        raise FellShort(f"the message was not sent again within {scene.patience.device:g} s")
    if (again()[0].packet_id, again()[0].dup) != (message.packet_id, True):
        how = f"packet id {again()[0].packet_id}, DUP {int(again()[0].dup)}"
        if is_clean:
            raise LeftOpen(f"the message was sent again as another one ({how}), of a new session")
        raise FellShort(f"the message was sent again with {how}; expected packet id {message.packet_id}, DUP 1")


async def subscribes_again(scene: Scene) -> None:
    """The broker has lost the session (Session Present 0): the device subscribes again."""
    if not any(scene.subscriptions()):
        raise NotReached("the device subscribes to nothing")
    await scene.be_connected()
    scene.ask("Leave the device alone: its connection is cut, and its session is lost.")
    scene.link.upstream = await scene.new_broker()
    cut_at = scene.lose_the_connection()
    if not await scene.until(lambda: bool(scene.packets(Connect, since=cut_at)), scene.patience.device):
        raise FellShort(f"the device did not connect again within {scene.patience.device:g} s")
    if not await scene.until(lambda: bool(scene.packets(Subscribe, since=cut_at)), scene.patience.device):
        raise FellShort(f"the device did not subscribe again within {scene.patience.device:g} s")


async def comes_back_after_reset(scene: Scene) -> None:
    """The device connects again after a reset."""
    scene.ask("Press reset on the device, or switch it off and on again.")
    await scene.wait_for(Connect, scene.patience.person, "connect after a reset")
    await scene.be_connected()


async def runs_long(scene: Scene) -> None:
    """Nothing is lost in a long run: the device stays connected."""
    await scene.be_connected()
    scene.ask(f"Leave the device alone, or use it as usual, for {scene.patience.long_run:g} s.")
    await scene.pass_time(scene.patience.long_run)
    ends = [entry for entry in scene.trace.of("device", scene.began, Kind.CLOSE) if entry.sender is Sender.CLIENT]
    if ends:
        raise FellShort(f"the device closed its connection, {len(ends)} in all")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: what a record calls it, and what carries it out."""

    title: str
    play: Callable[[Scene], Awaitable[None]]


STAGES: dict[str, Stage] = {
    name.__name__: Stage((name.__doc__ or "").partition(".")[0], name)
    for name in (
        connects, subscribes, publishes, acknowledges, keeps_alive, notices_a_lost_pingresp, reconnects, backs_off,
        publishes_again, subscribes_again, comes_back_after_reset, runs_long,
    )
}  # fmt: skip
"""By name, in the order they are best played in."""
