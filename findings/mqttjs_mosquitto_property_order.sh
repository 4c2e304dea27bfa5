#!/usr/bin/env bash
# User properties that arrived as b=1, a=2, b=3 are handed on as b=1, b=3, a=2: MQTT.js cannot keep their order.
#
# Packages: mqtt 5.16.0 with mqtt-packet 9.0.2 (npm), mosquitto 2.0.11-1.2+deb12u2 with its clients (Debian 12), which keeps the order.
# Expected: 3.3.2.3.7: user properties are name-value pairs that may repeat a name, and they have an order, which [5.0 MQTT-3.3.2-18]
#   has a server keep on the way to the receiver.
# Happens: MQTT.js gives and takes them as an object of arrays, grouped by name. The order between names is gone when the application
#   sees them, and cannot be said when it publishes: a relay from one topic to another, which copies `packet.properties`, changes it.
# Upstream: grouping came with https://github.com/mqttjs/mqtt-packet/pull/51; no report of the order found.
#
# Seen on 2026-11-28:
#   mosquitto_sub, straight: b:1 a:2 b:3
#   the application of MQTT.js: {"b":["1","3"],"a":"2"}
#   mosquitto_sub, behind a relay of MQTT.js: b:1 b:3 a:2
source "$(dirname "$0")/common.sh"

npm_packages mqtt@5.16.0 mqtt-packet@9.0.2
mosquitto_broker

cat >"$folder/relay.cjs" <<'JS'
const mqtt = require('mqtt')
const client = mqtt.connect({ host: '127.0.0.1', port: Number(process.argv[2]), protocolVersion: 5 })
client.on('connect', () => client.subscribe('in', { qos: 1 }, () => console.log('ready')))
client.on('message', (topic, payload, packet) => {
  console.log(JSON.stringify(packet.properties.userProperties))
  client.publish('out', payload, { qos: 1, properties: packet.properties })
})
JS
timeout 30 node "$folder/relay.cjs" "$port" >"$folder/relay.log" 2>&1 &
pids+=($!)
for topic in in out; do
  timeout 20 mosquitto_sub -V 5 -p "$port" -t "$topic" -q 1 -W 10 -F '%P' >"$folder/$topic.log" &
  pids+=($!)
done
for _ in $(seq 50); do grep -q ready "$folder/relay.log" && break; sleep 0.2; done
sleep 1
mosquitto_pub -V 5 -p "$port" -t in -q 1 -m hello \
  -D publish user-property b 1 -D publish user-property a 2 -D publish user-property b 3
for _ in $(seq 25); do [ -s "$folder/out.log" ] && break; sleep 0.2; done

straight=$(head -1 "$folder/in.log") application=$(tail -1 "$folder/relay.log") relayed=$(head -1 "$folder/out.log")
echo "mosquitto_sub, straight: $straight"
echo "the application of MQTT.js: $application"
echo "mosquitto_sub, behind a relay of MQTT.js: $relayed"
[ "$straight" = "b:1 a:2 b:3" ] && [ "$application" = '{"b":["1","3"],"a":"2"}' ] && [ "$relayed" = "b:1 b:3 a:2" ]
