"""Brokers and clients that are wrong on purpose, to prove that scenarios and judge can fail."""
