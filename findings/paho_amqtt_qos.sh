#!/usr/bin/env bash
# A reading published at QoS 0 reaches a subscriber at QoS 2: the broker delivers at what was subscribed, not at the lower of the two.
#
# Packages: amqtt 0.12.1 (PyPI), the broker; paho-mqtt 2.2.0 (PyPI) on both sides, in 3.1.1.
# Expected: [3.1.1 MQTT-3.8.4-6] a message is delivered at the lower of the QoS it was published with and the QoS that was granted.
# Happens: the QoS of the PUBLISH is not looked at. A subscriber of `#` at QoS 2 gets each QoS 0 message in four packets instead of
#   one, and cannot learn from `message.qos` what the publisher asked for; a bridge passes the higher QoS on.
# Upstream: no report found.
#
# Seen on 2026-11-28:
#   published at QoS [0, 1, 2]: a subscriber at QoS 0 got [0, 0, 0], at QoS 1 [1, 1, 1], at QoS 2 [2, 2, 2]
source "$(dirname "$0")/common.sh"

pypi amqtt==0.12.1 paho-mqtt==2.2.0 transitions==0.9.3 six==1.17.0 websockets==15.0.1 PyYAML==6.0.4 dacite==1.9.2 psutil==7.2.2 \
  typer==0.29.2 pwdlib==0.3.1 argon2-cffi==25.1.0 argon2-cffi-bindings==26.2.0 cffi==2.1.1 pycparser==3.12
port=$(free_port)
cat >"$folder/broker.py" <<'PYTHON'
import asyncio
import sys

from amqtt.broker import Broker


async def main():
    listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}}
    anybody = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    await Broker({"listeners": listeners, "plugins": anybody}).start()
    await asyncio.sleep(30)


asyncio.run(main())
PYTHON
python "$folder/broker.py" "$port" >"$folder/broker.log" 2>&1 &
pids+=($!)
wait_for_port "$port"

run_python "$port" <<'PYTHON'
import sys
import threading

import paho.mqtt.client as mqtt

port = int(sys.argv[1])


class Subscriber:
    def __init__(self, qos):
        self.came, self.complete, subscribed = [], threading.Event(), threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"subscriber{qos}")
        self.client.on_connect = lambda client, *_: client.subscribe("t", qos)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = self.on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert subscribed.wait(5)

    def on_message(self, _client, _userdata, message):
        self.came.append((message.payload.decode(), message.qos))
        if len(self.came) == 3:
            self.complete.set()


subscribers = [Subscriber(qos) for qos in (0, 1, 2)]
publisher = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "publisher")
publisher.connect("127.0.0.1", port)
publisher.loop_start()
for qos in (0, 1, 2):
    publisher.publish("t", str(qos), qos).wait_for_publish(5)
for subscriber in subscribers:
    assert subscriber.complete.wait(5)
got = [[qos for _, qos in sorted(subscriber.came)] for subscriber in subscribers]
print(f"published at QoS [0, 1, 2]: a subscriber at QoS 0 got {got[0]}, at QoS 1 {got[1]}, at QoS 2 {got[2]}")
sys.exit(got != [[0, 0, 0], [1, 1, 1], [2, 2, 2]])
PYTHON
