"""Tokens that can be taken back, and a server that refuses to stand open without anybody having said so."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from assistant.cli import main
from assistant.serve.who import FILE, Tokens, is_loopback, rules
from ingest.errors import FootnoteError
from ingest.library import create


@pytest.fixture
def place(tmp_path: Path) -> Path:
    create(tmp_path / "library")
    return tmp_path / "library"


def test_a_token_is_shown_once_kept_as_its_hash_and_opens_until_it_is_taken_back(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "add", "anna", "--can", "ingest", "--library", str(place)]) == 0
    token = capsys.readouterr().out.strip()
    kept = place / FILE
    assert token.startswith("fn_")
    assert token not in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    tokens = Tokens(place)
    visitor = tokens.find(token)
    assert visitor is not None
    assert [visitor.may(what) for what in ("ask", "ingest", "admin")] == [True, True, False]
    assert tokens.find(token + "x") is None
    assert main(["token", "list", "--library", str(place)]) == 0
    assert "anna may ingest" in capsys.readouterr().out
    assert main(["token", "remove", "anna", "--library", str(place)]) == 0
    assert tokens.find(token) is None  # the server that has read it before does not have to be started again


def test_what_is_wrong_with_a_token_is_said_in_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "add", "anna", "--library", str(place)]) == 0
    for given in (["add", "anna"], ["add", "an\nna"], ["remove", "bob"], ["add", "anna", "--library", "nowhere"]):
        where = [] if "--library" in given else ["--library", str(place)]
        capsys.readouterr()
        assert main(["token", *given, *where]) == 1
        assert capsys.readouterr().err.count("\n") == 1
    (place / FILE).write_text("{not json")
    assert main(["token", "list", "--library", str(place)]) == 1
    assert "move it away" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "alone"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True)]
    + [(a, False) for a in ("0.0.0.0", "::", "192.168.1.4", "guides.example.org", "localhost.example.org", "")],
)
def test_loopback_is_this_machine_and_nothing_else(address: str, alone: bool) -> None:
    assert is_loopback(address) == alone


def test_beyond_loopback_somebody_must_have_said_who_may(place: Path) -> None:
    assert rules(place, "localhost").local
    for reached in (("0.0.0.0", ""), ("localhost", "https://guides.example.org")):  # the second one through a proxy
        with pytest.raises(FootnoteError, match="footnote token add"):
            rules(place, *reached)
        assert not rules(place, *reached, open_=True).local
        assert rules(place, *reached, header="X-User").header == "x-user"
        assert rules(place, *reached, oidc=True).oidc
    Tokens(place).add("anna", "ask")
    assert rules(place, "0.0.0.0").per_minute == 60
    assert rules(place, "0.0.0.0").visitors_can == "ask"
    assert rules(place, "localhost").local  # a token for others asks nothing of this machine


def test_the_command_refuses_in_one_line_and_before_it_loads_anything(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--address", "0.0.0.0", "--library", str(place)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--open" in said
