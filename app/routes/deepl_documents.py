"""DeepL's routes for documents: one is handed in, asked about, and fetched when it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import PurePath
from typing import Any, TypeAlias
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse, Response

from app import exchange
from app.document_jobs import Job
from app.errors import BadRequest, BodyTooLarge, NotDone, NotFound, Stopping
from app.files import FileAnswer, known_format, nobody_leaves, target_name, translate_file
from app.routes.deepl import (
    check_fields_without_effect,
    glossary_terms,
    identify,
    key_of,
    read_glossaries,
    read_language,
)
from app.routes.files import read_upload
from app.service import Service, get_service
from app.translation import AUTO
from app.values import Values, missing, read_values, unsupported
from nmt.errors import Overloaded
from nmt.inference import TranslateOptions

PATH = "/v2/document"
router = APIRouter(include_in_schema=False)

Json: TypeAlias = dict[str, Any]

_PAUSE_S = 0.5
"""Between two looks for a place."""


@router.post(PATH)
async def upload(request: Request) -> JSONResponse:
    """The answer comes before the translation is begun."""
    service = await get_service(request)
    settings = service.settings
    if not settings.max_file_bytes:
        raise HTTPException(403, "Documents are not translated on this server.")
    fields, file = await read_upload(request, settings)
    if file is None:
        raise BadRequest("Invalid file data.")
    data = await file.read()
    await file.close()
    values = Values(fields)
    caller = identify(service, values)
    name = values.text("filename") or file.filename or ""
    form = known_format(name)
    wanted = values.word("output_format")
    if wanted and f".{wanted}" != PurePath(name).suffix.lower():
        raise unsupported("output_format")
    check_fields_without_effect(values)
    glossaries = read_glossaries(values)
    with service.models.current as models:
        target = read_language(models.languages, values, "target_lang")
        source = read_language(models.languages, values, "source_lang") if values.text("source_lang") else None
        if source is not None:
            models.languages.route(source, target)
    options = TranslateOptions()
    if glossaries:
        assert source is not None
        terms = await asyncio.to_thread(glossary_terms, service, caller, glossaries, source, target)
        if len(terms) > settings.max_terms:
            raise BadRequest(f"A glossary for a document may have {settings.max_terms} entries at most.")
        options = TranslateOptions(terms=terms)
    if not data:
        raise BadRequest("Invalid file data.")
    if len(data) > settings.max_file_bytes:
        raise BodyTooLarge(f"the file exceeds the limit of {settings.max_file_bytes} bytes")
    if service.admission.is_stopping:
        raise Stopping()
    languages = (source.code if source else AUTO, target.code)
    translate = partial(
        translate_file, service, data, form, *languages, nobody_leaves, key=key_of(values), options=options
    )

    async def work(job: Job) -> None:
        done = await _as_soon_as_may_be(translate, job, service)
        stored = target_name(name, form, done.target.code)
        job.stored = service.files.store.put(
            done.data, stored, form.media_type, life_s=settings.file_life_s, max_bytes=settings.max_files_bytes
        )
        job.characters = done.characters

    job = service.documents.start(work, life_s=settings.file_life_s)
    return JSONResponse({"document_id": job.id, "document_key": job.secret})


@router.api_route(PATH + "/{document_id}", methods=["GET", "POST"])
async def status(request: Request, document_id: str) -> JSONResponse:
    """How far it is."""
    _, job = await _job(request, document_id)
    body: Json = {"document_id": job.id, "status": job.status}
    if job.status == "translating":
        body["seconds_remaining"] = 1  # nobody knows; clients ask again after so long
    elif job.status == "done":
        body["billed_characters"] = job.characters
    elif job.status == "error":
        body["error_message"] = body["message"] = job.message
    return JSONResponse(body)


@router.api_route(PATH + "/{document_id}/result", methods=["GET", "POST"])
async def result(request: Request, document_id: str) -> Response:
    """The translated document, until its time is over or newer files need the room."""
    service, job = await _job(request, document_id)
    if job.status == "error":
        raise BadRequest(job.message)
    if job.status != "done":
        raise NotDone("Document translation is not done")
    found = service.files.store.get(job.stored)
    if found is None:
        raise NotFound("Document not found.")
    disposition = f"attachment; filename*=UTF-8''{quote(found.name, safe='')}"
    return Response(found.data, media_type=found.media_type, headers={"Content-Disposition": disposition})


async def _as_soon_as_may_be(translate: Callable[[], Awaitable[FileAnswer]], job: Job, service: Service) -> FileAnswer:
    """Translate when there is a place among the files in work. Raises what `translate_file` does."""
    clock = asyncio.get_running_loop().time
    end = clock() + service.settings.file_deadline_s
    while True:
        try:
            service.files.check_room(service.settings)
            job.status = "translating"
            return await _at_its_own_expense(translate, service)
        except Overloaded:
            if service.admission.is_stopping or clock() >= end:
                raise
            job.status = "queued"
            await asyncio.sleep(_PAUSE_S)


async def _at_its_own_expense(translate: Callable[[], Awaitable[FileAnswer]], service: Service) -> FileAnswer:
    """Translate; where nothing comes of it the characters do not count. The order itself was answered long ago."""
    here = exchange.begin_anew()
    try:
        return await translate()
    except BaseException:
        service.gate.give_back(here)
        raise


async def _job(request: Request, document_id: str) -> tuple[Service, Job]:
    """Raises NotFound."""
    service = await get_service(request)
    values = await read_values(request, service.settings)
    identify(service, values)
    if not values.text("document_key"):
        raise missing("document_key")
    return service, service.documents.find(document_id, values.text("document_key"))
