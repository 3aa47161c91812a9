"""What is left of LibreTranslate's API: suggestions, which nobody can make here, and the description of the API."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse

from app import contracts

router = APIRouter(include_in_schema=False)


@router.post("/suggest")
async def suggest() -> None:
    """Better translations from users are not collected: nothing here would read them."""
    raise HTTPException(403, "Suggestions are disabled on this server.")


@router.get(contracts.PATH)
async def contracts_document() -> JSONResponse:
    """What the routes of other services' contracts take and answer."""
    return JSONResponse(contracts.document())


@router.get("/spec")
async def spec(request: Request) -> JSONResponse:
    """What /openapi.json says. LibreTranslate's is Swagger 2, ours OpenAPI 3."""
    return JSONResponse(request.app.openapi())
