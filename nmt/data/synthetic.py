"""Text that is made up: pairs whose word alignment is known exactly, and lines that only a memory can complete.

Pairs come from a random lexicon, a small grammar and rules of order. For measuring aligners, and for tests and
experiments that a network should solve in seconds. No natural language.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nmt.files import write_atomic

CLASSES: Mapping[str, int] = {"noun": 6, "adjective": 3, "verb": 3, "adverb": 1}
"""Kinds of words, and how many words of each kind there are for one adverb."""
MAX_ADJECTIVES = 2
ONSETS, VOWELS = "bdfgklmnprstvz", "aeiou"


class Token(NamedTuple):
    """A source word on its way into the target."""

    position: int
    """In the source sentence, from 0."""
    kind: str
    """A key of `CLASSES`."""
    translation: tuple[str, ...]
    """One target word, or two that stand together."""


class AlignedPair(NamedTuple):
    """A sentence, its translation, and their links (source word, target word), from 0."""

    source: str
    target: str
    links: tuple[tuple[int, int], ...]


def swap(tokens: Sequence[Token]) -> list[Token]:
    """An adjective right in front of its noun changes places with it, as in French."""
    moved = list(tokens)
    for k in range(len(tokens) - 1):
        if tokens[k].kind == "adjective" and tokens[k + 1].kind == "noun":
            moved[k], moved[k + 1] = tokens[k + 1], tokens[k]
    return moved


def verb_final(tokens: Sequence[Token]) -> list[Token]:
    """The verb goes to the end, as in a German subordinate clause."""
    return [t for t in tokens if t.kind != "verb"] + [t for t in tokens if t.kind == "verb"]


def reverse(tokens: Sequence[Token]) -> list[Token]:
    """The last word first."""
    return list(tokens[::-1])


RULES: Mapping[str, Callable[[Sequence[Token]], list[Token]]] = {
    "swap": swap,
    "verb-final": verb_final,
    "reverse": reverse,
}
"""Rules of order by name. None of them parts what belongs together in a translation of two words."""


@dataclass(frozen=True)
class SyntheticLanguage:
    """A language pair: what each word means, and the order of the words in the target."""

    words: Mapping[str, tuple[str, ...]]
    """The source words of each kind."""
    lexicon: Mapping[str, tuple[str, ...]]
    """The translation of each source word: one word or two, which translate no other word."""
    rules: tuple[str, ...] = ()
    """Keys of `RULES`, applied one after the other; none: word for word."""

    @classmethod
    def draw(
        cls, seed: int, *, size: int = 4, doubles: float = 0.2, rules: Sequence[str] = ("swap", "verb-final")
    ) -> SyntheticLanguage:
        """A random lexicon. `size`: number of adverbs (see `CLASSES`). `doubles`: share of two-word translations.

        Raises KeyError for a rule that is not in `RULES`.
        """
        for rule in rules:
            RULES[rule]
        rng = random.Random(seed)
        fresh = _fresh_words(rng)
        words = {kind: tuple(fresh() for _ in range(size * share)) for kind, share in CLASSES.items()}
        spellings = [word for kind in words.values() for word in kind]
        doubled = set(rng.sample(spellings, round(doubles * len(spellings))))
        lexicon = {word: (fresh(), fresh()) if word in doubled else (fresh(),) for word in spellings}
        return cls(words, lexicon, tuple(rules))

    def pairs(self, count: int, seed: int) -> list[AlignedPair]:
        """Sentences drawn at random, each with its translation."""
        rng = random.Random(seed)
        return [self.translate(self._sentence(rng)) for _ in range(count)]

    def _sentence(self, rng: random.Random) -> list[tuple[str, str]]:
        """Words with their kinds: subject, verb, object and perhaps an adverb."""

        def noun_phrase() -> list[str]:
            return ["adjective"] * rng.randint(0, MAX_ADJECTIVES) + ["noun"]

        kinds = [*noun_phrase(), "verb", *noun_phrase(), *["adverb"] * rng.randint(0, 1)]
        return [(rng.choice(self.words[kind]), kind) for kind in kinds]

    def translate(self, sentence: Sequence[tuple[str, str]]) -> AlignedPair:
        """The translation of (word, kind) after (word, kind)."""
        tokens = [Token(k, kind, self.lexicon[word]) for k, (word, kind) in enumerate(sentence)]
        for rule in self.rules:
            tokens = RULES[rule](tokens)
        sources = [token.position for token in tokens for _ in token.translation]
        target = [word for token in tokens for word in token.translation]
        links = tuple(sorted((source, k) for k, source in enumerate(sources)))
        return AlignedPair(" ".join(word for word, _ in sentence), " ".join(target), links)


def write_corpus(folder: Path, stem: str, pairs: Sequence[AlignedPair]) -> tuple[Path, Path, Path]:
    """Write `<stem>.src`, `<stem>.tgt` and `<stem>.gold`, the links as `i-j`, line by line."""
    gold = [" ".join(f"{i}-{j}" for i, j in pair.links) for pair in pairs]
    contents = ([pair.source for pair in pairs], [pair.target for pair in pairs], gold)
    paths = folder / f"{stem}.src", folder / f"{stem}.tgt", folder / f"{stem}.gold"
    for path, lines in zip(paths, contents, strict=True):
        write_atomic(path, "".join(f"{line}\n" for line in lines))
    return paths


def recall_lines(count: int, distance: int, seed: int, *, keys: int = 8) -> list[str]:
    """Lines that end as they begin: a key, `distance` words that are the same in every line, and the key again.

    Whoever does not remember the first word can do no better than to guess the last, one of `keys`.
    """
    rng = random.Random(seed)
    between = [f"w{number}" for number in range(distance)]
    chosen = (f"k{rng.randrange(keys)}" for _ in range(count))
    return [" ".join((key, *between, key)) for key in chosen]


def _fresh_words(rng: random.Random) -> Callable[[], str]:
    """Gives a word of two or three syllables that it has not given before."""
    given: set[str] = set()

    def fresh() -> str:
        while True:
            word = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(rng.randint(2, 3)))
            if word not in given:
                given.add(word)
                return word

    return fresh
