"""Diverse beam search against its rules on lists of tuples, and against plain beam search where it is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.search.beam import Hypothesis, beam_search
from nmt.search.constraints import Constraints, Demand
from nmt.search.diverse import diverse_beam_search
from nmt.search.forced import score_targets
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper, Stepper
from tests.model.networks import VOCAB, sentences, tiny
from tests.search.tables import BOS, EOS, Table, after, random_table, source


def diverse(
    stepper: Stepper,
    tables: Sequence[int],
    size: int,
    groups: int,
    penalty: float,
    max_length: int,
    alpha: float = 0.0,
    n_best: int | None = None,
) -> list[list[Hypothesis]]:
    return diverse_beam_search(
        stepper,
        *source(*tables),
        size=size,
        groups=groups,
        penalty=penalty,
        max_length=torch.full((len(tables),), max_length),
        bos_id=BOS,
        eos_id=EOS,
        scoring=Scoring(alpha),
        n_best=n_best,
    )


class SlowGroup:
    """One group's beam on lists of tuples."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
        self.ended: list[tuple[float, tuple[int, ...]]] = []

    @property
    def is_done(self) -> bool:
        return not self.live or len(self.ended) == self.size


def slow_diverse(
    table: Table, size: int, groups: int, penalty: float, max_length: int, alpha: float
) -> list[list[tuple[int, ...]]]:
    """What each group finds, best first by the penalised score."""
    model = after(table)
    parts = [SlowGroup(size // groups) for _ in range(groups)]
    for length in range(1, max_length + 1):
        divisor = ((5 + length) / 6) ** alpha
        taken: Counter[int] = Counter()
        for part in parts:
            if part.is_done:
                continue
            continuations = [
                (total + log_prob - penalty * taken[token], tokens, token)
                for total, tokens in part.live
                for token, log_prob in enumerate(model(tokens))
                if log_prob > -torch.inf and not (token != EOS and length == max_length)
            ]
            continuations.sort(key=lambda item: -item[0])
            ends = [(total / divisor, tokens) for total, tokens, token in continuations[: part.size] if token == EOS]
            part.ended = sorted(part.ended + ends, key=lambda item: -item[0])[: part.size]
            longer = [(t, (*tokens, token)) for t, tokens, token in continuations[: 2 * part.size] if token != EOS]
            part.live = longer[: part.size]
            if len(part.ended) == part.size:
                bar, furthest = part.ended[-1][0], ((5 + max_length) / 6) ** alpha
                part.live = [(total, tokens) for total, tokens in part.live if total / furthest > bar]
            taken.update(tokens[-1] for _, tokens in part.live)
            taken[EOS] += sum(end in part.ended for end in ends)
    return [[tokens for _, tokens in part.ended] for part in parts]


@given(
    seed=st.integers(0, 10_000),
    vocab=st.integers(4, 9),
    part=st.integers(1, 3),
    groups=st.integers(1, 4),
    penalty=st.sampled_from([0.0, 0.3, 1.0, 5.0]),
    max_length=st.integers(1, 8),
    alpha=st.sampled_from([0.0, 0.8]),
)
@settings(max_examples=80)
def test_groups_follow_their_rules(
    seed: int, vocab: int, part: int, groups: int, penalty: float, max_length: int, alpha: float
) -> None:
    table = random_table(seed, vocab)
    by_group = slow_diverse(table, part * groups, groups, penalty, max_length, alpha)
    found = diverse(table, [0], part * groups, groups, penalty, max_length, alpha)[0]
    assert {h.tokens for h in found} == {tokens for group in by_group for tokens in group}
    # fewer are taken from the groups in turn
    few = diverse(table, [0], part * groups, groups, penalty, max_length, alpha, n_best=groups)[0]
    winners = dict.fromkeys(group[0] for group in by_group if group)
    assert winners.keys() <= {h.tokens for h in few}
    assert len(few) == min(groups, len(found))
    first = next(group[0] for group in by_group if group)
    assert [h.tokens for h in diverse(table, [0], part * groups, groups, penalty, max_length, alpha, n_best=1)[0]] == [
        first
    ]


@given(
    seed=st.integers(0, 10_000),
    vocab=st.integers(3, 9),
    size=st.integers(1, 5),
    max_length=st.integers(1, 8),
    alpha=st.sampled_from([0.0, 0.8]),
)
@settings(max_examples=30)
def test_one_group_is_beam_search(seed: int, vocab: int, size: int, max_length: int, alpha: float) -> None:
    table = random_table(seed, vocab, tables=3)
    found = diverse(table, [0, 1, 2], size, 1, 7.0, max_length, alpha)
    limits = torch.full((3,), max_length)
    plain = beam_search(
        table, *source(0, 1, 2), size=size, max_length=limits, bos_id=BOS, eos_id=EOS, scoring=Scoring(alpha)
    )
    for mine, theirs in zip(found, plain, strict=True):
        assert [h.score for h in mine] == pytest.approx([h.score for h in theirs], abs=1e-4)
        assert [h.log_prob for h in mine] == pytest.approx([h.log_prob for h in theirs], abs=1e-4)
        assert [h.is_truncated for h in mine] == [h.is_truncated for h in theirs]


def test_without_a_penalty_all_groups_find_the_same() -> None:
    table = random_table(3, vocab=8)
    alone = diverse(table, [0], 2, 1, 0.0, 6)[0]
    assert [h.tokens for h in diverse(table, [0], 8, 4, 0.0, 6)[0]] == [h.tokens for h in alone]


def test_lists_grow_more_diverse_with_the_penalty() -> None:
    """Distinct first tokens of eight hypotheses, over a few sentences."""

    def variety(penalty: float) -> int:
        first = 0
        for seed in range(6):
            found = diverse(random_table(seed, vocab=12), [0], 8, 8, penalty, 5)[0]
            first += len({h.tokens[:1] for h in found})
        return first

    varieties = [variety(penalty) for penalty in (0.0, 0.5, 2.0, 20.0)]
    assert varieties == sorted(varieties)
    assert varieties[0] == 6
    assert varieties[-1] > 5 * 6


def test_a_networks_groups_are_found_in_a_batch_as_alone_with_the_models_own_scores() -> None:
    stepper = PlainStepper(tiny(seed=4, dtype=torch.float32))
    sizes = [6, 1, 9, 3]
    src, lengths = sentences(8, sizes)
    limits = torch.tensor([9, 5, 12, 7])
    scoring = Scoring(0.6, 0.2)
    constraints = Constraints.of([Demand(2, forbidden=[[5]]), Demand(), Demand(prefix=[4]), Demand(1)], VOCAB)

    def found(rows: list[int], width: int) -> list[list[Hypothesis]]:
        return diverse_beam_search(
            stepper,
            src[rows, :width],
            lengths[rows],
            size=6,
            groups=3,
            penalty=1.0,
            max_length=limits[rows],
            bos_id=BOS,
            eos_id=EOS,
            scoring=scoring,
            min_length=1,
            with_attention=True,
            constraints=constraints.select(torch.tensor(rows)),
        )

    together = found([0, 1, 2, 3], 9)
    for row, size in enumerate(sizes):
        alone = found([row], size)[0]
        assert [h.tokens for h in together[row]] == [h.tokens for h in alone]
        assert [h.score for h in together[row]] == pytest.approx([h.score for h in alone], abs=1e-4)
        assert [h.score for h in alone] == sorted((h.score for h in alone), reverse=True)
        forced = score_targets(
            stepper,
            src[[row] * len(alone), :size],
            lengths[[row] * len(alone)],
            [h.tokens for h in alone],
            bos_id=BOS,
            eos_id=EOS,
            scoring=scoring,
        )
        for h, again in zip(together[row], forced, strict=True):
            assert (h.score, h.log_prob) == pytest.approx((again.score, again.log_prob), abs=1e-4)
            assert h.attention is not None
            torch.testing.assert_close(h.attention, again.attention, rtol=0, atol=1e-4)
            assert h.tokens
    assert all(5 not in h.tokens for h in together[0])
    assert all(h.tokens[0] == 4 for h in together[2])
    assert all(len(set(h.tokens)) == len(h.tokens) for h in together[3])
