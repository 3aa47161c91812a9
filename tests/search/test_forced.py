"""Forced decoding against a table's entries, teacher forcing and what a search says of its own results."""

from __future__ import annotations

import pytest
import torch

from nmt.search.beam import beam_search
from nmt.search.exhaustive import exhaustive_search
from nmt.search.forced import score_targets
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper
from tests.model.networks import ATTENTIONS, sentences, tiny
from tests.search.tables import BOS, EOS, random_table, source

TARGETS = [[5, 4, 9], [], [7, 7, 7, 7, 10, 4], [8]]


def test_every_sentence_has_the_probability_that_exhaustive_search_gives_it() -> None:
    table = random_table(3, vocab=5)
    everything = exhaustive_search(table, *source(0), max_length=4, bos_id=BOS, eos_id=EOS)
    src, lengths = source(*[0] * len(everything))
    scored = score_targets(table, src, lengths, [h.tokens for h in everything], bos_id=BOS, eos_id=EOS)
    for found, expected in zip(scored, everything, strict=True):
        assert found.tokens == expected.tokens
        assert len(found.log_probs) == len(expected.tokens) + 1
        assert found.log_prob == pytest.approx(expected.log_prob, abs=1e-5)
    # the end is forced at the maximal length, so what is missing is what would have gone on
    assert 0.5 < sum(torch.tensor([h.log_prob for h in scored]).exp()) < 1


@torch.no_grad()
@pytest.mark.parametrize(("kind", "span"), ATTENTIONS)
def test_log_probabilities_and_attention_are_those_of_teacher_forcing(kind: str, span: str) -> None:
    model = tiny(seed=5, dtype=torch.float32, attention=kind, attention_span=span)
    src, lengths = sentences(3, [6, 2, 4, 7])
    scored = score_targets(PlainStepper(model), src, lengths, TARGETS, bos_id=BOS, eos_id=EOS)
    for row, (found, target) in enumerate(zip(scored, TARGETS, strict=True)):
        length = int(lengths[row])
        vectors, attention = model(src[row : row + 1, :length], lengths[row : row + 1], torch.tensor([[BOS, *target]]))
        log_probs = model.output(vectors).log_softmax(dim=-1)[0]
        expected = [float(log_probs[t, token]) for t, token in enumerate([*target, EOS])]
        assert found.log_probs == pytest.approx(expected, abs=1e-4)
        torch.testing.assert_close(found.attention, attention[0], rtol=0, atol=1e-4)


def test_a_target_is_scored_in_a_batch_as_alone() -> None:
    model = tiny(seed=8, dtype=torch.float32)
    src, lengths = sentences(4, [6, 2, 4, 7])
    together = score_targets(PlainStepper(model), src, lengths, TARGETS, bos_id=BOS, eos_id=EOS)
    for row, target in enumerate(TARGETS):
        length = int(lengths[row])
        alone = score_targets(
            PlainStepper(model), src[row : row + 1, :length], lengths[row : row + 1], [target], bos_id=BOS, eos_id=EOS
        )[0]
        assert together[row].log_probs == pytest.approx(alone.log_probs, abs=1e-4)
        torch.testing.assert_close(together[row].attention, alone.attention, rtol=0, atol=1e-4)


def test_a_searchs_result_gets_its_own_score_again() -> None:
    """Length and coverage terms included."""
    model = tiny(seed=6, dtype=torch.float32)
    src, lengths = sentences(8, [6, 2, 4])
    scoring = Scoring(length_penalty=0.7, coverage_penalty=0.3)
    limits = torch.tensor([8, 5, 7])
    found = beam_search(
        PlainStepper(model), src, lengths, size=3, max_length=limits, bos_id=BOS, eos_id=EOS, scoring=scoring
    )
    best = [hypotheses[0] for hypotheses in found]
    again = score_targets(
        PlainStepper(model), src, lengths, [h.tokens for h in best], bos_id=BOS, eos_id=EOS, scoring=scoring
    )
    for forced, expected in zip(again, best, strict=True):
        assert forced.log_prob == pytest.approx(expected.log_prob, abs=1e-4)
        assert forced.score == pytest.approx(expected.score, abs=1e-4)


def test_what_may_not_be_generated_has_no_probability() -> None:
    model = tiny(dtype=torch.float32)
    allowed = torch.ones(11, dtype=torch.bool)
    allowed[7] = False
    src, lengths = sentences(3, [5])
    barred = score_targets(PlainStepper(model, allowed), src, lengths, [[4, 7]], bos_id=BOS, eos_id=EOS)[0]
    assert barred.log_probs[1] == -torch.inf
    assert barred.log_prob == -torch.inf
    assert barred.log_probs[0] > -torch.inf
