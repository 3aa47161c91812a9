"""OpenDocument, PowerPoint and electronic books: structure, codes and all other files of the package stay."""

from __future__ import annotations

import pytest
from lxml import etree

from nmt.errors import DocumentError
from tests.documents.samples import archive, loud, read, rewritten, same, turned, units, unpacked

_ODF = "urn:oasis:names:tc:opendocument:xmlns"
NAMES = " ".join(f'xmlns:{name}="{_ODF}:{name}:1.0"' for name in ("text", "style", "office", "table", "fo"))
STYLES = (
    '<style:style style:name="T1" style:family="text"><style:text-properties style:rsid="1"/></style:style>'
    '<style:style style:name="T2" style:family="text"><style:text-properties fo:font-weight="bold"/></style:style>'
)
OPEN = "application/vnd.oasis.opendocument.text"
TEXT = archive(
    {
        "mimetype": OPEN,
        "content.xml": f"""<?xml version="1.0" encoding="UTF-8"?>
<office:document-content {NAMES}><office:automatic-styles>{STYLES}</office:automatic-styles><office:body><office:text>
<text:tracked-changes><text:p>Deleted</text:p></text:tracked-changes>
<text:h>A <text:span text:style-name="T1">head</text:span>ing</text:h>
<text:p>See <text:span text:style-name="T2">bold</text:span> and <text:a>a link</text:a><text:note><text:note-body>
<text:p>A note</text:p></text:note-body></text:note>.<text:line-break/>Next<text:tab/>12<text:s/></text:p>
<table:table><table:table-cell><text:p>A cell</text:p></table:table-cell></table:table>
<text:p>Said<office:annotation><text:p>A comment</text:p></office:annotation> so</text:p>
</office:text></office:body></office:document-content>""",
        "styles.xml": f"<office:styles {NAMES}><style:header><text:p>On top</text:p></style:header></office:styles>",
        "Pictures/a.png": b"\x89PNG",
        "META-INF/manifest.xml": "<manifest/>",
    }
)
_SLIDE = "application/vnd.openxmlformats-officedocument.presentationml.slide+xml"
DRAWING = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="urn:p"'
FIELD = '<a:fld id="1" type="slidenum"><a:t>1</a:t></a:fld><a:endParaRPr lang="en"/>'
SLIDES = archive(
    {
        "[Content_Types].xml": f'<Types><Override PartName="/ppt/slides/slide1.xml" ContentType="{_SLIDE}"/></Types>',
        "ppt/slides/slide1.xml": (
            f'<p:sld {DRAWING}><a:p><a:pPr lvl="1"/><a:r><a:rPr lang="en"/><a:t>Hello </a:t></a:r>'
            '<a:r><a:rPr lang="de"/><a:t>my </a:t></a:r><a:r><a:rPr b="1"/><a:t>bold</a:t></a:r><a:br/>'
            f"<a:r><a:t>two</a:t></a:r>{FIELD}</a:p></p:sld>"
        ),
        "ppt/media/a.png": b"\x89PNG",
    }
)
BOOK = archive(
    {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:c"><rootfile full-path="OEBPS/a.opf"/></container>',
        "OEBPS/a.opf": (
            '<package xmlns="urn:opf"><manifest><item href="a%20b.xhtml" media-type="application/xhtml+xml"/>'
            '<item href="toc.ncx" media-type="application/x-dtbncx+xml"/><item href="a.css" media-type="text/css"/>'
            "</manifest></package>"
        ),
        "OEBPS/a b.xhtml": (
            '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><script src="x"/>'
            "<title>A title</title></head><body><p>Hi&#160;<b>all</b></p><p/></body></html>"
        ),
        "OEBPS/toc.ncx": '<ncx xmlns="urn:n"><navLabel><text>Chapter</text></navLabel></ncx>',
        "OEBPS/a.css": "p { color: red }",
    }
)


def test_units_of_an_open_document() -> None:
    assert units("odt", TEXT) == [
        "A heading",
        'See <g id="1">bold</g> and <g id="2">a link</g><m id="3"/>.',
        "Next",
        "A note",
        "A cell",
        'Said<m id="1"/> so',
        "On top",
    ]


def test_marks_of_an_open_document_that_nobody_says() -> None:
    first, last = ('<text:{}-start {}="1"/>', '<text:{}-end {}="1"/>')
    kinds = ("bookmark", "text:name"), ("change", "text:change-id")
    ends = [(first + "b" + last).format(*kind * 2) for kind in kinds]
    frames = (
        '<draw:frame text:anchor-type="char"/>two <draw:frame text:anchor-type="as-char"/>three <text:page-number/>four'
    )
    content = "".join(f"<text:p>{text}</text:p>" for text in (*(f"a {pair} c" for pair in ends), f"one {frames}"))
    body = f'<text:text {NAMES} xmlns:draw="urn:draw">{content}</text:text>'
    assert units("odt", archive({"mimetype": OPEN, "content.xml": body})) == [
        'a <g id="1">b</g> c',
        'a <g id="1">b</g> c',
        'one <m id="1"/>two <x id="2"/>three <x id="3"/>four',
    ]


def test_styles_of_one_part_say_nothing_of_another_and_links_stay() -> None:
    unseen, bold = STYLES.replace("T2", "T3"), STYLES.replace("T1", "T4").replace("T2", "T1")
    body = (
        '<text:p>A <text:span text:style-name="T1">bold</text:span> word</text:p>'
        '<text:p>See <text:a text:style-name="T4">a link</text:a> and '
        '<text:span text:style-name="T4">so</text:span></text:p>'
    )
    file = {
        "mimetype": OPEN,
        "content.xml": f"<office:text {NAMES}>{bold}{body}</office:text>",
        "styles.xml": f"<office:styles {NAMES}>{unseen}</office:styles>",
    }
    assert units("odt", archive(file)) == ['A <g id="1">bold</g> word', 'See <g id="1">a link</g> and so']


