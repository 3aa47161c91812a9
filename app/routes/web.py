"""The web page, from the files in app/web. It loads nothing from outside, and browsers are told to see to it."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parents[1] / "web"
ASSETS_PATH = "/web"

_OWN = ("script-src", "style-src", "img-src", "connect-src")
_NONE = ("default-src", "base-uri", "form-action", "frame-ancestors")

HEADERS = {
    "Content-Security-Policy": "; ".join([*(f"{kind} 'none'" for kind in _NONE), *(f"{kind} 'self'" for kind in _OWN)]),
    "Cache-Control": "no-cache",  # kept, but asked about each time: an ETag makes that cheap
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Assets(StaticFiles):
    """Static files with the page's headers."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


assets = Assets(directory=FOLDER)


@router.get("/")
async def page() -> FileResponse:
    """The page."""
    return FileResponse(FOLDER / "index.html", headers=HEADERS)
