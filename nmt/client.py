"""A client of the service, for other machines: `Client`, and `AsyncClient` with the same methods as coroutines.

    with Client("http://127.0.0.1:8000") as client:
        print(client.translate("Where is the station?", "en", "de").text)

Needs httpx (the extra `client`) and of this library only its errors. Works with any service of LibreTranslate's shape,
as far as that goes. What is sent and read is in `_Calls`, which knows no transport; the two clients carry it out.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack, overload
from urllib.parse import unquote, urlsplit

from nmt import __version__
from nmt.errors import ConfigError, DeadlineExceeded, InputTooLong, NmtError, Overloaded

try:
    import httpx
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("nmt.client needs httpx: pip install httpx", name="httpx") from missing

DEFAULT_URL = "http://127.0.0.1:8000"
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0
"""Between tries where the service names no time of its own."""
FILE_TIMEOUT_S = 660.0
"""For a file: a little more than a service takes at most by default."""

T = TypeVar("T")
ListOfTexts = list[str] | tuple[str, ...]
Texts = str | ListOfTexts


class ServiceError(NmtError):
    """The service did not do what it was asked. `status` is that of its answer, None where there was none."""

    def __init__(self, message: str, *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        """What the service's log calls this request."""


class RequestRefused(ServiceError):
    """The request is wrong as it is (400, 404, ...): the message says why, and trying again changes nothing."""


class AccessDenied(RequestRefused):
    """The key is missing, unknown or not allowed to do this (401, 403)."""


class TooLarge(RequestRefused, InputTooLong):
    """The request is larger than the service accepts (413)."""


class ServiceBusy(ServiceError, Overloaded):
    """The service is full, starting or stopping (502, 503), and was still so at the last try."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0, **answer: Any) -> None:
        ServiceError.__init__(self, message, **answer)
        self.retry_after_s = retry_after_s


class QuotaExceeded(ServiceBusy):
    """This caller has used up what it may (429)."""


class ServiceTimeout(ServiceError, DeadlineExceeded):
    """No answer in time: the service gave up (408, 504) or this client did."""


class ServiceUnreachable(ServiceError):
    """No connection, or it broke before there was an answer."""


class ServiceFault(ServiceError):
    """The service failed (500), or its answer is none that this client understands."""


@dataclass(frozen=True)
class Candidate:
    """One of the n best translations of a text."""

    text: str
    score: float | None
    alignment: tuple[tuple[int, int], ...] | None = None
    attention: tuple[tuple[tuple[int, float], ...], ...] | None = None


@dataclass(frozen=True)
class Detection:
    """A language that a text may be in. `confidence`: 0 to 100."""

    language: str
    confidence: float


@dataclass(frozen=True)
class TranslatedText:
    """A text's translation. What was not asked for is None."""

    text: str
    """The text itself where `error` is set."""
    error: str | None = None
    """Only in a list: why this text could not be translated."""
    score: float | None = None
    """Length-normalised log-probability; higher is better."""
    alternatives: tuple[str, ...] | None = None
    n_best: tuple[Candidate, ...] | None = None
    alignment: tuple[tuple[int, int], ...] | None = None
    """Links (word of the text, word of the translation), from 0, split at white space."""
    attention: tuple[tuple[tuple[int, float], ...], ...] | None = None
    """For each word of the translation (word of the text, weight), the largest first."""
    flags: frozenset[str] | None = None
    model_version: str | None = None
    detected: Detection | None = None
    """Where the source was "auto"."""
    pivot: str | None = None
    """Code of the language that it went through, where no model translates directly."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class FileReport:
    """What became of a file's texts."""

    source: str
    """The language it was translated from."""
    texts: int
    translated: int
    flags: Mapping[str, int]
    """Of how many texts each flag is true."""
    failures: tuple[tuple[str, str], ...]
    """The first of those that stayed as they were: place in the file, and why."""


@dataclass(frozen=True)
class TranslatedFile:
    """A file's translation."""

    name: str
    """What the service calls it: `letter_de.docx`."""
    content: bytes
    report: FileReport | None = None
    """None where the service does not tell."""
    model_version: str | None = None


