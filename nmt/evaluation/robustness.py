"""Test sets with what people do to text when they type, made from a clean one, and what that costs a translator.

The sets depend on the seed and on the text, and on nothing else. They are made by other rules than training's noise
(`nmt.data.noise`): letters come from the test set's own alphabet, not from a keyboard, so a model is not tested on
precisely what it was trained on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from nmt.data.names import Names
from nmt.errors import CorpusError
from nmt.evaluation.quality import EvaluationSet
from nmt.evaluation.scoring import METRICS, References, Score, count
from nmt.evaluation.significance import RESAMPLES, SEED, Interval, interval_as_dict, interval_of, resampled

EDITED_WORDS = 0.05
"""Share of the words that get an edit."""
METRICS_USED = ("BLEU", "chrF2++")
_FULL_STOPS = ".。।։።"
"""A sentence's plain end; question and exclamation marks say more and stay."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A test set made from another one."""

    name: str
    sources: Sequence[str]
    references: References
    clean: Sequence[Sequence[int]]
    """For each line the lines of the clean set whose translations, joined by blanks, it is compared with."""
    changed: int
    """Lines that differ from the clean ones."""
    is_one_segment: bool = False
    """To be translated without being split into sentences."""
    ignoring_case: tuple[bool, ...] = (False,)
    """How it is scored, and the clean set too: with case, without, or both ways."""
    clean_references: References | None = None
    """What the clean set is scored against, where that is not the same."""

    def joined(self, translations: Sequence[str]) -> list[str]:
        """What the translations of the clean lines make of this set."""
        return [" ".join(translations[line] for line in lines) for lines in self.clean]


def variants(against: EvaluationSet, seed: int = SEED) -> list[Variant]:
    """The sets made of a clean one, which has sources. Without names on both sides the last is not among them.

    Raises CorpusError where there is nothing to misspell or to join.
    """
    assert against.sources is not None
    sources, references = against.sources, against.references
    misspelt = _edited(sources, references, random.Random(seed))
    renamed = _renamed(sources, references, random.Random(seed))
    return [
        misspelt,
        *(make(sources, references) for make in (_open, _capitals, _small, _pairs)),
        *([renamed] if renamed.sources else []),
    ]


def _edited(sources: Sequence[str], references: References, rng: random.Random) -> Variant:
    """One edit each in 5 % of the words, drawn among those that have two letters or more."""
    words = [source.split(" ") for source in sources]
    places = [(i, j) for i, some in enumerate(words) for j, word in enumerate(some) if _letters(word) > 1]
    if not places:
        raise CorpusError("no source has a word that could be misspelt")
    alphabet = sorted({letter for source in sources for letter in source if letter.isalpha() and letter.islower()})
    number = max(1, round(EDITED_WORDS * sum(len(source.split()) for source in sources)))
    for i, j in rng.sample(places, min(number, len(places))):
        words[i][j] = edited(words[i][j], alphabet or sorted(set(filter(str.isalpha, "".join(sources)))), rng)
    return _variant("typos", sources, [" ".join(some) for some in words], references)


def edited(word: str, alphabet: Sequence[str], rng: random.Random) -> str:
    """A word with one edit (Damerau 1964): a letter left out, put in, put for another, or two side by side swapped.

    It is never the word itself. `word` has at least two letters.
    """
    letters = [k for k, character in enumerate(word) if character.isalpha()]
    while True:
        k, letter = rng.choice(letters), rng.choice(alphabet)
        letter = letter.upper() if word[k].isupper() else letter
        found = rng.choice(
            (
                word[:k] + word[k + 1 :],
                word[:k] + letter + word[k:],
                word[:k] + letter + word[k + 1 :],
                word[:k] + word[k + 1 : k + 2] + word[k] + word[k + 2 :] if k + 1 in letters else word,
            )
        )
        if found != word:
            return found


def _letters(word: str) -> int:
    return sum(map(str.isalpha, word))


def _open(sources: Sequence[str], references: References) -> Variant:
    """No full stop at the end. References keep theirs: a sentence is one whether its writer ends it or not."""
    return _variant("no full stop", sources, [_without_full_stop(source) for source in sources], references)


def _without_full_stop(source: str) -> str:
    bare = source.rstrip()
    if bare.endswith("..") or not bare.rstrip(_FULL_STOPS).strip():
        return source
    return bare[:-1].rstrip() if bare[-1] in _FULL_STOPS else source


def _capitals(sources: Sequence[str], references: References) -> Variant:
    made = [source.upper() for source in sources]
    return _variant("capitals", sources, made, references, (True,))


def _small(sources: Sequence[str], references: References) -> Variant:
    made = [source.lower() for source in sources]
    return _variant("lower case", sources, made, references, (False, True))


def _pairs(sources: Sequence[str], references: References) -> Variant:
    """Lines 1 and 2, 3 and 4, ... as one line each; an odd last line is left out."""
    if len(sources) < 2:
        raise CorpusError("two sentences cannot be joined: there is only one")
    pairs = [(k, k + 1) for k in range(0, len(sources) - 1, 2)]

    def joined(column: Sequence[str | None]) -> list[str | None]:
        both = [[text for text in (column[one], column[other]) if text is not None] for one, other in pairs]
        return [" ".join(texts) if len(texts) == 2 else None for texts in both]

    columns = [joined(column) for column in references]
    for k, (one, other) in enumerate(pairs):
        if all(column[k] is None for column in columns):  # no column has both: take whatever there is
            columns[0][k] = " ".join(
                next(column[line] or "" for column in references if column[line] is not None) for line in (one, other)
            )
    return Variant(
        name="two joined",
        sources=[f"{sources[one]} {sources[other]}" for one, other in pairs],
        references=columns,
        clean=pairs,
        changed=len(pairs),
        is_one_segment=True,
    )


