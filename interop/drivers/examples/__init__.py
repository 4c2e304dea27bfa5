"""Adapters to learn the contract from."""
