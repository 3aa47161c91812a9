"""The API's documentation page under its own policy: it runs its one script, and loads nothing from outside."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser


def test_the_page_lists_the_routes_and_may_do_all_that_it_does(browser: Browser, held: str) -> None:
    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        complaints: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{held}/docs")
        expect(page.get_by_text("/languages", exact=True).first).to_be_visible()
        foreign = "Object.assign(document.createElement('script'), {textContent: 'window.x = 1'})"
        page.evaluate(f"document.body.append({foreign})")
        assert page.evaluate("window.x") is None, "a script that is not the page's own does not run"
    assert len(complaints) == 1
    assert "Content Security Policy" in complaints[0]
    assert [address for address in asked if not address.startswith((held, "data:"))] == []
