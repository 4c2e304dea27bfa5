#!/usr/bin/env bash
# A will reaches its readers without the properties it was given, and with its delay for its lifetime.
#
# Packages: github.com/mochi-mqtt/server/v2 v2.7.9 (Go), paho-mqtt 2.2.0 (PyPI) on both sides.
# Expected: 5.0 3.1.3.2: Will Delay Interval says when a will is published, Message Expiry Interval how long it is of use from then
#   on; Content Type and Response Topic belong to the message, and reach subscribers as those of a PUBLISH do. 3.14.2.1: who says
#   DISCONNECT 0x04 wants its will published although it leaves in order.
# Happens: the will is published with its delay for its expiry, counted from the loss, so that 600 seconds are one or none when it
#   arrives; of the other properties only User Property is left, so that nobody knows where to answer. After DISCONNECT 0x04 there is
#   no will.
# Upstream: no report found.
#
# Seen on 2026-11-29:
#   given with the will: [('MessageExpiryInterval', 600), ('ContentType', 'text/plain'), ('ResponseTopic', 'answers'), ('UserProperty', [('a', '1')])]
#   came with it: [('MessageExpiryInterval', 1), ('UserProperty', [('a', '1')])]
#   came with a PUBLISH of the same: [('MessageExpiryInterval', 600), ('ContentType', 'text/plain'), ('ResponseTopic', 'answers'), ('UserProperty', [('a', '1')])]
#   came after DISCONNECT 0x04: []
source "$(dirname "$0")/common.sh"

pypi paho-mqtt==2.2.0
mochi_broker

run_python "$port" <<'PYTHON'
import sys

import paho.mqtt.client as mqtt
from connected import Connected, properties, wait_until
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

port, v5 = int(sys.argv[1]), mqtt.MQTTv5
given = {"MessageExpiryInterval": 600, "ContentType": "text/plain", "ResponseTopic": "answers", "UserProperty": [("a", "1")]}
will_properties = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=2, **given)
will = {"topic": "t", "payload": "gone", "qos": 1, "properties": will_properties}
print("given with the will:", list(given.items()))

reader = Connected(port, "reader", v5)
reader.subscribe("t", qos=1)


def came_with():
    assert wait_until(lambda: reader.messages, 10)
    message = reader.messages.pop()
    return [(name, getattr(message.properties, name)) for name in given if hasattr(message.properties, name)]


Connected(port, "lost", v5, expiry=600, will=will).cut()
of_will = came_with()
print("came with it:", of_will)
Connected(port, "sender", v5).publish("t", "m", 1, properties=properties(PacketTypes.PUBLISH, **given))
of_publish = came_with()
print("came with a PUBLISH of the same:", of_publish)
leaves = Connected(port, "leaves", v5, will={"topic": "t", "payload": "left", "qos": 1})
leaves.disconnect(reasoncode=ReasonCode(PacketTypes.DISCONNECT, identifier=4))
wait_until(lambda: reader.messages, 2)
print("came after DISCONNECT 0x04:", [message.payload for message in reader.messages])
names = [name for name, _ in of_will]
sys.exit(names != ["MessageExpiryInterval", "UserProperty"] or of_will[0][1] > 2 or len(of_publish) != 4 or bool(reader.messages))
PYTHON
