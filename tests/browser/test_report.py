"""The page of an evaluation in Chromium: nothing is fetched, nothing scrolls sideways, a phone can show it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from nmt.evaluation.quality import EvaluationSet
from nmt.evaluation.report import Texts, report
from nmt.evaluation.study import study
from tests.evaluation.systems import sentences, worsened

pytestmark = pytest.mark.browser

LONG = "models/a-name-that-is-much-longer-than-a-telephone-is-wide-and-has-no-blank-in-it-anywhere/en-de"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources, references = sentences(80)
    sources[3], references[3] = "x" * 300, "y" * 300
    systems = [("en-de", worsened(references, 0.2, 1)), (LONG, worsened(references, 0.3, 2)), ("c", references)]
    buckets = {"rarest word": {"never seen": [1, 2, 3], "1000+ times": list(range(4, 80))}}
    against = EvaluationSet([references, references], sources)
    found = study(systems, against, rarity=buckets, frequencies={"der": 1000}, resamples=40, trials=40)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report(found, Texts(LONG, "en", "de")), "utf-8")
    return path


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark"), (320, "light")])
def test_the_report_fits_every_screen(
    browser: Browser, page_file: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 720}, color_scheme=scheme)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda r: problems.append(r.url) if r.url != page_file.as_uri() else None)
    page.goto(page_file.as_uri())
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # nothing sticks out of the page but what scrolls in a frame of its own
    wide = "[...document.querySelectorAll('main *')].filter(e => !e.closest('.table') && "
    wide += "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))"
    assert page.evaluate(wide) == []
    smallest = "Math.min(...[...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect().height))"
    assert page.evaluate(smallest) >= 9  # pixels
    back, ink = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    assert (sum(map(int, back[4:-1].split(", "))) < sum(map(int, ink[4:-1].split(", ")))) == (scheme == "dark")
    assert problems == []
    context.close()


def test_charts_are_images_with_a_name_and_tables_can_be_reached_by_key(browser: Browser, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    expect(page.get_by_role("img").first).to_have_accessible_name(
        re.compile(r"^BLEU by words in the source, of en-de and models/.* and c\. 1-5: ")
    )
    for frame in page.get_by_role("region").filter(has=page.locator("table")).all():
        frame.focus()
        expect(frame).to_be_focused()
    texts = page.locator("svg.chart text.label, svg.chart text.value, svg.chart text.end")
    inside = page.evaluate(
        "[...document.querySelectorAll('svg.chart text')].filter(e => { const b = e.getBoundingClientRect(), "
        "f = e.closest('svg').getBoundingClientRect(); return b.width && (b.left < f.left - 1 || b.right > f.right + 1)"
        "}).map(e => e.textContent)"
    )
    assert texts.count() > 10
    assert inside == []
    page.close()
