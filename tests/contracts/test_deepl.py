"""DeepL's contract over a fake engine: every way to say a request, and what reaches the engine of it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.glossaries import TermIndex, Terms
from app.settings import Settings
from tests.app.fake_engine import FakeEngine, model
from tests.app.serving import calling

pytestmark = pytest.mark.anyio

FROM = {"text": ["Hi", "you"], "source_lang": "EN", "target_lang": "DE"}
GLOSSARY = {"name": "g", "source_lang": "en", "target_lang": "de", "entries": "Hi\tHallo", "entries_format": "tsv"}


def answer(*texts: str, source: str = "EN") -> dict[str, Any]:
    return {"translations": [{"detected_source_language": source, "text": text} for text in texts]}


@pytest.mark.parametrize(
    "parts",
    [
        {"json": FROM},
        {"data": FROM},
        {"data": {"text": ["Hi", "you"]}, "params": {"source_lang": "EN", "target_lang": "DE"}},
        {"params": FROM},
        {"json": {**FROM, "source_lang": "en-GB", "target_lang": "de"}},
        {"json": {**FROM, "colour": "red", "context": "Greetings.", "formality": "prefer_more"}},
        {"json": {**FROM, "preserve_formatting": True, "outline_detection": False, "tag_handling_version": "v2"}},
        {"data": {**FROM, "preserve_formatting": "1", "formality": "default", "model_type": "latency_optimized"}},
        {"json": FROM, "headers": {"Authorization": "DeepL-Auth-Key abc:fx"}},
        {"json": FROM, "params": {"auth_key": "abc"}},
    ],
)
async def test_every_way_to_say_a_request(client: httpx.AsyncClient, parts: dict[str, Any]) -> None:
    response = await client.post("/v2/translate", **parts)
    assert (response.status_code, response.json()) == (200, answer("HI", "YOU"))
    assert response.headers["X-Model-Version"] == "v-en-de"


async def test_a_form_that_is_not_percent_encoded(client: httpx.AsyncClient) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    body = "text=Grüße&text=é&source_lang=EN&target_lang=DE".encode()
    assert (await client.post("/v2/translate", content=body, headers=kind)).json() == answer("GRÜSSE", "É")


@pytest.mark.parametrize("name", ["target_lang", "source_lang", "split_sentences"])
async def test_a_list_is_not_one_text(client: httpx.AsyncClient, name: str) -> None:
    """One value of a JSON list is taken for it; of two, none may be dropped. A form may repeat a field."""
    value = {"target_lang": "DE", "source_lang": "EN", "split_sentences": "0"}[name]
    assert (await client.post("/v2/translate", json={**FROM, name: [value]})).status_code == 200
    response = await client.post("/v2/translate", json={**FROM, name: [value, value]})
    assert (response.status_code, response.json()["message"]) == (400, f"Value for '{name}' not supported.")
    assert (await client.post("/v2/translate", data={**FROM, name: [value, value]})).status_code == 200


async def test_a_get_with_a_query_string(client: httpx.AsyncClient) -> None:
    parameters = {"auth_key": "abc", "source_lang": "de", "target_lang": "EN-US", "text": "Hallo"}
    response = await client.get("/v2/translate", params=parameters)
    assert response.json() == answer("HALLO", source="DE")


async def test_a_text_that_is_no_list(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v2/translate", json={**FROM, "text": "Hi"})).json() == answer("HI")


async def test_an_empty_text_keeps_its_place(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v2/translate", json={**FROM, "text": ["", "Hi", " "]})).json() == answer("", "HI", " ")


async def test_billed_characters_are_those_of_the_text_and_only_told_on_request(client: httpx.AsyncClient) -> None:
    for wanted in (True, "1"):
        body = (await client.post("/v2/translate", json={**FROM, "show_billed_characters": wanted})).json()
        assert [each["billed_characters"] for each in body["translations"]] == [2, 3]


async def test_the_source_is_found_text_by_text(client: httpx.AsyncClient) -> None:
    texts = ["Wo ist der nächste Bahnhof, bitte?", "Where is the nearest station, please?"]
    body = (await client.post("/v2/translate", json={"text": texts, "target_lang": "EN-GB"})).json()
    assert [each["detected_source_language"] for each in body["translations"]] == ["DE", "EN"]
    assert [each["text"] for each in body["translations"]] == [texts[0].upper(), texts[1]]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, {"markup": "", "splitting": "all"}),
        ({"split_sentences": "0"}, {"splitting": "none"}),
        ({"split_sentences": False}, {"splitting": "none"}),
        ({"split_sentences": "1"}, {"splitting": "all"}),
        ({"split_sentences": "nonewlines"}, {"splitting": "punctuation"}),
        ({"tag_handling": "html"}, {"markup": "html", "splitting": "punctuation"}),
        ({"tag_handling": "html", "split_sentences": "1"}, {"markup": "html", "splitting": "all"}),
        ({"tag_handling": "xml"}, {"markup": "xml", "splitting": "all"}),
        ({"tag_handling": "xml", "ignore_tags": ["x", "y"]}, {"ignore_tags": ("x", "y")}),
        ({"tag_handling": "xml", "ignore_tags": "x, y"}, {"ignore_tags": ("x", "y")}),
        ({"tag_handling": "xml", "splitting_tags": ["p"]}, {"split_tags": ("p",)}),
        ({"tag_handling": "xml", "non_splitting_tags": ["b"]}, {"non_split_tags": ("b",)}),
    ],
)
async def test_what_the_engine_is_asked(
    client: httpx.AsyncClient, engine: FakeEngine, fields: dict[str, Any], wanted: dict[str, Any]
) -> None:
    form = FROM | {name: _as_form(value) for name, value in fields.items()}
    for request in (client.post("/v2/translate", json=FROM | fields), client.post("/v2/translate", data=form)):
        assert (await request).status_code == 200
        options = engine.jobs[-1].options
        assert {name: getattr(options, name) for name in wanted} == wanted


def _as_form(value: Any) -> Any:
    return str(int(value)) if isinstance(value, bool) else value


async def test_the_deadline_is_shorter_than_the_clients_patience(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    """DeepL's own sends the same text again after 10 s."""
    async with calling(Settings(), engine) as (_, other):
        await other.post("/v2/translate", json=FROM)
        assert 8 < (engine.jobs[-1].deadline_s or 0) <= 9
        await other.post("/translate", json={"q": "Hi", "source": "en", "target": "de"})
        assert 29 < (engine.jobs[-1].deadline_s or 0) <= 30


