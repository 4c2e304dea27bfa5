#!/usr/bin/env bash
# A delayed will outlasts its session: it comes late where the session ended at once, and never where its device began anew.
#
# Packages: mosquitto 2.0.11-1.2+deb12u2 (Debian 12), paho-mqtt 2.2.0 (PyPI) on both sides.
# Expected: [5.0 MQTT-3.1.2-8] a will is published when its delay has passed or its session has ended, whichever is first. With
#   Session Expiry Interval 0 the session ends with its connection (3.1.2.11.2). 3.1.3.2.2: when another connection takes the client
#   identifier over with Clean Start 1, the will is sent "because the Session ends".
# Happens: the broker looks at the delay alone. A client without a session is reported lost after the whole delay, here 4 s; and one
#   that starts again with Clean Start before its old connection was found dead, as after a reboot, is never reported: its will is
#   thrown away, whether the delay passes or not.
# Upstream: https://github.com/eclipse-mosquitto/mosquitto/issues/3505 is the first half; no report found of the second.
#
# Seen on 2026-11-29:
#   Session Expiry Interval 0, Will Delay Interval 4: the will came after 4 to 6 s
#   Session Expiry Interval 600, Will Delay Interval 4, taken over with Clean Start: after 8 s the will had come 0 times
#   the same with Will Delay Interval 0: 1 times
source "$(dirname "$0")/common.sh"

pypi paho-mqtt==2.2.0
mosquitto_broker

run_python "$port" <<'PYTHON'
import sys
import time

import paho.mqtt.client as mqtt
from connected import Connected, properties, wait_until
from paho.mqtt.packettypes import PacketTypes

port, v5 = int(sys.argv[1]), mqtt.MQTTv5
reader = Connected(port, "reader")
reader.subscribe("t/#", qos=1)


def will(topic, delay):
    return {"topic": topic, "payload": "gone", "qos": 1, "properties": properties(PacketTypes.WILLMESSAGE, WillDelayInterval=delay)}


def came(topic):
    return sum(message.topic == topic for message in reader.messages)


Connected(port, "no-session", v5, will=will("t/late", 4)).cut()
lost_at = time.monotonic()
assert wait_until(lambda: came("t/late"), 10)
after_seconds = time.monotonic() - lost_at
late = 3 < after_seconds < 6.5
print("Session Expiry Interval 0, Will Delay Interval 4: the will came after", "4 to 6 s" if late else f"{after_seconds:.1f} s")

old = Connected(port, "device", v5, expiry=600, will=will("t/taken-over", 4))
new = Connected(port, "device", v5, clean=True, expiry=600)
time.sleep(8)
print(f"Session Expiry Interval 600, Will Delay Interval 4, taken over with Clean Start: after 8 s the will had come "
      f"{came('t/taken-over')} times")
old = Connected(port, "other", v5, expiry=600, will=will("t/no-delay", 0))
new = Connected(port, "other", v5, clean=True, expiry=600)
wait_until(lambda: came("t/no-delay"))
print(f"the same with Will Delay Interval 0: {came('t/no-delay')} times")
sys.exit(not late or came("t/taken-over") != 0 or came("t/no-delay") != 1)
PYTHON
