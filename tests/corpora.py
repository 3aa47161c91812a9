"""Small parallel text that the tests make themselves: a toy language with a rule to learn."""

from __future__ import annotations

import random
from pathlib import Path

LEXICON = {
    "the": "der",
    "old": "alte",
    "small": "kleine",
    "red": "rote",
    "dog": "Hund",
    "man": "Mann",
    "table": "Tisch",
    "tree": "Baum",
    "sees": "sieht",
    "hears": "hört",
    "finds": "findet",
    "today": "heute",
    "often": "oft",
    "here": "hier",
}
ADJECTIVES, NOUNS = ("old", "small", "red"), ("dog", "man", "table", "tree")
VERBS, ADVERBS = ("sees", "hears", "finds"), ("today", "often", "here")


def toy_pair(rng: random.Random) -> tuple[str, str]:
    """A sentence and its translation: word for word, but the adverb moves from the end to before the object."""

    def noun_phrase() -> list[str]:
        return ["the", *rng.sample(ADJECTIVES, rng.randint(0, 2)), rng.choice(NOUNS)]

    subject, verb, thing, adverb = noun_phrase(), rng.choice(VERBS), noun_phrase(), rng.choice(ADVERBS)
    source = [*subject, verb, *thing, adverb]
    target = [LEXICON[word] for word in (*subject, verb, adverb, *thing)]
    return " ".join(source).capitalize() + ".", " ".join(target).capitalize() + "."


def write_toy_corpus(folder: Path, pairs: int, seed: int = 3, stem: str = "toy") -> tuple[Path, Path]:
    """Write `<stem>.en` and `<stem>.de`."""
    rng = random.Random(seed)
    sides = list(zip(*(toy_pair(rng) for _ in range(pairs)), strict=True))
    paths = (folder / f"{stem}.en", folder / f"{stem}.de")
    for path, lines in zip(paths, sides, strict=True):
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return paths
