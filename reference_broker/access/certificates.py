"""Who a client's certificate says it is.

Belongs here: the name in a verified certificate. Does not belong here: verifying it (`net.tls`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference_broker.access.config import Naming

_NAMES = ("DNS", "email", "URI")


def name_in(certificate: Mapping[str, Any], naming: Naming) -> str | None:
    """The user name in a certificate as `ssl` gives it; None where there is none. [RFC 5280 4.1.2.6, 4.2.1.6]"""
    if naming is Naming.SUBJECT:
        names = [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]
        return names[-1] if names and names[-1] else None
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in _NAMES]
    return names[0] if names and names[0] else None
