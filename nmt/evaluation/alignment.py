"""Word alignments: links, gold standards in Pharaoh's format, symmetrisation, and the alignment error rate.

Where links come from is no business of this file: any aligner's can be read, joined and scored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.data.corpus import read_lines
from nmt.errors import CorpusError

Link = tuple[int, int]
"""(source word, target word), counted from 0 over the words that white space separates."""

_LINK = re.compile(r"(\d+)([-?p])(\d+)")
NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


@dataclass(frozen=True)
class GoldLinks:
    """What people linked in one sentence pair: surely, or at least possibly (Och & Ney 2003)."""

    sure: frozenset[Link]
    possible: frozenset[Link] = frozenset()
    """The sure ones included, whether they are given or not."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "possible", self.possible | self.sure)


def read_gold(path: Path, *, first_word: int = 0, target_first: bool = False) -> list[GoldLinks]:
    """Read a line a pair of `i-j` (sure) and `i?j` or `ipj` (possible); an empty line has no link.

    `first_word`: 1 for files that count words from 1. `target_first`: i counts target words, and j source words.
    Raises CorpusError with file and line.
    """
    return [
        GoldLinks(frozenset(link for mark, link in links if mark == "-"), frozenset(link for _, link in links))
        for links in _read(path, first_word, target_first)
    ]


def read_links(path: Path, *, first_word: int = 0, target_first: bool = False) -> list[frozenset[Link]]:
    """Read a line a pair of `i-j`, as an aligner writes them. Raises CorpusError with file and line."""
    found = []
    for number, links in enumerate(_read(path, first_word, target_first), start=1):
        if any(mark != "-" for mark, _ in links):
            raise CorpusError("a possible link: only people's links have those", path=path, line=number)
        found.append(frozenset(link for _, link in links))
    return found


def _read(path: Path, first_word: int, target_first: bool) -> Iterator[list[tuple[str, Link]]]:
    """Mark and link of every field, in order."""
    for number, line in enumerate(read_lines(path), start=1):
        links: list[tuple[str, Link]] = []
        for field in line.split():
            parts = _LINK.fullmatch(field)
            if parts is None:
                raise CorpusError(f"{field[:40]!r} is no link: i-j, i?j or ipj", path=path, line=number)
            i, j = int(parts[1]) - first_word, int(parts[3]) - first_word
            if min(i, j) < 0:
                raise CorpusError(f"{field}: words count from {first_word} here", path=path, line=number)
            links.append((parts[2], (j, i) if target_first else (i, j)))
        yield links


def pharaoh(links: Iterable[Link]) -> str:
    """Links as `i-j i-j ...`, by source word, then target word."""
    return " ".join(f"{i}-{j}" for i, j in sorted(links))


@dataclass(frozen=True)
class AlignmentScore:
    """Links A against sure links S and possible links P, counted over a corpus (Och & Ney 2003)."""

    links: int
    """|A|"""
    sure: int
    """|S|"""
    found_sure: int
    """|A and S|"""
    found_possible: int
    """|A and P|"""

    @property
    def precision(self) -> float:
        """|A and P| / |A|; 1 where there is no link."""
        return self.found_possible / self.links if self.links else 1.0

    @property
    def recall(self) -> float:
        """|A and S| / |S|; 1 where there is no sure link."""
        return self.found_sure / self.sure if self.sure else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    @property
    def aer(self) -> float:
        """1 - (|A and S| + |A and P|) / (|A| + |S|): 0 is best; with sure links alone it is 1 - F1."""
        total = self.links + self.sure
        return 1.0 - (self.found_sure + self.found_possible) / total if total else 0.0

    def as_dict(self) -> dict[str, float]:
        """Shares and counts, as JSON types."""
        shares = {"aer": self.aer, "precision": self.precision, "recall": self.recall, "f1": self.f1}
        return shares | {"links": self.links, "sure": self.sure}


def score(found: Sequence[Set[Link]], gold: Sequence[GoldLinks]) -> AlignmentScore:
    """Links of some sentence pairs against what people linked. Raises CorpusError where counts differ."""
    if len(found) != len(gold):
        raise CorpusError(f"links of {len(found)} sentence pairs, but gold links of {len(gold)}: they go line by line")
    if not found:
        raise CorpusError("nothing to score: there is no sentence pair")
    return AlignmentScore(
        links=sum(map(len, found)),
        sure=sum(len(one.sure) for one in gold),
        found_sure=sum(len(links & one.sure) for links, one in zip(found, gold, strict=True)),
        found_possible=sum(len(links & one.possible) for links, one in zip(found, gold, strict=True)),
    )


