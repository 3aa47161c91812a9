"""The REST server of OpenNMT-py, which is looked after no more: its clients find here what they know.

A model is named by its number in the list of models, or by its name. An error has the status that it deserves; there it
was always 200.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.errors import BadRequest
from app.gate import given_key
from app.guards import check_count
from app.models import ModelSet
from app.parameters import decode_json
from app.routes.translate import MODEL_VERSION
from app.service import ServiceDep, get_service
from app.translation import Outcome, translate_each, version_of
from app.values import Values
from nmt.errors import NmtError
from nmt.inference import Hypothesis, ModelInfo, TranslateOptions, Translation

router = APIRouter(prefix="/translator", include_in_schema=False)

Row = dict[str, Any]


@router.get("/models")
async def list_models(service: ServiceDep) -> list[Row]:
    """The models, all of them loaded, with the numbers that requests name them by."""
    with service.models.current as models:
        return [
            {"model_id": number, "name": model.name, "status": "loaded", "available": True}
            for number, model in enumerate(_listed(models))
        ]


@router.post("/translate")
async def translate(request: Request) -> JSONResponse:
    """A list of `{"src": text, "id": model}`, all of one model; a list of results by rank, of each rank by text."""
    service = await get_service(request)
    items = decode_json(await request.body())
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise BadRequest('the body must be a list of objects: [{"src": "...", "id": 0}]')
    texts = [_source(Values(item)) for item in items]
    check_count(texts, service.settings)
    with service.models.current as models:
        chosen = {_model(models, item.get("id", 0)): None for item in items}
        if len(chosen) != 1:
            raise BadRequest("the items of one request must name one model")
        [model] = chosen
        n_best = _n_best(items, service.settings.max_n_best)
        service.gate.admit(given_key({}), characters=sum(map(len, texts)), texts=len(texts))
        options = TranslateOptions(n_best=n_best, alignments=True)
        outcomes = await translate_each(
            service, texts, model.source_lang, model.target_lang, options, request.receive, models=models
        )
    for outcome in outcomes:
        if isinstance(outcome.result, NmtError):
            raise outcome.result
    body = [[_row(outcome, rank, n_best) for outcome in outcomes] for rank in range(n_best)]
    version = version_of(outcomes)
    return JSONResponse(body, headers={MODEL_VERSION: version} if version else None)


def _source(item: Values) -> str:
    if "src" not in item:
        raise BadRequest("an item has no src")
    return item.text("src")


def _listed(models: ModelSet) -> list[ModelInfo]:
    """Those that serve: of several for one pair of languages the first."""
    find = models.languages.find
    routes = [
        models.languages.route(find(model.source_lang), find(model.target_lang)) for model in models.engine.models
    ]
    return list(dict.fromkeys(model for route in routes for model in route))


def _model(models: ModelSet, wanted: Any) -> ModelInfo:
    """Raises BadRequest where there is none of that number or name."""
    for number, model in enumerate(_listed(models)):
        if str(wanted) in (str(number), model.name):
            return model
    raise BadRequest(f"there is no model of the id {str(wanted)[:40]}: see /translator/models")


def _n_best(items: Sequence[Row], limit: int) -> int:
    """How many translations are wanted of each text: the most that an item asks for."""
    wanted = [item.get("n_best", 1) for item in items]
    if not all(isinstance(number, int) and 1 <= number <= limit for number in wanted):
        raise BadRequest(f"n_best must be a number from 1 to {limit}")
    return int(max(wanted))


def _row(outcome: Outcome, rank: int, n_best: int) -> Row:
    """One translation; of a text that has fewer the last is repeated."""
    found = outcome.result.alternatives if isinstance(outcome.result, Translation) else ()
    best = Hypothesis(outcome.output, 0.0)
    hypothesis = (found or (best,))[min(rank, max(len(found), 1) - 1)]
    row = {"src": outcome.text, "tgt": hypothesis.text, "n_best": n_best}
    row["pred_score"] = hypothesis.score if math.isfinite(hypothesis.score) else None
    row["align"] = [" ".join(f"{source}-{target}" for source, target in hypothesis.alignment)]
    return row
