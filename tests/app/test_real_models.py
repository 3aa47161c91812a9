"""The service over real bundles and a real pool: routes through a third language, and what detection makes of texts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from nmt.inference import Pool
from tests.bundles import make_bundle, toy_sentences

pytestmark = pytest.mark.anyio

SHORT = {"beam_size": 2, "max_length_factor": 0.8, "max_length_offset": 4}
TEXTS = toy_sentences(4)
GERMAN = "Der Hund schläft heute auf dem Sofa."


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("models")
    for seed, (source, target) in enumerate((("en", "de"), ("de", "en"), ("de", "fr")), start=1):
        make_bundle(folder / f"{source}-{target}", seed=seed, source_lang=source, target_lang=target, search=SHORT)
    with Pool.load_models(folder, workers=1, device="cpu") as pool:
        yield pool


class Kept:
    """The module's pool, which outlives a service."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def close(self) -> None: ...


@pytest.fixture
async def client(pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(access_log=False), load_engine=lambda _: Kept(pool))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
    ):
        yield client


async def ask(client: httpx.AsyncClient, q: Any, source: str, target: str, **fields: Any) -> Any:
    response = await client.post("/translate", json={"q": q, "source": source, "target": target, **fields})
    assert response.status_code == 200, response.text
    return response.json()


async def test_two_models_in_a_row_give_what_each_gives(client: httpx.AsyncClient) -> None:
    around = await ask(client, TEXTS, "en", "fr", scores=True, alignments=True, attention=True, n_best=2)
    first = await ask(client, TEXTS, "en", "de", scores=True)
    second = await ask(client, first["translatedText"], "de", "fr", scores=True, n_best=2)
    assert around["translatedText"] == second["translatedText"]
    assert around["pivot"] == ["de"] * 4
    for score, one, other in zip(around["scores"], first["scores"], second["scores"], strict=True):
        assert score == pytest.approx(one + other, abs=1e-3)
    for place, text in enumerate(TEXTS):
        words, translated = len(text.split()), len(around["translatedText"][place].split())
        assert all(i < words and j < translated for i, j in around["alignments"][place])
        assert len(around["attention"][place]) == translated
        assert [entry["text"] for entry in around["nBest"][place]] == [e["text"] for e in second["nBest"][place]]


async def test_texts_of_several_languages_go_their_own_ways(client: httpx.AsyncClient) -> None:
    english = "The dog sleeps on the sofa today."
    answer = await ask(client, [GERMAN, english, "", "12 + 30"], "auto", "fr")
    assert [one["language"] for one in answer["detectedLanguage"]] == ["de", "en", "en", "en"]
    assert [one["confidence"] > 50 for one in answer["detectedLanguage"]] == [True, True, False, False]
    assert answer["pivot"][:3] == [None, "de", None]
    assert answer["translatedText"][0] == (await ask(client, GERMAN, "de", "fr"))["translatedText"]
    assert answer["translatedText"][1] == (await ask(client, english, "en", "fr"))["translatedText"]


async def test_many_at_once_are_told_apart(client: httpx.AsyncClient) -> None:
    expected = (await ask(client, GERMAN, "de", "en"))["translatedText"]
    answers = await asyncio.gather(*(ask(client, GERMAN, "auto", "en") for _ in range(20)))
    assert {answer["translatedText"] for answer in answers} == {expected}


async def test_detect_names_the_language(client: httpx.AsyncClient) -> None:
    found = (await client.post("/detect", json={"q": GERMAN})).json()
    assert found[0]["language"] == "de"
    assert found[0]["confidence"] > 50
    assert {one["language"] for one in found} <= {"de", "en", "fr"}
