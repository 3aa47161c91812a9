"""Copying words of the source: the pointer-generator (See, Liu & Manning 2017), on Luong's decoder.

Source and target share one vocabulary of V ids. A source word that is unknown has an id of its own in its sentence, V
plus the position where it stands first, so that it can be copied all the same: the model's output has V + S ids.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

UNKNOWN_ID = 3
"""The id of the unknown word in every vocabulary."""


class LogGate(NamedTuple):
    """Whether a word comes from the vocabulary or from the source."""

    generate: Float[Tensor, "*rows 1"]
    """log p_gen."""
    copy: Float[Tensor, "*rows 1"]
    """log (1 - p_gen)."""


class Copying(nn.Module):
    """P(w) = p_gen P_vocab(w) + (1 - p_gen) sum over s with x_s = w of a_t(s) (See et al. 2017, eq. 9).

    p_gen = sigmoid(w_g^T h~_t + b_g). See et al. take it from context, decoder state and decoder input (eq. 8): h~_t is
    made of the first two, and the state of the third. The attention weights must sum to one.
    """

    def __init__(self, attentional_size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(attentional_size, 1)

    def log_gate(self, vectors: Float[Tensor, "*rows A"]) -> LogGate:
        score = self.gate(vectors)
        score = score.to(torch.promote_types(score.dtype, torch.float32))
        return LogGate(functional.logsigmoid(score), functional.logsigmoid(-score))

    def forward(
        self,
        vectors: Float[Tensor, "N A"],
        logits: Float[Tensor, "N V"],
        weights: Float[Tensor, "N S"],
        words: Int[Tensor, "B S"],
    ) -> Float[Tensor, "N W"]:
        """log P over W = V + S ids, of a step of N = B * Q rows, those of one sentence together.

        `words`: the source in ids of the output; where they are padding, `weights` are 0.
        """
        (N, V), (B, S) = logits.shape, words.shape
        gate = self.log_gate(vectors)
        generated = gate.generate + torch.log_softmax(logits.to(gate.generate.dtype), dim=-1)
        copied = generated.new_zeros(N, V + S)
        copied.scatter_add_(1, words.repeat_interleave(N // B, dim=0), weights.to(copied.dtype))
        return torch.logaddexp(functional.pad(generated, (0, S), value=-torch.inf), gate.copy + copied.log())


def in_vocabulary(ids: Int[Tensor, "*rows"], size: int) -> Int[Tensor, "*rows"]:
    """What the network sees of ids: those beyond its vocabulary of so many are unknown words."""
    return ids.masked_fill(ids >= size, UNKNOWN_ID)


def copied_mass(
    weights: Float[Tensor, "B T S"], words: Int[Tensor, "B S"], targets: Int[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """The attention that lies on the target word of each step: sum over s with x_s = y_t of a_t(s)."""
    return (weights * (words.unsqueeze(1) == targets.unsqueeze(2))).sum(dim=2)
