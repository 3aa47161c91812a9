"""Files translated, portion by portion through `translate_each`: one file does not shut out others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Protocol

from starlette.types import Message

from app.admission import Receive
from app.errors import BadRequest
from app.languages import Language
from app.models import ModelSet
from app.service import Service
from app.settings import Settings
from app.translation import AUTO, Outcome, guesses, translate_each
from nmt.errors import DeadlineExceeded, DocumentTooLarge, NmtError, Overloaded
from nmt.inference import (
    DocumentProcess,
    DocumentReport,
    DocumentTranslation,
    Format,
    Limits,
    Portion,
    TranslateOptions,
    Translation,
    format_of,
)

AT_ONCE = 2
"""Portions of one file that are under way together: the engine has the next one while this one ends."""
LONGEST_PAUSE_S = 5.0
"""Before a portion that found the queue full tries again."""
UNPACKED = 8
"""A package may unpack to so many times what a file may have."""
MAX_PIECES = 1_000_000
"""Lines and tags of a file."""
MAX_PORTION = 64
"""Texts."""
SMALL_BYTES = 256 * 1024
"""A larger file is read in a process of its own. So is one of which any of these is larger:"""
SMALL = Limits(max_bytes=4 << 20, max_units=20_000, max_entries=500, max_xml_bytes=1 << 20, max_pieces=20_000)


def known_format(name: str) -> Format:
    """The format of a file by its name. Raises BadRequest for one that is not known."""
    form = format_of(name)
    if form is None:
        raise BadRequest("Invalid request: file format not supported")
    return form


def target_name(name: str, form: Format, target: str) -> str:
    """What a file's translation is called: `letter_de.docx`."""
    path = PurePath(name.replace("\\", "/"))
    suffix = ".po" if path.suffix.lower() == ".pot" else path.suffix or form.suffixes[0]
    stem = "".join(character for character in path.stem if character.isprintable())[:100]
    return f"{stem or 'file'}_{target}{suffix}"


@dataclass(frozen=True)
class FileAnswer:
    """A translated file, and what became of its texts."""

    data: bytes
    report: DocumentReport
    source: Language
    target: Language
    versions: tuple[str, ...]
    characters: int
    """Of all the texts that there were to translate."""


async def translate_file(
    service: Service,
    data: bytes,
    form: Format,
    source: str,
    target: str,
    receive: Receive,
    *,
    key: str | None,
    options: TranslateOptions = TranslateOptions(),
) -> FileAnswer:
    """Translate a file. A source of "auto" is told from the beginning of its text, for the whole file.

    Raises:
        InvalidKey, KeyRequired, RateLimited, QuotaExceeded: the gate's.
        UnsupportedPair: a language or the pair is not served.
        DocumentError: the file is not of its format, or over a limit.
        Overloaded: too many files are in work, or the service is stopping.
        DeadlineExceeded: it took longer than a file may.
        Cancelled: the caller left.
    """
    settings = service.settings
    service.gate.identify(key)
    with service.files.turn(settings), service.models.current as models:
        goal = models.languages.find(target)
        start = None if source.lower() == AUTO else models.languages.find(source)
        if start is not None:
            models.languages.route(start, goal)
        pair = "" if start is None else start.code, goal.code
        async with _opened(data, form, pair, options, settings) as work:
            start = start or await _detected(models, work, goal)
            service.gate.admit(key, characters=work.characters, texts=work.texts)
            job = _Job(service, models, work, start, goal)
            if start != goal:
                await service.admission.attended(job.run(), receive)
                data, report = await work.finish()
            else:
                report = DocumentReport(0)
    if report.failures and not report.translated:
        raise job.first_error or NmtError(report.failures[0][1])
    return FileAnswer(data, report, start, goal, tuple(dict.fromkeys(job.versions)), work.characters)


def limits_of(settings: Settings) -> Limits:
    """What a file of a caller may hold."""
    return Limits(
        max_bytes=UNPACKED * settings.max_file_bytes,
        max_units=MAX_PIECES,
        max_entries=2_000,
        max_xml_bytes=settings.max_file_bytes,
        max_pieces=MAX_PIECES,
    )


@asynccontextmanager
async def _opened(
    data: bytes, form: Format, pair: tuple[str, str], options: TranslateOptions, settings: Settings
) -> AsyncIterator[_Work]:
    """A document that has been read: a small one here, any other in a process of its own, as reading it takes long.

    Raises DocumentError.
    """
    small = await _small_work(data, form, pair, options, settings) if len(data) <= SMALL_BYTES else None
    if small is not None:
        yield small
        return
    work = await DocumentProcess.open(
        data,
        form,
        *pair,
        options,
        limits=limits_of(settings),
        max_text_chars=settings.max_text_chars,
        texts_per_portion=_portion_texts(settings),
    )
    try:
        yield work
    finally:
        await work.close()


