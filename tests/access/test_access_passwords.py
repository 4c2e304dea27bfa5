"""The file of users, and the command that writes it."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest

from reference_broker.access.packages import package
from reference_broker.access.passwords import PasswordFile, new_user, write_user
from reference_broker.command.passwd import main
from reference_broker.net.config import ConfigError


def passwd(monkeypatch: pytest.MonkeyPatch, password: str, *arguments: object) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    return main([str(each) for each in arguments])


def test_a_file_is_read_again_beside_clients_without_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes a twentieth of a second, in which nobody would be served."""
    file = tmp_path / "users"
    assert passwd(monkeypatch, "secret", file, "alice") == 0
    PasswordFile.read(file)
    monkeypatch.setattr(package("argon2", "a test").PasswordHasher, "hash", lambda *_: pytest.fail("it hashed"))
    assert PasswordFile.read(file).users.keys() == {"alice"}


def test_a_written_password_is_right_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "users"
    assert passwd(monkeypatch, "sécret", file, "alice") == 0
    assert passwd(monkeypatch, "other", file, "bob") == 0
    users = PasswordFile.read(file)
    for _ in range(2):  # the second time it is remembered
        assert users.is_right("alice", "sécret".encode())
        assert not users.is_right("alice", b"other")
        assert not users.is_right("nobody", b"other")
    assert "secret" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_another_password_takes_the_place_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "users"
    for password in ("first", "second"):
        passwd(monkeypatch, password, file, "alice")
    users = PasswordFile.read(file)
    assert users.is_right("alice", b"second")
    assert not users.is_right("alice", b"first")


def test_a_user_is_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "users"
    passwd(monkeypatch, "secret", file, "alice")
    assert main(["--delete", str(file), "alice"]) == 0
    assert PasswordFile.read(file).users == {}
    assert main(["--delete", str(file), "alice"]) == 1
    assert capsys.readouterr().err == f"mqtt-interop passwd: {file} has no user 'alice'\n"


def test_permissions_stay_what_they_were(tmp_path: Path) -> None:
    file = tmp_path / "users"
    write_user(file, "alice", new_user("secret", with_scram=False))
    file.chmod(0o640)
    write_user(file, "bob", new_user("secret", with_scram=False))
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alice:secret\n", "line 1: no user with a hash"),
        ("# users\n\nalice\n", "line 3: no user with a hash"),
        ("alice:$argon2id$v=19$secret\n", "line 1: no user with a hash"),
        ("{0}{0}", "line 2: user 'alice' is there twice"),
        ("{0}", None),
    ],
)
def test_a_wrong_line_is_named_and_not_shown(tmp_path: Path, text: str, said: str | None) -> None:
    good, file = tmp_path / "good", tmp_path / "users"
    write_user(good, "alice", new_user("hidden", with_scram=True))
    file.write_text(text.format(good.read_text()))
    if said is None:
        PasswordFile.read(file)
        return
    with pytest.raises(ConfigError) as caught:
        PasswordFile.read(file)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["", "a:b", "a\nb"])
def test_a_name_that_would_not_be_one_line(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert passwd(monkeypatch, "secret", tmp_path / "users", name) == 2
    assert not (tmp_path / "users").exists()


def test_an_empty_password_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert passwd(monkeypatch, "", tmp_path / "users", "alice") == 2
    assert not (tmp_path / "users").exists()
