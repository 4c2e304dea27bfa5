"""What a result keeps of a trace."""

from __future__ import annotations

import dataclasses

from interop.runner.tracing import AROUND_A_FINDING, KEPT_ENTRIES, kept
from interop.tap.trace import Kind, Sender, Trace
from reference_broker.wire.packets import PubAck
from reports.record import Finding


def trace(count: int) -> Trace:
    """PUBACKs of a link, each with its own place as identifier."""
    made = Trace(lambda: 0.0)
    for number in range(count):
        made.record("pub", 1, Kind.PACKET, Sender.CLIENT, packet=PubAck(number), receiver=Sender.BROKER)
    return made


def finding(trace_index: int | None) -> Finding:
    return Finding.model_validate(
        {"source": "judge", "rule": "r", "level": "must", "blame": "client", "message": "m", "trace_index": trace_index}
    )


def test_an_ordinary_trace_is_kept_whole() -> None:
    records, findings = kept(trace(KEPT_ENTRIES).entries, [finding(7), finding(None)])
    assert [record.fields["packet_id"] for record in records] == list(range(KEPT_ENTRIES))
    assert [each.trace_index for each in findings] == [7, None]


def test_of_a_very_long_trace_the_beginning_the_end_and_what_surrounds_findings_are_kept() -> None:
    places = (10, 30_000, 99_999, None)
    records, findings = kept(trace(100_000).entries, map(finding, places))
    gaps = [place for place, record in enumerate(records) if record.kind == "gap"]
    left_out = [int(records[place].summary.split()[0].replace(",", "")) for place in gaps]
    assert len(records) == KEPT_ENTRIES + 2 * AROUND_A_FINDING + 1 + 2
    assert sum(left_out) + len(records) - 2 == 100_000
    for each, place in zip(findings, places, strict=True):
        assert place is None or records[each.trace_index].fields["packet_id"] == place  # type: ignore[index]
    assert findings[-1].trace_index is None
    around = [record.fields["packet_id"] for record in records[gaps[0] + 1 : gaps[1]]]
    assert around == list(range(30_000 - AROUND_A_FINDING, 30_000 + AROUND_A_FINDING + 1))


def test_a_finding_whose_entry_is_left_out_names_no_place() -> None:
    places = [20_000 + 1000 * number for number in range(21)]
    _, findings = kept(trace(100_000).entries, map(finding, places))
    assert [each.trace_index is None for each in findings] == [False] * 20 + [True]


def test_what_is_to_be_hidden_is_hidden_in_every_part() -> None:
    records, _ = kept(trace(10_000).entries, (), lambda seen: dataclasses.replace(seen, link="hidden"))
    assert {record.link for record in records if record.kind != "gap"} == {"hidden"}
