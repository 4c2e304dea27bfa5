"""A hands-off test from its first stage to its last: the broker, the tap, the stages one by one, and their records.

Belongs here: what is started and ended, and what a stage comes to.
Does not belong here: the stages (`stages`), the page (`page`), the certificate (`interop.certify`).

What could not be reached is no pass: it is `setup-failed`, with what the device did not do. The judge reads the whole
trace in the end, whatever the stages were about.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from interop.brokers.broker import RunningBroker
from interop.brokers.reference import ReferenceSpec
from interop.hands_off.page import Board, LivePage
from interop.hands_off.scene import LINK, FellShort, LeftOpen, NotReached, Patience, Scene
from interop.hands_off.stages import STAGES, Stage
from interop.installed import environment, own_version
from interop.judge import Finding as Broken
from interop.judge import judge
from interop.runner.secrets import without_password
from interop.runner.tracing import kept
from interop.runner.verdict import judge_finding
from interop.tap.link import Link
from interop.tap.trace import Sender, Trace
from reference_broker.net.address import Address
from reference_broker.net.client import AsyncClient
from reference_broker.wire.packets import Connect
from reference_broker.wire.types import QoS, Version
from reports.record import Finding, Record, Verdict

AREA = "device"
PROTOCOL = "keeps_to_the_protocol"
"""The last stage, which nobody has to do anything for."""

_Outcome = tuple[Verdict, str, Literal["client", "none", "unknown"]]


@dataclass(frozen=True, slots=True)
class Device:
    """What is tested: its name, and its version as its maker calls it; where it is told to connect to."""

    name: str
    version: str
    listening: Address


async def play_hands_off(
    device: Device, names: Sequence[str], patience: Patience, say: Callable[[str], None], page_port: int = 0
) -> list[Record]:
    """Play the stages in order; raises ListenFailed where the device cannot be waited for."""
    began = time.monotonic()
    trace = Trace(lambda: time.monotonic() - began)
    brokers: list[RunningBroker] = []

    async def new_broker() -> Address:
        brokers.append(await ReferenceSpec().start({}))
        return brokers[-1].address()

    async def publish(topic: str, payload: bytes, qos: int) -> None:
        async with AsyncClient(brokers[-1].address()) as client:
            await client.publish(topic, payload, QoS(qos))

    link = Link(LINK, upstream=await new_broker(), version=Version.V311, trace=trace, listening=device.listening)
    board = Board(f"{device.name} {device.version}".strip(), "")
    live = LivePage(board)
    try:
        board.address = (await link.open()).host_and_port
        say(f"the device connects to {board.address}; what to do stands here, and at {await live.open(page_port)}")

        def ask(words: str) -> None:
            board.now = words
            say(f"NOW: {words}")

        scene = Scene(link, trace, patience, ask, new_broker, publish)
        return await _Course(device, scene, board, say).run(names)
    finally:
        await live.close()
        await link.close()
        for broker in brokers:
            await broker.stop()


class _Course:
    """The stages of one test, and what each came to."""

    def __init__(self, device: Device, scene: Scene, board: Board, say: Callable[[str], None]) -> None:
        self._device = device
        self._scene = scene
        self._board = board
        self._say = say
        self._records: list[Record] = []

    async def run(self, names: Sequence[str]) -> list[Record]:
        self._board.stages = [(STAGES[name].title, "", "") for name in names]
        for place, name in enumerate(names):
            await self._play(place, name, STAGES[name])
        self._judge()
        return self._records

    async def _play(self, place: int, name: str, stage: Stage) -> None:
        scene = self._scene
        scene.began, began, started_at = len(scene.trace), scene.trace.clock(), datetime.now(UTC)
        verdict, reason, blame = await self._outcome(stage)
        self._board.stages[place] = (stage.title, verdict.value, reason)
        shown = "not reached" if verdict is Verdict.SETUP_FAILED else verdict.value
        self._say(f"{shown}: {name}{f': {reason}' * bool(reason)}")
        seconds = scene.trace.clock() - began
        self._records.append(self._record(name, stage.title, verdict, reason, blame, started_at, seconds, scene.began))

    async def _outcome(self, stage: Stage) -> _Outcome:
        if self._records and self._records[0].verdict is Verdict.SETUP_FAILED:
            return Verdict.SETUP_FAILED, "the device never connected", "unknown"
        try:
            await stage.play(self._scene)
        except NotReached as problem:
            return Verdict.SETUP_FAILED, str(problem), "unknown"
        except FellShort as problem:
            return Verdict.FAIL, str(problem), "client"
        except LeftOpen as found:
            return Verdict.OBSERVED, str(found), "none"
        finally:
            self._scene.link.disarm()  # what did not happen in this stage is not to happen in the next
        return Verdict.PASS, "", "none"

    def _judge(self) -> None:
        """Hold the whole trace against all rules; what the broker of ours did is no matter of the device's."""
        scene = self._scene
        connected = next((e.packet for e in scene.trace.entries if isinstance(e.packet, Connect)), None)
        if connected is None:
            return
        broken = judge(scene.trace, connected.version, until=scene.trace.clock())
        findings = [judge_finding(each) for each in broken if _is_the_devices(each)]
        must = next((each for each in findings if each.level == "must"), None)
        worst = must or next((each for each in findings if each.level == "should"), None)
        verdict = Verdict.FAIL if must else Verdict.WARN if worst else Verdict.PASS
        title, reason = "What the device sends is as the specification has it", worst.message if worst else ""
        blame: Literal["client", "none"] = "client" if worst else "none"
        self._say(f"{verdict}: {PROTOCOL}{f': {reason}' * bool(reason)}")
        seconds = scene.trace.clock()
        self._records.append(
            self._record(PROTOCOL, title, verdict, reason, blame, datetime.now(UTC), seconds, 0, findings)
        )

    def _record(
        self,
        name: str,
        title: str,
        verdict: Verdict,
        reason: str,
        blame: Literal["client", "none", "unknown"],
        started_at: datetime,
        seconds: float,
        since: int,
        findings: Sequence[Finding] = (),
    ) -> Record:
        entries = self._scene.trace.entries[since:]
        shown, found = kept(entries, findings, without_password)
        spoken = [entry.packet.version.label for entry in self._scene.trace if isinstance(entry.packet, Connect)]
        return Record(
            scenario=f"{AREA}/{name}",
            title=title,
            area=AREA,
            client=self._device.name,
            broker="reference",
            mqtt=spoken[0] if spoken else "3.1.1",
            transport=self._device.listening.transport.value,
            verdict=verdict,
            reason=reason,
            cites=tuple(dict.fromkeys(cite for each in found for cite in each.cites)),
            blame=blame,
            seconds=round(seconds, 3),
            waiting_seconds=round(seconds, 3),
            started_at=started_at.isoformat(timespec="milliseconds"),
            findings=found,
            trace=shown,
            implementations={
                "client": f"{self._device.name} {self._device.version}".strip(),
                "broker": own_version(),
                **environment(),
            },
        )


def _is_the_devices(finding: Broken) -> bool:
    return finding.blame is Sender.CLIENT


def run_hands_off(
    device: Device, names: Sequence[str], patience: Patience, say: Callable[[str], None], page_port: int = 0
) -> list[Record]:
    """As `play_hands_off`, from code that is not asynchronous."""
    return asyncio.run(play_hands_off(device, names, patience, say, page_port))
