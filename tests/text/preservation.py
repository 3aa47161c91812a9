"""The preservation set: 500 texts of the kinds that translators break, and what must be left of each in a translation.

Made by a program, so that what was put in is known without looking for it: the check shares no pattern with the code
that it checks. `python -m benchmarks.preservation` translates it with real models.
"""

from __future__ import annotations

import html
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Literal

COUNT = 500
SEED = 1906

Markup = Literal["", "html", "xml"]


@dataclass(frozen=True)
class Item:
    """One text."""

    kind: str
    language: str
    text: str
    kept: tuple[str, ...] = ()
    """Each stands in the translation as often as it is named here, and no oftener than in the text."""
    values: tuple[frozenset[str], ...] = ()
    """Numbers: each as one of these, or the answer is flagged."""
    markup: Markup = ""


NAMES = ("name", "user", "file", "place", "message", "title", "city", "user_name", "item.name", "0", "1")
COUNTS = ("count", "n", "num_files", "days", "0", "2")
WRAPPERS: Sequence[Callable[[str], str]] = (
    lambda name: f"{{{name}}}",
    lambda name: f"{{{{{name}}}}}",
    lambda name: f"{{{{ {name} }}}}",
    lambda name: f"${{{name}}}",
    lambda name: f"%({name})s",
    lambda name: f"%{{{name}}}",
    lambda name: f"[X{sum(map(ord, name)) % 90}X]",
    lambda name: f'<x id="{len(name)}"/>',
)
PRINTF = ("%s", "%d", "%1$s", "%2$d", "%.2f", "%ld", "%@", "%i")
URLS = (
    "https://example.com",
    "http://example.org/a/b?c=d&e=1#top",
    "https://en.wikipedia.org/wiki/Cat_(animal)",
    "www.example.net/index.html",
    "ftp://files.example.com/pub/",
)
EMAILS = ("bob@example.com", "anna.smith+news@mail.example.org", "info@example.de")
CODE = (
    "/etc/hosts",
    "report.pdf",
    "C:\\Temp\\a.txt",
    "my_function()",
    "`x = 1`",
    "--dry-run",
    "userName",
    "config.json",
)
EMOJI = ("😀", "👍🏽", "❤️", "🎉🎉", "👨‍👩‍👧", "🇩🇪", "☕", "✅", "→", "•", "★", "1️⃣")
TAGS = ("b", "i", "em", "strong", "u", "span")

WITH_NAME = {
    "en": (
        "Hello {}, how are you?",
        "Welcome back, {}!",
        "{} wants to be your friend.",
        "Do you really want to delete {}?",
        "I saw {} yesterday.",
        "Please call {} before you go home.",
        "The book belongs to {}.",
        "{} is not here.",
        "We are going to meet {} in the park.",
        "Error: {}",
    ),
    "de": (
        "Hallo {}, wie geht es dir?",
        "Willkommen zurück, {}!",
        "{} möchte dein Freund sein.",
        "Willst du {} wirklich löschen?",
        "Ich habe {} gestern gesehen.",
        "Bitte ruf {} an, bevor du nach Hause gehst.",
        "Das Buch gehört {}.",
        "{} ist nicht hier.",
        "Wir werden {} im Park treffen.",
        "Fehler: {}",
    ),
}
WITH_COUNT = {
    "en": (
        "You have {} new messages.",
        "I have {} books at home.",
        "There were {} people in the room.",
        "We waited for {} minutes.",
        "It takes {} days.",
        "She bought {} apples.",
    ),
    "de": (
        "Du hast {} neue Nachrichten.",
        "Ich habe {} Bücher zu Hause.",
        "Es waren {} Leute im Zimmer.",
        "Wir haben {} Minuten gewartet.",
        "Es dauert {} Tage.",
        "Sie kaufte {} Äpfel.",
    ),
}
WITH_ADDRESS = {
    "en": ("See {} for more.", "I found it on {} yesterday.", "Please write to {}.", "Open {} first.", "{} is wrong."),
    "de": ("Mehr auf {}.", "Ich habe es gestern auf {} gefunden.", "Bitte schreib an {}.", "Öffne zuerst {}."),
}
PLAIN = {
    "en": (
        "I love you very much.",
        "The weather is nice today.",
        "My brother lives in a small house.",
        "Can you help me?",
        "We are going home now.",
        "That was a good idea!",
        "The old man sat on the bench and read a book.",
    ),
    "de": (
        "Ich liebe dich sehr.",
        "Das Wetter ist heute schön.",
        "Mein Bruder wohnt in einem kleinen Haus.",
        "Kannst du mir helfen?",
        "Wir gehen jetzt nach Hause.",
        "Das war eine gute Idee!",
        "Der alte Mann saß auf der Bank und las ein Buch.",
    ),
}
WITH_DATE = {
    "en": ("He was born on {}.", "The meeting is on {}.", "Until {} we have time."),
    "de": ("Er wurde am {} geboren.", "Die Besprechung ist am {}.", "Bis {} haben wir Zeit."),
}
WITH_TIME = {
    "en": ("The train leaves at {}.", "Come at {}, please.", "I got up at {}."),
    "de": ("Der Zug fährt um {} Uhr ab.", "Bitte komm um {} Uhr.", "Ich bin um {} Uhr aufgestanden."),
}
WITH_PRICE = {
    "en": ("It costs {}.", "I paid {} for it.", "He owes me {}."),
    "de": ("Es kostet {}.", "Ich habe {} dafür bezahlt.", "Er schuldet mir {}."),
}
SHOUTED = {
    "en": ("DO NOT OPEN THE DOOR!", "THIS IS VERY IMPORTANT.", "PLEASE WAIT HERE."),
    "de": ("BITTE NICHT RAUCHEN!", "DAS IST SEHR WICHTIG.", "BITTE WARTEN SIE HIER."),
}


