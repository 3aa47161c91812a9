"""Constraints against rules on lists, and against exhaustive search with everything unwanted thrown away afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nmt.search.beam import Hypothesis, beam_search
from nmt.search.constraints import Constraints, Demand, open_tokens
from nmt.search.diverse import diverse_beam_search
from nmt.search.exhaustive import exhaustive_search
from nmt.search.sampling import sample
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper, Stepper, with_copies
from tests.model.networks import VOCAB, sentences, tiny
from tests.search.tables import BOS, EOS, FewCandidates, Table, random_table, source

V = 6
WORDS = st.integers(2, V - 1)
DEMANDS = st.builds(
    Demand,
    no_repeat_ngram=st.integers(0, 4),
    prefix=st.lists(WORDS, max_size=3),
    forbidden=st.lists(st.lists(WORDS, min_size=1, max_size=3), max_size=4),
)


def may_come(demand: Demand, tokens: Sequence[int]) -> set[int]:
    """The tokens that a hypothesis may go on with."""
    if len(tokens) < len(demand.prefix):
        return {demand.prefix[len(tokens)]}
    return {token for token in range(V) if not is_broken(demand, [*tokens, token])}


def is_broken(demand: Demand, tokens: Sequence[int]) -> bool:
    """Whether the last token completes what may not be."""
    if any(list(tokens[-len(phrase) :]) == list(phrase) for phrase in demand.forbidden):
        return True
    n = demand.no_repeat_ngram
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return n > 0 and len(grams) > 0 and grams[-1] in grams[:-1]


@given(asked=st.lists(DEMANDS, min_size=1, max_size=4), data=st.data())
@settings(max_examples=200)
def test_masks_follow_the_rules(asked: list[Demand], data: st.DataObject) -> None:
    """Of hypotheses at any step, in buffers that hold other things behind what is written."""
    K, T = 2, 9
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 10_000)))
    written = torch.randint(0, V, (len(asked), K, T), generator=generator)
    steps = torch.tensor([data.draw(st.integers(0, T)) for _ in asked])
    # two words that follow each other often: repeats are the rule
    for row in range(len(asked)):
        for k in range(K):
            tokens = data.draw(st.lists(st.integers(2, 3), min_size=T, max_size=T))
            written[row, k, : steps[row]] = torch.tensor(tokens[: int(steps[row])], dtype=torch.long)
    mask = open_tokens(Constraints.of(asked, V), written, steps).view(len(asked), K, V)
    for row, demand in enumerate(asked):
        for k in range(K):
            expected = may_come(demand, written[row, k, : steps[row]].tolist())
            assert set(mask[row, k].nonzero().flatten().tolist()) == expected


def satisfies(demand: Demand, tokens: Sequence[int]) -> bool:
    """Begins with the prefix, and nothing after it is broken."""
    prefix = list(demand.prefix)
    written = [tokens[:end] for end in range(len(prefix) + 1, len(tokens) + 1)]
    return list(tokens[: len(prefix)]) == prefix and not any(is_broken(demand, part) for part in written)


def search(
    stepper: Stepper, src: Tensor, lengths: Tensor, size: int, max_length: int, constraints: Constraints | None
) -> list[list[Hypothesis]]:
    return beam_search(
        stepper,
        src,
        lengths,
        size=size,
        max_length=torch.full((len(src),), max_length),
        bos_id=BOS,
        eos_id=EOS,
        scoring=Scoring(0.6),
        constraints=constraints,
    )


def same(found: Sequence[Hypothesis], expected: Sequence[Hypothesis]) -> None:
    assert [h.tokens for h in found] == [h.tokens for h in expected]
    assert [h.score for h in found] == pytest.approx([h.score for h in expected], abs=1e-4)


CASES = [
    Demand(no_repeat_ngram=1),
    Demand(no_repeat_ngram=2),
    Demand(no_repeat_ngram=3),
    Demand(prefix=[3, 3]),
    Demand(prefix=[2]),
    Demand(forbidden=[[2]]),
    Demand(forbidden=[[2, 3], [4, 4], [3, 2, 3]]),
    Demand(no_repeat_ngram=2, prefix=[4, 4, 4], forbidden=[[4], [2, 2]]),
]


@pytest.mark.parametrize("demand", CASES)
def test_a_wide_beam_finds_all_that_is_left_and_nothing_else(demand: Demand) -> None:
    """With the very scores that they have without constraints."""
    for seed in range(3):
        table = random_table(seed, vocab=5)
        everything = exhaustive_search(table, *source(0), max_length=5, bos_id=BOS, eos_id=EOS, scoring=Scoring(0.6))
        left = [h for h in everything if satisfies(demand, h.tokens)]
        assert 0 < len(left) < len(everything)
        found = search(table, *source(0), 3**4 + 3**3 + 3**2 + 4, 5, Constraints.of([demand], 5))
        same(found[0], left)


def test_each_sentence_of_a_batch_has_constraints_of_its_own() -> None:
    table = random_table(11, vocab=V, tables=len(CASES) + 1)
    demands = [*CASES, Demand()]
    rows = list(range(len(demands)))
    together = search(table, *source(*rows), 4, 8, Constraints.of(demands, V))
    for row, demand in zip(rows, demands, strict=True):
        alone = search(table, *source(row), 4, 8, Constraints.of([demand], V))[0]
        same(together[row], alone)
    same(together[-1], search(table, *source(rows[-1]), 4, 8, None)[0])


def test_constraints_act_before_candidates_are_cut() -> None:
    """A stepper that gives few candidates gives the best of those that are left."""
    demand = Demand(no_repeat_ngram=2, forbidden=[[w] for w in range(2, 9)])
    for seed in range(4):
        table = random_table(seed, vocab=12)
        constraints = Constraints.of([demand], 12)
        few = search(FewCandidates(table, few=7), *source(0), 3, 12, constraints)[0]
        same(few, search(table, *source(0), 3, 12, constraints)[0])
        assert few


class Copies:
    """A stepper whose last tokens are none of the vocabulary's: a mask over the vocabulary says nothing of them."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.encode, self.start = table.encode, table.start

    def step(self, prev: Tensor, state: Any, memory: Any, allowed: Tensor | None = None) -> tuple[Any, Any, Any]:
        wide = None if allowed is None else with_copies(allowed, self.table.log_probs.shape[-1])
        return self.table.step(prev, state, memory, wide)


