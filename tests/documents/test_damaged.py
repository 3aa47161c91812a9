"""Files of every format, damaged: each is read and written, or refused with one line, and nothing takes long."""

from __future__ import annotations

import random

import pytest

from nmt.documents import FORMATS
from nmt.errors import DocumentError
from tests.documents import (
    test_docx,
    test_html,
    test_markdown,
    test_office,
    test_po,
    test_resources,
    test_subtitles,
    test_tmx,
    test_xliff,
)
from tests.documents.samples import archive, loud, read, unpacked, word
from tests.effort import effort_s

SAMPLES = {
    "text": b"One line.\r\nAnother one\n\n",
    "paragraphs": b"A line that is as long as a line can be when it is wrapped\nand goes on.\n",
    "html": test_html.PAGE.encode(),
    "srt": test_subtitles.FILM.encode(),
    "vtt": test_subtitles.WEB.encode(),
    "markdown": test_markdown.PAGE.encode(),
    "json": test_resources.JSON.encode(),
    "properties": test_resources.PROPERTIES.encode(),
    "strings": test_resources.STRINGS.encode(),
    "po": test_po.CATALOGUE.encode(),
    "xliff": test_xliff.ONE.encode(),
    "tmx": test_tmx.MEMORY.encode(),
    "docx": test_docx.FILE,
    "pptx": test_office.SLIDES,
    "odt": test_office.TEXT,
    "odp": test_office.TEXT,
    "epub": test_office.BOOK,
}
PIECES = [
    b"<",
    b">",
    b"&",
    b'"',
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"<b>",
    b"</b>",
    b"<!--",
    b"&#0;",
    b"\r",
    b"\n\n",
    b"-->",
]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A few pieces cut, doubled, moved or put in."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place, other = sorted((rng.randrange(len(changed) + 1), rng.randrange(len(changed) + 1)))
        other = min(other, place + 40)
        match rng.randrange(4):
            case 0:
                del changed[place:other]
            case 1:
                changed[place:place] = changed[place:other]
            case 2:
                changed[place:place] = rng.choice(PIECES)
            case _:
                changed[place:other] = rng.randbytes(other - place)
    return bytes(changed)


def check(form: str, data: bytes) -> bool:
    """Read and write; whether the file could be read. Raises what is no DocumentError."""
    try:
        document = read(form, data)
    except DocumentError as refused:
        message = str(refused)
    else:
        message = ""
    if message:
        assert "\n" not in message
        assert len(message) < 400
        return False
    translations = [loud(unit) for unit in document.units]
    given = [text if document.accepts(index, text) else None for index, text in enumerate(translations)]
    try:
        written = document.write(given)
    except DocumentError:  # a character that the encoding has not
        return False
    read(form, written)
    return True


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_file_is_read_or_refused(form: str) -> None:
    rng = random.Random(form)
    sample = SAMPLES[form]
    assert check(form, sample)
    for _ in range(150):
        check(form, damaged(sample, rng))


@pytest.mark.parametrize("form", [name for name, form in FORMATS.items() if form.is_binary])
def test_a_package_with_damaged_files_is_read_or_refused(form: str) -> None:
    rng = random.Random(form)
    files = unpacked(SAMPLES[form])
    readable = 0
    for _ in range(150):
        name = rng.choice([name for name in files if not name.endswith((".png", ".css"))])
        readable += check(form, archive({**files, name: damaged(files[name], rng)}))
    assert readable


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_and_noise_are_read_or_refused(form: str) -> None:
    rng = random.Random(form)
    for data in (b"", b"\n", b"\xef\xbb\xbf", b"\xff\xfe", b"PK\x05\x06" + bytes(18), rng.randbytes(1000), bytes(1000)):
        check(form, data)


@pytest.mark.parametrize("form", [name for name, form in FORMATS.items() if not form.is_binary])
@pytest.mark.parametrize("piece", [" ", "\n", "a", "a\n", "<", "<a>", '"', "\\", "\\\n", "&", "{", "a. "])
def test_a_great_many_of_anything_takes_no_great_time(form: str, piece: str) -> None:
    data = (piece * (20_000 // len(piece))).encode()
    head, _, tail = SAMPLES[form].partition(b"\n\n")
    assert effort_s(lambda: (check(form, data), check(form, head + b"\n\n" + data + tail)), 2) < 2


@pytest.mark.parametrize(
    "body",
    [
        "<w:p>" + "<w:r><w:t>a </w:t></w:r>" * 5_000 + "</w:p>",
        "<w:p>" + '<w:r><w:fldChar w:fldCharType="begin"/></w:r>' * 5_000 + "<w:r><w:t>a</w:t></w:r></w:p>",
        "<w:p>" + "<w:r><w:rPr><w:b/></w:rPr><w:t>a </w:t></w:r><w:r><w:t>b </w:t></w:r>" * 2_500 + "</w:p>",
        "<w:p>" + "<w:hyperlink>" * 200 + "<w:r><w:t>a</w:t></w:r>" + "</w:hyperlink>" * 200 + "</w:p>",
        "<w:p><w:r>" + "<w:t>a</w:t><w:br/>" * 5_000 + "</w:r></w:p>",
    ],
)
def test_a_strange_word_file_takes_no_great_time(body: str) -> None:
    data = word(body)
    assert check("docx", data)
    assert effort_s(lambda: check("docx", data), 5) < 5
