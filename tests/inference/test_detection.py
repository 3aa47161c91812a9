"""Languages told apart: how often rightly, how sure, and what is said of texts that tell nothing."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.inference import Detector

DATA = Path(__file__).parents[2] / "benchmarks" / "data"
CODES = ("de", "en")
FOREIGN = {
    "cs": "Včera večer jsme šli do kina a potom na pivo.",
    "fr": "Les enfants jouent dans le jardin depuis ce matin.",
    "es": "Mi hermana trabaja en un hospital cerca de la playa.",
    "ja": "昨日は友達と映画を見ました。",
    "ru": "Вчера мы с друзьями ходили в кино.",
}


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(CODES)


def lines(code: str, count: int = 400) -> list[str]:
    with gzip.open(DATA / f"dev.{code}.gz", "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file][:count]


def share(detector: Detector, texts: list[str], code: str) -> float:
    """Of the texts that are taken for this language."""
    found = [detector.detect(text, CODES) for text in texts]
    return sum(bool(guesses) and guesses[0].language == code for guesses in found) / len(texts)


@pytest.mark.parametrize("code", CODES)
def test_sentences_and_short_phrases_are_told_apart(detector: Detector, code: str) -> None:
    sentences = lines(code)
    assert share(detector, sentences, code) >= 0.99
    assert share(detector, [" ".join(line.split()[:3]) for line in sentences], code) >= 0.96
    assert share(detector, [line.upper() for line in sentences], code) >= 0.98


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("en", "Hello|Thank you|Please|Help|OK?|Good morning|Water|Friend|Password"),
        ("de", "Hallo|Danke schön|Bitte|Hilfe|Guten Morgen|Wasser|Freund|Passwort|Ja"),
        ("fr", "Bonjour|Merci|Oui|Aide|Au revoir|Eau|Ami|Où?|Chien"),
        ("es", "Hola|Gracias|Sí|Ayuda|Buenos días|Agua|Amigo|¿Dónde?|Perro"),
    ],
)
def test_what_people_type_first_is_told_apart(code: str, words: str) -> None:
    """Runs of letters took every fourth of such words for another language's."""
    detector = Detector(("en", "de", "fr", "es"))
    found = {word: detector.detect(word, ("en", "de", "fr", "es"))[0].language for word in words.split("|")}
    assert found == dict.fromkeys(words.split("|"), code)


def test_a_common_word_is_told_among_the_languages_that_are_asked_for(detector: Detector) -> None:
    """And a word on no list, or of languages that have none, by its letters."""
    assert [guess.language for guess in detector.detect("Hund", CODES)] == ["de", "en"]
    assert Detector(("en", "cs")).detect("Děkuji mnohokrát", ("en", "cs"))[0].language == "cs"


def test_who_is_right_is_surer_than_who_is_wrong(detector: Detector) -> None:
    sure: dict[bool, list[float]] = {True: [], False: []}
    for code in CODES:
        for line in lines(code):
            for word in line.split()[:2]:
                for best in detector.detect(word, CODES)[:1]:
                    sure[best.language == code].append(best.confidence)
    right, wrong = (sum(found) / len(found) for found in (sure[True], sure[False]))
    assert right > 1.4 * wrong


@pytest.mark.parametrize("code", FOREIGN)
def test_a_foreign_text_is_taken_for_one_of_those_asked_for_but_with_no_confidence(
    detector: Detector, code: str
) -> None:
    for guess in detector.detect(FOREIGN[code], CODES):
        assert guess.language in CODES
        assert guess.confidence < 0.05


@pytest.mark.parametrize("text", ["", " \n", "12 + 30", "...", "\U0001f600", "?!", "\x07"])
def test_a_text_that_tells_nothing_has_no_language(detector: Detector, text: str) -> None:
    assert detector.detect(text, CODES) == []


@pytest.mark.parametrize("text", ["\ud800", "a\ud800b", "\x00", "\ufeff", "\u202eabc", "a" * 100_000, "\u0301" * 5_000])
def test_no_text_is_too_odd(detector: Detector, text: str) -> None:
    assert len(detector.detect(text, CODES)) <= 2


def test_codes_come_back_as_they_were_given_and_only_those_asked_for() -> None:
    detector = Detector(["de-AT", "EN", "pb", "zt", "nb", "xx", "fr", "fr-CA"])
    everything = ["de-AT", "EN", "pb", "zt", "nb", "xx", "fr", "fr-CA"]
    for text, code in (
        ("Der Zug nach Wien fährt um acht Uhr ab.", "de-AT"),
        ("The train to London leaves at eight.", "EN"),
        ("O trem para São Paulo parte às oito horas.", "pb"),
        ("開往台北的火車八點出發。", "zt"),
        ("Toget til Oslo går klokken åtte.", "nb"),
        ("Le train pour Paris part à huit heures.", "fr"),
    ):
        found = detector.detect(text, everything)
        assert found[0].language == code
        assert found[0].confidence > 0.5
        assert len(found) == 3
        assert [guess.confidence for guess in found] == sorted((guess.confidence for guess in found), reverse=True)
    assert [guess.language for guess in detector.detect("Der Zug nach Wien.", ["EN", "xx"])] == ["EN"]
    assert detector.detect("Le train pour Paris.", ["fr-CA"])[0].language == "fr-CA"
    assert detector.detect("Der Zug", ["xx"]) == []


def test_importing_it_loads_nothing() -> None:
    program = "import sys, nmt.inference; print([name for name in ('numpy', 'py3langid') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
