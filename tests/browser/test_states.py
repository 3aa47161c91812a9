"""Waiting, overload, no network, and what the page looks like then; over an engine that can be held."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.app.fake_engine import FakeEngine
from tests.browser.conftest import Open

pytestmark = pytest.mark.browser

RETRY_AFTER_S = 3  # what the service makes of the fake engine's 2.5


def until(condition: Callable[[], bool], page: Page) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        page.wait_for_timeout(20)


def test_waiting_is_shown_and_said(held: str, opened: Open, engine: FakeEngine) -> None:
    page = opened(f"{held}/#en/de")
    engine.is_held = True
    page.locator("#source").fill("one two")
    expect(page.locator("#progress")).to_be_visible()
    expect(page.locator("#state")).to_have_text("Translating…")
    expect(page.locator("#target")).to_have_attribute("aria-busy", "true")
    engine.release()
    expect(page.locator("#target")).to_have_text("ONE TWO")
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#state")).to_have_text("")
    options = engine.jobs[0].options
    assert (options.attention, options.n_best, options.alignments) == (True, 5, False)


def test_the_newest_text_wins_and_the_older_request_is_given_up(held: str, opened: Open, engine: FakeEngine) -> None:
    page = opened(f"{held}/#en/de")
    engine.is_held = True
    page.locator("#source").fill("one")
    until(lambda: len(engine.jobs) == 1, page)
    page.locator("#source").fill("two")
    until(lambda: len(engine.jobs) == 2, page)
    until(engine.jobs[0].future.cancelled, page)  # the service has heard of it
    engine.release()
    expect(page.locator("#target")).to_have_text("TWO")
    assert [job.texts for job in engine.jobs] == [["one"], ["two"]]


def test_typing_is_one_request_not_many(held: str, opened: Open, engine: FakeEngine) -> None:
    page = opened(f"{held}/#en/de")
    page.locator("#source").press_sequentially("some words", delay=20)
    expect(page.locator("#target")).to_have_text("SOME WORDS")
    assert len(engine.jobs) <= 3  # ten, if every key were one; on a busy machine a key may be late


def test_a_full_service_is_asked_again_after_the_time_it_names(held: str, opened: Open, engine: FakeEngine) -> None:
    page = opened(f"{held}/#en/de")
    page.locator("#source").fill("before")
    expect(page.locator("#target")).to_have_text("BEFORE")
    engine.max_queue = 0
    statuses: list[int] = []
    page.on("response", lambda response: statuses.append(response.status))
    page.locator("#source").fill("one")
    expect(page.locator("#problem-text")).to_have_text("The service is busy.")
    began = time.monotonic()
    expect(page.locator("#countdown")).to_contain_text("next try in")
    expect(page.locator("#target")).to_have_text("BEFORE")
    expect(page.locator("#target")).to_have_class("text stale")
    engine.max_queue = 512
    expect(page.locator("#target")).to_have_text("ONE")
    assert RETRY_AFTER_S - 1 < time.monotonic() - began < RETRY_AFTER_S + 5
    expect(page.locator("#problem")).to_be_hidden()
    assert statuses == [503, 200]


def test_an_older_translation_is_not_taken_for_that_of_the_text(held: str, opened: Open, engine: FakeEngine) -> None:
    page = opened(f"{held}/#en/de")
    page.locator("#source").fill("before")
    expect(page.locator("#target")).to_have_text("BEFORE")
    engine.is_held = True
    page.locator("#source").fill("new text")
    until(lambda: len(engine.jobs) == 2, page)
    expect(page.locator("#choice-list input").first).to_be_disabled()
    page.keyboard.press("Alt+2")
    expect(page.locator("#target")).to_have_text("BEFORE")
    page.locator("#target .word").first.hover()
    expect(page.locator("#mirror .word.lit")).to_have_count(0)
    page.keyboard.press("Alt+S")
    expect(page.locator("#source")).to_have_value("new text")
    engine.release()
    expect(page.locator("#target")).to_have_text("NEW TEXT")
    expect(page.locator("#choice-list input").first).to_be_enabled()


def test_the_reader_need_not_wait(held: str, opened: Open, engine: FakeEngine) -> None:
    page = opened(f"{held}/#en/de")
    engine.max_queue = 0
    page.locator("#source").fill("one")
    expect(page.locator("#problem")).to_be_visible()
    engine.max_queue = 512
    page.locator("#again").click()
    expect(page.locator("#target")).to_have_text("ONE", timeout=2000)


@pytest.mark.parametrize(
    ("status", "headers", "message", "retries"),
    [
        (429, {"Retry-After": "7"}, "That was more than the service allows for now.", "next try in 7 s"),
        (504, {}, "The translation took too long.", ""),
        (500, {"X-Request-Id": "abc"}, "The service had a fault (request abc).", ""),
        (413, {}, "The text is larger than the service takes at once.", ""),
        (400, {}, "text from the service", ""),
        (502, {}, "The service is busy.", "next try in 1 s"),
    ],
)
def test_other_answers_are_put_in_words(
    held: str, opened: Open, status: int, headers: dict[str, str], message: str, retries: str
) -> None:
    """As a proxy or a later version of the service may give them."""
    page = opened(f"{held}/#en/de")
    body = {"error": "text from the service"}
    page.route("**/translate", lambda route: route.fulfill(status=status, headers=headers, json=body))
    page.locator("#source").fill("one")
    expect(page.locator("#problem-text")).to_have_text(message)
    if retries:
        expect(page.locator("#countdown")).to_have_text(retries)
    else:
        assert page.locator("#countdown").text_content() == ""


def test_what_only_this_text_did_wrong_is_said_in_the_words_of_the_service(held: str, opened: Open) -> None:
    page = opened(f"{held}/#en/de")
    page.locator("#source").fill("fail")
    expect(page.locator("#problem-text")).to_contain_text("The service had a fault (request ")
    page.locator("#source").fill("good")
    expect(page.locator("#target")).to_have_text("GOOD")
    expect(page.locator("#problem")).to_be_hidden()


def test_without_a_network_the_page_waits_for_it(held: str, opened: Open) -> None:
    page = opened(f"{held}/#en/de")
    page.context.set_offline(True)
    page.locator("#source").fill("one")
    expect(page.locator("#problem-text")).to_contain_text("You are offline.")
    page.context.set_offline(False)
    expect(page.locator("#target")).to_have_text("ONE")
    expect(page.locator("#problem")).to_be_hidden()


def test_a_service_that_cannot_be_reached_is_tried_again(held: str, opened: Open) -> None:
    page = opened(f"{held}/#en/de")
    page.route("**/translate", lambda route: route.abort("connectionrefused"))
    page.locator("#source").fill("one")
    expect(page.locator("#problem-text")).to_have_text("The service cannot be reached.")
    page.unroute("**/translate")
    expect(page.locator("#target")).to_have_text("ONE")


def test_words_are_those_of_the_service(held: str, opened: Open) -> None:
    """Whose white space is Python's, not JavaScript's."""
    page = opened(f"{held}/#en/de")
    text = "a\x85b\x1cc\ufeffd\u2003e\u3000\xa0f\u200bg"
    page.locator("#source").fill(text)
    expect(page.locator("#target .word").first).to_be_visible()
    assert page.locator("#mirror .word").all_text_contents() == text.split()
    assert page.locator("#target .word").count() == len(text.split())


def test_flags_are_put_in_words(held: str, opened: Open) -> None:
    page = opened(f"{held}/#en/de")
    page.locator("#source").fill("long")
    expect(page.locator("#flags li")).to_have_text(
        ["The translation repeats itself.", "A sentence was cut: its translation reached the limit of its length."]
    )
    page.locator("#source").fill("short")
    expect(page.locator("#flags")).to_be_hidden()


def test_everything_can_be_reached_by_the_keyboard_and_the_focus_is_seen(held: str, opened: Open) -> None:
    page = opened(f"{held}/#en/de", permissions=["clipboard-read", "clipboard-write"])
    expect(page.locator("#source")).to_be_focused()
    page.keyboard.type("one two")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#target")).to_have_text("ONE TWO")
    page.locator("nav a").focus()
    stops = []
    for _ in range(9):
        stops.append(page.evaluate("(e => e.id || e.className || e.name || e.tagName)(document.activeElement)"))
        assert page.evaluate(FOCUS_IS_SEEN), stops
        page.keyboard.press("Tab")
    assert stops == ["A", "from", "swap", "to", "source", "clear", "word origin", "copy", "choice"]
    page.locator("#copy").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Copied")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.textContent") == "TWO"
    assert page.locator("#mirror .word.lit").all_text_contents() == ["one", "two"]
    expect(page.locator("#detail")).to_contain_text("For “TWO” the model looked at two 75 % one 25 %")
    described = page.evaluate("document.activeElement.getAttribute('aria-describedby')")
    assert described == "detail"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#target")).to_have_text("ONE TWO!")
    page.keyboard.press("Alt+S")
    expect(page.locator("#source")).to_have_value("ONE TWO!")


FOCUS_IS_SEEN = """() => {
    const focused = document.activeElement;
    const seen = e => getComputedStyle(e).outlineStyle !== "none" && parseFloat(getComputedStyle(e).outlineWidth) >= 2;
    if (focused.id === "source") return getComputedStyle(focused.closest(".pane")).boxShadow !== "none";
    return seen(focused) || seen(focused.closest("label") ?? focused);
}"""


@pytest.mark.parametrize("width", [320, 360, 768])
def test_nothing_is_wider_than_a_narrow_screen(held: str, opened: Open, engine: FakeEngine, width: int) -> None:
    """The fixture measures it at the end of every test; this one fills the page."""
    page = opened(
        f"{held}/#en/de", viewport={"width": width, "height": 640}, has_touch=width < 700, is_mobile=width < 700
    )
    page.locator("#source").fill(f"{'unbreakable' * 12} and more words")
    expect(page.locator("#choice-list label")).to_have_count(5)
    page.locator("#target .word").last.click()
    engine.max_queue = 0
    page.locator("#source").fill("y" * 300)
    expect(page.locator("#problem")).to_be_visible()
    if width < 700:
        sizes = page.evaluate(
            "[...document.querySelectorAll('button, select, #choices label')].filter(e => e.offsetParent)"
            ".map(e => [e.id, e.getBoundingClientRect().height])"
        )
        assert sizes
        assert [found for found in sizes if found[1] < 32] == []
        assert page.evaluate("parseFloat(getComputedStyle(source).fontSize)") >= 16  # smaller ones make iOS zoom


CONTRASTS = """() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const painted = colours => {
        for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
        return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const luminance = rgb => rgb.map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const below = element => {
        const colours = [];
        for (let e = element; e; e = e.parentElement) colours.unshift(getComputedStyle(e).backgroundColor);
        return ["white", ...colours];
    };
    const source = document.getElementById("source");
    const results = [];
    const measure = (element, style) => {
        const ground = below(element);
        const one = luminance(painted(ground)), other = luminance(painted([...ground, style.color]));
        const size = parseFloat(style.fontSize), isBold = Number(style.fontWeight) >= 700;
        results.push({
            text: (element.textContent || element.value).trim().slice(0, 30),
            ratio: (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05),
            least: size >= 24 || (size >= 18.66 && isBold) ? 3 : 4.5,
        });
    };
    for (const element of document.body.querySelectorAll("*")) {
        const hasText = [...element.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
        const isExempt = !element.checkVisibility() || element.matches(":disabled, noscript, option");
        if (!(hasText || element === source) || isExempt) continue;
        if (element.closest("#mirror")) { if (element.matches(".word")) measure(element, getComputedStyle(source)); }
        else if (!element.closest(".unseen")) measure(element, getComputedStyle(element));
    }
    measure(source, getComputedStyle(source, "::placeholder"));
    return results;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(held: str, opened: Open, engine: FakeEngine, scheme: Any) -> None:
    page = opened(f"{held}/#en/de", color_scheme=scheme)
    page.locator("#source").fill("long")
    expect(page.locator("#flags")).to_be_visible()
    assert_contrasts(page, 20)
    page.locator("#source").fill("one two")
    expect(page.locator("#target")).to_have_text("ONE TWO")
    page.locator("#target .word").nth(1).focus()
    for weight in ("1", "0.5", "0.01"):
        page.locator("#mirror .lit").evaluate_all(f"spans => spans.map(s => s.style.setProperty('--weight', {weight}))")
        assert_contrasts(page, 20)
    engine.max_queue = 0
    page.locator("#source").fill("x" * 100)
    expect(page.locator("#problem")).to_be_visible()
    assert_contrasts(page, 20)
    page.locator("#source").fill("x" * 2001)
    expect(page.locator("#count")).to_have_class("over")
    assert_contrasts(page, 10)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, ground[4:-1].split(", "))) < 64) == (scheme == "dark")


