"""Reads the parameters of a /translate request, from JSON or from a form united with the query string.

Wording and rules are LibreTranslate's wherever it has the field, so that its clients meet what they know. Knows nothing
of models: whether a language is served is decided later.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from fastapi import Request

from app.errors import BadRequest, BodyTimeout
from app.forms import read_form
from app.settings import Settings

Fields = Mapping[str, Any]

_JSON_TYPE = re.compile(r"application/(?:[^;\s]+\+)?json\s*(?:;|$)", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?")
_LONGEST_S = 1_000_000
_SHORTEST_S = 0.5
"""A time limit that nothing can keep is a mistake of units, and no reason to fail."""
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}
_MAX_ECHO_CHARS = 40
UNREADABLE = "The browser (or proxy) sent a request that this server could not understand."


class TranslateCall(NamedTuple):
    """One request to translate. `is_list` remembers whether `q` was a list, which the answer mirrors."""

    texts: tuple[str, ...]
    is_list: bool
    source: str
    target: str
    alternatives: int = 0
    beam_size: int | None = None
    n_best: int | None = None
    scores: bool = False
    alignments: bool = False
    attention: bool = False
    flags: bool = False
    raw: bool = False
    format: str = "text"
    """`text` or `html`."""
    translate_attributes: bool = False
    terms: tuple[tuple[str, str], ...] = ()
    timeout_s: float | None = None

    @property
    def hypotheses(self) -> int:
        """How many translations of each text the engine must find."""
        return max(self.n_best or 1, self.alternatives + 1)


async def read_fields(request: Request, settings: Settings) -> Fields:
    """The request's fields: of the JSON object if the body is JSON, else of the query string and the form.

    Raises:
        BadRequest: a malformed body, or JSON that is not an object.
        BodyTimeout: the body did not arrive in time.
    """
    try:
        async with asyncio.timeout(settings.deadline_s):
            if is_json(request):
                return parse_json(await request.body())
            form = await read_form(request, settings.max_body_bytes)
    except ValueError:  # a form whose parts or charset make no sense
        raise BadRequest(UNREADABLE) from None
    except TimeoutError:
        raise BodyTimeout.after(settings.deadline_s) from None
    fields: dict[str, Any] = {}
    for name, value in (*request.query_params.multi_items(), *form):
        fields.setdefault(name, value)  # of a repeated field only the first counts
    if "q" in fields:
        fields["q"] = _plain_lines(fields["q"])
    return fields


def is_json(request: Request) -> bool:
    """Whether the body calls itself JSON."""
    return _JSON_TYPE.match(request.headers.get("content-type", "").strip()) is not None


def decode_json(body: bytes) -> Any:
    """The JSON value in `body`. Raises BadRequest for anything else, however odd."""
    try:
        return _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except (ValueError, RecursionError):  # malformed, not UTF-8, NaN, thousands of digits; nested too deeply
        raise BadRequest(UNREADABLE) from None


def parse_json(body: bytes) -> Fields:
    """The JSON object in `body`. Raises BadRequest for anything else."""
    fields = decode_json(body)
    if not isinstance(fields, dict):
        raise BadRequest("Invalid JSON format")
    return fields


def parse_call(fields: Fields, settings: Settings) -> TranslateCall:
    """Check every field of a request. Raises BadRequest with the first mistake."""
    texts, is_list = read_texts(fields)
    source, target = _code(fields, "source"), _code(fields, "target")
    options = {name: read(fields, name, settings) for name, read in _OPTIONS.items() if name in fields}
    call = TranslateCall(texts, is_list, source, target, **options)
    if call.beam_size is not None and call.hypotheses > call.beam_size:
        raise BadRequest(
            f"Invalid request: beam_size parameter must be >= {call.hypotheses} to find that many translations"
        )
    if call.raw and (call.format != "text" or call.terms):
        raise BadRequest("Invalid request: raw parameter goes with neither terms nor the html format")
    if call.translate_attributes and (call.alignments or call.attention):
        raise BadRequest("Invalid request: translate_attributes parameter goes with neither alignments nor attention")
    return call


def shown(text: str) -> str:
    """A piece of the request for a message: cut short."""
    return text if len(text) <= _MAX_ECHO_CHARS else text[:_MAX_ECHO_CHARS] + "..."


def read_texts(fields: Fields) -> tuple[tuple[str, ...], bool]:
    """The texts of `q`, and whether it was a list. Raises BadRequest."""
    q = fields.get("q")
    if q is None or q == "" or q == []:
        raise BadRequest("Invalid request: missing q parameter")
    if isinstance(q, str):
        return (_unicode(q, "q parameter"),), False
    if not isinstance(q, list):
        raise BadRequest("Invalid request: q parameter is not a string or a list of strings")
    return tuple(_unicode(item, f"q[{index}]") for index, item in enumerate(q)), True


def _unicode(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"Invalid request: {name} is not a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRequest(f"Invalid request: {name} is not valid Unicode (it holds half of a surrogate pair)") from None
    return value


def _code(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if value is None or value == "":
        raise BadRequest(f"Invalid request: missing {name} parameter")
    return _unicode(value, f"{name} parameter").lower()


def _integer(fields: Fields, name: str, limit: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest(f"Invalid request: {name} parameter is not a number")
    if value > limit:
        raise BadRequest(f"Invalid request: {name} parameter must be <= {limit}")
    return value


def _count(fields: Fields, name: str, limit: int) -> int | None:
    value = _integer(fields, name, limit)
    if value is not None and value < 1:
        raise BadRequest(f"Invalid request: {name} parameter must be >= 1")
    return value


def _boolean(fields: Fields, name: str, _: Settings) -> bool:
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    word = str(value).strip().lower() if isinstance(value, str | int) else None
    if word not in _BOOLEANS:
        raise BadRequest(f"Invalid request: {name} parameter is not a boolean")
    return _BOOLEANS[word]


def _format(fields: Fields, name: str, _: Settings) -> str:
    value = _unicode(fields.get(name) or "text", f"{name} parameter")
    if value not in ("text", "html"):
        raise BadRequest(f"{shown(value)} format is not supported")
    return value


def _terms(fields: Fields, name: str, settings: Settings) -> tuple[tuple[str, str], ...]:
    """Of an object, or of a list of pairs: source terms and what they must become. A form holds the same as JSON."""
    limit = settings.max_terms
    value = fields.get(name)
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        value = decode_json(value.encode("utf-8", "surrogatepass"))
    pairs = list(value.items()) if isinstance(value, dict) else value
    if not isinstance(pairs, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise BadRequest("Invalid request: terms parameter is neither an object nor a list of pairs")
    if len(pairs) > limit:
        raise BadRequest(f"Invalid request: terms parameter holds more than {limit} terms")
    terms = tuple((_unicode(source, "terms"), _unicode(target, "terms")) for source, target in pairs)
    if not all(source.strip() and target.strip() for source, target in terms):
        raise BadRequest("Invalid request: terms parameter holds an empty term")
    return terms


def _seconds(fields: Fields, name: str, _: Settings) -> float | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadRequest(f"Invalid request: {name} parameter is not a number")
    if not 0 < value < _LONGEST_S:
        raise BadRequest(f"Invalid request: {name} parameter must be > 0 and < {_LONGEST_S}")
    return max(_SHORTEST_S, float(value))


_OPTIONS: dict[str, Callable[[Fields, str, Settings], Any]] = {
    "alternatives": lambda fields, name, limits: max(0, _integer(fields, name, limits.max_alternatives) or 0),
    "beam_size": lambda fields, name, limits: _count(fields, name, limits.max_beam),
    "n_best": lambda fields, name, limits: _count(fields, name, limits.max_n_best),
    "scores": _boolean,
    "alignments": _boolean,
    "attention": _boolean,
    "flags": _boolean,
    "raw": _boolean,
    "format": _format,
    "translate_attributes": _boolean,
    "terms": _terms,
    "timeout_s": _seconds,
}
"""How each field is read that need not be there. Of several mistakes the first one in this order is told."""


def _plain_lines(text: str) -> str:
    """Line ends as "\\n" and none at the end: browsers send "\\r\\n" and forms add a last one."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_constant=_refuse)
"""Made once: json.loads makes one for every call."""
