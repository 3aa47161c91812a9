"""Sampling against the distributions that it claims to draw from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.search.beam import Hypothesis
from nmt.search.constraints import Constraints, Demand
from nmt.search.exhaustive import exhaustive_search
from nmt.search.forced import score_targets
from nmt.search.greedy import greedy_search
from nmt.search.sampling import draw, sample, truncate
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper
from tests.model.networks import VOCAB, sentences, tiny
from tests.search.tables import BOS, EOS, FewCandidates, Table, random_table, source

DRAWS = 4000
LIMIT = 4


def slow_truncate(p: np.ndarray, temperature: float, top_k: int, top_p: float) -> np.ndarray:
    """By the papers' words, one token at a time."""
    weights = p.astype(np.float64) ** (1 / temperature)
    weights /= weights.sum()
    order = sorted(range(len(p)), key=lambda i: -weights[i])
    if top_k:
        order = order[:top_k]
    total = sum(weights[i] for i in order)
    kept, mass = [], 0.0
    for i in order:
        kept.append(i)
        mass += weights[i] / total
        if mass >= top_p:
            break
    result = np.zeros(len(p))
    result[kept] = weights[kept] / weights[kept].sum()
    return result


@given(
    seed=st.integers(0, 10_000),
    temperature=st.sampled_from([0.3, 0.7, 1.0, 2.5]),
    top_k=st.sampled_from([0, 1, 2, 5, 50]),
    top_p=st.sampled_from([0.05, 0.3, 0.75, 0.95, 1.0]),
)
@settings(max_examples=60)
def test_the_distribution_is_that_of_the_papers(seed: int, temperature: float, top_k: int, top_p: float) -> None:
    p = np.random.default_rng(seed).dirichlet(np.full(8, 0.4))
    log_probs = torch.from_numpy(np.log(np.maximum(p, 1e-30))).unsqueeze(0)
    found = truncate(log_probs, temperature=temperature, top_k=top_k, top_p=top_p)[0].exp().numpy()
    np.testing.assert_allclose(found, slow_truncate(p, temperature, top_k, top_p), atol=1e-9)


def test_numbers_pick_the_token_in_whose_stretch_they_lie() -> None:
    log_probs = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25, 0.0]]).log()
    for number, token in ((0.0, 1), (0.2499, 1), (0.2501, 3), (0.7499, 3), (0.7501, 4), (0.99999999, 4), (1.0, 4)):
        assert int(draw(log_probs, torch.tensor([number], dtype=torch.float64))) == token


def chi_square(counts: Mapping[Any, int], expected: Mapping[Any, float], draws: int) -> tuple[float, float]:
    """The statistic, and what it exceeds once in a thousand times (Wilson & Hilferty 1931).

    Outcomes expected under five times are counted together.
    """
    assert counts.keys() <= expected.keys()
    bins = [(counts.get(key, 0), p * draws) for key, p in expected.items() if p * draws >= 5]
    seen, mass = draws - sum(count for count, _ in bins), draws - sum(mean for _, mean in bins)
    if mass >= 5:
        bins.append((seen, mass))
    statistic = sum((count - mean) ** 2 / mean for count, mean in bins)
    free = len(bins) - 1
    return statistic, free * (1 - 2 / (9 * free) + 3.09 * math.sqrt(2 / (9 * free))) ** 3


def fits(counts: Mapping[Any, int], expected: Mapping[Any, float], draws: int = DRAWS) -> bool:
    statistic, limit = chi_square(counts, expected, draws)
    return statistic < limit