def make(count: int = COUNT, seed: int = SEED) -> list[Item]:
    """The set: the same for the same numbers."""
    rng = random.Random(seed)
    makers = (
        _placeholder,
        _placeholder,
        _counted,
        _printf,
        _two_placeholders,
        _address,
        _code,
        _number,
        _large_number,
        _date,
        _time,
        _price,
        _emoji,
        _html,
        _html,
        _html_document,
        _xml,
        _spaces,
        _shouted,
        _mixed,
    )
    items: list[Item] = []
    while len(items) < count:
        maker = makers[len(items) % len(makers)]
        items.append(maker(rng, rng.choice(("en", "de"))))
    return items


def faults(item: Item, translation: str, flags: frozenset[str]) -> list[str]:
    """What is wrong with a translation's structure; empty where nothing is."""
    found = [
        f"lost or added: {kept!r}" for kept, times in Counter(item.kept).items() if translation.count(kept) != times
    ]
    source_tags, tags = Counter(re.findall(r"<[^<>]*>", item.text)), Counter(re.findall(r"<[^<>]*>", translation))
    if source_tags != tags:
        found.append(f"tags: {source_tags - tags} lost, {tags - source_tags} added")
    if item.markup and not is_nested(translation):
        found.append("tags are not nested")
    if "number_mismatch" not in flags:
        shown = html.unescape(translation) if item.markup else translation
        found += [f"number: none of {sorted(v)[:4]}" for v in item.values if not any(_has(shown, form) for form in v)]
    if outer(item.text) != outer(translation):
        found.append("white space at the ends")
    if not item.markup and item.text.count("\n") != translation.count("\n"):
        found.append("line breaks")
    if item.kind == "shouted" and not re.sub(r"<[^<>]*>", "", translation).isupper():
        found.append("capitals")
    return found


def outer(text: str) -> tuple[str, str]:
    """White space before and behind a text."""
    return text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]


