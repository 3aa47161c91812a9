"""Luong's attention: scores, global and local alignment. Remembers nothing: keys go in and weights come out.

Luong, Pham & Manning 2015, section 3. A query is a decoder state h_t; there are Q of them a sentence (target steps in
training, hypotheses in search), all sharing one memory, so keys are projected once a sentence and never once a beam.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class Memory(NamedTuple):
    """The encoded source sentences, and what attention needs of them at every step."""

    states: Float[Tensor, "B S H"]
    """Encoder outputs; zero on padding."""
    keys: Float[Tensor, "B S H"]
    """`Score.keys(states)`."""
    mask: Bool[Tensor, "B S"]
    """True on real tokens."""
    lengths: Int[Tensor, " B"]
    words: Int[Tensor, "B S"] | None = None
    """The source's ids, where a model copies them (`nmt.model.copy`)."""

    def select(self, sentences: Int[Tensor, " b"]) -> Memory:
        """The memory of some sentences, in the order given."""
        return Memory._make(None if part is None else part.index_select(0, sentences) for part in self)


class Score(nn.Module):
    """score(h_t, h_s): how well target step t matches source position s."""

    def __init__(self, hidden_size: int, max_length: int) -> None:
        """`max_length`: how long a source may be for a score that has weights for its positions."""
        super().__init__()

    def keys(self, states: Float[Tensor, "B S H"]) -> Float[Tensor, "B S H"]:
        """What of the score depends on the source alone."""
        return states

    def forward(self, query: Float[Tensor, "B Q H"], keys: Float[Tensor, "B S H"]) -> Float[Tensor, "B Q S"]:
        raise NotImplementedError


class Dot(Score):
    """h_t^T h_s (eq. 8)."""

    def forward(self, query: Float[Tensor, "B Q H"], keys: Float[Tensor, "B S H"]) -> Float[Tensor, "B Q S"]:
        return query @ keys.transpose(1, 2)


class General(Dot):
    """h_t^T W_a h_s (eq. 8). W_a h_s is the key."""

    def __init__(self, hidden_size: int, max_length: int) -> None:
        super().__init__(hidden_size, max_length)
        self.weight = nn.Linear(hidden_size, hidden_size, bias=False)

    def keys(self, states: Float[Tensor, "B S H"]) -> Float[Tensor, "B S H"]:
        keys: Tensor = self.weight(states)
        return keys


class Concat(Score):
    """v_a^T tanh(W_a [h_t; h_s]) (eq. 8). W_a's source half applied to h_s is the key."""

    def __init__(self, hidden_size: int, max_length: int) -> None:
        super().__init__(hidden_size, max_length)
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.source = nn.Linear(hidden_size, hidden_size, bias=False)
        self.v = nn.Linear(hidden_size, 1, bias=False)

    def keys(self, states: Float[Tensor, "B S H"]) -> Float[Tensor, "B S H"]:
        keys: Tensor = self.source(states)
        return keys

    def forward(self, query: Float[Tensor, "B Q H"], keys: Float[Tensor, "B S H"]) -> Float[Tensor, "B Q S"]:
        scores: Tensor = self.v(torch.tanh(self.query(query).unsqueeze(2) + keys.unsqueeze(1)))
        return scores.squeeze(-1)


class Location(Score):
    """W_a h_t (eq. 9): positions are scored from the target state alone, the source words are not looked at.

    W_a has a row for each of the first `max_length` positions; later positions get no weight.
    """

    def __init__(self, hidden_size: int, max_length: int) -> None:
        super().__init__(hidden_size, max_length)
        self.weight = nn.Linear(hidden_size, max_length, bias=False)

    def forward(self, query: Float[Tensor, "B Q H"], keys: Float[Tensor, "B S H"]) -> Float[Tensor, "B Q S"]:
        scores: Tensor = self.weight(query)
        missing = keys.shape[1] - scores.shape[-1]
        if missing <= 0:
            return scores[..., : keys.shape[1]]
        return nn.functional.pad(scores, (0, missing), value=-math.inf)


class GlobalAttention(nn.Module):
    """a_t(s) = softmax_s score(h_t, h_s) over the whole source (eq. 7)."""

    def __init__(self, score: Score) -> None:
        super().__init__()
        self.score = score

    def forward(
        self, query: Float[Tensor, "B Q H"], memory: Memory, position: Int[Tensor, "B Q"]
    ) -> tuple[Float[Tensor, "B Q H"], Float[Tensor, "B Q S"]]:
        """The context c_t = sum_s a_t(s) h_s and the weights a_t. `position`: t, from 0 (only local-m reads it)."""
        weights = self.align(query, memory, position)
        return weights.to(memory.states.dtype) @ memory.states, weights

    def align(
        self, query: Float[Tensor, "B Q H"], memory: Memory, position: Int[Tensor, "B Q"]
    ) -> Float[Tensor, "B Q S"]:
        return masked_softmax(self.score(query, memory.keys), memory.mask.unsqueeze(1))


