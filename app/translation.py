"""The one call under every contract: texts go in, what became of each comes out. Routes only parse and render."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, ParamSpec, TypeAlias, TypeVar

from app import exchange
from app.admission import Receive
from app.guards import text_error
from app.languages import Language, Route
from app.models import ModelSet
from app.service import Service
from nmt.errors import DeadlineExceeded, NmtError
from nmt.inference import Detection, ModelInfo, TranslateOptions, Translation, first_leg, second_leg, through

AUTO = "auto"
"""The source code that asks for detection."""
LONG_CHARS = 20_000
"""Of all texts together. From here on they are looked through for terms by another thread."""

P = ParamSpec("P")
T = TypeVar("T")

Answer: TypeAlias = Translation | NmtError


class Outcome(NamedTuple):
    """What became of one text."""

    text: str
    """The original."""
    result: Answer | None
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


class _Way(NamedTuple):
    """Where a text comes from and by which models it goes."""

    source: Language
    route: Route
    detected: Detection | None = None


async def translate_each(
    service: Service,
    texts: Sequence[str],
    source: str,
    target: str,
    options: TranslateOptions,
    receive: Receive,
    *,
    deadline_s: float | None = None,
    models: ModelSet | None = None,
) -> list[Outcome]:
    """Translate texts between two languages given by code or alias; one outcome a text, in order.

    The source may be "auto": it is detected text by text then, among what can be translated into the target. Texts that
    are wrong, blank or in the target language already are not sent to the engine.

    `receive` is the request's, its body read: it tells when the caller leaves. `deadline_s`: in seconds from now; the
    service's own limit holds at most. `models`: a set that the request holds already, where it takes several calls.

    Raises:
        UnsupportedPair: a language or the pair is not served.
        Overloaded: the queue is full, or the service is stopping.
        DeadlineExceeded: the engine did not answer at all.
        Cancelled: the caller left.
    """
    end = asyncio.get_running_loop().time() + service.admission.seconds(deadline_s)
    with models or service.models.current as held:
        results: list[Answer | None] = [text_error(text, service.settings) for text in texts]
        ways = await _ways(held, texts, source, target)
        groups: dict[str, list[int]] = {}
        for place, way in enumerate(ways):
            if results[place] is None and way.route and texts[place].strip():
                groups.setdefault(way.source.code, []).append(place)

        async def work(places: Sequence[int], receive: Receive | None) -> None:
            chosen = [texts[place] for place in places]
            answers = await _along(ways[places[0]].route, chosen, service, held, options, end, receive)
            for place, answer in zip(places, answers, strict=True):
                results[place] = answer

        goal = held.languages.find(target).code
        try:
            if len(groups) == 1:
                await work(next(iter(groups.values())), receive)
            elif groups:
                works = (partial(work, part, None) for part in groups.values())
                await service.admission.attended(_together(works), receive)
        except Exception as error:
            for code, places in groups.items():
                service.metrics.note_failure(len(places), code, goal, type(error))
            raise
        outcomes = [_outcome(held, *each) for each in zip(texts, results, ways, strict=True)]
        exchange.current().note_times(results)
        service.metrics.note_texts(outcomes, goal)
        return outcomes


async def _ways(models: ModelSet, texts: Sequence[str], source: str, target: str) -> list[_Way]:
    """The way of each text. Raises UnsupportedPair."""
    languages = models.languages
    goal = languages.find(target)
    if source.lower() != AUTO:
        start = languages.find(source)
        return [_Way(start, languages.route(start, goal))] * len(texts)
    sources = {language.code: language for language in languages.by_default(goal)}
    detections = [found[0] for found in await guesses(models, texts, list(sources))]
    return [
        _Way(
            start := sources[detection.language],
            languages.route(start, goal) if any(map(str.isalnum, text)) else (),
            detection,
        )
        for text, detection in zip(texts, detections, strict=True)
    ]


async def guesses(models: ModelSet, texts: Sequence[str], codes: Sequence[str]) -> list[list[Detection]]:
    """For each text the likeliest of some languages, best first; the first of them, at 0, if a text tells nothing."""
    detector = await models.detector()
    found = []
    for text in texts:
        found.append(detector.detect(text, codes) or [Detection(codes[0], 0.0)])
        await asyncio.sleep(0)  # others are not kept waiting while a list is looked through
    return found


async def _along(
    route: Route,
    texts: Sequence[str],
    service: Service,
    models: ModelSet,
    options: TranslateOptions,
    end: float,
    receive: Receive | None,
) -> list[Answer]:
    """Translate by the models of a route in turn. `end`: of the whole, in seconds of the event loop's clock."""
    clock = asyncio.get_running_loop().time
    leg = partial(service.admission.translate, models.engine, receive=receive)
    if len(route) == 1:
        with_shared = await _with_shared(options, service, route[0], texts, end)
        return await leg(texts, route[0], with_shared, deadline_s=end - clock())
    first, second = route
    halfway = await leg(texts, first, first_leg(options), deadline_s=end - clock())
    arrived = [answer for answer in halfway if isinstance(answer, Translation)]
    left_s = end - clock()
    if not arrived or left_s <= 0:
        late = DeadlineExceeded("not translated in time")
        return [late if isinstance(answer, Translation) else answer for answer in halfway]
    onward = iter(
        await leg(
            [answer.text for answer in arrived], second, second_leg(options), deadline_s=left_s, is_continued=True
        )
    )
    return [_joined(answer, next(onward)) if isinstance(answer, Translation) else answer for answer in halfway]


async def _with_shared(
    options: TranslateOptions, service: Service, model: ModelInfo, texts: Sequence[str], end: float
) -> TranslateOptions:
    """Also the operator's terms, but for those that the request itself translates otherwise."""
    pair = model.source_lang, model.target_lang
    if options.raw or not service.glossaries.has_shared(*pair):
        return options
    if sum(map(len, texts)) < LONG_CHARS:
        shared = service.glossaries.shared(*pair, texts)
    else:
        shared = await aside(end, service.glossaries.shared, *pair, texts)
    if not shared:
        return options
    own = {source for source, _ in options.terms}
    return replace(options, terms=options.terms + tuple(term for term in shared if term[0] not in own))


async def aside(end: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns, done by another thread. Raises DeadlineExceeded at `end`, by the event loop's clock."""
    try:
        async with asyncio.timeout_at(end):
            return await asyncio.to_thread(work, *args, **kwargs)
    except TimeoutError:
        raise DeadlineExceeded("not translated in time") from None


def _joined(first: Translation, second: Answer) -> Answer:
    return through(first, second) if isinstance(second, Translation) else second


async def _together(works: Iterable[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Do all at once; the first failure ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _outcome(models: ModelSet, text: str, result: Answer | None, way: _Way) -> Outcome:
    if not isinstance(result, Translation):
        return Outcome(text, result, way.source, way.detected)
    via = models.languages.find(way.route[0].target_lang) if len(way.route) > 1 else None
    return Outcome(text, result, way.source, way.detected, via, "+".join(model.version for model in way.route))


def check_any(outcomes: Sequence[Outcome]) -> None:
    """Raise the first text's error where some failed and none was translated: then the answer is that error."""
    failures = [outcome.result for outcome in outcomes if isinstance(outcome.result, NmtError)]
    if failures and not any(isinstance(outcome.result, Translation) for outcome in outcomes):
        raise failures[0]


def version_of(outcomes: Sequence[Outcome]) -> str:
    """The versions of all models used, separated by commas; empty where there was none."""
    return ", ".join(dict.fromkeys(outcome.version for outcome in outcomes if outcome.version))
