"""POST /translate: LibreTranslate's contract, with more in the answer for those who ask."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.types import Receive

from app.gate import given_key
from app.guards import check_count
from app.parameters import Fields, TranslateCall, parse_call, read_fields
from app.schemas import TranslateAnswer, TranslateRequest, error_responses
from app.service import Service, get_service
from app.translation import Outcome, check_any, translate_each, version_of
from nmt.errors import NmtError
from nmt.inference import Detection, Hypothesis, TranslateOptions, Translation

PATH = "/translate"
MODEL_VERSION = "X-Model-Version"
_MODEL_VERSION = MODEL_VERSION.lower().encode()

router = APIRouter(tags=["translation"])

_SCHEMA = TranslateRequest.model_json_schema()
CONTENT_TYPES = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
_VERSION = "Version of the model used; of two in a row with a plus sign between."
_BODY = {"required": True, "content": {kind: {"schema": _SCHEMA} for kind in CONTENT_TYPES}}


@router.post(
    PATH,
    summary="Translate one text or a list of texts",
    response_class=JSONResponse,
    responses={
        200: {
            "model": TranslateAnswer,
            "headers": {
                MODEL_VERSION: {
                    "description": "Version of the model used; of two in a row with a plus sign between.",
                    "schema": {"type": "string"},
                }
            },
        },
        **error_responses(400, 403, 408, 413, 415, 429, 500, 503, 504),
    },
    openapi_extra={"requestBody": _BODY},
)
async def translate(request: Request) -> JSONResponse:
    """Takes JSON, or a form (its fields may also stand in the query string; of a repeated field the first counts).

    In a list, a text that cannot be translated does not hold up the others: it comes back as it was, and `errors`
    tells which and why. Where no text of a request could be translated, the answer is an error.
    """
    service = await get_service(request)
    return await respond(await read_fields(request, service.settings), service, request.receive)


async def respond(fields: Fields, service: Service, receive: Receive) -> JSONResponse:
    """The answer to a request of these fields; `receive` is the request's, its body read. Raises NmtError."""
    call = parse_call(fields, service.settings)
    check_count(call.texts, service.settings)
    service.gate.admit(given_key(fields), characters=sum(map(len, call.texts)), texts=len(call.texts))
    del fields  # what else stands there may be many times the texts, and the engine may be busy
    outcomes = await translate_each(
        service, call.texts, call.source, call.target, _options(call), receive, deadline_s=call.timeout_s
    )
    check_any(outcomes)
    return _Json(answer_body(call, outcomes), version_of(outcomes))


class _Json(JSONResponse):
    """The framework's, made in a fraction of the time: its encoder is made once, its headers are known."""

    _encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    def __init__(self, content: Any, version: str) -> None:
        self.status_code = 200
        self.background = None
        self.body = self._encoder.encode(content).encode()
        self.raw_headers = [(b"content-length", b"%d" % len(self.body)), (b"content-type", b"application/json")]
        if version:
            self.raw_headers.append((_MODEL_VERSION, version.encode("latin-1")))


def _options(call: TranslateCall) -> TranslateOptions:
    options = _options_without_terms(
        call.beam_size,
        call.hypotheses,
        call.alignments,
        call.attention,
        call.raw,
        call.format == "html",
        call.translate_attributes,
    )
    return replace(options, terms=call.terms) if call.terms else options


@lru_cache(64)
def _options_without_terms(
    beam_size: int | None, n_best: int, alignments: bool, attention: bool, raw: bool, is_html: bool, attributes: bool
) -> TranslateOptions:
    """Most requests ask for the same."""
    return TranslateOptions(
        beam_size=beam_size,
        n_best=n_best,
        alignments=alignments,
        attention=attention,
        raw=raw,
        markup="html" if is_html else "",
        attributes=attributes,
    )


def answer_body(call: TranslateCall, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The JSON answer: one value under each key for a string `q`, a list of values for a list."""
    rows = [_row(call, outcome) for outcome in outcomes]
    if any(outcome.via for outcome in outcomes):
        for row, outcome in zip(rows, outcomes, strict=True):
            row["pivot"] = outcome.via and outcome.via.code
    if not call.is_list:
        return rows[0]
    body: dict[str, Any] = {key: [row[key] for row in rows] for key in rows[0]}
    failed = [
        {"index": index, "error": str(outcome.result)}
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome.result, NmtError)
    ]
    return body | ({"errors": failed} if failed else {})


def _row(call: TranslateCall, outcome: Outcome) -> dict[str, Any]:
    """The values of one text, each present only if asked for. A text that was not translated stands for itself."""
    done = outcome.result
    if not isinstance(done, Translation):
        done = Translation(text=outcome.text, score=math.nan)
    row: dict[str, Any] = {"translatedText": done.text}
    if outcome.detected:
        row["detectedLanguage"] = detected(outcome.detected)
    if call.alternatives:
        others = dict.fromkeys(other.text for other in done.alternatives if other.text != done.text)
        row["alternatives"] = list(others)[: call.alternatives]
    if call.n_best is not None:
        row["nBest"] = [_entry(call, hypothesis) for hypothesis in done.alternatives[: call.n_best]]
    if call.scores:
        row["scores"] = _number(done.score)
    if call.alignments:
        row["alignments"] = done.alignment
    if call.attention:
        row["attention"] = done.attention
    if call.flags:
        row["flags"] = sorted(done.flags)
    return row


def _entry(call: TranslateCall, hypothesis: Hypothesis) -> dict[str, Any]:
    entry: dict[str, Any] = {"text": hypothesis.text, "score": _number(hypothesis.score)}
    if call.alignments:
        entry["alignment"] = hypothesis.alignment
    if call.attention:
        entry["attention"] = hypothesis.attention
    return entry


def detected(detection: Detection) -> dict[str, Any]:
    """A detection in LibreTranslate's shape, which counts confidence from 0 to 100."""
    return {"confidence": round(100 * detection.confidence, 1), "language": detection.language}


def _number(score: float) -> float | None:
    """A score as JSON can hold it."""
    return score if math.isfinite(score) else None
