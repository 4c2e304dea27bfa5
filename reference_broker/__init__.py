"""A compact MQTT broker and client for 3.1, 3.1.1 and 5.0: a sans-IO core with thin asyncio adapters."""
