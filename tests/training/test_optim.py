"""Schedules against their closed forms; clipping and update rules against their equations."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.config import OptimizerConfig
from nmt.training.optim import Schedule, build_optimizer, clipping_factor


def schedule(total: int = 1000, **choices: Any) -> Schedule:
    return Schedule(OptimizerConfig(**{"learning_rate": 2.0, "warmup_updates": 0, **choices}), total)


def test_luong_halves_every_epoch_after_the_fifth() -> None:
    """Luong et al. 2015, 4.1: "after 5 epochs, we begin to halve the learning rate every epoch"."""
    luong = schedule(schedule="luong")
    by_epoch = [luong.rate(1, epoch, 0) for epoch in range(8)]
    assert by_epoch == [2.0] * 5 + [1.0, 0.5, 0.25]
    assert luong.rate(1, 4.99, 0) == 2.0
    assert luong.rate(1, 5.99, 0) == 1.0


def test_luong_can_halve_at_other_moments() -> None:
    """With dropout the paper halves after 8 epochs; tf/nmt in steps of less than an epoch."""
    luong = schedule(schedule="luong", halve_after=8, halve_every=0.5)
    assert [luong.rate(1, epoch, 0) for epoch in (7.9, 8.0, 8.4, 8.5, 9.0)] == [2.0, 1.0, 1.0, 0.5, 0.25]


def test_inverse_sqrt_peaks_at_the_end_of_its_warm_up() -> None:
    decaying = schedule(schedule="inverse-sqrt", warmup_updates=100)
    for update in (1, 10, 99, 100, 101, 400, 2500):
        expected = 2.0 * min(update / 100, math.sqrt(100 / update))
        assert decaying.rate(update, 0.0, 0) == pytest.approx(expected, rel=1e-12)


def test_cosine_goes_from_the_peak_to_its_final_share() -> None:
    cosine = schedule(1100, schedule="cosine", warmup_updates=100, final_factor=0.1)
    assert cosine.rate(50, 0.0, 0) == pytest.approx(1.0)
    assert cosine.rate(100, 0.0, 0) == pytest.approx(2.0)
    assert cosine.rate(600, 0.0, 0) == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))
    assert cosine.rate(350, 0.0, 0) == pytest.approx(2.0 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4))))
    assert cosine.rate(1100, 0.0, 0) == cosine.rate(9999, 0.0, 0) == pytest.approx(0.2)


def test_cosine_restarts_in_periods_that_grow() -> None:
    """Loshchilov & Hutter 2017, eq. 5, with T_0 = 200 and T_mult = 2: restarts after 200, 600 and 1400 updates."""
    restarts = schedule(schedule="cosine-restarts", warmup_updates=100, restart_updates=200, final_factor=0.1)
    assert restarts.rate(50, 0.0, 0) == pytest.approx(1.0)
    for done, cycle in (
        (0, 0.0),
        (50, 0.25),
        (199, 0.995),
        (200, 0.0),
        (400, 0.5),
        (599, 0.9975),
        (600, 0.0),
        (1300, 0.875),
    ):
        expected = 2.0 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * cycle)))
        assert restarts.rate(100 + done, 0.0, 0) == pytest.approx(expected, rel=1e-12)
    even = schedule(schedule="cosine-restarts", restart_updates=10, restart_growth=1.0)
    assert [even.rate(update, 0.0, 0) for update in range(10, 20)] == [even.rate(u, 0.0, 0) for u in range(990, 1000)]


def test_plateau_and_constant() -> None:
    plateau = schedule(schedule="plateau", factor=0.3)
    assert [plateau.rate(5, 1.0, plateaus) for plateaus in range(3)] == pytest.approx([2.0, 0.6, 0.18])
    assert schedule(schedule="constant").rate(10**6, 99.0, 9) == 2.0


@pytest.mark.parametrize("name", ["constant", "luong", "plateau"])
def test_warm_up_is_linear(name: str) -> None:
    warm = schedule(schedule=name, warmup_updates=8)
    assert [warm.rate(update, 0.0, 0) for update in (1, 4, 8, 9)] == [0.25, 1.0, 2.0, 2.0]


def parameters(*gradients: list[float]) -> list[nn.Parameter]:
    made = []
    for gradient in gradients:
        parameter = nn.Parameter(torch.zeros(len(gradient)))
        parameter.grad = torch.tensor(gradient)
        made.append(parameter)
    return made


@pytest.mark.parametrize("threshold", [0.5, 5.0, 13.0, 13.1, 100.0])
def test_clipping_is_pascanus(threshold: float) -> None:
    assert clipping_factor(13.0, threshold) == pytest.approx(min(threshold / 13.0, 1.0))


def test_clipping_can_be_off_and_survives_no_gradient_at_all() -> None:
    assert clipping_factor(50.0, 0.0) == 1.0
    assert clipping_factor(0.0, 5.0) == 1.0


def two_steps(**choices: Any) -> Tensor:
    parameter = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = build_optimizer(OptimizerConfig(learning_rate=0.1, **choices), [parameter])
    for gradient in (2.0, -1.0):
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    return parameter.detach()


def test_update_rules_are_those_of_their_papers() -> None:
    assert float(two_steps(name="sgd")) == pytest.approx(1 - 0.1 * 2 + 0.1)
    assert float(two_steps(name="sgd", momentum=0.5)) == pytest.approx(1 - 0.1 * 2 - 0.1 * (0.5 * 2 - 1))
    assert float(two_steps(name="adam")) == pytest.approx(adam(decay=0.0), rel=1e-6)
    assert float(two_steps(name="adamw", weight_decay=0.3)) == pytest.approx(adam(decay=0.3), rel=1e-6)
    assert float(two_steps(name="rmsprop")) == pytest.approx(rmsprop(), rel=1e-6)


def adam(decay: float) -> float:
    """Kingma & Ba 2015, algorithm 1; with decoupled decay (Loshchilov & Hutter 2019, algorithm 2)."""
    w, m, v = 1.0, 0.0, 0.0
    for t, g in enumerate((2.0, -1.0), 1):
        m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g * g
        w -= 0.1 * decay * w
        w -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.98**t)) + 1e-8)
    return w


def rmsprop() -> float:
    """Tieleman & Hinton 2012, with torch's decay of 0.99."""
    w, v = 1.0, 0.0
    for g in (2.0, -1.0):
        v = 0.99 * v + 0.01 * g * g
        w -= 0.1 * g / (math.sqrt(v) + 1e-8)
    return w
