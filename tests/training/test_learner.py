"""One process's part in an update: against torch's own optimiser and clipping, and against the whole batch at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest
import torch
from torch import nn

from nmt.config import OptimizerConfig
from nmt.model.seq2seq import build
from nmt.training.batches import Batch, make_batch
from nmt.training.learner import Learner
from nmt.training.translation import TranslationLoss
from tests.model.networks import TINY, VOCAB

SOURCES = [[5, 6, 7], [8], [9, 4, 5, 6, 7], [10, 4]]
TARGETS = [[9, 5], [6, 7, 8, 4], [5], [10, 10, 9]]


def learner(
    workers: int = 1, seed: int = 1, network: Mapping[str, object] = MappingProxyType({}), **choices: object
) -> Learner:
    torch.manual_seed(5)
    model = build(TINY.model_copy(update=network), VOCAB, VOCAB)
    config = OptimizerConfig.model_validate({"name": "sgd", "learning_rate": 0.5, **choices})
    return Learner(model, TranslationLoss(model, 0.1), config, precision=torch.float32, seed=seed, workers=workers)


def batch(rows: slice = slice(None)) -> Batch:
    return make_batch(SOURCES[rows], TARGETS[rows])


@pytest.mark.parametrize("clip_norm", [0.0, 0.05, 100.0])
def test_an_update_is_that_of_torch(clip_norm: float) -> None:
    """The mean loss over the tokens, torch's gradient clipping, torch's SGD."""
    ours, theirs = learner(clip_norm=clip_norm), learner()
    assert ours.learn(1, [batch()]).tokens == 14
    ours.apply(0.5, ours.combine(14))
    with torch.enable_grad():
        (theirs.loss(batch()).smoothed / 14).backward()
    parameters = list(theirs.model.parameters())
    if clip_norm:
        nn.utils.clip_grad_norm_(parameters, clip_norm)
    with torch.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.sub_(0.5 * parameter.grad)
    for one, other in zip(ours.model.parameters(), parameters, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_batches_of_one_update_add_up() -> None:
    whole, parts = learner(), learner()
    whole.learn(1, [batch()])
    sums = parts.learn(1, [batch(slice(0, 1)), batch(slice(1, 4)), make_batch([], [])])
    assert sums.tokens == 14
    assert parts.combine(14) == pytest.approx(whole.combine(14), rel=1e-4)


@pytest.mark.parametrize(
    "form",
    [
        {"dropout": 0.5},
        {"dropout": 0.5, "dropout_form": "variational"},
        {"recurrent_dropout": 0.5},
        {"recurrent_dropout": 0.5, "cell": "lstm_peephole"},
        {"word_dropout": 0.5},
    ],
    ids=str,
)
def test_dropout_depends_on_seed_and_update_alone(form: dict[str, object]) -> None:
    def norm(seed: int, update: int) -> float:
        mine = learner(seed=seed, network=form)
        torch.manual_seed(torch.seed())
        mine.learn(update, [batch()])
        return mine.combine(14)

    assert norm(1, 7) == norm(1, 7)
    assert len({norm(1, 7), norm(1, 8), norm(2, 7)}) == 3