@dataclass(frozen=True)
class Language:
    """A language that the service reads, and the codes of those it translates it into."""

    code: str
    name: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Health:
    """Whether requests are welcome, and if not, why."""

    is_ready: bool
    reasons: tuple[str, ...] = ()


class Options(TypedDict, total=False):
    """What a translation can be asked for beyond itself; see docs/service.md."""

    alternatives: int
    n_best: int
    beam_size: int
    scores: bool
    alignments: bool
    attention: bool
    flags: bool
    raw: bool
    format: str
    translate_attributes: bool
    terms: Mapping[str, str]


class _Send(NamedTuple):
    """A request to send; the answer, or what kept it from coming, comes back."""

    method: str
    path: str
    content: bytes | None
    timeout_s: float
    form: Mapping[str, str] | None = None
    """Sent as a form, with a file; `content` is the file's then."""
    file_name: str = ""


class _Wait(NamedTuple):
    seconds: float


_Reply = httpx.Response | httpx.HTTPError | None
Steps = Generator[_Send | _Wait, _Reply, T]


class _Calls:
    """Every call as a generator of what to send and how long to wait. Knows neither threads nor event loops."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 4,
        texts_per_request: int = 64,
    ) -> None:
        """A client of the service at `url`, which may have a path.

        `timeout_s`: for a request, all of its tries and the waits between them together (an answer that comes drop by
        drop may take longer). `retries`: further tries where
        the service is busy or cannot be reached; 0 for none. A longer list of texts is sent in parts of
        `texts_per_request`. Raises ConfigError for a URL that is none.
        """
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"{url!r} is not the address of a service: it begins with http:// or https://")
        try:
            has_host = bool(httpx.URL(url).host)
        except httpx.InvalidURL as error:
            raise ConfigError(f"{url!r} is not the address of a service: {error}") from None
        if not has_host:
            raise ConfigError(
                f"{url!r} is not the address of a service: it names no host, as http://127.0.0.1:8000 does"
            )
        self.url = url
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._retries = retries
        self._texts_per_request = texts_per_request

    def _options(self, transport: T | None) -> dict[str, Any]:
        headers = {"User-Agent": f"selfhost-nmt-client/{__version__}", "Accept": "application/json"}
        return {"base_url": self.url, "headers": headers, "transport": transport}

    def _translate(
        self, text: Texts, source: str, target: str, options: Options
    ) -> Steps[TranslatedText | list[TranslatedText]]:
        if unknown := options.keys() - Options.__optional_keys__:
            raise TypeError(f"translate() got unexpected options: {', '.join(sorted(unknown))}")
        asked = {"source": source, "target": target, **options}
        if not isinstance(text, str):
            return (yield from self._translate_list(text, asked))
        if not text:  # the contract refuses it by itself, but not in a list
            return (yield from self._translate_list([""], asked))[0]
        response = yield from self._ask("POST", "/translate", asked | {"q": text})
        return _read(response, partial(_texts, count=None, version=_version(response)))[0]

    def _translate_list(self, texts: ListOfTexts, asked: Mapping[str, object]) -> Steps[list[TranslatedText]]:
        done: list[TranslatedText] = []
        for first in range(0, len(texts), self._texts_per_request):
            part = texts[first : first + self._texts_per_request]
            response = yield from self._ask("POST", "/translate", {**asked, "q": part})
            done += _read(response, partial(_texts, count=len(part), version=_version(response)))
        return done

    def _languages(self) -> Steps[tuple[Language, ...]]:
        response = yield from self._ask("GET", "/languages")
        return _read(response, lambda body: tuple(Language(e["code"], e["name"], tuple(e["targets"])) for e in body))

    def _detect(self, text: str) -> Steps[tuple[Detection, ...]]:
        try:
            response = yield from self._ask("POST", "/detect", {"q": text})
        except RequestRefused as error:
            if error.status not in (404, 405):
                raise
            message = "this service does not detect languages: name the source language"
            raise RequestRefused(message, status=error.status, request_id=error.request_id) from None
        return _read(response, lambda body: tuple(map(_detection, body)))

    def _health(self) -> Steps[Health]:
        reply = yield _Send("GET", "/health", None, self._timeout_s)
        response = _answer(reply)
        if response.status_code not in (200, 503):
            raise _error(response)
        return _read(response, lambda body: Health(body["status"] == "ok", tuple(body.get("reasons", ()))))

    def _translate_file(self, path: Path | str, source: str, target: str, timeout_s: float) -> Steps[TranslatedFile]:
        path = Path(path)
        form = {"source": source, "target": target, "report": "true"}
        key = {"api_key": self._api_key} if self._api_key else {}
        send = _Send("POST", "/translate_file", path.read_bytes(), timeout_s, form | key, path.name)
        response = yield from self._insist(send)
        url, report = _read(response, lambda body: (str(body["translatedFileUrl"]), _report(body.get("report"))))
        # from where the file was sent to: behind a proxy the service may know itself by another name
        name = urlsplit(url).path.rpartition("/")[2]
        fetched = yield from self._ask("GET", f"/download_file/{name}")
        disposition = fetched.headers.get("Content-Disposition", "")
        saved = unquote(disposition.partition("filename*=UTF-8''")[2]) or f"{path.stem}_{target}{path.suffix}"
        return TranslatedFile(Path(saved).name, fetched.content, report, _version(response))

    def _ask(self, method: str, path: str, fields: Mapping[str, object] | None = None) -> Steps[httpx.Response]:
        """The answer to a request of JSON, or without a body. Raises ServiceError."""
        content = None
        if fields is not None:
            key = {"api_key": self._api_key} if self._api_key else {}
            content = json.dumps({**fields, **key}).encode()
        return self._insist(_Send(method, path, content, self._timeout_s))

    def _insist(self, send: _Send) -> Steps[httpx.Response]:
        """The answer to a request that succeeded, tried again where that can help. Raises ServiceError."""
        end = time.monotonic() + send.timeout_s
        for attempt in range(self._retries + 1):
            reply = yield send._replace(timeout_s=max(0.001, end - time.monotonic()))
            try:
                response = _answer(reply)
                if response.is_success:
                    return response
                raise _error(response)
            except (ServiceBusy, ServiceUnreachable):
                wait_s = _backoff(attempt, _retry_after(reply))
                if attempt == self._retries or time.monotonic() + wait_s >= end:
                    raise
                yield _Wait(wait_s)
        raise AssertionError("unreachable")


def _answer(reply: _Reply) -> httpx.Response:
    """The response; raises ServiceError where there is none."""
    if isinstance(reply, httpx.Response):
        return reply
    assert reply is not None
    if isinstance(reply, httpx.ConnectTimeout):
        raise ServiceUnreachable("the service cannot be reached: no connection in time") from reply
    if isinstance(reply, httpx.TimeoutException):
        raise ServiceTimeout("the service did not answer in time") from reply
    reason = str(reply) or type(reply).__name__
    if isinstance(reply, httpx.TransportError):
        raise ServiceUnreachable(f"the service cannot be reached: {reason}") from reply
    raise ServiceFault(f"the service's answer cannot be read: {reason}") from reply


def _error(response: httpx.Response) -> ServiceError:
    """The exception of an answer that is no success."""
    status = response.status_code
    answer = {"status": status, "request_id": response.headers.get("X-Request-Id")}
    message = _message(response)
    retry_after_s = _retry_after(response)
    wait = {} if retry_after_s is None else {"retry_after_s": retry_after_s}
    if status == 429:
        return QuotaExceeded(message, **wait, **answer)
    if status in (502, 503):
        return ServiceBusy(message, **wait, **answer)
    if status in (408, 504):
        return ServiceTimeout(message, **answer)
    if status in (401, 403):
        return AccessDenied(message, **answer)
    if status == 413:
        return TooLarge(message, **answer)
    return RequestRefused(message, **answer) if 400 <= status < 500 else ServiceFault(message, **answer)


def _message(response: httpx.Response) -> str:
    """The service's own words, or the status in words."""
    try:
        body = response.json()
    except ValueError:
        body = None
    said = body.get("error") if isinstance(body, dict) else None
    return said if isinstance(said, str) else f"the service answered {response.status_code} {response.reason_phrase}"


