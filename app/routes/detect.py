"""POST /detect: the language of a text, in LibreTranslate's shape."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.gate import given_key
from app.guards import check_count, text_error
from app.parameters import read_fields, read_texts
from app.routes.translate import CONTENT_TYPES, detected
from app.schemas import DetectedLanguage, DetectRequest, error_responses
from app.service import get_service
from app.translation import guesses

router = APIRouter(tags=["translation"])

_SCHEMA = DetectRequest.model_json_schema()
_BODY: dict[str, Any] = {"required": True, "content": {kind: {"schema": _SCHEMA} for kind in CONTENT_TYPES}}


@router.post(
    "/detect",
    summary="Say which language a text is in",
    response_class=JSONResponse,
    responses={200: {"model": list[DetectedLanguage]}, **error_responses(400, 403, 408, 413, 415, 429, 500, 503)},
    openapi_extra={"requestBody": _BODY},
)
async def detect(request: Request) -> JSONResponse:
    """The likeliest of the languages served, best first, at most three. Forms and query strings are read, too."""
    service = await get_service(request)
    fields = await read_fields(request, service.settings)
    texts, _ = read_texts(fields)
    check_count(texts, service.settings)
    for text in texts:
        if error := text_error(text, service.settings):
            raise error
    service.gate.admit(given_key(fields), characters=0, texts=1)
    models = service.models.current
    codes = [language.code for language in models.languages.by_default()]
    found = await guesses(models, ["\n".join(texts)], codes)
    return JSONResponse([detected(guess) for guess in found[0]])