async def test_languages(client: httpx.AsyncClient) -> None:
    sources = [{"language": "DE", "name": "German"}, {"language": "EN", "name": "English"}]
    assert (await client.get("/v2/languages")).json() == sources
    assert (await client.get("/v2/languages", params={"type": "source"})).json() == sources
    targets = [
        {"language": "DE", "name": "German", "supports_formality": False},
        {"language": "EN-GB", "name": "English (British)", "supports_formality": False},
        {"language": "EN-US", "name": "English (American)", "supports_formality": False},
        {"language": "FR", "name": "French", "supports_formality": False},
    ]
    wanted = {"type": "target"}
    for request in (
        client.get("/v2/languages", params=wanted),
        client.request("GET", "/v2/languages", data=wanted),
        client.post("/v2/languages", data=wanted),
        client.post("/v2/languages", json=wanted),
    ):
        assert (await request).json() == targets


async def test_regions_of_targets() -> None:
    engine = FakeEngine(models=(model("en", "pb"), model("en", "zt"), model("en", "pt"), model("zh", "en")))
    async with calling(Settings(), engine) as (_, client):
        listed = (await client.get("/v2/languages?type=target")).json()
        targets = {"EN-GB", "EN-US", "PT-BR", "PT-PT", "ZH-HANT"}
        assert {each["language"] for each in listed} == targets
        assert [each["language"] for each in (await client.get("/v2/languages")).json()] == ["EN", "ZH"]
        for target in sorted(targets | {"PT", "EN"}):
            source = "EN" if target[:2] != "EN" else "ZH"
            body = {"text": ["Hi"], "source_lang": source, "target_lang": target}
            assert (await client.post("/v2/translate", json=body)).status_code == 200, target
        reached = [(job.source, job.target) for job in engine.jobs]
        assert reached == [
            ("zh", "en"),
            ("zh", "en"),
            ("zh", "en"),
            ("en", "pt"),
            ("en", "pb"),
            ("en", "pt"),
            ("en", "zt"),
        ]


