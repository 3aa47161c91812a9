"""What stands under every contract: detection, ways through a third language, time limits, versions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.languages import Languages
from app.main import create_app
from app.schemas import TranslateAnswer
from app.settings import Settings
from tests.app.fake_engine import FakeDetector, FakeEngine, model
from tests.app.serving import translate_scope

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.models.Detector", FakeDetector)


async def ask(client: httpx.AsyncClient, q: Any, source: str, target: str, **fields: Any) -> httpx.Response:
    response = await client.post("/translate", json={"q": q, "source": source, "target": target, **fields})
    assert response.status_code == 200, response.text
    TranslateAnswer.model_validate(response.json())
    return response


# Detection


async def test_each_text_of_a_list_has_a_language_of_its_own(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    answer = (await ask(client, ["de: Tag", "en: day", "de: Nacht"], "auto", "fr")).json()
    assert answer["translatedText"] == ["DE: TAG", "EN: DAY", "DE: NACHT"]
    assert answer["detectedLanguage"] == [
        {"confidence": 87.6, "language": "de"},
        {"confidence": 87.6, "language": "en"},
        {"confidence": 87.6, "language": "de"},
    ]
    assert {(job.source, job.target, tuple(job.texts)) for job in engine.jobs} == {
        ("en", "fr", ("en: day",)),
        ("de", "en", ("de: Tag", "de: Nacht")),
        ("en", "fr", ("DE: TAG", "DE: NACHT")),
    }


async def test_a_text_in_the_target_language_comes_back(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    answer = (await ask(client, "de: Tag", "AUTO", "de", scores=True)).json()
    assert answer == {
        "translatedText": "de: Tag",
        "detectedLanguage": {"confidence": 87.6, "language": "de"},
        "scores": None,
    }
    assert not engine.jobs


async def test_a_text_that_tells_nothing_is_taken_for_english_with_confidence_0(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    answer = (await ask(client, ["Hm", "\U0001f600 \U0001f44d!", "", "fr: oui"], "auto", "de")).json()
    assert answer["translatedText"] == ["HM", "\U0001f600 \U0001f44d!", "", "FR: OUI"]
    assert answer["detectedLanguage"] == [{"confidence": 0.0, "language": "en"}] * 4  # no model reads French
    assert [job.texts for job in engine.jobs] == [["Hm", "fr: oui"]]


async def test_nothing_is_detected_unless_asked(client: httpx.AsyncClient) -> None:
    assert "detectedLanguage" not in (await ask(client, "de: Tag", "de", "en")).json()


async def test_without_english_the_first_model_says_what_a_text_is_taken_for() -> None:
    languages = Languages([model("pl", "fr"), model("fr", "de")])
    assert [language.code for language in languages.by_default()] == ["pl", "de", "fr"]
    assert [language.code for language in languages.by_default(languages.find("fr"))] == ["pl", "fr"]


@pytest.mark.parametrize(
    "request_parts",
    [
        {"json": {"q": "de: en:"}},
        {"data": {"q": "de: en:"}},
        {"params": {"q": "de: en:"}},
        {"json": {"q": ["de:", "en:"]}},
    ],
    ids=["JSON", "form", "query", "list"],
)
async def test_detect_lists_languages(client: httpx.AsyncClient, request_parts: dict[str, Any]) -> None:
    response = await client.post("/detect", **request_parts)
    assert response.status_code == 200
    assert response.json() == [{"confidence": 87.6, "language": code} for code in ("en", "de")]


async def test_detect_answers_nothing_found_with_a_default_and_bad_requests_as_translate(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.post("/detect", json={"q": "???"})).json() == [{"confidence": 0.0, "language": "en"}]
    for fields, error in (
        ({}, "Invalid request: missing q parameter"),
        ({"q": 5}, "Invalid request: q parameter is not a string or a list of strings"),
        ({"q": "x" * 2001}, "Invalid request: request (2001) exceeds text limit (2000)"),
        ({"q": ["a"] * 5}, "Invalid request: request (5) exceeds text limit (4)"),
    ):
        response = await client.post("/detect", json=fields)
        assert (response.status_code, response.json()) == (400, {"error": error})
    assert (await client.get("/detect", params={"q": "de:"})).status_code == 405


# Ways through a third language


async def test_a_way_through_a_third_language_is_taken_and_told(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    response = await ask(client, "Tag", "de", "fr", scores=True, n_best=2, alignments=True)
    assert response.headers["X-Model-Version"] == "v-de-en+v-en-fr"
    assert response.json() == {
        "translatedText": "TAG",
        "nBest": [
            {"text": "TAG", "score": -1.0, "alignment": [[0, 0], [1, 1]]},
            {"text": "TAG!", "score": -2.0, "alignment": [[0, 0], [1, 1]]},
        ],
        "scores": -1.0,
        "alignments": [[0, 0], [1, 1]],
        "pivot": "en",
    }
    assert [(job.source, job.target, job.options.n_best) for job in engine.jobs] == [("de", "en", 1), ("en", "fr", 2)]


async def test_a_text_that_fails_on_the_way_fails_alone(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    answer = (await ask(client, ["fail", "", "Tag"], "de", "fr")).json()
    assert answer == {
        "translatedText": ["fail", "", "TAG"],
        "pivot": [None, None, "en"],
        "errors": [{"index": 0, "error": "no translation found"}],
    }
    assert [job.texts for job in engine.jobs] == [["fail", "Tag"], ["TAG"]]


async def test_a_direct_model_goes_before_any_way_around(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    assert "pivot" not in (await ask(client, "day", "en", "fr")).json()
    assert len(engine.jobs) == 1


async def test_the_second_leg_is_taken_although_the_queue_is_full(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.is_held, engine.max_queue = True, 1
    waiting = asyncio.create_task(ask(client, "Tag", "de", "fr"))
    await until(lambda: engine.jobs)
    engine.release()
    engine.max_queue = 0
    assert (await waiting).json()["translatedText"] == "TAG"


async def test_both_legs_share_the_time_limit(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.is_held = True
    waiting = asyncio.create_task(ask(client, "Tag", "de", "fr", timeout_s=2))
    await until(lambda: engine.jobs)
    await asyncio.sleep(0.2)
    engine.release()
    await waiting
    first, second = (job.deadline_s for job in engine.jobs)
    assert first is not None
    assert second is not None
    assert 1.9 < first <= 2
    assert 1.5 < second < 1.81


async def test_pivoting_can_be_switched_off(engine: FakeEngine) -> None:
    app = create_app(Settings(pivot=False), load_engine=lambda _: engine)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
    ):
        listed = {language["code"]: language["targets"] for language in (await client.get("/languages")).json()}
        refused = await client.post("/translate", json={"q": "Tag", "source": "de", "target": "fr"})
    assert listed["de"] == ["de", "en"]
    assert refused.json() == {"error": "French (fr) is not available as a target language from German (de)"}


def test_the_first_models_make_the_way() -> None:
    languages = Languages(
        [model("de", "it"), model("de", "en"), model("en", "fr"), model("it", "fr"), model("fr", "de")]
    )
    german, french, english = (languages.find(code) for code in ("de", "fr", "en"))
    assert [step.target_lang for step in languages.route(german, french)] == ["it", "fr"]
    assert german.targets == ("de", "en", "fr", "it")
    assert [step.name for step in languages.route(english, german)] == ["en-fr", "fr-de"]
    assert "it" not in english.targets  # that would take two stops


# Time, terms, markup


async def test_a_caller_may_ask_for_less_time_but_not_for_more(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    for timeout_s, given_s in ((0.5, 0.5), ("1.5", 1.5), (100, 5.0), (None, 5.0)):
        await ask(client, "a", "en", "de", timeout_s=timeout_s)
        deadline_s = engine.jobs[-1].deadline_s
        assert deadline_s is not None
        assert given_s - 0.1 < deadline_s <= given_s


@pytest.mark.parametrize(
    "terms", [{"bank": "Ufer"}, [["bank", "Ufer"]], '{"bank": "Ufer"}'], ids=["object", "pairs", "text"]
)
async def test_terms_and_markup_reach_the_engine(client: httpx.AsyncClient, engine: FakeEngine, terms: Any) -> None:
    await ask(client, "the bank", "en", "de", terms=terms, format="html")
    assert engine.jobs[0].options.terms == (("bank", "Ufer"),)
    assert engine.jobs[0].options.markup == "html"


async def test_terms_are_kept_on_the_second_leg(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    await ask(client, "das Ufer", "de", "fr", terms={"Ufer": "berge"})
    assert [job.options.terms for job in engine.jobs] == [(("Ufer", "berge"),), (("berge", "berge"),)]


# A caller who leaves


async def test_a_caller_who_leaves_in_the_middle_of_several_ways_takes_all_work_along(engine: FakeEngine) -> None:
    engine.is_held = True
    app = create_app(Settings(), load_engine=lambda _: engine)
    messages: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": b'{"q":["de: a","en: b"],"source":"auto","target":"fr"}'})
    sent: list[Any] = []

    async def send(message: object) -> None:
        sent.append(message)

    async with app.router.lifespan_context(app):
        request = asyncio.create_task(app(translate_scope(), messages.get, send))
        await until(lambda: len(engine.jobs) == 2)
        messages.put_nowait({"type": "http.disconnect"})
        async with asyncio.timeout(5):
            await request
        await until(lambda: all(job.future.cancelled() for job in engine.jobs))
    assert sent[0]["status"] == 499


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition()` holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)
