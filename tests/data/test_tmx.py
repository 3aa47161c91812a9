"""Translation memories: languages, inline markup, and files that are not what they claim."""

from __future__ import annotations

import gzip
import io
import itertools
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmt.data import check_corpus, read_pairs
from nmt.data.tmx import read_units
from nmt.errors import CorpusError

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4"><header srclang="en"/><body>\n'
TAIL = "</body></tmx>\n"


def unit(**segments: str) -> str:
    variants = "".join(
        f'<tuv xml:lang="{language.replace("_", "-")}"><seg>{text}</seg></tuv>' for language, text in segments.items()
    )
    return f"<tu>{variants}</tu>\n"


def read(document: str | bytes, source: str = "en", target: str = "de") -> list[tuple[str, str]]:
    data = document.encode() if isinstance(document, str) else document
    return [(found.source, found.target) for found in read_units(io.BytesIO(data), "memory.tmx", source, target)]


def segment(inner: str) -> str:
    return read(HEAD + unit(en=inner, de="x") + TAIL)[0][0]


@pytest.mark.parametrize("suffix", [".tmx", ".tmx.gz", ".TMX"])
def test_units_become_pairs_with_lines(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"memory{suffix}"
    content = (HEAD + unit(en="One &amp; two", de="Eins") + unit(de="Zwei", en="Two") + TAIL).encode()
    path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    pairs = list(read_pairs([str(path)], "en", "de"))
    assert [(pair.source, pair.target, pair.line) for pair in pairs] == [("One & two", "Eins", 3), ("Two", "Zwei", 4)]
    assert check_corpus([str(path)], "en", "de") == 2


def test_languages_match_by_primary_subtag() -> None:
    document = HEAD + unit(EN_us="colour", fr="couleur", De_AT="Farbe") + TAIL
    assert read(document) == [("colour", "Farbe")]
    assert read(document, "de-DE", "FR") == [("Farbe", "couleur")]


def test_variants_of_one_language_match_by_the_whole_tag() -> None:
    document = HEAD + unit(pt_PT="autocarro", pt_BR="ônibus") + TAIL
    assert read(document, "pt-br", "pt-pt") == [("ônibus", "autocarro")]


@pytest.mark.parametrize("source", ["pt-br", "pt_BR"])
def test_a_region_may_be_written_with_an_underscore(source: str) -> None:
    document = (HEAD + unit(pt_PT="autocarro", pt_BR="ônibus") + TAIL).replace("pt-", "pt_")
    assert read(document, source, "pt-PT") == [("ônibus", "autocarro")]
    with pytest.raises(CorpusError, match=r"to two of: pt-BR, pt-PT$"):
        read(document, "pt-BR", "de")


def test_the_old_lang_attribute_counts() -> None:
    assert read(HEAD + unit(en="a", de="b").replace("xml:lang", "lang") + TAIL) == [("a", "b")]


def test_units_without_both_languages_are_left_out_and_the_first_variant_counts() -> None:
    twice = '<tu><tuv xml:lang="en"><seg>1</seg></tuv><tuv xml:lang="en"><seg>2</seg></tuv>' + unit(de="3")[4:]
    assert read(HEAD + unit(en="alone") + twice + unit(de="allein") + TAIL) == [("1", "3")]


def test_no_unit_of_the_pair_names_the_languages_there_are() -> None:
    with pytest.raises(CorpusError, match=re.escape("memory.tmx: no unit with both en and fr; ")) as caught:
        read(HEAD + unit(EN="a", de="b") + TAIL, "en", "fr")
    assert str(caught.value).endswith("EN, de")


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("a <hi>big</hi> dog", "a big dog"),
        ('press <bpt i="1">&lt;b&gt;</bpt>OK<ept i="1">&lt;/b&gt;</ept> now', "press OK now"),
        ("see<ph>&lt;br/&gt;</ph> here<it pos='begin'>&lt;p&gt;</it>!", "see here!"),
        ("a <ph>&lt;img alt='<sub>red <hi>small</hi> dog</sub>'&gt;</ph> b", "a red small dog b"),
        ("one\ntwo&#13;three&#10;four", "one two three four"),
        ("5 &lt; 6 &quot;x&quot; <![CDATA[<y>]]>", '5 < 6 "x" <y>'),
        ("U+0085 \u0085 stays \u2028 too", "U+0085 \u0085 stays \u2028 too"),
        ("", ""),
    ],
)
def test_text_that_a_reader_sees_is_kept(inner: str, text: str) -> None:
    assert segment(inner) == text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_encodings_that_xml_declares(encoding: str) -> None:
    document = (HEAD + unit(en="café", de="Käse") + TAIL).replace("UTF-8", encoding.removesuffix("-sig"))
    assert read(document.encode(encoding)) == [("café", "Käse")]


