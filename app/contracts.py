"""The OpenAPI document of other services' contracts, at /openapi-contracts.json: what their routes take and answer.

A document of its own, since most of its fields are of little use to who writes a new client. The routes read their
requests themselves (one field may come in many forms, which no model of a body says); a test holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias

from app.errors import MEANINGS
from nmt import __version__

PATH = "/openapi-contracts.json"

Json: TypeAlias = dict[str, Any]

TEXT: Json = {"type": "string"}
CODE: Json = {"type": "string", "examples": ["EN"]}
TARGET: Json = {"type": "string", "examples": ["DE"]}
TEXTS: Json = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], "examples": [["Hi"]]}
FLAG: Json = {"anyOf": [{"type": "boolean"}, {"enum": ["0", "1", "true", "false", "yes", "no"]}]}
COUNT: Json = {"type": "integer", "minimum": 0}
NUMBER: Json = {"type": "number"}
FORMS = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")


def shape(required: Mapping[str, Json], more: Mapping[str, Json] | None = None) -> Json:
    """An answer with these fields and no others."""
    properties = {**required, **(more or {})}
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def many(items: Json) -> Json:
    """A list."""
    return {"type": "array", "items": items}


def taken(required: Mapping[str, Json], more: Mapping[str, Json]) -> Json:
    """Fields of a request; others are passed over."""
    return {"type": "object", "properties": {**required, **more}, "required": list(required)}


DEEPL_ERROR = shape({"message": TEXT, "detail": TEXT})
GOOGLE_ERROR = shape(
    {
        "error": shape(
            {
                "code": COUNT,
                "message": TEXT,
                "errors": many(shape({"message": TEXT, "domain": TEXT, "reason": TEXT})),
                "status": TEXT,
            }
        )
    }
)
APERTIUM_ERROR = shape(
    {
        "status": {"const": "error"},
        "code": COUNT,
        "message": TEXT,
        "explanation": TEXT,
        "responseData": shape({"translatedText": {"type": "null"}}),
        "responseDetails": TEXT,
        "responseStatus": COUNT,
    }
)
OPENNMT_ERROR = shape({"error": TEXT, "status": {"const": "error"}})
_ERRORS: dict[str, tuple[Json, tuple[int, ...]]] = {
    "DeepL": (DEEPL_ERROR, (400, 403, 404, 408, 413, 415, 429, 456, 500, 503, 504, 529)),
    "Google": (GOOGLE_ERROR, (400, 403, 404, 408, 413, 415, 429, 500, 503, 504)),
    "Apertium": (APERTIUM_ERROR, (400, 403, 404, 408, 413, 415, 429, 500, 503, 504)),
    "OpenNMT": (OPENNMT_ERROR, (400, 403, 404, 408, 413, 415, 429, 500, 503, 504)),
}

KEY: dict[str, Json] = {"auth_key": {"type": "string", "description": "A key; the header Authorization does as well."}}
PAIR: dict[str, Json] = {"source_lang": CODE, "target_lang": TARGET}
DICTIONARY = shape({"source_lang": TEXT, "target_lang": TEXT, "entry_count": COUNT})
GLOSSARY = shape(
    {
        "glossary_id": TEXT,
        "name": TEXT,
        "ready": {"type": "boolean"},
        "source_lang": TEXT,
        "target_lang": TEXT,
        "entry_count": COUNT,
        "creation_time": TEXT,
    }
)
GLOSSARIES = shape({"glossary_id": TEXT, "name": TEXT, "dictionaries": many(DICTIONARY), "creation_time": TEXT})
ENTRIES: dict[str, Json] = {
    "entries": {"type": "string", "examples": ["dog\tHund"]},
    "entries_format": {"enum": ["tsv", "csv"]},
}
WITHOUT_EFFECT: dict[str, Json] = {
    "formality": {"enum": ["default", "prefer_more", "prefer_less"]},
    "model_type": {"enum": ["quality_optimized", "latency_optimized", "prefer_quality_optimized"]},
    "preserve_formatting": FLAG,
    "outline_detection": FLAG,
    "context": TEXT,
}
DEEPL_TRANSLATE = taken(
    {"text": TEXTS, "target_lang": TARGET},
    {
        "source_lang": CODE,
        "tag_handling": {"enum": ["html", "xml"]},
        "split_sentences": {"enum": ["0", "1", "nonewlines"]},
        **dict.fromkeys(("ignore_tags", "splitting_tags", "non_splitting_tags"), TEXTS),
        "glossary_id": TEXT,
        "glossary_ids": TEXTS,
        "show_billed_characters": FLAG,
        **WITHOUT_EFFECT,
        **KEY,
    },
)
DEEPL_ANSWER = shape(
    {
        "translations": many(
            shape({"detected_source_language": TEXT, "text": TEXT}, {"billed_characters": COUNT}),
        )
    }
)
DEEPL_LANGUAGES = many(shape({"language": TEXT, "name": TEXT}, {"supports_formality": {"type": "boolean"}}))
DOCUMENT_STATUS = shape(
    {"document_id": TEXT, "status": {"enum": ["queued", "translating", "done", "error"]}},
    {"seconds_remaining": COUNT, "billed_characters": COUNT, "error_message": TEXT, "message": TEXT},
)
GOOGLE_TRANSLATE = taken(
    {"q": TEXTS, "target": TARGET},
    {"source": CODE, "format": {"enum": ["html", "text"]}, "key": TEXT, "model": TEXT},
)
GOOGLE_ANSWER = shape(
    {"data": shape({"translations": many(shape({"translatedText": TEXT}, {"detectedSourceLanguage": TEXT}))})}
)
GOOGLE_DETECTION = shape({"language": TEXT, "confidence": NUMBER, "isReliable": {"type": "boolean"}})
APERTIUM_TRANSLATE = taken(
    {"q": TEXT, "langpair": {"type": "string", "examples": ["en|de"]}},
    {"format": TEXT, "deformat": TEXT, "markUnknown": TEXT, "key": TEXT},
)


def apertium(data: Json) -> Json:
    """Apertium's wrapping of an answer."""
    return shape({"responseData": data, "responseDetails": {"type": "null"}, "responseStatus": {"const": 200}})


