"""Google's Cloud Translation API, edition Basic (v2), as its own client speaks it: texts, detection, languages."""

from __future__ import annotations

from typing import Any, TypeAlias

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.codes import find_language
from app.errors import BadRequest
from app.gate import given_key
from app.guards import check_count, text_error
from app.languages import Language
from app.routes.translate import MODEL_VERSION
from app.service import Service, get_service
from app.translation import AUTO, guesses, translate_each, version_of
from app.values import Values, read_values
from nmt.errors import NmtError
from nmt.inference import TranslateOptions

PATH = "/language/translate/v2"
router = APIRouter(prefix=PATH, include_in_schema=False)

Json: TypeAlias = dict[str, Any]

_MARKUP = {"": "html", "html": "html", "text": ""}
"""Google's default is HTML: of a plain text only `<`, `>` and `&` are then read otherwise."""
_CODES = {"pb": "pt-BR", "zt": "zh-TW", "zh-hans": "zh-CN", "zh-hant": "zh-TW"}
_RELIABLE = 0.9
KEY_HEADER = "X-Goog-Api-Key"


@router.api_route("", methods=["GET", "POST"])
async def translate(request: Request) -> JSONResponse:
    """Texts, all or none: the answer has no place for one text's error."""
    service = await get_service(request)
    values = await read_values(request, service.settings)
    texts = _texts(values, service)
    markup = _MARKUP.get(values.word("format"))
    if markup is None:
        raise BadRequest("Invalid Value: format")
    if not values.text("target"):
        raise BadRequest("Required Text: target")
    with service.models.current as models:
        target = find_language(models.languages, values.text("target"))
        given = values.text("source")
        source = find_language(models.languages, given) if given else None
        if source is not None:
            models.languages.route(source, target)
        _admit(service, request, values, texts)
        outcomes = await translate_each(
            service,
            texts,
            source.code if source else AUTO,
            target.code,
            TranslateOptions(markup="html" if markup else ""),
            request.receive,
            models=models,
        )
    translations = []
    for outcome in outcomes:
        if isinstance(outcome.result, NmtError):
            raise outcome.result
        detected = {} if given else {"detectedSourceLanguage": _code(outcome.source)}
        translations.append({"translatedText": outcome.output, **detected})
    version = version_of(outcomes)
    headers = {MODEL_VERSION: version} if version else None
    return JSONResponse({"data": {"translations": translations}}, headers=headers)


@router.api_route("/detect", methods=["GET", "POST"])
async def detect(request: Request) -> JSONResponse:
    """The likeliest language of each text, of those served; "und" where it tells nothing."""
    service = await get_service(request)
    values = await read_values(request, service.settings)
    texts = _texts(values, service)
    for text in texts:
        if error := text_error(text, service.settings):
            raise error
    _admit(service, request, values, texts)
    with service.models.current as models:
        codes = [language.code for language in models.languages.listed]
        found = [each[0] for each in await guesses(models, texts, codes)]
        detections = [
            [
                {
                    "language": _code(models.languages.find(best.language)) if best.confidence else "und",
                    "confidence": best.confidence,
                    "isReliable": best.confidence >= _RELIABLE,
                }
            ]
            for best in found
        ]
    return JSONResponse({"data": {"detections": detections}})


@router.get("/languages")
async def languages(request: Request) -> JSONResponse:
    """All languages served; with `target` their names, too."""
    service = await get_service(request)
    values = await read_values(request, service.settings)
    wanted = values.text("target")
    with service.models.current as models:
        listed = models.languages.listed
    # The names are in English whatever the language asked for: it need not be one that is served.
    entries: list[Json] = [{"language": _code(each), **({"name": each.name} if wanted else {})} for each in listed]
    return JSONResponse({"data": {"languages": entries}})


def _texts(values: Values, service: Service) -> list[str]:
    texts = values.texts("q")
    if not texts:
        raise BadRequest("Required Text: q")
    check_count(texts, service.settings)
    return texts


def _admit(service: Service, request: Request, values: Values, texts: list[str]) -> None:
    key = given_key({"key": values.text("key") or request.headers.get(KEY_HEADER)}, "key")
    service.gate.admit(key, characters=sum(map(len, texts)), texts=len(texts))


def _code(language: Language) -> str:
    return _CODES.get(language.code.lower(), language.code)
