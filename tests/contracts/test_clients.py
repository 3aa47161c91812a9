"""Other people's clients against a real service over HTTP: they get what POST /translate gives, and known errors."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import deepl
import pytest
from deep_translator import DeeplTranslator, LibreTranslator
from deep_translator.exceptions import ServerException
from deepl.api_data import MultilingualGlossaryDictionaryEntries
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials
from google.cloud import translate_v2
from libretranslatepy import LibreTranslateAPI

from tests.bundles import toy_sentences
from tests.contracts.conftest import native

TEXTS = toy_sentences(5)
TEXT = TEXTS[0]


@pytest.fixture
def translator(address: str) -> Iterator[deepl.DeepLClient]:
    """DeepL's own client. It tries nothing twice: errors are asked for on purpose."""
    deepl.http_client.max_network_retries = 0
    client = deepl.DeepLClient("any-key", server_url=address)
    yield client
    client.close()  # type: ignore[no-untyped-call]


class TestLibretranslatepy:
    def test_texts_and_languages(self, address: str) -> None:
        client = LibreTranslateAPI(address)
        assert client.translate(TEXT, "en", "de") == native(address, TEXT)
        assert {language["code"] for language in client.languages()} == {"de", "en"}

    def test_detection(self, address: str) -> None:
        found = LibreTranslateAPI(address).detect("Wo ist der Bahnhof, bitte?")
        assert found[0]["language"] == "de"

    def test_a_key_that_means_nothing(self, address: str) -> None:
        assert LibreTranslateAPI(address, "any-key").translate(TEXT, "en", "de") == native(address, TEXT)


class TestDeepTranslator:
    def test_libretranslate(self, address: str) -> None:
        client = LibreTranslator(source="en", target="de", custom_url=f"{address}/", api_key="any-key")
        assert client.translate(TEXT) == native(address, TEXT)
        assert client.translate_batch(TEXTS) == [native(address, text) for text in TEXTS]

    def test_a_language_that_is_not_served(self, address: str) -> None:
        client = LibreTranslator(source="en", target="fr", custom_url=f"{address}/", api_key="any-key")
        with pytest.raises(ServerException):
            client.translate(TEXT)

    def test_deepl_once_its_host_is_changed(self, address: str) -> None:
        """It has no option for the host; who uses it on another one changes this attribute."""
        client = DeeplTranslator(api_key="any-key", source="en", target="de")
        client._base_url = f"{address}/v2/"
        assert client.translate(TEXT) == native(address, TEXT)


