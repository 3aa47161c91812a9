"""Attention against the paper's equations in NumPy, and its window at both ends of the source."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn
from torch.autograd import gradcheck

from nmt.config import AttentionKind, AttentionSpan
from nmt.model.attention import GlobalAttention, LocalPredictive, Memory, build_attention, masked_softmax
from tests import oracles
from tests.model.networks import ATTENTIONS

H, WINDOW, MAX_LENGTH = 6, 2, 5
LENGTHS = [7, 1, 4]
PAST_ITS_LENGTH = ("location", "local-m")
"""A window may lie where `location` has no weights: then nothing is attended to."""


def attention_of(kind: str, span: str) -> GlobalAttention:
    torch.manual_seed(3)
    attention = build_attention(kind, span, H, WINDOW, MAX_LENGTH).double()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.uniform_(-1.0, 1.0)
    return attention


def memory_of(attention: GlobalAttention, lengths: list[int], width: int) -> Memory:
    generator = torch.Generator().manual_seed(9)
    states = torch.zeros(len(lengths), width, H, dtype=torch.float64)
    for row, length in enumerate(lengths):
        states[row, :length] = torch.randn(length, H, generator=generator, dtype=torch.float64)
    mask = torch.arange(width).unsqueeze(0) < torch.tensor(lengths).unsqueeze(1)
    return Memory(states, attention.score.keys(states), mask, torch.tensor(lengths))


def queries(steps: int) -> Tensor:
    return torch.randn(len(LENGTHS), steps, H, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def weights_of(attention: GlobalAttention) -> dict[str, oracles.Array]:
    return {name: p.detach().numpy() for name, p in attention.named_parameters()}


@pytest.mark.parametrize(("kind", "span"), ATTENTIONS)
@torch.no_grad()
def test_weights_and_context_equal_the_equations(kind: AttentionKind, span: AttentionSpan) -> None:
    attention = attention_of(kind, span)
    memory = memory_of(attention, LENGTHS, max(LENGTHS) + 2)
    steps = 12  # past the end of every source
    query = queries(steps)
    context, weights = attention(query, memory, torch.arange(steps).expand(len(LENGTHS), -1))
    w = weights_of(attention)
    for row, length in enumerate(LENGTHS):
        states = memory.states[row, :length].numpy()
        for t in range(steps):
            h_t = query[row, t].numpy()
            scores = oracles.score(kind, h_t, states, oracles.below(w, "score."))
            centre = oracles.predicted_position(h_t, length, w) if span == "local-p" else 0.0
            expected = oracles.align(span, scores, t, WINDOW, centre)
            np.testing.assert_allclose(weights[row, t, :length].numpy(), expected, atol=1e-12)
            assert not weights[row, t, length:].any()
            np.testing.assert_allclose(context[row, t].numpy(), expected @ states, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "span"), [(k, s) for k, s in ATTENTIONS if k != "none" and s != "local-p" and (k, s) != PAST_ITS_LENGTH]
)
@torch.no_grad()
def test_weights_sum_to_one_without_a_gaussian(kind: str, span: str) -> None:
    attention = attention_of(kind, span)
    _, weights = attention(queries(9), memory_of(attention, LENGTHS, 7), torch.arange(9).expand(3, -1))
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 9, dtype=torch.float64))


@torch.no_grad()
def test_local_p_weights_are_not_renormalised() -> None:
    """Eq. 10 multiplies the softmax by the Gaussian, so the weights sum to less than 1."""
    attention = attention_of("general", "local-p")
    _, weights = attention(queries(3), memory_of(attention, LENGTHS, 7), torch.zeros(3, 3, dtype=torch.long))
    assert bool((weights[0].sum(dim=-1) < 0.99).all())


@pytest.mark.parametrize(
    ("t", "expected"), [(0, [0, 1, 2]), (1, [0, 1, 2, 3]), (3, [1, 2, 3, 4, 5]), (6, [4, 5, 6]), (40, [4, 5, 6])]
)
@torch.no_grad()
def test_local_m_window_is_clipped_at_both_ends(t: int, expected: list[int]) -> None:
    attention = attention_of("dot", "local-m")
    _, weights = attention(queries(1), memory_of(attention, LENGTHS, 7), torch.full((3, 1), t))
    assert weights[0, 0].nonzero().flatten().tolist() == expected


@pytest.mark.parametrize(("v", "p_t", "inside"), [(-1.0, 0, [0, 1, 2]), (0.0, 3, [1, 2, 3, 4, 5]), (1.0, 6, [4, 5, 6])])
@torch.no_grad()
def test_local_p_is_a_gaussian_in_a_window_that_is_clipped_at_both_ends(v: float, p_t: int, inside: list[int]) -> None:
    """Where all scores are equal: a_t(s) = exp(-(s - p_t)^2 / (2 (D / 2)^2)) / |window|, p_t at an end or between."""
    attention = attention_of("dot", "local-p")
    assert isinstance(attention, LocalPredictive)
    attention.position.weight.fill_(100.0)
    attention.v.weight.fill_(v * 100.0)
    memory = memory_of(attention, LENGTHS, 7)
    query = torch.ones(3, 1, H, dtype=torch.float64)
    _, weights = attention(query, memory._replace(keys=torch.zeros_like(memory.keys)), torch.zeros(3, 1).long())
    expected = [np.exp(-((s - p_t) ** 2) / 2) / len(inside) if s in inside else 0.0 for s in range(7)]
    np.testing.assert_allclose(weights[0, 0].numpy(), expected, atol=1e-9)


@pytest.mark.parametrize(("kind", "span"), ATTENTIONS)
def test_gradients_of_context_and_weights_equal_finite_differences(kind: str, span: str) -> None:
    """By query, source states and all weights. (A window's edge is no matter: no position lies on one here.)"""
    attention = attention_of(kind, span)
    lengths = [4, 2]
    mask = torch.arange(4) < torch.tensor(lengths).unsqueeze(1)
    states = memory_of(attention, lengths, 4).states.requires_grad_()
    query = queries(2)[:2].requires_grad_()
    names = [name for name, _ in attention.named_parameters()]

    class Attend(nn.Module):
        """So that a functional call can put the weights in."""

        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, query: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
            memory = Memory(states, self.attention.score.keys(states), mask, torch.tensor(lengths))
            context, weights = self.attention(query, memory, torch.tensor([[0, 1], [1, 2]]))
            return context, weights

    def attend(query: Tensor, states: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        weights = {f"attention.{name}": value for name, value in zip(names, tensors, strict=True)}
        found: tuple[Tensor, ...] = torch.func.functional_call(Attend(), weights, (query, states))
        return found

    values = [p.detach().clone().requires_grad_() for p in attention.parameters()]
    assert gradcheck(attend, (query, states, *values))


@torch.no_grad()
def test_location_gives_words_past_its_length_no_weight() -> None:
    attention = attention_of("location", "global")
    _, weights = attention(queries(1), memory_of(attention, LENGTHS, 7), torch.zeros(3, 1, dtype=torch.long))
    assert weights[0, 0].nonzero().flatten().tolist() == list(range(MAX_LENGTH))


@torch.no_grad()
def test_local_p_predicts_positions_from_the_first_word_to_the_last() -> None:
    attention = attention_of("dot", "local-p")
    assert isinstance(attention, LocalPredictive)
    attention.v.weight *= 50
    centre = attention.centre(queries(50), torch.tensor(LENGTHS))
    assert float(centre.min()) >= 0
    assert bool((centre <= torch.tensor(LENGTHS).unsqueeze(1) - 1).all())
    assert float(centre[0].min()) < 0.01
    assert float(centre[0].max()) > 5.99


def test_gradient_reaches_the_predicted_position() -> None:
    """d a_t / d v_p through p_t, against central differences of the NumPy equations."""
    attention = attention_of("dot", "local-p")
    assert isinstance(attention, LocalPredictive)
    memory = memory_of(attention, LENGTHS, 7)
    query = queries(1)
    pattern = torch.linspace(-1, 1, 7, dtype=torch.float64)
    _, weights = attention(query, memory, torch.zeros(3, 1, dtype=torch.long))
    (weights[0, 0] * pattern).sum().backward()
    assert attention.v.weight.grad is not None
    assert attention.position.weight.grad is not None
    w = weights_of(attention)
    h_t, states = query[0, 0].numpy(), memory.states[0].detach().numpy()

    def objective() -> float:
        scores = oracles.score("dot", h_t, states, {})
        found = oracles.align("local-p", scores, 0, WINDOW, oracles.predicted_position(h_t, 7, w))
        return float(found @ pattern.numpy())

    epsilon = 1e-6
    for name, gradient in (("v.weight", attention.v.weight.grad), ("position.weight", attention.position.weight.grad)):
        for place in np.ndindex(*gradient.shape):
            w[name] = w[name].copy()
            w[name][place] += epsilon
            above = objective()
            w[name][place] -= 2 * epsilon
            difference = (above - objective()) / (2 * epsilon)
            w[name][place] += epsilon
            assert float(gradient[place]) == pytest.approx(difference, abs=1e-7)


def test_masked_softmax_of_nothing_is_zero_and_has_a_gradient() -> None:
    scores = torch.randn(1, 2, 3, requires_grad=True)
    mask = torch.tensor([[[True, True, False], [False, False, False]]])
    weights = masked_softmax(scores, mask)
    assert weights[0, 1].tolist() == [0.0, 0.0, 0.0]
    weights.square().sum().backward()
    assert scores.grad is not None
    assert bool(torch.isfinite(scores.grad).all())


def test_masked_softmax_survives_scores_that_overflow_half_precision() -> None:
    weights = masked_softmax(torch.tensor([[[6e4, -6e4, 0.0]]], dtype=torch.float16), torch.ones(1, 1, 3) > 0)
    assert weights.tolist() == [[[1.0, 0.0, 0.0]]]
    assert weights.dtype == torch.float32


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="bilinear"):
        build_attention("bilinear", "global", H, WINDOW, MAX_LENGTH)
    with pytest.raises(ValueError, match="local-x"):
        build_attention("dot", "local-x", H, WINDOW, MAX_LENGTH)


def test_the_test_run_checks_shapes() -> None:
    """The shapes in the annotations are no decoration: a wrong one stops the test that passes it."""
    with pytest.raises(TypeCheckError):
        masked_softmax(torch.zeros(2, 3, 4), torch.ones(2, 1, 5) > 0)
