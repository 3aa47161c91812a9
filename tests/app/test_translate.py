"""POST /translate: LibreTranslate's contract and the extensions, for requests that are right."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.schemas import TranslateAnswer
from tests.app.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio

PAIR = {"source": "en", "target": "de"}


async def ask(client: httpx.AsyncClient, q: Any, **fields: Any) -> dict[str, Any]:
    """The answer to a JSON request, held to the documented shape."""
    response = await client.post("/translate", json={"q": q, **PAIR, **fields})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    TranslateAnswer.model_validate(body)
    return body


async def test_a_string_is_answered_with_a_string_and_nothing_else(client: httpx.AsyncClient) -> None:
    assert await ask(client, "Hi") == {"translatedText": "HI"}


async def test_a_list_is_answered_with_a_list_in_order(client: httpx.AsyncClient) -> None:
    assert await ask(client, ["b", "a"]) == {"translatedText": ["B", "A"]}


async def test_a_list_of_one_stays_a_list(client: httpx.AsyncClient) -> None:
    assert await ask(client, ["Hi"]) == {"translatedText": ["HI"]}


async def test_blank_texts_come_back_unchanged_without_reaching_the_engine(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    assert await ask(client, ["", "Hi", " \n\t"]) == {"translatedText": ["", "HI", " \n\t"]}
    assert await ask(client, " \u3000 ") == {"translatedText": " \u3000 "}
    assert [job.texts for job in engine.jobs] == [["Hi"]]


async def test_text_of_json_reaches_the_engine_untouched(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    text = " a\r\nb\u2028c\U0001f600e\u0301\n"
    await ask(client, text)
    assert engine.jobs[0].texts == [text]


async def test_one_language_on_both_sides_returns_the_text(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    assert await ask(client, ["Hi", "you"], source="de", target="DE") == {"translatedText": ["Hi", "you"]}
    assert not engine.jobs


@pytest.mark.parametrize(("source", "target"), [("EN", "De"), ("en", "de")])
async def test_codes_have_no_case(client: httpx.AsyncClient, engine: FakeEngine, source: str, target: str) -> None:
    assert await ask(client, "Hi", source=source, target=target) == {"translatedText": "HI"}
    assert (engine.jobs[0].source, engine.jobs[0].target) == ("en", "de")


async def test_the_answer_names_the_model_version(client: httpx.AsyncClient) -> None:
    response = await client.post("/translate", json={"q": "Hi", **PAIR})
    assert response.headers["X-Model-Version"] == "v-en-de"


@pytest.mark.parametrize(
    "request_parts",
    [
        {"data": {"q": "Hi", **PAIR}},
        {"files": {name: (None, value) for name, value in {"q": "Hi", **PAIR}.items()}},
        {"params": {"q": "Hi", **PAIR, "format": "text", "api_key": "secret"}},
        {"params": PAIR, "data": {"q": "Hi"}},
        {"params": {"q": "Hi", **PAIR}, "data": {"q": "not this one"}},
        {"data": {"q": ["Hi", "not this one"], **PAIR}},
        {"json": {"q": "Hi", **PAIR, "format": None, "alternatives": None, "api_key": "", "unknown": 1}},
        {"params": {"source": "xx"}, "json": {"q": "Hi", **PAIR}},
        {
            "content": b'\xef\xbb\xbf{"q":"Hi","source":"en","target":"de"}',
            "headers": {"Content-Type": "application/JSON; charset=utf-8"},
        },
        {
            "content": b'{"q":"Hi","source":"en","target":"de"}',
            "headers": {"Content-Type": "application/vnd.api+json"},
        },
    ],
    ids=[
        "form",
        "multipart",
        "query",
        "both",
        "query first",
        "first of repeated",
        "JSON with more",
        "JSON only",
        "BOM",
        "+json",
    ],
)
async def test_every_way_to_send_a_request_gives_one_answer(
    client: httpx.AsyncClient, request_parts: dict[str, Any]
) -> None:
    response = await client.post("/translate", **request_parts)
    assert (response.status_code, response.json()) == (200, {"translatedText": "HI"})


async def test_forms_have_plain_line_ends_and_none_at_the_end(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    await client.post("/translate", data={"q": "a\r\n\r\nb\rc\r\n", **PAIR})
    assert engine.jobs[0].texts == ["a\n\nb\nc"]


@pytest.mark.parametrize("body", ["q=Größe+“é”", "q=Gr%C3%B6%C3%9Fe%20%E2%80%9C%C3%A9%E2%80%9D"])
async def test_a_form_is_utf_8_percent_encoded_or_not(client: httpx.AsyncClient, engine: FakeEngine, body: str) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    await client.post("/translate", content=f"{body}&source=en&target=de".encode(), headers=kind)
    assert engine.jobs[0].texts == ["Größe “é”"]


async def test_alternatives_leave_out_the_best(client: httpx.AsyncClient) -> None:
    assert await ask(client, "a", alternatives=2) == {"translatedText": "A", "alternatives": ["A!", "A!!"]}
    assert await ask(client, ["a", ""], alternatives="1") == {"translatedText": ["A", ""], "alternatives": [["A!"], []]}
    assert await ask(client, "a", alternatives=-1) == {"translatedText": "A"}


async def test_n_best_counts_the_best(client: httpx.AsyncClient) -> None:
    entries = [{"text": "A", "score": -0.5}, {"text": "A!", "score": -1.5}]
    assert (await ask(client, "a", n_best=2))["nBest"] == entries
    assert (await ask(client, ["a", " "], n_best=2))["nBest"] == [entries, []]


async def test_alternatives_and_n_best_do_not_disturb_each_other(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "a", n_best=1, alternatives=3)
    assert answer["alternatives"] == ["A!", "A!!", "A!!!"]
    assert answer["nBest"] == [{"text": "A", "score": -0.5}]


async def test_alignments_scores_and_flags_appear_for_each_text(client: httpx.AsyncClient) -> None:
    asked = {"scores": True, "alignments": True, "flags": True, "n_best": 1}
    assert await ask(client, "a", **asked) == {
        "translatedText": "A",
        "scores": -0.5,
        "alignments": [[0, 0], [1, 1]],
        "flags": [],
        "nBest": [{"text": "A", "score": -0.5, "alignment": [[0, 0], [1, 1]]}],
    }
    answer = await ask(client, ["long", "", "odd"], **asked)
    assert answer["scores"] == [-0.5, None, None]
    assert answer["flags"] == [["repetition", "truncated"], [], []]
    assert answer["alignments"] == [[[0, 0], [1, 1]], [], [[0, 0], [1, 1]]]


async def test_attention_has_a_row_for_each_word_of_each_translation(client: httpx.AsyncClient) -> None:
    rows = [[[0, 0.75]], [[1, 0.75], [0, 0.25]]]
    answer = await ask(client, "a b", attention=True, n_best=2)
    assert answer["attention"] == rows
    assert [entry["attention"] for entry in answer["nBest"]] == [rows, rows]
    assert (await ask(client, ["a b", "", "fail"], attention="1"))["attention"] == [rows, [], []]


async def test_options_reach_the_engine(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    await ask(client, "a", beam_size="7", n_best=3, alignments="true", attention=1, raw=1)
    await ask(client, "a")
    asked, plain = (job.options for job in engine.jobs)
    assert (asked.beam_size, asked.n_best, asked.alignments, asked.attention, asked.raw) == (7, 3, True, True, True)
    assert (plain.beam_size, plain.n_best) == (None, 1)
    assert {plain.alignments, plain.attention, plain.raw} == {False}
    assert engine.jobs[0].deadline_s == pytest.approx(5.0, abs=0.1)


async def test_attributes_are_translated_where_that_is_asked_for(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    await ask(client, "<b>a</b>", format="html", translate_attributes="true")
    await ask(client, "<b>a</b>", format="html")
    assert [job.options.attributes for job in engine.jobs] == [True, False]
    fields = {"q": "a", "source": "en", "target": "de", "translate_attributes": True}
    for other in ("alignments", "attention"):
        refused = await client.post("/translate", json=fields | {other: True})
        assert refused.status_code == 400
        assert "translate_attributes parameter goes with neither" in refused.json()["error"]


async def test_a_bad_text_does_not_fail_its_neighbours(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    answer = await ask(client, ["fail", "a", "x" * 2001, "b\x00"], scores=True, alternatives=1)
    assert answer == {
        "translatedText": ["fail", "A", "x" * 2001, "b\x00"],
        "scores": [None, -0.5, None, None],
        "alternatives": [[], ["A!"], [], []],
        "errors": [
            {"index": 0, "error": "no translation found"},
            {"index": 2, "error": "Invalid request: request (2001) exceeds text limit (2000)"},
            {"index": 3, "error": "Invalid request: text holds a NUL character"},
        ],
    }
    assert engine.jobs[0].texts == ["fail", "a"]
