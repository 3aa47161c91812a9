"""Shallow fusion against the sum written out, over every sentence."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from nmt.search.beam import beam_search
from nmt.search.constraints import Constraints, Demand
from nmt.search.exhaustive import exhaustive_search
from nmt.search.forced import score_targets
from nmt.search.fusion import ShallowFusion
from nmt.search.stepper import PlainStepper
from tests.model.networks import VOCAB, sentences, tiny
from tests.search.tables import BOS, EOS, Histories, Table, random_table, source


class TableLanguageModel:
    """A table as a language model. Its logits are no log-probabilities until somebody normalises them."""

    def __init__(self, table: Table, shift: float = 3.0) -> None:
        self.table = table
        self.shift = shift

    def start(self, rows: int) -> Histories:
        return self.table.start(self.table.encode(*source(*[0] * rows)))

    def step(self, prev: Tensor, state: Histories) -> tuple[Tensor, Histories]:
        candidates, state, _ = self.table.step(prev, state, self.table.encode(*source(0)))
        return candidates.scores + self.shift, state


class NetworkState(NamedTuple):
    h: Tensor

    def select(self, rows: Tensor) -> NetworkState:
        return NetworkState(self.h.index_select(0, rows))


class NetworkLanguageModel:
    """A recurrent one."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.embedding, self.cell, self.output = nn.Embedding(VOCAB, 4), nn.GRUCell(4, 5), nn.Linear(5, VOCAB)
        for part in (self.embedding, self.cell, self.output):
            for weight in part.parameters():
                nn.init.uniform_(weight, -1.5, 1.5)

    def start(self, rows: int) -> NetworkState:
        return NetworkState(torch.zeros(rows, 5))

    def step(self, prev: Tensor, state: NetworkState) -> tuple[Tensor, NetworkState]:
        h = self.cell(self.embedding(prev), state.h)
        return self.output(h), NetworkState(h)


def log_prob(table: Table, tokens: tuple[int, ...]) -> float:
    history = [BOS] * table.order
    total = 0.0
    for token in (*tokens, EOS):
        total += float(table.log_probs[(0, *history, token)])
        history = [*history[1:], token]
    return total


@pytest.mark.parametrize("weight", [0.0, 0.3, 2.0])
def test_every_sentence_has_the_weighted_sum_of_both_models(weight: float) -> None:
    table, language = random_table(1, vocab=5), random_table(2, vocab=5, order=1)
    fused = ShallowFusion(table, TableLanguageModel(language), weight)
    found = exhaustive_search(fused, *source(0), max_length=4, bos_id=BOS, eos_id=EOS)
    assert len(found) == 1 + 3 + 9 + 27
    for h in found:
        assert h.log_prob == pytest.approx(log_prob(table, h.tokens) + weight * log_prob(language, h.tokens), abs=1e-4)


def test_searches_take_it_for_any_other_stepper() -> None:
    """And its choice is neither that of the one model nor that of the other."""
    changed = 0
    for seed in range(6):
        table, language = random_table(seed, vocab=5), random_table(seed + 50, vocab=5, order=1)
        fused = ShallowFusion(table, TableLanguageModel(language), 0.7)
        expected = exhaustive_search(fused, *source(0), max_length=4, bos_id=BOS, eos_id=EOS)
        found = beam_search(fused, *source(0), size=40, max_length=torch.tensor([4]), bos_id=BOS, eos_id=EOS)[0]
        assert [h.tokens for h in found] == [h.tokens for h in expected]
        alone = exhaustive_search(table, *source(0), max_length=4, bos_id=BOS, eos_id=EOS)
        changed += found[0].tokens != alone[0].tokens
    assert changed > 0


def test_what_the_translation_model_bars_stays_barred_and_is_not_shared_out() -> None:
    model = tiny(dtype=torch.float32)
    permitted = torch.ones(VOCAB, dtype=torch.bool)
    permitted[[0, 3, 7]] = False
    language = NetworkLanguageModel(5)
    src, lengths = sentences(3, [5, 2])

    def first_step(stepper: Any) -> Tensor:
        memory = stepper.encode(src, lengths)
        scores: Tensor = stepper.step(torch.tensor([BOS, BOS]), stepper.start(memory), memory)[0].scores
        return scores

    with torch.no_grad():
        alone, fused = (
            first_step(stepper)
            for stepper in (
                PlainStepper(model, permitted),
                ShallowFusion(PlainStepper(model, permitted), language, 0.5),
            )
        )
        fluency = language.step(torch.tensor([BOS]), language.start(1))[0].log_softmax(dim=-1)
    assert (fused == -torch.inf).nonzero()[:, 1].tolist() == [0, 3, 7] * 2
    open_ = permitted.nonzero().flatten()
    torch.testing.assert_close(fused[:, open_], alone[:, open_] + 0.5 * fluency[:, open_])


def test_a_sentence_is_found_in_a_batch_as_alone() -> None:
    """Both states follow their hypotheses and leave with them."""
    stepper = ShallowFusion(PlainStepper(tiny(seed=4, dtype=torch.float32)), NetworkLanguageModel(9), 0.6)
    sizes = [6, 1, 9, 3]
    src, lengths = sentences(8, sizes)
    together = beam_search(stepper, src, lengths, size=4, max_length=lengths + 3, bos_id=BOS, eos_id=EOS)
    for row, size in enumerate(sizes):
        alone = beam_search(
            stepper,
            src[row : row + 1, :size],
            lengths[row : row + 1],
            size=4,
            max_length=lengths[row : row + 1] + 3,
            bos_id=BOS,
            eos_id=EOS,
        )[0]
        assert [h.tokens for h in together[row]] == [h.tokens for h in alone]
        again = score_targets(
            stepper, src[row : row + 1, :size], lengths[row : row + 1], [alone[0].tokens], bos_id=BOS, eos_id=EOS
        )[0]
        assert again.log_prob == pytest.approx(together[row][0].log_prob, abs=1e-4)


def test_constraints_hold_with_a_language_model_too() -> None:
    table, language = random_table(1, vocab=5), random_table(2, vocab=5, order=1)
    fused = ShallowFusion(table, TableLanguageModel(language), 0.5)
    everything = exhaustive_search(fused, *source(0), max_length=4, bos_id=BOS, eos_id=EOS)
    found = beam_search(
        fused,
        *source(0),
        size=40,
        max_length=torch.tensor([4]),
        bos_id=BOS,
        eos_id=EOS,
        constraints=Constraints.of([Demand(forbidden=[[3]])], 5),
    )[0]
    assert [h.tokens for h in found] == [h.tokens for h in everything if 3 not in h.tokens]


def test_models_of_different_vocabularies_are_refused() -> None:
    fused = ShallowFusion(random_table(1, vocab=5), TableLanguageModel(random_table(1, vocab=6)), 0.5)
    with pytest.raises(AssertionError, match="different vocabularies"):
        exhaustive_search(fused, *source(0), max_length=3, bos_id=BOS, eos_id=EOS)