class TestDeepL:
    def test_a_text_and_a_list(self, translator: deepl.DeepLClient, address: str) -> None:
        one = translator.translate_text(TEXT, source_lang="EN", target_lang="DE")
        assert isinstance(one, deepl.TextResult)
        assert (one.text, one.detected_source_lang, one.billed_characters) == (native(address, TEXT), "EN", len(TEXT))
        many = translator.translate_text(TEXTS, source_lang="EN", target_lang="DE")
        assert isinstance(many, list)
        assert [each.text for each in many] == [native(address, text) for text in TEXTS]

    def test_a_source_that_is_not_said(self, translator: deepl.DeepLClient) -> None:
        found = translator.translate_text("Wo ist der nächste Bahnhof, bitte?", target_lang="EN-US")
        assert isinstance(found, deepl.TextResult)
        assert found.detected_source_lang == "DE"

    def test_every_option_that_the_client_has_for_texts(self, translator: deepl.DeepLClient) -> None:
        found = translator.translate_text(
            f"<p>{TEXT}</p>",
            source_lang="EN",
            target_lang="DE",
            context="Something else.",
            split_sentences=deepl.SplitSentences.NO_NEWLINES,
            preserve_formatting=True,
            formality=deepl.Formality.PREFER_LESS,
            tag_handling="xml",
            outline_detection=False,
            non_splitting_tags="b",
            splitting_tags=["p", "q"],
            ignore_tags="x,y",
            model_type="prefer_quality_optimized",
        )
        assert isinstance(found, deepl.TextResult)
        assert found.text.startswith("<p>")
        assert found.text.endswith("</p>")

    def test_languages(self, translator: deepl.DeepLClient) -> None:
        assert [each.code for each in translator.get_source_languages()] == ["DE", "EN"]
        targets = translator.get_target_languages()
        assert [each.code for each in targets] == ["DE", "EN-GB", "EN-US"]
        assert not any(each.supports_formality for each in targets)

    def test_usage(self, translator: deepl.DeepLClient) -> None:
        before = translator.get_usage().character.count
        translator.translate_text(TEXT, source_lang="EN", target_lang="DE")
        usage = translator.get_usage()
        assert (usage.character.count or 0) - (before or 0) == len(TEXT)
        assert not usage.any_limit_reached

    def test_glossaries(self, translator: deepl.DeepLClient) -> None:
        pairs = [(pair.source_lang, pair.target_lang) for pair in translator.get_glossary_languages()]
        assert sorted(pairs) == [("de", "en"), ("en", "de")]
        entries = {"hard disk": "Festplatte", "mouse": "Maus"}
        made = translator.create_glossary("IT", "EN", "DE", entries)
        assert (made.name, made.ready, made.entry_count, made.source_lang) == ("IT", True, 2, "EN")
        assert translator.get_glossary_entries(made) == entries
        assert translator.get_glossary(made.glossary_id).creation_time == made.creation_time
        assert made.glossary_id in [each.glossary_id for each in translator.list_glossaries()]
        found = translator.translate_text(TEXT, source_lang="EN", target_lang="DE", glossary=made)
        assert isinstance(found, deepl.TextResult)
        translator.delete_glossary(made)
        with pytest.raises(deepl.GlossaryNotFoundException):
            translator.get_glossary(made.glossary_id)

    def test_a_glossary_from_csv(self, translator: deepl.DeepLClient) -> None:
        made = translator.create_glossary_from_csv("CSV", "EN", "DE", 'mouse,"Maus, die",en,de\n')
        assert translator.get_glossary_entries(made) == {"mouse": "Maus, die"}
        translator.delete_glossary(made)

    def test_glossaries_of_version_3(self, translator: deepl.DeepLClient) -> None:
        there = MultilingualGlossaryDictionaryEntries("EN", "DE", {"hard disk": "Festplatte"})
        back = MultilingualGlossaryDictionaryEntries("DE", "EN", {"Maus": "mouse"})
        made = translator.create_multilingual_glossary("IT", [there, back])
        counts = {(each.source_lang, each.target_lang): each.entry_count for each in made.dictionaries}
        assert counts == {("EN", "DE"): 1, ("DE", "EN"): 1}
        more = MultilingualGlossaryDictionaryEntries("EN", "DE", {"mouse": "Maus"})
        translator.update_multilingual_glossary_dictionary(made, more)
        found = translator.get_multilingual_glossary_entries(made, "EN", "DE").dictionaries[0]
        assert str(found.entries) == "hard disk\tFestplatte\nmouse\tMaus"
        replaced = translator.replace_multilingual_glossary_dictionary(made, more)
        assert replaced.entry_count == 1
        assert translator.update_multilingual_glossary_name(made, "other").name == "other"
        assert made.glossary_id in [each.glossary_id for each in translator.list_multilingual_glossaries()]
        assert made.glossary_id not in [each.glossary_id for each in translator.list_glossaries()]
        for source, target in (("EN", "DE"), ("DE", "EN-US")):
            result = translator.translate_text("mouse", source_lang=source, target_lang=target, glossary=made)
            assert isinstance(result, deepl.TextResult)
        translator.delete_multilingual_glossary_dictionary(made, source_lang="DE", target_lang="EN")
        assert len(translator.get_multilingual_glossary(made.glossary_id).dictionaries) == 1
        translator.delete_multilingual_glossary(made)
        with pytest.raises(deepl.GlossaryNotFoundException):
            translator.get_multilingual_glossary(made.glossary_id)

    def test_a_document(self, translator: deepl.DeepLClient, address: str) -> None:
        """Step by step: the client itself looks only every 5 s."""
        content = f"{TEXT}\n\n{TEXTS[1]}\n".encode()
        handle = translator.translate_document_upload(content, source_lang="EN", target_lang="DE", filename="a.txt")
        end = time.monotonic() + 60
        while not (status := translator.translate_document_get_status(handle)).done:
            assert status.ok
            assert time.monotonic() < end
            time.sleep(0.05)
        assert status.billed_characters == len(TEXT) + len(TEXTS[1])
        output = io.BytesIO()
        translator.translate_document_download(handle, output)
        assert output.getvalue().decode() == f"{native(address, TEXT)}\n\n{native(address, TEXTS[1])}\n"

    def test_errors(self, translator: deepl.DeepLClient) -> None:
        with pytest.raises(deepl.DeepLException, match="Value for 'target_lang' not supported"):
            translator.translate_text(TEXT, target_lang="XX")
        with pytest.raises(deepl.DeepLException, match="'formality' is not supported"):
            translator.translate_text(TEXT, source_lang="EN", target_lang="DE", formality="more")
        with pytest.raises(deepl.DeepLException, match="NUL character"):
            translator.translate_text("a\x00", source_lang="EN", target_lang="DE")
        with pytest.raises(deepl.DeepLException, match="exceeds text limit"):
            translator.translate_text("a" * 10_001, source_lang="EN", target_lang="DE")


class TestGoogle:
    @pytest.fixture
    def client(self, address: str) -> translate_v2.Client:
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return translate_v2.Client(credentials=credentials, client_options={"api_endpoint": address})

    def test_texts(self, client: translate_v2.Client, address: str) -> None:
        one = client.translate(TEXT, target_language="de", source_language="en", format_="text")
        assert one == {"translatedText": native(address, TEXT), "input": TEXT}
        many = client.translate(TEXTS, target_language="de", source_language="en", format_="text")
        assert [each["translatedText"] for each in many] == [native(address, text) for text in TEXTS]

    def test_markup_is_the_default(self, client: translate_v2.Client, address: str) -> None:
        text = f"<p>{TEXT}</p>"
        found = client.translate(text, target_language="de", source_language="en")
        assert found["translatedText"] == native(address, text, format="html")

    def test_detection(self, client: translate_v2.Client) -> None:
        text = "Wo ist der nächste Bahnhof, bitte?"
        assert client.translate(text, target_language="en")["detectedSourceLanguage"] == "de"
        assert client.detect_language(text)["language"] == "de"
        assert [each["language"] for each in client.detect_language([text, "Where is the station?"])] == ["de", "en"]

    def test_languages(self, client: translate_v2.Client) -> None:
        names = [{"language": "de", "name": "German"}, {"language": "en", "name": "English"}]
        assert client.get_languages() == names
        assert client.get_languages(target_language="de") == names

    def test_errors(self, client: translate_v2.Client) -> None:
        with pytest.raises(BadRequest, match="xx is not supported"):
            client.translate(TEXT, target_language="xx")
