"""Viterbi search: dynamic programming over the last token. Exact where scores look no further back than that.

Viterbi 1967. Two hypotheses of a length that end in the same token have the same future under a Markov score, so the
worse one may be forgotten: V hypotheses are enough. A recurrent decoder's state depends on the whole prefix; there the
result is a guess (a beam that keeps the best of each last token), and `exact` is the search that proves an optimum.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from nmt.search.beam import Hypothesis
from nmt.search.scoring import Scoring
from nmt.search.stepper import Stepper


@torch.no_grad()
def viterbi_search(
    stepper: Stepper,
    src: Int[Tensor, "1 S"],
    lengths: Int[Tensor, " 1"],
    *,
    max_length: int,
    bos_id: int,
    eos_id: int,
    scoring: Scoring = Scoring(),
) -> Hypothesis | None:
    """The best hypothesis of one sentence within `max_length` tokens (EOS counted), or None where none can end.

    Cost: s * V rows stepped and s * V^2 numbers compared for s tokens. With a length penalty it is exact all the same:
    the divisor is that of the step, so the best of a step is the best of its length. No coverage terms: they look back.
    """
    assert src.shape[0] == 1
    assert scoring.coverage_penalty == 0.0
    memory: Any = stepper.encode(src, lengths)
    state: Any = stepper.start(memory)
    prev, log_probs = torch.tensor([bos_id], device=src.device), torch.zeros(1, device=src.device)
    paths: list[tuple[int, ...]] = [()]
    best: Hypothesis | None = None
    for length in range(1, max_length + 1):
        candidates, state, _ = stepper.step(prev, state, memory)
        assert candidates.ids is None
        totals = log_probs.unsqueeze(1) + candidates.scores  # [rows, V]
        into, parents = totals.max(dim=0)
        ended = float(into[eos_id])
        score = ended / float(scoring.normaliser(torch.tensor(float(length))))
        if ended > -torch.inf and (best is None or score > best.score):
            best = Hypothesis(paths[int(parents[eos_id])], score, ended, is_truncated=length >= max_length)
        into[eos_id] = -torch.inf
        prev = (into > -torch.inf).nonzero().flatten()
        if len(prev) == 0:
            break
        log_probs, kept = into[prev], parents[prev]
        paths = [(*paths[parent], token) for parent, token in zip(kept.tolist(), prev.tolist(), strict=True)]
        state = state.select(kept)
    return best