def test_names_in_utf_8_need_no_sign_of_it() -> None:
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><p>Hello</p></html>'
    files = {
        **unpacked(BOOK),
        "OEBPS/a.opf": unpacked(BOOK)["OEBPS/a.opf"].replace(b"a%20b", "ü".encode()),
        "OEBPS/ü.xhtml": page.encode(),
    }
    packed = bytearray(archive(files))
    for record, flags in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):  # as Info-ZIP writes them: without bit 11
        place = -1
        while (place := packed.find(record, place + 1)) >= 0:
            packed[place + flags] &= ~0x08
    assert "OEBPS/ü.xhtml" not in unpacked(bytes(packed))
    written = rewritten("epub", bytes(packed), loud)
    assert unpacked(written)["OEBPS/ü.xhtml"].decode() == page.replace("Hello", "HELLO")
    assert written.count("OEBPS/ü.xhtml".encode()) == 2


def test_units_of_slides() -> None:
    assert units("pptx", SLIDES) == ['Hello my <g id="1">bold</g>', "two"]


def test_units_of_a_book() -> None:
    assert units("epub", BOOK) == ["A title", 'Hi\xa0<g id="1">all</g>', "Chapter"]
    assert read("epub", BOOK).units[1].place == "OEBPS/a b.xhtml, line 1"


@pytest.mark.parametrize(("form", "data"), [("odt", TEXT), ("pptx", SLIDES), ("epub", BOOK)])
def test_the_same_texts_leave_every_file_as_it_was(form: str, data: bytes) -> None:
    assert unpacked(rewritten(form, data, same)) == unpacked(data)


@pytest.mark.parametrize(("form", "data"), [("odt", TEXT), ("pptx", SLIDES), ("epub", BOOK)])
@pytest.mark.parametrize("translate", [loud, turned])
def test_elements_are_the_same_but_for_their_order_in_a_unit(form: str, data: bytes, translate: object) -> None:
    before, after = unpacked(data), unpacked(rewritten(form, data, translate))  # type: ignore[arg-type]
    assert list(after) == list(before)
    for name, content in before.items():
        if not name.endswith((".xml", ".xhtml", ".ncx")):
            assert after[name] == content
            continue
        old, new = (
            sorted(
                f"{element.tag} {sorted(element.attrib.items())}"
                for element in etree.fromstring(text).iter(etree.Element)
                # runs and spans are made as they are needed
                if etree.QName(element).localname not in ("r", "rPr", "t") and element.attrib.values() != ["T1"]
            )
            for text in (content, after[name])
        )
        assert new == old, name


def test_codes_move_with_their_words() -> None:
    slide = unpacked(rewritten("pptx", SLIDES, turned))["ppt/slides/slide1.xml"].decode()
    assert slide == (
        f'<p:sld {DRAWING}><a:p><a:pPr lvl="1"/><a:r><a:rPr b="1"/><a:t>BOLD</a:t></a:r>'
        '<a:r><a:rPr lang="en"/><a:t>HELLO MY </a:t></a:r><a:br/>'
        f"<a:r><a:t>TWO</a:t></a:r>{FIELD}</a:p></p:sld>"
    )
    text = unpacked(rewritten("odt", TEXT, turned))["content.xml"].decode()
    assert "<text:h>A HEADING</text:h>" in text
    bold = '<text:span text:style-name="T2">BOLD</text:span>'
    assert f"<text:a>A LINK</text:a> AND {bold}SEE <text:line-break/>NEXT<text:tab/>12" in text
    assert "<text:p>A NOTE</text:p>" in text
    assert "<text:p>Deleted</text:p>" in text
    assert "<text:p>A comment</text:p>" in text


def test_a_book_stays_well_formed() -> None:
    page = unpacked(rewritten("epub", BOOK, loud))["OEBPS/a b.xhtml"]
    assert page == unpacked(BOOK)["OEBPS/a b.xhtml"].replace(b"A title", b"A TITLE").replace(b"Hi", b"HI").replace(
        b"all<", b"ALL<"
    )
    etree.fromstring(page)


@pytest.mark.parametrize(
    ("form", "data", "message"),
    [
        ("odt", archive({"mimetype": "text/plain"}), "it does not say what it is"),
        ("odt", archive({"mimetype": OPEN}), r"no content\.xml"),
        (
            "odt",
            archive({"mimetype": OPEN, "META-INF/manifest.xml": "<encryption-data/>"}),
            "protected by a password",
        ),
        ("pptx", archive({"a": "b"}), "no list of its parts"),
        ("pptx", archive({"[Content_Types].xml": "<Types/>"}), "it has no presentation"),
        ("epub", archive({"a": "b"}), r"no META-INF/container\.xml"),
        ("epub", archive({"META-INF/container.xml": "<a/>"}), "it has no pages"),
        ("epub", archive({"META-INF/container.xml": "<a><rootfile full-path='../x'/></a>"}), r"\.\./x is missing"),
        ("epub", archive({"META-INF/container.xml": "<a/>", "META-INF/rights.xml": ""}), "protected against copying"),
    ],
)
def test_other_packages_are_refused(form: str, data: bytes, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read(form, data)