def _renamed(sources: Sequence[str], references: References, rng: random.Random) -> Variant:
    """The lines with a name on all sides, with a name that nobody has in its place. Names with a first vowel stay."""
    lines = [
        [source, *(text for text in texts if text is not None)]
        for source, *texts in zip(sources, *references, strict=True)
    ]
    names = Names.find((line[0], line[1]) for line in lines)
    kept: list[int] = []
    made: list[str] = []
    columns: list[list[str | None]] = [[] for _ in references]
    for k, line in enumerate(lines):
        others = {name: _unheard_of(rng) for name in names.shared(line) if name[0] not in VOWELS.upper()}
        if not others:
            continue
        kept.append(k)
        source, *texts = names.renamed(line, others)
        made.append(source)
        for column, whole in zip(columns, references, strict=True):
            column.append(None if whole[k] is None else texts.pop(0))
    return Variant(
        name="other names",
        sources=made,
        references=columns,
        clean=[(k,) for k in kept],
        changed=len(kept),
        clean_references=[[whole[k] for k in kept] for whole in references],
    )


def _unheard_of(rng: random.Random) -> str:
    """A name of two or three syllables."""
    syllables = (rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.randint(2, 3)))
    return "".join(syllables).capitalize()


ONSETS, VOWELS, CODAS = "bdfgklmnprstvz", "aeiou", ("", "", "l", "n", "r")


def _variant(
    name: str,
    sources: Sequence[str],
    made: Sequence[str],
    references: References,
    ignoring_case: tuple[bool, ...] = (False,),
) -> Variant:
    changed = sum(one != other for one, other in zip(sources, made, strict=True))
    return Variant(name, made, references, [(k,) for k in range(len(made))], changed, ignoring_case=ignoring_case)


@dataclass(frozen=True, slots=True)
class Cost:
    """One set's score beside that of the clean set, by one metric."""

    variant: str
    changed: int
    sentences: int
    is_lowercase: bool
    """Scored without case."""
    clean: Score
    score: Score
    ratio: float
    """Score over clean score: 1 is no loss. 0 where the clean score is 0."""
    interval: Interval
    """Of the ratio, by paired bootstrap."""

    def as_dict(self) -> dict[str, object]:
        """As JSON types."""
        return {
            "metric": METRICS[self.score.metric],
            "lowercase": self.is_lowercase,
            "clean": self.clean.value,
            "score": self.score.value,
            "ratio": self.ratio,
            "interval": interval_as_dict(self.interval),
            "signature": self.score.signature,
        }


@dataclass(frozen=True)
class RobustnessReport:
    """What each set costs, a row a set and metric."""

    seed: int
    costs: Sequence[Cost]

    def table(self) -> list[tuple[str, ...]]:
        """Header and rows as text."""
        rows = [
            (
                cost.variant,
                f"{cost.changed:,} of {cost.sentences:,}",
                cost.score.metric,
                "lc" if cost.is_lowercase else "mixed",
                f"{cost.clean.value:.2f}",
                f"{cost.score.value:.2f}",
                f"{cost.ratio:.3f}",
                f"{cost.interval.low:.3f} to {cost.interval.high:.3f}",
            )
            for cost in self.costs
        ]
        return [("set", "lines changed", "metric", "case", "clean", "score", "ratio", "95 %"), *rows]

    def signatures(self) -> tuple[str, ...]:
        """Every signature once, with its metric in front."""
        return tuple(dict.fromkeys(f"{cost.score.metric}|{cost.score.signature}" for cost in self.costs))

    def as_dict(self) -> dict[str, object]:
        """As JSON types: by set, its figures by metric."""
        names = dict.fromkeys(cost.variant for cost in self.costs)
        sets = []
        for name in names:
            costs = [cost for cost in self.costs if cost.variant == name]
            facts: dict[str, object] = {
                "name": name,
                "sentences": costs[0].sentences,
                "changed": costs[0].changed,
                "metrics": [cost.as_dict() for cost in costs],
            }
            sets.append(facts)
        return {"seed": self.seed, "sets": sets}


def costs_of(
    variant: Variant,
    clean: Sequence[str],
    translations: Sequence[str],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> list[Cost]:
    """Score the translations of a set beside those of the clean one (`clean`, of all its lines).

    Both against the same references but for other names, and by the same options, so the ratio shows the change of the
    source alone. Raises as `scoring.count`.
    """
    references = variant.references
    sides = (
        (variant.joined(clean), references if variant.clean_references is None else variant.clean_references),
        (translations, references),
    )
    cases = dict.fromkeys(lowercase or ignored for ignored in variant.ignoring_case)
    found = []
    for is_lowercase, metric in product(cases, METRICS_USED):
        one, other = (
            count(metric, texts, references, tokenize=tokenize, lowercase=is_lowercase) for texts, references in sides
        )
        old, new = (resampled(counts, resamples=resamples, seed=seed) for counts in (one, other))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(old > 0, new / old, 0.0)
        was, value = one.score(), other.score()
        ratio = value.value / was.value if was.value else 0.0
        found.append(
            Cost(variant.name, variant.changed, len(translations), is_lowercase, was, value, ratio, interval_of(ratios))
        )
    return found