OPENNMT_ITEM = taken(
    {"src": TEXT}, {"id": {"type": ["integer", "string"]}, "n_best": {"type": "integer", "minimum": 1}}
)
OPENNMT_ROW = shape(
    {"src": TEXT, "tgt": TEXT, "n_best": COUNT, "pred_score": {"type": ["number", "null"]}, "align": many(TEXT)}
)


def _operation(
    service: str,
    summary: str,
    answer: Json | None,
    *,
    body: Json | None = None,
    query: Json | None = None,
    media: tuple[str, ...] = FORMS,
    answer_media: str = "application/json",
    status: int = 200,
) -> Json:
    error, statuses = _ERRORS[service]
    responses: Json = {
        str(code): {"description": MEANINGS[code], "content": {"application/json": {"schema": error}}}
        for code in statuses
    }
    content = {} if answer is None else {"content": {answer_media: {"schema": answer}}}
    responses[str(status)] = {"description": "Done.", **content}
    operation: Json = {"tags": [service], "summary": summary, "responses": responses}
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": body} for kind in media}}
    if query is not None:
        operation["parameters"] = [
            {"name": name, "in": "query", "required": name in query.get("required", ()), "schema": schema}
            for name, schema in query["properties"].items()
        ]
    return operation


def _both(service: str, summary: str, answer: Json, fields: Json) -> Json:
    """The same as a GET with a query and as a POST with a body."""
    return {
        "get": _operation(service, summary, answer, query=fields),
        "post": _operation(service, summary, answer, body=fields),
    }


