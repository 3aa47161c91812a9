"""One process's part in an update: against torch's own optimiser and clipping, and against the whole batch at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest
import torch
from torch import Tensor, nn

from nmt.config import OptimizerConfig
from nmt.model.seq2seq import build
from nmt.training.batches import Batch, make_batch
from nmt.training.learner import Learner
from nmt.training.translation import TranslationLoss
from tests.model.networks import TINY, VOCAB

SOURCES = [[5, 6, 7], [8], [9, 4, 5, 6, 7], [10, 4]]
TARGETS = [[9, 5], [6, 7, 8, 4], [5], [10, 10, 9]]


def learner(
    workers: int = 1,
    seed: int = 1,
    network: Mapping[str, object] = MappingProxyType({}),
    ema: float = 0.0,
    **choices: object,
) -> Learner:
    torch.manual_seed(5)
    model = build(TINY.model_copy(update=network), VOCAB, VOCAB)
    config = OptimizerConfig.model_validate({"name": "sgd", "learning_rate": 0.5, **choices})
    loss = TranslationLoss(model, 0.1)
    return Learner(model, loss, config, precision=torch.float32, seed=seed, workers=workers, ema=ema)


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
        {"memory_dropout": 0.5},
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


def weights(learner: Learner) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in learner.model.parameters()]


def test_the_average_is_that_of_its_equation() -> None:
    """a_n = d a_{n-1} + (1 - d) w_n with d = min(0.5, (1 + n) / (10 + n)), from the first weights on."""
    mine = learner(ema=0.5)
    expected = [weight.double() for weight in weights(mine)]
    decays = []
    for number in range(1, 13):
        mine.learn(number, [batch()])
        mine.apply(0.5, mine.combine(14))
        mine.follow(number)
        decays.append(min(0.5, (1 + number) / (10 + number)))
        expected = [
            decays[-1] * before + (1 - decays[-1]) * now for before, now in zip(expected, weights(mine), strict=True)
        ]
    assert decays[0] == pytest.approx(2 / 11)
    assert decays[-1] == 0.5
    last = weights(mine)
    with mine.averaged():
        averaged = weights(mine)
    for one, other in zip(averaged, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-6)
    assert any(not torch.equal(one, other) for one, other in zip(averaged, last, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(weights(mine), last, strict=True))


def test_a_restart_forgets_everything_but_the_weights() -> None:
    """After it a learner with a past goes the way of one without."""
    fresh, used = learner(name="adam", ema=0.5), learner(name="adam", ema=0.5, workers=1)
    first = dict(zip((name for name, _ in fresh.model.named_parameters()), weights(fresh), strict=True))
    for number in (1, 2, 3):
        used.learn(number, [batch()])
        used.apply(0.1, used.combine(14))
        used.follow(number)
    used.restart(first)
    for mine in (fresh, used):
        mine.learn(4, [batch()])
        mine.apply(0.1, mine.combine(14))
        mine.follow(4)
    assert all(torch.equal(one, other) for one, other in zip(weights(fresh), weights(used), strict=True))
    with fresh.averaged(), used.averaged():
        assert all(torch.equal(one, other) for one, other in zip(weights(fresh), weights(used), strict=True))


def test_averaging_changes_nothing_that_is_learnt() -> None:
    plain, averaging = learner(), learner(ema=0.9)
    for number in (1, 2, 3):
        for mine in (plain, averaging):
            mine.learn(number, [batch()])
            mine.apply(0.5, mine.combine(14))
            mine.follow(number)
            with mine.averaged():
                pass
    assert all(torch.equal(one, other) for one, other in zip(weights(plain), weights(averaging), strict=True))


def test_without_an_average_the_weights_are_their_own() -> None:
    mine = learner()
    before = weights(mine)
    with mine.averaged():
        assert all(torch.equal(one, other) for one, other in zip(weights(mine), before, strict=True))
