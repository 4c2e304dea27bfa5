"""`adapter check`: a right adapter has nothing to mend, and each way of being wrong is found and named."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent

import forked
import pytest
from planted_faults import FAULTS, FAULTS_OF_5

from interop.adapter_check import asked, asking, command, examination, stages, watch
from interop.adapter_check.asking import Stage
from interop.adapter_check.conversation import Conversation
from interop.adapter_check.examination import Result, examine
from interop.adapter_check.lines import Complaint, read_line, shown
from interop.adapter_check.silent import SilentBroker
from interop.adapter_check.watch import Watch, believed, is_in_doubt
from interop.cli import main
from interop.drivers.registry import Program
from interop.runner.busy import NO_LAG, Lag, cpu_waited_seconds
from reference_broker.net.config import ServerConfig
from reference_broker.net.server import BrokerServer

pytestmark = pytest.mark.thorough

# The contract's example, with something done to it.
ADAPTER = f"""\
import json, os, signal, sys, time
sys.path.append({str(forked.REPOSITORY)!r})
from interop.drivers.examples import minimal
Client, emit = minimal._Client, minimal._emit
def change(change):
    def changed(event):
        emit(change(dict(event)))
    minimal._emit = changed
def instead(verb, event):
    setattr(Client, verb, lambda self, command: event)
def before(verb, what):
    method = getattr(Client, verb)
    setattr(Client, verb, lambda self, command: (what(self, command), method(self, command))[1])
"""
AT_EXIT = "\nminimal._main()\n"


def script(folder: Path, fault: str = "", at_exit: str = "") -> Path:
    """An adapter that is wrong in one way, or in none."""
    path = folder / "adapter.py"
    path.write_text(ADAPTER + dedent(fault) + AT_EXIT + at_exit)
    return path


class Unhurried(Watch):
    """Nothing is too late for it: a fault that was planted is there, however busy the machine is."""

    def lag(self) -> Lag:
        return NO_LAG


def examined(path: Path, *options: str, by: Watch | None = None) -> dict[str, Result]:
    """What came of each stage; by default without site-packages, which makes an adapter start in 20 ms."""

    async def main() -> dict[str, Result]:
        program = Program([sys.executable, *(options or ("-S",)), str(path)])
        return {each.stage: each async for each in examine(program, by)}

    return asyncio.run(asyncio.wait_for(main(), 60))


class Busy(Watch):
    """A machine that let nobody run for half of the time."""

    def lag(self) -> Lag:
        return Lag(worst_seconds=2.0, lost_seconds=15.0, pressed=1.0, seconds=30.0)


def wrong_in(results: dict[str, Result]) -> dict[str, Result]:
    """The stages that were not done well, alone; what this machine is too busy to tell is nobody's fault."""
    assert sum(not each.skipped for each in results.values()) > len(stages.STAGES) / 2, "too little was looked at"
    return {
        stage: each
        for stage, each in results.items()
        if each.complaints or (each.skipped and not each.skipped.startswith(("this machine was too busy", "no time")))
    }


def test_a_right_adapter_has_nothing_to_mend(tmp_path: Path) -> None:
    results = examined(script(tmp_path))
    assert list(results) == list(stages.STAGES)
    assert wrong_in(results) == {}


