"""First weights of every kind of model (docs/model.md says what each rule is worth)."""

from __future__ import annotations

import re

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nmt.model.cells import Cell

_READS_WORDS = re.compile(r"\.(weight_ih_l0(_reverse)?|cells\.0\.(\d+\.)?weight_input)$")
"""Names of the matrices whose input is an embedding: those of first layers."""
_READS_LAYER_BELOW = re.compile(
    r"\.(weight_ih_l[1-9]\d*(_reverse)?|cells\.[1-9]\d*\.((\d+\.)?weight_input|weight_feed|weight_recurrent))$"
)
"""Names of the matrices that read another layer's h, or that have columns for it before the recurrent ones."""


@torch.no_grad()
def initialise(model: nn.Module, init_range: float, forget_bias: float, deviation: float) -> None:
    """Draw all weights: uniform in ±init_range, or, where that is 0, fitted to each matrix's use.

    Fitted means: recurrent blocks orthogonal (Saxe et al. 2014), other matrices Xavier-uniform (Glorot & Bengio 2010),
    embeddings normal with deviation E^-1/2, as their use in the output layer wants it. Xavier counts on inputs of
    deviation 1, so matrices that read something smaller are wider: by E^1/2 those that read embeddings (Vaswani et al.
    2017, 3.4, widen the embeddings), by 1 / `deviation` those that read the layer below, whose h has it. Without that
    words hardly move the gates at first, and attention has nothing to tell them apart by. Biases are 0 but the forget
    gates' (Jozefowicz et al. 2015: 1 learns longer spans); what else is no matrix is the cell's matter
    (`Cell.reset_vectors`).
    """
    cells = [module for module in model.modules() if isinstance(module, Cell)]
    hidden = {id(cell.weight_recurrent): cell.hidden_size for cell in cells}
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            weight.zero_()
        elif init_range:
            weight.uniform_(-init_range, init_range)
        elif "embedding" in name or name == "output.weight":
            weight.normal_(std=weight.shape[1] ** -0.5)
        else:
            nn.init.xavier_uniform_(weight, gain=_gain(name, weight, deviation))
            if "weight_hh" in name or "weight_recurrent" in name:
                _make_blocks_orthogonal(weight, hidden.get(id(weight), weight.shape[1]))
    for cell in cells:
        cell.reset_vectors(init_range, forget_bias)
    for module in model.modules():
        if isinstance(module, nn.LSTM):
            for name, bias in module.named_parameters():
                if name.startswith("bias_ih"):  # of the two that are added up
                    bias[module.hidden_size : 2 * module.hidden_size] = forget_bias


def _gain(name: str, weight: Tensor, deviation: float) -> float:
    """One over the deviation of what a matrix reads."""
    if _READS_WORDS.search(name):
        return float(weight.shape[1] ** 0.5)
    return 1 / deviation if _READS_LAYER_BELOW.search(name) else 1.0


def _make_blocks_orthogonal(weight: Float[Tensor, "GH R"], hidden: int) -> None:
    """Each gate's square block on h; its block on a fed input, the columns before it, stays."""
    for rows in weight.split(hidden):
        nn.init.orthogonal_(rows[:, -hidden:])
