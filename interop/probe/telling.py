"""What was found out about a broker, as text, as JSON, and as the first version of its profile.

Belongs here: words and files. Does not belong here: finding out (`asking`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from interop.probe.asking import Found
from interop.probe.questions import LARGEST_BYTES, LONGEST
from interop.scenario.features import FEATURES
from reference_broker.net.address import Transport

_MOST = {"longest topic": LONGEST, "longest client id": LONGEST, "largest packet": LARGEST_BYTES}


def text(found: Found) -> Iterator[str]:
    """Lines for a person."""
    yield f"{found.address.host_and_port}: {_product(found)}"
    yield f"  MQTT       {', '.join(found.mqtt)}"
    listeners = [f"{transport} {address.host_and_port}" for transport, address in found.listeners.items()]
    yield f"  listens    {', '.join(listeners)}"
    announced = [f"{name.replace('_', ' ')} {value}" for name, value in found.announced.items()]
    if "5.0" in found.mqtt:
        yield f"  CONNACK    {', '.join(announced) or 'announces nothing: all is as the specification has it'}"
    for name, size in found.sizes.items():
        yield f"  {name:17} {'at least ' if size == _MOST[name] == LARGEST_BYTES else ''}{size:,} bytes"
    yield f"  $SYS       {f'{found.sys_topics} topics at once' if found.sys_topics else 'nothing within a second'}"
    does = [name for name in FEATURES if found.does.get(name)]
    yield f"  does       {', '.join(does)}"
    yield f"  lacks      {', '.join(found.lacks) or 'nothing that was asked for'}"
    for name, why in found.unanswered.items():
        yield f"  not found out: {name} ({why})"
    for each in found.contradictions:
        yield f"  FINDING    {each}"


def _product(found: Found) -> str:
    return " ".join(filter(None, (found.name, found.product_version))) or "it does not say what it is"


def document(found: Found) -> str:
    """The same as JSON; it has no login."""
    return json.dumps(
        {
            "address": found.address.url,
            "name": found.name,
            "version": found.product_version,
            "mqtt": found.mqtt,
            "listeners": {transport.value: address.url for transport, address in found.listeners.items()},
            "connack": found.announced,
            "features": dict(found.does),
            "lacks": found.lacks,
            "bytes": {name.replace(" ", "_"): size for name, size in found.sizes.items()},
            "sys_topics": found.sys_topics,
            "unanswered": dict(found.unanswered),
            "findings": found.contradictions,
        },
        indent=2,
        default=str,
    )


def profile(found: Found, ca: str = "") -> str:
    """A profile to go on from, as TOML; what was not found out stands there as a comment to be filled in.

    `ca` is the path, from where the profile will be, of the file the broker's certificates were checked by.
    """
    lines = [
        "# What this broker says of itself. Written by mqtt-interop probe; go on from here (docs/certify-a-broker.md).",
        f"name = {_quoted(found.name or 'my-broker')}",
        f"version = {_quoted(found.product_version or 'version unknown')}",
        f"mqtt = {_list(found.mqtt)}",
        f"lacks = {_list(found.lacks)}  # `mqtt-interop list features` has them all",
        "alone = false  # true, with a reset command below: cells may have it to themselves",
        "",
        "[listeners]",
        *(f"{transport} = {_quoted(_where(found, transport))}" for transport in found.listeners),
    ]
    if ca:
        lines.append(f"ca = {_quoted(ca)}  # what its certificate is checked by; from where this file is")
    elif any(transport.is_encrypted for transport in found.listeners):
        lines.append('# ca = "ca.pem"  # what its certificate is checked by, if not what the system trusts')
    lines += [
        "",
        "# [login]  # used by every client, shown nowhere",
        '# username = ""',
        '# password = ""',
        "",
        "[settings]  # those it was started with, by the names of docs/settings.md",
        *(f"{name} = {value}" for name, value in found.announced.items() if type(value) is int and name in _SETTINGS),
        "",
        "[commands]  # a command line, or a URL to POST to; each is done when it returns",
        '# restart = "systemctl restart my-broker"',
        '# kill = ""',
        '# reset = ""',
        "",
        "# [[known_failures]]",
        '# scenarios = ["qos2/*"]',
        '# reason = ""',
    ]
    return "\n".join(lines) + "\n"


_SETTINGS = ("receive_maximum", "maximum_qos", "maximum_packet_size", "topic_alias_maximum", "server_keep_alive")


def _where(found: Found, transport: Transport) -> str:
    address = found.listeners[transport]
    return address.url if transport.is_websocket else address.host_and_port


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _list(values: tuple[str, ...]) -> str:
    return f"[{', '.join(map(_quoted, values))}]"
