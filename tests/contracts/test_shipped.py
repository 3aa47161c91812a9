"""What other programs need of the text itself, shown on the models that ship: placeholders, tags and terms survive."""

from __future__ import annotations

import re
from typing import Any

import deepl
import httpx
import pytest

WEBLATE_DEEPL = [
    'The file <x id="9"></x> could not be opened.',
    'You have <x id="9"></x> new messages in <x id="34"></x>.',
    '<x id="0"></x> is not a valid address.',
]
WEBLATE_LIBRETRANSLATE = [
    "The file [X9X] could not be opened.",
    "You have [X9X] new messages in [X34X].",
    "[X0X] is not a valid address.",
]
TAG = re.compile(r"<[^>]+>")


def ok(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def test_weblate_s_placeholders_come_back_through_deepl_s_contract(shipped: str) -> None:
    body = {
        "text": WEBLATE_DEEPL,
        "source_lang": "EN",
        "target_lang": "DE",
        "formality": "default",
        "tag_handling": "xml",
        "ignore_tags": ["x"],
    }
    found = ok(httpx.post(f"{shipped}/v2/translate", json=body, timeout=60))["translations"]
    for text, each in zip(WEBLATE_DEEPL, found, strict=True):
        assert sorted(TAG.findall(each["text"])) == sorted(TAG.findall(text))
        assert TAG.sub("", each["text"]) != TAG.sub("", text)


def test_weblate_s_placeholders_come_back_through_libretranslate_s(shipped: str) -> None:
    body = {"q": WEBLATE_LIBRETRANSLATE, "source": "en", "target": "de", "api_key": ""}
    found = ok(httpx.post(f"{shipped}/translate", json=body, timeout=60))["translatedText"]
    for text, each in zip(WEBLATE_LIBRETRANSLATE, found, strict=True):
        assert sorted(re.findall(r"\[X\d+X\]", each)) == sorted(re.findall(r"\[X\d+X\]", text))
        assert each != text


def test_mastodon_s_posts_keep_their_links(shipped: str) -> None:
    post = (
        '<p>We opened a new <a href="https://example.org/@library" class="u-url mention" rel="nofollow">library</a> '
        "today.<br>Come and see it!</p>"
    )
    body = {"q": [post], "source": "auto", "target": "de", "format": "html", "api_key": None}
    found = ok(httpx.post(f"{shipped}/translate", json=body, timeout=60))
    [translated] = found["translatedText"]
    assert sorted(TAG.findall(translated)) == sorted(TAG.findall(post))
    assert translated != post
    assert found["detectedLanguage"][0]["language"] == "en"


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ({"library": "Bücherhalle"}, "The library is closed on Monday."),
        ({"hard disk": "Festplattenlaufwerk", "keyboard": "Tastenfeld"}, "The hard disk and the keyboard are new."),
    ],
)
def test_a_glossary_is_honoured(shipped: str, terms: dict[str, str], text: str) -> None:
    translator = deepl.DeepLClient("any-key", server_url=shipped)
    glossary = translator.create_glossary("terms", "EN", "DE", terms)
    plain, with_terms = (
        translator.translate_text(text, source_lang="EN", target_lang="DE", glossary=each) for each in (None, glossary)
    )
    assert isinstance(plain, deepl.TextResult)
    assert isinstance(with_terms, deepl.TextResult)
    for target in terms.values():
        assert target in with_terms.text
        assert target not in plain.text
    translator.delete_glossary(glossary)
    translator.close()  # type: ignore[no-untyped-call]
