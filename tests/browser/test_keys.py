"""A service that asks for a key: the page has a field for it, and keeps it out of everything that is written down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.keys import FILE_NAME, KeyFile
from app.settings import Settings
from tests.app.fake_engine import FakeEngine
from tests.app.serving import serving
from tests.browser.conftest import Open
from tests.browser.test_states import assert_contrasts

pytestmark = pytest.mark.browser


@pytest.fixture
def keyed(browser: Browser, engine: FakeEngine, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Address of a service that asks for a key, and a key of it."""
    with KeyFile(tmp_path / FILE_NAME) as file:
        key = file.add("alice")
    settings = Settings(state=tmp_path, api_keys=True, require_key=True, access_log=False)
    with serving(engine, settings) as address:
        yield address, key


def test_a_key_is_asked_for_and_used(keyed: tuple[str, str], opened: Open, tmp_path: Path) -> None:
    address, key = keyed
    page = opened(f"{address}/#en/de")
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    field = page.get_by_label("Key of this service")
    expect(field).to_be_visible()
    assert field.get_attribute("type") == "password"
    page.locator("#source").fill("one")
    expect(page.locator("#problem-text")).to_have_text("This service asks for a key. Its operator gives one.")
    assert_contrasts(page, 10)
    field.fill("wröng ключ")
    field.press("Enter")
    expect(page.locator("#problem-text")).to_have_text("The service does not take this key.")
    field.fill(key)
    page.get_by_role("button", name="Use").click()
    expect(page.locator("#target")).to_have_text("ONE")
    expect(page.locator("#problem")).to_be_hidden()
    expect(field).to_be_hidden()
    (tmp_path / "a.txt").write_text("two\n", "utf-8")
    page.locator("#file").set_input_files(tmp_path / "a.txt")
    expect(page.locator("#files li")).to_contain_text("Translated.")
    assert urls
    assert not any(key in url for url in [*urls, page.url])
    assert key not in page.content()
    stored = page.evaluate("[JSON.stringify(localStorage), document.cookie, JSON.stringify(sessionStorage)]")
    assert stored[:2] == ["{}", ""]
    assert key in stored[2]


def test_a_key_lives_as_long_as_its_tab_and_can_be_forgotten(keyed: tuple[str, str], opened: Open) -> None:
    address, key = keyed
    page = opened(f"{address}/#en/de")
    page.get_by_label("Key of this service").fill(key)
    page.keyboard.press("Enter")
    page.reload()
    page.locator("#source").fill("one")
    expect(page.locator("#target")).to_have_text("ONE")
    expect(page.locator("#key-form")).to_be_hidden()
    page.get_by_role("button", name="API key").click()
    expect(page.get_by_label("Key of this service")).to_be_focused()
    expect(page.get_by_label("Key of this service")).to_have_value("")
    page.keyboard.press("Enter")
    expect(page.locator("#problem-text")).to_have_text("This service asks for a key. Its operator gives one.")
    assert page.evaluate("sessionStorage.length") == 0


def test_files_ask_for_a_key_too_and_all_fits_a_telephone(keyed: tuple[str, str], opened: Open, tmp_path: Path) -> None:
    address, _ = keyed
    page = opened(f"{address}/#en/de", viewport={"width": 320, "height": 640})
    page.get_by_role("button", name="API key").click()
    expect(page.locator("#key-form")).to_be_hidden()
    (tmp_path / "a.txt").write_text("two\n", "utf-8")
    page.locator("#file").set_input_files(tmp_path / "a.txt")
    expect(page.locator("#files li")).to_contain_text("This service asks for a key.")
    expect(page.locator("#key-form")).to_be_visible()


def test_no_field_where_there_are_no_keys(held: str, opened: Open) -> None:
    page = opened(f"{held}/#en/de")
    expect(page.locator("#files")).to_be_visible()
    expect(page.locator("#key-open")).to_be_hidden()
    expect(page.locator("#key-form")).to_be_hidden()
