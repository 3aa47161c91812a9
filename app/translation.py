"""The one call under every contract: texts go in, what became of each comes out. Routes only parse and render."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from starlette.types import Message

from app.guards import text_error
from app.languages import Language
from app.service import Service
from nmt.errors import NmtError
from nmt.inference import Detection, TranslateOptions, Translation

Receive: TypeAlias = Callable[[], Awaitable[Message]]

AUTO = "auto"
"""The source code that asks for detection."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one text."""

    text: str
    """The original."""
    result: Translation | NmtError | None
    """None: left as it is, because there is nothing to translate."""
    source: Language
    """As given, or as detected."""
    detected: Detection | None = None
    """Present if the source was to be detected."""
    via: Language | None = None
    """The language in between, where no model translates directly."""
    version: str = ""
    """Of the model that was used, of two models joined by a plus sign; empty where none was."""

    @property
    def output(self) -> str:
        """The translation; a text that was not translated stands for itself."""
        return self.result.text if isinstance(self.result, Translation) else self.text


async def translate_each(
    service: Service,
    texts: Sequence[str],
    source: str,
    target: str,
    options: TranslateOptions,
    receive: Receive,
    *,
    deadline_s: float | None = None,
) -> list[Outcome]:
    """Translate texts between two languages given by code or alias; one outcome a text, in order.

    Texts that are wrong, blank or in the target language already are not sent to the engine. `receive` is the
    request's, its body read: it tells when the caller leaves. `deadline_s`: in seconds from now; the service's own
    limit holds at most.

    Raises:
        UnsupportedPair: a language or the pair is not served.
        Overloaded: the queue is full, or the service is stopping.
        DeadlineExceeded: the engine did not answer at all.
        Cancelled: the caller left.
    """
    languages = service.languages
    source_language, target_language = languages.find(source), languages.find(target)
    model = languages.model(source_language, target_language)
    settings = service.settings
    results: list[Translation | NmtError | None] = [text_error(text, settings) for text in texts]
    places = [place for place, result in enumerate(results) if result is None and texts[place].strip()]
    version = ""
    if model is not None and places:
        version = model.version
        answers = await service.admission.translate(
            [texts[place] for place in places], model, options, receive, deadline_s=deadline_s
        )
        for place, answer in zip(places, answers, strict=True):
            results[place] = answer
    return [
        Outcome(text, result, source_language, version=version if isinstance(result, Translation) else "")
        for text, result in zip(texts, results, strict=True)
    ]


def check_any(outcomes: Sequence[Outcome]) -> None:
    """Raise the first text's error where some failed and none was translated: then the answer is that error."""
    failures = [outcome.result for outcome in outcomes if isinstance(outcome.result, NmtError)]
    if failures and not any(isinstance(outcome.result, Translation) for outcome in outcomes):
        raise failures[0]


def version_of(outcomes: Sequence[Outcome]) -> str:
    """The versions of all models used, separated by commas; empty where there was none."""
    return ", ".join(dict.fromkeys(outcome.version for outcome in outcomes if outcome.version))