async def _small_work(
    data: bytes, form: Format, pair: tuple[str, str], options: TranslateOptions, settings: Settings
) -> _SmallWork | None:
    """A document in this process; None where it is not small. Raises DocumentError."""
    limits = asdict(limits_of(settings))
    least = Limits(**{name: min(value, limits[name]) for name, value in asdict(SMALL).items()})
    texts = _portion_texts(settings)
    try:
        return await asyncio.to_thread(_SmallWork, data, form, pair, options, least, settings.max_text_chars, texts)
    except DocumentTooLarge:
        return None


def _portion_texts(settings: Settings) -> int:
    return min(MAX_PORTION, settings.max_texts)


class _Work(Protocol):
    """A document under way."""

    texts: int
    characters: int
    sample: str

    async def next(self) -> Portion | None: ...

    async def note(self, portion: Portion, results: Sequence[Translation | NmtError]) -> None: ...

    async def finish(self) -> tuple[bytes, DocumentReport]: ...


class _SmallWork:
    """One in this process."""

    def __init__(
        self,
        data: bytes,
        form: Format,
        pair: tuple[str, str],
        options: TranslateOptions,
        limits: Limits,
        max_text_chars: int,
        texts_per_portion: int,
    ) -> None:
        self._work = DocumentTranslation(data, form, *pair, options, limits=limits, max_text_chars=max_text_chars)
        self._portions = self._work.portions(texts=texts_per_portion)
        self.texts, self.characters, self.sample = self._work.texts, self._work.characters, self._work.sample()

    async def next(self) -> Portion | None:
        return next(self._portions, None)

    async def note(self, portion: Portion, results: Sequence[Translation | NmtError]) -> None:
        self._work.note(portion, results)

    async def finish(self) -> tuple[bytes, DocumentReport]:
        return await asyncio.to_thread(self._work.finish)


async def _detected(models: ModelSet, work: _Work, goal: Language) -> Language:
    sources = {language.code: language for language in models.languages.by_default(goal)}
    (found,) = await guesses(models, [work.sample], list(sources))
    return sources[found[0].language]


class _Job:
    """A file under way."""

    def __init__(self, service: Service, models: ModelSet, work: _Work, source: Language, target: Language) -> None:
        self._service = service
        self._models = models
        self._work = work
        self._source = source
        self._target = target
        self._end = asyncio.get_running_loop().time() + service.settings.file_deadline_s
        self.versions: list[str] = []
        self.first_error: NmtError | None = None

    async def run(self) -> None:
        """Translate all portions, a few at once. Raises Overloaded and DeadlineExceeded."""

        async def take_turns() -> None:
            while portion := await self._work.next():
                await self._translate(portion)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(take_turns())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _translate(self, portion: Portion) -> None:
        """Until each text has an answer that is its own: a full queue and a late answer are reasons to try again."""
        results: dict[int, Translation | NmtError] = {}
        left = list(range(len(portion.texts)))
        while left:
            try:
                outcomes = await self._ask([portion.texts[place] for place in left], portion.options)
            except (Overloaded, DeadlineExceeded) as error:
                await self._pause(error)
                continue
            for place, outcome in zip(left, outcomes, strict=True):
                results[place] = Translation(outcome.text) if outcome.result is None else outcome.result
                self.versions += [outcome.version] if outcome.version else []
            late = [place for place in left if isinstance(results[place], Overloaded | DeadlineExceeded)]
            if late:
                await self._pause(results[late[0]])
            left = late
        answers = [results[place] for place in range(len(portion.texts))]
        self.first_error = self.first_error or next((a for a in answers if isinstance(a, NmtError)), None)
        await self._work.note(portion, answers)

    async def _ask(self, texts: list[str], options: TranslateOptions) -> list[Outcome]:
        return await translate_each(
            self._service,
            texts,
            self._source.code,
            self._target.code,
            options,
            nobody_leaves,  # the whole job is attended
            deadline_s=self._end - asyncio.get_running_loop().time(),
            models=self._models,
        )

    async def _pause(self, reason: object) -> None:
        """Wait before the next try; raises the reason where there is no time for one."""
        assert isinstance(reason, NmtError)
        wait_s = min(reason.retry_after_s, LONGEST_PAUSE_S) if isinstance(reason, Overloaded) else 0.0
        if self._service.admission.is_stopping:
            raise reason
        if asyncio.get_running_loop().time() + wait_s >= self._end:
            raise DeadlineExceeded(f"no translation of the file within {self._service.settings.file_deadline_s:g} s")
        await asyncio.sleep(wait_s)


async def nobody_leaves() -> Message:
    """Stands for the `receive` of a request where nobody waits for the answer."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")
