"""Documents through a translator: portions, pieces, what is left as it was; and a real bundle behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from nmt.documents import Unit
from nmt.errors import DocumentError, NmtError, TranslationError
from nmt.inference import FORMATS, DocumentTranslation, TranslateOptions, Translation, Translator, translate_document
from nmt.inference.documents import MAX_TEXT_CHARS, PORTION_TEXTS
from tests.bundles import make_bundle, toy_sentences
from tests.documents.samples import loud, word


class Fake:
    """Upper case between tags; remembers what it was asked."""

    def __init__(self, **special: Translation | NmtError) -> None:
        self.asked: list[tuple[list[str], TranslateOptions]] = []
        self.special = special

    def __call__(self, texts: Sequence[str], options: TranslateOptions) -> Iterable[Translation | NmtError]:
        self.asked.append((list(texts), options))
        for text in texts:
            unit = Unit(text, "", "xml" if options.markup else "")
            yield self.special.get(text) or Translation(loud(unit), flags=frozenset({"long"} if "long" in text else ()))


def test_each_different_text_is_translated_once_with_its_markup() -> None:
    fake = Fake()
    page = b"<p>one</p><p> one </p><p>a <b>b</b></p>"
    written, report = translate_document(page, FORMATS["html"], "en", "de", fake, TranslateOptions(beam_size=3))
    assert written == b"<p>ONE</p><p> ONE </p><p>A <b>B</b></p>"
    assert fake.asked == [
        (["one"], TranslateOptions(beam_size=3)),
        (['a <g id="1">b</g>'], TranslateOptions(beam_size=3, markup="xml")),
    ]
    assert (report.texts, report.translated, report.failures) == (3, 3, ())


def test_what_fails_or_does_not_fit_stays_and_is_told() -> None:
    fake = Fake(two=TranslationError("cannot"), **{'a <g id="1">b</g>': Translation("A B")})
    page = b"<p>one</p>\n<p>two</p>\n<p>a <b>b</b></p>\n<p>long one</p>"
    written, report = translate_document(page, FORMATS["html"], "en", "de", fake)
    assert written == b"<p>ONE</p>\n<p>two</p>\n<p>a <b>b</b></p>\n<p>LONG ONE</p>"
    assert report.failures == (("line 2", "cannot"), ("line 3", "the translation does not keep its structure"))
    assert (report.texts, report.translated, dict(report.flags)) == (4, 2, {"long": 1})


def test_portions_hold_so_many_texts_and_no_more() -> None:
    lines = "".join(f"line {number} is one\n" for number in range(200)).encode()
    work = DocumentTranslation(lines, FORMATS["text"], "en", "de")
    assert [len(portion.texts) for portion in work.portions()] == [PORTION_TEXTS] * 3 + [200 - 3 * PORTION_TEXTS]
    assert [len(portion.texts) for portion in work.portions(texts=150)] == [150, 50]
    assert all(sum(map(len, portion.texts[:-1])) < 100 for portion in work.portions(characters=100))
    assert work.texts == 200
    assert work.characters == len(lines) - 200
    assert work.sample(30) == "line 0 is one\nline 1 is one\nli"


def test_a_very_long_line_goes_in_pieces_and_is_one_line_again() -> None:
    line = "some words and more. " * 2_000
    fake = Fake()
    written, report = translate_document(f" {line}\n".encode(), FORMATS["text"], "en", "de", fake)
    assert written.decode() == f" {line.upper()}\n"
    texts = [text for texts, _ in fake.asked for text in texts]
    assert 0 < max(map(len, texts)) <= MAX_TEXT_CHARS
    assert report.texts == 1


def test_without_results_a_document_is_as_it_was() -> None:
    data = b"one\r\ntwo"
    written, report = DocumentTranslation(data, FORMATS["text"], "en", "de").finish()
    assert written == data
    assert report.failures == (("line 1", "it was not translated"), ("line 2", "it was not translated"))


def test_what_is_none_of_its_format_is_refused() -> None:
    with pytest.raises(DocumentError):
        translate_document(b"a", FORMATS["docx"], "en", "de", Fake())


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Translator:
    folder = tmp_path_factory.mktemp("models") / "en-de"
    make_bundle(folder, search={"beam_size": 2, "max_length_factor": 0.8, "max_length_offset": 4})
    return Translator.load(folder)


def test_a_real_translator_gives_each_text_what_it_gives_it_alone(translator: Translator) -> None:
    sentences = toy_sentences(12)
    lines = "\r\n".join(["", *sentences, sentences[0], "  * * *"])
    written, report = translate_document(lines.encode(), FORMATS["text"], "en", "de", translator.results)
    alone = [translation.text for translation in translator.translate(sentences)]
    assert written.decode().split("\r\n") == ["", *alone, alone[0], "  * * *"]
    assert report.translated == 13
    assert report.source_tokens > 0


def test_a_real_translator_keeps_tags(translator: Translator) -> None:
    """Of a network that knows no words the tags still come back, each once."""
    page = "".join(f"<p>{s[:5]}<b>{s[5:9]}</b>{s[9:]} <a href='x'>{s}</a><br></p>\n" for s in toy_sentences(6))
    written, report = translate_document(page.encode(), FORMATS["html"], "en", "de", translator.results)
    for tag in ("<p>", "<b>", "</b>", "<a href='x'>", "</a>", "<br>"):
        assert written.decode().count(tag) == 6
    assert report.failures == ()
    assert written != page.encode()
    bold = '<w:r><w:rPr><w:b/></w:rPr><w:t xml:space="preserve">{}</w:t></w:r>'
    run = f'{bold}<w:r><w:t xml:space="preserve"> {{}}</w:t></w:r>'
    body = "".join(f"<w:p>{run.format(s[:9], s[9:])}</w:p>" for s in toy_sentences(6))
    written, report = translate_document(word(body), FORMATS["docx"], "en", "de", translator.results)
    assert report.failures == ()
    assert report.texts == 6


def test_portions_in_any_order_give_the_same_document(translator: Translator) -> None:
    """Portion by portion, as the service does, is what all at once is."""
    data = "\n".join(toy_sentences(30)).encode()
    whole, _ = translate_document(data, FORMATS["text"], "en", "de", translator.results)
    work = DocumentTranslation(data, FORMATS["text"], "en", "de")
    for portion in reversed(list(work.portions(texts=7))):
        work.note(portion, translator.results(portion.texts, portion.options))
    assert work.finish()[0] == whole
