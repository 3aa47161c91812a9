"""DeepL's API of version 2, as its own clients speak it: texts, languages, usage, glossaries.

Fields, defaults and wording are DeepL's. What no model here can do is said (formality) or has no effect (context); the
manual has the table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeAlias

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.codes import base_of, find_language
from app.errors import BadRequest
from app.gate import Caller, given_key
from app.glossaries import Terms
from app.guards import check_count
from app.languages import Language, Languages
from app.models import ModelSet
from app.routes.translate import MODEL_VERSION
from app.service import Service, get_service
from app.translation import AUTO, Outcome, aside, translate_each, version_of
from app.values import Values, missing, read_values, unsupported
from nmt.errors import NmtError, UnsupportedPair
from nmt.inference import TranslateOptions

router = APIRouter(prefix="/v2", include_in_schema=False)

Json: TypeAlias = dict[str, Any]

_MARKUP: dict[str, Literal["", "html", "xml"]] = {"": "", "html": "html", "xml": "xml"}
_SPLITTING: dict[str, Literal["all", "punctuation", "none"]] = {"0": "none", "1": "all", "nonewlines": "punctuation"}
_FORMALITIES = ("default", "more", "less", "prefer_more", "prefer_less")
_MODEL_TYPES = ("", "quality_optimized", "latency_optimized", "prefer_quality_optimized")
_NOT_HERE = ("style_id", "translation_memory_id", "custom_instructions")
"""Fields that would change the translation, were there what they name."""
_MAX_TAGS = 200
_MAX_NAME_CHARS = 1024
_KEY = "auth_key"

_VARIANTS = {"en": ("EN-GB", "EN-US"), "pt": ("PT-BR", "PT-PT"), "zh": ("ZH", "ZH-HANS")}
"""What DeepL lists as targets for a language that has no region of its own here."""
_TARGET_CODES = {"pb": "PT-BR", "zt": "ZH-HANT", "no": "NB"}
_NAMES = {
    "EN-GB": "English (British)",
    "EN-US": "English (American)",
    "PT-BR": "Portuguese (Brazilian)",
    "PT-PT": "Portuguese (European)",
    "ZH": "Chinese (simplified)",
    "ZH-HANS": "Chinese (simplified)",
    "ZH-HANT": "Chinese (traditional)",
}


class TextCall(NamedTuple):
    """One request to translate. `source`: None: to be detected, text by text."""

    texts: list[str]
    source: Language | None
    target: Language
    options: TranslateOptions
    glossaries: tuple[str, ...]
    with_billing: bool


@router.api_route("/translate", methods=["GET", "POST"])
async def translate(request: Request) -> JSONResponse:
    """Texts, all or none: DeepL's answer has no place for one text's error."""
    service = await get_service(request)
    values = await read_values(request, service.settings)
    clock = asyncio.get_running_loop().time
    end = clock() + service.admission.seconds(service.settings.deepl_deadline_s)
    with service.models.current as models:
        call = _text_call(values, models, service)
        caller = _admit(service, values, call.texts)
        options = call.options
        if call.glossaries:
            assert call.source is not None
            terms = await aside(
                end, glossary_terms, service, caller, call.glossaries, call.source, call.target, call.texts
            )
            if len(terms) > service.settings.max_terms:
                raise BadRequest(f"More than {service.settings.max_terms} entries of the glossary stand in the texts.")
            options = replace(options, terms=terms)
        outcomes = await translate_each(
            service,
            call.texts,
            call.source.code if call.source else AUTO,
            call.target.code,
            options,
            request.receive,
            deadline_s=end - clock(),
            models=models,
        )
    for outcome in outcomes:
        if isinstance(outcome.result, NmtError):
            raise outcome.result
    body = {"translations": [_translation(outcome, with_billing=call.with_billing) for outcome in outcomes]}
    version = version_of(outcomes)
    return JSONResponse(body, headers={MODEL_VERSION: version} if version else None)


@router.api_route("/languages", methods=["GET", "POST"])
async def languages(request: Request) -> JSONResponse:
    """The field `type` may stand in the query string or in the body of the GET."""
    service = await get_service(request)
    values = await read_values(request, service.settings)
    kind = values.word("type", "source")
    if kind not in ("source", "target"):
        raise BadRequest("Parameter 'type' is invalid. 'source' and 'target' are valid values.")
    identify(service, values)
    with service.models.current as models:
        listed = _sources(models.languages) if kind == "source" else _targets(models.languages)
    more = {"supports_formality": False} if kind == "target" else {}
    return JSONResponse([{"language": code, "name": name, **more} for code, name in listed.items()])


@router.api_route("/usage", methods=["GET", "POST"])
async def usage(request: Request) -> JSONResponse:
    """Characters of this month. A caller without a quota has no `character_limit`."""
    service = await get_service(request)
    values = await read_values(request, service.settings)
    used = service.gate.usage(key_of(values))
    limit = {} if used.character_limit is None else {"character_limit": used.character_limit}
    return JSONResponse({"character_count": used.character_count, **limit})


# Reading


def _text_call(values: Values, models: ModelSet, service: Service) -> TextCall:
    """Check every field. Raises BadRequest, and UnsupportedPair."""
    texts = values.texts("text")
    if not texts:
        raise missing("text")
    check_count(texts, service.settings)
    target = read_language(models.languages, values, "target_lang")
    source = read_language(models.languages, values, "source_lang") if values.text("source_lang") else None
    if source is not None:
        models.languages.route(source, target)
    check_fields_without_effect(values)
    with_billing = values.boolean("show_billed_characters")
    return TextCall(texts, source, target, _options(values), read_glossaries(values), with_billing)


def _options(values: Values) -> TranslateOptions:
    markup = _MARKUP.get(values.word("tag_handling"))
    if markup is None:
        raise unsupported("tag_handling")
    splitting = _SPLITTING.get(values.word("split_sentences", "nonewlines" if markup == "html" else "1"))
    if splitting is None:
        raise unsupported("split_sentences")
    ignored, split, joined = (_tags(values, name) for name in ("ignore_tags", "splitting_tags", "non_splitting_tags"))
    return TranslateOptions(
        markup=markup, splitting=splitting, ignore_tags=ignored, split_tags=split, non_split_tags=joined
    )


def _tags(values: Values, name: str) -> tuple[str, ...]:
    tags = values.names(name)
    if len(tags) > _MAX_TAGS:
        raise BadRequest(f"Too many tags in '{name}': {len(tags)}, where {_MAX_TAGS} are allowed.")
    return tags


def check_fields_without_effect(values: Values) -> None:
    """What no model here can do is refused where the caller insists on it, and passed over where it does not."""
    formality = values.word("formality", "default")
    if formality not in _FORMALITIES:
        raise unsupported("formality")
    if formality in ("more", "less"):
        raise BadRequest("'formality' is not supported for given 'target_lang'.")
    if values.word("model_type") not in _MODEL_TYPES:
        raise unsupported("model_type")
    for name in ("preserve_formatting", "outline_detection"):
        values.boolean(name)
    for name in _NOT_HERE:
        if any(values.texts(name)):
            raise unsupported(name)


def read_language(languages: Languages, values: Values, name: str) -> Language:
    """The language of a field, in any code that means it. Raises BadRequest."""
    code = values.text(name)
    if not code:
        raise missing(name)
    try:
        return find_language(languages, code)
    except UnsupportedPair:
        raise unsupported(name) from None


def glossary_terms(
    service: Service,
    caller: Caller,
    glossaries: Sequence[str],
    source: Language,
    target: Language,
    texts: Sequence[str] | None = None,
) -> Terms:
    """The terms of some glossaries that stand in these texts, or all. Of two for one source term the first counts.

    It waits for the disk. Raises NotFound, and BadRequest where a glossary is for other languages.
    """
    pair = base_of(source), base_of(target)
    terms: dict[str, str] = {}
    for glossary_id in glossaries:
        known = service.glossaries.get(glossary_id, caller.name).dictionaries
        if pair not in [(each.source, each.target) for each in known]:
            raise BadRequest("The languages of the glossary are not those of the request.")
        if texts is None:
            found = service.glossaries.terms(glossary_id, caller.name, pair)
        else:
            found = service.glossaries.terms_within(glossary_id, caller.name, pair, texts)
        for term, translation in found:
            terms.setdefault(term, translation)
    return tuple(terms.items())


def read_glossaries(values: Values) -> tuple[str, ...]:
    """Ids of the glossaries to use. Raises BadRequest where they cannot be."""
    glossaries = values.names("glossary_id") + values.names("glossary_ids")
    if glossaries and not values.text("source_lang"):
        raise BadRequest("Use of a glossary requires the source_lang parameter to be specified")
    return glossaries


def key_of(values: Values) -> str | None:
    """The key of the request in hand."""
    return given_key({_KEY: values.text(_KEY)}, _KEY)


def _admit(service: Service, values: Values, texts: Sequence[str]) -> Caller:
    return service.gate.admit(key_of(values), characters=sum(map(len, texts)), texts=len(texts))


def identify(service: Service, values: Values) -> Caller:
    """Who asks, for what costs nothing. Raises InvalidKey and KeyRequired."""
    return service.gate.identify(key_of(values))


# Telling


def _translation(outcome: Outcome, *, with_billing: bool) -> Json:
    billed = {"billed_characters": len(outcome.text)} if with_billing else {}
    return {"detected_source_language": _source_code(outcome.source), "text": outcome.output, **billed}


def _sources(languages: Languages) -> dict[str, str]:
    """Names by DeepL's codes, which have no regions here."""
    sources = [language for language in languages.listed if set(language.targets) - {language.code}]
    return {_source_code(language): language.name.partition(" (")[0] for language in sources}


def _targets(languages: Languages) -> dict[str, str]:
    """Names by DeepL's codes, which have regions here."""
    reached = {code for language in languages.listed for code in language.targets if code != language.code}
    return {
        code: _NAMES.get(code, language.name)
        for language in languages.listed
        if language.code in reached
        for code in _target_codes(language)
    }


def _source_code(language: Language) -> str:
    code = base_of(language).partition("-")[0].upper()
    return "NB" if code == "NO" else code


def _target_codes(language: Language) -> tuple[str, ...]:
    code = language.code.lower()
    return _VARIANTS.get(code, (_TARGET_CODES.get(code, code.upper()),))
