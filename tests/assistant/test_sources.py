from __future__ import annotations

import json
from pathlib import Path

import pytest

from assistant.cli import main
from assistant.records import Answer, Footnote, Sentence
from tests.ingest.sources.sites import page, site


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(list(arguments))
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_page_is_ingested_searched_with_its_address_listed_refreshed_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = ("--library", str(tmp_path / "library"))
    guide = tmp_path / "guide.md"
    guide.write_text("# Pooling\n\nPooling halves the width of a picture.\n")
    with site({"/dropout": page("Dropout")}) as s:
        address = f"{s.url}/dropout"
        status, _, errors = run(capsys, "ingest", address, str(guide), *library)
        assert status == 1
        assert f"failed: {address} is not fetched" in errors
        status, _, _ = run(capsys, "ingest", address, "--allow-private", "--delay", "0", *library)
        assert status == 0
        _, out, _ = run(capsys, "search", "steps of dropout", "--no-rerank", "--json", *library)
        found = {p["title"]: p.get("address", "") for p in json.loads(out)}
        assert found["Dropout"].startswith(f"{address}#:~:text=")
        assert found["Pooling"] == ""
        _, out, _ = run(capsys, "ask", "How many steps does dropout take in case 3?", "--json", *library)
        notes = [note for sentence in json.loads(out)["sentences"] for note in sentence["footnotes"]]
        assert notes
        assert all(note["address"].startswith(f"{address}#:~:text=") for note in notes if note["title"] == "Dropout")
        status, out, _ = run(capsys, "sources", "refresh", address, *library)
        assert (status, out) == (0, "1 unchanged\n")
    status, _, errors = run(capsys, "sources", "refresh", address, *library)
    assert status == 1
    assert address in errors
    _, out, _ = run(capsys, "sources", *library, "--json")
    assert [(s["kind"], s["documents"]) for s in json.loads(out)] == [("file", 1), ("page", 1)]
    status, out, _ = run(capsys, "sources", "remove", address, *library)
    assert (status, out) == (0, f"removed {address} with 1 documents\n")
    _, out, _ = run(capsys, "sources", *library)
    assert out.startswith("file ")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["watch", "https://example.org/"], "--every 6h"),
        (["ingest", ".", "--ref", "main"], "--ref and --include are for repositories"),
        (["ingest", "ftp://example.org/guide.md"], "https://"),
        (["sources", "remove"], "`footnote sources` lists them"),
        (["sources", "refresh", "nowhere"], "no library"),
    ],
)
def test_what_is_not_meant_so_is_one_line_with_what_to_do(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, errors = run(capsys, *arguments)
    assert status == 1
    assert said in errors
    assert errors.count("\n") == 1


def test_an_interval_is_a_number_with_its_unit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["watch", ".", "--every", "often"])
    assert "'often' is no time: give one such as 30m, 6h or 1d" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://example.org/a_(b)#:~:text=Half%20of%20it.", "[guide.md](https://example.org/a_%28b%29#:~:text=Half%20of%20it.)"),
        ("git+file:///r@0123#guide.md:3-3", "guide.md, git+file:///r@0123#guide.md:3-3"),
        ("", "(guide.md, 0–11)"),
    ],
)  # fmt: skip
def test_markdown_links_the_address_of_the_words(address: str, shown: str) -> None:
    note = Footnote("guide.md", "Guide", "", 0, 11, "Half of it.", address=address)
    answer = Answer("How much?", "answered", (Sentence("Half of it.", True, (note,)),))
    assert shown in answer.to_markdown()
    assert Answer.from_json(json.loads(json.dumps(answer.to_json()))) == answer
