"""Several models as one: a log-linear combination of what they say of the next token.

A `Stepper` over others, so that every search works with it unchanged. The models may differ in everything but their
target vocabulary; each reads the source in its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from nmt.search.stepper import Candidates, Encoded, Stepper

Reader = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From sentences [B, S] and lengths [B] as the first model reads them to another's [B, S'] and [B]."""


class Memories(NamedTuple):
    """The members' memories of the same sentences."""

    members: tuple[Any, ...]

    def select(self, sentences: Int[Tensor, " b"]) -> Memories:
        return Memories(tuple(member.select(sentences) for member in self.members))


class States(NamedTuple):
    """The members' states of the same hypotheses."""

    members: tuple[Any, ...]

    def select(self, rows: Int[Tensor, " n"]) -> States:
        return States(tuple(member.select(rows) for member in self.members))


class Ensemble:
    """log p(y_t | y_<t, x) = sum_m w_m log p_m(y_t | y_<t, x) - log Z_t, with w_m > 0 and sum_m w_m = 1.

    Z_t = sum_y prod_m p_m(y | y_<t, x)^(w_m) is at most 1: the less the members agree, the smaller. Dividing by it
    makes this a distribution again, so that scores stay log-probabilities and no hypothesis is charged for
    disagreement.
    For members p_m = softmax(z_m) it is the softmax of sum_m w_m z_m.

    What one member gives no probability has none here. Where all members have shortlists, each may use what is in
    anybody's; where one has none, nobody's counts.
    """

    def __init__(
        self,
        members: Sequence[Stepper],
        weights: Sequence[float],
        *,
        allowed: Bool[Tensor, " V"] | None = None,
        readers: Sequence[Reader | None] = (),
    ) -> None:
        """`members` give all candidates. `allowed`: tokens that may ever be generated.

        `readers`: one for each member, None for one that reads what the first reads. Attention is the weighted mean of
        those that do, since that of others is over other positions.
        """
        readers = readers or [None] * len(members)
        assert len(members) == len(weights) == len(readers) > 0
        assert readers[0] is None
        assert min(weights) > 0
        assert abs(sum(weights) - 1) < 1e-6
        self.members, self.weights, self.readers = tuple(members), tuple(weights), tuple(readers)
        self.allowed = None if allowed is None else allowed.unsqueeze(0)

    def encode(self, src: Int[Tensor, "B S"], lengths: Int[Tensor, " B"]) -> Memories:
        sources = [(src, lengths) if reader is None else reader(src, lengths) for reader in self.readers]
        memories = [member.encode(*source) for member, source in zip(self.members, sources, strict=True)]
        return Memories(_with_shared_words(memories))

    def start(self, memory: Memories) -> States:
        return States(tuple(member.start(own) for member, own in zip(self.members, memory.members, strict=True)))

    def step(
        self, prev: Int[Tensor, " N"], state: States, memory: Memories, allowed: Bool[Tensor, "#N V"] | None = None
    ) -> tuple[Candidates, States, Float[Tensor, "N S"]]:
        steps = [
            member.step(prev, own_state, own_memory)  # masks come after normalisation, as for a model alone
            for member, own_state, own_memory in zip(self.members, state.members, memory.members, strict=True)
        ]
        assert all(candidates.ids is None for candidates, _, _ in steps)
        assert len({candidates.scores.shape for candidates, _, _ in steps}) == 1, "the models' vocabularies differ"
        log_probs = torch.zeros_like(steps[0][0].scores)
        for weight, (candidates, _, _) in zip(self.weights, steps, strict=True):
            log_probs = log_probs + weight * candidates.scores
        log_z = torch.logsumexp(log_probs, dim=1, keepdim=True)
        log_probs = log_probs - log_z.masked_fill(log_z == -torch.inf, 0.0)  # no token has the members' consent
        for mask in (self.allowed, allowed):
            if mask is not None:
                log_probs = log_probs.masked_fill(~mask, -torch.inf)
        return Candidates(log_probs), States(tuple(own for _, own, _ in steps)), self._attention([w for *_, w in steps])

    def _attention(self, weights: Sequence[Float[Tensor, "N _"]]) -> Float[Tensor, "N S"]:
        """The weighted mean over the members that read what the first reads."""
        shares = [0.0 if reader is not None else own for own, reader in zip(self.weights, self.readers, strict=True)]
        mean = torch.zeros_like(weights[0])
        for share, own in zip(shares, weights, strict=True):
            if share:
                mean = mean + share / sum(shares) * own
        return mean


def _with_shared_words(memories: Sequence[Any]) -> tuple[Any, ...]:
    """Memories of members with shortlists with the union of these, or without any where one has none."""
    words = [memory.words if isinstance(memory, Encoded) else None for memory in memories]
    masks = [mask for mask in words if mask is not None]
    union = torch.stack(masks).any(dim=0) if len(masks) == len(words) else None
    return tuple(memory._replace(words=union) if isinstance(memory, Encoded) else memory for memory in memories)
