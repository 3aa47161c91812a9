"""What must come through does, whatever the model says: the preservation set and hostile texts on a random network."""

from __future__ import annotations

import random
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nmt.errors import TranslationError
from nmt.inference import TranslateOptions, Translation
from nmt.inference.loading import load_pipeline
from nmt.inference.pipeline import Pipeline
from nmt.inference.types import FLAGS
from nmt.text.markup import tags
from nmt.text.protect import signature
from tests.bundles import make_bundle
from tests.text.preservation import faults, is_nested, make


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    folder: Path = tmp_path_factory.mktemp("preservation") / "toy"
    make_bundle(folder, search={"beam_size": 3, "max_length_factor": 1.0, "max_length_offset": 4})
    return load_pipeline(folder, "cpu")


def translate(pipeline: Pipeline, text: str, options: TranslateOptions | None = None) -> Translation:
    (result,) = pipeline.translate([text], options or TranslateOptions())
    assert isinstance(result, Translation)
    assert result.flags <= set(FLAGS)
    return result


def test_a_random_network_loses_nothing(pipeline: Pipeline) -> None:
    """It copies no stand-in: nearly all of it is left to the last rung."""
    flags: Counter[str] = Counter()
    for item in make(120, seed=3):
        ignored = ("x",) if item.markup == "xml" else ()
        result = translate(pipeline, item.text, TranslateOptions(markup=item.markup, ignore_tags=ignored))
        assert faults(item, result.text, result.flags) == []
        flags.update(result.flags)
    assert flags["placeholder_fallback"] > 20
    assert flags["number_mismatch"] > 10


ODD = (
    *("", " ", "\n\n", "\t", "\u200b", "\ufeff", "\x00", "\x07bell", "a\x00b", "\u2028", "\r\n"),
    *("...", "?!", "—", "()", "{}", "{", "}", "{{}}", "{{{", "%", "%%", "%s%s%s%n", "$", "${", "[[", "[1", "<", "<<>>"),
    *("<script>alert(1)</script>", "<b", "</b>", "<b></i>", "<!--", "<![CDATA[", "&", "&amp", "&#0;", "&#x110000;"),
    *("12345678901234567890", "1,2,3,4", "0x1F", "1e9", "½", "٣", "-0", "1/0", "99999999999.99 €", "§ 5", "№ 7"),
    *("Ω≈ç√", "田中さん", "مرحبا", "שלום abc", "👩‍👩‍👧‍👦", "🏳️‍🌈 x", "\u202eabc", "e\u0301", "Z̷a̸l̵g̶o̷", "ﬁ"),
    *("a" * 600, "a " * 300, "😀" * 200, "{a}" * 60, "<b>" * 60 + "x", "1 " * 150, "http://" + "a." * 150, "\\n" * 50),
    *("' OR 1=1 --", "../../etc/passwd", "C:\\", "\\\\server\\share", "{{7*7}}", "${jndi:ldap://a.b/c}", "`rm -rf /`"),
    *("\ufffc", "a \ufffc b", "X" * 30, "¤ 5", "Tom {a} Paris 350", "<unk>", "▁a￭", "[X1X]<x/>[X2X]", "NULL", "İ"),
)


@pytest.mark.parametrize("markup", ["", "html", "xml"])
def test_hostile_texts_are_answered_and_keep_their_structure(pipeline: Pipeline, markup: str) -> None:
    options = TranslateOptions(markup=markup, terms=(("abc", "DEF"),))  # type: ignore[arg-type]
    for text in ODD:
        result = translate(pipeline, text, options)
        if markup:
            assert tags(result.text) == tags(text), text
        else:
            assert signature(result.text) == signature(text), text
        if not text.strip():
            assert result.text == text


def test_any_mixture_is_the_same_alone_and_in_company(pipeline: Pipeline) -> None:
    rng = random.Random(8)
    items = [item for item in make(80, seed=4) if not item.markup]
    texts = [" ".join(rng.sample([item.text for item in items], rng.choice((1, 2)))) for _ in range(30)]
    together = pipeline.translate(texts, TranslateOptions())
    for text, result in zip(texts, together, strict=True):
        assert isinstance(result, Translation)
        assert translate(pipeline, text).text == result.text


def test_raw_switches_all_of_it_off(pipeline: Pipeline) -> None:
    text = "The {name} sees 5 DOGS 😀."
    raw = translate(pipeline, text, TranslateOptions(raw=True))
    assert "{name}" not in raw.text
    assert raw.flags <= {"truncated", "unknown_words"}


def test_links_stay_within_the_words_that_there_are(pipeline: Pipeline) -> None:
    for item in make(60, seed=6):
        options = TranslateOptions(markup=item.markup, alignments=True, attention=True, n_best=2)
        result = translate(pipeline, item.text, options)
        for hypothesis in result.alternatives:
            assert len(hypothesis.attention) in (0, len(hypothesis.text.split()))
            for source, target in hypothesis.alignment:
                assert 0 <= source < len(item.text.split())
                assert 0 <= target < len(hypothesis.text.split())


@pytest.mark.parametrize("options", [{"n_best": 4}, {"beam_size": 1}, {"prefix": "dog"}, {"max_length_factor": 0.5}])
def test_other_options_change_nothing_about_it(pipeline: Pipeline, options: dict[str, object]) -> None:
    for item in make(20, seed=7):
        result = translate(pipeline, item.text, TranslateOptions(markup=item.markup, **options))  # type: ignore[arg-type]
        for hypothesis in result.alternatives:
            assert not item.markup or is_nested(hypothesis.text)
            assert all(hypothesis.text.count(kept) == item.text.count(kept) for kept in item.kept)


def test_attributes_are_translated_on_request(pipeline: Pipeline) -> None:
    page = (
        '<p title="the old dog">The <img alt="a &quot;big&quot; cat &amp; {name}" src="x.png"> sees.</p><img alt="12">'
    )
    options = TranslateOptions(markup="html", attributes=True, n_best=2)
    result = translate(pipeline, page, options)
    for hypothesis in result.alternatives:
        elements = Attributes(hypothesis.text)
        assert [name for name, _ in elements.seen] == ["p", "img", "img"]
        assert elements.seen[1][1]["src"] == "x.png"
        assert "{name}" in str(elements.seen[1][1]["alt"])
        assert elements.seen[0][1]["title"] != "the old dog"
    between = translate(pipeline, page, TranslateOptions(markup="html"))
    assert tags(between.text) == tags(page)
    assert result.source_tokens > between.source_tokens
    alone = translate(pipeline, '<img alt="the old dog">', options).text
    assert alone == translate(pipeline, '<img alt="the old dog">', options).text != '<img alt="the old dog">'
    assert translate(pipeline, "<p>!</p>", options).text == "<p>!</p>"


def test_attributes_go_without_links(pipeline: Pipeline) -> None:
    (error,) = pipeline.translate(["<p>a</p>"], TranslateOptions(markup="html", attributes=True, alignments=True))
    assert isinstance(error, TranslationError)


class Attributes(HTMLParser):
    """The elements of a page with their attributes, as Python reads it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
