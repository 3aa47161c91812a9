"""Is the process alive, and should work be sent to it? None of these waits for the engine."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.schemas import HealthAnswer
from app.service import ServiceDep

router = APIRouter(tags=["health"])

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": HealthAnswer},
    503: {"model": HealthAnswer, "description": "Not ready; `reasons` says why."},
}


@router.get("/livez", summary="The process answers", response_model_exclude_unset=True)
async def livez() -> HealthAnswer:
    """Always 200: a restart would help only where this does not answer at all."""
    return HealthAnswer(status="ok")


@router.get("/health", summary="Ready for work (LibreTranslate's name)", responses=_ANSWERS)
@router.get("/readyz", summary="Ready for work", responses=_ANSWERS)
async def readyz(service: ServiceDep) -> JSONResponse:
    """503 while the engine is not ready or the service is stopping."""
    reasons = service.admission.obstacles()
    if reasons:
        return JSONResponse({"status": "not ready", "reasons": reasons}, 503)
    return JSONResponse({"status": "ok"})