def test_the_adapter_of_the_guide_has_nothing_to_mend(tmp_path: Path) -> None:
    guide = (forked.REPOSITORY / "docs" / "certify-a-client.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    path = tmp_path / "acme.py"
    path.write_text(code)
    results = examined(path, "-W", "error")
    assert wrong_in(results) == {}


def test_what_the_harness_knows_by_itself_may_be_told_all_the_same(tmp_path: Path) -> None:
    results = examined(
        script(
            tmp_path,
            """
            def again(event):
                if event["event"] in ("disconnected", "dropped") or event.get("error") == "refused":
                    emit({"event": "disconnected"})
                emit(event)
                if event["event"] in ("disconnected", "dropped") or event.get("error") == "refused":
                    emit({"event": "disconnected"})
            minimal._emit = again
            """,
        )
    )
    assert wrong_in(results) == {}


def test_what_the_harness_knows_by_itself_may_be_left_out(tmp_path: Path) -> None:
    results = examined(
        script(
            tmp_path,
            """
            change(lambda event: {name: value for name, value in event.items() if name != "message"})
            waiting = set()
            before("subscribe", lambda self, command: self.socket and waiting.add(command["id"]))
            def quiet(event):
                if event.get("error") != "cut-off" or event["id"] not in waiting:
                    loud(event)
            loud, minimal._emit = minimal._emit, quiet
            """,
        )
    )
    assert wrong_in(results) == {}


def test_who_has_no_unsubscribe_of_several_filters_may_say_so_and_has_nothing_to_mend(tmp_path: Path) -> None:
    one_by_one = """
        unsubscribe, several = Client.unsubscribe, {"event": "error", "error": "unsupported"}
        Client.unsubscribe = lambda self, command: (
            several if len(command["topic_filters"]) > 1 else unsubscribe(self, command)
        )
        """
    assert wrong_in(examined(script(tmp_path, one_by_one))) == {}


def test_what_did_not_come_while_the_machine_was_too_busy_is_nobodys_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 1.0)
    lost = examined(script(tmp_path, FAULTS["a loss is kept secret"][0]), by=Busy())["a lost connection"]
    assert lost.complaints == []
    assert lost.skipped.startswith("this machine was too busy (lag 2.0 s at worst, 15.0 s in all; 100%")
    assert lost.skipped.endswith(
        "tell whether: the broker closed the connection, and nothing was said of it within 1 s"
    )


def test_what_is_no_matter_of_time_is_held_against_an_adapter_however_busy_the_machine_is(tmp_path: Path) -> None:
    results = examined(script(tmp_path, FAULTS["any verb fails"][0]), by=Busy())
    assert "is answered with the error `failed`" in results["a made-up verb"].complaints[0].what


def test_what_was_found_while_the_machine_was_busy_is_looked_at_once_more_with_a_new_process(tmp_path: Path) -> None:
    fault = f"""
        if not os.path.exists({str(tmp_path / "again")!r}):
            open({str(tmp_path / "again")!r}, "w").close()
            minimal.UNSUPPORTED = {{"event": "error", "error": "failed"}}
        """
    assert wrong_in(examined(script(tmp_path, fault), by=Busy())) == {}


def test_what_follows_from_something_late_is_not_believed_and_what_came_before_it_is() -> None:
    before, late, after = Complaint("a", ""), Complaint("b", "", seconds=3.0), Complaint("c", "")
    lag = Lag(worst_seconds=0.8, lost_seconds=0.8, pressed=0.5, seconds=5.0)
    assert believed([before, late, after], lag) == [before]
    assert believed([before, late, after], NO_LAG) == [before, late, after]
    assert is_in_doubt([late], lag)
    assert not is_in_doubt([late], NO_LAG)
    assert not is_in_doubt([], Lag(9.0, 9.0, 1.0, 9.0))


def test_how_long_an_adapter_waited_for_a_processor_counts_from_the_beginning_of_the_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited = iter((1.0, 5.5))
    monkeypatch.setattr(watch, "waited_seconds", lambda _: next(waited))
    watched = Watch()
    watched.begin(4711)
    watched.look(4711)
    assert watched.lag().lost_seconds == pytest.approx(4.5, abs=0.1)


def test_what_all_threads_of_a_process_waited_counts_and_nothing_once_it_has_ended() -> None:
    first = cpu_waited_seconds()
    assert watch.waited_seconds(os.getpid()) >= first
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    assert watch.waited_seconds(ended.pid) == 0


STAYS = "signal.pause()\n"
ENDINGS = ("exit", "end of input")


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    how, stage, what, expected = FAULTS[fault]
    for module in (asking, asked, stages):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 2.5)
    if fault in ("mute", "no line feed", "not JSON", "no object"):  # nothing else is heard of them
        monkeypatch.setattr(stages, "START_SECONDS", 4.0)
    found = examined(script(tmp_path, how), by=Unhurried())[stage].complaints
    assert any(what in each.what and expected in each.expected for each in found), found


@pytest.mark.parametrize("stage", ENDINGS)
def test_what_does_not_leave_is_found(tmp_path: Path, stage: str) -> None:
    results = examined(script(tmp_path, at_exit=STAYS), by=Unhurried())
    assert [each.what.partition("after")[0] for each in results[stage].complaints] == ["it is still there 1 s "]
    others = (each for name, result in results.items() for each in result.complaints if name not in ENDINGS)
    assert not any("is still there" in each.what for each in others)


