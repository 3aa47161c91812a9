"""DeepL's routes for glossaries: of version 2, with one pair of languages each, and of version 3, with several."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from app.codes import base_of, find_language
from app.errors import BadRequest, NotFound
from app.gate import Caller
from app.glossaries import Dictionary, Glossary, GlossaryStore, Pair, Terms, read_csv, read_tsv
from app.languages import Language, Languages
from app.routes.deepl import identify, read_language
from app.service import Service, ServiceDep, get_service
from app.values import Values, missing, read_values, unsupported
from nmt.errors import UnsupportedPair

router = APIRouter(include_in_schema=False)

Json: TypeAlias = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")

MAX_DICTIONARIES = 100
_MAX_NAME_CHARS = 1024
_READERS = {"tsv": read_tsv, "csv": read_csv}


@router.get("/v2/glossary-language-pairs")
@router.get("/v3/glossary-language-pairs")
async def language_pairs(service: ServiceDep) -> Json:
    """The pairs that a model translates directly: terms do not reach across a language in between."""
    with service.models.current as models:
        pairs = {
            (base_of(source), base_of(target)): None
            for source in models.languages.listed
            for target in models.languages.listed
            if _is_direct(models.languages, source, target)
        }
    return {"supported_languages": [{"source_lang": source, "target_lang": target} for source, target in pairs]}


class _Ask:
    """A request about glossaries: who asks, and for what."""

    def __init__(self, service: Service, caller: Caller, values: Values) -> None:
        self.service = service
        self.values = values
        self.caller = caller.name

    @classmethod
    async def read(cls, request: Request) -> _Ask:
        """Raises BadRequest, InvalidKey and KeyRequired."""
        service = await get_service(request)
        values = await read_values(request, service.settings)
        return cls(service, identify(service, values), values)

    @property
    def store(self) -> GlossaryStore:
        return self.service.glossaries

    def name(self) -> str:
        """Raises BadRequest."""
        name = self.values.text("name").strip()
        if not name or len(name) > _MAX_NAME_CHARS:
            raise BadRequest("Missing or invalid argument: name")
        return name

    def pair(self, values: Values | None = None) -> Pair:
        """The pair that is named. Raises BadRequest where no model translates it directly."""
        values = values or self.values
        with self.service.models.current as models:
            find = models.languages
            source = base_of(read_language(find, values, "source_lang"))
            target = base_of(read_language(find, values, "target_lang"))
            if not _is_direct(find, find_language(find, source), find_language(find, target)):
                raise BadRequest("Unsupported glossary source and target language pair")
        return source, target

    async def dictionary(self, values: Values | None = None) -> tuple[Pair, Terms]:
        """One pair and its entries. Raises BadRequest."""
        values = values or self.values
        pair = self.pair(values)
        for field in ("entries", "entries_format"):
            if field not in values:
                raise missing(field)
        read = _READERS.get(values.word("entries_format"))
        if read is None:
            raise unsupported("entries_format")
        return pair, await asyncio.to_thread(read, values.text("entries"))

    async def dictionaries(self) -> dict[Pair, Terms]:
        """The pairs and entries of a list. Raises BadRequest."""
        items = self.values.objects("dictionaries")
        if len(items) > MAX_DICTIONARIES:
            raise BadRequest(f"Too many dictionaries: {len(items)}, where {MAX_DICTIONARIES} are allowed.")
        found: dict[Pair, Terms] = {}
        for item in items:
            pair, terms = await self.dictionary(item)
            if pair in found:
                raise BadRequest(f"Two dictionaries from {pair[0]} to {pair[1]}")
            found[pair] = terms
        return found


async def _in_thread(function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
    """What waits for the disk, elsewhere."""
    return await asyncio.to_thread(function, *arguments, **keywords)


# Version 2


@router.post("/v2/glossaries")
async def create(request: Request) -> JSONResponse:
    """A new glossary; another of the same name stays."""
    ask = await _Ask.read(request)
    name = ask.name()
    pair, terms = await ask.dictionary()
    return JSONResponse(_told(await _in_thread(ask.store.create, ask.caller, name, {pair: terms})), 201)


@router.get("/v2/glossaries")
async def list_all(request: Request) -> Json:
    """The caller's own that have one pair, oldest first."""
    ask = await _Ask.read(request)
    found = await _in_thread(ask.store.list, ask.caller)
    return {"glossaries": [_told(glossary) for glossary in found if len(glossary.dictionaries) == 1]}


@router.get("/v2/glossaries/{glossary_id}")
async def get(request: Request, glossary_id: str) -> Json:
    """What is told of a glossary, without its entries."""
    ask = await _Ask.read(request)
    return _told(await _in_thread(ask.store.get, glossary_id, ask.caller))