def _retry_after(reply: _Reply) -> float | None:
    """Seconds that the header Retry-After asks for, which has a number or a date; None without one."""
    value = reply.headers.get("Retry-After", "").strip() if isinstance(reply, httpx.Response) else ""
    if value.isdecimal():
        return float(value)
    try:
        moment: datetime = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _backoff(attempt: int, retry_after_s: float | None) -> float:
    """Seconds before the next try: what the service asks for and a little more, else twice as long each time.

    Chance keeps many clients from coming back at once.
    """
    if retry_after_s is not None:
        return retry_after_s + random.uniform(0, FIRST_WAIT_S)
    return random.uniform(0.5, 1.0) * min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**attempt)


def _arguments(step: _Send) -> dict[str, Any]:
    """What httpx is given beside method and path."""
    if step.form is not None:
        return {"data": step.form, "files": {"file": (step.file_name, step.content)}, "timeout": step.timeout_s}
    headers = {} if step.content is None else {"Content-Type": "application/json"}
    return {"content": step.content, "headers": headers, "timeout": step.timeout_s}


def _read(response: httpx.Response, reader: Callable[[Any], T]) -> T:
    """What `reader` makes of the JSON of an answer. Raises ServiceFault where it has another shape."""
    try:
        return reader(response.json())
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ServiceFault(
            f"{response.request.url.path} of this service answers in another shape than expected",
            status=response.status_code,
            request_id=response.headers.get("X-Request-Id"),
        ) from None


