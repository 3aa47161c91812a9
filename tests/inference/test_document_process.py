"""Documents in a process of their own: what they give is what they give here, and what ends them is told."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from nmt.documents import DEFAULT_LIMITS, FORMATS, Limits
from nmt.errors import DocumentError, DocumentTooLarge, TranslationError
from nmt.inference import DocumentProcess, DocumentTranslation, TranslateOptions, Translation
from nmt.inference.document_worker import TOO_MUCH
from tests.documents.samples import word
from tests.inference.test_documents import Fake

pytestmark = pytest.mark.anyio

OPTIONS = TranslateOptions(beam_size=3)
PAGE = "".join(f"<p>line {n} <b>is</b> läng</p>\n<p>one</p>\n" for n in range(40)).encode()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def opened(data: bytes, form: str = "html", limits: Limits = DEFAULT_LIMITS) -> DocumentProcess:
    return await DocumentProcess.open(
        data, FORMATS[form], "en", "de", OPTIONS, limits=limits, max_text_chars=8000, texts_per_portion=16
    )


async def test_it_gives_what_a_translation_here_gives() -> None:
    special = {"one": Translation("EINS", flags=frozenset({"truncated"})), 'line 3 <g id="1">is</g> läng': None}
    fake = Fake(**{text: result or TranslationError("cannot") for text, result in special.items()})
    here = DocumentTranslation(PAGE, FORMATS["html"], "en", "de", OPTIONS)
    work = await opened(PAGE)
    try:
        assert (work.texts, work.characters, work.sample) == (here.texts, here.characters, here.sample())
        asked = []
        while portion := await work.next():
            asked.append(portion)
            await work.note(portion, list(fake(portion.texts, portion.options)))
        assert asked == list(here.portions(texts=16))
        for portion in asked:
            here.note(portion, list(fake(portion.texts, portion.options)))
        data, report = await work.finish()
    finally:
        await work.close()
    expected, other = here.finish()
    assert data == expected
    assert (report.texts, report.failures, report.flags) == (other.texts, other.failures, other.flags)
    assert report.flags == {"truncated": 40}
    assert [why for _, why in report.failures] == ["cannot"]


async def test_several_may_ask_at_once() -> None:
    work = await opened(PAGE)
    try:
        portions = await asyncio.gather(*(work.next() for _ in range(5)))
        numbers = [number for portion in portions if portion for number in portion.numbers]
        assert sorted(numbers) == list(range(41))
    finally:
        await work.close()


async def test_a_file_that_cannot_be_read_says_why() -> None:
    with pytest.raises(DocumentError, match="not a Word file"):
        await opened(b"no", "docx")
    with pytest.raises(DocumentTooLarge, match="unpacks to more than 100 bytes"):
        await opened(word("<w:p/>"), "docx", Limits(max_bytes=100))


async def test_a_process_that_is_killed_is_an_error_and_nobody_hangs() -> None:
    work = await opened(PAGE)
    try:
        os.kill(work._process.pid, signal.SIGKILL)
        with pytest.raises(DocumentTooLarge, match=TOO_MUCH):
            async with asyncio.timeout(10):
                await work.next()
    finally:
        await work.close()
    assert work._process.returncode in (-signal.SIGKILL, 255)  # 255: close found it dead before the event loop did


async def test_closing_ends_the_process() -> None:
    work = await opened(PAGE)
    await work.close()
    assert work._process.returncode is not None
    await work.close()
