"""Beam search as a value and a pure step. Knows nothing of text, devices or HTTP; see scoring for the penalties.

At each step the 2K best continuations of a sentence's K live hypotheses are ranked. Those that end and rank among the
first K are finished; the best K of the others live on, but for those that cannot come among the n best any more. A
sentence is done when K hypotheses are finished, when none is alive, or at its maximal length, where only the end is
allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from nmt.search.constraints import NOTHING, Constraints, next_of_prefix, open_tokens
from nmt.search.scoring import Scoring
from nmt.search.stepper import Candidates, Stepper


@dataclass(frozen=True)
class Hypothesis:
    """One finished translation, in ids."""

    tokens: tuple[int, ...]
    """Without BOS and EOS."""
    score: float
    """After length and coverage terms; higher is better."""
    log_prob: float
    attention: Float[Tensor, "T S"] | None = None
    """Weights of each step, that of EOS last."""
    is_truncated: bool = False
    """Ended at the maximal length, where only the end is allowed."""


class Beam(NamedTuple):
    """B sentences with K live and up to K finished hypotheses each. Finished ones lie best first."""

    log_probs: Float[Tensor, "B K"]
    """Of the live hypotheses, best first; -inf where there are fewer than K."""
    tokens: Int[Tensor, "B K"]
    """Last token of the live hypotheses."""
    steps: Int[Tensor, " B"]
    """Tokens generated so far: sentences that began at different times share a batch."""
    finished_scores: Float[Tensor, "B K"]
    finished_log_probs: Float[Tensor, "B K"]
    finished_steps: Int[Tensor, "B K"]
    """The step (from 0) that ended it; its tokens before are traced back from `finished_parents`."""
    finished_parents: Int[Tensor, "B K"]
    """Its place among the K live ones of the step before."""

    def select(self, sentences: Int[Tensor, " b"]) -> Beam:
        """The beams of some sentences, in the order given."""
        return Beam(*(part.index_select(0, sentences) for part in self))


def first_beam(sentences: int, size: int, bos_id: int, device: torch.device | None = None) -> Beam:
    """One empty hypothesis a sentence."""
    shape = (sentences, size)
    log_probs = torch.full(shape, -torch.inf, device=device)
    log_probs[:, 0] = 0.0
    worst = torch.full(shape, -torch.inf, device=device)
    zeros = torch.zeros(shape, dtype=torch.long, device=device)
    return Beam(log_probs, torch.full_like(zeros, bos_id), zeros[:, 0], worst, worst, zeros, zeros)


def advance(
    beam: Beam,
    candidates: Candidates,
    *,
    eos_id: int,
    scoring: Scoring,
    n_best: int | Int[Tensor, " B"],
    max_length: Int[Tensor, " B"],
    coverage: Float[Tensor, "B K"] | None = None,
) -> tuple[Beam, Int[Tensor, "B K"]]:
    """Extend every live hypothesis by its candidates; the new beam, and each live one's parent among the old K.

    `candidates` has B * K rows. `n_best`: hypotheses wanted, at most K. `max_length` counts EOS. `coverage`: the
    coverage term of each live hypothesis if it ended now.
    """
    B, K = beam.log_probs.shape
    C = candidates.scores.shape[-1]
    totals = (beam.log_probs.unsqueeze(-1) + candidates.scores.view(B, K, C)).view(B, K * C)
    ranked, places = totals.topk(min(2 * K, K * C), dim=-1)
    parents = places // C
    tokens = places % C if candidates.ids is None else candidates.ids.view(B, K * C).gather(1, places)
    ends = tokens == eos_id

    live_rank = ranked.masked_fill(ends, -torch.inf)
    live, chosen = _top(live_rank, K)
    finished = _finish(beam, ranked, parents, ends, scoring=scoring, coverage=coverage)
    live = live.masked_fill(_is_hopeless(live, finished[0], scoring, n_best, max_length), -torch.inf)
    new = Beam(live, tokens.gather(1, chosen), beam.steps + 1, *finished)
    return new, parents.gather(1, chosen)


def _is_hopeless(
    log_probs: Float[Tensor, "B K"],
    finished_scores: Float[Tensor, "B K"],
    scoring: Scoring,
    n_best: int | Int[Tensor, " B"],
    max_length: Int[Tensor, " B"],
) -> Bool[Tensor, "B K"]:
    """Live hypotheses whose score cannot pass the n-th best finished one's any more.

    log p only falls with every token, its divisor only grows, and coverage is never positive: log p / lp(max_length) is
    the most that may come of a hypothesis.
    """
    best_possible = log_probs / scoring.normaliser(max_length).unsqueeze(1)
    if isinstance(n_best, int):
        return best_possible <= finished_scores[:, n_best - 1 : n_best]
    return best_possible <= finished_scores.gather(1, (n_best - 1).unsqueeze(1))


def _finish(
    beam: Beam,
    ranked: Float[Tensor, "B C"],
    parents: Int[Tensor, "B C"],
    ends: Bool[Tensor, "B C"],
    *,
    scoring: Scoring,
    coverage: Float[Tensor, "B K"] | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The finished hypotheses after this step: the best K of the old ones and of those that end among the first K."""
    K = beam.log_probs.shape[1]
    log_probs = ranked.masked_fill(~ends, -torch.inf)[:, :K]
    parents = parents[:, :K]
    scores = log_probs / scoring.normaliser(beam.steps + 1).unsqueeze(1)
    if coverage is not None:
        scores = scores + coverage.gather(1, parents)
    best, places = torch.cat((beam.finished_scores, scores), dim=1).topk(K, dim=1)
    steps = beam.steps.unsqueeze(1).expand_as(parents)
    return (
        best,
        torch.cat((beam.finished_log_probs, log_probs), dim=1).gather(1, places),
        torch.cat((beam.finished_steps, steps), dim=1).gather(1, places),
        torch.cat((beam.finished_parents, parents), dim=1).gather(1, places),
    )


