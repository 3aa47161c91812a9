"""Word files: formatting, links and things follow their words, and nothing else of the package changes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable

import docx
import pytest
from lxml import etree

from nmt.documents import Limits
from nmt.errors import DocumentError, DocumentTooLarge
from tests.documents.samples import archive, loud, read, rewritten, same, turned, units, unpacked, word
from tests.effort import effort_s


def run(text: str, formatting: str = "") -> str:
    properties = f"<w:rPr>{formatting}</w:rPr>" if formatting else ""
    return f'<w:r>{properties}<w:t xml:space="preserve">{text}</w:t></w:r>'


def field(instruction: str, result: str) -> str:
    mark = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
    return (
        mark.format("begin")
        + f'<w:r><w:instrText xml:space="preserve"> {instruction} </w:instrText></w:r>'
        + mark.format("separate")
        + result
        + mark.format("end")
    )


def paragraph(*content: str) -> str:
    return f'<w:p w:rsidR="00A1"><w:pPr><w:jc w:val="left"/></w:pPr>{"".join(content)}</w:p>'


NOTE = '<w:r><w:rPr><w:rStyle w:val="FootnoteReference"/></w:rPr><w:footnoteReference w:id="1"/></w:r>'
LINKED = "<w:rStyle w:val='Hyperlink'/>"
LINK = f'<w:hyperlink r:id="rId4">{run("a link", LINKED)}</w:hyperlink>'
BOX = (
    f"<w:r><w:pict><w:textbox><w:txbxContent>{paragraph(run('In the box'))}</w:txbxContent></w:textbox></w:pict></w:r>"
)
INNER_TABLE = f"<w:tbl><w:tr><w:tc>{paragraph(run('Inner'))}</w:tc></w:tr></w:tbl>"
BOOKMARK = '<w:bookmarkStart w:id="0" w:name="x"/>', run("marked"), '<w:bookmarkEnd w:id="0"/>'
CHANGES = (
    f'<w:ins w:id="1" w:author="a">{run("Added")}</w:ins>',
    '<w:del w:id="2"><w:r><w:delText>gone</w:delText></w:r></w:del>',
)
CONTROL = f"<w:sdt><w:sdtPr><w:alias w:val='t'/></w:sdtPr><w:sdtContent>{run('Control')}</w:sdtContent></w:sdt>"
LONG_LINK = '<w:hyperlink r:id="rId5"><w:r><w:t>Over</w:t><w:br/><w:t>two lines</w:t></w:r></w:hyperlink>'
BODY = "".join(
    [
        paragraph(run("Hello "), run("bold", "<w:b/>"), '<w:proofErr w:type="spellEnd"/>', run(" wor"), run("ld")),
        paragraph(run("See "), LINK, NOTE, run("."), "<w:r><w:br/><w:t>Next line</w:t><w:tab/><w:t>12</w:t></w:r>"),
        f"<w:tbl><w:tr><w:tc>{paragraph(run('A cell'))}</w:tc><w:tc>{INNER_TABLE}</w:tc></w:tr></w:tbl>",
        paragraph(run("Page "), field("PAGE", run("1")), run(" of this")),
        paragraph(run("Open "), field('HYPERLINK "http://a"', run("our page")), run(" now")),
        paragraph(BOX, run("Text "), *BOOKMARK),
        paragraph(*CHANGES, run(" words")),
        paragraph(CONTROL, run(" it")),
        paragraph(LONG_LINK, run(" here")),
        paragraph(run("2024")),
    ]
)
PARTS = {
    "header": paragraph(run("A header")),
    "footer": paragraph(run("A footer")),
    "footnotes": f'<w:footnote w:id="1">{paragraph(run("A note"))}</w:footnote>',
    "endnotes": f'<w:endnote w:id="1">{paragraph(run("An end note"))}</w:endnote>',
    "comments": f'<w:comment w:id="1">{paragraph(run("Keep this comment"))}</w:comment>',
}
FILE = word(BODY, **PARTS)


def test_units_are_paragraphs_with_their_codes() -> None:
    assert units("docx", FILE) == [
        'Hello <g id="1">bold</g> world',
        'See <g id="1">a link</g><m id="2"/>.',
        "Next line",
        "A cell",
        "Inner",
        'Page <x id="1"/> of this',
        'Open <g id="1">our page</g> now',
        'Text <g id="1">marked</g>',
        "In the box",
        '<g id="1">Added</g><m id="2"/> words',
        '<g id="1">Control</g> it',
        "Over",
        "two lines",
        " here",
        "A header",
        "A footer",
        "A note",
        "An end note",
    ]
    assert read("docx", FILE).units[3].place == "document.xml, paragraph 3"


def outline(data: bytes) -> dict[str, object]:
    """Everything of a package but text and how it is cut into runs: elements in order, by part."""
    found: dict[str, object] = {}
    for name, content in unpacked(data).items():
        if not name.endswith(".xml"):
            found[name] = content
            continue
        root = etree.fromstring(content)
        skipped = {"r", "t", "rPr", "proofErr"}
        found[name] = [
            (element.tag, dict(element.attrib), element.text if etree.QName(element).localname == "instrText" else None)
            for element in root.iter(etree.Element)
            if etree.QName(element).localname not in skipped
        ]
    return found


def test_the_package_is_the_same_but_for_text() -> None:
    written = rewritten("docx", FILE, loud)
    assert outline(written) == outline(FILE)
    assert unpacked(written)["word/comments1.xml"] == unpacked(FILE)["word/comments1.xml"]
    with zipfile.ZipFile(io.BytesIO(FILE)) as old, zipfile.ZipFile(io.BytesIO(written)) as new:
        assert [(i.filename, i.date_time, i.compress_type) for i in new.infolist()] == [
            (i.filename, i.date_time, i.compress_type) for i in old.infolist()
        ]


def test_the_same_texts_leave_every_part_as_it_was() -> None:
    assert unpacked(rewritten("docx", FILE, same)) == unpacked(FILE)


def test_text_is_translated_everywhere() -> None:
    written = unpacked(rewritten("docx", FILE, loud))
    for name, content in written.items():
        if name.endswith(".xml") and "comments" not in name and "Types" not in name:
            texts = "".join(etree.fromstring(content).itertext("{*}t"))
            assert texts == texts.upper(), name
            assert texts


def test_formatting_follows_its_words() -> None:
    written = docx.Document(io.BytesIO(rewritten("docx", word(BODY), turned)))
    first = written.paragraphs[0]
    assert [(r.text, r.bold) for r in first.runs] == [(" WORLD", None), ("BOLD", True), ("HELLO ", None)]
    second = etree.tostring(written.paragraphs[1]._p, encoding="unicode")
    assert re.search(
        r"<w:t>\.</w:t>.*footnoteReference.*<w:hyperlink[^>]*>.*Hyperlink.*A LINK.*</w:hyperlink>.*SEE ", second
    )
    assert written.tables[0]._tbl.tr_lst[0].tc_lst[0].p_lst[0].text == "A CELL"
    page = etree.tostring(written.paragraphs[2]._p, encoding="unicode")
    assert re.search(r"OF THIS.*begin.* PAGE .*separate.*<w:t[^>]*>1</w:t>.*end.*>PAGE <", page)
    link = etree.tostring(written.paragraphs[3]._p, encoding="unicode")
    assert re.search(r"NOW.*begin.*HYPERLINK.*separate.*OUR PAGE.*end.*OPEN ", link)


def test_a_real_document_of_another_program_is_read_back_by_it() -> None:
    document = docx.Document()
    document.add_heading("A heading", 1)
    one = document.add_paragraph("Some ")
    one.add_run("bold").bold = True
    one.add_run(" and ")
    one.add_run("italic").italic = True
    one.add_run(" words.")
    document.add_paragraph("An item", style="List Bullet")
    document.add_table(1, 2).cell(0, 1).text = "A cell"
    document.sections[0].header.paragraphs[0].text = "On top"
    saved = io.BytesIO()
    document.save(saved)
    written = docx.Document(io.BytesIO(rewritten("docx", saved.getvalue(), loud)))
    assert [(p.text, p.style and p.style.name) for p in written.paragraphs] == [
        ("A HEADING", "Heading 1"),
        ("SOME BOLD AND ITALIC WORDS.", "Normal"),
        ("AN ITEM", "List Bullet"),
    ]
    assert [(r.text, r.bold, r.italic) for r in written.paragraphs[1].runs if r.bold or r.italic] == [
        ("BOLD", True, None),
        ("ITALIC", None, True),
    ]
    assert written.tables[0].cell(0, 1).text == "A CELL"
    assert written.sections[0].header.paragraphs[0].text == "ON TOP"


COMMENT = '<w:commentRangeStart w:id="1"/>{}<w:commentRangeEnd w:id="1"/><w:r><w:commentReference w:id="1"/></w:r>'
CURSOR = '<w:bookmarkStart w:id="0" w:name="_GoBack"/><w:bookmarkEnd w:id="0"/>'
FLOATING = "<w:r><w:drawing><wp:anchor xmlns:wp='urn:wp'/></w:drawing></w:r>"
IN_LINE = "<w:r><w:drawing><wp:inline xmlns:wp='urn:wp'/></w:drawing></w:r>"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([run("I am "), CURSOR, run("here")], 'I am <m id="1"/><m id="2"/>here'),
        (
            [run("I am "), COMMENT.format(run("not") + run("so", "<w:b/>")), run(" here")],
            'I am <g id="1">not<g id="2">so</g></g><m id="3"/> here',
        ),
        ([run("So "), FLOATING, run("is "), IN_LINE, run("this")], 'So <m id="1"/>is <x id="2"/>this'),
        ([run("A "), field('XE "word"', ""), run("word")], 'A <m id="1"/>word'),
        ([run("A "), '<w:moveFrom w:id="2"/>', run("word")], 'A <m id="1"/>word'),
    ],
)
def test_what_nobody_says_is_no_placeholder_for_a_word(content: list[str], text: str) -> None:
    assert units("docx", word(paragraph(*content))) == [text]


def test_bookmarks_that_cross_formatting_or_each_other_stay_in_order_of_their_own() -> None:
    first, second = ((f'<w:bookmarkStart w:id="{n}"/>', f'<w:bookmarkEnd w:id="{n}"/>') for n in (1, 2))
    crossing = [run("a "), first[0], run("b "), second[0], run("c "), first[1], run("d "), second[1], run("e")]
    linked = [run("a "), first[0], run("b "), f'<w:hyperlink r:id="r1">{run("c")}{first[1]}{run(" d")}</w:hyperlink>']
    file = word(paragraph(*crossing) + paragraph(*linked))
    assert units("docx", file) == [
        'a <m id="1"/>b <g id="2">c <m id="3"/>d </g>e',
        'a <m id="1"/>b <g id="2">c<m id="3"/> d</g>',
    ]
    for translate in (loud, turned):
        assert sorted(map(str, outline(rewritten("docx", file, translate))["word/document.xml"])) == sorted(  # type: ignore[call-overload]
            map(str, outline(file)["word/document.xml"])  # type: ignore[call-overload]
        )


def test_a_field_that_goes_on_elsewhere_keeps_its_order() -> None:
    begin, end = '<w:r><w:fldChar w:fldCharType="begin"/></w:r>', '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    document = read("docx", word(paragraph(run("one "), end, run("two "), begin, run("three"))))
    (unit,) = document.units
    assert unit.text == 'one <x id="1"/>two <x id="2"/>three'
    assert document.accepts(0, 'Eins <x id="1"/>zwei <x id="2"/>drei')
    assert not document.accepts(0, 'Eins <x id="2"/>zwei <x id="1"/>drei')


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a Word file, or damaged"),
        (b"PK\x03\x04 no", "not a Word file, or damaged"),
        (FILE[:-40], "not a Word file, or damaged"),
        (FILE[:200] + b"x" * 20 + FILE[220:], "damaged|not well-formed|not a Word"),
        (archive({"a.txt": "x"}), "no list of its parts"),
        (archive({"[Content_Types].xml": "<Types/>"}), "it has no document part"),
        (word("<w:p>"), "word/document.xml, line 2: not well-formed XML"),
        (word(BODY).replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x01\x00\x08\x00"), "password|damaged"),
    ],
)
def test_what_is_no_word_file_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read("docx", data)


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    bomb = archive({"[Content_Types].xml": "<Types/>", "word/a.bin": b"\x00" * 50_000_000})
    assert len(bomb) < 100_000
    with pytest.raises(DocumentError, match=r"word/a\.bin: unpacks to more than 1,000,000 bytes"):
        read("docx", bomb, limits=Limits(max_bytes=1_000_000))
    with pytest.raises(DocumentError, match="more than 3 files"):
        read("docx", FILE, limits=Limits(max_entries=3))


def test_formatting_that_a_translation_would_copy_over_and_over_is_refused() -> None:
    formatted = f"<w:r><w:rPr>{'<w:b/>' * 300}</w:rPr>{'<w:t>a</w:t><w:tab/>' * 300}</w:r>"
    assert len(units("docx", word(paragraph(formatted)))) == 300
    with pytest.raises(DocumentTooLarge, match=r"paragraph 1: more than 20,000 tags of formatting"):
        read("docx", word(paragraph(formatted)), limits=Limits(max_pieces=20_000))


@pytest.mark.parametrize(
    "content",
    [
        lambda n: f"<w:r><w:rPr>{'<w:b/>' * n}</w:rPr>{'<w:t>a</w:t><w:tab/>' * n}</w:r>",
        lambda n: run("word") + "<w:hyperlink/>" * (20 * n),
    ],
)
def test_a_paragraph_of_many_parts_takes_no_great_time(content: Callable[[int], str]) -> None:
    few, many = (word(paragraph(content(n))) for n in (50, 500))
    limit_s = 40 * max(effort_s(lambda: units("docx", few), 0.01), 0.01)
    assert effort_s(lambda: units("docx", many), limit_s) < limit_s


def test_controls_around_paragraphs_and_what_is_deleted_are_left() -> None:
    def control(kind: str, content: str) -> str:
        return f"<w:sdt><w:sdtPr><w:{kind}/></w:sdtPr><w:sdtContent>{content}</w:sdtContent></w:sdt>"

    cell = f"<w:tc>{paragraph(run('Choice'))}</w:tc>"
    file = word(
        control("date", paragraph(run("1 January")))
        + control("bibliography", control("richText", paragraph(run("Smith (2001)"))))
        + f"<w:tbl><w:tr>{control('dropDownList', cell)}</w:tr></w:tbl>"
        + control("richText", paragraph(run("A text")))
        + paragraph(f'<w:del w:id="1">{BOX}</w:del>', run("Left over"))
    )
    assert units("docx", file) == ["A text", "Left over"]