@router.get("/v2/glossaries/{glossary_id}/entries")
async def entries(request: Request, glossary_id: str) -> Response:
    """Its entries, always as TSV."""
    ask = await _Ask.read(request)
    only = _only(await _in_thread(ask.store.get, glossary_id, ask.caller))
    found = await _in_thread(ask.store.entries, glossary_id, ask.caller, (only.source, only.target))
    return Response(found, media_type="text/tab-separated-values; charset=utf-8")


@router.delete("/v2/glossaries/{glossary_id}")
@router.delete("/v3/glossaries/{glossary_id}")
async def delete(request: Request, glossary_id: str) -> Response:
    """For good."""
    ask = await _Ask.read(request)
    await _in_thread(ask.store.delete, glossary_id, ask.caller)
    return Response(status_code=204)


# Version 3


@router.post("/v3/glossaries")
async def create_multilingual(request: Request) -> JSONResponse:
    """A new glossary; another of the same name stays."""
    ask = await _Ask.read(request)
    name = ask.name()
    dictionaries = await ask.dictionaries()
    if not dictionaries:
        raise missing("dictionaries")
    return JSONResponse(_told_of_all(await _in_thread(ask.store.create, ask.caller, name, dictionaries)), 201)


@router.get("/v3/glossaries")
async def list_multilingual(request: Request) -> Json:
    """All of the caller's own, oldest first."""
    ask = await _Ask.read(request)
    return {"glossaries": [_told_of_all(each) for each in await _in_thread(ask.store.list, ask.caller)]}


@router.get("/v3/glossaries/{glossary_id}")
async def get_multilingual(request: Request, glossary_id: str) -> Json:
    """What is told of a glossary, without its entries."""
    ask = await _Ask.read(request)
    return _told_of_all(await _in_thread(ask.store.get, glossary_id, ask.caller))


@router.patch("/v3/glossaries/{glossary_id}")
async def change(request: Request, glossary_id: str) -> Json:
    """Another name, more entries, or both. What there is of other terms and pairs stays."""
    ask = await _Ask.read(request)
    name = ask.name() if "name" in ask.values else ""
    dictionaries = await ask.dictionaries()
    changed = await _in_thread(ask.store.change, glossary_id, ask.caller, dictionaries, name=name, is_addition=True)
    return _told_of_all(changed)


@router.get("/v3/glossaries/{glossary_id}/entries")
async def entries_of_pair(request: Request, glossary_id: str) -> Json:
    """The entries for a pair, as TSV inside JSON."""
    ask = await _Ask.read(request)
    source, target = ask.pair()
    found = await _in_thread(ask.store.entries, glossary_id, ask.caller, (source, target))
    told = {"source_lang": source, "target_lang": target, "entries": found, "entries_format": "tsv"}
    return {"dictionaries": [told]}


@router.put("/v3/glossaries/{glossary_id}/dictionaries")
async def replace_dictionary(request: Request, glossary_id: str) -> Json:
    """Other entries for a pair; what there was of it goes."""
    ask = await _Ask.read(request)
    pair, terms = await ask.dictionary()
    changed = await _in_thread(ask.store.change, glossary_id, ask.caller, {pair: terms})
    return next(_dictionary(each) for each in changed.dictionaries if (each.source, each.target) == pair)


@router.delete("/v3/glossaries/{glossary_id}/dictionaries")
async def delete_dictionary(request: Request, glossary_id: str) -> Response:
    """The entries for a pair go, the glossary stays."""
    ask = await _Ask.read(request)
    await _in_thread(ask.store.delete_dictionary, glossary_id, ask.caller, ask.pair())
    return Response(status_code=204)


def _is_direct(languages: Languages, source: Language, target: Language) -> bool:
    try:
        return len(languages.route(source, target)) == 1
    except UnsupportedPair:
        return False


def _told(glossary: Glossary) -> Json:
    """DeepL's client reads all of these. Raises NotFound for one that version 2 does not know."""
    only = _only(glossary)
    return {
        "glossary_id": glossary.id,
        "name": glossary.name,
        "ready": True,
        **_dictionary(only),
        "creation_time": _time(glossary),
    }


def _told_of_all(glossary: Glossary) -> Json:
    return {
        "glossary_id": glossary.id,
        "name": glossary.name,
        "dictionaries": [_dictionary(each) for each in glossary.dictionaries],
        "creation_time": _time(glossary),
    }


def _dictionary(dictionary: Dictionary) -> Json:
    return {"source_lang": dictionary.source, "target_lang": dictionary.target, "entry_count": dictionary.count}


def _only(glossary: Glossary) -> Dictionary:
    """Its one dictionary. Raises NotFound where there are several: they are version 3's."""
    if len(glossary.dictionaries) != 1:
        raise NotFound("Glossary not found.")
    return glossary.dictionaries[0]


def _time(glossary: Glossary) -> str:
    """With the fraction of a second that DeepL's client expects."""
    return glossary.created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
