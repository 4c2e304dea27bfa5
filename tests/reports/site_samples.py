"""Runs for the tests of the site: two releases of a client, two brokers, and what changed between them."""

from __future__ import annotations

from reports_samples import matrix, qos2_cell, record

from reports.coverage import StatementLine
from reports.record import Record, Verdict

OLD = {"client": "paho 1.6.1", "broker": "reference 0.1.0"}
NEW = {"client": "paho 2.2.0", "broker": "reference 0.1.0"}
MOSQUITTO = {"client": "paho 2.2.0", "broker": "mosquitto 2.0.11"}

LINES = tuple(
    StatementLine(mqtt, side, ident, "must", "4.3.3", says, "covered", ("qos2/resume_after_pubrec",))
    for mqtt, side, ident, says in (
        ("3.1.1", "client", "MQTT-4.3.3-6", "Something else in this version"),
        ("5.0", "client", "MQTT-4.3.3-6", "PUBREL follows PUBREC"),
        ("5.0", "client", "MQTT-9.9.9-9", "Nobody was put to this one"),
        ("5.0", "broker", "MQTT-3.8.4-1", "SUBSCRIBE is answered by SUBACK"),
    )
)
SENTENCES = {(line.mqtt, line.id): line.summary for line in LINES}


def runs() -> list[tuple[str, list[Record]]]:
    """In the first run the client breaks MQTT-4.3.3-6, in the second not; a cell got worse, one is new, one gone."""
    evidence = {"covered": {"client": ("MQTT-4.3.3-6",)}, "judged": {"broker": ("MQTT-3.8.4-1",)}}
    first = [
        qos2_cell(wrong=True, client="paho@1.6.1", implementations=OLD, **evidence),
        record("qos1/delivered", client="paho@1.6.1", implementations=OLD),
        record("qos1/gone", client="paho@1.6.1", implementations=OLD),
        record("will/cannot", client="paho@1.6.1", implementations={}, verdict=Verdict.UNSUPPORTED, reason="cannot"),
    ]
    second = [
        qos2_cell(implementations=NEW, **evidence),
        record("qos1/delivered", implementations=NEW, verdict=Verdict.FAIL, reason="it came twice", blame="client"),
        record("qos1/added", implementations=NEW, mqtt="3.1.1"),
        record("qos1/delivered", broker="mosquitto", implementations=MOSQUITTO),
    ]
    return [("first", first), ("second", second)]


def many(cells: int) -> list[tuple[str, list[Record]]]:
    """As many cells as that, in runs of some thousand each as real ones are; those of one run have their traces."""
    made = matrix(min(cells, 3000))
    slim = {"trace": (), "steps": ()}
    return [
        (
            f"run {number}",
            [
                each.model_copy(
                    update={"broker": f"broker-{number}", "implementations": {}, **(slim if number else {})}
                )
                for each in made
            ],
        )
        for number in range(cells // len(made))
    ]
