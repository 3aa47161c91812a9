"""Translations drawn from the model's distribution instead of looked for: temperature, top-k and nucleus sampling.

Every sentence draws from a generator of its own, so that what it gets depends neither on its batch mates nor on their
number. Scores are the model's own, whatever the distribution that was drawn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nmt.search.beam import Hypothesis, constrain
from nmt.search.constraints import Constraints, next_of_prefix, open_tokens
from nmt.search.scoring import Scoring
from nmt.search.stepper import Candidates, Stepper


def truncate(
    log_probs: Float[Tensor, "N V"], *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Float[Tensor, "N V"]:
    """The log-probabilities that are drawn from: p^(1/temperature), then the likeliest tokens alone, summing to one.

    `temperature` above 0. `top_k`: so many tokens at most (Fan et al. 2018); 0: all. `top_p`: the fewest tokens that
    have this share of the mass together (Holtzman et al. 2020, "nucleus"), of what top-k has left; 1: all.
    """
    assert temperature > 0
    assert 0 < top_p <= 1
    log_probs = torch.log_softmax(log_probs / temperature, dim=-1)
    if 0 < top_k < log_probs.shape[1]:
        best = log_probs.topk(top_k, dim=-1).indices
        log_probs = _only(log_probs, best, torch.ones_like(best, dtype=torch.bool))
    if top_p < 1:
        ranked, order = log_probs.sort(dim=-1, descending=True)
        mass = ranked.exp().cumsum(dim=-1) - ranked.exp()  # of all that are likelier
        log_probs = _only(log_probs, order, mass < top_p)
    return log_probs


def _only(log_probs: Tensor, ids: Tensor, is_kept: Tensor) -> Tensor:
    """The distribution over some tokens alone."""
    mask = torch.zeros_like(log_probs, dtype=torch.bool).scatter(1, ids, is_kept)
    return torch.log_softmax(log_probs.masked_fill(~mask, -torch.inf), dim=-1)


def draw(log_probs: Float[Tensor, "N V"], uniform: Float[Tensor, " N"]) -> Int[Tensor, " N"]:
    """A token a row by the inverse of the cumulative distribution at numbers from 0 up to 1."""
    mass = log_probs.double().exp().cumsum(dim=-1)
    total = mass[:, -1:]
    found = torch.searchsorted(mass, uniform.double().unsqueeze(1) * total, right=True).squeeze(1)
    # rounding may carry a number that is almost 1 past the end: the last token with any mass is meant
    last = (mass < total).sum(dim=-1)
    return torch.minimum(found, last)


@torch.no_grad()
def sample(
    stepper: Stepper,
    src: Int[Tensor, "B S"],
    lengths: Int[Tensor, " B"],
    *,
    samples: int,
    seeds: Sequence[int],
    max_length: Int[Tensor, " B"],
    bos_id: int,
    eos_id: int,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    scoring: Scoring = Scoring(),
    min_length: int = 0,
    with_attention: bool = False,
    constraints: Constraints | None = None,
) -> list[list[Hypothesis]]:
    """So many independent samples of each sentence, best first by score; the same one may come several times.

    `seeds`: one a sentence. The other arguments are those of `truncate` and of `beam_search`.
    """
    B, N = src.shape[0], src.shape[0] * samples
    assert len(seeds) == B
    device = src.device
    memory: Any = stepper.encode(src, lengths)
    state: Any = stepper.start(memory).select(torch.arange(B, device=device).repeat_interleave(samples))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    log_probs = torch.zeros(N, device=device)
    written = torch.full((N, 1), bos_id, device=device)  # BOS first
    attended: list[Tensor] = []
    has_ended = torch.zeros(N, dtype=torch.bool, device=device)
    limit = max_length.repeat_interleave(samples)
    for step in range(int(max_length.max())):
        choice = only = None
        if constraints is not None:
            steps = torch.full((B,), step, device=device)
            choice = open_tokens(constraints, written[:, 1:].view(B, samples, step), steps)
            only = next_of_prefix(constraints, steps).repeat_interleave(samples)
        candidates, state, weights = stepper.step(written[:, -1], state, memory, choice)
        must_go_on = torch.full_like(has_ended, step < min_length)
        candidates = constrain(candidates, eos_id, must_go_on=must_go_on, must_end=step + 1 >= limit, only=only)
        tokens, chosen = _draw_all(candidates, generators, samples, temperature=temperature, top_k=top_k, top_p=top_p)
        log_probs = log_probs + chosen.masked_fill(has_ended, 0.0)
        has_ended = has_ended | (tokens == eos_id)
        written = torch.cat((written, tokens.unsqueeze(1)), dim=1)
        if with_attention or scoring.coverage_penalty:
            attended.append(weights)
        if bool(has_ended.all()):
            break
    attention = torch.stack(attended, dim=1).cpu() if attended else None  # [N, T, S]
    found: list[list[Hypothesis]] = []
    for b in range(B):
        rows = range(b * samples, (b + 1) * samples)
        drawn = [
            _hypothesis(
                written[row, 1:].tolist(),
                float(log_probs[row]),
                None if attention is None else attention[row, :, : int(lengths[b])],
                eos_id=eos_id,
                max_length=int(max_length[b]),
                scoring=scoring,
                with_attention=with_attention,
            )
            for row in rows
        ]
        # without a probability: constraints have left no token to go on with
        found.append(sorted((h for h in drawn if h.log_prob > -torch.inf), key=lambda h: -h.score))
    return found


def _draw_all(
    candidates: Candidates, generators: Sequence[torch.Generator], samples: int, **choices: Any
) -> tuple[Int[Tensor, " N"], Float[Tensor, " N"]]:
    """A token for each sample, and its log-probability under the model. `choices`: those of `truncate`."""
    scores = candidates.scores
    uniform = torch.cat([torch.rand(samples, generator=own, dtype=torch.float64) for own in generators])
    places = draw(truncate(scores, **choices), uniform.to(scores.device)).unsqueeze(1)
    tokens = places if candidates.ids is None else candidates.ids.gather(1, places)
    return tokens.squeeze(1), scores.gather(1, places).squeeze(1)


def _hypothesis(
    written: Sequence[int],
    log_prob: float,
    attention: Float[Tensor, "T S"] | None,
    *,
    eos_id: int,
    max_length: int,
    scoring: Scoring,
    with_attention: bool,
) -> Hypothesis:
    """What was written up to the first EOS, with its score."""
    length = list(written).index(eos_id) + 1
    score = log_prob / float(scoring.normaliser(torch.tensor(float(length))))
    if attention is not None:
        attention = attention[:length]
        covered = attention.sum(dim=0)
        score += float(scoring.coverage(covered, torch.ones_like(covered, dtype=torch.bool)))
    return Hypothesis(
        tokens=tuple(written[: length - 1]),
        score=score,
        log_prob=log_prob,
        attention=attention if with_attention else None,
        is_truncated=length >= max_length,
    )
