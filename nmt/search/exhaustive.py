"""Exact search: every sequence up to a length is scored. The oracle of the other searches; cost V^length.

For a recurrent decoder this, and not Viterbi, is the optimum: Viterbi merges hypotheses with the same last token, which
is right only for scores that look no further back (a Markov chain). A plain beam as wide as the vocabulary is no
guarantee even there: it keeps the best hypotheses whatever they end in.
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
def exhaustive_search(
    stepper: Stepper,
    src: Int[Tensor, "1 S"],
    lengths: Int[Tensor, " 1"],
    *,
    max_length: int,
    bos_id: int,
    eos_id: int,
    scoring: Scoring = Scoring(),
) -> list[Hypothesis]:
    """Every hypothesis of one sentence that ends within `max_length` tokens (EOS counted), best first.

    Coverage terms are not supported: a test needs a search it can read.
    """
    assert src.shape[0] == 1
    assert scoring.coverage_penalty == 0.0
    memory: Any = stepper.encode(src, lengths)
    found: list[Hypothesis] = []

    def extend(tokens: tuple[int, ...], log_prob: float, state: Any) -> None:
        prev = torch.tensor([tokens[-1] if tokens else bos_id], device=src.device)
        candidates, state, _ = stepper.step(prev, state, memory)
        ids = range(candidates.scores.shape[1]) if candidates.ids is None else candidates.ids[0].tolist()
        for token, step_log_prob in zip(ids, candidates.scores[0].tolist(), strict=True):
            total = log_prob + step_log_prob
            if total == -torch.inf:
                continue
            length = len(tokens) + 1
            if token == eos_id:
                score = total / float(scoring.normaliser(torch.tensor(float(length))))
                found.append(Hypothesis(tokens, score, total, is_truncated=length >= max_length))
            elif length < max_length:
                extend((*tokens, token), total, state)

    extend((), 0.0, stepper.start(memory))
    return sorted(found, key=lambda hypothesis: (-hypothesis.score, hypothesis.tokens))