def test_the_line_is_quoted_as_it_was_written(tmp_path: Path) -> None:
    (complaint,) = examined(script(tmp_path, "minimal.HELLO['unsupported'] = ['qos-2', *minimal.LACKS]"))[
        "hello"
    ].complaints
    assert shown(complaint.line).startswith('{"id": 1, "event": "hello", "contract": 1, "client": "minimal"')
    _, (complaint,) = read_line(b"x" * 5000 + b"and its end\n")
    assert len(shown(complaint.line)) == 300
    assert shown(complaint.line).startswith("xxx")
    assert shown(complaint.line).endswith("xxx" + "and its end")


def test_an_adapter_is_mute_whatever_its_environment_flushes_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    monkeypatch.setattr(stages, "START_SECONDS", 4.0)
    found = examined(script(tmp_path, "minimal._emit = lambda event: print(json.dumps(event))"), by=Unhurried())
    assert "it does not flush" in found["hello"].complaints[0].what


def test_what_follows_from_an_answer_that_did_not_come_is_no_fault_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 2.0)
    fault = "change(lambda event: event)\nminimal._emit = lambda event: event['event'] == 'published' or emit(event)"
    (complaint,) = examined(script(tmp_path, fault), by=Unhurried())["every version"].complaints
    assert complaint.what == "`publish` was not answered within 2 s, in MQTT 3.1.1"
    assert complaint.read.startswith(b'{"id":7,"do":"publish","topic":"check/')


def test_an_end_is_told_at_the_command_that_came_last(tmp_path: Path) -> None:
    fault = "change(lambda event: sys.exit(3) if event['event'] == 'ready' else event)"
    (complaint,) = examined(script(tmp_path, fault), by=Unhurried())["reset"].complaints
    assert complaint.what == "it ended by itself with exit status 3 at `reset`"


def test_an_adapter_that_knows_no_made_up_verb_is_told_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 2.0)
    fault = "minimal._emit = lambda event: event.get('error') == 'unsupported' or emit(event)"
    results = examined(script(tmp_path, fault), by=Unhurried())
    assert [name for name, result in results.items() if result.complaints] == ["a made-up verb"]


def test_nothing_is_looked_at_before_hello_is_right(tmp_path: Path) -> None:
    results = examined(script(tmp_path, "change(lambda event: {'event': 'error', 'error': 'failed', 'id': 1})"))
    assert [each.what for each in results.pop("hello").complaints] == ["`hello` is answered with `error`"]
    assert {each.skipped for each in results.values()} == {"of no use before `hello` is right"}