def _version(response: httpx.Response) -> str | None:
    version: str | None = response.headers.get("X-Model-Version")
    return version


def _texts(body: Mapping[str, Any], *, count: int | None, version: str | None) -> list[TranslatedText]:
    """The translations in an answer to `count` texts; to a single one that was no list if that is None."""
    columns = {name: [value] if count is None else value for name, value in body.items() if name != "errors"}
    errors = {int(entry["index"]): str(entry["error"]) for entry in body.get("errors", ())}
    expected = 1 if count is None else count
    if "translatedText" not in columns or any(len(column) != expected for column in columns.values()):
        raise ValueError
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [_text(row, errors.get(place), version) for place, row in enumerate(rows)]


def _text(row: Mapping[str, Any], error: str | None, version: str | None) -> TranslatedText:
    if not isinstance(row["translatedText"], str):
        raise TypeError
    return TranslatedText(
        text=row["translatedText"],
        error=error,
        score=row.get("scores"),
        alternatives=tuple(row["alternatives"]) if "alternatives" in row else None,
        n_best=tuple(_candidate(entry) for entry in row["nBest"]) if "nBest" in row else None,
        alignment=_pairs(row.get("alignments")),
        attention=_rows(row.get("attention")),
        flags=frozenset(row["flags"]) if "flags" in row else None,
        model_version=version,
        detected=_detection(row["detectedLanguage"]) if "detectedLanguage" in row else None,
        pivot=row.get("pivot"),
    )


def _detection(entry: Mapping[str, Any]) -> Detection:
    return Detection(entry["language"], float(entry["confidence"]))


def _report(body: Mapping[str, Any] | None) -> FileReport | None:
    if body is None:
        return None
    failures = tuple((str(entry["place"]), str(entry["error"])) for entry in body["failures"])
    return FileReport(body["source"], body["texts"], body["translated"], dict(body["flags"]), failures)


def _candidate(entry: Mapping[str, Any]) -> Candidate:
    return Candidate(entry["text"], entry["score"], _pairs(entry.get("alignment")), _rows(entry.get("attention")))


def _pairs(links: Sequence[Sequence[int]] | None) -> tuple[tuple[int, int], ...] | None:
    return None if links is None else tuple((source, target) for source, target in links)


def _rows(attention: Any) -> tuple[tuple[tuple[int, float], ...], ...] | None:
    return None if attention is None else tuple(tuple((word, weight) for word, weight in row) for row in attention)


