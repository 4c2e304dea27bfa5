"""`adapter check`: a right adapter has nothing to mend, and each way of being wrong is found and named."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from textwrap import dedent

import forked
import pytest

from interop.adapter_check import asked, asking, examination, stages
from interop.adapter_check.asking import Stage
from interop.adapter_check.conversation import Conversation
from interop.adapter_check.examination import Result, examine
from interop.adapter_check.lines import Complaint, read_line
from interop.adapter_check.silent import SilentBroker
from interop.cli import main
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


def examined(path: Path, *options: str) -> dict[str, Result]:
    """What came of each stage; by default without site-packages, which makes an adapter start in 20 ms."""

    async def main() -> dict[str, Result]:
        return {each.stage: each async for each in examine([sys.executable, *(options or ("-S",)), str(path)])}

    return asyncio.run(asyncio.wait_for(main(), 60))


def wrong_in(results: dict[str, Result]) -> dict[str, Result]:
    """The stages that were not done well, alone, so that a failing test shows what was wrong."""
    return {stage: each for stage, each in results.items() if each.complaints or each.skipped}


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


FAULTS = {
    "mute": (
        "out = open(1, 'w', 65536)\nminimal._emit = lambda event: out.write(json.dumps(event) + '\\n')",
        "hello",
        "it does not flush",
        "standard output flushed after every line",
    ),
    "no line feed": (
        "minimal._emit = lambda event: print(json.dumps(event), end='', flush=True)",
        "hello",
        "the line has no end",
        "a line feed after every event",
    ),
    "not JSON": ("minimal._emit = lambda event: print(event, flush=True)", "hello", "is not JSON", "one JSON object"),
    "no object": ("minimal._emit = lambda event: print([], flush=True)", "hello", "no JSON object", "an object"),
    "debug text": (
        "before('connect', lambda self, command: print('connecting...', flush=True))",
        "every version",
        "the line is not JSON",
        "all other text on standard error",
    ),
    "wrong id": (
        "change(lambda event: event | ({'id': 4711} if event['event'] == 'dropped' else {}))",
        "drop without a connection",
        "no command had the id 4711",
        "an answer with the id of its command, 3",
    ),
    "no id": (
        "change(lambda event: {k: v for k, v in event.items() if (event['event'], k) != ('dropped', 'id')})",
        "drop without a connection",
        "`dropped` has no `id`",
        "the id of its command",
    ),
    "missing field": (
        "change(lambda event: {k: v for k, v in event.items() if k != 'topic'})",
        "every version",
        "`message` lacks the field `topic`",
        "`topic` in every `message`",
    ),
    "missing field of hello": (
        "del minimal.HELLO['version']", "hello", "`hello` lacks the field `version`", "in every `hello`",
    ),
    "wrong type": (
        "change(lambda event: event | ({'session_present': 'no'} if event['event'] == 'connected' else {}))",
        "every version",
        "`session_present` of `connected` is 'no'",
        "a valid boolean",
    ),
    "a number as text": (
        "change(lambda event: event | {'id': str(event['id'])} if 'id' in event else event)",
        "hello",
        "`id` of `hello` is '1'",
        "a valid integer",
    ),
    "payload as it is": (
        "change(lambda event: event | ({'payload': 'no base64'} if 'payload' in event else {}))",
        "every version",
        "`payload` of `message` is 'no base64'",
        "base64",
    ),
    "unknown field": (
        "change(lambda event: event | {'colour': 'red'})",
        "hello",
        "`hello` has no field `colour`",
        "the fields id, event, contract, client",
    ),
    "unknown event": (
        "change(lambda event: event | ({'event': 'conected'} if event['event'] == 'connected' else {}))",
        "every version",
        "there is no event `conected`",
        "`connected`, or another",
    ),
    "unknown feature": (
        "minimal.HELLO['unsupported'] = ['keepalive', 'qos-2', *minimal.LACKS]",
        "hello",
        "there is no feature 'keepalive'; did you mean 'keep-alive'?",
        "names of features",
    ),
    "another contract": ("minimal.HELLO['contract'] = 9", "hello", "`contract` is 9", "1"),
    "no version of MQTT": ("minimal.HELLO['mqtt'] = []", "hello", "`mqtt` of `hello` is []", "at least 1 item"),
    "any verb is fine": (
        "minimal.UNSUPPORTED = {'event': 'ready'}",
        "a made-up verb",
        "is answered with `ready`",
        "the error `unsupported`",
    ),
    "any verb fails": (
        "minimal.UNSUPPORTED = {'event': 'error', 'error': 'failed'}",
        "a made-up verb",
        "is answered with the error `failed`",
        "the error `unsupported`",
    ),
    "drop wants a connection": (
        "before('drop', lambda self, command: self.socket.fileno())\n"
        "Client.drop = (lambda drop: lambda self, command: drop(self, command) if self.socket else minimal.CUT_OFF)"
        "(Client.drop)",
        "drop without a connection",
        "`drop` without a connection is answered with the error `cut-off`",
        "`dropped`",
    ),
    "a version it has not": (
        "minimal.HELLO['mqtt'] = ['3.1.1', '3.1']",
        "every version",
        "`connect` is answered with the error `unsupported`, although `hello` claims MQTT 3.1",
        "`connected`",
    ),
    "a version it cannot decode": (
        "minimal.HELLO['mqtt'] = ['5.0']\n"
        "before('connect', lambda self, command: command.update(mqtt='3.1.1'))",
        "every version",
        "it was asked to connect with MQTT 5.0, and its CONNECT is of 3.1.1",
        "MQTT 5.0, or no 5.0 in `mqtt` of `hello`",
    ),
    "an answer twice": (
        "change(lambda event: emit(event) or event if event['event'] == 'connected' else event)",
        "every version",
        "`connect`, is answered a second time",
        "one answer to each command",
    ),
    "one command at a time": (
        """
        subscribe = Client.subscribe
        def patient(self, command):
            answer = subscribe(self, command)
            while self.waiting:
                time.sleep(0.01)
            return answer
        Client.subscribe = patient
        """,
        "overlapping commands",
        "while `subscribe` waits for the broker: it holds up the next command",
        "the error `unsupported`",
    ),
    "subscribed at once": (
        "instead('subscribe', {'event': 'subscribed'})",
        "drop without a connection",
        "`subscribe` without a connection is answered with `subscribed`",
        "an `error`",
    ),
    "drop says goodbye": (
        "instead('drop', {'event': 'dropped'})\nbefore('drop', lambda self, command: self.close(b'\\xe0\\0'))",
        "overlapping commands",
        "`drop` sent DISCONNECT",
        "without a word",
    ),
    "drop lets nothing go": (
        "instead('drop', {'event': 'dropped'})",
        "overlapping commands",
        "the network connection is still open after `drop`",
        "its end",
    ),
    "a loss is kept secret": (
        "change(lambda event: event)\n"
        "minimal._emit = lambda event: event['event'] == 'disconnected' and 'id' not in event or emit(event)",
        "a lost connection",
        "the broker closed the connection, and nothing was said of it",
        "`disconnected`, without an id",
    ),
    "dies at reset": (
        "change(lambda event: sys.exit('out of cheese') if event['event'] == 'ready' else event)",
        "every version",
        "ended by itself with exit status 1 at `reset`; the end of its standard error: out of cheese",
        "the process to go on until `exit`",
    ),
    "reset fails": (
        "change(lambda event: {'id': event['id'], 'event': 'error', 'error': 'failed'}"
        " if event['event'] == 'ready' else event)",
        "reset",
        "`reset` is answered with `error`",
        "`ready`",
    ),
    "reset forgets nothing": (
        """
        def changed(event):
            emit(event)
            if event["event"] == "ready":
                emit({"id": event["id"] - 1, "event": "error", "error": "cut-off"})
        minimal._emit = changed
        """,
        "reset",
        "`subscribe`, is answered a second time",
        "none to what `reset` threw away",
    ),
    "a session that is none": (
        "change(lambda event: event | ({'session_present': True} if event['event'] == 'connected' else {}))",
        "every version",
        "`session_present` of `connected` is True, and CONNACK says otherwise",
        "null where the client does not tell",
    ),
    "leaves without a word": (
        "Client.disconnect = lambda self, _: self.close() or {'event': 'disconnected'}",
        "every version",
        "`disconnect` sent no DISCONNECT, in MQTT 3.1.1",
        "DISCONNECT, then the end of the connection",
    ),
    "a loss that is none": (
        "change(lambda event: event['event'] == 'subscribed' and emit(event) or "
        "(event['event'] == 'subscribed' and {'event': 'disconnected'} or event))",
        "every version",
        "`disconnected` came, and nothing had happened that it tells of",
        "`message`",
    ),
    "knows a user and tells nobody": (
        "before('connect', lambda self, command: command.pop('username', None))\n"
        "minimal.HELLO['unsupported'] = [each for each in minimal.LACKS if each != 'username-password']",
        "what is asked for",
        "CONNECT has `username` None, and it was asked for 'nobody'",
        "or `username-password` in `unsupported`",
    ),
    "another name": (
        "before('connect', lambda self, command: command.update(client_id='me'))",
        "what is asked for",
        "CONNECT has `client_id` 'me', and it was asked for 'check",
        "what was asked for",
    ),
    "its own keep alive": (
        "before('connect', lambda self, command: command.update(keep_alive=60))\n"
        "minimal.HELLO['unsupported'] = [each for each in minimal.LACKS if each != 'keep-alive']",
        "what is asked for",
        "CONNECT has `keep_alive` 60, and it was asked for 77",
        "or `keep-alive` in `unsupported`",
    ),
    "no session is kept": (
        "before('connect', lambda self, command: command.update(clean_start=True))\n"
        "minimal.HELLO['unsupported'] = [each for each in minimal.LACKS if each != 'kept-session']",
        "what is asked for",
        "CONNECT has `clean_start` True, and it was asked for False",
        "or `kept-session` in `unsupported`",
    ),
    "no will is left": (
        "before('connect', lambda self, command: command.pop('will', None))\n"
        "minimal.HELLO['unsupported'] = [each for each in minimal.LACKS if each != 'will']",
        "what is asked for",
        "CONNECT has `will` None, and it was asked for ('check/",
        "or `will` in `unsupported`",
    ),
    "QoS 0 will do": (
        "before('subscribe', lambda self, command: command['subscriptions'][0].update(qos=0))",
        "what is asked for",
        "SUBSCRIBE has `qos` 0, and it was asked for 1",
        "or `qos1` in `unsupported`",
    ),
    "nothing is retained": (
        "before('publish', lambda self, command: command.update(retain=False))",
        "what is asked for",
        "PUBLISH has `retain` False, and it was asked for True",
        "or `retained` in `unsupported`",
    ),
    "a short line": (
        "before('publish', lambda self, command: len(command['payload']) > 4096 and sys.exit(1))",
        "what is asked for",
        "ended by itself with exit status 1 at `publish`, with a payload of 99,996 bytes",
        "the process to go on",
    ),
    "Latin 1": (
        "sys.stdout.reconfigure(encoding='latin-1', errors='replace')\n"
        "json.dumps = (lambda dumps: lambda event: dumps(event, ensure_ascii=False))(json.dumps)",
        "what is asked for",
        "the line is not UTF-8",
        "UTF-8, whatever the locale is",
    ),
    "unsubscribed at once": (
        "instead('unsubscribe', {'event': 'unsubscribed'})",
        "what is asked for",
        "`unsubscribe` sent no UNSUBSCRIBE",
        "when UNSUBACK is in",
    ),
    "published at once": (
        "publish, done = Client.publish, {'event': 'published'}\n"
        "Client.publish = lambda self, command: (publish(self, command), self.waiting.clear()) and done",
        "a message without acknowledgement",
        "`published` came before any PUBACK",
        "the answer when PUBACK is in",
    ),
    "a message of nobody's": (
        "change(lambda event: event.get('by') == 'network' and emit(event) or "
        "(event.get('by') == 'network' and {'event': 'message', 'topic': 't'} or event))",
        "a lost connection",
        "there was another event after `disconnected`: `message`",
        "one, and nothing else",
    ),
    "connects again": (
        """
        last = {}
        before("connect", lambda self, command: last.update(command))
        receive = Client.receive
        def back(self, connection):
            receive(self, connection)
            if connection.fileno() == -1 and last.pop("host", None):
                socket = minimal.socket.create_connection(("127.0.0.1", last["port"]))
                last["kept"] = socket
        Client.receive = back
        """,
        "a lost connection",
        "it connected again by itself",
        "until there is another `connect`",
    ),
    "a refusal is a success": (
        "change(lambda event: {'id': event['id'], 'event': 'connected'} if event.get('error') == 'refused' else event)",
        "no connection",
        "`connect` is answered with `connected`, although CONNACK refuses it",
        "the error `refused`",
    ),
    "another reason": (
        "change(lambda event: event | ({'reason': 1} if 'reason' in event else {}))",
        "no connection",
        "`reason` of the error `refused` is 1, and CONNACK has 5",
        "null where the client does not tell",
    ),
    "a refusal is a message, too": (
        "change(lambda event: event.get('error') == 'refused' and emit({'event': 'message', 'topic': 't'}) or event)",
        "no connection",
        "besides the answer to `connect`, although CONNACK refuses it: `message`",
        "and nothing else",
    ),
    "waits for nobody": (
        "change(lambda event: event | {'error': 'cut-off'} if event.get('error') == 'failed' else event)",
        "no connection",
        "`connect` is answered with the error `cut-off`, although nobody listens there",
        "the error `failed`",
    ),
    "messages have no number": (
        "minimal.HELLO['unsupported'] = [each for each in minimal.LACKS if each != 'manual-ack']\n"
        "change(lambda event: {name: value for name, value in event.items() if name != 'message'})",
        "every version",
        "`message` of the first message of this client instance is None",
        "1",
    ),
    "messages are counted on": (
        "minimal.HELLO['mqtt'] = ['3.1.1', '3.1.1']\n"
        "numbers = iter(range(1, 99))\n"
        "change(lambda event: event | ({'message': next(numbers)} if 'message' in event else {}))",
        "every version",
        "`message` of the first message of this client instance is 2",
        "1",
    ),
    "other reasons": (
        "change(lambda event: event | ({'reasons': [2] * len(event['reasons'])} if 'reasons' in event else {}))",
        "what is asked for",
        "`reasons` of `subscribed` is [2, 2]",
        "[1, 1], which SUBACK has",
    ),
    "every message is of QoS 0": (
        "change(lambda event: event | ({'qos': 0} if 'qos' in event else {}))",
        "what is asked for",
        "`qos` of a `message` is 0",
        "1",
    ),
    "a message is told twice": (
        "change(lambda event: event['event'] == 'message' and emit(event) or event)",
        "every version",
        "one message was sent, and what was told of it was followed, in MQTT 3.1.1, by: `message`",
        "nothing",
    ),
    "the newest message first": (
        """
        held = []
        def changed(event):
            if event["event"] != "message" or event["qos"]:
                return emit(event)
            held.append(event)
            if len(held) == 1:
                minimal.threading.Timer(0.1, lambda: [emit(held.pop()) for _ in list(held)]).start()
        minimal._emit = changed
        """,
        "what is asked for",
        "of three messages at QoS 0 it told [b'third', b'', b'first']",
        "[b'first', b'', b'third'], as they were sent",
    ),
    "no payload is no message": (
        "publish = Client.publish\n"
        "failed = {'event': 'error', 'error': 'failed'}\n"
        "Client.publish = lambda self, command: publish(self, command) if command['payload'] else failed",
        "what is asked for",
        "of three `publish` in one read, the second without payload, one is answered with the error `failed`",
        "three `published`",
    ),
    "one command of a read": (
        "def lines():\n"
        "    while data := os.read(0, 1 << 20):\n"
        "        while not data.endswith(b'\\n'):\n"
        "            data += os.read(0, 1 << 20)\n"
        "        yield data.split(b'\\n')[0]\n"
        "sys.stdin = lines()",
        "what is asked for",
        "one is answered not at all",
        "three `published`",
    ),
    "one filter of several": (
        "before('subscribe', lambda self, command: command.update(subscriptions=command['subscriptions'][:1]))",
        "what is asked for",
        "SUBSCRIBE has `topic_filters` ('check/",
        "or `multiple-filters` in `unsupported`",
    ),
    "always a name": (
        "before('connect', lambda self, command: command.update(client_id=command['client_id'] or 'me'))",
        "what is seldom asked for",
        "CONNECT has `client_id` 'me', and it was asked for ''",
        "or `empty-client-id` in `unsupported`",
    ),
    "always a keep alive": (
        "before('connect', lambda self, command: command.update(keep_alive=command['keep_alive'] or 60))\n"
        "minimal.HELLO['unsupported'] = [each for each in minimal.LACKS if each != 'keep-alive']",
        "what is seldom asked for",
        "CONNECT has `keep_alive` 60, and it was asked for 0",
        "or `keep-alive` in `unsupported`",
    ),
}  # fmt: skip

STAYS = "signal.pause()\n"


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    how, stage, what, expected = FAULTS[fault]
    for module in (asking, asked, stages):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 2.5)
    if fault in ("mute", "no line feed", "not JSON", "no object"):  # nothing else is heard of them
        monkeypatch.setattr(stages, "START_SECONDS", 0.5)
    found = examined(script(tmp_path, how))[stage].complaints
    assert any(what in each.what and expected in each.expected for each in found), found


@pytest.mark.parametrize("stage", ["exit", "end of input"])
def test_what_does_not_leave_is_found(tmp_path: Path, stage: str) -> None:
    results = examined(script(tmp_path, at_exit=STAYS))
    assert [each.what.partition("after")[0] for each in results[stage].complaints] == ["it is still there 1 s "]
    assert not any(each.complaints for name, each in results.items() if name not in ("exit", "end of input"))


def test_the_line_is_quoted_as_it_was_written(tmp_path: Path) -> None:
    (complaint,) = examined(script(tmp_path, "minimal.HELLO['unsupported'] = ['qos-2', *minimal.LACKS]"))[
        "hello"
    ].complaints
    assert complaint.shown_line.startswith('{"id": 1, "event": "hello", "contract": 1, "client": "minimal"')
    _, (complaint,) = read_line(b"x" * 5000 + b"\n")
    assert complaint.shown_line == "x" * 300 + "..."


def test_nothing_is_looked_at_before_hello_is_right(tmp_path: Path) -> None:
    results = examined(script(tmp_path, "change(lambda event: {'event': 'error', 'error': 'failed', 'id': 1})"))
    assert [each.what for each in results.pop("hello").complaints] == ["`hello` is answered with `error`"]
    assert {each.skipped for each in results.values()} == {"of no use before `hello` is right"}


def test_the_examination_ends_in_time_and_so_does_the_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "LIMIT_SECONDS", 0.5)
    results = examined(
        script(tmp_path, f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")
    )
    (complaint,) = results.pop("hello").complaints
    assert complaint.what == "the examination's 0.5 s were over before the end of this"
    assert {each.skipped for each in results.values()} == {"no time was left"}
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


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

FAULTS_OF_5 = {
    "no session expiry": (
        "before('connect', lambda command: without(command, 'session_expiry_interval'))",
        asked.as_asked,
        "CONNECT has `session_expiry_interval` None, and it was asked for 7777",
        "or `session-expiry` in `unsupported`",
    ),
    "no properties of the will": (
        "before('connect', lambda command: command.will and "
        "{'will': command.will.model_copy(update=without(command.will, 'content_type'))} or {})",
        asked.as_asked,
        "CONNECT has `content_type of the will` None, and it was asked for 'text/plain'",
        "or `will-properties` in `unsupported`",
    ),
    "no correlation data": (
        "before('publish', lambda command: without(command, 'correlation_data'))",
        asked.as_asked,
        "PUBLISH has `correlation_data` None",
        "or `publish-properties` in `unsupported`",
    ),
    "always a normal disconnection": (
        "before('disconnect', lambda command: {'reason': 0})",
        asked.as_asked,
        "DISCONNECT has `reason` 0, and it was asked for 4",
        "or `disconnect-reason` in `unsupported`",
    ),
    "no No Local": (
        "before('subscribe', lambda command: {'subscriptions': tuple("
        "each.model_copy(update={'no_local': False}) for each in command.subscriptions)})",
        asked.at_the_edges,
        "SUBSCRIBE has `no_local` False, and it was asked for True",
        "or `subscription-options` in `unsupported`",
    ),
    "a password is a text of C": (
        "before('connect', lambda command: {'password': (command.password or b'').split(b'\\0')[0]})",
        asked.at_the_edges,
        "CONNECT has `password` b'\\xff', and it was asked for b'\\xff\\x00\\xfe'",
        "or `username-password` in `unsupported`",
    ),
    "a keep alive of its own": (
        "values = BuiltinAdapter._values\n"
        "Wrong._values = lambda self, said: values(self, said).model_copy(update={'server_keep_alive': 60})",
        asked.at_the_edges,
        "`server_keep_alive` of `connected` is 60, and CONNACK has 77",
        "what CONNACK has",
    ),
}


def complaints_of_5(folder: Path, fault: str, *stages_: Stage) -> list[Complaint]:
    """What some stages have to say of an adapter of all versions that is wrong in one way, or in none."""
    path = folder / "adapter.py"
    path.write_text(f"{ADAPTER_OF_5}{fault}\nmain(Wrong)\n")
    found: list[Complaint] = []

    async def main() -> None:
        async with BrokerServer(ServerConfig(port=0)) as server, SilentBroker() as silent:
            setting = asking.Setting(server.address, silent)
            talk = await Conversation.begin([sys.executable, str(path)], found.append)
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
    assert "-----  reset: only looked at over TCP, which this adapter has not\n" in said
    assert said.endswith(f"{path}, as far as it was looked at\n")


@pytest.mark.parametrize(
    ("command", "said"), [([], "name the command"), (["./no-such"], "cannot start ./no-such: No such file")]
)
def test_a_command_that_cannot_be_started_is_2(
    command: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["adapter", "check", "--", *command]) == 2
    assert said in capsys.readouterr().err
