"""Searches against exhaustive search and against each other, on tables of numbers and on tiny networks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from nmt.config import AttentionKind, AttentionSpan
from nmt.search.beam import Beam, Hypothesis, advance, beam_search, constrain, first_beam
from nmt.search.exhaustive import exhaustive_search
from nmt.search.greedy import greedy_search
from nmt.search.scoring import Scoring
from nmt.search.stepper import Candidates, PlainStepper, Stepper
from tests.model.networks import ATTENTIONS, VOCAB, sentences, tiny
from tests.search.tables import BOS, EOS, Ended, FewCandidates, Table, random_table, slow_beam, source

SEEDS = range(6)
SCORINGS = [Scoring(), Scoring(length_penalty=0.6), Scoring(length_penalty=1.0)]


def beam(
    stepper: Stepper, src: Tensor, lengths: Tensor, size: int, max_length: int | Tensor, scoring: Scoring = Scoring()
) -> list[list[Hypothesis]]:
    limits = max_length if isinstance(max_length, Tensor) else torch.full((len(src),), max_length)
    return beam_search(stepper, src, lengths, size=size, max_length=limits, bos_id=BOS, eos_id=EOS, scoring=scoring)


def exhaustive(table: Table, max_length: int, scoring: Scoring = Scoring(), which: int = 0) -> list[Hypothesis]:
    return exhaustive_search(table, *source(which), max_length=max_length, bos_id=BOS, eos_id=EOS, scoring=scoring)


def same(found: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [h.tokens for h in found] == [h.tokens for h in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)


def test_exhaustive_search_finds_every_sentence_and_its_probability() -> None:
    """Two words and the end, at most 3 tokens: 1 + 2 + 4 sentences, each with the product of its entries."""
    table = random_table(0, vocab=4)
    found = {h.tokens: h.log_prob for h in exhaustive(table, max_length=3)}
    words = (2, 3)
    assert found.keys() == {(), *((a,) for a in words), *((a, b) for a in words for b in words)}
    p = table.log_probs[0].exp()
    assert math.exp(found[()]) == pytest.approx(float(p[BOS, BOS, EOS]), rel=1e-5)
    expected = p[BOS, BOS, 2] * p[BOS, 2, 3] * p[2, 3, EOS]
    assert math.exp(found[(2, 3)]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_wide_beam_is_exhaustive(seed: int, scoring: Scoring) -> None:
    """A beam that can hold every sentence finds all of them, in order."""
    table = random_table(seed, vocab=5)
    same(beam(table, *source(0), 3**3 + 3**2 + 3 + 1, 4, scoring)[0], exhaustive(table, 4, scoring))


@pytest.mark.parametrize(("order", "vocab", "sharpness", "seeds"), [(1, 5, 2.0, [60]), (3, 4, 3.0, range(20))])
def test_a_beam_as_wide_as_the_vocabulary_is_not_exact(
    order: int, vocab: int, sharpness: float, seeds: Sequence[int]
) -> None:
    """Not even for Markov scores: it keeps the V best whatever they end in. Only exhaustive search is sure."""
    misses = 0
    for seed in seeds:
        table = random_table(seed, vocab, order, sharpness=sharpness)
        misses += beam(table, *source(0), vocab, 5)[0][0].log_prob < exhaustive(table, 5)[0].log_prob - 1e-4
    assert misses > 0


@pytest.mark.parametrize("max_length", [1, 2, 7])
@pytest.mark.parametrize("seed", SEEDS)
def test_greedy_is_beam_of_one(seed: int, max_length: int) -> None:
    table = random_table(seed, vocab=7, tables=5)
    src, lengths = source(0, 1, 2, 3, 4)
    limits = torch.full((5,), max_length)
    greedy = greedy_search(table, src, lengths, max_length=limits, bos_id=BOS, eos_id=EOS)
    assert [tuple(tokens) for tokens in greedy] == [found[0].tokens for found in beam(table, src, lengths, 1, limits)]


def test_greedy_takes_the_likeliest_token_each_time() -> None:
    table = random_table(3, vocab=6)
    found = greedy_search(table, *source(0), max_length=torch.tensor([9]), bos_id=BOS, eos_id=EOS)[0]
    older, last = BOS, BOS
    expected: list[int] = []
    while len(expected) < 8 and (token := int(table.log_probs[0, older, last].argmax())) != EOS:
        expected.append(token)
        older, last = last, token
    assert found == expected


@given(
    seed=st.integers(0, 10_000),
    vocab=st.integers(3, 9),
    size=st.integers(1, 7),
    max_length=st.integers(1, 8),
    alpha=st.sampled_from([0.0, 0.6, 1.0]),
)
@settings(max_examples=60)
def test_n_best_lists_are_sound(seed: int, vocab: int, size: int, max_length: int, alpha: float) -> None:
    """At least one, at most K, best first, no two alike, bounded, each with the score that the table gives it."""
    table = random_table(seed, vocab)
    scoring = Scoring(length_penalty=alpha)
    found = beam(table, *source(0), size, max_length, scoring)[0]
    assert 1 <= len(found) <= size
    scores = [h.score for h in found]
    assert scores == sorted(scores, reverse=True)
    assert len({h.tokens for h in found}) == len(found)
    for h in found:
        length = len(h.tokens) + 1
        assert length <= max_length
        assert h.is_truncated == (length == max_length)
        assert EOS not in h.tokens
        assert BOS not in h.tokens
        assert h.log_prob == pytest.approx(probability(table, h.tokens), abs=1e-4)
        assert h.score == pytest.approx(h.log_prob / ((5 + length) / 6) ** alpha, abs=1e-4)


def probability(table: Table, tokens: tuple[int, ...], which: int = 0) -> float:
    history = [BOS] * table.order
    total = 0.0
    for token in (*tokens, EOS):
        total += float(table.log_probs[(which, *history, token)])
        history = [*history[1:], token]
    return total


@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 6),
    limits=st.lists(st.integers(1, 9), min_size=2, max_size=6),
    alpha=st.sampled_from([0.0, 0.8]),
)
@settings(max_examples=60)
def test_sentences_in_a_batch_are_found_as_alone(seed: int, size: int, limits: list[int], alpha: float) -> None:
    """Sentences end at different steps and leave the batch; that moves none of the others."""
    table = random_table(seed, vocab=6, tables=len(limits))
    scoring = Scoring(length_penalty=alpha)
    together = beam(table, *source(*range(len(limits))), size, torch.tensor(limits), scoring)
    for which, limit in enumerate(limits):
        same(together[which], beam(table, *source(which), size, limit, scoring)[0])


def test_wider_beams_hold_what_is_likelier_at_the_end() -> None:
    """A garden path: the likeliest first word leads nowhere, and a beam of 2 sees it."""
    p = torch.full((1, 4, 4), 1e-9)
    p[0, BOS, 2], p[0, BOS, 3] = 0.6, 0.4
    p[0, 2] = torch.tensor([1e-9, 0.4, 0.3, 0.3])
    p[0, 3, EOS] = 1.0
    table = Table(p.log(), order=1)
    assert beam(table, *source(0), 1, 6)[0][0].tokens == (2,)
    assert beam(table, *source(0), 2, 6)[0][0].tokens == (3,)


def test_the_end_is_forced_at_the_maximal_length_and_flagged() -> None:
    p = torch.full((1, 4, 4), 1e-6)
    p[0, :, 2], p[0, :, EOS] = 0.9, 1e-9
    found = beam(Table(p.log(), order=1), *source(0), 2, 5)[0]
    assert found[0].tokens == (2, 2, 2, 2)
    assert found[0].is_truncated
    assert greedy_search(Table(p.log(), order=1), *source(0), max_length=torch.tensor([5]), bos_id=BOS, eos_id=EOS) == [
        [2, 2, 2, 2]
    ]


SEARCHES = {
    "seed": st.integers(0, 10_000),
    "vocab": st.integers(3, 9),
    "size": st.integers(1, 6),
    "n_best": st.integers(1, 6),
    "max_length": st.integers(1, 12),
    "alpha": st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    "end": st.sampled_from([-2.0, 0.0, 2.0]),
}


def table_that_ends(seed: int, vocab: int, end: float) -> Table:
    """A random table; `end` makes its sentences longer or shorter."""
    table = random_table(seed, vocab)
    log_probs = table.log_probs.clone()
    log_probs[..., EOS] += end
    return Table(log_probs.log_softmax(dim=-1), table.order)


def alike(found: Sequence[Hypothesis | Ended], expected: Sequence[Ended]) -> None:
    """Equal, but where two scores lie so close that rounding may order them either way."""
    assert [h.score for h in found] == pytest.approx([h.score for h in expected], abs=1e-4)
    if min((a.score - b.score for a, b in pairwise(expected)), default=1.0) > 1e-4:
        assert [h.tokens for h in found] == [h.tokens for h in expected]
        assert [h.log_prob for h in found] == pytest.approx([h.log_prob for h in expected], abs=1e-4)


@given(**SEARCHES, min_length=st.integers(0, 3))
@settings(max_examples=60)
def test_beam_search_follows_its_rules(
    seed: int, vocab: int, size: int, n_best: int, max_length: int, alpha: float, end: float, min_length: int
) -> None:
    """Against the same rules on lists of tuples, one sentence and one hypothesis at a time."""
    table = table_that_ends(seed, vocab, end)
    n_best, min_length = min(n_best, size), min(min_length, max_length - 1)
    expected = slow_beam(table, size=size, n_best=n_best, max_length=max_length, min_length=min_length, alpha=alpha)
    found = beam_search(
        table,
        *source(0),
        size=size,
        max_length=torch.tensor([max_length]),
        bos_id=BOS,
        eos_id=EOS,
        scoring=Scoring(alpha),
        n_best=n_best,
        min_length=min_length,
    )
    alike(found[0], expected)


class Run(NamedTuple):
    """A search driven step by step to the very end."""

    best: list[Ended]
    stepped: int
    """Live hypotheses that were extended."""


def run_to_the_end(table: Table, size: int, n_best: int, max_length: int, alpha: float) -> Run:
    """`advance` until nothing lives, though K hypotheses may be finished long before."""
    state = table.start(table.encode(*source(0))).select(torch.zeros(size, dtype=torch.long))
    beam, limit = first_beam(1, size, BOS), torch.tensor([max_length])
    before: list[tuple[int, ...]] = [()] * size
    prefixes: list[list[tuple[int, ...]]] = []
    stepped = 0
    while bool((beam.log_probs > -torch.inf).any()):
        stepped += int((beam.log_probs > -torch.inf).sum())
        prefixes.append(before)
        candidates, state, _ = table.step(beam.tokens.view(-1), state, table.encode(*source(0)))
        must_end = torch.full((size,), int(beam.steps) + 1 >= max_length)
        candidates = constrain(candidates, EOS, must_go_on=torch.zeros(size, dtype=torch.bool), must_end=must_end)
        beam, parents = advance(beam, candidates, eos_id=EOS, scoring=Scoring(alpha), n_best=n_best, max_length=limit)
        state = state.select(parents[0])
        before = [(*before[p], t) for p, t in zip(parents[0].tolist(), beam.tokens[0].tolist(), strict=True)]
    rows = zip(*(part[0].tolist() for part in beam[3:]), strict=True)
    ended = [Ended(prefixes[step][parent], score, total) for score, total, step, parent in rows if score > -math.inf]
    return Run(ended[:n_best], stepped)


@given(**SEARCHES)
@settings(max_examples=60)
def test_dropping_what_cannot_win_changes_no_n_best_list(
    seed: int, vocab: int, size: int, n_best: int, max_length: int, alpha: float, end: float
) -> None:
    """Against a search that keeps every hypothesis to the end."""
    table = table_that_ends(seed, vocab, end)
    n_best = min(n_best, size)
    kept = slow_beam(
        table,
        size=size,
        n_best=n_best,
        max_length=max_length,
        alpha=alpha,
        drops=False,
        stops_when_full=False,
    )
    alike(run_to_the_end(table, size, n_best, max_length, alpha).best, kept)


def test_a_hypothesis_that_wins_only_at_its_longest_is_kept() -> None:
    """log 0.3 over the divisor of 6 tokens beats log 0.5 over that of 1; over that of 5 it would not."""
    p = torch.full((1, 7, 7), 1e-9)
    p[0, BOS, EOS], p[0, BOS, 2] = 0.5, 0.3
    for word in (2, 3, 4, 5):
        p[0, word, word + 1] = 1.0
    p[0, 6, EOS] = 1.0
    found = run_to_the_end(Table(p.log(), order=1), 2, 1, 6, alpha=1.0)
    assert found.best[0].tokens == (2, 3, 4, 5, 6)


def test_dropping_saves_steps_and_more_the_fewer_hypotheses_are_wanted() -> None:
    stepped = [
        sum(run_to_the_end(table_that_ends(seed, 8, 1.0), 6, n_best, 12, 0.6).stepped for seed in range(20))
        for n_best in (1, 3, 6)
    ]
    assert stepped == sorted(stepped)
    assert stepped[0] < 0.7 * stepped[-1]


@given(seed=st.integers(0, 10_000), delays=st.lists(st.integers(0, 4), min_size=2, max_size=5), alpha=st.just(0.7))
@settings(max_examples=30)
def test_sentences_at_different_steps_share_a_batch(seed: int, delays: list[int], alpha: float) -> None:
    """`advance` of beams that began at different times is `advance` of each, with its own limits and number wanted."""
    generator = torch.Generator().manual_seed(seed)
    limits, wanted = torch.tensor([3 + delay for delay in delays]), torch.tensor([1 + delay % 3 for delay in delays])
    beams = [first_beam(1, 3, BOS) for _ in delays]
    for step in range(6):
        scores = torch.randn(len(delays) * 3, 5, generator=generator).log_softmax(dim=1)
        going = [row for row, delay in enumerate(delays) if delay <= step]
        alone: list[tuple[Beam, Tensor]] = []
        for row in going:
            part = Candidates(scores[3 * row : 3 * row + 3])
            chosen, limit = int(wanted[row]), limits[row : row + 1]
            alone.append(advance(beams[row], part, eos_id=EOS, scoring=Scoring(alpha), n_best=chosen, max_length=limit))
        if not going:
            continue
        rows = torch.tensor(going)
        together, parents = advance(
            Beam(*(torch.cat(parts) for parts in zip(*(beams[row] for row in going), strict=True))),
            Candidates(scores.view(len(delays), 3, 5)[rows].view(-1, 5)),
            eos_id=EOS,
            scoring=Scoring(alpha),
            n_best=wanted[rows],
            max_length=limits[rows],
        )
        for place, (row, (beam, parent)) in enumerate(zip(going, alone, strict=True)):
            beams[row] = together.select(torch.tensor([place]))
            assert torch.equal(parents[place : place + 1], parent)
            for mine, theirs in zip(beams[row], beam, strict=True):
                assert torch.equal(mine, theirs)


def test_the_empty_translation_can_be_barred() -> None:
    p = torch.full((1, 4, 4), 0.01)
    p[0, :, EOS] = 0.97
    table = Table(p.log(), order=1)
    src, lengths = source(0)
    assert beam(table, src, lengths, 2, 4)[0][0].tokens == ()
    found = beam_search(
        table,
        src,
        lengths,
        size=2,
        max_length=torch.tensor([4]),
        bos_id=BOS,
        eos_id=EOS,
        min_length=1,
    )
    assert all(h.tokens for h in found[0])


def test_length_penalty_prefers_longer_sentences_as_it_grows() -> None:
    table = random_table(8, vocab=5)
    lengths = [
        len(exhaustive(table, 5, Scoring(length_penalty=alpha))[0].tokens) for alpha in (0.0, 0.5, 1.0, 2.0, 4.0)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_coverage_term_is_wus_formula() -> None:
    """beta sum_s log min(sum_t a_t(s), 1), added to the normalised log-probability (Wu et al. 2016, eq. 14)."""
    attention = torch.tensor([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6], [0.0, 1.0, 0.0]])
    table = random_table(2, vocab=4)
    table.attention = attention
    src, lengths = source(0, length=3)
    scoring = Scoring(length_penalty=0.6, coverage_penalty=0.2)
    found = beam(table, src, lengths, 40, 4, scoring)[0]
    assert len(found) == 1 + 2 + 4 + 8
    for h in found:
        length = len(h.tokens) + 1
        attended = [sum(float(attention[t, s]) for t in range(length)) for s in range(3)]
        coverage = 0.2 * sum(math.log(min(max(total, 1e-6), 1.0)) for total in attended)
        assert h.score == pytest.approx(h.log_prob / ((5 + length) / 6) ** 0.6 + coverage, abs=1e-4)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def test_coverage_ignores_padding() -> None:
    attended = torch.tensor([[0.5, 2.0, 0.0]])
    mask = torch.tensor([[True, True, False]])
    assert float(Scoring(coverage_penalty=2.0).coverage(attended, mask)) == pytest.approx(2 * math.log(0.5))


@pytest.mark.parametrize("seed", SEEDS)
def test_candidates_with_ids_give_the_same_search(seed: int) -> None:
    """The end and the 2K best of a row are all that a beam of K ever looks at."""
    table = random_table(seed, vocab=12, tables=3)
    src, lengths = source(0, 1, 2)
    whole = beam(table, src, lengths, 3, 30)
    few = beam(FewCandidates(table, few=7), src, lengths, 3, 30)
    for found, expected in zip(few, whole, strict=True):
        same(found, expected)


def test_a_network_never_generates_what_is_not_allowed() -> None:
    model = tiny(dtype=torch.float32)
    allowed = torch.ones(VOCAB, dtype=torch.bool)
    allowed[[0, 3, 5, 7]] = False
    stepper = PlainStepper(model, allowed)
    src, lengths = sentences(3, [5, 2, 7])
    limits = torch.tensor([9, 9, 9])
    for found in beam(stepper, src, lengths, 6, limits):
        assert {0, 3, 5, 7}.isdisjoint(token for h in found for token in h.tokens)
    for tokens in greedy_search(stepper, src, lengths, max_length=limits, bos_id=BOS, eos_id=EOS):
        assert {0, 3, 5, 7}.isdisjoint(tokens)
    memory = stepper.encode(src, lengths)
    mask = torch.ones(3, VOCAB, dtype=torch.bool)
    mask[1, 4] = False
    candidates, _, _ = stepper.step(torch.tensor([2, 2, 2]), stepper.start(memory), memory, mask)
    barred = candidates.scores == -torch.inf
    assert barred[1].nonzero().flatten().tolist() == [0, 3, 4, 5, 7]
    assert barred[0].nonzero().flatten().tolist() == [0, 3, 5, 7]


class Words:
    """Word lists by the first source token."""

    tgt_vocab = VOCAB

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.lists = [np.union1d(rng.choice(VOCAB, 4, replace=False), [EOS]).astype(np.int32) for _ in range(VOCAB)]

    def words(self, source_ids: Iterable[int]) -> NDArray[np.int32]:
        return self.lists[next(iter(source_ids))]


@torch.no_grad()
def test_a_shortlist_is_a_vocabulary_of_the_sentences_own() -> None:
    """Each sentence's scores are those of a softmax over its own words; the others have no part in it."""
    model = tiny(seed=7, dtype=torch.float32)
    lists = Words(3)
    stepper = PlainStepper(model, shortlist=lists)
    src, lengths = sentences(9, [5, 2, 7])
    memory = stepper.encode(src, lengths)
    start = stepper.start(memory).select(torch.tensor([0, 0, 1, 1, 2, 2]))
    prev = torch.full((6,), BOS)
    candidates, _, _ = stepper.step(prev, start, memory)
    logits, _, _ = model.step(prev, start, memory.memory)
    for row in range(6):
        own = lists.words([int(src[row // 2, 0])]).tolist()
        chosen = (candidates.scores[row] > -torch.inf).nonzero().flatten().tolist()
        assert chosen == own
        torch.testing.assert_close(candidates.scores[row, own], logits[row, own].log_softmax(dim=0))
    swapped = memory.select(torch.tensor([2, 0]))
    assert swapped.words is not None
    assert memory.words is not None
    assert torch.equal(swapped.words, memory.words[[2, 0]])


def test_a_networks_search_with_a_shortlist_is_found_in_a_batch_as_alone() -> None:
    model = tiny(seed=4, dtype=torch.float32)
    stepper = PlainStepper(model, shortlist=Words(1))
    sizes = [6, 1, 9, 3]
    src, lengths = sentences(8, sizes)
    together = beam(stepper, src, lengths, 4, lengths + 2)
    for row, size in enumerate(sizes):
        alone = beam(stepper, src[row : row + 1, :size], lengths[row : row + 1], 4, lengths[row : row + 1] + 2)
        same(together[row], alone[0])


@pytest.mark.parametrize(("kind", "span"), ATTENTIONS)
def test_a_networks_sentences_are_found_in_a_batch_as_alone(kind: AttentionKind, span: AttentionSpan) -> None:
    """Invariant 1 at its root: the n-best lists of a sentence do not depend on its batch mates."""
    model = tiny(seed=4, dtype=torch.float32, attention=kind, attention_span=span)
    stepper = PlainStepper(model)
    sizes = [6, 1, 9, 3]
    src, lengths = sentences(8, sizes)
    limits = lengths * 2 + 2
    scoring = Scoring(length_penalty=0.6, coverage_penalty=0.1)
    together = beam(stepper, src, lengths, 4, limits, scoring)
    for row, size in enumerate(sizes):
        alone = beam(stepper, src[row : row + 1, :size], lengths[row : row + 1], 4, limits[row : row + 1], scoring)
        same(together[row], alone[0])


@torch.no_grad()
def test_scores_and_attention_are_those_of_a_second_reading() -> None:
    """Forcing each found sentence through the network gives its log-probability and its attention again."""
    model = tiny(seed=6, dtype=torch.float32)
    src, lengths = sentences(8, [6, 2, 4])
    found = beam_search(
        PlainStepper(model),
        src,
        lengths,
        size=3,
        max_length=torch.tensor([8, 5, 7]),
        bos_id=BOS,
        eos_id=EOS,
        with_attention=True,
    )
    for row, hypotheses in enumerate(found):
        length = int(lengths[row])
        for h in hypotheses:
            tgt_in = torch.tensor([[BOS, *h.tokens]])
            vectors, attention = model(src[row : row + 1, :length], lengths[row : row + 1], tgt_in)
            log_probs = model.output(vectors).log_softmax(dim=-1)[0]
            total = sum(float(log_probs[t, token]) for t, token in enumerate((*h.tokens, EOS)))
            assert h.log_prob == pytest.approx(total, abs=1e-4)
            assert h.attention is not None
            torch.testing.assert_close(h.attention, attention[0], rtol=0, atol=1e-4)


def test_a_networks_best_is_the_exhaustive_best() -> None:
    """The whole chain, network and search, on a vocabulary small enough to try everything."""
    model = tiny(seed=2, dtype=torch.float32)
    allowed = torch.zeros(VOCAB, dtype=torch.bool)
    allowed[[EOS, 4, 5, 6]] = True
    stepper = PlainStepper(model, allowed)
    src, lengths = sentences(1, [4])
    scoring = Scoring(length_penalty=0.6)
    expected = exhaustive_search(stepper, src, lengths, max_length=4, bos_id=BOS, eos_id=EOS, scoring=scoring)
    same(beam(stepper, src, lengths, 40, 4, scoring)[0], expected)
