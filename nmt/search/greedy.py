"""Greedy search: the likeliest token at every step. Beam search of size 1, without its bookkeeping."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from nmt.search.stepper import Stepper


@torch.no_grad()
def greedy_search(
    stepper: Stepper,
    src: Int[Tensor, "B S"],
    lengths: Int[Tensor, " B"],
    *,
    max_length: Int[Tensor, " B"],
    bos_id: int,
    eos_id: int,
) -> list[list[int]]:
    """The tokens of each sentence, without BOS and EOS; at most max_length - 1 of them."""
    memory: Any = stepper.encode(src, lengths)
    state: Any = stepper.start(memory)
    order = torch.arange(src.shape[0], device=src.device)
    prev = torch.full_like(order, bos_id)
    tokens: list[list[int]] = [[] for _ in range(src.shape[0])]
    for step in range(1, int(max_length.max())):
        candidates, state, _ = stepper.step(prev, state, memory)
        best = candidates.scores.argmax(dim=-1)
        prev = best if candidates.ids is None else candidates.ids.gather(1, best.unsqueeze(1)).squeeze(1)
        for sentence, token in zip(order.tolist(), prev.tolist(), strict=True):
            if token != eos_id:
                tokens[sentence].append(token)
        going = ((prev != eos_id) & (step + 1 < max_length)).nonzero().flatten()
        if len(going) == 0:
            break
        if len(going) < len(order):
            state, memory = state.select(going), memory.select(going)
            prev, order, max_length = (part.index_select(0, going) for part in (prev, order, max_length))
    return tokens
