"""Holds an adapter against the contract, without any scenario: `mqtt-interop adapter check`."""
