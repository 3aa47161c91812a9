"""The encoder: a stacked, uni- or bidirectional LSTM over embedded source sentences. Knows nothing of the decoder."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.model.cells import LSTMState, State


class EncoderOutput(NamedTuple):
    """What the decoder gets to see."""

    states: Float[Tensor, "B S H"]
    """The top layer's outputs (both directions side by side); zero on padding."""
    last: tuple[State, ...]
    """The state of every layer at the end of each direction (both side by side), bottom layer first."""


class Encoder(nn.Module):
    """Sentences are packed: padding never enters the recurrence, and outputs do not depend on who shares the batch."""

    def __init__(
        self, input_size: int, hidden_size: int, layers: int, *, bidirectional: bool = True, dropout: float = 0.0
    ) -> None:
        """`hidden_size`: H of the output; each direction of a bidirectional encoder has H / 2."""
        super().__init__()
        assert hidden_size % 2 == 0 or not bidirectional
        self.hidden_size = hidden_size
        self.layers = layers
        self.directions = 2 if bidirectional else 1
        self.rnn = nn.LSTM(
            input_size,
            hidden_size // self.directions,
            layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if layers > 1 else 0.0,
        )

    def forward(self, embedded: Float[Tensor, "B S E"], lengths: Int[Tensor, " B"]) -> EncoderOutput:
        """`lengths` of 1 to S, in any order."""
        B, S, _ = embedded.shape
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        outputs, (h, c) = self.rnn(packed)
        states, _ = pad_packed_sequence(outputs, batch_first=True, total_length=S)
        last = zip(self._join(h, B), self._join(c, B), strict=True)
        return EncoderOutput(states, tuple(LSTMState(*parts) for parts in last))

    def _join(self, last: Float[Tensor, "LD B h"], B: int) -> Float[Tensor, "L B H"]:
        by_layer = last.view(self.layers, self.directions, B, -1)
        return by_layer.transpose(1, 2).reshape(self.layers, B, self.hidden_size)  # [L, D, B, h] -> [L, B, D*h]
