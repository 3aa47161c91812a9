"""Minimum Bayes risk decoding, beside sacreBLEU's sentence BLEU and sums written out."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU

from nmt.search.minimum_risk import by_risk, posterior, sentence_bleu


def drawn(count: int, seed: int, longest: int = 12, words: int = 6) -> list[tuple[int, ...]]:
    """Sequences of few different words, so that they have n-grams in common."""
    rng = random.Random(seed)
    return [tuple(rng.randrange(words) for _ in range(rng.randint(1, longest))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_sentence_bleu_is_that_of_sacrebleu(seed: int) -> None:
    sequences = drawn(8, seed)
    metric = BLEU(smooth_method="add-k", smooth_value=1, tokenize="none", effective_order=False)
    lines = [" ".join(map(str, sequence)) for sequence in sequences]
    expected = [[metric.sentence_score(one, [other]).score / 100 for other in lines] for one in lines]
    np.testing.assert_allclose(sentence_bleu(sequences), expected, atol=1e-9)


def test_nothing_is_like_an_empty_sequence() -> None:
    assert sentence_bleu([(), (1, 2)]).tolist() == [[0.0, 0.0], [0.0, pytest.approx(1.0)]]


def test_the_risk_is_the_expected_loss() -> None:
    sequences = drawn(9, 7)
    weights = [random.Random(8).random() for _ in sequences]
    gains = sentence_bleu(sequences)
    risks = [sum(p * (1 - gains[i, j]) for j, p in enumerate(weights)) for i in range(len(sequences))]
    assert by_risk(sequences, weights) == sorted(range(len(sequences)), key=lambda i: risks[i])


def test_what_most_agree_upon_comes_before_what_is_likeliest() -> None:
    alone, *alike = (9, 8, 7, 6, 5), (1, 2, 3, 4, 5), (1, 2, 3, 4, 6), (1, 2, 3, 4, 7)
    assert by_risk([alone, *alike], [0.4, 0.2, 0.2, 0.2])[0] == 1
    assert by_risk([alone, *alike], [0.9, 0.03, 0.03, 0.04])[0] == 0


def test_of_equal_ones_the_first_comes_first() -> None:
    assert by_risk([(1, 2), (1, 2), (1, 2)], [0.2, 0.5, 0.3]) == [0, 1, 2]
    assert by_risk([(4,)], [1.0]) == [0]


def test_the_posterior_does_not_depend_on_the_length_penalty() -> None:
    log_probs = np.array([-2.0, -3.0, -5.0])
    plain = posterior(log_probs, -2.0)
    assert plain.sum() == pytest.approx(1)
    assert plain[0] / plain[1] == pytest.approx(math.exp(0.5))
    np.testing.assert_allclose(posterior(log_probs / 7.5, -2.0), plain)  # all of one length
    np.testing.assert_allclose(posterior([0.0, -1.0], 0.0), posterior([-1.0, -2.0], -1.0))  # certainty
