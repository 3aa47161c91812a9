"""Which training pairs are dropped, and why: the rules of `CleaningConfig`, applied to a stream, with a report.

Kept pairs are changed in one way only: runs of white space become one blank and the ends are stripped (the no-break
spaces stay, they are spelling). HTML entities and markup are left alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice

import numpy as np
import numpy.typing as npt

from nmt.config import CleaningConfig
from nmt.data.corpus import Pair

RULES = ("empty", "control", "max_length", "max_ratio", "duplicates", "overlap")
"""In the order they are applied: a pair counts under the first rule that drops it."""

CHUNK_PAIRS = 16_384
UNJUDGED_CHARACTERS = 20  # short sides differ by large factors for good reasons ("Ja." - "Yes, it is.")
CHARACTERS_PER_WORD = 4
EXAMPLE_CHARACTERS = 40

_BLANKS = re.compile(r"[^\S\u00a0\u2007\u202f]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_UNSPACED = re.compile(  # Thai and Lao, Tibetan, Myanmar, Khmer, kana, Han
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class CleaningReport:
    """What became of the pairs that were read: read = kept + held_out + the sum of dropped.

    `dropped` has a count for each rule that is switched on, `examples` the first pair that a rule dropped, if any.
    """

    read: int
    kept: int
    dropped: dict[str, int]
    examples: dict[str, str] = field(default_factory=dict)
    held_out: int = 0

    def table(self) -> list[tuple[str, str, str, str]]:
        """Rows of rule, pairs, share of the pairs read, example; the first is the heading."""
        rows = [("rule", "pairs", "share", "example")]
        for rule in RULES:
            if rule in self.dropped:
                count = self.dropped[rule]
                rows.append((rule, f"{count:,}", self._share(count), self.examples.get(rule, "")))
            else:
                rows.append((rule, "off", "", ""))
        if self.held_out:
            rows.append(("held out as dev", f"{self.held_out:,}", self._share(self.held_out), ""))
        rows.append(("kept", f"{self.kept:,}", self._share(self.kept), ""))
        rows.append(("read", f"{self.read:,}", self._share(self.read), ""))
        return rows

    def __str__(self) -> str:
        """The table as aligned plain text."""
        rows = self.table()
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = (
            f"{rule:<{widths[0]}}  {pairs:>{widths[1]}}  {share:>{widths[2]}}  {example}"
            for rule, pairs, share, example in rows
        )
        return "\n".join(line.rstrip() for line in lines)

    def _share(self, count: int) -> str:
        return f"{count / self.read:.2%}" if self.read else ""


class Cleaner:
    """Applies the rules to a stream of pairs, in chunks; memory grows by 8 to 16 bytes a kept pair (see `HashSet`).

    `held_out` are the pairs of dev and test, for the overlap rule; they are held in memory. `is_text_alone`: the second
    string of a pair is no text but a label or nothing, and only has its part in whether the pair was seen before.
    """

    def __init__(
        self, config: CleaningConfig, held_out: Iterable[tuple[str, str]] = (), *, is_text_alone: bool = False
    ) -> None:
        self._config = config
        self._is_text_alone = is_text_alone
        self._seen = HashSet()
        self._overlap = Overlap(map(self._texts, held_out) if config.overlap else ())
        self._read = 0
        self._kept = 0
        self._dropped: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def clean(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """The pairs that no rule drops, in order, white space collapsed. Duplicates are known across calls."""
        stream = iter(pairs)
        while chunk := list(islice(stream, CHUNK_PAIRS)):
            self._read += len(chunk)
            kept = [tidied for pair in chunk if (tidied := self._judge(pair)) is not None]
            if self._config.duplicates:
                kept = self._first_ones(kept)
            if self._config.overlap:
                kept = [pair for pair in kept if not self._overlaps(pair)]
            self._kept += len(kept)
            yield from kept

    def report(self) -> CleaningReport:
        """The counts so far."""
        dropped = {rule: self._dropped[rule] for rule in RULES if getattr(self._config, rule)}
        return CleaningReport(self._read, self._kept, dropped, dict(self._examples))

    def _judge(self, pair: Pair) -> Pair | None:
        tidied = pair._replace(source=collapse_blanks(pair.source), target=collapse_blanks(pair.target))
        rule = self._broken_rule(self._texts((pair.source, pair.target)), self._texts((tidied.source, tidied.target)))
        if rule is None:
            return tidied
        self._drop(rule, pair)
        return None

    def _texts(self, pair: tuple[str, str]) -> tuple[str, str]:
        """The two texts that rules compare; one text twice where there is no other."""
        return (pair[0], pair[0]) if self._is_text_alone else pair

    def _broken_rule(self, raw: tuple[str, str], tidied: tuple[str, str]) -> str | None:
        """The first rule that one look at the pair decides. Control characters are judged before blanks collapse."""
        config = self._config
        if config.empty and not all(map(is_visible, tidied)):
            return "empty"
        if config.control and any(map(_CONTROL.search, raw)):
            return "control"
        if config.max_length and max(map(words, tidied)) > config.max_length:
            return "max_length"
        if config.max_ratio and length_ratio(*tidied) > config.max_ratio:
            return "max_ratio"
        return None

    def _first_ones(self, pairs: list[Pair]) -> list[Pair]:
        hashes = np.array([_hash(pair) for pair in pairs], dtype=np.uint64)
        is_new = self._seen.add(hashes)
        for pair, new in zip(pairs, is_new, strict=True):
            if not new:
                self._drop("duplicates", pair)
        return [pair for pair, new in zip(pairs, is_new, strict=True) if new]

    def _overlaps(self, pair: Pair) -> bool:
        overlaps = self._overlap.has(*self._texts((pair.source, pair.target)))
        if overlaps:
            self._drop("overlap", pair)
        return overlaps

    def _drop(self, rule: str, pair: Pair) -> None:
        self._dropped[rule] += 1
        if rule not in self._examples:
            self._examples[rule] = f"{pair.path}:{pair.line}: {example(pair.source, pair.target)}"


class Overlap:
    """The sources and targets of held-out pairs, compared without case, blanks and punctuation."""

    def __init__(self, held_out: Iterable[tuple[str, str]]) -> None:
        self._sources: set[str] = set()
        self._targets: set[str] = set()
        for source, target in held_out:
            self._sources.add(letters(source))
            self._targets.add(letters(target))

    def has(self, source: str, target: str) -> bool:
        """Whether the source is one of the sources or the target one of the targets."""
        return letters(source) in self._sources or letters(target) in self._targets


class HashSet:
    """A set of 64-bit hashes that only grows, in 8 bytes each (16 for a moment, when parts are merged).

    Sorted runs whose sizes at least halve from one to the next, as in a log-structured merge tree: a look-up is a few
    binary searches. Two different pairs share a hash with a chance of n^2 / 2^65: 0.03 % in 100 million.
    """

    def __init__(self) -> None:
        self._runs: list[npt.NDArray[np.uint64]] = []

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def add(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Add hashes; True where one was not in the set and did not stand earlier in `hashes`."""
        distinct, first = np.unique(hashes, return_index=True)
        unseen = np.ones(len(distinct), dtype=np.bool_)
        for run in self._runs:
            place = np.searchsorted(run, distinct).clip(max=len(run) - 1)
            unseen &= run[place] != distinct
        self._append(distinct[unseen])
        is_new = np.zeros(len(hashes), dtype=np.bool_)
        is_new[first[unseen]] = True
        return is_new

    def _append(self, run: npt.NDArray[np.uint64]) -> None:
        while self._runs and len(run) and len(self._runs[-1]) < 2 * len(run):
            run = np.concatenate([self._runs.pop(), run])
            run.sort(kind="stable")  # merges the two sorted halves in linear time
        if len(run):
            self._runs.append(run)