def _top(scores: Float[Tensor, "B C"], K: int) -> tuple[Tensor, Tensor]:
    """The best K, filled up with -inf where there are fewer."""
    if scores.shape[1] >= K:
        return scores.topk(K, dim=1)
    best, places = scores.sort(dim=1, descending=True)
    missing = K - scores.shape[1]
    return (
        torch.nn.functional.pad(best, (0, missing), value=-torch.inf),
        torch.nn.functional.pad(places, (0, missing)),
    )


def is_done(beam: Beam, max_length: Int[Tensor, " B"]) -> Bool[Tensor, " B"]:
    """Sentences that need no further step: K finished, none alive, or at their maximal length (EOS counted)."""
    is_full = beam.finished_scores[:, -1] > -torch.inf
    is_dead = beam.log_probs[:, 0] == -torch.inf
    return is_full | is_dead | (beam.steps >= max_length)


class Step(NamedTuple):
    """What tracing back needs of one step. Rows are the sentences still in work then."""

    row_of: Int[Tensor, " all"]
    parents: Int[Tensor, "b K"]
    tokens: Int[Tensor, "b K"]
    attention: Float[Tensor, "b K S"] | None


@torch.no_grad()
def beam_search(
    stepper: Stepper,
    src: Int[Tensor, "B S"],
    lengths: Int[Tensor, " B"],
    *,
    size: int,
    max_length: Int[Tensor, " B"],
    bos_id: int,
    eos_id: int,
    scoring: Scoring = Scoring(),
    n_best: int | None = None,
    min_length: int = 0,
    with_attention: bool = False,
    constraints: Constraints | None = None,
) -> list[list[Hypothesis]]:
    """The `n_best` (None: K) best finished hypotheses of each sentence, best first: fewer where the search found fewer.

    `max_length` counts EOS and is at least 1. `min_length`: fewest tokens before EOS, below `max_length`; 1 bars the
    empty translation. `constraints`: their prefixes are shorter than `max_length`. Greedy search is `size=1`.
    """
    B, n_best = src.shape[0], n_best or size
    assert n_best <= size
    assert bool((max_length > min_length).all())
    memory: Any = stepper.encode(src, lengths)
    state: Any = stepper.start(memory).select(torch.arange(B, device=src.device).repeat_interleave(size))
    beam = first_beam(B, size, bos_id, src.device)
    attended = torch.zeros(B * size, src.shape[1], device=src.device) if scoring.coverage_penalty else None
    mask = torch.arange(src.shape[1], device=src.device).unsqueeze(0) < lengths.unsqueeze(1)
    order = torch.arange(B, device=src.device)
    written = beam.tokens.new_zeros(B, size, 0)
    results: list[list[Hypothesis]] = [[] for _ in range(B)]
    history: list[Step] = []

    while len(order):
        b = len(order)
        choice = only = None
        if constraints is not None:
            choice = open_tokens(constraints, written, beam.steps)
            only = next_of_prefix(constraints, beam.steps).repeat_interleave(size)
        candidates, state, weights = stepper.step(beam.tokens.view(-1), state, memory, choice)
        candidates = constrain(
            candidates,
            eos_id,
            must_go_on=(beam.steps < min_length).repeat_interleave(size),
            must_end=(beam.steps + 1 >= max_length).repeat_interleave(size),
            only=only,
        )
        coverage = None
        if attended is not None:
            attended = attended + weights
            coverage = scoring.coverage(attended.view(b, size, -1), mask.unsqueeze(1).expand(b, size, -1))
        beam, parents = advance(
            beam,
            candidates,
            eos_id=eos_id,
            scoring=scoring,
            n_best=n_best,
            max_length=max_length,
            coverage=coverage,
        )
        row_of = torch.full((B,), -1).index_copy(0, order.cpu(), torch.arange(b))
        attention = weights.view(b, size, -1).cpu() if with_attention else None
        history.append(Step(row_of, parents.cpu(), beam.tokens.cpu(), attention))
        if constraints is not None:
            before = written.gather(1, parents.unsqueeze(2).expand_as(written))
            written = torch.cat((before, beam.tokens.unsqueeze(2)), dim=2)

        done = is_done(beam, max_length)
        for row in done.nonzero().flatten().tolist():
            sentence = int(order[row])
            found = collect(beam, row, sentence, history, int(lengths[row]), int(max_length[row]))
            results[sentence] = found[:n_best]
        going = (~done).nonzero().flatten()
        rows = (going.unsqueeze(1) * size + parents.index_select(0, going)).view(-1)
        state = state.select(rows)
        if attended is not None:
            attended = attended.index_select(0, rows)
        if len(going) < b:
            beam, memory, mask = beam.select(going), memory.select(going), mask.index_select(0, going)
            order, lengths, max_length = (part.index_select(0, going) for part in (order, lengths, max_length))
            written = written.index_select(0, going)
            constraints = None if constraints is None else constraints.select(going)
    return results


