"""The only sockets and the only asyncio of the reference broker and client: TCP, TLS and WebSocket.

Belongs here: adapters that put the sans-IO cores on the network.
Does not belong here: anything MQTT decides.
"""
