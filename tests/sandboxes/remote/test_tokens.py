"""Who may use a service."""

import os

import pytest

from sandboxes import SandboxError
from sandboxes.remote import TOKEN_VARIABLE, Tokens

ONE, TWO = "the-first-of-the-tokens", "the-second-of-the-tokens"


@pytest.fixture
def write(tmp_path):
    def write(text: str, mode: int = 0o600) -> str:
        path = tmp_path / "tokens"
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


def test_a_file_names_clients(write):
    tokens = Tokens.read(write(f"# who\n\nalice {ONE}\n  bob\t{TWO}  \n"))
    assert len(tokens) == 2
    assert tokens.client_of(ONE) == "alice"
    assert tokens.client_of(TWO) == "bob"


@pytest.mark.parametrize("token", ["", ONE[:-1], ONE + "x", ONE.upper(), "naïve" * 5, "\ud800" * 20])
def test_another_token_is_nobodys(token):
    assert Tokens({"alice": ONE, "bob": TWO}).client_of(token) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_can_open_is_refused(write, mode):
    with pytest.raises(SandboxError, match=r"other users have access .* chmod 600"):
        Tokens.read(write(f"alice {ONE}\n", mode))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no token"),
        ("alice short", "the token of alice has fewer than 16 characters"),
        (f"alice {ONE} more", "line 1 of .* is not NAME TOKEN"),
        (f"alice {ONE}\nalice {TWO}", "line 2 of .* names 'alice' again"),
        (f"alice {ONE}\nbob {ONE}", "two clients have the same token"),
        (f"a\x1b[31m {ONE}", "no client's name"),
        ("alice " + "x" * 513, "up to 512 printable"),
        ("alice naïve-naïve-naïve", "printable ASCII"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(write, text, problem):
    with pytest.raises(SandboxError, match=problem) as caught:
        Tokens.read(write(text))
    assert ONE not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SandboxError, match="cannot be read"):
        Tokens.read(tmp_path / "tokens")


def test_the_environment_can_hold_one(monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, ONE)
    assert Tokens.from_environment().client_of(ONE) == "client"
    monkeypatch.delenv(TOKEN_VARIABLE)
    with pytest.raises(SandboxError, match=f"set {TOKEN_VARIABLE}"):
        Tokens.from_environment()


def test_nothing_shows_a_token():
    assert ONE not in repr(Tokens({"alice": ONE}))
    assert "alice" in repr(Tokens({"alice": ONE}))
    assert ONE not in os.environ.values()
