"""Whatever a request holds, reading it ends in a call or in BadRequest, never in another exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest, message_of
from app.parameters import TranslateCall, parse_call, parse_json
from app.schemas import TranslateRequest
from app.settings import Settings

SETTINGS = Settings()
TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from(["", "en", "de", "text", "1"])
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=2))
FIELDS = st.dictionaries(st.sampled_from(sorted(TranslateRequest.model_fields)), VALUE)
GOOD = st.fixed_dictionaries({"q": TEXT | st.lists(TEXT), "source": st.just("en"), "target": st.just("de")})


@given(FIELDS | st.builds(lambda good, odd: {**odd, **good}, GOOD, FIELDS))
def test_any_fields_give_a_call_or_bad_request(fields: dict[str, Any]) -> None:
    try:
        call = parse_call(fields, SETTINGS)
    except BadRequest as error:
        json.dumps({"error": message_of(error)}, ensure_ascii=False).encode()
        return
    assert isinstance(call, TranslateCall)
    "".join(call.texts).encode()
    assert call.beam_size is None or call.hypotheses <= call.beam_size <= SETTINGS.max_beam


@given(st.binary() | VALUE.map(lambda value: json.dumps(value).encode()))
def test_any_body_gives_an_object_or_bad_request(body: bytes) -> None:
    try:
        fields = parse_json(body)
    except BadRequest:
        return
    assert fields == json.loads(body)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (True, True),
        ("true", True),
        ("TRUE", True),
        ("1", True),
        (1, True),
        (False, False),
        ("0", False),
        (0, False),
        ("", False),
        (None, False),
    ],
)
def test_booleans_may_be_written_in_several_ways(sent: object, meant: bool) -> None:
    assert parse_call({"q": "a", "source": "en", "target": "de", "scores": sent}, SETTINGS).scores is meant


@pytest.mark.parametrize(("sent", "meant"), [(3, 3), (3.0, 3), ("3", 3), (" +3 ", 3), (None, 0), (-7, 0)])
def test_numbers_may_be_written_in_several_ways(sent: object, meant: int) -> None:
    assert parse_call({"q": "a", "source": "en", "target": "de", "alternatives": sent}, SETTINGS).alternatives == meant
