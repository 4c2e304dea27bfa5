"""The contract's values in those of zmqtt, there and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from interop.drivers import contract

_PLURAL = {"user_property": "user_properties"}


def fields(given: contract.PropertyValues) -> dict[str, Any]:
    """The contract's properties by the names they have there."""
    return {_PLURAL.get(name, name): value for name, value in given.model_dump(exclude_defaults=True).items()}


def values(given: Any) -> contract.PropertyValues | None:
    """The way back."""
    if given is None:
        return None
    found = {name: value for name, value in asdict(given).items() if value is not None}
    found["user_property"] = found.pop("user_properties", ())
    if "subscription_identifier" in found:
        found["subscription_identifier"] = (found["subscription_identifier"],)
    return contract.PropertyValues(**found)