def _deepl() -> Json:
    key = taken({}, KEY)
    pairs = shape({"supported_languages": many(shape({"source_lang": TEXT, "target_lang": TEXT}))})
    each = taken({**PAIR, **ENTRIES}, {})
    several = taken({"name": TEXT, "dictionaries": many(each)}, KEY)
    one = taken({"name": TEXT, **PAIR, **ENTRIES}, KEY)
    pair = taken(PAIR, KEY)
    entries = shape({"source_lang": TEXT, "target_lang": TEXT, "entries": TEXT, "entries_format": {"const": "tsv"}})
    file = taken(
        {"file": {"type": "string", "format": "binary"}, "target_lang": TARGET},
        {"source_lang": CODE, "filename": TEXT, "output_format": TEXT, "glossary_id": TEXT, **WITHOUT_EFFECT, **KEY},
    )
    document_key = taken({"document_key": TEXT}, KEY)
    binary = {"type": "string", "format": "binary"}
    delete = _operation("DeepL", "Delete a glossary", None, query=key, status=204)
    list_pairs = {"get": _operation("DeepL", "Pairs that a glossary may have", pairs)}
    kinds = taken({}, {"type": {"enum": ["source", "target"]}, **KEY})
    return {
        "/v2/translate": _both("DeepL", "Translate texts", DEEPL_ANSWER, DEEPL_TRANSLATE),
        "/v2/languages": _both("DeepL", "Languages", DEEPL_LANGUAGES, kinds),
        "/v2/usage": _both(
            "DeepL", "Characters used", shape({"character_count": COUNT}, {"character_limit": COUNT}), key
        ),
        "/v2/document": {
            "post": _operation(
                "DeepL",
                "Hand a document in",
                shape({"document_id": TEXT, "document_key": TEXT}),
                body=file,
                media=("multipart/form-data",),
            )
        },
        "/v2/document/{document_id}": _both("DeepL", "How far a document is", DOCUMENT_STATUS, document_key),
        "/v2/document/{document_id}/result": {
            "get": _operation("DeepL", "Fetch a document", binary, query=document_key, answer_media="*/*"),
            "post": _operation("DeepL", "Fetch a document", binary, body=document_key, answer_media="*/*"),
        },
        "/v2/glossary-language-pairs": list_pairs,
        "/v3/glossary-language-pairs": list_pairs,
        "/v2/glossaries": {
            "post": _operation("DeepL", "Make a glossary", GLOSSARY, body=one, status=201),
            "get": _operation("DeepL", "Glossaries of one pair", shape({"glossaries": many(GLOSSARY)}), query=key),
        },
        "/v2/glossaries/{glossary_id}": {
            "get": _operation("DeepL", "A glossary", GLOSSARY, query=key),
            "delete": delete,
        },
        "/v2/glossaries/{glossary_id}/entries": {
            "get": _operation(
                "DeepL", "Entries of a glossary", TEXT, query=key, answer_media="text/tab-separated-values"
            )
        },
        "/v3/glossaries": {
            "post": _operation("DeepL", "Make a glossary", GLOSSARIES, body=several, status=201),
            "get": _operation("DeepL", "Glossaries", shape({"glossaries": many(GLOSSARIES)}), query=key),
        },
        "/v3/glossaries/{glossary_id}": {
            "get": _operation("DeepL", "A glossary", GLOSSARIES, query=key),
            "patch": _operation("DeepL", "Change a glossary", GLOSSARIES, body={**several, "required": []}),
            "delete": delete,
        },
        "/v3/glossaries/{glossary_id}/entries": {
            "get": _operation(
                "DeepL", "Entries of a glossary for a pair", shape({"dictionaries": many(entries)}), query=pair
            )
        },
        "/v3/glossaries/{glossary_id}/dictionaries": {
            "put": _operation("DeepL", "Other entries for a pair", DICTIONARY, body=each),
            "delete": _operation("DeepL", "Delete the entries for a pair", None, query=pair, status=204),
        },
    }


def _others() -> Json:
    asked = taken({"q": TEXTS}, {"key": TEXT})
    base = "/language/translate/v2"
    names = shape({"data": shape({"languages": many(shape({"language": TEXT}, {"name": TEXT}))})})
    detections = shape({"data": shape({"detections": many(many(GOOGLE_DETECTION))})})
    pairs = many(shape({"sourceLanguage": TEXT, "targetLanguage": TEXT}))
    models = many(shape({"model_id": COUNT, "name": TEXT, "status": TEXT, "available": {"type": "boolean"}}))
    return {
        base: _both("Google", "Translate texts", GOOGLE_ANSWER, GOOGLE_TRANSLATE),
        f"{base}/detect": _both("Google", "Language of each text", detections, asked),
        f"{base}/languages": {"get": _operation("Google", "Languages", names, query=taken({}, {"target": TEXT}))},
        "/apy/translate": _both(
            "Apertium", "Translate a text", apertium(shape({"translatedText": TEXT})), APERTIUM_TRANSLATE
        ),
        "/apy/listPairs": {"get": _operation("Apertium", "Pairs of languages", apertium(pairs))},
        "/apy/listLanguageNames": {
            "get": _operation("Apertium", "Names by code", {"type": "object", "additionalProperties": TEXT})
        },
        "/apy/identifyLang": _both(
            "Apertium",
            "Languages of a text by likelihood",
            {"type": "object", "additionalProperties": NUMBER},
            taken({"q": TEXT}, {"key": TEXT}),
        ),
        "/translator/models": {"get": _operation("OpenNMT", "Models", models)},
        "/translator/translate": {
            "post": _operation(
                "OpenNMT",
                "Translate texts",
                many(many(OPENNMT_ROW)),
                body={**many(OPENNMT_ITEM), "minItems": 1},
                media=("application/json",),
            )
        },
    }


@cache
def document() -> Json:
    """All of it. Nobody changes what it returns."""
    paths = {**_deepl(), **_others()}
    for path, operations in paths.items():
        name = path.partition("{")[2].partition("}")[0]
        for method, operation in operations.items():
            if name:
                given = {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
                operations[method] = {**operation, "parameters": [given, *operation.get("parameters", ())]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Contracts of other services",
            "version": __version__,
            "description": "Fields may stand in the query string or in a body of any of these forms,"
            " whatever its method.",
        },
        "paths": paths,
    }