class LocalMonotonic(GlobalAttention):
    """local-m (section 3.2): only positions p_t - D to p_t + D, where p_t = t.

    Past the end of the source p_t stays on its last word; the paper leaves that case open.
    """

    def __init__(self, score: Score, window: int) -> None:
        super().__init__(score)
        self.window = window

    def align(
        self, query: Float[Tensor, "B Q H"], memory: Memory, position: Int[Tensor, "B Q"]
    ) -> Float[Tensor, "B Q S"]:
        centre = torch.minimum(position, memory.lengths.unsqueeze(1) - 1)
        distance = source_positions(memory) - centre.unsqueeze(-1)
        in_window = memory.mask.unsqueeze(1) & (distance.abs() <= self.window)
        return masked_softmax(self.score(query, memory.keys), in_window)


class LocalPredictive(GlobalAttention):
    """local-p (eqs. 9 and 10): p_t = (S - 1) * sigmoid(v_p^T tanh(W_p h_t)), weights times a Gaussian around p_t.

    a_t(s) = align(h_t, h_s) * exp(-(s - p_t)^2 / (2 sigma^2)), sigma = D / 2, softmax over the window alone and not
    renormalised. Positions count from 0, hence S - 1 for the paper's S (as in its authors' code).
    """

    def __init__(self, score: Score, window: int, hidden_size: int) -> None:
        super().__init__(score)
        self.window = window
        self.position = nn.Linear(hidden_size, hidden_size, bias=False)
        self.v = nn.Linear(hidden_size, 1, bias=False)

    def centre(self, query: Float[Tensor, "B Q H"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B Q"]:
        """p_t, in source positions from 0."""
        score: Tensor = self.v(torch.tanh(self.position(query))).squeeze(-1)
        share = torch.sigmoid(at_least_fp32(score))
        return share * (lengths - 1).unsqueeze(1)

    def align(
        self, query: Float[Tensor, "B Q H"], memory: Memory, position: Int[Tensor, "B Q"]
    ) -> Float[Tensor, "B Q S"]:
        centre = self.centre(query, memory.lengths)
        distance = source_positions(memory) - centre.unsqueeze(-1)
        in_window = memory.mask.unsqueeze(1) & (distance.abs() <= self.window)
        sigma = self.window / 2
        gaussian = torch.exp(-distance.square() / (2 * sigma * sigma))
        return masked_softmax(self.score(query, memory.keys), in_window) * gaussian


class NoAttention(GlobalAttention):
    """The plain encoder-decoder (Sutskever et al. 2014): c_t = 0, so h_t alone decides. All weights are 0."""

    def __init__(self) -> None:
        super().__init__(Score(0, 0))

    def align(
        self, query: Float[Tensor, "B Q H"], memory: Memory, position: Int[Tensor, "B Q"]
    ) -> Float[Tensor, "B Q S"]:
        return at_least_fp32(query).new_zeros(*query.shape[:2], memory.mask.shape[1])


def masked_softmax(scores: Float[Tensor, "B Q S"], mask: Bool[Tensor, "B #Q S"]) -> Float[Tensor, "B Q S"]:
    """Softmax in fp32 or better over True positions, exactly 0 elsewhere; a row without any is all 0."""
    scores = at_least_fp32(scores).masked_fill(~mask, -math.inf)
    # subtracting a finite maximum keeps a row of -inf from becoming NaN
    peak = scores.amax(dim=-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    exp = torch.exp(scores - peak)
    return exp / exp.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)


def at_least_fp32(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Half precisions as fp32: exp overflows in fp16 past 11, and sums lose their small terms in either."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def source_positions(memory: Memory) -> Int[Tensor, "1 1 S"]:
    return torch.arange(memory.mask.shape[1], device=memory.mask.device).view(1, 1, -1)


SCORES: dict[str, type[Score]] = {
    "dot": Dot,
    "general": General,
    "concat": Concat,
    "location": Location,
}
"""Scores by the name that a recipe gives them; nmt.config reads the names from here."""
SPANS = ("global", "local-m", "local-p")
NONE = "none"
"""In the place of a score: no attention."""


def build_attention(kind: str, span: str, hidden_size: int, window: int, max_length: int) -> GlobalAttention:
    """Attention by the names that a recipe gives it."""
    if kind == NONE:
        return NoAttention()
    if kind not in SCORES:
        raise ValueError(f"no attention score {kind!r}, only {', '.join((*SCORES, NONE))}")
    score = SCORES[kind](hidden_size, max_length)
    match span:
        case "global":
            return GlobalAttention(score)
        case "local-m":
            return LocalMonotonic(score, window)
        case "local-p":
            return LocalPredictive(score, window, hidden_size)
        case _:
            raise ValueError(f"no attention span {span!r}, only {', '.join(SPANS)}")
