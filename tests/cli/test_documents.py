"""`nmt translate` on documents: the format by the name or by request, what is told, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.inference import FORMATS, TranslateOptions, Translator, translate_document
from tests.bundles import toy_sentences
from tests.cli.calls import call, call_here
from tests.documents.samples import unpacked, word

SENTENCES = toy_sentences(4)
PAGE = "".join(f"<p>{sentence}</p>\n" for sentence in SENTENCES)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_text(PAGE, "utf-8")
    return path


def expected(bundle: Path, data: bytes, form: str) -> bytes:
    with Translator.load(bundle) as translator:
        return translate_document(data, FORMATS[form], "en", "de", translator.results)[0]


def test_a_page_is_translated_as_a_page(bundle: Path, page: Path, tmp_path: Path) -> None:
    answer = call(tmp_path, "translate", bundle, "-i", page, "-o", tmp_path / "out.html")
    assert (answer.code, answer.out) == (0, b"")
    assert answer.err.startswith(f"{page}: 4 of 4 texts translated")
    written = (tmp_path / "out.html").read_bytes()
    assert written == expected(bundle, PAGE.encode(), "html")
    assert written.count(b"<p>") == 4
    assert not list(tmp_path.glob("*.partial"))
    streamed = call(tmp_path, "translate", bundle, "--format", "html", stdin=page)
    assert (streamed.code, streamed.out) == (0, written)


def test_a_word_file_too(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "letter.DOCX"
    path.write_bytes(word("".join(f"<w:p><w:r><w:t>{sentence}</w:t></w:r></w:p>" for sentence in SENTENCES)))
    assert call(tmp_path, "translate", bundle, "-i", path, "-o", tmp_path / "out.docx", "--workers", "2").code == 0
    assert unpacked((tmp_path / "out.docx").read_bytes()) == unpacked(expected(bundle, path.read_bytes(), "docx"))


def test_text_stays_text_line_by_line(bundle: Path, page: Path, tmp_path: Path) -> None:
    plain = tmp_path / "page.txt"
    plain.write_bytes(page.read_bytes())
    as_lines = call(tmp_path, "translate", bundle, "-i", page, "--format", "lines")
    assert as_lines.err == ""
    assert as_lines == call(tmp_path, "translate", bundle, "-i", plain)
    as_document = call(tmp_path, "translate", bundle, "-i", plain, "--format", "text")
    assert "4 of 4 texts translated" in as_document.err


def test_lines_may_be_markup(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("".join(f"<b>{s}</b> <i>{s}</i>\n" for s in SENTENCES), "utf-8")
    lines = call(tmp_path, "translate", bundle, "-i", source, "--markup", "html").out.decode().splitlines()
    with Translator.load(bundle) as translator:
        texts = source.read_text("utf-8").splitlines()
        assert lines == [t.text for t in translator.translate(texts, TranslateOptions(markup="html"))]
    assert all(line.count("<b>") == line.count("</i>") == 1 for line in lines)


def test_flags_stand_in_a_column(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("".join(f"{sentence} 12\n" for sentence in SENTENCES), "utf-8")
    lines = call(tmp_path, "translate", bundle, "-i", source, "--flags").out.decode().splitlines()
    with Translator.load(bundle) as translator:
        found = translator.translate(source.read_text("utf-8").splitlines())
    assert [line.split("\t") for line in lines] == [[t.text, ",".join(sorted(t.flags))] for t in found]


def test_terms_reach_the_translator(bundle: Path, tmp_path: Path) -> None:
    source, terms = tmp_path / "in.txt", tmp_path / "terms.tsv"
    source.write_text("".join(f"{sentence}\n" for sentence in SENTENCES), "utf-8")
    terms.write_text("\ndog\tHündin\nman \t Herr\n", "utf-8")
    lines = call(tmp_path, "translate", bundle, "-i", source, "--terms", terms).out.decode().splitlines()
    options = TranslateOptions(terms=(("dog", "Hündin"), ("man", "Herr")))
    with Translator.load(bundle) as translator:
        assert lines == [t.text for t in translator.translate(SENTENCES, options)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "pdf"], "--format pdf: not known; there are lines, text,"),
        (["--scores"], "--scores is for lines, not for HTML"),
        (["--n-best", "2"], "--n-best is for lines"),
        (["--raw"], "--raw is for lines"),
        (["--flags"], "--flags is for lines"),
        (["--markup", "html"], "--markup is for lines"),
        (["--markup", "html", "--attributes"], "--markup is for lines"),
        (["--format", "lines", "--attributes"], "--attributes goes with --markup html"),
        (["--format", "lines", "--markup", "html", "--attributes", "--alignments"], "--attributes goes with"),
        (["--format", "lines", "--markup", "rtf"], "--markup rtf: html or xml"),
        (["--format", "lines", "--markup", "xml", "--raw"], "--raw takes a line as it is: not with --markup"),
        (["--format", "lines", "--flags", "--n-best", "2"], "--flags are of the best translation"),
        (["-o", "{page}"], "{page}: would be overwritten"),
        (["--terms", "{page}"], "{page}:1: a term and its translation, separated by a tab, are expected"),
        (["--format", "docx"], "{page}: not a Word file"),
        (["--format", "srt"], "{page}: not SubRip"),
        (["-i", "{page}.none.html"], "{page}.none.html: cannot be read: No such file"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_writes_nothing(
    bundle: Path, page: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = sorted(page.parent.iterdir())
    asked = [argument.format(page=page) for argument in arguments]
    assert call_here("translate", bundle, "-i", page, *asked) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: " + message.format(page=page))
    assert err.count("\n") == 1
    assert sorted(page.parent.iterdir()) == before
    assert page.read_text("utf-8") == PAGE


def test_terms_name_their_mistake(bundle: Path, page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terms = tmp_path / "terms.tsv"
    terms.write_text("a\tb\na\tc\n", "utf-8")
    assert call_here("translate", bundle, "-i", page, "--terms", terms) == 2
    assert capsys.readouterr().err == f"error: {terms}:2: a second translation of 'a'\n"
