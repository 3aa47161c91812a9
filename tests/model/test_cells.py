"""Cells and products inside a recurrence, against torch.nn, NumPy and finite differences."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from nmt.model.cells import LSTMCell, LSTMState, lstm_pointwise
from nmt.model.recurrence import StepProduct
from tests.oracles import lstm_step

N, E, F, H = 3, 4, 2, 5


def cell_and_inputs(input_size: int = E, feed_size: int = F) -> tuple[LSTMCell, Tensor, Tensor, LSTMState]:
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    cell = LSTMCell(input_size, feed_size, H).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(draw(*parameter.shape))
    return cell, draw(N, E), draw(N, F), LSTMState(draw(N, H), draw(N, H))


def test_a_step_equals_torch_lstm_cell() -> None:
    cell, x, feed, state = cell_and_inputs()
    assert cell.weight_input is not None
    theirs = nn.LSTMCell(E + F, H, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight_ih.copy_(torch.cat((cell.weight_input, cell.weight_recurrent[:, :F]), dim=1))
        theirs.weight_hh.copy_(cell.weight_recurrent[:, F:])
        theirs.bias_ih.copy_(cell.bias)
        theirs.bias_hh.zero_()
    expected_h, expected_c = theirs(torch.cat((x, feed), dim=1), tuple(state))
    for found in (cell(cell.project(x), feed, state), plain_step(cell, x, feed, state)):
        torch.testing.assert_close(found.h, expected_h, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.c, expected_c, rtol=0, atol=1e-12)


def plain_step(cell: LSTMCell, x: Tensor, feed: Tensor, state: LSTMState) -> LSTMState:
    with torch.no_grad():
        found: LSTMState = cell(cell.project(x), feed, state)
    return found


def test_a_step_equals_the_equations() -> None:
    cell, x, feed, state = cell_and_inputs()
    assert cell.weight_input is not None
    found = plain_step(cell, x, feed, state)
    w_x, w_r, bias = (p.detach().numpy() for p in (cell.weight_input, cell.weight_recurrent, cell.bias))
    for row in range(N):
        fed = np.concatenate([feed[row].numpy(), state.h[row].numpy()])
        h, c = lstm_step(x[row].numpy(), fed, state.c[row].numpy(), w_x, w_r, bias)
        np.testing.assert_allclose(found.h[row].numpy(), h, atol=1e-12)
        np.testing.assert_allclose(found.c[row].numpy(), c, atol=1e-12)


def test_activations_are_the_gates_of_the_step() -> None:
    cell, x, feed, state = cell_and_inputs()
    with torch.no_grad():
        gates = cell.activations(cell.project(x), feed, state)
        found = plain_step(cell, x, feed, state)
    assert tuple(gates) == cell.gate_names
    c = gates["f"] * state.c + gates["i"] * gates["g"]
    torch.testing.assert_close(found.c, c, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.h, gates["o"] * torch.tanh(c), rtol=0, atol=1e-12)


def test_a_cell_without_hoisted_input_adds_its_bias() -> None:
    cell, _, feed, state = cell_and_inputs(input_size=0)
    assert cell.weight_input is None
    zero_bias = LSTMCell(0, F, H).double()
    with torch.no_grad():
        zero_bias.weight_recurrent.copy_(cell.weight_recurrent)
    expected = zero_bias(cell.bias.expand(N, -1), feed, state)
    found = cell(None, feed, state)
    torch.testing.assert_close(found.h, expected.h, rtol=0, atol=0)


def test_pointwise_gradient_equals_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    gates = torch.randn(N, 4 * H, generator=generator, dtype=torch.float64, requires_grad=True)
    c = torch.randn(N, H, generator=generator, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lstm_pointwise, (gates, c))


def test_pointwise_is_the_same_with_and_without_gradients() -> None:
    generator = torch.Generator().manual_seed(2)
    gates, c = torch.randn(N, 4 * H, generator=generator), torch.randn(N, H, generator=generator)
    with_gradients = lstm_pointwise(gates.clone().requires_grad_(), c)
    for found, expected in zip(with_gradients, lstm_pointwise(gates, c), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_step_product_gives_the_gradients_of_plain_autograd() -> None:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(H, H, generator=generator, dtype=torch.float64) / H
    inputs = torch.randn(4, N, H, generator=generator, dtype=torch.float64)

    def gradients(uses_tape: bool) -> tuple[Tensor, Tensor]:
        w, x = weight.clone().requires_grad_(), inputs.clone().requires_grad_()
        tape = StepProduct(w)
        h = torch.zeros(N, H, dtype=torch.float64)
        total = torch.zeros((), dtype=torch.float64)
        for step in x:
            h = torch.tanh(tape(h + step) if uses_tape else (h + step) @ w.T)
            total = total + h.square().sum()
        total.backward()
        assert w.grad is not None
        assert x.grad is not None
        return w.grad, x.grad

    for found, expected in zip(gradients(uses_tape=True), gradients(uses_tape=False), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_step_product_serves_one_backward_pass_after_the_other() -> None:
    """Gradients of several sequences add up, as they do for plain autograd."""
    weight = torch.eye(H, dtype=torch.float64).requires_grad_()
    x = torch.ones(N, H, dtype=torch.float64)
    for _ in range(2):
        product = StepProduct(weight)
        product(product(x)).sum().backward()
    assert weight.grad is not None
    # d sum(W W x) / dW at W = 1: every entry gets x_j once through each of the two factors, from N rows
    torch.testing.assert_close(weight.grad, torch.full((H, H), 2.0 * 2 * N, dtype=torch.float64))
