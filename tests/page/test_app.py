"""The page's logic, without a browser: what is asked, kept, shown and offered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from assistant.conversations import Conversations
from assistant.page.ask import keep, unit_text
from assistant.page.ask import question as question_of
from assistant.page.view import Sources
from assistant.records import SHOWN
from ingest.library import Library
from tests.page.conftest import OWNER

EGGS = "How many eggs does the queen lay a day in early summer?"
WINTER = "What does a hive weigh before winter?"

Open = Callable[..., AppTest]


def good(app: AppTest) -> AppTest:
    assert not app.exception
    return app


def ask(app: AppTest, question: str) -> AppTest:
    return settled(app.chat_input[0].set_value(question).run())


def settled(app: AppTest) -> AppTest:
    """Looks again until no answer is being written any more."""
    for _ in range(100):
        good(app)
        if not any(turn["writing"] for turn in answers(app)):
            return app
        app.run()
    raise AssertionError("the answer was never finished")


def answers(app: AppTest) -> list[dict[str, Any]]:
    """What the page was given to draw, answer by answer."""
    found = [json.loads(part.proto.json) for part in app.get("bidi_component")]
    return [data for data in found if "sentences" in data]


def button(app: AppTest, key: str) -> Any:
    return next(b for b in app.button if (b.key or "").startswith(key))


def texts(app: AppTest) -> str:
    return "\n".join(
        element.value
        for kind in ("markdown", "caption", "info", "error", "warning", "success")
        for element in app.get(kind)
    )


def test_an_answer_is_drawn_with_footnotes_that_hold_the_exact_words(open_: Open, library: Path) -> None:
    [turn] = answers(ask(open_(), EGGS))
    assert turn["status"] in SHOWN
    [number] = turn["sentences"][0]["notes"]
    place = turn["places"][number - 1]
    text = Library(library).text(place["document"])
    assert text[place["start"] : place["end"]] == place["quote"]
    shown = "".join(piece for _, piece, _ in place["pieces"])
    assert text[place["start"] - place["from"] :].startswith(shown)
    assert shown[place["from"] : place["to"]] == place["quote"]
    assert "2,000 eggs" in place["quote"]
    assert place["path"] == ["The hive"]


def test_what_the_guides_do_not_say_is_a_calm_state_with_headings_to_read(open_: Open) -> None:
    [turn] = answers(ask(open_(), "How do I declare my taxes for a beehive rented abroad?"))
    assert turn["status"] == "not_in_guides"
    assert turn["sentences"] == []
    assert turn["nearest"]
    assert all(turn["places"][i]["found"] for i in turn["nearest"])


def test_a_follow_up_shows_how_it_was_understood(open_: Open) -> None:
    app = ask(ask(open_(), "What does a hive weigh before winter?"), "And how often should it be inspected?")
    assert [bool(turn["understood"]) for turn in answers(app)] == [False, True]


def test_conversations_are_kept_listed_renamed_reopened_and_deleted_if_meant(open_: Open, library: Path) -> None:
    app = ask(open_(), EGGS)
    name = app.session_state["conversation"]
    ask(app, WINTER)
    app = open_()  # as after a restart
    button(app, f"open-{name}").click().run()
    assert [turn["question"] for turn in answers(app)] == [EGGS, WINTER]
    assert all(turn["places"][0]["found"] for turn in answers(app))
    next(t for t in app.text_input if t.key == f"title-{name}").set_value("Bees & $ :smile:")
    next(b for b in app.button if b.label == "Rename").click().run()
    assert Conversations(library).owned(OWNER)[0].title == "Bees & $ :smile:"
    assert "\\$" in button(good(app), f"open-{name}").label
    button(app, f"delete-{name}").click().run()
    button(app, f"keep-{name}").click().run()
    assert Conversations(library).owned(OWNER), "it is asked first"
    button(app, f"delete-{name}").click().run()
    button(app, f"really-delete-{name}").click().run()
    assert Conversations(library).owned(OWNER) == []
    assert answers(app) == []


def test_a_conversation_opens_by_its_address_for_its_owner_and_nobody_else(open_: Open) -> None:
    name = ask(open_(), EGGS).session_state["conversation"]
    assert len(answers(open_(c=name))) == 1
    other = open_(owner="somebody-else", c=name)
    assert answers(other) == []
    assert not any((b.key or "").startswith("open-") for b in other.button)


def test_only_the_guides_that_are_ticked_are_asked(open_: Open, library: Path) -> None:
    app = open_()
    [bees] = [d for d in Library(library).documents() if d.path == "bees.md"]
    next(c for c in app.checkbox if c.key.startswith(f"tick-{bees.id}-")).set_value(False).run()
    assert "2 of 3 asked" in texts(good(app))
    [turn] = answers(ask(app, EGGS))
    assert turn["status"] == "not_in_guides"
    assert "1 other guide was not asked" in turn["detail"]
    button(app, "tick-all").click().run()
    assert answers(ask(app, EGGS))[-1]["status"] == "answered"
    button(app, "tick-none").click().run()
    app.chat_input[0].set_value(WINTER).run()
    assert "tick at least one" in texts(good(app))
    assert len(answers(app)) == 2


def test_every_guide_is_in_sight_with_its_extent_and_can_be_summed_up(open_: Open, library: Path) -> None:
    app = open_()
    [bees] = [d for d in Library(library).documents() if d.path == "bees.md"]
    assert "sections, read " in button(app, f"read-{bees.id}").label
    [turn] = answers(ask(app, "Summarise the guide “Keeping bees”"))
    assert turn["blocks"][0]["kind"] == "list"
    assert all(sentence["notes"] for sentence in turn["sentences"])


def test_questions_to_go_on_with_are_offered_and_asked(open_: Open) -> None:
    app = ask(open_(), "What is the secret of ripe honey?")
    for _ in range(100):
        if any((b.key or "").startswith("offered-") for b in app.button):
            break
        time.sleep(0.2)
        app.run()
    offered = button(app, "offered-").label.replace("\\", "")
    settled(button(app, "offered-").click().run())
    assert [turn["question"] for turn in answers(app)][-1] == offered
    assert answers(app)[-1]["status"] == "answered"


def test_conversations_are_found_by_what_was_said_in_them(open_: Open, library: Path) -> None:
    store = Conversations(library)
    for number in range(5):
        store.begin(OWNER, f"Conversation {number}")
    ask(open_(), EGGS)
    store.begin("somebody-else", "2,000 eggs of mine")
    app = open_()
    next(t for t in app.text_input if t.key == "search-conversations").set_value("2,000 EGGS").run()
    assert [b.label for b in good(app).button if (b.key or "").startswith("open-")] == [button(app, "open-").label], (
        "one, and not the stranger's"
    )
    next(t for t in app.text_input if t.key == "search-conversations").set_value("zebra").run()
    assert "In none of them" in texts(good(app))


def test_asking_again_and_editing_keep_the_earlier_answer(open_: Open, library: Path) -> None:
    app = ask(open_(), EGGS)
    settled(button(app, "again-").click().run())
    button(good(app), "edit-").click().run()
    next(t for t in app.text_area).set_value(WINTER)
    settled(next(b for b in app.button if b.label == "Ask").click().run())
    assert [turn["question"] for turn in answers(good(app))] == [WINTER]
    chooser = next(s for s in app.selectbox if (s.key or "").startswith("version-"))
    assert len(chooser.options) == 3
    chooser.set_value(1).run()
    assert [turn["question"] for turn in answers(good(app))] == [EGGS]


def test_an_answer_says_if_its_guide_has_changed_since(open_: Open, library: Path, tmp_path: Path) -> None:
    from ingest.sync import sync

    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "wasps.md").write_text("# Wasps\n\nA wasp nest holds 5,000 wasps in August. It is made of paper.\n")
    place = tmp_path / "wasps"
    sync([folder], place)
    app = ask(open_(place), "How many wasps does a wasp nest hold in August?")
    name = app.session_state["conversation"]
    assert [p["said"] for p in answers(app)[0]["places"] if p["n"]] == [""]
    (folder / "wasps.md").write_text(
        "# Wasps\n\nNew first words. A wasp nest holds 5,000 wasps in August. It is made of paper.\n"
    )
    sync([folder], place)
    moved = answers(open_(place, c=name))[0]["places"][0]
    assert "changed since" in moved["said"]
    assert moved["found"]
    text = Library(place).text("wasps.md")
    assert text[moved["start"] : moved["end"]] == moved["quote"]
    (folder / "wasps.md").write_text("# Wasps\n\nA wasp nest is empty in winter.\n")
    sync([folder], place)
    gone = answers(open_(place, c=name))[0]["places"][0]
    assert "no longer holds these words" in gone["said"]
    assert (gone["quote"], gone["found"]) == (moved["quote"], False)
    (folder / "wasps.md").unlink()
    (folder / "other.md").write_text("# Other\n\nSomething else is here.\n")
    sync([folder], place)
    assert "no longer in the library" in answers(open_(place, c=name))[0]["places"][0]["said"]


def test_a_link_to_words_says_in_the_guide_too_if_it_has_changed_since(open_: Open, tmp_path: Path) -> None:
    from ingest.sync import sync

    folder, place = tmp_path / "notes", tmp_path / "wasps"
    folder.mkdir()
    nest = "A wasp nest holds 5,000 wasps in August."

    (folder / "wasps.md").write_text(f"# Wasps\n\n{nest} It is made of paper.\n")
    sync([folder], place)
    sources = Sources(Library(place))
    [found] = answers(ask(open_(place), "How many wasps does a wasp nest hold in August?"))[0]["places"][:1]
    link = (found["document"], found["start"], found["end"], found["hash"])
    assert (sources.whole(*link).quote, sources.whole(*link).said) == (nest, "")
    (folder / "wasps.md").write_text(f"# Wasps\n\nNew first words. {nest} It is made of paper.\n")
    sync([folder], place)
    assert sources.whole(*link).quote == nest
    assert "has changed since" in sources.whole(*link).said
    (folder / "wasps.md").write_text("# Wasps\n\nA nest is empty in winter, and nobody lives in it.\n")
    sync([folder], place)
    assert sources.whole(*link).quote == ""
    assert "no longer holds these words" in sources.whole(*link).said


def test_a_thumb_and_a_comment_are_kept_with_the_answer(open_: Open, library: Path) -> None:
    app = ask(open_(), EGGS)
    app.feedback[0].set_value(0).run()
    next(t for t in app.text_input if (t.key or "").startswith("comment-")).set_value("Too short").run()
    [turn] = Conversations(library).turns(app.session_state["conversation"])
    assert (turn.thumb, turn.comment) == (0, "Too short")


def test_a_thumbs_down_becomes_a_question_that_the_evaluation_reads(open_: Open, library: Path) -> None:
    from assistant.evaluation.questions import read

    app = ask(ask(open_(), EGGS), WINTER)
    first, turn = Conversations(library).turns(app.session_state["conversation"])
    assert turn.answer
    at = next(
        (p, u)
        for p, found in enumerate(turn.answer.passages)
        for u, unit in enumerate(found.units)
        if "30 kg" in unit_text(found, u)
    )
    file = keep(library, question_of(turn, [first.question], [at], ["30 kg"]))
    keep(library, question_of(turn, [first.question], [at], ["30 kg (all)"]))
    [kept] = read(file)
    assert (kept.question, kept.history, kept.facts) == (WINTER, (EGGS,), (r"30\ kg\ \(all\)",))
    assert kept.evidence[0].quote in Library(library).text(kept.evidence[0].document)
    assert "30 kg" in kept.evidence[0].quote


def test_sentences_that_name_their_guide_are_known_by_it(open_: Open, tmp_path: Path) -> None:
    from ingest.sync import sync

    folder = tmp_path / "hives"
    folder.mkdir()
    (folder / "a.md").write_text("# Hives in the north\n\nA hive weighs 30 kg before winter.\n")
    (folder / "b.md").write_text("# Hives in the south: notes\n\nA hive weighs 18 kg before winter.\n")
    sync([folder], tmp_path / "library-of-hives")
    [turn] = answers(ask(open_(tmp_path / "library-of-hives"), "How many kg does a hive weigh before winter?"))
    assert {s["guide"]: s["said"].strip() for s in turn["sentences"]} == {
        "Hives in the north": "A hive weighs 30 kg before winter.",
        "Hives in the south: notes": "A hive weighs 18 kg before winter.",
    }


def test_a_question_that_is_too_long_is_refused_by_the_server_too(open_: Open) -> None:
    app = ask(open_(), EGGS)
    button(app, "edit-").click().run()
    app.text_area[0].set_value("x" * 4001)
    next(b for b in app.button if b.label == "Ask").click().run()
    assert "4,001" in texts(good(app))
    assert [turn["question"] for turn in answers(app)] == [EGGS]


def test_the_evaluation_page_shows_the_newest_report(
    open_: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = open_()
    button(app, "evaluation").click().run()
    assert "No report yet" in texts(good(app))
    for name in ("older", "newer"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "report.md").write_text(f"the {name} report")
    app.run()
    assert "the newer report" in app.code[0].value


def test_questions_are_logged_only_for_whoever_asks_for_it(open_: Open, library: Path) -> None:
    app = ask(open_(), EGGS)
    assert not (library / "log.jsonl").exists()
    next(t for t in app.toggle if t.key == "log").set_value(True).run()
    ask(app, WINTER)
    assert [json.loads(line)["question"] for line in (library / "log.jsonl").read_text().splitlines()] == [WINTER]


def test_a_conversation_is_exported_as_markdown_with_its_footnotes(open_: Open, library: Path) -> None:
    from assistant.page.view import markdown

    app = ask(ask(open_(), EGGS), WINTER)
    text = markdown("Bees", Conversations(library).turns(app.session_state["conversation"]))
    assert f"## {EGGS}" in text
    for mark in ("[^1-1]", "[^2-1]"):
        assert text.count(mark) == 2, "once behind its sentence and once with its quote"
    assert any(d.label == "Export as Markdown" for d in app.get("download_button"))


def test_a_guide_is_searched_by_words_and_meaning(open_: Open, library: Path) -> None:
    app = open_()
    [bees] = [d for d in Library(library).documents() if d.path == "bees.md"]
    button(app, f"read-{bees.id}").click().run()
    next(t for t in good(app).text_input if t.label == "Search in this guide").set_value("when is honey ripe").run()
    button(good(app), "hit-0").click().run()
    start, end = (int("".join(app.query_params[name])) for name in ("start", "end"))
    assert "less than 18 % water" in Library(library).text("bees.md")[start:end]
