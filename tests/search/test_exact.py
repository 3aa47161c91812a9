"""Viterbi and bounded depth-first search against exhaustive search."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.search.beam import beam_search
from nmt.search.exact import exact_search
from nmt.search.exhaustive import exhaustive_search
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper
from nmt.search.viterbi import viterbi_search
from tests.model.networks import VOCAB, sentences, tiny
from tests.search.tables import BOS, EOS, Table, random_table, source

LIMIT = 5
SEARCHES = {
    "seed": st.integers(0, 10_000),
    "vocab": st.integers(3, 5),
    "alpha": st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    "sharpness": st.sampled_from([1.0, 3.0]),
}


@given(**SEARCHES)
@settings(max_examples=40)
def test_viterbi_is_exhaustive_search_where_scores_are_markov(
    seed: int, vocab: int, alpha: float, sharpness: float
) -> None:
    table, scoring = random_table(seed, vocab, order=1, sharpness=sharpness), Scoring(alpha)
    expected = exhaustive_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS, scoring=scoring)[0]
    found = viterbi_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS, scoring=scoring)
    assert found is not None
    assert found.score == pytest.approx(expected.score, abs=1e-4)
    assert found.log_prob == pytest.approx(sum_of(table, found.tokens), abs=1e-4)
    assert found.is_truncated == (len(found.tokens) + 1 == LIMIT)


def sum_of(table: Table, tokens: tuple[int, ...]) -> float:
    path = [BOS, *tokens, EOS]
    return sum(float(table.log_probs[0, last, token]) for last, token in pairwise(path))


def test_viterbi_may_miss_the_best_where_scores_look_further_back() -> None:
    """What it finds is a real hypothesis all the same, and never better than the best."""
    misses = 0
    for seed in range(30):
        table = random_table(seed, 5, order=3, sharpness=3.0)
        best = exhaustive_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS)
        found = viterbi_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS)
        assert found is not None
        scores = {h.tokens: h.log_prob for h in best}
        assert found.log_prob == pytest.approx(scores[found.tokens], abs=1e-4)
        misses += found.log_prob < best[0].log_prob - 1e-4
    assert 0 < misses < 30


def test_viterbi_finds_nothing_where_nothing_ends() -> None:
    p = torch.full((1, 3, 3), 0.0)
    p[0, :, 2] = 1.0
    assert viterbi_search(Table(p.log(), order=1), *source(0), max_length=4, bos_id=BOS, eos_id=EOS) is None


@given(**SEARCHES, order=st.integers(1, 3), min_length=st.integers(0, 2))
@settings(max_examples=40)
def test_exact_search_is_exhaustive_search(
    seed: int, vocab: int, alpha: float, sharpness: float, order: int, min_length: int
) -> None:
    table, scoring = random_table(seed, vocab, order, sharpness=sharpness), Scoring(alpha)
    everything = exhaustive_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS, scoring=scoring)
    expected = next(h for h in everything if len(h.tokens) >= min_length)
    found = exact_search(
        table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS, scoring=scoring, min_length=min_length
    )
    assert found.is_proven
    assert found.best is not None
    assert found.best.score == pytest.approx(expected.score, abs=1e-5)
    assert found.best.log_prob == pytest.approx(expected.log_prob, abs=1e-5)
    assert len(found.best.tokens) >= min_length


def test_a_bound_saves_steps_and_loses_nothing() -> None:
    """Given a beam's score it finds what is better, or proves that nothing is."""
    free = bounded = everything = better = 0
    for seed in range(12):
        table = random_table(seed, 6, sharpness=2.0)
        every = exhaustive_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS)
        beam = beam_search(table, *source(0), size=2, max_length=torch.tensor([LIMIT]), bos_id=BOS, eos_id=EOS)[0][0]
        alone = exact_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS)
        found = exact_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS, bound=beam.score)
        assert alone.is_proven
        assert found.is_proven
        assert alone.best is not None
        assert alone.best.score == pytest.approx(every[0].score, abs=1e-5)
        if found.best is None:
            assert beam.score == pytest.approx(every[0].score, abs=1e-5)
        else:
            assert found.best.score == pytest.approx(every[0].score, abs=1e-5)
            better += 1
        free, bounded, everything = free + alone.steps, bounded + found.steps, everything + len(every)
    assert better > 0
    assert bounded < free < everything


def test_a_budget_ends_the_search_and_says_so() -> None:
    table = random_table(1, 6, sharpness=0.5)
    whole = exact_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS)
    cut = exact_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS, budget=whole.steps - 1)
    enough = exact_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS, budget=whole.steps)
    assert not cut.is_proven
    assert cut.steps < whole.steps
    assert enough == whole


def test_a_networks_best_is_the_exhaustive_best() -> None:
    model = tiny(seed=2, dtype=torch.float32)
    permitted = torch.zeros(VOCAB, dtype=torch.bool)
    permitted[[EOS, 4, 5, 6]] = True
    stepper = PlainStepper(model, permitted)
    src, lengths = sentences(1, [4])
    scoring = Scoring(length_penalty=0.6)
    expected = exhaustive_search(stepper, src, lengths, max_length=4, bos_id=BOS, eos_id=EOS, scoring=scoring)[0]
    found = exact_search(stepper, src, lengths, max_length=4, bos_id=BOS, eos_id=EOS, scoring=scoring).best
    assert found is not None
    assert found.tokens == expected.tokens
    assert found.score == pytest.approx(expected.score, abs=1e-4)
