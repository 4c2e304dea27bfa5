"""Made-up results that look like real ones: every verdict, several links, faults, windows, a big payload.

`showcase()` is a set small enough to be reasoned about in a test; `matrix(n)` is as large as a real run.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from reports.record import Finding, KnownFailure, Record, StepResult, TraceEntry, Verdict

VERSIONS = ("3.1", "3.1.1", "5.0")
LABELS = {"paho": "paho-mqtt 2.2.0", "gmqtt": "gmqtt 0.8.0", "builtin": "0.1.0", "reference": "0.1.0"}
LEVELS = {"3.1": b"\x00\x06MQIsdp\x03", "3.1.1": b"\x00\x04MQTT\x04", "5.0": b"\x00\x04MQTT\x05"}
KEPT_HEX_BYTES = 256


def record(scenario: str = "qos1/delivered", **fields: Any) -> Record:
    """One record; whatever is not given is that of a plain pass."""
    defaults: dict[str, Any] = {
        "scenario": scenario,
        "title": "A QoS 1 message is delivered",
        "area": scenario.partition("/")[0],
        "client": "paho",
        "broker": "reference",
        "mqtt": "5.0",
        "transport": "tcp",
        "verdict": Verdict.PASS,
        "seconds": 0.05,
        "overhead_seconds": 0.05,
        "started_at": "2026-03-01T10:00:00Z",
    }
    merged = defaults | fields
    merged.setdefault("implementations", versions_of(merged["client"], merged["broker"]))
    merged.setdefault(
        "rerun",
        f"mqtt-interop run --client {merged['client']} --broker {merged['broker']} --mqtt {merged['mqtt']}"
        f" --transport {merged['transport']} --scenario {scenario}",
    )
    return Record(**merged)


def versions_of(client: str, broker: str) -> dict[str, str]:
    return {
        "client": LABELS.get(client, ""),
        "broker": LABELS.get(broker, ""),
        "harness": "0.1.0",
        "python": "3.11.7",
    }


class Tape:
    """Builds a trace with packets whose bytes are real."""

    def __init__(self, mqtt: str) -> None:
        self.mqtt = mqtt
        self.now = 0.0
        self.entries: list[TraceEntry] = []

    def wait(self, seconds: float) -> Tape:
        self.now += seconds
        return self

    def _add(self, **fields: Any) -> Tape:
        self.now += 0.0011
        self.entries.append(TraceEntry(at=round(self.now, 6), **fields))
        return self

    def open(self, link: str, connection: int = 1) -> Tape:
        return self._add(link=link, connection=connection, kind="open", sender="client", summary="connected over tcp")

    def close(self, link: str, sender: str, how: str = "FIN", connection: int = 1) -> Tape:
        return self._add(
            link=link, connection=connection, kind="close", sender=sender, summary=f"closed by {sender} ({how})"
        )

    def fault(self, link: str, summary: str, connection: int = 1) -> Tape:
        return self._add(link=link, connection=connection, kind="fault", sender="harness", summary=summary)

    def packet(self, link: str, sender: str, data: bytes, detail: str = "", **fields: Any) -> Tape:
        extra = {key: fields.pop(key) for key in ("connection", "fate", "receiver", "kind") if key in fields}
        name = _NAMES[data[0] >> 4]
        return self._add(
            link=link,
            sender=sender,
            packet=None if extra.get("kind") == "malformed" else name,
            summary=f"{name} {detail}".strip(),
            fields=fields,
            hex=data[:KEPT_HEX_BYTES].hex(),
            size_bytes=len(data),
            **({"connection": 1, "kind": "packet"} | extra),
        )

    def connect(self, link: str, client_id: str, connection: int = 1, keep_alive: int = 60, clean: bool = True) -> Tape:
        five = self.mqtt == "5.0"
        level, name = LEVELS[self.mqtt], client_id.encode()
        properties = b"\x05\x11\x00\x00\x00\x3c" if five else b""
        body = level + bytes([2 if clean else 0]) + keep_alive.to_bytes(2) + properties + string(name)
        self.open(link, connection)
        self.packet(
            link,
            "client",
            framed(0x10, body),
            f"{client_id} {'clean' if clean else 'kept'} keep alive {keep_alive}",
            connection=connection,
            client_id=client_id,
            clean_start=clean,
            keep_alive=keep_alive,
            properties={"session_expiry_interval": 60} if five else {},
        )
        present = int(connection > 1 and not clean)
        answer = bytes([present, 0]) + (b"\x03\x21\x00\x0a" if five else b"")
        return self.packet(
            link,
            "broker",
            framed(0x20, answer),
            f"session present {present} reason 0x00",
            connection=connection,
            session_present=bool(present),
            reason=0,
            properties={"receive_maximum": 10} if five else {},
        )

    def subscribe(self, link: str, topic: str, qos: int = 2, packet_id: int = 1) -> Tape:
        gap = b"\x00" if self.mqtt == "5.0" else b""
        self.packet(
            link,
            "client",
            framed(0x82, packet_id.to_bytes(2) + gap + string(topic.encode()) + bytes([qos])),
            f"id {packet_id} {topic} q{qos}",
            packet_id=packet_id,
            subscriptions=[{"topic_filter": topic, "qos": qos, "no_local": False}],
        )
        answer = framed(0x90, packet_id.to_bytes(2) + gap + bytes([qos]))
        return self.packet(link, "broker", answer, f"id {packet_id} granted q{qos}", packet_id=packet_id, reasons=[qos])

    def publish(self, link: str, sender: str, topic: str, payload: bytes, **fields: Any) -> Tape:
        qos, dup, packet_id = fields.pop("qos", 0), fields.pop("dup", False), fields.pop("packet_id", None)
        gap = b"\x00" if self.mqtt == "5.0" else b""
        ident = packet_id.to_bytes(2) if packet_id else b""
        words = [
            f"q{qos}",
            f"id {packet_id}" if packet_id else "",
            "dup" if dup else "",
            topic,
            f"{len(payload)} bytes",
        ]
        return self.packet(
            link,
            sender,
            framed(0x30 | dup << 3 | qos << 1, string(topic.encode()) + ident + gap + payload),
            " ".join(filter(None, words)),
            topic=topic,
            qos=qos,
            dup=dup,
            retain=False,
            packet_id=packet_id,
            payload=payload.decode() if len(payload) < 200 else {"bytes": len(payload), "sha256": "9f86d081884c7d65"},
            **fields,
        )

    def ack(self, link: str, sender: str, kind: int, packet_id: int, **fields: Any) -> Tape:
        flags = 2 if kind == 6 else 0
        data = framed(kind << 4 | flags, packet_id.to_bytes(2))
        return self.packet(link, sender, data, f"id {packet_id}", packet_id=packet_id, reason=0, **fields)


_NAMES = [
    "RESERVED",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
]
PUBACK, PUBREC, PUBREL, PUBCOMP = 4, 5, 6, 7


def string(text: bytes) -> bytes:
    return len(text).to_bytes(2) + text


def framed(first: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes([first]) + bytes(length) + body


def qos2_steps(status: str = "passed") -> tuple[StepResult, ...]:
    lines = (
        ("{do: subscribe, as: sub, topic: t, qos: 2}", "passed", None),
        ("{do: cut,       link: pub, at: PUBREL, from: client}", "passed", None),
        ("{do: publish,   as: pub, topic: t, qos: 2, payload: once, outcome: cut-off}", "passed", None),
        ("{do: connect,   as: pub, session_present: true}", "passed", None),
        ("{do: receive,   as: sub, topic: t, payload: once, times: 1}", "passed", (0.0, 5.0)),
        ("{do: wire,      link: pub, since: cut, exactly: [CONNECT, CONNACK, PUBREL, PUBCOMP]}", status, None),
    )
    return tuple(
        StepResult(
            number=n,
            text=text,
            line=10 + n,
            status=state,  # type: ignore[arg-type]  # the literals above are the statuses
            at=0.01 * n,
            seconds=0.008,
            window=window,
            observed_at=0.012 if window else None,
        )
        for n, (text, state, window) in enumerate(lines, start=1)
    )


def qos2_cell(mqtt: str = "5.0", *, wrong: bool = False, known: bool = False, **fields: Any) -> Record:
    """A QoS 2 publish whose link is cut at PUBREL; `wrong`: the client sends PUBLISH again instead of PUBREL."""
    tape = Tape(mqtt)
    tape.connect("sub", "sub-1").subscribe("sub", "t")
    tape.connect("pub", "pub-1", clean=False)
    tape.publish("pub", "client", "t", b"once", qos=2, packet_id=1)
    tape.ack("pub", "broker", PUBREC, 1)
    tape.ack("pub", "client", PUBREL, 1, fate="lost")
    tape.fault("pub", "cut at PUBREL from client (RST)").close("pub", "harness", "RST")
    tape.wait(0.8).connect("pub", "pub-1", connection=2, clean=False)
    diverging = len(tape.entries)
    if wrong:
        tape.publish("pub", "client", "t", b"once", qos=2, packet_id=1, dup=True, connection=2)
        tape.ack("pub", "broker", PUBREC, 1, connection=2)
    tape.ack("pub", "client", PUBREL, 1, connection=2).ack("pub", "broker", PUBCOMP, 1, connection=2)
    tape.publish("sub", "broker", "t", b"once", qos=2, packet_id=1)
    tape.ack("sub", "client", PUBREC, 1).ack("sub", "broker", PUBREL, 1).ack("sub", "client", PUBCOMP, 1)
    tape.packet("pub", "client", b"\xe0\x00", connection=2).close("pub", "client", connection=2)
    tape.packet("sub", "client", b"\xe0\x00").close("sub", "client")
    cites = {"3.1": ("MQTT31-16",), "3.1.1": ("MQTT-4.3.3-1", "MQTT-4.4.0-1")}.get(
        mqtt, ("MQTT-4.3.3-6", "MQTT-4.4.0-1")
    )
    base: dict[str, Any] = {
        "title": "A QoS 2 publish resumes with PUBREL when the link dies after PUBREC",
        "about": "The link is cut when PUBREL leaves the client; on the kept session only PUBREL may follow.",
        "mqtt": mqtt,
        "trace": tuple(tape.entries),
        "steps": qos2_steps("failed" if wrong else "passed"),
        "cites": cites,
        "seconds": 0.93,
        "waiting_seconds": 0.8,
        "overhead_seconds": 0.041,
    }
    if wrong:
        base |= {
            "verdict": Verdict.FAIL,
            "reason": "PUBLISH was sent again after PUBREC: expected PUBREL id 1",
            "blame": "client",
            "cites": cites[:1],
            "log": "INFO reconnecting in 0.8 s\nINFO resending message 1\n",
            "findings": (
                Finding(
                    source="judge",
                    rule="no-publish-after-pubrec",
                    level="must",
                    blame="client",
                    cites=cites[:1],
                    message="PUBLISH id 1 was sent again after its PUBREC had arrived",
                    expected="PUBREL id 1",
                    observed="PUBLISH q2 id 1 dup t 4 bytes",
                    trace_index=diverging,
                ),
                Finding(
                    source="step",
                    rule="wire",
                    level="must",
                    blame="client",
                    cites=cites[:1],
                    message="the packets on link pub since the cut are not the expected ones",
                    expected="CONNECT, CONNACK, PUBREL, PUBCOMP",
                    observed="CONNECT, CONNACK, PUBLISH, PUBREC, PUBREL, PUBCOMP",
                    step=6,
                    trace_index=diverging,
                ),
            ),
        }
    if known:
        base["known_failure"] = KnownFailure(
            reason="retransmits PUBLISH instead of PUBREL after a reconnection",
            link="https://github.com/example/client/issues/42",
        )
    return record("qos2/resume_after_pubrec", **(base | fields))


def late_will(**fields: Any) -> Record:
    """A will that comes too early: a window that was missed, three links, a frozen link."""
    tape = Tape(fields.get("mqtt", "5.0"))
    tape.connect("victim", "victim-1", keep_alive=2)
    tape.connect("watcher", "watch-1").subscribe("watcher", "gone", qos=1)
    tape.connect("other", "other-1")
    tape.fault("victim", "freeze")
    tape.packet("victim", "client", b"\xc0\x00", fate="held")
    tape.wait(1.412).publish("watcher", "broker", "gone", b"victim", qos=1, packet_id=1)
    diverging = len(tape.entries) - 1
    tape.ack("watcher", "client", PUBACK, 1, fate="dropped")
    tape.packet("victim", "client", b"\xc0\x00", fate="released")
    tape.packet("victim", "broker", b"\xd0\x00", fate="delayed")
    tape.ack("watcher", "client", PUBACK, 1, fate="injected", receiver="broker")
    tape.publish("other", "client", "a/b", b"\x41" * 65_536, qos=1, packet_id=9, fate="rewritten")
    tape.publish("other", "client", "a/b", b"again", qos=1, packet_id=10, fate="duplicated")
    tape.packet("other", "broker", b"\x36\x03\x00\x01a", "reserved QoS 3", kind="malformed")
    tape.wait(2.1).packet("victim", "broker", b"\xe0\x01\x8d", "reason 0x8D keep alive timeout", reason=0x8D)
    tape.close("victim", "broker").close("watcher", "client").close("other", "client", "RST")
    step = StepResult(
        number=4,
        text="{do: receive,   as: watcher, topic: gone, payload: victim, after: 2.0, within: 5.0}",
        line=14,
        status="failed",
        at=0.02,
        seconds=1.41,
        window=(2.0, 5.0),
        observed_at=1.412,
    )
    before = tuple(
        StepResult(number=n, text=text, line=10 + n, status="passed", at=0.001 * n, seconds=0.001)
        for n, text in enumerate(
            (
                "{do: subscribe, as: watcher, topic: gone, qos: 1}",
                "{do: connect,   as: victim}",
                "{do: freeze,    link: victim}",
            ),
            start=1,
        )
    )
    after = StepResult(
        number=5,
        text="{do: closed,    link: victim, by: broker, after: 2.0, within: 5.0}",
        line=15,
        status="not-run",
        window=(2.0, 5.0),
    )
    base: dict[str, Any] = {
        "title": "The broker publishes the will once a silent client overruns keep alive",
        "verdict": Verdict.FAIL,
        "reason": "the will came 1.41 s after the last packet, not before 2.0 s",
        "blame": "broker",
        "cites": ("MQTT-3.1.2-22",),
        "seconds": 3.6,
        "waiting_seconds": 3.5,
        "overhead_seconds": 0.06,
        "trace": tuple(tape.entries),
        "steps": (*before, step, after),
        "findings": (
            Finding(
                source="step",
                rule="receive",
                level="must",
                blame="broker",
                cites=("MQTT-3.1.2-22",),
                message="the will came too early",
                expected="PUBLISH gone after 2.0 s and within 5.0 s",
                observed="PUBLISH gone after 1.41 s",
                step=4,
                trace_index=diverging,
            ),
        ),
    }
    return record("will/keep_alive_timeout", **(base | fields))


def showcase() -> list[Record]:
    """20 cells: every verdict, a new and a known failure, an unexpected pass."""
    known = KnownFailure(reason="ignores Receive Maximum", link="https://github.com/example/gmqtt/issues/7")
    return [
        *(qos2_cell(mqtt, client=client) for mqtt in VERSIONS for client in ("builtin", "paho")),
        qos2_cell(
            "3.1", client="gmqtt", verdict=Verdict.UNSUPPORTED, reason="gmqtt cannot speak 3.1", steps=(), trace=()
        ),
        qos2_cell("3.1.1", client="gmqtt", wrong=True),
        qos2_cell("5.0", client="gmqtt", wrong=True, known=True),
        late_will(client="builtin"),
        late_will(client="paho"),
        record("will/empty_payload", title="A will without a payload is published", client="paho", mqtt="3.1.1"),
        record(
            "session/expiry",
            title="A session ends at its expiry",
            client="gmqtt",
            verdict=Verdict.WARN,
            reason="the client asked for a session it did not resume <b>&amp;</b>",
            level="should",
            cites=("MQTT-3.1.2-23",),
        ),
        record(
            "session/takeover",
            client="paho",
            verdict=Verdict.OBSERVED,
            reason="the old connection was closed without DISCONNECT",
            level="may",
        ),
        record("session/big", client="gmqtt", verdict=Verdict.SETUP_FAILED, reason="no CONNACK within 5 s"),
        record(
            "session/crash",
            client="gmqtt",
            verdict=Verdict.HARNESS_ERROR,
            reason="the adapter ended with status 1",
            log="Traceback (most recent call last):\n  File \"adapter.py\", line 3\nKeyError: '\x00\x1b[31mid'\n",
        ),
        record("flow/quota", client="gmqtt", verdict=Verdict.FAIL, reason="11 in flight", known_failure=known),
        record("flow/window", client="gmqtt", known_failure=known, unexpected_pass=True),
        record("flow/alias", client="paho", verdict=Verdict.FLAKY, reason="SUBACK came late once", attempts=2),
        record("flow/alias", client="builtin", transport="tls", seconds=1.25, overhead_seconds=0.11),
    ]


AREAS = {
    "delivery": 27, "qos1": 18, "qos2": 26, "will": 24, "keep_alive": 14, "session": 16, "retained": 14,
    "topics": 12, "options": 12, "flow": 10, "properties": 22, "auth": 5, "limits": 9, "bad_input": 16,
}  # fmt: skip


@cache
def matrix(size: int = 2000, *, seed: int = 7, brokers: tuple[str, ...] = ("reference",)) -> tuple[Record, ...]:
    """As many cells as a real run has, each with a trace of its own; the same seed gives the same cells."""
    chance = random.Random(seed)
    names = [f"{area}/case_{n:02}_{chance.choice(_WORDS)}" for area, count in AREAS.items() for n in range(count)]
    places = [
        (name, client, broker, mqtt, transport)
        for transport in ("tcp", "tls", "ws")
        for name in names
        for mqtt in VERSIONS
        for broker in brokers
        for client in ("builtin", "paho", "gmqtt")
    ][:size]
    return tuple(_made_up(chance, *place) for place in places)


_WORDS = [
    "resume_after_pubrec",
    "delivered",
    "takeover",
    "expiry",
    "duplicate_publish",
    "late_ack",
    "empty_payload",
    "wildcard",
]


def _made_up(chance: random.Random, name: str, client: str, broker: str, mqtt: str, transport: str) -> Record:
    draw = chance.random() * {"builtin": 8.0, "paho": 1.6, "gmqtt": 1.0}[client]
    cell = _model(name.startswith(("will", "keep_alive")), mqtt, wrong=draw < 0.06, known=0.004 < draw < 0.06)
    fields: dict[str, Any] = {
        "scenario": name,
        "area": name.partition("/")[0],
        "client": client,
        "broker": broker,
        "transport": transport,
        "implementations": versions_of(client, broker),
        "overhead_seconds": chance.lognormvariate(-3.4, 0.35),
        "seconds": cell.waiting_seconds + 0.04,
        "title": f"{cell.title} ({name.partition('_')[2].replace('_', ' ')})",
        "trace": tuple(_shaken(chance, entry) for entry in cell.trace * chance.choice((1, 1, 2))),
        "rerun": f"mqtt-interop run --client {client} --broker {broker} --mqtt {mqtt} --transport {transport}"
        f" --scenario {name}",
    }
    if draw >= 0.06:
        verdict, reason = Verdict.PASS, ""
        for limit, other, why in _OTHERS:
            if 0.06 <= draw < limit:
                verdict, reason = other, why
                break
        fields |= {"verdict": verdict, "reason": reason, "findings": (), "blame": "none"}
        fields["steps"] = tuple(
            step.model_copy(update={"status": "passed", "observed_at": 2.4 if step.window else None})
            for step in cell.steps
        )
    return cell.model_copy(update=fields)


@cache
def _model(is_will: bool, mqtt: str, *, wrong: bool, known: bool) -> Record:
    return late_will(mqtt=mqtt) if is_will else qos2_cell(mqtt, wrong=wrong, known=known)


_OTHERS = (
    (0.075, Verdict.WARN, "the answer came, but without the reason string the client had asked for"),
    (0.11, Verdict.UNSUPPORTED, "the client says it cannot do this"),
    (0.14, Verdict.OBSERVED, "the retained message was sent before the SUBACK"),
    (0.142, Verdict.HARNESS_ERROR, "the adapter wrote a line that is not JSON"),
    (0.146, Verdict.SETUP_FAILED, "no CONNACK within 5 s"),
)


def _shaken(chance: random.Random, entry: TraceEntry) -> TraceEntry:
    """The same entry at a slightly other time, its client id and payload as unlike as a real run makes them."""
    unique = f"{chance.randrange(1 << 32):08x}".encode().hex()
    return entry.model_copy(
        update={
            "at": round(entry.at + chance.random() * 0.001, 6),
            "hex": entry.hex + unique if entry.packet in ("CONNECT", "PUBLISH", "SUBSCRIBE") else entry.hex,
            "size_bytes": entry.size_bytes + 8,
        }
    )
