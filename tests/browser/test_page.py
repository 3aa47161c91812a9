"""The page in Chromium before a real `nmt serve`: what it shows is what the API says."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import CHAR_LIMIT, Open
from tests.bundles import toy_sentences

pytestmark = pytest.mark.browser

TEXT = " ".join(toy_sentences(2))


def ask(address: str, **fields: Any) -> Any:
    """What the API answers to the page's own request."""
    body = {"source": "en", "target": "de", "attention": True, "flags": True, "n_best": 5} | fields
    request = urllib.request.Request(
        f"{address}/translate", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def write(page: Page, text: str) -> None:
    """Type a text and wait for its translation."""
    page.locator("#source").fill(text)
    settled(page)


def settled(page: Page) -> None:
    expect(page.locator("#target:not(.stale) .word").first).to_be_visible()


def shown(page: Page) -> str:
    return page.locator("#target").text_content() or ""


def lights(page: Page, pane: str) -> dict[int, float]:
    """Number and weight of each word that is lit."""
    script = "spans => spans.map(s => [Number(s.dataset.word), Number(s.style.getPropertyValue('--weight'))])"
    return dict(page.locator(f"{pane} .word.lit").evaluate_all(script))


def move_to_source_word(page: Page, word: int) -> None:
    """The words lie below the text area, which is what a pointer meets."""
    box = page.locator("#mirror .word").nth(word).bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_what_is_typed_is_translated_as_by_the_api(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/de")
    page.locator("#source").press_sequentially(TEXT, delay=5)
    settled(page)
    answer = ask(served, q=TEXT)
    assert shown(page) == answer["translatedText"]
    expect(page.locator("#count")).to_have_text(f"{len(TEXT)} / {CHAR_LIMIT}")
    expect(page.locator("#spoken")).to_have_text(" ".join(answer["translatedText"].split()))
    expect(page.locator("#model")).to_have_text(re.compile(r"Model \w{12}"))


def test_line_breaks_and_blanks_are_kept(served: str, opened: Open) -> None:
    text = f"  {toy_sentences(1)[0]}\n\n\t... {toy_sentences(2)[1]}\n"
    page = opened(f"{served}/#en/de")
    write(page, text)
    assert shown(page) == ask(served, q=text)["translatedText"]


def test_pointing_at_a_word_of_the_translation_lights_what_the_model_looked_at(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/de")
    write(page, TEXT)
    attention = ask(served, q=TEXT)["attention"]
    words = TEXT.split()
    assert len(attention) == page.locator("#target .word").count()
    for place, row in enumerate(attention):
        page.locator("#target .word").nth(place).hover()
        assert lights(page, "#mirror") == pytest.approx({word: min(1, weight) for word, weight in row})
        if row:
            expect(page.locator("#detail")).to_contain_text(f"{words[row[0][0]]} {round(row[0][1] * 100)}")
    page.locator("h1").hover()
    assert lights(page, "#mirror") == {}


def test_pointing_at_a_word_of_the_text_lights_the_words_that_looked_at_it(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/de")
    write(page, TEXT)
    attention = ask(served, q=TEXT)["attention"]
    page.locator("h1").hover()
    for word in range(len(TEXT.split())):
        move_to_source_word(page, word)
        looked = {place: min(1, weight) for place, row in enumerate(attention) for at, weight in row if at == word}
        assert lights(page, "#target") == pytest.approx(looked)
        assert page.locator("#mirror .word.origin").get_attribute("data-word") == str(word)


def test_the_copy_below_the_text_area_has_its_words_where_the_text_has_them(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/de", viewport={"width": 500, "height": 700})
    write(page, f"{TEXT}\n\n{TEXT}  \n{'x' * 90} {TEXT}")
    sizes = page.evaluate(
        "['#source', '#mirror'].map(s => document.querySelector(s)).map(e => [e.clientWidth, e.scrollHeight,"
        " ...['font', 'padding', 'lineHeight', 'whiteSpace', 'overflowWrap'].map(p => getComputedStyle(e)[p])])"
    )
    assert sizes[0] == sizes[1]
    assert page.evaluate("(({scrollHeight, clientHeight}) => scrollHeight <= clientHeight)(source)")


def test_the_caret_lights_as_the_pointer_does(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/de")
    write(page, TEXT)
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#mirror .word.origin")).to_have_attribute("data-word", "0")
    attention = ask(served, q=TEXT)["attention"]
    assert lights(page, "#target").keys() == {place for place, row in enumerate(attention) if 0 in dict(row)}


def test_one_of_the_translations_found_can_be_chosen(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/de")
    write(page, TEXT)
    found = {entry["text"]: entry for entry in reversed(ask(served, q=TEXT)["nBest"])}
    entries = sorted(found.values(), key=lambda entry: -entry["score"])
    assert len(entries) > 1
    labels = page.locator("#choice-list label")
    expect(labels).to_have_count(len(entries))
    for label, entry in zip(labels.all(), entries, strict=True):
        assert label.locator(".candidate").text_content() == entry["text"]
        assert label.locator(".score").text_content() == f"{entry['score']:.2f}".replace("-", "−")
    expect(labels.nth(0).locator("input")).to_be_checked()
    assert labels.nth(0).locator(".other").count() == 0
    assert labels.nth(1).locator(".other").count() > 0
    labels.nth(1).click()
    assert shown(page) == entries[1]["text"]
    page.locator("#target .word").first.hover()
    assert lights(page, "#mirror") == pytest.approx({w: min(1, x) for w, x in entries[1]["attention"][0]})
    page.keyboard.press("Alt+1")
    assert shown(page) == entries[0]["text"]


def test_swap_turns_languages_and_texts_round(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/de")
    write(page, TEXT)
    translation = shown(page)
    page.locator("#swap").click()
    expect(page.locator("#source")).to_have_value(translation)
    settled(page)
    assert (page.locator("#from").input_value(), page.locator("#to").input_value()) == ("de", "en")
    assert shown(page) == ask(served, q=translation, source="de", target="en")["translatedText"]
    assert page.url.endswith("#de/en")


def test_an_address_that_says_no_pair_is_passed_over(served: str, opened: Open) -> None:
    page = opened(f"{served}/#50%/de")
    expect(page.locator("#problem")).to_be_hidden()
    write(page, TEXT)
    assert shown(page)


def test_targets_follow_the_source_and_one_way_pairs_cannot_be_swapped(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/ar")
    options = "select => [...select.options].map(o => [o.value, o.text])"
    assert page.locator("#from").evaluate(options) == [["auto", "Detect language"], ["en", "English"], ["de", "German"]]
    assert page.locator("#to").evaluate(options) == [["ar", "Arabic"], ["de", "German"]]
    expect(page.locator("#swap")).to_be_disabled()
    page.locator("#to").select_option("de")
    expect(page.locator("#swap")).to_be_enabled()
    page.locator("#from").focus()
    page.locator("#from").select_option("de")
    assert page.locator("#to").evaluate(options) == [["ar", "Arabic"], ["en", "English"]]


def test_the_language_of_a_text_can_be_left_to_the_service(served: str, opened: Open) -> None:
    page = opened(f"{served}/#auto/de")
    assert page.locator("#from").input_value() == "auto"
    expect(page.locator("#swap")).to_be_disabled()
    write(page, TEXT)
    expect(page.locator("#from option:checked")).to_have_text("English (detected)")
    assert shown(page) == ask(served, q=TEXT, source="en", target="de")["translatedText"]
    page.locator("#swap").click()
    settled(page)
    assert (page.locator("#from").input_value(), page.locator("#to").input_value()) == ("de", "en")
    expect(page.locator("#from option").first).to_have_text("Detect language")


def test_a_way_through_a_third_language_is_told(served: str, opened: Open) -> None:
    page = opened(f"{served}/#de/ar")
    write(page, TEXT)
    expect(page.locator("#flags")).to_contain_text("this went through English")
    page.locator("#to").select_option("en")
    settled(page)
    expect(page.locator("#flags")).not_to_contain_text("this went through English")


def test_text_from_right_to_left_is_marked_as_such(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/ar")
    write(page, TEXT)
    expect(page.locator("#target")).to_have_attribute("dir", "rtl")
    expect(page.locator("#target")).to_have_attribute("lang", "ar")
    expect(page.locator("#source")).to_have_attribute("dir", "ltr")
    page.locator("#target .word").first.focus()
    page.keyboard.press("ArrowLeft")  # forward
    assert page.evaluate("document.activeElement.dataset.word") == "1"


def test_copy_puts_the_chosen_translation_into_the_clipboard(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/de", permissions=["clipboard-read", "clipboard-write"])
    write(page, TEXT)
    page.locator("#copy").click()
    expect(page.locator("#state")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == shown(page)
    page.keyboard.press("Alt+2")
    page.keyboard.press("Alt+C")
    expect(page.locator("#state")).to_have_text("Copied")
    page.wait_for_timeout(100)
    assert page.evaluate("navigator.clipboard.readText()") == shown(page)


def test_copying_works_without_a_clipboard_for_pages(served: str, opened: Open) -> None:
    """As in a page that came over http from another machine."""
    page = opened(f"{served}/#en/de", permissions=["clipboard-read", "clipboard-write"])
    write(page, TEXT)
    translation = shown(page)
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.locator("#copy").click()
    expect(page.locator("#state")).to_have_text("Copied")
    page.locator("#clear").click()
    page.keyboard.press("Control+V")
    expect(page.locator("#source")).to_have_value(translation)


def test_a_text_over_the_limit_is_not_sent(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/de")
    write(page, TEXT)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.locator("#source").fill("🙂" * CHAR_LIMIT + "x")
    expect(page.locator("#problem")).to_contain_text(f"longer than {CHAR_LIMIT} characters")
    expect(page.locator("#count")).to_have_text(f"{CHAR_LIMIT + 1} / {CHAR_LIMIT}")
    expect(page.locator("#source")).to_have_attribute("aria-invalid", "true")
    assert shown(page) == ""
    page.wait_for_timeout(400)
    assert sent == []
    page.locator("#clear").click()
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#source")).to_be_focused()


def test_markup_in_a_text_is_text(served: str, opened: Open) -> None:
    page = opened(f"{served}/#en/de")
    text = '<img src=x onerror="alert(1)"> <b>dog</b> &amp;'
    write(page, text)
    assert page.locator("#mirror").text_content() == f"{text}\u200b"
    assert page.locator("#target img, #target b, #mirror img, #mirror b, #choices b").count() == 0


def test_the_policy_holds_in_the_browser(served: str, browser: Browser) -> None:
    page = browser.new_page()  # not `opened`: what is blocked is logged
    page.goto(served)
    csp = page.request.get(served).headers["content-security-policy"]
    assert "'unsafe-inline'" not in csp
    assert "default-src 'none'" in csp
    blocked = page.evaluate(
        """() => new Promise(resolve => {
            document.addEventListener("securitypolicyviolation", e => resolve(e.effectiveDirective), { once: true });
            const script = document.createElement("script");
            script.textContent = "document.title = 'broken in'";
            document.body.append(script);
            setTimeout(() => resolve("nothing"), 3000);
        })"""
    )
    assert blocked.startswith("script-src")
    assert page.title() == "Translation"
    page.close()


def test_the_documentation_of_the_api_is_linked_and_loads(served: str, opened: Open) -> None:
    page = opened(served)
    page.locator("nav a").click()
    expect(page.locator("#swagger-ui")).to_contain_text("/translate")
