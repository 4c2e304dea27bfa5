"""The file of users, and the command that writes it."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest

from reference_broker.access.packages import package
from reference_broker.access.passwords import PasswordFile, User, new_user, write_user
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
        ("alice:$secret$v=19$m=1,t=1,p=1$a$b\n", "line 1: no user with a hash"),
        ("alice:$argon2id$v=19$m=secret,t=1,p=1$a$b\n", "line 1: no user with a hash"),
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


@pytest.fixture(scope="module")
def user() -> User:
    return new_user("secret", with_scram=False)


@pytest.mark.parametrize(
    "name", ["", "a:b", "a\nb", "a\0b", "a\x85b", "a\u2028b", "a\x0cb", "b\r", "#a", "\udcff"], ids=ascii
)
def test_a_name_that_would_not_be_read_again_is_not_written(tmp_path: Path, user: User, name: str) -> None:
    file = tmp_path / "users"
    write_user(file, "alice", user)
    with pytest.raises(ConfigError):
        write_user(file, name, user)
    assert PasswordFile.read(file).users == {"alice": user}


@pytest.mark.parametrize("name", [" ", " a ", "a#", "é", "$SYS", "+/#", "\ufeff"], ids=ascii)
def test_any_other_name_is_read_as_it_was_written(tmp_path: Path, user: User, name: str) -> None:
    file = tmp_path / "users"
    for each in ("alice", name, "bob"):
        write_user(file, each, user)
    assert PasswordFile.read(file).users == {"alice": user, name: user, "bob": user}


def test_a_wrong_name_is_told_by_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert passwd(monkeypatch, "secret", tmp_path / "users", "a:b") == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_replaced_stays_and_no_other_is_left(
    tmp_path: Path, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "users"
    write_user(file, "alice", user)

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ConfigError):
        write_user(file, "bob", user)
    assert list(tmp_path.iterdir()) == [file]
    assert PasswordFile.read(file).users.keys() == {"alice"}


def test_an_empty_password_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert passwd(monkeypatch, "", tmp_path / "users", "alice") == 2
    assert not (tmp_path / "users").exists()
