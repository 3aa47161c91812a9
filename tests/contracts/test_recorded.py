"""Requests of programs that do not run here, in the very shape in which their sources send them.

Weblate, Mastodon, OmegaT, Lingarr, SubtitleEdit, OpenNMT-py's clients. The answers are read as those programs do it.
"""

from __future__ import annotations

import json
import re
import socket
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.bundles import toy_sentences
from tests.contracts.conftest import native

TEXTS = toy_sentences(20)


@pytest.fixture
def http(address: str) -> Any:
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


def ok(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


class TestWeblate:
    """weblate/machinery: it takes errors from `message`, `detail` or `error`."""

    def test_libretranslate(self, http: httpx.Client, address: str) -> None:
        codes = [each["code"] for each in ok(http.get("/languages"))]
        assert {"en", "de"} <= set(codes)
        # what saving the settings does
        test = {"api_key": "", "q": ["test"], "source": "en", "target": "de"}
        assert len(ok(http.post("/translate", json=test))["translatedText"]) == 1
        body = {"api_key": "", "q": TEXTS, "source": "en", "target": "de"}
        assert ok(http.post("/translate", json=body))["translatedText"] == [native(address, text) for text in TEXTS]

    def test_deepl(self, http: httpx.Client) -> None:
        headers = {"Authorization": "DeepL-Auth-Key key"}
        sources = {each["language"] for each in ok(http.get("/v2/languages?type=source", headers=headers))}
        targets = {each["language"].upper() for each in ok(http.get("/v2/languages?type=target", headers=headers))}
        assert "EN" in sources
        assert "DE" in targets
        pairs = ok(http.get("/v2/glossary-language-pairs", headers=headers))["supported_languages"]
        assert ("EN", "DE") in {(pair["source_lang"].upper(), pair["target_lang"].upper()) for pair in pairs}
        body = {
            "text": TEXTS,
            "source_lang": "EN",
            "target_lang": "DE",
            "formality": "default",
            "tag_handling": "xml",
            "ignore_tags": ["x"],
        }
        found = ok(http.post("/v2/translate", json=body, headers=headers))["translations"]
        assert len(found) == len(TEXTS)
        assert all(each["text"] for each in found)

    def test_glossaries_of_deepl(self, http: httpx.Client) -> None:
        fields = {"source_lang": "EN", "target_lang": "DE", "entries": "mouse\tMaus", "entries_format": "tsv"}
        http.post("/v2/glossaries", json={"name": "weblate:1:en:de", **fields}).raise_for_status()
        listed = {each["name"]: each["glossary_id"] for each in ok(http.get("/v2/glossaries"))["glossaries"]}
        glossary_id = listed["weblate:1:en:de"]
        body = {"text": ["test"], "source_lang": "EN", "target_lang": "DE", "glossary_id": glossary_id}
        assert len(ok(http.post("/v2/translate", json=body))["translations"]) == 1
        assert http.delete(f"/v2/glossaries/{glossary_id}").is_success
        assert http.delete(f"/v2/glossaries/{glossary_id}").status_code == 404

    def test_apertium(self, http: httpx.Client, address: str) -> None:
        pairs = [
            (each["sourceLanguage"], each["targetLanguage"]) for each in ok(http.get("/apy/listPairs"))["responseData"]
        ]
        # it sends its own codes where they are listed and three letters where they are not: en_US becomes eng
        for pair in (("en", "de"), ("eng", "deu"), ("eng", "de")):
            assert pair in pairs
        for source, target in (pairs[0], ("en", "de"), ("eng", "de")):
            fields = {"langpair": f"{source}|{target}", "q": "test", "markUnknown": "no"}
            body = ok(http.get("/apy/translate", params=fields))
            assert body["responseStatus"] == 200
            assert body["responseData"]["translatedText"]
        fields = {"langpair": "eng|deu", "q": TEXTS[0], "markUnknown": "no"}
        body = ok(http.get("/apy/translate", params=fields))
        assert body["responseData"]["translatedText"] == native(address, TEXTS[0])


class TestMastodon:
    """app/lib/translation_service: HTML; the posts' language may be unknown."""

    CONTENT = '<p>Where is the <a href="https://example.org/" rel="nofollow">nearest station</a>, please?</p>'

    def test_libretranslate(self, http: httpx.Client) -> None:
        languages = {each["code"]: set(each["targets"]) - {each["code"]} for each in ok(http.get("/languages"))}
        assert languages == {"de": {"en"}, "en": {"de"}}
        for source in ("auto", "en"):
            texts = [self.CONTENT, "Where is the station?"]
            body = {"q": texts, "source": source, "target": "de", "format": "html", "api_key": None}
            found = ok(http.post("/translate", json=body))
            assert len(found["translatedText"]) == 2
            tags = [re.findall(r"<[^>]+>", text) for text in (self.CONTENT, found["translatedText"][0])]
            assert sorted(tags[0]) == sorted(tags[1])
            if source == "auto":
                assert [each["language"] for each in found["detectedLanguage"]] == ["en", "en"]

    def test_deepl(self, http: httpx.Client) -> None:
        """Its host is fixed; a reverse proxy of that name would bring its requests here."""
        form = {"text": [self.CONTENT, "A poll"], "source_lang": "EN", "target_lang": "de", "tag_handling": "html"}
        found = ok(http.post("/v2/translate", data=form))["translations"]
        assert [each["detected_source_language"] for each in found] == ["EN", "EN"]
        unknown = {"text": ["Where is the nearest station, please?"], "target_lang": "de", "tag_handling": "html"}
        assert ok(http.post("/v2/translate", data=unknown))["translations"][0]["detected_source_language"] == "EN"


class TestOmegaT:
    def test_the_libretranslate_plugin(self, http: httpx.Client, address: str) -> None:
        form = {"q": TEXTS[0], "source": "en", "target": "de"}
        assert ok(http.post("/translate", data=form))["translatedText"] == native(address, TEXTS[0])

    def test_the_apertium_connector(self, address: str) -> None:
        """It leaves the bar between the codes as it is, which no HTTP library would."""
        host, port = urlsplit(address).hostname, urlsplit(address).port
        path = f"/apy/translate?q={quote(TEXTS[0])}&markUnknown=no&langpair=en_US|de&key="
        with socket.create_connection((host, port), timeout=60) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            received = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        assert received.startswith("HTTP/1.1 200")
        body = json.loads(received.partition("\r\n\r\n")[2])
        assert body["responseStatus"] == 200
        assert body["responseData"]["translatedText"] == native(address, TEXTS[0])


class TestLingarr:
    def test_libretranslate(self, http: httpx.Client, address: str) -> None:
        body = {"q": TEXTS[0], "source": "en", "target": "de", "format": "text", "api_key": None}
        assert ok(http.post("/translate", json=body))["translatedText"] == native(address, TEXTS[0])


class TestSubtitleEdit:
    def test_libretranslate(self, http: httpx.Client, address: str) -> None:
        """JSON put together by hand. (With a key it lacks a comma: no server can read that.)"""
        content = f'{{"q": "{TEXTS[0]}", "source": "en", "target": "de"}}'.encode()
        found = ok(http.post("/translate", content=content, headers={"Content-Type": "application/json"}))
        assert found["translatedText"] == native(address, TEXTS[0])

    def test_deepl(self, http: httpx.Client, address: str) -> None:
        form = {"text": TEXTS[0], "target_lang": "de", "source_lang": "en", "formality": "default"}
        found = ok(http.post("/v2/translate", data=form, headers={"Authorization": "DeepL-Auth-Key key"}))
        assert found["translations"][0]["text"] == native(address, TEXTS[0])


class TestOpenNMT:
    def test_translations_by_rank_and_text(self, http: httpx.Client, address: str) -> None:
        number = next(each["model_id"] for each in ok(http.get("/translator/models")) if each["name"] == "en-de")
        items = [{"src": text, "id": number} for text in TEXTS[:3]]
        [found] = ok(http.post("/translator/translate", json=items))
        assert [each["src"] for each in found] == TEXTS[:3]
        assert [each["tgt"] for each in found] == [native(address, text) for text in TEXTS[:3]]
        assert all(each["pred_score"] <= 0 for each in found)
        ranks = ok(http.post("/translator/translate", json=[{**item, "n_best": 2} for item in items]))
        assert [len(rank) for rank in ranks] == [3, 3]
        for best, second in zip(*ranks, strict=True):
            assert best["pred_score"] >= second["pred_score"]
