"""Forced decoding: what a model thinks of translations that are known, by the very steps that a search takes.

Scores given targets, and tells what the network attends to on its way through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nmt.search.scoring import Scoring
from nmt.search.stepper import Stepper


@dataclass(frozen=True)
class Forced:
    """A given target under a model."""

    tokens: tuple[int, ...]
    """Without BOS and EOS."""
    log_probs: tuple[float, ...]
    """log p of each token after those before it, that of EOS last; -inf where the model may not generate it."""
    score: float
    """After length and coverage terms, as a search would score it."""
    attention: Float[Tensor, "T S"]
    """Weights of each step, that of EOS last."""

    @property
    def log_prob(self) -> float:
        """log p(y | x), that of EOS included."""
        return sum(self.log_probs)


@torch.no_grad()
def score_targets(
    stepper: Stepper,
    src: Int[Tensor, "B S"],
    lengths: Int[Tensor, " B"],
    targets: Sequence[Sequence[int]],
    *,
    bos_id: int,
    eos_id: int,
    scoring: Scoring = Scoring(),
) -> list[Forced]:
    """Each target (without BOS and EOS; it may be empty) given its source: log p, score and attention.

    The stepper gives all candidates (`ids` None), best one that allows any token: what is barred has no probability.
    """
    assert len(targets) == len(src)
    memory: Any = stepper.encode(src, lengths)
    state: Any = stepper.start(memory)
    log_probs: list[list[float]] = [[] for _ in targets]
    attended: list[list[Tensor]] = [[] for _ in targets]
    order = list(range(len(targets)))
    prev = torch.full((len(targets),), bos_id, device=src.device)
    step = 0
    while order:
        candidates, state, weights = stepper.step(prev, state, memory)
        assert candidates.ids is None
        ends_now = [step == len(targets[i]) for i in order]
        prev = torch.tensor(
            [eos_id if end else targets[i][step] for i, end in zip(order, ends_now, strict=True)], device=src.device
        )
        chosen = candidates.scores.gather(1, prev.unsqueeze(1)).squeeze(1).tolist()
        for i, log_prob, row in zip(order, chosen, weights.cpu(), strict=True):
            log_probs[i].append(log_prob)
            attended[i].append(row)
        if any(ends_now):
            going = torch.tensor([k for k, end in enumerate(ends_now) if not end], dtype=torch.long, device=src.device)
            order = [order[k] for k in going.tolist()]
            prev = prev.index_select(0, going)
            if order:
                state, memory = state.select(going), memory.select(going)
        step += 1
    results = zip(targets, log_probs, attended, lengths.tolist(), strict=True)
    return [_forced(tokens, logs, torch.stack(rows)[:, :length], scoring) for tokens, logs, rows, length in results]


def _forced(
    tokens: Sequence[int], log_probs: Sequence[float], attention: Float[Tensor, "T S"], scoring: Scoring
) -> Forced:
    divisor = float(scoring.normaliser(torch.tensor(float(len(log_probs)))))
    covered = attention.sum(dim=0)
    coverage = float(scoring.coverage(covered, torch.ones_like(covered, dtype=torch.bool)))
    return Forced(tuple(tokens), tuple(log_probs), sum(log_probs) / divisor + coverage, attention)
