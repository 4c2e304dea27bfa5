"""What the tests of `pub` and `sub` share: what was printed."""


def lines(capsysbinary):
    return capsysbinary.readouterr().out.decode().splitlines()
