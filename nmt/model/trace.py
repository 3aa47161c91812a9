"""Watching cells at work: the gates and the state of every step, while a network computes what it computes anyway.

For pictures and diagnosis. Torch's own layers show no steps: `unrolled` puts cells in their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nmt.model.cells import Cell, CellOptions, GRUCell, State, map_state
from nmt.model.encoder import Encoder

LIBRARY_CELLS: Mapping[type[nn.RNNBase], str] = {nn.LSTM: "lstm", nn.GRU: "gru", nn.RNN: "rnn"}
_DIRECTION = re.compile(r"(?:.*\.)?encoder\.cells\.(\d+)\.([01])")
_DECODER = re.compile(r"(?:.*\.)?decoder\.cells\.(\d+)")


@dataclass(frozen=True)
class Place:
    """Where in a network a cell stands."""

    part: str
    """`encoder` or `decoder`."""
    layer: int
    """From 1, the lowest."""
    is_backward: bool = False
    """Whether its steps go from the last word to the first."""

    def __str__(self) -> str:
        return f"{self.part} {self.layer}{' backward' if self.is_backward else ''}"


@dataclass(frozen=True)
class Trace:
    """What a cell did, step after step, in the order in which it ran."""

    gates: list[dict[str, Float[Tensor, "N H"]]] = field(default_factory=list)
    """By name, after their nonlinearities (`Cell.activations`); empty where only states were asked for."""
    states: list[State] = field(default_factory=list)


def unrolled(encoder: Encoder) -> Encoder:
    """An encoder that does the same with cells of our own, step by step; its weights are copies.

    One that has cells already is given back as it is.
    """
    rnn = encoder.rnn
    if rnn is None:
        return encoder
    cell = LIBRARY_CELLS[type(rnn)]
    nonlinearity = rnn.nonlinearity if isinstance(rnn, nn.RNN) else "tanh"
    copy = Encoder(
        rnn.input_size,
        encoder.hidden_size,
        encoder.layers,
        bidirectional=encoder.directions == 2,
        is_backward=encoder.is_backward,
        dropout=encoder.dropout.p,
        dropout_form=encoder.dropout.form,
        recurrent_dropout=encoder.recurrent_dropout,
        residual=encoder.residual,
        cell=cell,
        options=CellOptions(nonlinearity=nonlinearity),
        uses_library=False,
    )
    first = next(rnn.parameters())
    copy = copy.to(first.device, first.dtype)
    for layer, directions in enumerate(copy.cells):
        for suffix, one in zip(("", "_reverse"), cast(nn.ModuleList, directions), strict=False):
            _take_weights(cast(Cell, one), rnn, f"l{layer}{suffix}")
    return copy.train(encoder.training).requires_grad_(first.requires_grad)


@torch.no_grad()
def _take_weights(cell: Cell, rnn: nn.RNNBase, name: str) -> None:
    """Torch has two biases, of the input and of the state, which most cells only add up."""
    of_input, of_state = rnn.get_parameter(f"bias_ih_{name}"), rnn.get_parameter(f"bias_hh_{name}")
    assert cell.weight_input is not None
    cell.weight_input.copy_(rnn.get_parameter(f"weight_ih_{name}"))
    cell.weight_recurrent.copy_(rnn.get_parameter(f"weight_hh_{name}"))
    cell.bias.copy_(of_input + of_state)
    if isinstance(cell, GRUCell):  # r scales what n gets from the state, its bias included
        cell.bias[-cell.hidden_size :] = of_input[-cell.hidden_size :]
        cell.bias_hidden.copy_(of_state[-cell.hidden_size :])


def cells_of(network: nn.Module) -> dict[Place, Cell]:
    """The cells of a network by their places, from its input to its output."""
    places: dict[Place, Cell] = {}
    backward = {
        f"{name}.cells"
        for name, module in network.named_modules()
        if isinstance(module, Encoder) and module.is_backward
    }
    for name, module in network.named_modules():
        if not isinstance(module, Cell):
            continue
        if found := _DIRECTION.fullmatch(name):
            is_backward = found[2] == "1" or name.removesuffix(f".{found[1]}.{found[2]}") in backward
            places[Place("encoder", int(found[1]) + 1, is_backward)] = module
        elif found := _DECODER.fullmatch(name):
            places[Place("decoder", int(found[1]) + 1)] = module
        else:
            raise ValueError(f"no name for the place of {name}")
    return places


@contextmanager
def traced(cells: Mapping[Place, Cell], *, gates: bool = True, gradients: bool = False) -> Iterator[dict[Place, Trace]]:
    """Record every step that these cells take inside the block.

    `gates`: whether to compute their activations too, once more. `gradients`: let a backward pass leave the derivative
    of the loss with respect to each part of each state in its `grad`: by all ways from where the cell gives the state
    away, be it to the next step or to another layer.
    """
    traces = {place: Trace() for place in cells}

    def watch(trace: Trace) -> Any:
        def record(cell: nn.Module, arguments: tuple[Any, ...], state: State) -> State:
            projected, feed, before = arguments[:3]
            if gates:
                with torch.no_grad():
                    trace.gates.append(cast(Cell, cell).activations(projected, feed, before))
            if gradients:
                # nodes of their own: inside some cells h comes from c, which is no way that leaves the cell
                state = map_state(lambda part: part.view_as(part), state)
                for part in state:
                    part.retain_grad()
            trace.states.append(state)
            return state

        return record

    handles = [cell.register_forward_hook(watch(traces[place])) for place, cell in cells.items()]
    try:
        yield traces
    finally:
        for handle in handles:
            handle.remove()
