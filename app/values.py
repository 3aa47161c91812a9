"""Reads requests of other services' contracts, which say the same thing as JSON, as a form or in the query string.

A form or a query may name a field several times, JSON has lists. Knows the fields of no contract. (LibreTranslate's own
reading, where of a repeated field the first counts, is in `app.parameters`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import Request

from app.errors import BadRequest
from app.forms import read_form
from app.parameters import UNREADABLE, is_json, parse_json
from app.settings import Settings

_TRUE = ("1", "true", "yes")
_FALSE = ("0", "false", "no", "")


class Values:
    """The fields of one request: lists of strings, or whatever JSON had. A JSON null counts as absent."""

    def __init__(self, fields: Mapping[str, Any], repeated: Mapping[str, list[str]] = MappingProxyType({})) -> None:
        """`fields`: of JSON. `repeated`: of a form or a query, each as often as it was named."""
        self._fields = {name: value for name, value in fields.items() if value is not None}
        self._repeated = {name: values for name, values in repeated.items() if name not in self._fields}
        self._fields |= self._repeated

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def texts(self, name: str) -> list[str]:
        """Every text of a field, none if it is absent. Raises BadRequest for anything but texts."""
        value = self._fields.get(name, [])
        return [_text(item, name) for item in (value if isinstance(value, list) else [value])]

    def text(self, name: str, default: str = "") -> str:
        """The one text of a field; of a repeated one the first. Raises BadRequest for anything but a text."""
        return _text(self._one(name, default), name)

    def word(self, name: str, default: str = "") -> str:
        """A text that is one of a few words: without case and blanks; numbers and booleans count as theirs."""
        value = self._one(name, default)
        if isinstance(value, int):  # True and False among them
            value = str(int(value))
        return _text(value, name).strip().lower()

    def _one(self, name: str, default: str) -> Any:
        """The value of a field, be it alone in a list. Raises BadRequest for a JSON list of several."""
        value = self._fields.get(name, default)
        if not isinstance(value, list):
            return value
        if len(value) > 1 and name not in self._repeated:
            raise unsupported(name)
        return value[0] if value else default

    def boolean(self, name: str, default: bool = False) -> bool:
        """Raises BadRequest for what is neither yes nor no."""
        if name not in self._fields:
            return default
        word = self.word(name)
        if word not in _TRUE + _FALSE:
            raise unsupported(name)
        return word in _TRUE

    def objects(self, name: str) -> list[Values]:
        """The objects of a list, none if it is absent. Raises BadRequest for anything else."""
        value = self._fields.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise unsupported(name)
        return [Values(item) for item in value]

    def names(self, name: str) -> tuple[str, ...]:
        """A list of names; one text may hold several, separated by commas."""
        return tuple(part.strip() for text in self.texts(name) for part in text.split(",") if part.strip())


def unsupported(name: str) -> BadRequest:
    """The error for a value that is not one of those allowed, in DeepL's words."""
    return BadRequest(f"Value for '{name}' not supported.")


def missing(name: str) -> BadRequest:
    """The error for a field that must be there, in DeepL's words."""
    return BadRequest(f"Parameter '{name}' not specified.")


async def read_values(request: Request, settings: Settings) -> Values:
    """The fields of the query string and of the body, of a GET too; what the body says counts first.

    Raises BadRequest for a malformed body, or JSON that is not an object.
    """
    query: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        query.setdefault(name, []).append(value)
    if is_json(request):
        body = await request.body()
        return Values(parse_json(body) if body else {}, query)
    fields: dict[str, Any] = {}
    try:
        form = await read_form(request, settings.max_body_bytes)
    except ValueError:  # a form whose parts or charset make no sense
        raise BadRequest(UNREADABLE) from None
    for name, field in form:
        fields.setdefault(name, []).append(field)
    return Values({}, query | fields)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise unsupported(name)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRequest(f"Value for '{name}' is not valid Unicode (it holds half of a surrogate pair).") from None
    return value
