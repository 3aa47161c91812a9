"""Cells and products inside a recurrence, against torch.nn, NumPy and finite differences."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from nmt.config import ModelConfig
from nmt.model.cells import CELLS, Cell, State, lstm_pointwise
from nmt.model.recurrence import StepProduct
from nmt.model.seq2seq import cell_options
from tests import oracles

N, E, F, H = 3, 4, 2, 5

FORMS: list[dict[str, Any]] = [
    *({"cell": cell} for cell in CELLS),
    *({"cell": cell, "layer_norm": True} for cell in CELLS),
    {"cell": "rnn", "nonlinearity": "relu"},
    *({"cell": "lstm_peephole", "peepholes": gates} for gates in (("i",), ("f", "o"))),
]
"""Every cell, and every option of each."""
INPUTS = [(E, F), (E, 0), (0, F)]
"""Widths of the hoisted and the fed part: a bottom layer with and without feeding, and an upper one."""


def name_of(form: Any) -> str:
    if not isinstance(form, dict):
        return str(form)
    words = {"layer_norm": "normalised", "peepholes": "".join(form.get("peepholes", ()))}
    return " ".join(words.get(key, str(value)) for key, value in form.items())


def random_tensors(seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


class Case(NamedTuple):
    """A cell with random weights, and what goes into one step of it."""

    cell: Cell
    x: Tensor | None
    feed: Tensor | None
    state: State

    def projected(self) -> Tensor | None:
        return None if self.x is None else self.cell.project(self.x)

    def step(self) -> State:
        found: State = self.cell(self.projected(), self.feed, self.state)
        return found


def case(form: dict[str, Any], input_size: int = E, feed_size: int = F) -> Case:
    draw = random_tensors(5)
    cell = CELLS[form["cell"]](input_size, feed_size, H, cell_options(ModelConfig(**form))).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(draw(*parameter.shape))
    state = cell.state_type._make([draw(N, H) for _ in cell.state_type._fields])
    return Case(cell, draw(N, input_size) if input_size else None, draw(N, feed_size) if feed_size else None, state)


@pytest.mark.parametrize(("input_size", "feed_size"), INPUTS)
@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_a_step_and_its_gates_equal_the_equations(form: dict[str, Any], input_size: int, feed_size: int) -> None:
    given = case(form, input_size, feed_size)
    w = {name: p.detach().numpy() for name, p in given.cell.named_parameters()}
    with_gradients = given.step()
    with torch.no_grad():
        found, gates = given.step(), given.cell.activations(given.projected(), given.feed, given.state)
    assert tuple(gates) == given.cell.gate_names
    for row in range(N):
        x = np.concatenate([part[row].numpy() for part in (given.x, given.feed) if part is not None])
        state = tuple(part[row].numpy() for part in given.state)
        expected = oracles.CELLS[form["cell"]].step(x, state, w, ModelConfig(**form))
        for mine, mine_with_gradients, part in zip(found, with_gradients, expected.state, strict=True):
            np.testing.assert_allclose(mine[row].numpy(), part, atol=1e-12)
            np.testing.assert_allclose(mine_with_gradients[row].detach().numpy(), part, atol=1e-12)
        assert gates.keys() == expected.gates.keys()
        for name, gate in expected.gates.items():
            np.testing.assert_allclose(gates[name][row].numpy(), gate, atol=1e-12)


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_gradients_of_a_step_equal_finite_differences(form: dict[str, Any]) -> None:
    """Of everything that comes out by everything that goes in, weights included."""
    given = case(form)
    names = [name for name, _ in given.cell.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in given.cell.parameters()]
    assert given.x is not None
    assert given.feed is not None
    others = [part.clone().requires_grad_() for part in (given.x, given.feed, *given.state)]

    class Step(nn.Module):
        """So that a functional call can put the weights in."""

        def __init__(self) -> None:
            super().__init__()
            self.cell = given.cell

        def forward(self, x: Tensor, feed: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
            return tuple(self.cell(self.cell.project(x), feed, self.cell.state_type._make(parts)))

    def step(*tensors: Tensor) -> tuple[Tensor, ...]:
        weights = {f"cell.{name}": value for name, value in zip(names, tensors[: len(names)], strict=True)}
        found: tuple[Tensor, ...] = torch.func.functional_call(Step(), weights, tensors[len(names) :])
        return found

    assert gradcheck(step, (*values, *others))


TORCH_CELLS: dict[str, Any] = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}


@pytest.mark.parametrize("kind", TORCH_CELLS)
def test_a_step_equals_torchs_cell(kind: str) -> None:
    theirs = TORCH_CELLS[kind](E + F, H, dtype=torch.float64)
    given = case({"cell": kind})
    assert given.x is not None
    assert given.feed is not None
    w = oracles.of_torch(kind, *(getattr(theirs, name).detach().numpy() for name in oracles.TORCH_NAMES))
    inputs, recurrent = torch.from_numpy(w["weight_input"]), torch.from_numpy(w["weight_recurrent"])
    split = {"weight_input": inputs[:, :E], "weight_feed": inputs[:, E:], "weight_recurrent": recurrent}
    if kind != "gru":
        split["weight_recurrent"] = torch.cat((inputs[:, E:], recurrent), dim=1)
    with torch.no_grad():
        for name, parameter in given.cell.named_parameters():
            parameter.copy_(split[name] if name in split else torch.from_numpy(w[name]))
        state = given.state[0] if len(given.state) == 1 else tuple(given.state)
        expected = theirs(torch.cat((given.x, given.feed), dim=1), state)
        found = given.step()
    for mine, other in zip(found, expected if len(given.state) > 1 else (expected,), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_a_first_state_is_zero_and_sums_over_time_are_no_half_precision(kind: str) -> None:
    cell = CELLS[kind](E, F, H)
    state = cell.initial_state(N, torch.ones(1, dtype=torch.bfloat16))
    assert isinstance(state, cell.state_type)
    assert [part.shape for part in state] == [(N, H)] * len(state)
    assert not any(part.any() for part in state)
    assert state.h.dtype == torch.bfloat16
    assert all(part.dtype == torch.float32 for part in state[1:])


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_half_precision_stays_what_it_is_over_steps(form: dict[str, Any]) -> None:
    """In training under autocast h has the products' precision at every step, and what is a sum over time has not."""
    cell = CELLS[form["cell"]](E, F, H, cell_options(ModelConfig(**form)))
    for parameter in cell.parameters():
        nn.init.uniform_(parameter, -1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        projected = cell.project(torch.ones(N, E))
        state = cell.initial_state(N, projected)
        for _ in range(2):
            state = cell(projected, torch.ones(N, F, dtype=torch.bfloat16), state)
            assert state.h.dtype == torch.bfloat16
            assert all(part.dtype == torch.float32 for part in state[1:])


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
