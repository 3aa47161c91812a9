"""How rare words are, by training text or a model's vocabulary: buckets of sentences, and which words come through.

A word is what `nmt.text.words.split_words` takes for one and has a letter or digit in it; case does not matter, so a
word at the beginning of a sentence is no other word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt.data.corpus import read_lines
from nmt.text.words import bare, split_words

FREQUENCIES = (0, 1, 10, 100, 1000)
"""Least occurrences in training text of each bucket of words."""
RAREST_WORD, FINEST_CUT = "rarest word", "word cut finest"
"""What the buckets of `by_rarest_word` and of `by_pieces` are by."""
MOST_PIECES = 4
"""Words cut into so many pieces or more share one bucket."""


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without symbols."""
    return [word.lower() for word in _words(text)]


def _words(text: str) -> list[str]:
    pieces = (bare(piece) for piece in split_words(text))
    return [piece for piece in pieces if any(character.isalnum() for character in piece)]


def count_words(paths: Iterable[Path]) -> Counter[str]:
    """How often each word stands in text files (`.gz` too). Raises CorpusError for one that cannot be read."""
    counts: Counter[str] = Counter()
    for path in paths:
        for line in read_lines(path):
            counts.update(words_of(line))
    return counts


def by_rarest_word(sources: Sequence[str], frequencies: Mapping[str, int]) -> dict[str, list[int]]:
    """Indices of the sources by how often their rarest word stands in training text, rarest first; no empty bucket.

    A source without a word is in none.
    """
    least = [min((frequencies.get(word, 0) for word in words_of(source)), default=None) for source in sources]
    return {
        name: found
        for first, name in zip(FREQUENCIES, FREQUENCY_NAMES, strict=True)
        if (found := [k for k, occurrences in enumerate(least) if _is_in(occurrences, first)])
    }


def by_pieces(sources: Sequence[str], pieces: Callable[[str], int]) -> dict[str, list[int]]:
    """Indices of the sources by how many pieces of a model's vocabulary the word cut finest needs; most first.

    A vocabulary keeps whole what is frequent in the text it was learnt from, so where that text is not to hand the
    number of pieces stands for it. `pieces`: of a word, in its own case. A source without a word is in no bucket.
    """
    # "'t" of "don't" is frequent, and in pieces because the apostrophe is a symbol
    whole = ([word for word in _words(source) if word[0].isalnum()] for source in sources)
    most = [max(map(pieces, words), default=None) for words in whole]
    found = {
        number: [k for k, count in enumerate(most) if count is not None and min(max(count, 1), MOST_PIECES) == number]
        for number in range(MOST_PIECES, 0, -1)
    }
    return {_pieces_name(number): lines for number, lines in found.items() if lines}


def _pieces_name(number: int) -> str:
    return "1 piece" if number == 1 else f"{number}{'+' if number == MOST_PIECES else ''} pieces"


@dataclass(frozen=True, slots=True)
class WordRow:
    """The words of one frequency, over all lines: how many the reference and the output have, and how many agree."""

    occurrences: str
    reference: int
    output: int
    matched: int
    """In both versions of a line, each as often as in the one that has it less often."""

    @property
    def precision(self) -> float:
        return self.matched / self.output if self.output else 0.0

    @property
    def recall(self) -> float:
        return self.matched / self.reference if self.reference else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.reference + self.output
        return 2 * self.matched / both if both else 0.0

    def as_dict(self) -> dict[str, object]:
        """As JSON types; shares from 0 to 1."""
        return {
            "occurrences": self.occurrences,
            "reference": self.reference,
            "output": self.output,
            "matched": self.matched,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


def word_accuracy(
    hypotheses: Sequence[str], references: Sequence[str | None], frequencies: Mapping[str, int]
) -> tuple[WordRow, ...]:
    """Words of each frequency in training text that translations share with a reference, rarest first.

    As compare-mt has it (Neubig et al. 2019). `frequencies`: of the target language's words. Lines without a reference
    are left out.
    """
    wanted, given, matched = ([0] * len(FREQUENCIES) for _ in range(3))
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        if reference is None:
            continue
        right, found = Counter(words_of(reference)), Counter(words_of(hypothesis))
        for totals, words in ((wanted, right), (given, found), (matched, right & found)):
            for word, times in words.items():
                totals[_bucket(frequencies.get(word, 0))] += times
    return tuple(WordRow(*row) for row in zip(FREQUENCY_NAMES, wanted, given, matched, strict=True) if row[1] or row[2])


def _bucket(occurrences: int) -> int:
    return max(k for k, first in enumerate(FREQUENCIES) if first <= occurrences)


def _is_in(occurrences: int | None, first: int) -> bool:
    return occurrences is not None and FREQUENCIES[_bucket(occurrences)] == first


def _names() -> tuple[str, ...]:
    following = (*FREQUENCIES[1:], None)
    return tuple(
        f"{first}+ times" if end is None else "never seen" if end == 1 else f"{first}-{end - 1} times"
        for first, end in zip(FREQUENCIES, following, strict=True)
    )


FREQUENCY_NAMES = _names()