@pytest.mark.parametrize("demand", CASES)
def test_words_beyond_the_vocabulary_are_free_but_for_a_prefix(demand: Demand) -> None:
    table = random_table(3, vocab=7)
    everything = exhaustive_search(table, *source(0), max_length=4, bos_id=BOS, eos_id=EOS, scoring=Scoring(0.6))

    def is_left(tokens: Sequence[int]) -> bool:
        own = [token if token < 5 else -k for k, token in enumerate(tokens)]  # copies are never alike
        return satisfies(demand, own)

    left = [h for h in everything if is_left(h.tokens)]
    assert any(token >= 5 for h in left for token in h.tokens) or len(demand.prefix) == 3
    constraints = Constraints.of([demand], 5)
    same(search(Copies(table), *source(0), 5**3 + 5**2 + 6, 4, constraints)[0], left)
    for h in sample(
        Copies(table),
        *source(0),
        samples=200,
        seeds=[1],
        max_length=torch.tensor([4]),
        bos_id=BOS,
        eos_id=EOS,
        constraints=constraints,
    )[0]:
        assert is_left(h.tokens)
    for h in diverse_beam_search(
        Copies(table),
        *source(0),
        size=12,
        groups=4,
        penalty=2.0,
        max_length=torch.tensor([4]),
        bos_id=BOS,
        eos_id=EOS,
        constraints=constraints,
    )[0]:
        assert is_left(h.tokens)


def test_a_networks_translations_keep_to_them() -> None:
    """Where without constraints they repeat themselves, and say what is forbidden."""
    model = tiny(seed=4, dtype=torch.float32)
    stepper = PlainStepper(model)
    src, lengths = sentences(8, [6, 1, 9, 3])
    demand = Demand(no_repeat_ngram=2, prefix=[9, 4], forbidden=[[5], [6, 7]])
    free = search(stepper, src, lengths, 4, 20, None)
    bound = search(stepper, src, lengths, 4, 20, Constraints.of([demand] * 4, VOCAB))
    assert not any(satisfies(demand, h.tokens) for found in free for h in found)
    assert all(satisfies(demand, h.tokens) for found in bound for h in found)
    assert all(found for found in bound)
