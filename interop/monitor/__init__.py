"""Tap and judge between any client and any broker, live."""