def constrain(
    candidates: Candidates,
    eos_id: int,
    *,
    must_go_on: Bool[Tensor, " N"],
    must_end: Bool[Tensor, " N"],
    only: Int[Tensor, " N"] | None = None,
) -> Candidates:
    """Candidates without EOS where a hypothesis must go on, and reduced to it where it must end.

    `only`: a token that must come, or NOTHING.
    """
    C = candidates.scores.shape[1]
    ids = torch.arange(C, device=must_end.device).unsqueeze(0) if candidates.ids is None else candidates.ids
    is_end = ids == eos_id
    barred = torch.where(is_end, must_go_on.unsqueeze(1), must_end.unsqueeze(1))
    if only is not None:
        barred |= (only != NOTHING).unsqueeze(1) & (ids != only.unsqueeze(1))
    return Candidates(candidates.scores.masked_fill(barred, -torch.inf), candidates.ids)


def collect(beam: Beam, row: int, sentence: int, history: list[Step], length: int, max_length: int) -> list[Hypothesis]:
    """The finished hypotheses of one sentence, traced back through the history."""
    found: list[Hypothesis] = []
    finished = zip(
        beam.finished_scores[row].tolist(),
        beam.finished_log_probs[row].tolist(),
        beam.finished_steps[row].tolist(),
        beam.finished_parents[row].tolist(),
        strict=True,
    )
    for score, log_prob, last, parent in finished:
        if score == -torch.inf:
            break
        tokens, attention = _trace_back(history, sentence, last, parent)
        found.append(
            Hypothesis(
                tokens=tuple(tokens),
                score=score,
                log_prob=log_prob,
                attention=None if attention is None else attention[:, :length],
                is_truncated=last + 1 >= max_length,
            )
        )
    return found


def _trace_back(
    history: list[Step], sentence: int, last: int, parent: int
) -> tuple[list[int], Float[Tensor, "T S"] | None]:
    """Tokens and attention of the hypothesis that ended at step `last` as a child of place `parent`."""
    tokens: list[int] = []
    weights: list[Tensor] = []
    place = parent
    for step in range(last, -1, -1):
        record = history[step]
        row = int(record.row_of[sentence])
        if step < last:
            tokens.append(int(record.tokens[row, place]))
            place = int(record.parents[row, place])
        if record.attention is not None:
            weights.append(record.attention[row, place])
    tokens.reverse()
    weights.reverse()
    return tokens, torch.stack(weights) if weights else None
