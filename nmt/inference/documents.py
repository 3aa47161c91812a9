"""Documents translated: which texts go to the engine in which portions, and what became of them.

`DocumentTranslation` holds the state and does no work of its own, so that a service can wait between portions;
`translate_document` is the plain loop over it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from nmt.documents import DEFAULT_LIMITS, FORMATS, SUFFIXES, Format, Limits, format_of, read_document
from nmt.errors import NmtError, TranslationError
from nmt.inference.types import Result, TranslateOptions, Translation

PORTION_TEXTS = 64
PORTION_CHARS = 8_000
"""A portion ends with the text that fills either."""
MAX_TEXT_CHARS = 8_000
"""A longer plain text is cut and goes in pieces, unless another limit is given."""

TranslateTexts = Callable[[Sequence[str], TranslateOptions], Iterable[Result]]


@dataclass(frozen=True)
class Portion:
    """Texts to translate with the same options. `numbers` go with them: give them back with the results."""

    texts: tuple[str, ...]
    options: TranslateOptions
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class DocumentReport:
    """What became of a document's texts."""

    texts: int
    """That there were to translate."""
    failures: tuple[tuple[str, str], ...] = ()
    """Those left as they were: their place in the document, and why."""
    flags: Counter[str] = field(default_factory=Counter)
    """Of how many texts each flag is true."""
    source_tokens: int = 0
    target_tokens: int = 0

    @property
    def translated(self) -> int:
        """Texts that were translated."""
        return self.texts - len(self.failures)


class DocumentTranslation:
    """A document on its way. Equal texts are translated once."""

    def __init__(
        self,
        data: bytes,
        form: Format,
        source: str,
        target: str,
        options: TranslateOptions = TranslateOptions(),
        *,
        limits: Limits = DEFAULT_LIMITS,
        max_text_chars: int = MAX_TEXT_CHARS,
    ) -> None:
        """`options`: of every text; its markup is the document's. `max_text_chars`: a longer plain text is cut.

        Raises DocumentError.
        """
        self._document = read_document(data, form, source, target, limits)
        self._options = options
        self._results: dict[int, Result] = {}
        """By number of a piece."""
        self._pieces: list[tuple[str, str]] = []
        """Different texts that the engine gets, each with its markup."""
        numbers: dict[tuple[str, str], int] = {}
        self._made_of: list[list[int | str]] = []
        """Each unit as white space and numbers of pieces."""
        for unit in self._document.units:
            parts: list[int | str] = []
            for piece in _trimmed(unit.text) if unit.markup else _cut(unit.text, max_text_chars):
                if not piece.strip():
                    parts.append(piece)
                    continue
                key = (piece, unit.markup)
                if key not in numbers:
                    numbers[key] = len(self._pieces)
                    self._pieces.append(key)
                parts.append(numbers[key])
            self._made_of.append(parts)

    @property
    def texts(self) -> int:
        """Different texts to translate."""
        return len(self._pieces)

    @property
    def characters(self) -> int:
        """Of all of these."""
        return sum(len(text) for text, _ in self._pieces)

    def sample(self, characters: int = 2_000) -> str:
        """So much of the document's text, for who has to tell its language."""
        chosen, size = [], 0
        for text, _ in self._pieces:
            plain = re.sub(r"<[^<>]*>", "", text)
            chosen.append(plain)
            size += len(plain)
            if size >= characters:
                break
        return "\n".join(chosen)[:characters]

    def portions(self, texts: int = PORTION_TEXTS, characters: int = PORTION_CHARS) -> Iterator[Portion]:
        """All of the texts, in portions for one request to the engine each."""
        for markup in ("", "xml"):
            chosen: list[int] = []
            size = 0
            for number, (text, own) in enumerate(self._pieces):
                if own != markup:
                    continue
                chosen.append(number)
                size += len(text)
                if len(chosen) >= texts or size >= characters:
                    yield self._portion(chosen, markup)
                    chosen, size = [], 0
            if chosen:
                yield self._portion(chosen, markup)

    def _portion(self, numbers: Sequence[int], markup: str) -> Portion:
        options = replace(self._options, markup="xml" if markup else "")
        return Portion(tuple(self._pieces[number][0] for number in numbers), options, tuple(numbers))

    def note(self, portion: Portion, results: Iterable[Result]) -> None:
        """Keep the results of a portion."""
        for number, result in zip(portion.numbers, results, strict=True):
            self._results[number] = result

    def finish(self) -> tuple[bytes, DocumentReport]:
        """The translated document. What has no result, or one that does not fit, stays as it was. Call it once."""
        translations: list[str | None] = []
        failures: list[tuple[str, str]] = []
        flags: Counter[str] = Counter()
        for index, (unit, parts) in enumerate(zip(self._document.units, self._made_of, strict=True)):
            joined = self._join(parts)
            if isinstance(joined, str) and not self._document.accepts(index, joined):
                joined = TranslationError("the translation does not keep its structure")
            if isinstance(joined, NmtError):
                failures.append((unit.place, str(joined)))
                translations.append(None)
                continue
            translations.append(joined)
            flags.update({flag for part in parts if isinstance(part, int) for flag in self._flags(part)})
        done = [result for result in self._results.values() if isinstance(result, Translation)]
        report = DocumentReport(
            texts=len(translations),
            failures=tuple(failures),
            flags=flags,
            source_tokens=sum(result.source_tokens for result in done),
            target_tokens=sum(result.target_tokens for result in done),
        )
        return self._document.write(translations), report

    def _join(self, parts: Sequence[int | str]) -> str | NmtError:
        texts: list[str] = []
        for part in parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            result = self._results.get(part)
            if not isinstance(result, Translation):
                return result or TranslationError("it was not translated")
            texts.append(result.text.strip())
        return "".join(texts)

    def _flags(self, number: int) -> frozenset[str]:
        result = self._results.get(number)
        return result.flags if isinstance(result, Translation) else frozenset()


