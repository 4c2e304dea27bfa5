"""How `sub` prints a message."""

import json
from datetime import UTC, datetime

import pytest

from reference_broker.client import Message
from reference_broker.command.message_format import FormatError, MessageFormat
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS

pytestmark = pytest.mark.usefixtures("on_both_loops")


MESSAGE = Message(
    1,
    "a/ü",
    b'{"n": 1}',
    QoS.AT_LEAST_ONCE,
    True,
    False,
    7,
    Properties(content_type="c", user_property=(("k", "v"), ("k", "w"), ("l", "x")), subscription_identifier=(1, 2)),
    topic_alias=3,
)


NOW = datetime(2030, 1, 2, 3, 4, 5, 678900, UTC)


class TestFormat:
    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("%t %p", 'a/ü {"n": 1}'),
            ("%q%r%m%l", "1178"),
            ("%x|%X", "7b226e223a20317d|7B226E223A20317D"),
            ("%C|%D|%E|%F|%R", "c||||"),
            ("%P", "k:v k:w l:x"),
            ("%S %A", "1 2 3"),
            ("%I %U", "2030-01-02T03:04:05+0000 1893553445.678900000"),
            ("@Y-@m @@ @N %%", "2030-01 @ 678900000 %"),
            (r"\t\\\n\e\0", "\t\\\n\033\0"),
        ],
    )
    def test_specifiers(self, template, expected):
        assert MessageFormat(template).render(MESSAGE, NOW) == expected.encode()

    def test_json(self):
        shown = json.loads(MessageFormat("%j").render(MESSAGE, NOW))
        assert shown == {
            "tst": "2030-01-02T03:04:05.678900Z+0000",
            "topic": "a/ü",
            "qos": 1,
            "retain": 1,
            "payloadlen": 8,
            "mid": 7,
            "properties": {
                "content-type": "c",
                "subscription-identifier": [1, 2],
                "user-properties": {"k": ["v", "w"], "l": "x"},
                "topic-alias": 3,
            },
            "payload": '{"n": 1}',
        }
        assert json.loads(MessageFormat("%J", pretty=True).render(MESSAGE, NOW))["payload"] == {"n": 1}

    def test_json_of_a_payload_that_is_none(self):
        message = Message(1, "t", b"no json", QoS.AT_MOST_ONCE, False, False, None)
        with pytest.raises(FormatError, match="not valid JSON on topic t"):
            MessageFormat("%J").render(message, NOW)
        assert "mid" not in json.loads(MessageFormat("%j").render(message, NOW))

    @pytest.mark.parametrize("template", ["%z", "%", "\\q", "\\", "@!", "@"])
    def test_what_is_no_format_is_refused(self, template):
        with pytest.raises(FormatError):
            MessageFormat(template)
