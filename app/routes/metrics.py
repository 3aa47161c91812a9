"""GET /metrics, for Prometheus. It is answered beside the work, as health is: no figure waits for the engine."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, HTTPException, Request, Response

from app.metrics import PATH, expose, registry_of
from app.schemas import ErrorAnswer
from app.service import ServiceDep

router = APIRouter(tags=["health"])


@router.get(
    PATH,
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        401: {"description": "A token is asked for, and this is not it.", "model": ErrorAnswer},
    },
)
async def metrics(request: Request, service: ServiceDep) -> Response:
    """In Prometheus' text format, or in that of OpenMetrics for who accepts it."""
    if service.settings.metrics_token is not None:
        expected = f"Bearer {service.settings.metrics_token.get_secret_value()}"
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), expected.encode()):
            raise HTTPException(401, "Invalid token", {"WWW-Authenticate": "Bearer"})
    body, media_type = expose(registry_of(service), request.headers.get("accept", ""))
    return Response(body, media_type=media_type)
