"""Text drawn from a language model, on from a beginning. Sees the model as fusion does (`nmt.search.fusion`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from nmt.search.fusion import LanguageModel
from nmt.search.sampling import draw, truncate


@torch.no_grad()
def continue_text(
    model: LanguageModel,
    beginning: Sequence[int],
    *,
    seeds: Sequence[int],
    max_tokens: int,
    bos_id: int,
    eos_id: int,
    allowed: Bool[Tensor, " V"],
    runs_on: bool = False,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> list[list[int]]:
    """A continuation for each seed, without the beginning: at most so many tokens, EOS where a line ends.

    EOS is the end or, with `runs_on`, that of a line, after which the next one begins with BOS and the state goes on.
    Tokens that are not `allowed` are never drawn. What a seed gives does not depend on the others. The last three
    arguments are those of `truncate`.
    """
    N, device = len(seeds), allowed.device
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    state = model.start(N)
    read = [bos_id, *(bos_id if token == eos_id else token for token in beginning)]
    for token in read[:-1]:
        _, state = model.step(torch.full((N,), token, device=device), state)
    prev = torch.full((N,), read[-1], device=device)
    texts: list[list[int]] = [[] for _ in seeds]
    has_ended = torch.zeros(N, dtype=torch.bool)
    for _ in range(max_tokens):
        logits, state = model.step(prev, state)
        log_probs = torch.log_softmax(logits.float(), dim=-1).masked_fill(~allowed, -torch.inf)
        choice = truncate(log_probs, temperature=temperature, top_k=top_k, top_p=top_p)
        uniform = torch.cat([torch.rand(1, generator=own, dtype=torch.float64) for own in generators])
        tokens = draw(choice, uniform.to(device))
        for text, token, ended in zip(texts, tokens.tolist(), has_ended.tolist(), strict=True):
            if not ended:
                text.append(token)
        if not runs_on:
            has_ended |= (tokens == eos_id).cpu()
            if bool(has_ended.all()):
                break
        prev = torch.where(tokens == eos_id, bos_id, tokens)
    return texts