class _WithoutBlanksAndPunctuation(dict[int, int | None]):
    """A table for `str.translate` that fills itself: asking unicodedata for every character would take a second."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        goes = character.isspace() or unicodedata.category(character)[0] in "PZ"
        self[code] = None if goes else code
        return self[code]


_LETTERS = _WithoutBlanksAndPunctuation()


def collapse_blanks(text: str) -> str:
    """Runs of white space as one blank, none at the ends; no-break spaces stay as they are."""
    return " ".join(text.split()) if text.isascii() else _BLANKS.sub(" ", text).strip(" ")


def letters(text: str) -> str:
    """The text case-folded, without blanks and punctuation (Unicode Z*, P*); with them where nothing else is in it."""
    folded = text.casefold()
    return folded.translate(_LETTERS) or folded


def is_visible(text: str) -> bool:
    """Whether a character prints ink: not white space, not a control, format or unassigned character."""
    return any(character.isprintable() and not character.isspace() for character in text)


def words(text: str) -> float:
    """Length in white-space words, or in a quarter of the characters of scripts without spaces if that is more."""
    count = len(text.split())
    return count if text.isascii() else max(count, len(_UNSPACED.findall(text)) / CHARACTERS_PER_WORD)


def length_ratio(source: str, target: str) -> float:
    """Longer side by shorter side, in characters; a side of under 20 characters counts as 20."""
    shorter, longer = sorted((len(source), len(target)))
    return longer / max(shorter, UNJUDGED_CHARACTERS)


def example(source: str, target: str) -> str:
    """Both sides, cut and quoted so that blanks and control characters show."""
    cut = (side if len(side) <= EXAMPLE_CHARACTERS else side[:EXAMPLE_CHARACTERS] + "..." for side in (source, target))
    return " | ".join(map(repr, cut))


def _hash(pair: Pair) -> int:
    return int.from_bytes(blake2b(f"{pair.source}\t{pair.target}".encode(), digest_size=8).digest(), "little")