def test_a_document_type_without_entities_is_read() -> None:
    document = HEAD.replace("<tmx ", '<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx ') + unit(en="a", de="b") + TAIL
    assert read(document) == [("a", "b")]


def test_an_entity_that_nothing_declares_is_refused_where_it_stands_in_text() -> None:
    """And not left out of it: with a document type it is well-formed, and expat skips it."""
    head = HEAD.replace("<tmx ", '<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx ')
    with pytest.raises(CorpusError, match=r"^memory\.tmx:5: the XML entity nbsp is not declared"):
        read(head + unit(en="a", de="b") + unit(en="a&nbsp;b", de="c") + TAIL)
    assert read(head + "<note>&nbsp;</note>" + unit(en="a<ph>&nbsp;</ph>b", de="c") + TAIL) == [("ab", "c")]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (HEAD + unit(en="a", de="b") + "<tu>\n<oops></tu>" + TAIL, "memory.tmx:5: malformed TMX: mismatched tag"),
        (HEAD + unit(en="a", de="b"), "memory.tmx:4: malformed TMX: no element found"),
        (HEAD + unit(en="a & b", de="c"), "memory.tmx:3: malformed TMX: not well-formed"),
        ("", "memory.tmx:1: malformed TMX: no element found"),
        ("<html/>", "memory.tmx: not a TMX file: its root is <html>"),
        (HEAD.replace("UTF-8", "no-such-codec") + TAIL, "memory.tmx: declares an encoding"),
        (
            HEAD.replace("<tmx ", '<!DOCTYPE tmx [<!ENTITY a "b">\n<!ENTITY c "&a;&a;">]><tmx ')
            + unit(en="&c;", de="x"),
            "memory.tmx:2: declares the XML entity a",
        ),
        (
            HEAD.replace("<tmx ", '<!DOCTYPE tmx [<!ENTITY a SYSTEM "/etc/passwd">]><tmx ') + unit(en="&a;", de="x"),
            "memory.tmx:2: declares the XML entity a",
        ),
    ],
)
def test_flaws_are_one_line_with_the_place(document: str, message: str) -> None:
    with pytest.raises(CorpusError, match="^" + re.escape(message)) as caught:
        read(document)
    assert "\n" not in str(caught.value)


def test_invalid_utf8_is_found_at_its_line() -> None:
    with pytest.raises(CorpusError, match=r"memory\.tmx:4: malformed TMX"):
        read((HEAD + unit(en="a", de="b")).encode() + b"<tu>\xff</tu>" + TAIL.encode())


class Blocks(io.BytesIO):
    """A long document of which one block at a time exists."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        body = unit(en="word " * 20, de="Wort " * 20).encode() * 200
        self._blocks: Iterator[bytes] = itertools.chain(
            [HEAD.encode()], itertools.repeat(body, blocks), [TAIL.encode()]
        )

    def read(self, size: int | None = -1) -> bytes:
        return next(self._blocks, b"")


def test_memory_stays_constant() -> None:
    def peak_bytes(blocks: int) -> int:
        units = read_units(Blocks(blocks), "memory.tmx", "en", "de")
        tracemalloc.start()
        count = len([None for _ in units])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 200 * blocks
        return peak - 8 * count  # the list's own pointers

    assert peak_bytes(40) < 1.5 * peak_bytes(4)
