"""Apertium-APY's API below /apy, as OmegaT and Weblate speak it. Language codes have two letters or three."""

from __future__ import annotations

from typing import Any, TypeAlias

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.codes import base_of, find_language, long_code
from app.errors import BadRequest
from app.gate import given_key
from app.guards import text_error
from app.languages import Language
from app.routes.translate import MODEL_VERSION
from app.service import Service, ServiceDep, get_service
from app.translation import guesses, translate_each
from app.values import Values, read_values
from nmt.errors import NmtError, UnsupportedPair
from nmt.inference import TranslateOptions

router = APIRouter(prefix="/apy", include_in_schema=False)

Json: TypeAlias = dict[str, Any]


@router.api_route("/translate", methods=["GET", "POST"])
async def translate(request: Request) -> JSONResponse:
    """One text. `markUnknown` has no effect: there are no marks; `format` is text unless it says html."""
    service = await get_service(request)
    values = await read_values(request, service.settings)
    text = _text(values)
    if not values.text("langpair"):
        raise BadRequest("Missing argument langpair")
    codes = values.text("langpair").split("|")
    if len(codes) != 2 or not all(code.strip() for code in codes):
        raise BadRequest("That pair is invalid, use e.g. eng|spa")
    kind = values.word("format") or values.word("deformat")
    with service.models.current as models:
        try:
            source, target = (find_language(models.languages, code) for code in codes)
            models.languages.route(source, target)
        except UnsupportedPair:
            raise BadRequest("That pair is not installed") from None
        _admit(service, values, text)
        options = TranslateOptions(markup="html" if "html" in kind else "")
        [outcome] = await translate_each(
            service, [text], source.code, target.code, options, request.receive, models=models
        )
    if isinstance(outcome.result, NmtError):
        raise outcome.result
    headers = {MODEL_VERSION: outcome.version} if outcome.version else None
    return JSONResponse(_answer({"translatedText": outcome.output}), headers=headers)


@router.get("/listPairs")
async def list_pairs(service: ServiceDep) -> Json:
    """Every pair in each of its spellings: clients look for the one that they send."""
    with service.models.current as models:
        pairs = {
            (source_code, target_code): None
            for source in models.languages.listed
            for target in source.targets
            if target != source.code
            for source_code in _spellings(source)
            for target_code in _spellings(models.languages.find(target))
        }
    return _answer([{"sourceLanguage": source, "targetLanguage": target} for source, target in pairs])


@router.get("/listLanguageNames")
async def list_language_names(service: ServiceDep) -> dict[str, str]:
    """English names by code."""
    with service.models.current as models:
        return {code: language.name for language in models.languages.listed for code in _spellings(language)}


@router.api_route("/identifyLang", methods=["GET", "POST"])
async def identify_language(request: Request) -> JSONResponse:
    """How likely each of the languages served is, by three-letter code."""
    service = await get_service(request)
    values = await read_values(request, service.settings)
    text = _text(values)
    if error := text_error(text, service.settings):
        raise error
    _admit(service, values, text)
    with service.models.current as models:
        [found] = await guesses(models, [text], [language.code for language in models.languages.listed])
        names = {long_code(models.languages.find(guess.language)): guess.confidence for guess in found}
    return JSONResponse(names)


def _text(values: Values) -> str:
    if "q" not in values:
        raise BadRequest("Missing argument q")
    return values.text("q")


def _admit(service: Service, values: Values, text: str) -> None:
    service.gate.admit(given_key({"key": values.text("key")}, "key"), characters=len(text), texts=1)


def _answer(data: Any) -> Json:
    return {"responseData": data, "responseDetails": None, "responseStatus": 200}


def _spellings(language: Language) -> tuple[str, ...]:
    """The codes of a language: as it is served, without a region, in three letters."""
    return tuple(dict.fromkeys((language.code, base_of(language), long_code(language))))
