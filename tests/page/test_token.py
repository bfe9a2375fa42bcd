"""A visitor of a page that is bound to more than this machine: shows a token, and may do what the token may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assistant.conversations import Conversations
from assistant.serve.who import Tokens
from tests.assistant.serve.conftest import EGGS, LAID, fetch, serving


def test_behind_a_proxy_a_visitor_shows_a_token_and_may_do_on_the_page_what_it_may(
    chromium: Any, library: Path, tmp_path: Path
) -> None:
    token, base = Tokens(library).add("anna", "ask"), "https://guides.example/notes"
    with serving(library, tmp_path, "--base-url", base) as served:
        asked = {"messages": [{"role": "user", "content": EGGS}]}
        assert fetch(f"{served.url}/v1/chat/completions", asked)[0] == 401
        said = fetch(f"{served.url}/v1/chat/completions", asked, Authorization=f"Bearer {token}")[1]
        assert f"{base}/read?doc=bees.md&start=72" in said
        page = chromium.new_page()
        page.set_default_timeout(90_000)
        page.goto(f"{served.url}/read?doc=bees.md&start=72&end=130")
        page.get_by_label("Your token").fill(token)
        page.get_by_role("button", name="Enter").click()
        page.locator(".reader-text mark").first.wait_for()
        assert "".join(page.locator(".reader-text mark").all_text_contents()) == LAID
        page.get_by_role("button", name="New conversation").click()
        box = page.get_by_test_id("stChatInputTextArea")
        box.fill(EGGS)
        box.press("Enter")
        page.locator(".note").first.wait_for()
        page.close()
    assert [c.title for c in Conversations(library).owned("user:anna")] == [EGGS]
