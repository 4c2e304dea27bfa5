#!/usr/bin/env bash
# Paho offers topic aliases to the broker, and when the broker uses them, the application is told the topic ''.
#
# Packages: paho-mqtt 2.2.0 (PyPI), github.com/mochi-mqtt/server/v2 v2.7.9 (Go), which uses aliases where a client allows them.
# Expected: [5.0 MQTT-3.3.2-10] a client accepts every alias up to the Topic Alias Maximum it announced; 3.3.2.3.4: the receiver
#   puts the topic name in that the alias stands for.
# Happens: CONNECT goes out with the Topic Alias Maximum that the application set. The first message of a topic arrives with its
#   name, every further one with the topic ''. With two topics the application cannot know any more which is which, unless it keeps a
#   table of `message.properties.TopicAlias` by itself; callbacks added with `message_callback_add` are passed over.
# Upstream: no report found for Paho's Python client.
#
# Seen on 2026-11-28:
#   published: [('house/door', 'a'), ('house/door', 'b'), ('house/light', 'c'), ('house/light', 'd'), ('house/door', 'e')]
#   on_message: [('house/door', 'a'), ('', 'b'), ('house/light', 'c'), ('', 'd'), ('', 'e')]
#   callback added for house/door: ['a']
source "$(dirname "$0")/common.sh"

pypi paho-mqtt==2.2.0
mochi_broker

run_python "$port" <<'PYTHON'
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port = int(sys.argv[1])
sent = [("house/door", "a"), ("house/door", "b"), ("house/light", "c"), ("house/light", "d"), ("house/door", "e")]
told, at_door, subscribed, last = [], [], threading.Event(), threading.Event()


def on_message(_client, _userdata, message):
    told.append((message.topic, message.payload.decode()))
    if message.payload == b"e":
        last.set()


subscriber = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
subscriber.on_connect = lambda client, *_: client.subscribe("house/#", qos=1)
subscriber.on_subscribe = lambda *_: subscribed.set()
subscriber.on_message = on_message
limits = Properties(PacketTypes.CONNECT)
limits.TopicAliasMaximum = 10
subscriber.connect("127.0.0.1", port, properties=limits)
subscriber.loop_start()
assert subscribed.wait(5)


def on_door(client, userdata, message):
    at_door.append(message.payload.decode())
    on_message(client, userdata, message)


subscriber.message_callback_add("house/door", on_door)
publisher = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
publisher.connect("127.0.0.1", port)
publisher.loop_start()
for topic, payload in sent:
    publisher.publish(topic, payload, qos=1).wait_for_publish(5)
assert last.wait(5)
print("published:", sent)
print("on_message:", told)
print("callback added for house/door:", at_door)
sys.exit(told != [("house/door", "a"), ("", "b"), ("house/light", "c"), ("", "d"), ("", "e")] or at_door != ["a"])
PYTHON
