"""Learning a dictionary: the sums against loops over single words, and words whose translation is known."""

from __future__ import annotations

import math
import random
from collections import defaultdict

import numpy as np
import pytest

from nmt.config import TextConfig
from nmt.text.tokenizer import UNK_ID, TokenizerPair, train_tokenizers
from nmt.training import dictionary
from nmt.training.dictionary import learn_dictionary, translation_probabilities
from tests.corpora import LEXICON, toy_pair

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


def tokenizers(size: int) -> TokenizerPair:
    rng = random.Random(1)
    return train_tokenizers(
        [toy_pair(rng) for _ in range(400)], TextConfig(kind="word", vocab_size=size, joint=False), seed=1
    )


def test_every_unknown_word_of_the_lexicon_is_found_and_no_known_one() -> None:
    """Half the lexicon is beyond the vocabulary. Source words stand for it even where they are known themselves."""
    pair = tokenizers(14)
    rng = random.Random(2)
    learnt = learn_dictionary([toy_pair(rng) for _ in range(300)], pair, seed=1).entries
    unknown = {s: t.lower() for s, t in LEXICON.items() if UNK_ID in pair.target.encode(t.lower())}
    assert 4 <= len(unknown) < len(LEXICON)
    assert {s: learnt[s] for s in unknown} == unknown
    assert all(UNK_ID in pair.target.encode(word) for word in learnt.values())
    assert all(dictionary.has_letter(word) for word in (*learnt, *learnt.values()))


def test_a_dictionary_depends_on_its_seed_and_limits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = tokenizers(14)
    rng = random.Random(2)
    pairs = [toy_pair(rng) for _ in range(100)]
    whole = learn_dictionary(pairs, pair, seed=1).entries
    assert learn_dictionary(iter(pairs), pair, seed=1).entries == whole
    monkeypatch.setattr(dictionary, "MOST_CELLS", 600)
    part = learn_dictionary(pairs, pair, seed=1).entries
    assert part not in ({}, whole)
    assert learn_dictionary([], pair, seed=1).entries == {}


def test_a_vocabulary_that_has_every_word_leaves_nothing_to_learn() -> None:
    rng = random.Random(2)
    assert learn_dictionary([toy_pair(rng) for _ in range(50)], tokenizers(100), seed=1).entries == {}
