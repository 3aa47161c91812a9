"""Ensembles against the combination written out, over every sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nmt.search.beam import beam_search
from nmt.search.constraints import Constraints, Demand
from nmt.search.diverse import diverse_beam_search
from nmt.search.ensemble import Ensemble
from nmt.search.exact import exact_search
from nmt.search.exhaustive import exhaustive_search
from nmt.search.forced import score_targets
from nmt.search.greedy import greedy_search
from nmt.search.sampling import sample
from nmt.search.stepper import PlainStepper
from nmt.shortlist import Shortlist
from tests.model.networks import VOCAB, sentences, tiny
from tests.search.tables import BOS, EOS, Table, after, random_table, source

LIMIT = torch.tensor([4])


def by_hand(tables: Sequence[Table], weights: Sequence[float], tokens: tuple[int, ...]) -> float:
    """log of prod_t prod_m p_m(y_t)^(w_m) / Z_t, in plain numbers."""
    total = 0.0
    for t in range(len(tokens) + 1):
        rows = [[math.exp(log_prob) for log_prob in after(table)(tokens[:t])] for table in tables]
        scores = [math.prod(p**w for p, w in zip(column, weights, strict=True)) for column in zip(*rows, strict=True)]
        total += math.log(scores[(*tokens, EOS)[t]] / sum(scores))
    return total


@pytest.mark.parametrize("weights", [(1.0,), (0.5, 0.5), (0.2, 0.7, 0.1)])
def test_every_sentence_has_the_normalised_product_of_its_models(weights: tuple[float, ...]) -> None:
    tables = [random_table(seed, vocab=5, order=1 + seed % 2) for seed in range(len(weights))]
    found = exhaustive_search(Ensemble(tables, weights), *source(0), max_length=4, bos_id=BOS, eos_id=EOS)
    assert sorted(h.tokens for h in found) == sorted(w for n in range(4) for w in product((2, 3, 4), repeat=n))
    for h in found:
        assert h.log_prob == pytest.approx(by_hand(tables, weights, h.tokens), abs=1e-5)


def test_searches_take_it_for_any_other_stepper() -> None:
    """And what they find is neither the first model's choice nor the second's."""
    of_neither = 0
    for seed in range(12):
        tables = [random_table(seed, vocab=5), random_table(seed + 50, vocab=5, order=1)]
        ensemble = Ensemble(tables, (0.6, 0.4))
        everything = exhaustive_search(ensemble, *source(0), max_length=4, bos_id=BOS, eos_id=EOS)
        ids: dict[str, Any] = {"bos_id": BOS, "eos_id": EOS}
        (wide,) = beam_search(ensemble, *source(0), size=40, max_length=LIMIT, **ids)
        assert [h.tokens for h in wide] == [h.tokens for h in everything]
        best = exact_search(ensemble, *source(0), max_length=4, **ids).best
        assert best is not None
        assert best.tokens == wide[0].tokens
        (groups,) = diverse_beam_search(ensemble, *source(0), size=40, groups=1, penalty=0.5, max_length=LIMIT, **ids)
        assert [h.tokens for h in groups] == [h.tokens for h in everything]
        (one,) = beam_search(ensemble, *source(0), size=1, max_length=LIMIT, **ids)
        assert greedy_search(ensemble, *source(0), max_length=LIMIT, **ids) == [list(one[0].tokens)]
        alone = [exhaustive_search(table, *source(0), max_length=4, **ids)[0].tokens for table in tables]
        of_neither += wide[0].tokens not in alone
    assert of_neither > 0


def test_samples_are_drawn_from_the_combination() -> None:
    """How often each first word comes, of 4,000: a binomial's standard deviation is below 0.8 %."""
    tables = [random_table(3, vocab=5), random_table(4, vocab=5)]
    ensemble = Ensemble(tables, (0.5, 0.5))
    (drawn,) = sample(ensemble, *source(0), samples=4000, seeds=[1], max_length=LIMIT, bos_id=BOS, eos_id=EOS)
    p = np.sqrt([math.exp(a + b) for a, b in zip(after(tables[0])(()), after(tables[1])(()), strict=True)])
    firsts = np.bincount([(*h.tokens, EOS)[0] for h in drawn], minlength=5) / len(drawn)
    np.testing.assert_allclose(firsts, p / p.sum(), atol=0.032)


def test_a_model_twice_is_the_model() -> None:
    model = PlainStepper(tiny(seed=4, dtype=torch.float32))
    src, lengths = sentences(8, [6, 1, 9, 3])
    alone, twice = (
        beam_search(stepper, src, lengths, size=4, max_length=lengths + 3, bos_id=BOS, eos_id=EOS, with_attention=True)
        for stepper in (model, Ensemble([model, model], (0.3, 0.7)))
    )
    for ours, theirs in zip(twice, alone, strict=True):
        assert [h.tokens for h in ours] == [h.tokens for h in theirs]
        assert [h.log_prob for h in ours] == pytest.approx([h.log_prob for h in theirs], abs=1e-4)
        for one, other in zip(ours, theirs, strict=True):
            assert one.attention is not None
            torch.testing.assert_close(one.attention, other.attention)


def networks() -> list[PlainStepper]:
    """Of different cells, sizes and attention."""
    return [
        PlainStepper(tiny(seed=1, dtype=torch.float32)),
        PlainStepper(tiny(seed=2, dtype=torch.float32, cell="gru", hidden_size=8, attention="dot")),
    ]


