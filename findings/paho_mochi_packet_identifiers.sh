#!/usr/bin/env bash
# A client that publishes makes the broker forget what the client has not yet acknowledged: it is lost with the next connection.
#
# Packages: github.com/mochi-mqtt/server/v2 v2.7.9 (Go), paho-mqtt 2.2.0 (PyPI) on both sides.
# Expected: 3.1.1, 2.3.1: client and server give out packet identifiers independently of each other, the same number may be in use
#   both ways; [3.1.1 MQTT-4.4.0-1] what the client has not acknowledged is sent again when its session goes on.
# Happens: the broker keeps both directions under one number. A client has five messages, 1 to 5, which it has not acknowledged since
#   it is still at work on them, and publishes three of its own, with identifiers that are in use the other way. That ends the
#   broker's messages of the same numbers. The connection is lost, the session goes on, and those do not come again. A client that
#   only receives gets all five.
# Upstream: https://github.com/mochi-mqtt/server/issues/545 says it of QoS 2, and names #519 for what is seen here.
#
# Seen on 2026-11-29:
#   published meanwhile under []: came [1, 2, 3, 4, 5], again after the loss [1, 2, 3, 4, 5]
#   published meanwhile under [2, 3, 4]: came [1, 2, 3, 4, 5], again after the loss [1, 5]
source "$(dirname "$0")/common.sh"

pypi paho-mqtt==2.2.0
mochi_broker

run_python "$port" <<'PYTHON'
import sys

from connected import Connected, wait_until

port = int(sys.argv[1])
sender = Connected(port, "sender")


def lose(name, own_count):
    worker = Connected(port, name, clean=False, manual_ack=True)
    worker.subscribe(name, qos=1)
    for number in range(1, 6):
        sender.publish(name, str(number), qos=1)
    assert wait_until(lambda: len(worker.messages) == 5)
    own = [worker.publish("result", "x", qos=1) for _ in range(own_count)]
    came = sorted(message.mid for message in worker.messages)
    worker.cut()
    worker = Connected(port, name, clean=False)
    wait_until(lambda: len(worker.messages) == 5, 2)
    again = sorted(int(message.payload) for message in worker.messages)
    print(f"published meanwhile under {own}: came {came}, again after the loss {again}")
    return own, came, again


receives_only, publishes_too = lose("receives", 0), lose("publishes", 3)
sys.exit(receives_only != ([], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]) or publishes_too != ([2, 3, 4], [1, 2, 3, 4, 5], [1, 5]))
PYTHON
