"""What an administrator may ask for. Without an administrator's key configured none of it is there."""

from __future__ import annotations

from fastapi import APIRouter, Request

from app.errors import NotFound
from app.gate import given_key
from app.routes.languages import list_models
from app.schemas import ModelsAnswer, error_responses
from app.service import ServiceDep

router = APIRouter(tags=["administration"])


@router.post(
    "/admin/reload",
    summary="Load the models anew",
    responses=error_responses(400, 403, 404, 409, 503),
)
async def reload(request: Request, service: ServiceDep) -> ModelsAnswer:
    """Loads what lies in the models folder beside what serves, tries it, and puts it in its place.

    Requests go on meanwhile, each with the models it began with. Answers when the new models serve, or, with 409, when
    they cannot: then the old ones go on. The key stands in the Authorization header or in the query as `api_key`.
    """
    if not service.gate.has_admin:
        raise NotFound("Not Found")
    service.gate.admit_admin(given_key(request.query_params))
    return list_models(await service.models.reload())
