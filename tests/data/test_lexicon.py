"""Learning which words belong together: the sums and the links against loops over single words."""

from __future__ import annotations

import math
import random
from collections import defaultdict

import numpy as np
import pytest

from nmt.data.lexicon import ITERATIONS, NULL_SHARE, TENSION, links, translation_probabilities

Pairs = list[tuple[list[int], list[int]]]


def by_loops(pairs: Pairs, iterations: int, tension: float, null_share: float) -> dict[tuple[int, int], float]:
    """t(e | f) from the equations of Dyer et al. 2013, one link at a time; f = -1 is no word."""
    t: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    for _ in range(iterations):
        counts: dict[tuple[int, int], float] = defaultdict(float)
        for src, tgt in pairs:
            n, m = len(src), len(tgt)
            for i, e in enumerate(tgt, 1):
                near = [math.exp(-tension * abs(i / m - j / n)) for j in range(1, n + 1)]
                links = {(-1, 0): null_share * t[-1, e]}
                for j, f in enumerate(src, 1):
                    links[f, j] = (1 - null_share) * near[j - 1] / sum(near) * t[f, e]
                for (f, _j), weight in links.items():
                    counts[f, e] += weight / sum(links.values())
        totals: dict[int, float] = defaultdict(float)
        for (f, _e), count in counts.items():
            totals[f] += count
        t = defaultdict(float, {(f, e): count / totals[f] for (f, e), count in counts.items()})
    return dict(t)


@pytest.mark.parametrize(("tension", "null_share"), [(4.0, 0.08), (0.0, 0.2)])
def test_the_probabilities_are_those_of_the_equations(tension: float, null_share: float) -> None:
    rng = random.Random(3)
    pairs = [
        ([rng.randrange(6) for _ in range(rng.randint(1, 5))], [rng.randrange(7) for _ in range(4)]) for _ in "ab" * 9
    ]
    expected = by_loops(pairs, 4, tension, null_share)
    found = translation_probabilities(
        [s for s, _ in pairs], [t for _, t in pairs], iterations=4, tension=tension, null_share=null_share
    )
    keys = list(zip(found.src.tolist(), found.tgt.tolist(), strict=True))
    assert dict(zip(keys, found.probability.tolist(), strict=True)) == pytest.approx(expected, abs=1e-12)
    sums = np.bincount(found.src + 1, found.probability)
    assert sums == pytest.approx(np.ones(len(sums)))


def test_a_side_without_words_has_no_links() -> None:
    assert len(translation_probabilities([], []).src) == 0
    assert translation_probabilities([[], [0]], [[0], []]).src.tolist() == [-1]


def test_links_are_the_likeliest() -> None:
    rng = random.Random(5)
    lengths = [(0, 2), (3, 0), *((rng.randint(1, 6), rng.randint(1, 6)) for _ in range(30))]
    pairs = [([rng.randrange(5) for _ in range(n)], [rng.randrange(5) for _ in range(m)]) for n, m in lengths]
    t = by_loops(pairs, ITERATIONS, TENSION, NULL_SHARE)
    expected: list[list[float]] = []
    for src, tgt in pairs:
        n, m = len(src), len(tgt)
        of_pair: list[float] = []
        for i, e in enumerate(tgt, 1):
            near = [math.exp(-TENSION * abs(i / m - j / n)) for j in range(1, n + 1)]
            weights = [NULL_SHARE * t[-1, e]]
            weights += [(1 - NULL_SHARE) * near[j] / sum(near) * t[f, e] for j, f in enumerate(src)]
            of_pair.append(max(weights))
        expected.append(of_pair)
    found = links([s for s, _ in pairs], [t for _, t in pairs])
    assert [len(places) for places in found] == [m for _, m in lengths]
    for places, best, (src, tgt) in zip(found, expected, pairs, strict=True):
        n, m = len(src), len(tgt)
        for i, (place, e) in enumerate(zip(places, tgt, strict=True), 1):
            near = [math.exp(-TENSION * abs(i / m - j / n)) for j in range(1, n + 1)]
            prior = NULL_SHARE if place < 0 else (1 - NULL_SHARE) * near[place] / sum(near)
            assert prior * t[-1 if place < 0 else src[place], e] == pytest.approx(best[i - 1], rel=1e-9)
    assert links([], []) == []
    assert links([[1]], [[]]) == [[]]