class _Nesting(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.is_right = True

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("br", "img", "hr", "x"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag != "x" and (not self.open or self.open.pop() != tag):
            self.is_right = False


def is_nested(document: str) -> bool:
    """Whether every tag that begins something has its end at the right place."""
    parser = _Nesting()
    parser.feed(document)
    parser.close()
    return parser.is_right and not parser.open


def _has(text: str, form: str) -> bool:
    """Whether a form of a number stands in a text, not as a part of a longer one; words may go on."""
    if form[0].isdigit():
        return re.search(rf"(?<![\d.,]){re.escape(form)}(?![.,]?\d)", text) is not None
    return form in text.lower()


def _fill(rng: random.Random, sentences: Mapping[str, Sequence[str]], language: str, *filling: str) -> str:
    text = rng.choice(sentences[language])
    for part in filling:
        text = text.replace("{}", part, 1)
    return text


def _placeholder(rng: random.Random, language: str) -> Item:
    wrapped = rng.choice(WRAPPERS)(rng.choice(NAMES))
    return Item("placeholder", language, _fill(rng, WITH_NAME, language, wrapped), (wrapped,))


def _counted(rng: random.Random, language: str) -> Item:
    wrapped = rng.choice(WRAPPERS[:7])(rng.choice(COUNTS))
    return Item("count", language, _fill(rng, WITH_COUNT, language, wrapped), (wrapped,))


def _printf(rng: random.Random, language: str) -> Item:
    wrapped = rng.choice(PRINTF)
    sentences = WITH_COUNT if wrapped[-1] in "di" else WITH_NAME
    return Item("printf", language, _fill(rng, sentences, language, wrapped), (wrapped,))


def _two_placeholders(rng: random.Random, language: str) -> Item:
    first, second = (rng.choice(WRAPPERS[:6])(name) for name in rng.sample(NAMES[:7], 2))
    text = {
        "en": ("{} gave {} a book.", "{} and {} are friends.", "Move {} to {}?", "{} of {} is ready."),
        "de": ("{} gab {} ein Buch.", "{} und {} sind Freunde.", "{} nach {} verschieben?", "{} von {} ist fertig."),
    }
    return Item("two placeholders", language, _fill(rng, text, language, first, second), (first, second))


def _address(rng: random.Random, language: str) -> Item:
    address = rng.choice(URLS + EMAILS)
    return Item("address", language, _fill(rng, WITH_ADDRESS, language, address), (address,))


def _code(rng: random.Random, language: str) -> Item:
    code = rng.choice(CODE)
    return Item("code", language, _fill(rng, WITH_ADDRESS, language, code), (code,))


_SPELT = {
    2: ("zwei", "two", "beide", "both", "paar"),
    3: ("drei", "three"),
    4: ("vier", "four"),
    5: ("fünf", "five"),
    10: ("zehn", "ten"),
    12: ("zwölf", "twelve", "dutzend", "dozen"),
    15: ("fünfzehn", "fifteen"),
    20: ("zwanzig", "twenty"),
    45: ("fünfundvierzig", "forty-five"),
    100: ("hundert", "hundred"),
    17: ("siebzehn", "seventeen"),
    36: ("sechsunddreißig", "thirty-six"),
    250: ("zweihundertfünfzig", "two hundred and fifty", "two hundred fifty"),
}


def _forms(value: float, decimals: int = 0) -> frozenset[str]:
    """The ways to write a number in digits, and small ones in words."""
    english = f"{value:,.{decimals}f}"
    german = english.translate({ord(","): ".", ord("."): ","})
    plain = english.replace(",", "")
    french = german.replace(".", " ")
    words = _SPELT.get(int(value), ()) if not decimals else ()
    return frozenset(
        {english if decimals or "," in english else plain, german, plain, french, plain.replace(".", ","), *words}
    )


def _written(value: float, language: str, decimals: int = 0) -> str:
    english = f"{value:,.{decimals}f}"
    return english if language == "en" else english.translate({ord(","): ".", ord("."): ","})


def _number(rng: random.Random, language: str) -> Item:
    value = rng.choice([*_SPELT])
    return Item("number", language, _fill(rng, WITH_COUNT, language, str(value)), values=(_forms(value),))


def _large_number(rng: random.Random, language: str) -> Item:
    value, decimals = rng.choice(
        [(1234, 0), (12500, 0), (1_234_567, 0), (2_200_112, 0), (3.5, 1), (1234.5, 1), (0.25, 2), (19867, 0)]
    )
    text = _fill(rng, WITH_COUNT, language, _written(value, language, decimals))
    return Item("large number", language, text, values=(_forms(value, decimals),))


def _date(rng: random.Random, language: str) -> Item:
    year, month, day = rng.randint(1900, 2030), rng.randint(1, 12), rng.randint(13, 28)
    forms = [f"{year}-{month:02}-{day}", f"{day}.{month}.{year}", f"{month}/{day}/{year}", str(year)]
    date = rng.choice(forms)
    if date == str(year):
        text = {"en": ("He was born in {}.", "We met in {}."), "de": ("Er wurde {} geboren.", "Wir trafen uns {}.")}
        return Item("date", language, _fill(rng, text, language, date), values=(frozenset([date]),))
    return Item("date", language, _fill(rng, WITH_DATE, language, date), values=(frozenset(forms[:3]),))


def _time(rng: random.Random, language: str) -> Item:
    hour, minute = rng.randint(1, 12), rng.choice((5, 10, 20, 35, 50))
    time = f"{hour}:{minute:02}"
    forms = {f"{h}{mark}{minute:02}" for h in (hour, hour % 12 + 12, f"{hour:02}") for mark in ":."}
    return Item("time", language, _fill(rng, WITH_TIME, language, time), values=(frozenset(forms),))


def _price(rng: random.Random, language: str) -> Item:
    value, decimals = rng.choice([(5, 0), (20, 0), (9.99, 2), (1250, 0), (1234.5, 2)])
    number = _written(value, language, decimals)
    price = f"{rng.choice('$€£')}{number}" if language == "en" else f"{number} {rng.choice('$€£')}"
    if rng.random() < 0.25:
        price = f"{number} %" if language == "de" else f"{number}%"
    return Item("price", language, _fill(rng, WITH_PRICE, language, price), values=(_forms(value, decimals),))


def _emoji(rng: random.Random, language: str) -> Item:
    sentence, emoji = rng.choice(PLAIN[language]), rng.choice(EMOJI)
    words = sentence.split()
    place = rng.randint(0, len(words))
    text = " ".join([*words[:place], emoji, *words[place:]]) if rng.random() < 0.8 else sentence + emoji
    return Item("emoji", language, text, (emoji,))


def _tagged(rng: random.Random, sentence: str) -> str:
    """A sentence with a pair of tags around some of its words, perhaps another within, and perhaps a lone one."""
    words = sentence.split()
    start = rng.randrange(len(words))
    end = rng.randint(start + 1, len(words))
    tag = rng.choice(TAGS)
    attributes = rng.choice(("", ' class="a b"', " title='x > y'"))
    inner = words[start:end]
    if len(inner) > 2 and rng.random() < 0.5:
        inner[1] = f'<a href="https://example.com/?a=1&amp;b=2">{inner[1]}</a>'
    words[start:end] = [f"<{tag}{attributes}>" + " ".join(inner) + f"</{tag}>"]
    if rng.random() < 0.3:
        words.insert(rng.randint(0, len(words)), rng.choice(("<br>", '<img src="a.png">', "<!-- note -->")))
    return " ".join(words)


def _html(rng: random.Random, language: str) -> Item:
    text = _tagged(rng, rng.choice(PLAIN[language]))
    return Item("html", language, text, markup="html")


def _html_document(rng: random.Random, language: str) -> Item:
    first, second = (_tagged(rng, sentence) for sentence in rng.sample(PLAIN[language], 2))
    kept = '<span class="notranslate">Do not touch</span>'
    text = (
        f'<div id="main"><h1>{first}</h1>\n<p>{second} &amp; <code>a &lt; b</code></p>'
        f"<ul><li>{rng.choice(PLAIN[language])}</li><li>{kept}</li></ul></div>"
    )
    return Item("html document", language, text, ("<code>a &lt; b</code>", kept), markup="html")


def _xml(rng: random.Random, language: str) -> Item:
    hole = f'<x id="{rng.randint(1, 99)}"></x>'
    text = _fill(rng, WITH_NAME, language, hole)
    return Item("xml", language, text, (hole,), markup="xml")


def _spaces(rng: random.Random, language: str) -> Item:
    parts = rng.sample(PLAIN[language], 3)
    return Item(
        "white space", language, rng.choice(("  ", "\n", "\t", "")) + "\n\n".join(parts) + rng.choice((" ", "\n ", ""))
    )


def _shouted(rng: random.Random, language: str) -> Item:
    return Item("shouted", language, rng.choice(SHOUTED[language]))


def _mixed(rng: random.Random, language: str) -> Item:
    """Several things in one text of several lines."""
    parts = [_placeholder(rng, language), _number(rng, language), _address(rng, language), _emoji(rng, language)]
    rng.shuffle(parts)
    kept = tuple(kept for part in parts for kept in part.kept)
    values = tuple(value for part in parts for value in part.values)
    return Item("mixed", language, rng.choice((" ", "\n", "\n\n")).join(part.text for part in parts), kept, values)
