"""Reads forms: those of HTML pages, in UTF-8 as browsers and servers have it, and multipart ones."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request
from starlette.datastructures import UploadFile

from app.errors import BadRequest

MOST_FIELDS = 1000


async def read_form(request: Request, max_part_bytes: int) -> list[tuple[str, str]]:
    """The fields of the body in their order, without files; none where it is no form.

    Starlette would take what is not percent-encoded for Latin-1; curl's `-d` sends it as it is typed. Raises BadRequest
    for too many fields, ValueError for a multipart form whose parts make no sense.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        text = (await request.body()).decode("utf-8", "replace")
        if text.count("&") >= MOST_FIELDS:
            raise BadRequest(f"Too many fields. Maximum number of fields is {MOST_FIELDS}.")
        return parse_qsl(text, keep_blank_values=True)
    form = await request.form(max_files=0, max_part_size=max_part_bytes)
    return [(name, value) for name, value in form.multi_items() if not isinstance(value, UploadFile)]
