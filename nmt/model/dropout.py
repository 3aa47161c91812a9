"""Dropout in its forms: with masks drawn anew at every step, and with one that a sequence keeps. Has no weights.

All of it is inverted: what is kept is divided by 1 - p, so that nothing need be scaled where nothing is dropped. Masks
come from torch's random state.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

FORMS = ("zaremba", "variational")


class Dropout(nn.Module):
    """Dropout of one connection that is not recurrent.

    `zaremba` (Zaremba et al. 2014): every element at every step for itself. `variational` (Gal & Ghahramani 2016): what
    is dropped at one step of a sequence is dropped at all of them.
    """

    def __init__(self, p: float, form: str = "zaremba") -> None:
        super().__init__()
        assert form in FORMS
        self.p = p
        self.form = form

    def forward(self, x: Float[Tensor, "*rows X"]) -> Float[Tensor, "*rows X"]:
        """Of whole sequences, [B, T, X]; `zaremba` of any shape."""
        if not self.training or not self.p:
            return x
        if self.form == "zaremba":
            return functional.dropout(x, self.p)
        assert x.dim() == 3, "the steps of a sequence share a mask: over_steps"
        return x * functional.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.p)

    def over_steps(self) -> Callable[[Tensor], Tensor]:
        """The same for the steps of one batch of sequences, given one after the other, [N, X] each."""
        if self.form == "zaremba" or not self.training or not self.p:
            return self
        masks: list[Tensor] = []

        def drop(x: Tensor) -> Tensor:
            if not masks:
                masks.append(functional.dropout(torch.ones_like(x), self.p))
            return x * masks[0]

        return drop


def drop_connect(weight: Float[Tensor, "GH R"], hidden: int, p: float) -> Float[Tensor, "GH R"]:
    """A recurrent weight for one batch of sequences: its block on h, the last `hidden` columns, with elements dropped.

    DropConnect of Merity, Keskar & Socher 2018 (the weight-dropped LSTM). Gal & Ghahramani drop elements of h instead;
    dropped weights leave the steps as they are, so torch's fused layers can take them.
    """
    if not p:
        return weight
    kept = functional.dropout(weight[:, -hidden:], p)
    return kept if hidden == weight.shape[1] else torch.cat((weight[:, :-hidden], kept), dim=1)