class Client(_Calls):
    """The service, for programs with threads: one client may be used by many. Close it, or use it in `with`."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 4,
        texts_per_request: int = 64,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """See docs/client.md. `transport`: httpx's, for proxies and tests."""
        super().__init__(
            url, api_key=api_key, timeout_s=timeout_s, retries=retries, texts_per_request=texts_per_request
        )
        self._http = httpx.Client(**self._options(transport))

    @overload
    def translate(self, text: str, source: str, target: str, **options: Unpack[Options]) -> TranslatedText: ...
    @overload
    def translate(
        self, text: ListOfTexts, source: str, target: str, **options: Unpack[Options]
    ) -> list[TranslatedText]: ...
    def translate(
        self,
        text: Texts,
        source: str,
        target: str,
        **options: Unpack[Options],
    ) -> TranslatedText | list[TranslatedText]:
        """Translate a text, or a list of texts in its order.

        In a list a text that cannot be translated comes back as it was, with `error` set. Raises ServiceError, also for
        a list of which no text could be translated.
        """
        return self._run(self._translate(text, source, target, options))

    def translate_file(
        self, path: Path | str, source: str, target: str, *, timeout_s: float = FILE_TIMEOUT_S
    ) -> TranslatedFile:
        """Translate a file, whose name says its format (docs/documents.md). It is not written anywhere.

        Raises ServiceError, and OSError where the file cannot be read.
        """
        return self._run(self._translate_file(path, source, target, timeout_s))

    def languages(self) -> tuple[Language, ...]:
        """What the service translates. Raises ServiceError."""
        return self._run(self._languages())

    def detect(self, text: str) -> tuple[Detection, ...]:
        """The languages that a text may be in, the likeliest first. Raises RequestRefused where the service cannot."""
        return self._run(self._detect(text))

    def health(self) -> Health:
        """Whether the service is ready, asked once. Raises ServiceUnreachable and ServiceTimeout."""
        return self._run(self._health())

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, steps: Steps[T]) -> T:
        reply: _Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = None
            if isinstance(step, _Wait):
                time.sleep(step.seconds)
                continue
            try:
                reply = self._http.request(step.method, step.path, **_arguments(step))
            except httpx.HTTPError as error:
                reply = error


class AsyncClient(_Calls):
    """The service, for programs with an asyncio event loop. Close it, or use it in `async with`."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 4,
        texts_per_request: int = 64,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """See docs/client.md. `transport`: httpx's, for proxies and tests."""
        super().__init__(
            url, api_key=api_key, timeout_s=timeout_s, retries=retries, texts_per_request=texts_per_request
        )
        self._http = httpx.AsyncClient(**self._options(transport))

    @overload
    async def translate(self, text: str, source: str, target: str, **options: Unpack[Options]) -> TranslatedText: ...
    @overload
    async def translate(
        self, text: ListOfTexts, source: str, target: str, **options: Unpack[Options]
    ) -> list[TranslatedText]: ...
    async def translate(
        self,
        text: Texts,
        source: str,
        target: str,
        **options: Unpack[Options],
    ) -> TranslatedText | list[TranslatedText]:
        """`Client.translate`. If its task is cancelled, the service stops working on it."""
        return await self._run(self._translate(text, source, target, options))

    async def translate_file(
        self, path: Path | str, source: str, target: str, *, timeout_s: float = FILE_TIMEOUT_S
    ) -> TranslatedFile:
        """`Client.translate_file`. The file is read on the event loop."""
        return await self._run(self._translate_file(path, source, target, timeout_s))

    async def languages(self) -> tuple[Language, ...]:
        """`Client.languages`."""
        return await self._run(self._languages())

    async def detect(self, text: str) -> tuple[Detection, ...]:
        """`Client.detect`."""
        return await self._run(self._detect(text))

    async def health(self) -> Health:
        """`Client.health`."""
        return await self._run(self._health())

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self, steps: Steps[T]) -> T:
        reply: _Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = None
            if isinstance(step, _Wait):
                await asyncio.sleep(step.seconds)
                continue
            try:
                reply = await self._http.request(step.method, step.path, **_arguments(step))
            except httpx.HTTPError as error:
                reply = error
