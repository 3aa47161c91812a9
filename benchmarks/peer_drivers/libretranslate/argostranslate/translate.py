"""Two languages, and translations that take `ENGINE_S` seconds each; a byte in the file `ENGINE_COUNT` for each."""

import os
import time

SECONDS = float(os.environ["ENGINE_S"])
COUNT = os.open(os.environ["ENGINE_COUNT"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


class Hypothesis:
    def __init__(self, value: str) -> None:
        self.value = value
        self.score = 0.0


class Translation:
    def __init__(self, from_lang: "Language", to_lang: "Language") -> None:
        self.from_lang, self.to_lang = from_lang, to_lang

    def hypotheses(self, text: str, number: int = 1) -> list[Hypothesis]:
        time.sleep(SECONDS)
        os.write(COUNT, b".")
        return [Hypothesis(text)] * number

    def translate(self, text: str) -> str:
        return self.hypotheses(text)[0].value


class Language:
    def __init__(self, code: str, name: str) -> None:
        self.code, self.name = code, name
        self.translations_from: list[Translation] = []

    def get_translation(self, to: "Language") -> "Translation | None":
        return next((one for one in self.translations_from if one.to_lang is to), None)


_ENGLISH, _GERMAN = Language("en", "English"), Language("de", "German")
for _one, _other in ((_ENGLISH, _GERMAN), (_GERMAN, _ENGLISH)):
    _one.translations_from = [Translation(_one, _other), Translation(_one, _one)]


def get_installed_languages() -> list[Language]:
    return [_ENGLISH, _GERMAN]
