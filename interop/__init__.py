"""The MQTT interoperability harness: scenarios, recording proxy, drivers, judge and runner."""