async def test_usage_counts_what_was_translated(client: httpx.AsyncClient) -> None:
    await client.post("/v2/translate", json=FROM)
    for method in ("GET", "POST"):
        assert (await client.request(method, "/v2/usage")).json() == {"character_count": 5}


async def test_a_glossary_from_its_making_to_its_end(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    made = await client.post("/v2/glossaries", json=GLOSSARY)
    assert made.status_code == 201
    told = made.json()
    assert told.keys() == {
        "glossary_id",
        "name",
        "ready",
        "source_lang",
        "target_lang",
        "creation_time",
        "entry_count",
    }
    path = f"/v2/glossaries/{told['glossary_id']}"
    assert (await client.get(path)).json() == told
    assert (await client.get("/v2/glossaries")).json() == {"glossaries": [told]}
    entries = await client.get(f"{path}/entries", headers={"Accept": "text/tab-separated-values"})
    assert entries.text == "Hi\tHallo"
    assert entries.headers["Content-Type"].startswith("text/tab-separated-values")
    body = {**FROM, "target_lang": "DE", "glossary_id": told["glossary_id"]}
    assert (await client.post("/v2/translate", json=body)).status_code == 200
    assert engine.jobs[-1].options.terms == (("Hi", "Hallo"),)
    other = await client.post("/v2/translate", json={**body, "target_lang": "FR"})
    assert (other.status_code, other.json()["message"]) == (
        400,
        "The languages of the glossary are not those of the request.",
    )
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_looking_a_glossary_up_has_no_more_time_than_the_rest(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_told = threading.Event()
    within = TermIndex.within

    def look(index: TermIndex, texts: Iterable[str]) -> Terms:
        is_told.wait(3)
        return within(index, texts)

    monkeypatch.setattr(TermIndex, "within", look)
    async with calling(Settings(deepl_deadline_s=0.2), engine) as (_, client):
        made = (await client.post("/v2/glossaries", json=GLOSSARY)).json()
        body = {**FROM, "target_lang": "DE", "glossary_id": made["glossary_id"]}
        late = await client.post("/v2/translate", json=body)
        is_told.set()
        assert (late.status_code, late.json()["message"]) == (504, "not translated in time")
        assert not engine.jobs


async def test_only_so_many_entries_of_a_glossary_may_stand_in_the_texts(engine: FakeEngine) -> None:
    async with calling(Settings(max_terms=2), engine) as (_, client):
        fields = GLOSSARY | {"entries": "a\tx\nb\ty\nc\tz"}
        made = (await client.post("/v2/glossaries", json=fields)).json()
        body = {**FROM, "glossary_id": made["glossary_id"]}
        assert (await client.post("/v2/translate", json={**body, "text": ["a", "c"]})).status_code == 200
        assert engine.jobs[-1].options.terms == (("a", "x"), ("c", "z"))
        refused = await client.post("/v2/translate", json={**body, "text": ["a b", "c"]})
        assert (refused.status_code, refused.json()["message"]) == (
            400,
            "More than 2 entries of the glossary stand in the texts.",
        )


async def test_glossaries_of_csv_and_forms(client: httpx.AsyncClient) -> None:
    fields = GLOSSARY | {"entries": 'Hi,"Hallo, du"\n', "entries_format": "csv", "source_lang": "EN"}
    told = (await client.post("/v2/glossaries", data=fields)).json()
    assert told["source_lang"] == "en"
    assert (await client.get(f"/v2/glossaries/{told['glossary_id']}/entries")).text == "Hi\tHallo, du"


async def test_only_direct_pairs_have_glossaries(client: httpx.AsyncClient) -> None:
    """German to French goes through English, and terms do not."""
    pairs = (await client.get("/v2/glossary-language-pairs")).json()["supported_languages"]
    assert {(pair["source_lang"], pair["target_lang"]) for pair in pairs} == {("en", "de"), ("de", "en"), ("en", "fr")}


async def test_glossaries_outlive_the_service(tmp_path: Path, engine: FakeEngine) -> None:
    made: dict[str, Any] = {}
    for is_first in (True, False):
        async with calling(Settings(state=tmp_path), engine) as (_, client):
            if is_first:
                made = (await client.post("/v2/glossaries", json=GLOSSARY)).json()
            assert (await client.get("/v2/glossaries")).json() == {"glossaries": [made]}