def assert_contrasts(page: Page, at_least: int) -> None:
    results = page.evaluate(CONTRASTS)
    assert len(results) >= at_least
    assert [result for result in results if result["ratio"] < result["least"]] == []


def test_the_page_moves_unless_the_reader_does_not_want_it(held: str, opened: Open, engine: FakeEngine) -> None:
    for motion, animation in (("no-preference", "slide"), ("reduce", "none")):
        page = opened(f"{held}/#en/de", reduced_motion=motion)
        engine.is_held = True
        page.locator("#source").fill("one")
        expect(page.locator("#progress")).to_be_visible()
        assert page.evaluate("getComputedStyle(progress, '::before').animationName") == animation
        engine.release()
        expect(page.locator("#target")).to_have_text("ONE")


def test_every_control_has_a_name(held: str, opened: Open) -> None:
    page = opened(f"{held}/#en/de")
    page.locator("#source").fill("one two")
    expect(page.locator("#choice-list label")).to_have_count(5)
    for role, name in [
        ("combobox", "From"),
        ("combobox", "To"),
        ("button", "Swap languages"),
        ("textbox", "Text to translate"),
        ("button", "Clear"),
        ("button", "Copy"),
        ("link", "API"),
        ("group", "Translations found"),
    ]:
        expect(page.get_by_role(role, name=name, exact=True)).to_have_count(1)  # type: ignore[arg-type]
    expect(page.get_by_label("Choose files", exact=True)).to_have_count(1)
    controls = page.locator(":is(button, select, textarea, input, a):visible").count()
    assert controls == 13


def test_a_start_without_the_service_is_made_up_for(held: str, opened: Open) -> None:
    page = opened(f"{held}/#en/de")
    page.route("**/languages", lambda route: route.abort("connectionrefused"))
    page.reload()
    expect(page.locator("#problem-text")).to_have_text("The service cannot be reached.")
    page.unroute("**/languages")
    page.locator("#source").fill("one")
    expect(page.locator("#target")).to_have_text("ONE")
