"""POST /translate_file and GET /download_file/...: LibreTranslate's contract for files."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app.errors import BadRequest, BodyTooLarge, NotFound
from app.files import FileAnswer, known_format, target_name, translate_file
from app.gate import given_key
from app.parameters import UNREADABLE
from app.routes.translate import MODEL_VERSION
from app.schemas import FileAnswerShape, FileRequest, error_responses
from app.service import ServiceDep, get_service
from app.settings import Settings

PATH = "/translate_file"
DOWNLOAD_PATH = "/download_file/{name}"
MAX_FAILURES = 20
"""That a report names."""
FORM_BYTES = 64 * 1024
"""What a form may be beyond its file."""
_MAX_FIELDS = 20

router = APIRouter(tags=["files"])

_BODY = {"required": True, "content": {"multipart/form-data": {"schema": FileRequest.model_json_schema()}}}


@router.post(
    PATH,
    summary="Translate a file",
    response_class=JSONResponse,
    responses={200: {"model": FileAnswerShape}, **error_responses(400, 403, 408, 413, 415, 429, 500, 503, 504)},
    openapi_extra={"requestBody": _BODY},
)
async def translate(request: Request) -> JSONResponse:
    """Takes a multipart form, and answers when the file has been translated; the answer says where to fetch it."""
    service = await get_service(request)
    settings = service.settings
    if not settings.max_file_bytes:
        raise HTTPException(403, "Files translation are disabled on this server.")
    service.files.check_room(settings)  # before the file is read: nothing costs less to refuse
    fields, upload = await read_upload(request, settings)
    data = b""
    if upload is not None:
        data = await upload.read()
        await upload.close()
    source, target = _required(fields, "source"), _required(fields, "target")
    if upload is None or not upload.filename:
        raise BadRequest("Invalid request: missing file parameter")
    form = known_format(upload.filename)
    if not data:
        raise BadRequest("Invalid request: empty file")
    if len(data) > settings.max_file_bytes:
        raise BodyTooLarge(f"the file exceeds the limit of {settings.max_file_bytes} bytes")
    done = await translate_file(service, data, form, source, target, request.receive, key=given_key(fields))
    name = target_name(upload.filename, form, done.target.code)
    stored = service.files.store.put(
        done.data, name, form.media_type, life_s=settings.file_life_s, max_bytes=settings.max_files_bytes
    )
    body: dict[str, Any] = {"translatedFileUrl": str(request.url_for("download_file", name=stored))}
    if fields.get("report", "").lower() in ("true", "1"):
        body["report"] = _report(done)
    versions = ", ".join(done.versions)
    return JSONResponse(body, headers={MODEL_VERSION: versions} if versions else None)


@router.get(
    DOWNLOAD_PATH,
    name="download_file",
    summary="Fetch a translated file",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        **error_responses(404),
    },
)
async def download(name: str, service: ServiceDep) -> Response:
    """As often as wanted, until its time is over or newer files need the room."""
    found = service.files.store.get(name)
    if found is None:
        raise NotFound("no such file, or no longer: translate it again")
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in found.name)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(found.name, safe='')}"
    return Response(found.data, media_type=found.media_type, headers={"Content-Disposition": disposition})


async def read_upload(request: Request, settings: Settings) -> tuple[dict[str, str], UploadFile | None]:
    """The fields of the query string and the form, the first of a name, and the file. Raises BadRequest."""
    fields = dict(reversed(request.query_params.multi_items()))
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return fields, None
    parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=_MAX_FIELDS)
    parser.spool_max_size = settings.max_file_bytes + 1  # stays in memory: there may be no disk to write to
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, KeyError) as error:
        raise BadRequest(f"Invalid request: {error}" if isinstance(error, MultiPartException) else UNREADABLE) from None
    upload: UploadFile | None = None
    for name, value in form.multi_items():
        if isinstance(value, str):
            fields.setdefault(name, value)
        elif name == "file":
            upload = value
        else:
            await value.close()
    return fields, upload


def _required(fields: dict[str, str], name: str) -> str:
    if not fields.get(name):
        raise BadRequest(f"Invalid request: missing {name} parameter")
    return fields[name]


def _report(done: FileAnswer) -> dict[str, Any]:
    return {
        "source": done.source.code,
        "texts": done.report.texts,
        "translated": done.report.translated,
        "flags": dict(sorted(done.report.flags.items())),
        "failures": [{"place": place, "error": error} for place, error in done.report.failures[:MAX_FAILURES]],
    }
