"""Bytes <-> packets for MQTT 3.1, 3.1.1 and 5.0; imports nothing but the standard library's pure parts."""