def sentence_probabilities(
    table: Table, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> dict[tuple[int, ...], float]:
    """Of every sentence, each step's distribution changed as asked; the end is certain at the maximal length."""
    found: dict[tuple[int, ...], float] = {}

    def extend(tokens: tuple[int, ...], mass: float) -> None:
        if len(tokens) == LIMIT - 1:
            found[tokens] = mass
            return
        history = ([BOS] * table.order + list(tokens))[-table.order :]
        p = slow_truncate(table.log_probs[(0, *history)].exp().numpy(), temperature, top_k, top_p)
        for token, share in enumerate(p):
            if share > 0 and token == EOS:
                found[tokens] = mass * share
            elif share > 0:
                extend((*tokens, token), mass * share)

    extend((), 1.0)
    return found


def drawn(table: Table, seed: int, **choices: Any) -> list[Hypothesis]:
    return sample(
        table,
        *source(0),
        samples=DRAWS,
        seeds=[seed],
        max_length=torch.tensor([LIMIT]),
        bos_id=BOS,
        eos_id=EOS,
        **choices,
    )[0]


@pytest.mark.parametrize(
    "choices",
    [{}, {"temperature": 0.5}, {"temperature": 1.7}, {"top_k": 2}, {"top_p": 0.6}, {"top_k": 3, "top_p": 0.8}],
)
def test_sentences_come_as_often_as_they_are_likely(choices: dict[str, Any]) -> None:
    table = random_table(5, vocab=5, sharpness=1.2)
    counts = Counter(h.tokens for h in drawn(table, 3, **choices))
    assert fits(counts, sentence_probabilities(table, **choices))
    if choices:  # the test tells these distributions apart
        assert not counts.keys() <= sentence_probabilities(table).keys() or not fits(
            counts, sentence_probabilities(table)
        )


def test_scores_are_the_models_own() -> None:
    """Not those of the distribution that was drawn from."""
    table = random_table(5, vocab=5)
    scoring = Scoring(0.6)
    everything = exhaustive_search(table, *source(0), max_length=LIMIT, bos_id=BOS, eos_id=EOS, scoring=scoring)
    expected = {h.tokens: h for h in everything}
    found = drawn(table, 1, temperature=2.0, top_k=3, scoring=scoring)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    for h in found[:: DRAWS // 50]:
        assert h.score == pytest.approx(expected[h.tokens].score, abs=1e-4)
        assert h.log_prob == pytest.approx(expected[h.tokens].log_prob, abs=1e-4)
        assert h.is_truncated == (len(h.tokens) == LIMIT - 1)


def test_the_likeliest_token_alone_is_greedy_search() -> None:
    table = random_table(9, vocab=7, tables=3)
    src, lengths = source(0, 1, 2)
    limits = torch.tensor([9, 4, 7])
    expected = greedy_search(table, src, lengths, max_length=limits, bos_id=BOS, eos_id=EOS)
    for choices in ({"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-3}):
        found = sample(
            table, src, lengths, samples=2, seeds=[1, 2, 3], max_length=limits, bos_id=BOS, eos_id=EOS, **choices
        )
        assert [h.tokens for hypotheses in found for h in hypotheses] == [tuple(t) for t in expected for _ in range(2)]


def test_a_sample_depends_on_its_seed_alone_not_on_its_company() -> None:
    model = tiny(seed=4, dtype=torch.float32)
    stepper = PlainStepper(model)
    sizes = [6, 1, 9, 3]
    src, lengths = sentences(8, sizes)
    seeds, limits = [11, 12, 13, 12], lengths * 2 + 2

    def found(rows: list[int], samples: int, width: int) -> list[list[Hypothesis]]:
        return sample(
            stepper,
            src[rows, :width],
            lengths[rows],
            samples=samples,
            seeds=[seeds[row] for row in rows],
            max_length=limits[rows],
            bos_id=BOS,
            eos_id=EOS,
            scoring=Scoring(0.6, 0.2),
            with_attention=True,
        )

    together = found([0, 1, 2, 3], 3, 9)
    for row, size in enumerate(sizes):
        alone = found([row], 3, size)[0]
        assert [h.tokens for h in together[row]] == [h.tokens for h in alone]
        assert [h.score for h in together[row]] == pytest.approx([h.score for h in alone], abs=1e-4)
        forced = score_targets(
            stepper,
            src[[row] * 3, :size],
            lengths[[row] * 3],
            [h.tokens for h in alone],
            bos_id=BOS,
            eos_id=EOS,
            scoring=Scoring(0.6, 0.2),
        )
        for h, again in zip(together[row], forced, strict=True):
            assert h.score == pytest.approx(again.score, abs=1e-4)
            assert h.attention is not None
            torch.testing.assert_close(h.attention, again.attention, rtol=0, atol=1e-4)
    seeds[0] = 14
    assert [h.tokens for h in found([0], 3, 9)[0]] != [h.tokens for h in together[0]]


def test_constraints_hold_for_samples_and_the_rest_shares_their_mass() -> None:
    table = random_table(5, vocab=5, order=1)
    demand = Demand(forbidden=[[3]])
    counts = Counter(h.tokens for h in drawn(table, 8, constraints=Constraints.of([demand], 5)))
    without = table.log_probs.clone()
    without[..., 3] = -torch.inf
    assert fits(counts, sentence_probabilities(Table(without.log_softmax(dim=-1), 1)))
    repeated = [h.tokens for h in drawn(table, 8, constraints=Constraints.of([Demand(1, prefix=[4])], 5))]
    assert all(tokens[0] == 4 and len(set(tokens)) == len(tokens) for tokens in repeated)
    assert len(set(repeated)) > 3


def test_where_nothing_may_come_there_is_no_sample() -> None:
    model = tiny(dtype=torch.float32)
    constraints = Constraints.of([Demand(forbidden=[[token] for token in range(VOCAB) if token != EOS])], VOCAB)
    src, lengths = sentences(8, [3])
    found = sample(
        PlainStepper(model),
        src,
        lengths,
        samples=2,
        seeds=[1],
        max_length=torch.tensor([5]),
        bos_id=BOS,
        eos_id=EOS,
        min_length=1,
        constraints=constraints,
    )
    assert found == [[]]


def test_few_candidates_are_drawn_from_by_their_ids() -> None:
    table = random_table(5, vocab=9)
    whole = drawn(table, 4, top_k=3)
    few = drawn(FewCandidates(table, few=5), 4, top_k=3)  # type: ignore[arg-type]
    expected = sentence_probabilities(table, top_k=3)
    assert {h.tokens for h in whole} <= expected.keys()
    # the end is always among the few: where it is not among the three likeliest it is not drawn
    assert fits(Counter(h.tokens for h in few), expected)
