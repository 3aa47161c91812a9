"""Watching a network changes nothing of it, and what is seen is what its cells did."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.model.cells import CELLS, PLAIN, CellOptions, LSTMState
from nmt.model.encoder import Encoder
from nmt.model.seq2seq import build
from nmt.model.trace import Place, cells_of, traced, unrolled
from tests.model.networks import TINY, VOCAB

LENGTHS = torch.tensor([5, 2, 4])
DIRECTIONS: dict[str, dict[str, Any]] = {
    "forward": {"bidirectional": False},
    "backward": {"bidirectional": False, "is_backward": True},
    "both": {"bidirectional": True},
}


def encoder_of(cell: str, *, options: CellOptions = PLAIN, **choices: Any) -> Encoder:
    torch.manual_seed(3)
    encoder = Encoder(6, 8, 2, cell=cell, options=options, **choices).double().eval()
    for parameter in encoder.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    return encoder


def inputs() -> Tensor:
    return torch.randn(3, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("cell", "nonlinearity"), [("lstm", "tanh"), ("gru", "tanh"), ("rnn", "tanh"), ("rnn", "relu")]
)
def test_an_unrolled_encoder_does_the_same(cell: str, nonlinearity: str, direction: str, residual: bool) -> None:
    options = CellOptions(nonlinearity=nonlinearity)
    encoder = encoder_of(cell, options=options, residual=residual, **DIRECTIONS[direction])
    assert encoder.rnn is not None
    copy = unrolled(encoder)
    assert copy.rnn is None
    with torch.no_grad():
        torch.testing.assert_close(copy(inputs(), LENGTHS), encoder(inputs(), LENGTHS), rtol=0, atol=1e-12)


def test_an_encoder_of_cells_is_left_as_it_is() -> None:
    encoder = encoder_of("lstm", uses_library=False)
    assert unrolled(encoder) is encoder


def test_an_unrolled_encoder_is_in_the_mode_of_the_first() -> None:
    encoder = encoder_of("lstm").float().train().requires_grad_(False)
    copy = unrolled(encoder)
    assert copy.training
    assert not unrolled(encoder.eval()).training
    assert {(p.dtype, p.requires_grad) for p in copy.parameters()} == {(torch.float32, False)}


@pytest.mark.parametrize("cell", CELLS)
def test_gates_and_states_of_every_step_are_recorded(cell: str) -> None:
    torch.manual_seed(1)
    config = TINY.model_copy(update={"cell": cell, "encoder_layers": 2, "decoder_layers": 2, "bidirectional": True})
    model = build(config, VOCAB, VOCAB).eval().requires_grad_(False)
    model.encoder = unrolled(model.encoder)
    src, tgt_in = torch.tensor([[4, 5, 6, 2]]), torch.tensor([[1, 7, 8]])
    plain = model(src, torch.tensor([4]), tgt_in)
    cells = cells_of(model)
    with traced(cells) as traces:
        watched = model(src, torch.tensor([4]), tgt_in)
    torch.testing.assert_close(watched, plain, rtol=0, atol=0)
    assert [str(place) for place in traces] == [
        "encoder 1",
        "encoder 1 backward",
        "encoder 2",
        "encoder 2 backward",
        "decoder 1",
        "decoder 2",
    ]
    for place, trace in traces.items():
        steps = 4 if place.part == "encoder" else 3
        assert (len(trace.gates), len(trace.states)) == (steps, steps)
        assert all(tuple(gates) == cells[place].gate_names for gates in trace.gates)
    last = traces[Place("decoder", 2)]
    if cell == "lstm":
        for gates, before, after in zip(last.gates[1:], last.states[:-1], last.states[1:], strict=True):
            assert isinstance(before, LSTMState)
            assert isinstance(after, LSTMState)
            torch.testing.assert_close(after.c, gates["f"] * before.c + gates["i"] * gates["g"])
            torch.testing.assert_close(after.h, gates["o"] * after.c.tanh())
    # nothing is watched any more
    model(src, torch.tensor([4]), tgt_in)
    assert len(last.states) == 3


def test_a_backward_encoder_is_told_from_a_forward_one() -> None:
    network = nn.ModuleDict({"encoder": encoder_of("gru", uses_library=False, **DIRECTIONS["backward"])})
    assert list(cells_of(network)) == [Place("encoder", 1, True), Place("encoder", 2, True)]


def test_gradients_are_the_whole_derivative_with_respect_to_each_state() -> None:
    """Of a loss at the last word: the sum over every way from a state to it, by moving the state a little."""
    encoder = encoder_of("lstm", uses_library=False, bidirectional=False)
    first, cell = (encoder.cells[layer][0] for layer in (0, 1))  # type: ignore[index]
    embedded, lengths = inputs()[:1], torch.tensor([5])
    with traced(cells_of(nn.ModuleDict({"encoder": encoder})), gates=False, gradients=True) as traces:
        encoder(embedded, lengths).states[:, -1].sin().sum().backward()

    def loss(moved: int, unit: int, by: float) -> float:
        """The same with a unit of the lower layer's h moved after a step, for the layer above and for the next step."""
        state, above = first.initial_state(1, embedded), cell.initial_state(1, embedded)
        for t in range(5):
            state = first(first.project(embedded[:, t]), None, state)
            if t == moved:
                h = state.h.clone()
                h[0, unit] += by
                state = state._replace(h=h)
            above = cell(cell.project(state.h), None, above)
        return float(above.h.sin().sum())

    with torch.no_grad():
        for k in (0, 3):
            grad = traces[Place("encoder", 1)].states[k].h.grad
            assert grad is not None
            for unit in (0, 5):
                slope = (loss(k, unit, 1e-6) - loss(k, unit, -1e-6)) / 2e-6
                assert grad[0, unit].item() == pytest.approx(slope, rel=1e-6, abs=1e-9)
