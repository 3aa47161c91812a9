"""How finished hypotheses are compared: length and coverage terms. Higher is better; `length` counts EOS."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor


@dataclass(frozen=True)
class Scoring:
    """score = log p / lp(length) + cp, with lp = ((5 + length) / 6)^alpha and cp = beta sum_s log min(sum_t a_t(s), 1).

    Wu et al. 2016, eq. 14. alpha = 0 compares plain log-probabilities.
    """

    length_penalty: float = 0.0
    coverage_penalty: float = 0.0

    def normaliser(self, length: Num[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        """lp, the divisor of a log-probability."""
        return ((5.0 + length) / 6.0) ** self.length_penalty

    def coverage(self, attended: Float[Tensor, "*rows S"], mask: Bool[Tensor, "*rows S"]) -> Float[Tensor, "*rows"]:
        """cp of attention summed over the steps so far; never positive."""
        terms = attended.clamp(min=1e-6, max=1.0).log()
        return self.coverage_penalty * torch.where(mask, terms, torch.zeros_like(terms)).sum(dim=-1)
