#!/usr/bin/env bash
# Each QoS 1 message arrives without the first two bytes of its payload.
#
# Packages: mqttd 0.5.3 (PyPI), the broker; paho-mqtt 2.2.0 (PyPI) on both sides, in 3.1.1.
# Expected: [3.1.1 MQTT-2.3.1-1] a PUBLISH with QoS 1 carries a packet identifier.
# Happens: mqttd sets QoS 1 in the PUBLISH it sends to a subscriber and leaves the packet identifier out. A subscriber has no way to
#   see that: it takes the first two bytes of the payload for the identifier, tells the application the rest, and acknowledges an
#   identifier nobody gave. QoS 0 is not affected. (In 5.0, Paho closes the connection at such a PUBLISH.)
# Upstream: no report found.
#
# Seen on 2026-11-28:
#   published at QoS 0 '21.5 C', arrived '21.5 C'
#   published at QoS 1 '21.5 C', arrived '.5 C'; packet identifier 12849, which are the bytes '21'
source "$(dirname "$0")/common.sh"

pypi mqttd==0.5.3 paho-mqtt==2.2.0
port=$(free_port)
python -c '
import sys
from mqttd import MQTTApp
MQTTApp(host="127.0.0.1", port=int(sys.argv[1])).run()
' "$port" >"$folder/broker.log" 2>&1 &
pids+=($!)
wait_for_port "$port"

run_python "$port" <<'PYTHON'
import queue
import sys
import threading

import paho.mqtt.client as mqtt

port = int(sys.argv[1])
came, subscribed = queue.Queue(), threading.Event()
subscriber = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "subscriber", protocol=mqtt.MQTTv311)
subscriber.on_connect = lambda client, *_: client.subscribe("temperature", qos=1)
subscriber.on_subscribe = lambda *_: subscribed.set()
subscriber.on_message = lambda _client, _userdata, message: came.put(message)
subscriber.connect("127.0.0.1", port)
subscriber.loop_start()
assert subscribed.wait(5)
publisher = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "publisher", protocol=mqtt.MQTTv311)
publisher.connect("127.0.0.1", port)
publisher.loop_start()

publisher.publish("temperature", "21.5 C", qos=0)
at_most_once = came.get(timeout=5)
print(f"published at QoS 0 '21.5 C', arrived {at_most_once.payload.decode()!r}")
publisher.publish("temperature", "21.5 C", qos=1)
at_least_once = came.get(timeout=5)
print(f"published at QoS 1 '21.5 C', arrived {at_least_once.payload.decode()!r}; packet identifier {at_least_once.mid}, "
      f"which are the bytes {at_least_once.mid.to_bytes(2, 'big').decode()!r}")
sys.exit(at_most_once.payload != b"21.5 C" or at_least_once.payload != b".5 C" or at_least_once.qos != 1)
PYTHON