def test_a_sentence_is_found_in_a_batch_as_alone() -> None:
    """The members' states follow their hypotheses and leave with them."""
    stepper = Ensemble(networks(), (0.6, 0.4))
    sizes = [6, 1, 9, 3]
    src, lengths = sentences(8, sizes)
    together = beam_search(stepper, src, lengths, size=4, max_length=lengths + 3, bos_id=BOS, eos_id=EOS)
    for row, size in enumerate(sizes):
        own = src[row : row + 1, :size], lengths[row : row + 1]
        (alone,) = beam_search(stepper, *own, size=4, max_length=own[1] + 3, bos_id=BOS, eos_id=EOS)
        assert [h.tokens for h in together[row]] == [h.tokens for h in alone]
        again = score_targets(stepper, *own, [alone[0].tokens], bos_id=BOS, eos_id=EOS)[0]
        assert again.log_prob == pytest.approx(together[row][0].log_prob, abs=1e-4)


def backwards(src: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Another reading of a sentence: one token more, and the rest the other way round."""
    longer = torch.cat((torch.full((len(src), 1), 5), src), dim=1)
    for row, length in enumerate(lengths.tolist()):
        longer[row, 1 : length + 1] = src[row, :length].flip(0)
    return longer, lengths + 1


def test_each_member_reads_the_source_in_its_own_way() -> None:
    """And attention is that of the members that read what the first reads."""
    first, second = networks()
    third = PlainStepper(tiny(seed=7, dtype=torch.float32))
    src, lengths = sentences(3, [5, 2])
    ensemble = Ensemble([first, second, third], (0.2, 0.5, 0.3), readers=[None, backwards, None])
    prev = torch.tensor([BOS, BOS])
    with torch.no_grad():
        memory = ensemble.encode(src, lengths)
        candidates, _, weights = ensemble.step(prev, ensemble.start(memory), memory)
        alone = []
        sources = [(src, lengths), backwards(src, lengths), (src, lengths)]
        for member, its in zip((first, second, third), sources, strict=True):
            own = member.encode(*its)
            alone.append(member.step(prev, member.start(own), own))
    mean = sum(w * step[0].scores for w, step in zip((0.2, 0.5, 0.3), alone, strict=True))
    torch.testing.assert_close(candidates.scores, torch.as_tensor(mean).log_softmax(dim=1))
    torch.testing.assert_close(weights, 0.4 * alone[0][2] + 0.6 * alone[2][2])


def test_constraints_mask_what_is_normalised_already() -> None:
    tables = [random_table(1, vocab=5), random_table(2, vocab=5)]
    everything = exhaustive_search(Ensemble(tables, (0.5, 0.5)), *source(0), max_length=4, bos_id=BOS, eos_id=EOS)
    permitted = torch.tensor([True, True, True, False, True])
    kept = [(h.tokens, h.log_prob) for h in everything if 3 not in h.tokens]
    barred = exhaustive_search(
        Ensemble(tables, (0.5, 0.5), allowed=permitted), *source(0), max_length=4, bos_id=BOS, eos_id=EOS
    )
    assert [(h.tokens, h.log_prob) for h in barred] == kept
    (found,) = beam_search(
        Ensemble(tables, (0.5, 0.5)),
        *source(0),
        size=40,
        max_length=LIMIT,
        bos_id=BOS,
        eos_id=EOS,
        constraints=Constraints.of([Demand(forbidden=[[3]])], 5),
    )
    assert [h.tokens for h in found] == [tokens for tokens, _ in kept]


def test_words_are_those_of_anybodys_shortlist() -> None:
    first, second = networks()
    lists = [Shortlist.of_lists([[word]] * VOCAB, [EOS], VOCAB) for word in (5, 8)]
    src, lengths = sentences(3, [4])

    def open_words(*members: PlainStepper) -> list[int]:
        ensemble = Ensemble(members, (0.5, 0.5))
        with torch.no_grad():
            memory = ensemble.encode(src, lengths)
            scores = ensemble.step(torch.tensor([BOS]), ensemble.start(memory), memory)[0].scores
        assert float(scores.exp().sum()) == pytest.approx(1)
        return [int(word) for word in (scores[0] > -torch.inf).nonzero().flatten()]

    first.shortlist, second.shortlist = lists
    assert set(open_words(first, second)) >= {EOS, 5, 8}
    assert len(open_words(first, second)) < VOCAB
    second.shortlist = None
    assert len(open_words(first, second)) == VOCAB


def test_models_without_a_common_word_end_nowhere() -> None:
    """No number is made of nothing: a token that one member rules out stays impossible."""
    one, other = random_table(1, vocab=4), random_table(2, vocab=4)
    one.log_probs[..., 2] = -torch.inf
    other.log_probs[..., [EOS, 3]] = -torch.inf
    found = exhaustive_search(Ensemble([one, other], (0.5, 0.5)), *source(0), max_length=3, bos_id=BOS, eos_id=EOS)
    assert found == []


def test_models_of_different_vocabularies_are_refused() -> None:
    ensemble = Ensemble([random_table(1, vocab=5), random_table(1, vocab=6)], (0.5, 0.5))
    with pytest.raises(AssertionError, match="vocabularies differ"):
        exhaustive_search(ensemble, *source(0), max_length=3, bos_id=BOS, eos_id=EOS)
