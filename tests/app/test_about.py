"""Languages, health and the documentation: what the service says of itself."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.openapi.models import OpenAPI

from app.languages import Languages, name_of
from app.parameters import parse_call
from app.schemas import FrontendSettings, TranslateAnswer, TranslateRequest
from app.settings import Settings
from nmt.errors import UnsupportedPair
from nmt.inference import SUFFIXES
from tests.app.fake_engine import FakeEngine, model

pytestmark = pytest.mark.anyio


async def test_languages_have_names_and_targets_with_themselves(client: httpx.AsyncClient) -> None:
    assert (await client.get("/languages")).json() == [
        {"code": "de", "name": "German", "targets": ["de", "en", "fr"]},
        {"code": "en", "name": "English", "targets": ["de", "en", "fr"]},
        {"code": "fr", "name": "French", "targets": ["fr"]},
    ]


async def test_languages_ignores_a_body(client: httpx.AsyncClient) -> None:
    """libretranslatepy sends one with its GET."""
    response = await client.request("GET", "/languages", data={"api_key": "x"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("en", "English"),
        ("DE", "German"),
        ("pt-BR", "Portuguese (BR)"),
        ("zh-Hans", "Chinese (Hans)"),
        ("nds", "nds"),
        ("zt", "Chinese (traditional)"),
    ],
)
def test_codes_have_english_names(code: str, name: str) -> None:
    assert name_of(code) == name


def test_aliases_find_a_language_unless_the_code_itself_is_served() -> None:
    chinese = Languages([model("en", "zh-Hans")])
    assert chinese.find("zh").code == chinese.find("ZH-hans").code == "zh-Hans"
    both = Languages([model("pb", "en"), model("pt-BR", "en")])
    assert (both.find("pb").code, both.find("pt-br").code) == ("pb", "pt-BR")
    with pytest.raises(UnsupportedPair, match="zh-hant is not supported"):
        chinese.find("zh-Hant")


def test_of_two_models_for_one_pair_the_first_is_taken() -> None:
    first, second = model("en", "de"), model("EN", "DE")
    languages = Languages([first, second])
    assert languages.route(languages.find("en"), languages.find("de")) == (first,)
    assert [language.code for language in languages.listed] == ["de", "en"]


@pytest.mark.parametrize(
    ("served", "pair"),
    [(["de-en", "en-de", "en-fr"], ("en", "de")), (["fr-de", "de-fr"], ("fr", "de"))],
    ids=["English is there", "it is not"],
)
def test_a_page_starts_with_english_where_it_can(served: list[str], pair: tuple[str, str]) -> None:
    source, target = Languages([model(*codes.split("-")) for codes in served]).default_pair
    assert (source.code, target.code) == pair


async def test_health_follows_the_engine_and_livez_does_not(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    for path in ("/health", "/readyz", "/livez"):
        response = await client.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
    engine.reasons = ("no worker is alive",)
    for path in ("/health", "/readyz"):
        response = await client.get(path)
        assert response.status_code == 503
        assert response.json() == {"status": "not ready", "reasons": ["no worker is alive"]}
    assert (await client.get("/livez")).status_code == 200


async def test_a_service_that_is_stopping_is_not_ready_but_works(client: httpx.AsyncClient, app: FastAPI) -> None:
    app.state.service.admission.is_stopping = True
    assert (await client.get("/readyz")).json() == {"status": "not ready", "reasons": ["the service is stopping"]}
    request = {"q": "a", "source": "en", "target": "de"}
    assert (await client.post("/translate", json=request)).json() == {"translatedText": "A"}


async def test_frontend_settings(client: httpx.AsyncClient) -> None:
    body = (await client.get("/frontend/settings")).json()
    FrontendSettings.model_validate(body)
    assert body == {
        "apiKeys": False,
        "charLimit": 2000,
        "filesTranslation": True,
        "frontendTimeout": 500,
        "keyRequired": False,
        "language": {"source": {"code": "en", "name": "English"}, "target": {"code": "de", "name": "German"}},
        "maxNBest": 10,
        "suggestions": False,
        "supportedFilesFormat": list(SUFFIXES),
    }


async def test_browsers_of_any_origin_may_call_but_without_credentials(client: httpx.AsyncClient) -> None:
    response = await client.options(
        "/translate",
        headers={
            "Origin": "http://page.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Access-Control-Max-Age"] == "1728000"
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_pages_elsewhere_may_use_every_method_that_a_route_has_and_every_key(client: httpx.AsyncClient) -> None:
    described = [(await client.get(path)).json() for path in ("/openapi.json", "/openapi-contracts.json")]
    methods = {method.upper() for each in described for operations in each["paths"].values() for method in operations}
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= methods
    for method in methods | {"HEAD"}:
        answer = await client.options(
            "/v3/glossaries/a",
            headers={
                "Origin": "https://page.example",
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "authorization,content-type,x-goog-api-key,x-request-id",
            },
        )
        assert answer.status_code == 200, (method, answer.text)


@pytest.mark.parametrize(
    ("sent", "is_kept"), [("abc-1_2.3", True), ("x" * 65, False), ("a b", False), ("a\tb", False), ("", False)]
)
async def test_request_ids_are_kept_if_harmless(client: httpx.AsyncClient, sent: str, is_kept: bool) -> None:
    received = (await client.get("/livez", headers={"X-Request-Id": sent})).headers["X-Request-Id"]
    assert (received == sent) is is_kept
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", received)


async def test_the_documentation_page_loads_nothing_from_outside(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page)
    assert {"/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css", "/openapi.json"} <= set(links)
    for link in links:
        assert link.startswith("/"), link
        assert (await client.get(link)).status_code == 200, link
    assert "http" not in page.replace("http-equiv", "")


async def test_the_schema_is_valid_openapi_and_names_every_status(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    OpenAPI.model_validate(schema)
    statuses = {path: {*next(iter(item.values()))["responses"]} for path, item in schema["paths"].items()}
    assert statuses == {
        "/translate": {"200", "400", "403", "408", "413", "415", "429", "500", "503", "504"},
        "/detect": {"200", "400", "403", "408", "413", "415", "429", "500", "503"},
        "/translate_file": {"200", "400", "403", "408", "413", "415", "429", "500", "503", "504"},
        "/download_file/{name}": {"200", "404"},
        "/models": {"200"},
        "/admin/reload": {"200", "400", "403", "404", "409", "503"},
        "/languages": {"200"},
        "/frontend/settings": {"200"},
        "/health": {"200", "503"},
        "/readyz": {"200", "503"},
        "/livez": {"200"},
        "/metrics": {"200", "401"},
    }
    assert set(schema["paths"]["/translate"]["post"]["requestBody"]["content"]) == {
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    }
    operations = [operation for item in schema["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_every_reference_in_the_schema_leads_somewhere(app_schema: dict[str, Any]) -> None:
    references = re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(app_schema))
    assert references
    assert set(references) <= set(app_schema["components"]["schemas"])


def test_the_documented_request_is_what_is_read() -> None:
    asked: set[str] = set()

    class Recorder(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            asked.add(key)
            return super().get(key, default)

        def __contains__(self, key: object) -> bool:
            asked.add(str(key))
            return super().__contains__(key)

    parse_call(Recorder(q="a", source="en", target="de"), Settings())
    assert asked | {"api_key"} == set(TranslateRequest.model_fields)


@pytest.mark.parametrize("shape", [TranslateRequest, TranslateAnswer])
def test_documented_examples_fit_their_shape(shape: type[TranslateRequest] | type[TranslateAnswer]) -> None:
    examples = shape.model_json_schema()["examples"]
    assert examples
    for example in examples:
        shape.model_validate(example)


@pytest.fixture
def app_schema(engine: FakeEngine, settings: Settings) -> dict[str, Any]:
    from app.main import create_app

    return create_app(settings, load_engine=lambda _: engine).openapi()
