"""Files on the page: chosen or dropped, translated in turn, fetched; and what goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.app.fake_engine import FakeEngine
from tests.browser.conftest import Open
from tests.browser.test_states import assert_contrasts

pytestmark = pytest.mark.browser

DROP = """([name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name));
    for (const kind of ["dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def choose(page: Page, *paths: Path) -> None:
    page.locator("#file").set_input_files(list(paths))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_files_are_translated_in_turn_and_fetched(held: str, opened: Open, engine: FakeEngine, tmp_path: Path) -> None:
    page = opened(f"{held}/#en/de")
    engine.is_held = True
    choose(page, written(tmp_path, "a.html", "<p>Hello <b>you</b></p>"), written(tmp_path, "b.txt", "long\nfail\n"))
    rows = page.locator("#files li")
    expect(rows.nth(0)).to_contain_text("Translating…")
    expect(rows.nth(1)).to_contain_text("Waits its turn")
    engine.release()
    expect(rows.nth(0)).to_contain_text("Translated.")
    expect(rows.nth(1)).to_contain_text("1 of 2 texts translated. The translation repeats itself. A sentence was cut")
    with page.expect_download() as download:
        rows.nth(0).get_by_role("link", name="Translation of a.html").click()
    assert download.value.suggested_filename == "a_de.html"
    assert Path(download.value.path()).read_text("utf-8") == "<p>HELLO <b>YOU</b></p>"
    assert_contrasts(page, 10)
    page.get_by_role("button", name="Remove a.html").click()
    expect(rows).to_have_count(1)


def test_a_file_can_be_dropped_anywhere(held: str, opened: Open) -> None:
    page = opened(f"{held}/#en/de")
    expect(page.locator("#files")).to_be_visible()
    page.evaluate(DROP, ["letter.txt", "Hi\n"])
    expect(page.locator("#files li")).to_contain_text("Translated.")
    expect(page.get_by_role("link", name="Translation of letter.txt")).to_be_visible()
    assert page.locator("#files").get_attribute("class") in (None, "")


def test_a_file_can_be_given_up(held: str, opened: Open, engine: FakeEngine, tmp_path: Path) -> None:
    page = opened(f"{held}/#en/de")
    engine.is_held = True
    choose(page, written(tmp_path, "a.txt", "one\n"), written(tmp_path, "b.txt", "two\n"))
    expect(page.locator("#files li").first).to_contain_text("Translating…")
    page.get_by_role("button", name="Give up a.txt").click()
    expect(page.locator("#files li")).to_have_count(1)
    engine.release()
    expect(page.locator("#files li")).to_contain_text("Translated.")


def test_what_is_wrong_is_said_in_words(held: str, opened: Open, tmp_path: Path) -> None:
    page = opened(f"{held}/#en/de")
    choose(page, written(tmp_path, "a.docx", "no"), written(tmp_path, "b.exe", "no"))
    rows = page.locator("#files li")
    expect(rows.nth(0)).to_contain_text("not a Word file")
    expect(rows.nth(1)).to_contain_text("file format not supported")
    assert_contrasts(page, 10)


def test_the_area_is_reached_by_the_keyboard_and_fits_a_telephone(held: str, opened: Open, tmp_path: Path) -> None:
    page = opened(f"{held}/#en/de", viewport={"width": 320, "height": 640})
    choose(page, written(tmp_path, f"{'name' * 20}.txt", "one\n"))
    expect(page.locator("#files li")).to_contain_text("Translated.")
    page.locator("#file").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    assert page.evaluate("getComputedStyle(document.querySelector('#files label')).outlineStyle") != "none"
    expect(page.get_by_label("Choose files")).to_be_attached()