def intersection(forward: Set[Link], backward: Set[Link]) -> frozenset[Link]:
    """The links that both directions have."""
    return frozenset(forward & backward)


def union(forward: Set[Link], backward: Set[Link]) -> frozenset[Link]:
    """The links that either direction has."""
    return frozenset(forward | backward)


def grow_diag_final_and(forward: Set[Link], backward: Set[Link]) -> frozenset[Link]:
    """From the intersection towards the union (Koehn et al. 2005; the name is that of Moses' option).

    Grow: as long as it changes anything, every accepted link is visited, and links of the union beside it, diagonally
    too, are accepted where one of their words has no link yet. Final-and: then other links, those of `forward` first,
    where neither word has one. The order of visits, by source word and then target word, can decide.
    """
    both, either = forward & backward, forward | backward
    visited = sorted(either)
    accepted = set(both)
    sources, targets = {i for i, _ in both}, {j for _, j in both}

    def accept(link: Link) -> None:
        accepted.add(link)
        sources.add(link[0])
        targets.add(link[1])

    has_grown = True
    while has_grown:
        has_grown = False
        for i, j in visited:
            if (i, j) not in accepted:
                continue
            for di, dj in NEIGHBOURS:
                link = i + di, j + dj
                is_new = link in either and link not in accepted
                if is_new and (link[0] not in sources or link[1] not in targets):
                    accept(link)
                    has_grown = True
    for direction in (forward, backward):
        for link in sorted(direction):
            if link[0] not in sources and link[1] not in targets:
                accept(link)
    return frozenset(accepted)


SYMMETRISATIONS: Mapping[str, Callable[[Set[Link], Set[Link]], frozenset[Link]]] = {
    "intersection": intersection,
    "union": union,
    "grow-diag-final-and": grow_diag_final_and,
}
"""Ways to make one alignment of two directions, by name."""


@dataclass(frozen=True)
class AlignmentReport:
    """A score a way of aligning, in the order in which they were computed."""

    scores: Mapping[str, AlignmentScore]

    def table(self) -> list[tuple[str, ...]]:
        """Header and rows, as text; shares in percent but AER, which is customarily one of 1."""
        header = ("links", "AER", "precision", "recall", "F1", "number")
        rows = [
            (
                name,
                f"{one.aer:.3f}",
                *(f"{100 * share:.1f}" for share in (one.precision, one.recall, one.f1)),
                f"{one.links:,}",
            )
            for name, one in self.scores.items()
        ]
        return [header, *rows]

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {name: one.as_dict() for name, one in self.scores.items()}


def evaluate_alignment(
    forward: Sequence[Set[Link]], gold: Sequence[GoldLinks], backward: Sequence[Set[Link]] | None = None
) -> AlignmentReport:
    """Score links of one direction, or of both and of every way to join them.

    `backward`: links found in the other direction, already turned round to (source word, target word).
    """
    scores = {"forward": score(forward, gold)}
    if backward is not None:
        scores["backward"] = score(backward, gold)
        for name, join in SYMMETRISATIONS.items():
            scores[name] = score([join(one, other) for one, other in zip(forward, backward, strict=True)], gold)
    return AlignmentReport(scores)


def check_fits(links: Sequence[Set[Link]], pairs: Sequence[tuple[str, str]], path: Path) -> None:
    """Raise CorpusError where a link of `path` points past the end of its sentence or the counts of lines differ."""
    if len(links) != len(pairs):
        raise CorpusError(f"{len(links)} lines, but there are {len(pairs)} sentence pairs", path=path)
    for number, (some, (source, target)) in enumerate(zip(links, pairs, strict=True), start=1):
        lengths = len(source.split()), len(target.split())
        for i, j in sorted(some):
            if i >= lengths[0] or j >= lengths[1]:
                message = f"link {i}-{j} is past the end of its pair of {lengths[0]} and {lengths[1]} words"
                raise CorpusError(f"{message}; which side is first, and do words count from 0?", path=path, line=number)