def translate_document(
    data: bytes,
    form: Format,
    source: str,
    target: str,
    translate: TranslateTexts,
    options: TranslateOptions = TranslateOptions(),
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[bytes, DocumentReport]:
    """A document in another language, in the same format, and what became of its texts.

    >>> with Translator.load("models/en-de") as translator:
    ...     document, report = translate_document(data, FORMATS["docx"], "en", "de", translator.results)

    Raises DocumentError.
    """
    return translate_work(DocumentTranslation(data, form, source, target, options, limits=limits), translate)


def translate_work(
    work: DocumentTranslation, translate: TranslateTexts, progress: Callable[[int], None] = lambda _: None
) -> tuple[bytes, DocumentReport]:
    """`translate_document` of what has been read; `progress` hears of so many more texts that are done."""
    for portion in work.portions(texts=1024, characters=1 << 18):
        work.note(portion, translate(portion.texts, portion.options))
        progress(len(portion.texts))
    return work.finish()


def _trimmed(text: str) -> list[str]:
    """A text and the white space around it."""
    body = text.strip()
    start = text.index(body)
    return [piece for piece in (text[:start], body, text[start + len(body) :]) if piece]


def _cut(text: str, limit: int) -> Iterator[str]:
    """The same for a plain text; a very long one in pieces, with the white space between them."""
    for piece in _trimmed(text):
        if len(piece) <= limit:
            yield piece
            continue
        from nmt.text.sentences import split_long  # not before it is needed: a service's own process is small

        for segment in split_long(piece, limit, len):
            yield from (part for part in (segment.before, segment.text, segment.after) if part)


__all__ = [
    "FORMATS",
    "SUFFIXES",
    "DocumentReport",
    "DocumentTranslation",
    "Format",
    "Limits",
    "Portion",
    "format_of",
    "translate_document",
]
