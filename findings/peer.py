"""A hand-made MQTT peer for the findings: packets from a socket and into bytes. No rules of MQTT belong in here."""

from __future__ import annotations

import socket


def read_packet(connection: socket.socket) -> tuple[int, int, bytes]:
    """Read the next control packet: its type, its flags, and what follows the fixed header; EOFError at the end."""
    first = _read(connection, 1)[0]
    length, shift = 0, 0
    while True:
        byte = _read(connection, 1)[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return first >> 4, first & 0x0F, _read(connection, length)


def packet(first_byte: int, body: bytes) -> bytes:
    """Write a control packet of up to 127 bytes behind its fixed header."""
    return bytes([first_byte, len(body)]) + body


def text(value: str) -> bytes:
    """Write a string as MQTT has it, its length in two bytes before it."""
    return len(value).to_bytes(2, "big") + value.encode()


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data
