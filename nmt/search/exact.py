"""Exact search without trying everything: depth first, bounded by the best hypothesis so far.

Stahlberg & Byrne 2019 ("On NMT search errors and model errors: cat got your tongue?"), algorithm 1. log p only falls as
a hypothesis grows, so a prefix that is worse than a finished hypothesis can be left with all that begins with it. Works
for every decoder; how long it takes depends on how sure the model is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nmt.search.beam import Hypothesis
from nmt.search.scoring import Scoring
from nmt.search.stepper import Stepper

AT_ONCE = 64
"""Prefixes stepped together. The likeliest go first: what they lead to bounds the others."""


@dataclass(frozen=True)
class Exact:
    """What exact search knows in the end."""

    best: Hypothesis | None
    """None where nothing beats the bound that it was given."""
    is_proven: bool
    """Nothing is better. False where the budget was spent before all was ruled out."""
    steps: int
    """Prefixes that were extended."""


@torch.no_grad()
def exact_search(
    stepper: Stepper,
    src: Int[Tensor, "1 S"],
    lengths: Int[Tensor, " 1"],
    *,
    max_length: int,
    bos_id: int,
    eos_id: int,
    scoring: Scoring = Scoring(),
    bound: float = -torch.inf,
    budget: int | None = None,
    min_length: int = 0,
) -> Exact:
    """The best hypothesis of one sentence within `max_length` tokens (EOS counted).

    `bound`: a score that a hypothesis is known to reach, a beam's say: only better ones are looked for. `budget`: most
    prefixes to extend. With a length penalty a prefix is bounded by log p / lp(max_length), as beam search bounds it.
    Coverage terms are not supported.
    """
    assert src.shape[0] == 1
    assert scoring.coverage_penalty == 0.0
    memory: Any = stepper.encode(src, lengths)
    search = _Search(stepper, memory, max_length, min_length, eos_id, scoring, bound, budget)
    is_proven = search.extend([()], torch.zeros(1), torch.tensor([bos_id], device=src.device), stepper.start(memory))
    return Exact(search.best, is_proven, search.steps)


class _Search:
    def __init__(
        self,
        stepper: Stepper,
        memory: Any,
        max_length: int,
        min_length: int,
        eos_id: int,
        scoring: Scoring,
        bound: float,
        budget: int | None,
    ) -> None:
        self.stepper, self.memory = stepper, memory
        self.max_length, self.min_length, self.eos_id = max_length, min_length, eos_id
        self.divisors = scoring.normaliser(torch.arange(max_length + 1)).tolist()
        self.bound, self.budget = bound, budget
        self.best: Hypothesis | None = None
        self.steps = 0

    def extend(
        self, prefixes: list[tuple[int, ...]], log_probs: Float[Tensor, " n"], prev: Int[Tensor, " n"], state: Any
    ) -> bool:
        """Try all that begins with prefixes of one length, best first; whether that was done to the end."""
        if self.budget is not None and self.steps + len(prefixes) > self.budget:
            return False
        self.steps += len(prefixes)
        candidates, state, _ = self.stepper.step(prev, state, self.memory)
        assert candidates.ids is None
        totals = log_probs.unsqueeze(1) + candidates.scores.cpu()  # [n, V]
        length = len(prefixes[0]) + 1
        if length > self.min_length:
            self._finish(prefixes, totals[:, self.eos_id], length)
        if length == self.max_length:
            return True
        totals[:, self.eos_id] = -torch.inf
        ranked, places = totals.flatten().sort(descending=True)
        for first in range(0, len(ranked), AT_ONCE):
            group = ranked[first : first + AT_ONCE]
            # the bound rises while groups before this one are tried
            hopeful = group[group / self.divisors[self.max_length] > self.bound]
            if len(hopeful) == 0 or float(hopeful[0]) == -torch.inf:
                break
            where = places[first : first + len(hopeful)]
            parents, tokens = where // totals.shape[1], where % totals.shape[1]
            longer = [(*prefixes[p], t) for p, t in zip(parents.tolist(), tokens.tolist(), strict=True)]
            on_device = parents.to(prev.device)
            if not self.extend(longer, hopeful, tokens.to(prev.device), state.select(on_device)):
                return False
        return True

    def _finish(self, prefixes: list[tuple[int, ...]], log_probs: Float[Tensor, " n"], length: int) -> None:
        log_prob, at = log_probs.max(dim=0)
        score = float(log_prob) / self.divisors[length]
        if score > self.bound:
            self.bound = score
            self.best = Hypothesis(prefixes[int(at)], score, float(log_prob), is_truncated=length >= self.max_length)
