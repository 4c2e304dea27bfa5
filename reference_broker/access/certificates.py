"""Who a client's certificate says it is.

Belongs here: the name in a verified certificate. Does not belong here: verifying it (`net.tls`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reference_broker.access.config import Naming

_NAMES = ("DNS", "email", "URI")
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f]")


def name_in(certificate: Mapping[str, Any], naming: Naming) -> str | None:
    """The user name in a certificate as `ssl` gives it; None where there is none. [RFC 5280 4.1.2.6, 4.2.1.6]

    A name with a control character is none: CONNECT could not have it, or need not be let say it. [5.0 1.5.4]
    """
    if naming is Naming.SUBJECT:
        names = [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"][-1:]
    else:
        names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in _NAMES][:1]
    return next((name for name in names if name and not _CONTROL.search(name)), None)
