"""The API's description against the service: Schemathesis makes requests from it, right ones and wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from app import contracts
from app.main import create_app
from app.routes import apertium, deepl, deepl_documents, deepl_glossaries, google, opennmt
from app.settings import Settings
from benchmarks.rows.inputs import schemathesis
from tests.app.fake_engine import FakeEngine
from tests.app.serving import calling, serving

pytestmark = pytest.mark.anyio

EXAMPLES = 8
"""Of each operation; `make reliability` makes more."""


CONTRACT_EXAMPLES = 3
"""There are three times as many operations."""


def test_answers_are_as_described_and_none_is_a_fault(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    with serving(FakeEngine(), Settings(access_log=False, deadline_s=2.0)) as address:
        code = schemathesis(address, EXAMPLES, seed=1, report=report)
    assert code == 0, report.read_text("utf-8", "replace")[-5000:]


def test_answers_of_other_contracts_are_as_described(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    with serving(FakeEngine(), Settings(access_log=False, deadline_s=2.0)) as address:
        code = schemathesis(address, CONTRACT_EXAMPLES, seed=1, report=report, document=contracts.PATH[1:])
    assert code == 0, report.read_text("utf-8", "replace")[-5000:]


def test_every_route_of_the_other_contracts_is_described_and_no_other() -> None:
    routes = {
        (route.path, method.lower())
        for module in (deepl, deepl_documents, deepl_glossaries, google, apertium, opennmt)
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    described = {(path, method) for path, each in contracts.document()["paths"].items() for method in each}
    assert described == routes


async def test_what_is_refused_whatever_the_route_is_listed() -> None:
    settings = Settings(access_log=False)
    document = create_app(settings).openapi()
    posts = {path: each["post"] for path, each in document["paths"].items() if "requestBody" in each.get("post", {})}
    assert {"/translate", "/translate_file", "/detect"} == posts.keys()
    async with calling(settings, FakeEngine()) as (_, client):
        for path, operation in posts.items():
            compressed = await client.post(path, content=b"x", headers={"Content-Encoding": "gzip"})
            assert str(compressed.status_code) in operation["responses"]
            assert "503" in operation["responses"]  # the server's connections refuse so when it is full or stopping


def test_no_status_is_listed_that_is_never_sent() -> None:
    document = create_app(Settings()).openapi()
    listed = {status for each in document["paths"].values() for one in each.values() for status in one["responses"]}
    assert "422" not in listed
    assert "HTTPValidationError" not in document["components"]["schemas"]