def test_the_examination_ends_in_time_and_so_does_the_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "LIMIT_SECONDS", 0.5)
    results = examined(
        script(tmp_path, f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"),
        by=Unhurried(),
    )
    (complaint,) = results.pop("hello").complaints
    assert complaint.what == "the examination's 0.5 s were over before the end of this"
    assert {each.skipped for each in results.values()} == {"of no use before `hello` is right"}
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_a_stage_for_which_the_others_left_too_little_time_is_open_and_nobodys_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def most_of_it(*_: object) -> None:
        await asyncio.sleep(1.5)

    async def for_ever(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(examination, "LIMIT_SECONDS", 2.0)
    there_are = {"hello": stages.hello, "first": most_of_it, "second": for_ever}
    monkeypatch.setattr(examination, "STAGES", there_are)
    second = examined(script(tmp_path), by=Unhurried())["second"]
    assert (second.complaints, second.skipped, second.is_open) == ([], "no time was left", True)


# --- what 5.0 has, with an adapter that has it ------------------------------------------------------------------------

ADAPTER_OF_5 = f"""\
import sys
sys.path.append({str(forked.REPOSITORY)!r})
from interop.drivers.adapter import main
from interop.drivers.builtin import BuiltinAdapter
class Wrong(BuiltinAdapter):
    pass
def before(verb, change):
    method = getattr(BuiltinAdapter, verb)
    async def changed(self, command):
        return await method(self, command.model_copy(update=change(command)))
    setattr(Wrong, verb, changed)
def without(values, *names):
    return {{"properties": values.properties.model_copy(update=dict.fromkeys(names))}}
"""


def complaints_of_5(folder: Path, fault: str, *stages_: Stage) -> list[Complaint]:
    """What some stages have to say of an adapter of all versions that is wrong in one way, or in none."""
    path = folder / "adapter.py"
    path.write_text(f"{ADAPTER_OF_5}{fault}\nmain(Wrong)\n")
    found: list[Complaint] = []

    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server, SilentBroker() as silent:
            setting = asking.Setting(server.address, silent)
            talk = await Conversation.begin(Program([sys.executable, str(path)]), found.append)
            try:
                for stage in (stages.hello, *stages_):
                    await stage(talk, setting)
            finally:
                await talk.close()

    asyncio.run(asyncio.wait_for(main(), 60))
    return found


@pytest.mark.parametrize("fault", FAULTS_OF_5)
def test_what_is_wrong_in_5_is_found_and_named(tmp_path: Path, fault: str) -> None:
    how, stage, what, expected = FAULTS_OF_5[fault]
    found = complaints_of_5(tmp_path, how, stage)
    assert any(what in each.what and expected in each.expected for each in found), found


def test_a_right_adapter_of_all_versions_has_nothing_to_mend_whatever_is_asked_for(tmp_path: Path) -> None:
    assert complaints_of_5(tmp_path, "", asked.as_asked, asked.at_the_edges) == []


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_says_what_is_wrong_and_its_exit_code_says_whether(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = script(tmp_path)
    assert main(["adapter", "check", "--", sys.executable, "-S", str(path)]) == 0
    assert capsys.readouterr().out.endswith(f"\nnothing is wrong with {sys.executable} -S {path}\n")
    path = script(tmp_path, "minimal.HELLO['client'] = ''")
    assert main(["adapter", "check", "--", sys.executable, "-S", str(path)]) == 1
    said = capsys.readouterr().out
    assert "WRONG  hello\n         `client` is empty\n           it wrote  {" in said
    assert said.endswith(f"\n1 thing is wrong with {sys.executable} -S {path}\n")


def test_what_cannot_be_looked_at_is_said_and_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script(tmp_path, "minimal.HELLO['transports'] = ['tls']")
    assert main(["adapter", "check", "--", sys.executable, "-S", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.count("only looked at over TCP, which this adapter has not\n") == 1, "a reason is said once"
    assert said.endswith(f"{path}, as far as it was looked at\n")


def test_one_that_comes_along_is_checked_by_its_name_and_a_program_of_that_name_behind_two_dashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    async def examine(program: Program) -> AsyncIterator[Result]:
        asked.append(program.command)
        yield Result("hello")

    monkeypatch.setattr(command, "examine", examine)
    assert main(["adapter", "check", "minimal"]) == 0
    assert main(["adapter", "check", "--", "minimal"]) == 0
    assert asked == [[sys.executable, "-m", "interop.drivers.examples.minimal"], ["minimal"]]


def told_of(monkeypatch: pytest.MonkeyPatch, *results: Result) -> int:
    """The exit code where these came out."""

    async def examine(_: object) -> AsyncIterator[Result]:
        for each in results:
            yield each

    monkeypatch.setattr(command, "examine", examine)
    return main(["adapter", "check", "--", "acme"])


def test_what_was_told_is_not_told_at_length_again_and_counts_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = Complaint("command 5 is late", "less", read=b'{"id":5}'), Complaint("command 17 is late", "less")
    assert told_of(monkeypatch, Result("one", [first, second]), Result("two", [second]), Result("three")) == 1
    assert capsys.readouterr().out == (
        'WRONG  one\n         command 5 is late\n           it read   {"id":5}\n           expected  less\n'
        "         again what stands above\nWRONG  two\n         again what stands above\nok     three\n"
        "\n1 thing is wrong with acme\n"
    )


def test_what_could_not_be_told_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    too_busy = Result("two", skipped="this machine was too busy", is_open=True)
    assert told_of(monkeypatch, Result("one"), too_busy) == 2
    assert capsys.readouterr().out.endswith("\nnothing is wrong with acme, as far as it was looked at\n")
    assert told_of(monkeypatch, Result("one", [Complaint("a", "b")]), too_busy) == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([], "name the command"),
        (["./no-such"], "cannot start ./no-such: No such file"),
        (["mqttj"], "cannot start mqttj: No such file or directory; did you mean mqttjs, which comes along?"),
    ],
)
def test_a_command_that_cannot_be_started_is_2(
    command: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["adapter", "check", "--", *command]) == 2
    assert said in capsys.readouterr().err
