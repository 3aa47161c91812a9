"""The page of a study: well-formed, alone in the world, escaped, and with the figures that the study has."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import lxml.html
import pytest
from lxml.html import HtmlElement

from nmt.evaluation.quality import EvaluationSet
from nmt.evaluation.rarity import RAREST_WORD
from nmt.evaluation.report import SENTENCES_SHOWN, Texts, report
from nmt.evaluation.study import Study, study
from tests.evaluation.systems import sentences, worsened
from tests.evaluation.test_page import Checker

SOURCES, REFERENCES = sentences(60)
OURS, THEIRS = worsened(REFERENCES, 0.2, seed=1), worsened(REFERENCES, 0.35, seed=2)
HOSTILE = "<script>alert('x')</script> & \"quoted\" </bdi>"
FEW: Any = {"resamples": 40, "trials": 99}


class Page(Checker):
    """Shapes close themselves."""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"rect", "path", "circle"}


def check(text: str) -> None:
    """Every element is closed, in the order in which it was opened."""
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []


def made() -> Study:
    against = EvaluationSet([REFERENCES], SOURCES)
    rarity = {RAREST_WORD: {"never seen": [0, 1, 2], "1-9 times": list(range(3, 60))}}
    return study(
        [("ours", OURS), ("theirs", THEIRS)], against, rarity=rarity, frequencies={"hund": 5, "der": 1000}, **FEW
    )


@pytest.fixture(scope="module")
def two() -> tuple[Study, HtmlElement, str]:
    found = made()
    text = report(found, Texts("A & B", "en", "de"))
    return found, lxml.html.document_fromstring(text), text


def test_the_page_is_well_formed(two: tuple[Study, HtmlElement, str]) -> None:
    check(two[2])


def test_the_page_asks_nothing_of_anybody(two: tuple[Study, HtmlElement, str]) -> None:
    _, root, text = two
    assert not root.xpath("//script | //link | //img | //iframe | //object | //*[@src]")
    assert all(link.startswith("#") for link in root.xpath("//@href"))
    assert not re.search(r"url\(|@import|https?:|\bon\w+=", text)


def test_what_it_needs_for_phones_dark_rooms_and_screen_readers_is_there(two: tuple[Study, HtmlElement, str]) -> None:
    _, root, text = two
    assert root.get("lang") == "en"
    assert root.xpath("//meta[@name='viewport']/@content") == ["width=device-width, initial-scale=1"]
    assert "prefers-color-scheme: dark" in text
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in root.xpath("//svg[@class='chart']"))
    for table in root.xpath("//table"):
        assert table.xpath("caption")
        assert table.xpath("thead/tr/th[not(@scope='col')]") == []
        columns = len(table.xpath("thead/tr/th"))
        for row in table.xpath("tbody/tr"):
            assert row.xpath("th/@scope") == ["row"]
            assert len(row) == columns
        frame = table.getparent()
        assert (frame.get("role"), frame.get("tabindex")) == ("region", "0")
        assert frame.get("aria-label")
    ids = root.xpath("//@id")
    assert len(set(ids)) == len(ids)
    assert {link[1:] for link in root.xpath("//nav//@href")} == set(ids)
    assert {element.get("lang") for element in root.xpath("//bdi")} == {"en", "de"}
    levels = [int(heading.tag[1]) for heading in root.iter("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(following - one <= 1 for one, following in pairwise(levels))


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    shares = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_letters_stand_out_in_light_and_in_dark(two: tuple[Study, HtmlElement, str]) -> None:
    style = two[2].partition("<style>")[2].partition("</style>")[0]
    light = dict(re.findall(r"--([\w-]+): (#\w+)", style.split("@media (prefers")[0]))
    dark = dict(re.findall(r"--([\w-]+): (#\w+)", style.split("prefers-color-scheme: dark")[1].split("} }")[0]))
    assert set(light) == set(dark)
    for colours in (light, dark):
        for ink, back in (
            ("ink", "back"),
            ("soft", "back"),
            ("soft", "card"),
            ("s0", "back"),  # links
            ("right-ink", "right-back"),
            ("wrong-ink", "wrong-back"),
        ):
            assert contrast(colours[ink], colours[back]) >= 4.5, (ink, back)
        for series in ("s0", "s1", "s2", "s3", "s4"):  # shapes: 3 is enough
            assert contrast(colours[series], colours["back"]) >= 3, series


def test_the_figures_are_those_of_the_study(two: tuple[Study, HtmlElement, str]) -> None:
    found, root, _ = two
    cards = [value.text for value in root.xpath("//div[@class='card']/b")]
    assert cards == [f"{score.value:.2f}" for score, _ in found.system.scores.values()]
    cells = [[cell.text_content() for cell in row] for row in root.xpath("//section[2]//tbody/tr")]
    for row, test in zip(cells, found.comparisons[0], strict=True):
        assert row[:4] == [test.metric, f"{test.ours:.2f}", f"{test.theirs:.2f}", f"{test.ours - test.theirs:+.2f}"]
        assert row[-2:] == [f"{test.p_bootstrap:.4f}", f"{test.p_randomisation:.4f}"]
    text = root.text_content()
    assert "ours is" in text
    assert "ahead of theirs" in text
    assert all(signature in text for signature in found.signatures())
    assert len(root.xpath("//circle")) == 60
    histogram = root.xpath("//table[caption='Sentences by score']/tbody/tr")
    assert sum(int(row[1].text) for row in histogram) == 60


def test_sentences_that_differ_most_come_first_with_their_words_marked(two: tuple[Study, HtmlElement, str]) -> None:
    found, root, _ = two
    gain = found.system.sentences - found.others[0].sentences
    items = root.xpath("//h2[@id='differences']/..//ol[1]/li")
    assert len(items) == SENTENCES_SHOWN
    line = int(items[0].xpath("span")[0].text.removeprefix("Line ")) - 1
    assert gain[line] == gain.max()
    texts = [" ".join(dd.text_content().split()) for dd in items[0].xpath("dl/dd")]
    assert texts == [" ".join(some[line].split()) for some in (SOURCES, REFERENCES, OURS, THEIRS)]
    wrong = [mark.text for mark in items[0].xpath("dl/dd[4]//mark[@class='wrong']")]
    assert wrong
    assert {word for text in wrong for word in text.split()} == {"falsch"}


def test_a_system_alone_has_its_worst_sentences_and_no_tests() -> None:
    against = EvaluationSet([REFERENCES], None)
    found = study([("only", OURS)], against, **FEW)
    root = lxml.html.document_fromstring(report(found, Texts("Alone")))
    assert [heading.text for heading in root.xpath("//h2")] == [
        "Scores",
        "Scores of sentences",
        "Faults",
        "Sentences with the lowest scores",
        "How this was made",
    ]
    first = root.xpath("//h2[@id='differences']/..//ol[1]/li[1]/span")[0].text
    assert found.system.sentences[int(first.removeprefix("Line ")) - 1] == found.system.sentences.min()
    assert "lang" not in root.xpath("//bdi")[0].attrib


def test_hostile_text_stays_text() -> None:
    against = EvaluationSet([[HOSTILE, "b c"]], [HOSTILE, "b c"])
    found = study([(HOSTILE, [HOSTILE + " x", ""]), ("<i>", [HOSTILE * 3, "c"])], against, **FEW)
    text = report(found, Texts(HOSTILE, '"en', "<de>"))
    root = lxml.html.document_fromstring(text)
    assert not root.xpath("//script | //i")
    assert root.xpath("//title")[0].text == root.xpath("//h1")[0].text == HOSTILE
    assert "nothing" in [element.text for element in root.xpath("//dd//em")]
    check(text)


def test_faults_are_listed_with_their_sentences() -> None:
    outputs = ["x x x x x", *REFERENCES[1:]]
    outputs[3] = SOURCES[3]
    found = study([("ours", outputs)], EvaluationSet([REFERENCES], SOURCES), **FEW)
    root = lxml.html.document_fromstring(report(found, Texts("t")))
    folded = {one.xpath("summary")[0].text: one.text_content() for one in root.xpath("//details")}
    assert "Line 1" in folded["Repetitions of ours: 1"]
    assert SOURCES[3] in folded["Copies of ours: 1"]
