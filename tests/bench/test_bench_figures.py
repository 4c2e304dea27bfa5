"""From numbers to words: percentiles, ratios, aims, table, page, JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from interop.bench import compare
from interop.bench.cell import Cell, Mode
from interop.bench.chart import page
from interop.bench.command import _notes, cell_of
from interop.bench.crowds import CrowdCost, crowds_table, numbers
from interop.bench.curves import curves
from interop.bench.document import document, entry, from_json, schema_text, to_json
from interop.bench.growth import Growth, growth_table
from interop.bench.pages import crowds_page, growth_page, one_by_one_page, readme
from interop.bench.proc import usage
from interop.bench.result import Latency, Result, percentile
from interop.bench.suite import ONE_BY_ONE, SUITES, Aim, quick, targets
from interop.bench.table import Row, as_markdown, as_text, detail_lines, short, table
from interop.brokers.registry import BROKERS
from interop.cli import _parser
from interop.exit_codes import CommandError
from reference_broker.net.address import Transport
from reference_broker.wire.types import QoS, Version

OURS = Result("a cell", "reference", "1.0", sent=10, delivered=10, per_second=2_000_000.0, seconds=1.0)
THEIRS = replace(OURS, broker="mosquitto", broker_version="2.0", per_second=160_000.0)
ROW = Row(OURS, (THEIRS,))


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 50), (99, 99), (99.1, 100), (100, 100)])
def test_a_percentile_is_the_nearest_rank(percent: float, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7], 50) == percentile([7], 99) == 7


def test_latency_is_in_microseconds_and_none_without_messages() -> None:
    assert Latency.of([3_000, 1_000, 2_000]) == Latency(2.0, 3.0, 3.0)
    assert Latency.of([]) is None


def test_a_ratio_is_ours_by_theirs_and_of_p99_where_latency_was_measured() -> None:
    assert ROW.ratio == 12.5
    slow, fast = (replace(OURS, latency=Latency(1.0, p99, 500.0)) for p99 in (90.0, 45.0))
    assert Row(slow, (fast,)).ratio == 2.0


def test_a_ratio_is_to_the_best_of_the_others_that_came_to_their_end() -> None:
    slow, fast = replace(THEIRS, broker="slow", per_second=100_000.0), replace(THEIRS, broker="fast", per_second=1e6)
    failed, unable = replace(fast, failure="it went away", per_second=4e6), Result("", "unable", "", lacks="has no ws")
    assert Row(OURS, (slow, failed, fast, unable)).ratio == 2.0
    late = [replace(OURS, latency=Latency(1.0, p99, 500.0)) for p99 in (90.0, 45.0, 60.0)]
    assert Row(late[0], tuple(late[1:])).ratio == 2.0


def test_what_a_broker_lacks_is_no_failure_of_it() -> None:
    row = Row(OURS, (THEIRS, Result("a cell", "nats", "", lacks="has no QoS 2")))
    assert table([row])[0][:5] == ["cell", "reference", "mosquitto", "nats", "ratio"]
    assert table([row])[1][:5] == ["a cell", "2.00 M/s", "160 k/s", "-", "12 x"]
    assert "Nothing was lost" in readme(document([entry("row", row)], "bench"))
    assert detail_lines(row.others[1]) == ["nats: has no QoS 2"]


@pytest.mark.parametrize(
    ("cell", "broker", "says"),
    [
        (Cell(), "mosquitto", ""),
        (Cell(version=Version.V5), "nats", "does not speak MQTT 5.0"),
        (Cell(subscriber_version=Version.V5), "nats", "does not speak MQTT 5.0"),
        (Cell(transport=Transport.TLS), "nats", "has no tls"),
        (Cell(qos=QoS.EXACTLY_ONCE), "nats", "has no QoS 2"),
    ],
)
def test_what_a_cell_needs_and_a_broker_has_not_is_told_before_it_is_started(
    monkeypatch: pytest.MonkeyPatch, cell: Cell, broker: str, says: str
) -> None:
    monkeypatch.setattr(compare, "spec_of", lambda name: BROKERS[name]())
    assert compare.lacks(cell, broker) == says


def test_there_is_no_ratio_without_another_broker_or_with_a_failure() -> None:
    assert Row(OURS).ratio is None
    assert Row(OURS, (replace(THEIRS, failure="it went away"),)).ratio is None
    assert Row(OURS, (replace(THEIRS, per_second=0.0),)).ratio is None


@pytest.mark.parametrize(
    ("aim", "word"),
    [(Aim(10, 12), "goal"), (Aim(10, 16), "must"), (Aim(13, 16), "short"), (Aim(13, 12, at_most=True), "must")],
)
def test_what_was_reached_is_told_by_the_aim(aim: Aim, word: str) -> None:
    assert entry("row", ROW, aim).reached == word


def test_an_absolute_aim_looks_at_the_figure_and_not_at_the_ratio() -> None:
    row = Row(replace(OURS, bytes_per_connection=3000.0), (replace(THEIRS, bytes_per_connection=1000.0),))
    assert entry("row", row, Aim(5120, 2560, at_most=True, absolute=True)).reached == "must"


@pytest.mark.parametrize("flaw", ["lost", "repeated", "dropped"])
def test_a_cell_that_failed_somebody_reached_nothing(flaw: str) -> None:
    result = replace(OURS, **{flaw: 1})
    assert result.fell_short
    assert entry("row", Row(result, (THEIRS,)), Aim(1, 1)).reached == "short"


def test_clients_that_were_dropped_are_told_everywhere() -> None:
    result = replace(OURS, dropped=212, first_drop="p7: the broker closed the connection")
    assert "  dropped 212 clients, the first: p7: the broker closed the connection" in detail_lines(result)
    assert table([Row(result, (THEIRS,))])[1][4] == "0 and 212 clients / 0"
    text = readme(document([entry("row", Row(result, (THEIRS,)))], "bench"))
    assert "0 lost, 0 repeated, 212 clients dropped (p7: the broker closed the connection)" in text


@pytest.mark.parametrize(
    ("number", "text"), [(950, "950"), (12_345, "12.3 k"), (148_000, "148 k"), (4_560_000, "4.56 M"), (31e6, "31.0 M")]
)
def test_numbers_have_three_digits(number: float, text: str) -> None:
    assert short(number) == text


def test_the_table_has_both_brokers_and_their_ratio() -> None:
    head, row = table([ROW])
    assert head[:4] == ["cell", "reference", "mosquitto", "ratio"]
    assert row[:5] == ["a cell", "2.00 M/s", "160 k/s", "12 x", "0 / 0"]
    assert as_markdown([head, row]).splitlines()[1].count("---") == len(head)
    assert as_text([head, row]).splitlines()[1].startswith("a cell  2.00 M/s")


def test_json_reads_back_as_it_was_and_has_a_schema() -> None:
    made = document([entry("row", ROW, Aim(10, 16)), entry("alone", Row(OURS))], "bench")
    assert from_json(to_json(made)) == made
    schema = json.loads(schema_text())
    assert set(json.loads(to_json(made))) == set(schema["required"]) == set(schema["properties"])


def test_json_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="machine"):
        from_json('{"schema_version": 1}')


def test_the_page_puts_streamed_and_single_sends_into_one_row() -> None:
    single = Row(replace(OURS, per_second=200_000.0), (THEIRS,))
    text = readme(document([entry("1 to 1", ROW, Aim(13, 16)), entry("1 to 1", single, one_per_send=True)], "bench"))
    (line,) = [line for line in text.splitlines() if line.startswith("| 1 to 1")]
    assert line == "| 1 to 1 | 2.00 M/s | 160 k/s | **12 x** (13, 16) | - | 200 k/s | 160 k/s | 1.25 x | - |"
    assert "Nothing was lost" in text


def test_what_people_wrote_stays_when_the_page_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    assert _notes(file) == ""
    file.write_text(readme(document([entry("1 to 1", ROW)], "bench")))
    assert _notes(file) == ""
    file.write_text(file.read_text() + "\n## By hand\n\nA sentence.\n")
    assert _notes(file) == "\n## By hand\n\nA sentence.\n"


LOADED = Row(
    replace(OURS, offered_per_second=5_000.0, per_second=4_990.0, latency=Latency(70.4, 206.0, 900.0)),
    (replace(THEIRS, offered_per_second=5_000.0, per_second=2_000.0, latency=Latency(9_000.0, 17_000.0, 20_000.0)),),
)


def test_the_page_of_packets_one_by_one_has_rates_and_latency_over_load() -> None:
    entries = [entry("QoS 0, 1 to 1", ROW, one_per_send=True), entry("QoS 0, 5,000 messages/s", LOADED)]
    text = one_by_one_page(document(entries, "bench"))
    assert "reference broker 1.0, beside mosquitto 2.0 in the same run" in text
    assert "| QoS 0, 1 to 1 | 2.00 M/s | 160 k/s | 12 x | - |" in text
    assert "| QoS 0, 5,000 messages/s | 70, 206 | 9,000, 17,000 (2.00 k/s) |" in text
    assert "\n## " not in text  # from there on it is what people wrote, and stays


def test_curves_have_a_panel_for_each_qos_and_a_hollow_point_where_not_all_got_through() -> None:
    drawn = curves([entry("QoS 0, 5,000 messages/s", LOADED), entry("QoS 1, 5,000 messages/s", LOADED)])
    assert drawn.count("99th percentile, over messages/s") == 2
    assert drawn.count("<circle") == 4
    assert drawn.count('fill="#fff"/>') == 1 + 2  # the ground, and mosquitto's
    assert ">mosquitto<" in drawn
    assert curves([entry("QoS 0, 1 to 1", ROW)]).count("<circle") == 0


def test_the_suite_of_packets_one_by_one_sends_each_by_itself_and_has_every_kind() -> None:
    cells = [each.cell for each in SUITES[ONE_BY_ONE](3.0)]
    assert {cell.batch for cell in cells} == {1}
    assert len({cell.name for cell in cells}) == len(cells)
    singles = [cell for cell in cells if not cell.rate]
    assert {(cell.publishers, cell.qos) for cell in singles} == {
        (number, qos) for number in (1, 10, 100) for qos in QoS
    }
    assert {cell.transport for cell in singles} == {Transport.TCP, Transport.TLS, Transport.WS}
    assert {cell.version for cell in singles} == {Version.V311, Version.V5}
    assert sorted({cell.rate for cell in cells if cell.rate}) == [1e3, 5e3, 2e4, 5e4, 1e5, 2e5]


def test_growth_is_told_as_a_ratio_and_what_does_not_hold_in_bold() -> None:
    figures = [
        Growth("pair", "deliveries/s", 2_000_000.0, 1_500_000.0, "at least 80 %", holds=False),
        Growth("memory", "bytes", 0.0, 512.0),
    ]
    text = growth_page(document([], "bench"), growth_table(figures))
    assert "| pair | deliveries/s | 2,000,000 | 1,500,000 | 0.75 | **at least 80 %** |" in text
    assert "| memory | bytes | - | 512 | - |  |" in text


def test_a_crowd_is_told_by_what_one_connection_costs() -> None:
    cost = CrowdCost(10_000, 154.0, 2_661.0, 0.002, 16.1, 16.0, 25.8, 31.0)
    text = crowds_page(document([], "bench"), crowds_table([cost]))
    assert "| 10,000 | 154 | 2,661 | 0.2 | 16.1 | 16 | 25.8 | 31 |" in text


@pytest.mark.parametrize(
    ("most", "largest"), [(20_000, [10_000, 19_800]), (100_000, [20_000, 50_000]), (1_024, [800]), (50_200, [50_000])]
)
def test_a_crowd_is_as_large_as_the_system_lets_it_be(
    monkeypatch: pytest.MonkeyPatch, most: int, largest: list[int]
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (most, most))
    assert numbers()[-len(largest) :] == largest


def test_the_page_names_what_was_lost_and_what_failed() -> None:
    text = readme(document([entry("1 to 1", Row(replace(OURS, lost=5), (replace(THEIRS, failure="gone"),)))], "bench"))
    assert "- a cell, reference: 5 lost, 0 repeated" in text
    assert "- a cell, mosquitto: gone" in text


@pytest.mark.parametrize("row", [ROW, Row(OURS)])
def test_the_chart_needs_nothing_else_and_escapes_names(row: Row) -> None:
    named = Row(replace(row.result, cell="<b>&"), row.others)
    text = page(document([entry("row", named, Aim(10, 16))], "bench"))
    assert "&lt;b&gt;&amp;" in text
    assert "<b>" not in text
    assert "src=" not in text
    assert "href=" not in text


def test_a_process_that_is_not_there_has_no_usage(tmp_path: Path) -> None:
    assert usage(None) is None
    assert usage(1 << 30) is None


# --- cells and options ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "sent", "expected"),
    [
        (Cell(publishers=2), (3, 4), 7),
        (Cell(mode=Mode.FAN_OUT, subscribers=20), (3,), 60),
        (Cell(mode=Mode.MESH, publishers=3), (1, 2, 3), 18),
        (Cell(mode=Mode.FAN_OUT, topics=10, exact_subscribers=4), (27,), 27 + 2 * 4 + 4),
    ],
)
def test_what_must_arrive_follows_from_what_was_sent(cell: Cell, sent: tuple[int, ...], expected: int) -> None:
    assert cell.expected_deliveries(sent) == expected


def test_options_describe_a_cell() -> None:
    options = _parser("bench").parse_args(["bench", "fan-out", "--qos", "1", "--mqtt", "5.0", "--payload", "100"])
    cell = cell_of(options)
    assert (cell.mode, cell.qos, cell.version.label, cell.payload_bytes) == (Mode.FAN_OUT, 1, "5.0", 100)
    assert (cell.publishers, cell.subscribers) == (1, 20)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--payload", "3"], "--payload 3 is not between 14 and 1048576"),
        (["--publishers", "999"], "--publishers 999 is not between 1 and 256"),
        (["--window", "2049"], "--window 2049 is not between 1 and 2048"),
        (["--seconds", "0"], "--seconds must be above 0"),
        (["idle", "--transport", "tls"], "idle is measured over tcp only, not over tls"),
    ],
)
def test_a_cell_that_cannot_be_is_refused_in_one_line(options: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        cell_of(_parser("bench").parse_args(["bench", *options]))


def test_the_suite_has_both_versions_and_names_every_cell_once() -> None:
    cells = targets(3.0)
    assert len({each.cell.name for each in cells}) == len(cells)
    assert {"3.1.1", "5.0"} <= {each.cell.version.label for each in cells}


def test_a_row_of_two_shapes_names_each_cell_by_its_own() -> None:
    names = {each.cell.name for each in targets(3.0)}
    assert "QoS 0, 20 to 1, MQTT 3.1.1" in names
    assert "QoS 0, 100 to 1, MQTT 3.1.1, one PUBLISH per send" in names
    assert not [name for name in names if "(" in name]


def test_a_quick_suite_has_one_cell_of_each_kind() -> None:
    short_ones = quick(targets(3.0))
    assert len(short_ones) < len(targets(3.0))
    assert {each.cell.mode for each in short_ones} == set(Mode)
    assert all(each.cell.seconds < 1 and each.cell.connections <= 200 for each in short_ones)
