"""Single words, everyday phrases, labels of screens, names: what people type first, and corpora of sentences lack.

    python -m benchmarks.short_input models/en-de models/de-en --wrong

benchmarks/data/short.tsv has 150 of them in four languages, with all translations that are taken for right. What a
model says counts as right where it is one of those but for case, a last mark, and an article ("to" of a verb) in front;
of a sentence with a name, where it has the name. Translated by the default route, beam 5.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nmt.inference import TranslateOptions, Translator

LIST = Path(__file__).parent / "data" / "short.tsv"
KINDS = ("word", "phrase", "screen", "name")
_ARTICLE = re.compile(
    r"(?:the|an?|to|de[rnm]|die|das|eine?[nmr]?|l['’]|las?|les?|une?|el|los|una?)(?:(?<=['’])|\s+)(?=\S)", re.IGNORECASE
)
_SIGNS = ".!?¿¡…\u00a0\u202f "


class Entry(NamedTuple):
    """A text and its translations."""

    kind: str
    source: str
    right: frozenset[str]
    """As `bare` makes them; of a sentence with a name the name, as it is."""

    def is_right(self, said: str) -> bool:
        if self.kind == "name":
            return any(name in said for name in self.right)
        return bare(said) in self.right


def entries(languages: tuple[str, str], path: Path = LIST) -> list[Entry]:
    """The list in two of its languages. Raises KeyError for another one."""
    source, target = languages
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [_entry(row["kind"], row[source].split("|"), row[target].split("|")) for row in rows]


def _entry(kind: str, source: Sequence[str], target: Sequence[str]) -> Entry:
    right = target[1:] if kind == "name" else map(bare, target)
    return Entry(kind, source[0], frozenset(right))


def bare(text: str) -> str:
    """A text without case, signs at its ends, and an article in front of it."""
    text = text.strip(_SIGNS).replace("’", "'").casefold()
    return _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text


def right(found: Sequence[Entry], said: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """By kind how many translations are right, and of how many."""
    pairs = list(zip(found, said, strict=True))
    return {
        kind: (
            sum(entry.is_right(text) for entry, text in pairs if entry.kind == kind),
            sum(entry.kind == kind for entry in found),
        )
        for kind in KINDS
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, help="bundles")
    parser.add_argument("--wrong", action="store_true", help="print what is wrong")
    given = parser.parse_args(arguments)
    for model in given.models:
        with Translator.load(model, device="cpu") as translator:
            found = entries((translator.info.source_lang, translator.info.target_lang))
            answers = translator.translate([entry.source for entry in found], TranslateOptions(beam_size=5))
        said = [answer.text for answer in answers]
        counts = right(found, said)
        total = sum(count for count, _ in counts.values())
        parts = ", ".join(f"{kind} {count} of {of}" for kind, (count, of) in counts.items())
        print(f"{model}: {total} of {len(found)} ({parts})", flush=True)
        for entry, text in zip(found, said, strict=True):
            if given.wrong and not entry.is_right(text):
                print(f"  {entry.source} = {text}")


if __name__ == "__main__":
    main()
