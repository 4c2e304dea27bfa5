"""What clients are called: by the name they are given, else by the one their adapter says, never by a command line."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from interop.drivers.choice import Choice, UnusableClient, chosen_clients
from interop.drivers.driver import DriverRubbish
from interop.drivers.pool import DriverPool
from interop.drivers.registry import DriverStarter, UnknownDriver

_ADAPTER = """\
import json, sys
for line in sys.stdin:
    command = json.loads(line)
    event = EVENT if command["do"] == "hello" else {"event": "error", "error": "unsupported"}
    print(json.dumps(event | {"id": command["id"]}), flush=True)
"""


def command(folder: Path, client: str = "acme", unsupported: tuple[str, ...] = ()) -> str:
    """An adapter that knows no verb but `hello`."""
    hello = {"event": "hello", "client": client, "version": "1", "mqtt": ["5.0"], "unsupported": unsupported}
    path = folder / f"{len(list(folder.iterdir()))}.py"
    path.write_text(_ADAPTER.replace("EVENT if", f"{json.dumps(hello)} if"))
    return f"command:{sys.executable} -S {path}"


def chosen(*texts: str) -> dict[str, str]:
    return asyncio.run(asyncio.wait_for(chosen_clients(texts), 10))


def test_a_client_is_called_as_it_is_named_else_as_its_hello_says(tmp_path: Path) -> None:
    one, other, odd = command(tmp_path), command(tmp_path), command(tmp_path, "Acme MQTT (C++), [β]/2")
    assert chosen("paho", one, f"mine={other}", odd) == {
        "paho": "paho",
        "acme": one,
        "mine": other,
        "Acme-MQTT-C++-2": odd,
    }


def test_a_named_client_is_started_and_reported_by_its_name(tmp_path: Path) -> None:
    async def main() -> None:
        pool = DriverPool(starter=DriverStarter({"mine": command(tmp_path)}))
        driver = await pool.acquire("mine")
        assert (driver.name, driver.hello.client) == ("mine", "acme")
        await pool.close()

    asyncio.run(main())


@pytest.mark.parametrize("name", ["", "two words", "a,b", "a[b]", "ümlaut", "-x", "paho"])
def test_a_name_has_to_fit_wherever_it_stands(name: str) -> None:
    with pytest.raises(UnknownDriver, match=r"is (no name for a client|a client that ships); expected letters"):
        Choice.of(f"{name}=command:./adapter")


@pytest.mark.parametrize("text", ["pahoo", "x=paho", "x=command:", "command:", "x=command:'unfinished"])
def test_what_nothing_stands_for_is_no_choice(text: str) -> None:
    with pytest.raises(UnknownDriver):
        Choice.of(text)


def test_a_command_line_may_have_what_looks_like_a_name() -> None:
    text = "command:./adapter --also=command:x"
    assert Choice.of(text) == Choice("", text)


def test_two_clients_of_one_name_have_to_be_told_apart(tmp_path: Path) -> None:
    one, other = command(tmp_path), command(tmp_path)
    with pytest.raises(
        UnknownDriver, match=r"a client called 'acme' is there twice; call yours otherwise, --client NAME="
    ):
        chosen(one, other)
    assert chosen(one, one) == {"acme": one}


def test_a_stranger_may_not_be_taken_for_one_that_ships(tmp_path: Path) -> None:
    with pytest.raises(UnknownDriver, match="a client called 'builtin' ships already"):
        chosen(command(tmp_path, "builtin"))


def test_one_that_says_no_name_needs_one(tmp_path: Path) -> None:
    nameless = command(tmp_path, "???")
    with pytest.raises(UnusableClient, match=r"says it is '\?\?\?'; give it a name"):
        chosen(nameless)
    assert chosen(f"mine={nameless}") == {"mine": nameless}


def test_a_feature_nobody_knows_is_told_at_hello_with_the_nearest(tmp_path: Path) -> None:
    wrong = command(tmp_path, unsupported=("qos-2", "will", "telepathy"))
    with pytest.raises(UnusableClient) as caught:
        chosen(f"mine={wrong}")
    said = str(caught.value)
    assert said.startswith("mine cannot be played: `unsupported` in the hello of ")
    assert "there is no feature 'qos-2'; did you mean 'qos2'? (`mqtt-interop list features` has them all)" in said
    assert "there is no feature 'telepathy' (" in said
    assert f"mqtt-interop adapter check -- {wrong.removeprefix('command:')}" in said

    async def main() -> None:
        pool = DriverPool(starter=DriverStarter({"mine": wrong}))
        with pytest.raises(DriverRubbish, match="did you mean 'qos2'"):
            await pool.acquire("mine")
        await pool.close()

    asyncio.run(main())


def test_one_that_cannot_be_started_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    path = tmp_path / "adapter.py"
    path.write_text("import sys; sys.exit('there is no such library')")
    with pytest.raises(UnusableClient, match=r"cannot be played: .* exit status 1\n  there is no such library\n"):
        chosen(f"mine=command:{sys.executable} -S {path}")
