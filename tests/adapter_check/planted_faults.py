"""Adapters that are wrong in one way each: what is done to a right one, and the complaint that has to come.

Belongs here: the tables. Does not belong here: the adapters they are done to and the test (`test_adapter_check`).

By its name, each has the lines that make it wrong, the stage that has to notice, and parts of what it says and expects.
"""

from __future__ import annotations

from interop.adapter_check import asked

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
    "an id of before": (
        "change(lambda event: event | ({'id': event['id'] - 1} if event['event'] == 'connected' else {}))",
        "every version",
        "`connected` has the id 4, which is another command's",
        "an answer with the id of its command, 5",
    ),
    "a line without end": (
        "long = 'x' * (17 << 20)\n"
        "minimal._emit = lambda event: event['event'] == 'dropped' and sys.stdout.write(long) or emit(event)",
        "drop without a connection",
        "it wrote a line of more than 16777216 bytes",
        "a line feed after every event",
    ),
    "lines without end": (
        """
        def endless(event):
            while event["event"] == "dropped":
                emit({"event": "disconnected"})
            emit(event)
        minimal._emit = endless
        """,
        "drop without a connection",
        "it wrote more than 10,000 lines",
        "an answer to each command",
    ),
    "one process at a time": (
        "minimal.kept = minimal.socket.socket(minimal.socket.AF_UNIX)\n"
        "minimal.kept.bind('\\0' + 'one process of ' + os.path.abspath(sys.argv[0]))",
        "two at once",
        "ended by itself with exit status 1 at `hello`, while another process of it runs",
        "the process to go on",
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
    "a session is kept for ever": (
        "kept = []\n"
        "before('connect', lambda self, command: "
        "(command['clean_start'] or kept.append(1), command.update(clean_start=not kept)))\n"
        "minimal.HELLO['unsupported'] = [each for each in minimal.LACKS if each != 'kept-session']",
        "what is asked for",
        "CONNECT of a second connection has `clean_start` False, and it was asked for True",
        "what was asked for",
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
    "a will for ever": (
        "wills = []\nbefore('connect', lambda command: wills.append(command.will or wills[-1]) or {'will': wills[-1]})",
        asked.as_asked,
        "CONNECT of a second connection has `will` ('check/",
        "what was asked for",
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
