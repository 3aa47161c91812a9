"""The encoder: stacked recurrent layers over embedded sentences, in one direction or both. Knows no decoder.

Where torch has exactly the cell, torch runs the layers; else the cell is run step by step. Both ways give the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.model.cells import CELLS, PLAIN, Cell, CellOptions, State, map_state
from nmt.model.dropout import Dropout, drop_connect
from nmt.model.recurrence import StepProduct


class EncoderOutput(NamedTuple):
    """What the decoder gets to see."""

    states: Float[Tensor, "B S H"]
    """The top layer's outputs (both directions side by side); zero on padding."""
    last: tuple[State, ...]
    """The state of every layer at the end of each direction (both side by side), bottom layer first."""


Library = nn.LSTM | nn.GRU | nn.RNN


def library_of(cell: str, options: CellOptions) -> Callable[..., Library] | None:
    """torch's own layers of a cell; None where it has none with these options."""
    if options.layer_norm:
        return None
    match cell:
        case "lstm":
            return nn.LSTM
        case "gru":
            return nn.GRU
        case "rnn":
            return lambda *sizes, **choices: nn.RNN(*sizes, **choices, nonlinearity=options.nonlinearity)
        case _:
            return None


class Encoder(nn.Module):
    """Padding never enters the recurrence, and outputs do not depend on who shares the batch."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int,
        *,
        bidirectional: bool = True,
        is_backward: bool = False,
        dropout: float = 0.0,
        dropout_form: str = "zaremba",
        recurrent_dropout: float = 0.0,
        residual: bool = False,
        cell: str = "lstm",
        options: CellOptions = PLAIN,
        uses_library: bool = True,
    ) -> None:
        """`hidden_size`: H of the output; each direction of a bidirectional encoder has H / 2.

        `is_backward`: an encoder of one direction reads from the last word to the first. `residual`: every layer above
        the first adds its input, undropped, to its output (Wu et al. 2016, eq. 6). `uses_library=False`: the cell
        itself in any case.
        """
        super().__init__()
        assert hidden_size % 2 == 0 or not bidirectional
        assert not (bidirectional and is_backward)
        self.hidden_size = hidden_size
        self.layers = layers
        self.directions = 2 if bidirectional else 1
        self.is_backward = is_backward
        self.state_type = CELLS[cell].state_type
        self.dropout = Dropout(dropout, dropout_form)
        self.recurrent_dropout = recurrent_dropout
        self.residual = residual
        size = hidden_size // self.directions
        library = library_of(cell, options) if uses_library else None
        self.rnn: Library | None = None
        if library is not None:
            between = dropout if layers > 1 and dropout_form == "zaremba" else 0.0
            self.rnn = library(input_size, size, layers, batch_first=True, bidirectional=bidirectional, dropout=between)
        else:
            self.cells = nn.ModuleList(
                nn.ModuleList(
                    CELLS[cell](hidden_size if layer else input_size, 0, size, options) for _ in range(self.directions)
                )
                for layer in range(layers)
            )

    def forward(
        self,
        embedded: Float[Tensor, "B S E"],
        lengths: Int[Tensor, " B"],
        first: tuple[State, ...] | None = None,
    ) -> EncoderOutput:
        """`lengths` of 1 to S, in any order. `first`: each layer's state before the first word, of one direction."""
        assert first is None or self.directions == 1
        if self.is_backward:
            embedded = reversed_words(embedded, lengths)
        is_one_call = self.rnn is not None and not self.residual and not (self.training and self._is_masked)
        run = self._all_layers if is_one_call else self._layer_by_layer
        states, last = run(embedded, lengths, first)
        if self.is_backward:
            states = reversed_words(states, lengths)
        return EncoderOutput(states, last)

    def first(self, rows: int, like: Tensor) -> tuple[State, ...]:
        """The states before the first word of so many sentences, zero, on the device of `like`."""
        h = like.new_zeros(rows, self.hidden_size)
        return (self.state_type._make([h] * len(self.state_type._fields)),) * self.layers

    @property
    def _is_masked(self) -> bool:
        """Whether training drops what torch's layers do not drop by themselves."""
        return self.recurrent_dropout > 0 or (self.dropout.form != "zaremba" and self.dropout.p > 0)

    def _all_layers(
        self, embedded: Tensor, lengths: Tensor, first: tuple[State, ...] | None
    ) -> tuple[Tensor, tuple[State, ...]]:
        assert self.rnn is not None
        B, S, _ = embedded.shape
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        outputs, last = self.rnn(packed, None if first is None else _stacked(first))
        states, _ = pad_packed_sequence(outputs, batch_first=True, total_length=S)
        parts = last if isinstance(last, tuple) else (last,)
        by_layer = zip(*(self._join(part, B) for part in parts), strict=True)
        return states, tuple(self.state_type._make(layer) for layer in by_layer)

    def _join(self, last: Float[Tensor, "LD B h"], B: int) -> Float[Tensor, "L B H"]:
        by_layer = last.view(self.layers, self.directions, B, -1)
        return by_layer.transpose(1, 2).reshape(self.layers, B, self.hidden_size)  # [L, D, B, h] -> [L, B, D*h]

    def _layer_by_layer(
        self, embedded: Tensor, lengths: Tensor, first: tuple[State, ...] | None
    ) -> tuple[Tensor, tuple[State, ...]]:
        states, last = embedded, []
        run = self._layer_of_cells if self.rnn is None else self._layer_of_library
        for layer in range(self.layers):
            below = self.dropout(states) if layer else states
            outputs, state = run(layer, below, lengths, None if first is None else first[layer])
            states = states + outputs if layer and self.residual else outputs
            last.append(state)
        return states, tuple(last)

    def _layer_of_cells(self, layer: int, inputs: Tensor, lengths: Tensor, first: State | None) -> tuple[Tensor, State]:
        p = self.recurrent_dropout if self.training else 0.0
        directions = [
            run_cell(cast(Cell, cell), inputs, lengths, first, is_backward=bool(direction), recurrent_dropout=p)
            for direction, cell in enumerate(cast(nn.ModuleList, self.cells[layer]))
        ]
        outputs = torch.cat([outputs for outputs, _ in directions], dim=-1)
        return outputs, map_state(lambda *parts: torch.cat(parts, dim=-1), *(state for _, state in directions))

    def _layer_of_library(
        self, layer: int, inputs: Tensor, lengths: Tensor, first: State | None
    ) -> tuple[Tensor, State]:
        """One layer of torch's, its recurrent weights dropped in training."""
        rnn = self.rnn
        assert rnn is not None
        B, S, _ = inputs.shape
        packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
        weights: list[Tensor] = []
        for suffix in ("", "_reverse")[: self.directions]:
            weight_ih, weight_hh, *biases = (
                rnn.get_parameter(f"{name}_l{layer}{suffix}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            p = self.recurrent_dropout if self.training else 0.0
            weights += [weight_ih, drop_connect(weight_hh, rnn.hidden_size, p), *biases]
        assert packed.sorted_indices is not None
        assert packed.unsorted_indices is not None
        before = (
            (inputs.new_zeros(self.directions, B, rnn.hidden_size),) * len(self.state_type._fields)
            if first is None
            else tuple(part.unsqueeze(0).index_select(1, packed.sorted_indices) for part in first)
        )
        function = getattr(torch, rnn.mode.lower())  # torch.lstm, gru, rnn_tanh, rnn_relu: what nn.LSTM itself calls
        data, *last = function(
            packed.data,
            packed.batch_sizes,
            before if len(before) > 1 else before[0],
            weights,
            True,  # has biases
            1,  # layers
            0.0,  # dropout between them
            self.training,
            self.directions == 2,
        )
        states, _ = pad_packed_sequence(packed._replace(data=data), batch_first=True, total_length=S)
        by_row = (part.index_select(1, packed.unsorted_indices) for part in last)  # [D, B, h]
        return states, self.state_type._make(part.transpose(0, 1).reshape(B, -1) for part in by_row)


def run_cell(
    cell: Cell,
    inputs: Float[Tensor, "B S I"],
    lengths: Int[Tensor, " B"],
    first: State | None = None,
    *,
    is_backward: bool = False,
    recurrent_dropout: float = 0.0,
) -> tuple[Float[Tensor, "B S h"], State]:
    """A cell over whole sentences, one step after the other: its outputs, zero on padding, and its last state."""
    B, S, _ = inputs.shape
    projected = cell.project(inputs)
    state = cell.initial_state(B, projected) if first is None else first
    is_real = torch.arange(S, device=inputs.device) < lengths.to(inputs.device).unsqueeze(1)
    product = StepProduct(drop_connect(cell.weight_recurrent, cell.hidden_size, recurrent_dropout))
    outputs: list[Tensor] = [projected] * S
    for t in reversed(range(S)) if is_backward else range(S):
        here = is_real[:, t : t + 1]
        state = map_state(
            lambda new, old, here=here: torch.where(here, new, old), cell(projected[:, t], None, state, product), state
        )
        outputs[t] = state.h.masked_fill(~here, 0)
    return torch.stack(outputs, dim=1), state


def reversed_words(x: Float[Tensor, "B S X"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B S X"]:
    """Each sentence from its last word to its first; padding stays behind."""
    return _mirrored(x, lengths.to(x.device).unsqueeze(1) - 1)


def _mirrored(x: Shaped[Tensor, "B S *X"], last: Int[Tensor, "B 1"]) -> Shaped[Tensor, "B S *X"]:
    """What lies up to `last` in the other order, the rest as it is."""
    positions = torch.arange(x.shape[1], device=x.device)
    there = torch.where(last >= positions, last - positions, positions)
    return x.take_along_dim(there.view(*there.shape, *[1] * (x.dim() - 2)), dim=1)


def reversed_before_end(x: Shaped[Tensor, "B S *X"], lengths: Int[Tensor, " B"]) -> Shaped[Tensor, "B S *X"]:
    """Each sentence from its last word to its first, the end of the sentence where it was (Sutskever et al. 2014, 3.3).

    Twice is not at all.
    """
    return _mirrored(x, lengths.to(x.device).unsqueeze(1) - 2)


def _stacked(states: tuple[State, ...]) -> Tensor | tuple[Tensor, ...]:
    """[L, B, H] of each part, as torch's layers take it."""
    parts = tuple(torch.stack(part) for part in zip(*states, strict=True))
    return parts if len(parts) > 1 else parts[0]
