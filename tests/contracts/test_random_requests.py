"""Whatever is sent, the answer is JSON of the contract's shape and never a fault of the service."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_from_bytes

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.anyio

FIELDS = {
    "/v2/translate": (
        "text source_lang target_lang split_sentences tag_handling ignore_tags splitting_tags formality glossary_id "
        "model_type show_billed_characters preserve_formatting style_id custom_instructions auth_key"
    ),
    "/v2/glossaries": "name source_lang target_lang entries entries_format auth_key",
    "/v3/glossaries": "name dictionaries auth_key",
    "/v2/languages": "type auth_key",
    "/v2/document/1": "document_key",
    "/language/translate/v2": "q source target format key model",
    "/language/translate/v2/detect": "q key",
    "/apy/translate": "q langpair format markUnknown key",
    "/apy/identifyLang": "q key",
    "/translator/translate": "src id n_best",
}
WORDS = st.sampled_from(
    [
        "en",
        "DE",
        "en|de",
        "EN-US",
        "xx",
        "auto",
        "",
        "0",
        "1",
        "true",
        "html",
        "xml",
        "text",
        "tsv",
        "csv",
        "a\tb",
        "Hi",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | WORDS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    path = draw(st.sampled_from(sorted(FIELDS)))
    names = st.sampled_from(FIELDS[path].split())
    fields = draw(st.dictionaries(names, WORDS | VALUES, max_size=6))
    kind = draw(st.sampled_from(["json", "form", "query", "bytes"]))
    if kind == "json":
        body = [fields] if path.startswith("/translator") and draw(st.booleans()) else fields
        return "POST", path, _body(json.dumps(body).encode(), "application/json")
    if kind == "bytes":
        media = draw(st.sampled_from(["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]))
        return "POST", path, _body(draw(st.binary(max_size=60)), media)
    plain = "&".join(f"{name}={quote_from_bytes(draw(st.binary(max_size=12)))}" for name in fields)
    if kind == "form":
        return "POST", path, _body(plain.encode(), "application/x-www-form-urlencoded")
    return draw(st.sampled_from(["GET", "POST"])), f"{path}?{plain}", {}


def _body(content: bytes, media_type: str) -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": media_type}}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(request=requests())
async def test_no_request_is_a_fault_of_the_service(
    shared_client: httpx.AsyncClient, request: tuple[str, str, dict[str, Any]]
) -> None:
    method, path, parts = request
    response = await shared_client.request(method, path, **parts)
    assert response.status_code < 500, response.text
    body = response.json()
    if response.is_success:
        return
    if path.startswith(("/v2", "/v3")):
        assert {type(body["message"]), type(body["detail"])} == {str}
    elif path.startswith("/language"):
        assert body["error"]["code"] == response.status_code
    elif path.startswith("/apy"):
        assert body["responseStatus"] == response.status_code
    else:
        assert body.keys() == {"error", "status"}
