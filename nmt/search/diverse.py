"""Diverse beam search (Vijayakumar et al. 2016): groups of a beam that avoid each other's words.

The beam is split into G groups of K / G hypotheses. At every step the groups choose one after the other, and a token
that earlier groups have just chosen costs lambda for each time that they did (Hamming diversity). The costs add up
along a hypothesis; the scores of what is found are the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from nmt.search.beam import Beam, Hypothesis, Step, advance, collect, constrain, first_beam, is_done
from nmt.search.constraints import Constraints, next_of_prefix, open_tokens
from nmt.search.forced import score_targets
from nmt.search.scoring import Scoring
from nmt.search.stepper import Candidates, Stepper

Tokens = tuple[int, ...]


@torch.no_grad()
def diverse_beam_search(
    stepper: Stepper,
    src: Int[Tensor, "B S"],
    lengths: Int[Tensor, " B"],
    *,
    size: int,
    groups: int,
    penalty: float,
    max_length: Int[Tensor, " B"],
    bos_id: int,
    eos_id: int,
    scoring: Scoring = Scoring(),
    n_best: int | None = None,
    min_length: int = 0,
    with_attention: bool = False,
    constraints: Constraints | None = None,
) -> list[list[Hypothesis]]:
    """The `n_best` (None: K) hypotheses of each sentence, no two alike, best first.

    They are taken from the groups in turn, the best of each first: that is what the groups are for. `size`, K, is a
    multiple of `groups`, G; `penalty`, lambda, is in nats. Coverage terms count for what is found, not on the way. The
    other arguments are those of `beam_search`, which this is with one group.
    """
    assert size % groups == 0
    assert penalty >= 0
    found = _search(
        stepper,
        src,
        lengths,
        size=size // groups,
        groups=groups,
        penalty=penalty,
        max_length=max_length,
        bos_id=bos_id,
        eos_id=eos_id,
        scoring=scoring,
        min_length=min_length,
        constraints=constraints,
    )
    chosen = [_in_turn(by_group, n_best or size) for by_group in found]
    # the searches' totals hold the penalties: the model's own come from a second reading
    sentence = torch.tensor([b for b, tokens in enumerate(chosen) for _ in tokens], dtype=torch.long, device=src.device)
    forced = iter(
        score_targets(
            stepper,
            src.index_select(0, sentence),
            lengths.index_select(0, sentence),
            list(chain.from_iterable(chosen)),
            bos_id=bos_id,
            eos_id=eos_id,
            scoring=scoring,
        )
    )
    results: list[list[Hypothesis]] = []
    for tokens, limit in zip(chosen, max_length.tolist(), strict=True):
        scored = [next(forced) for _ in tokens]
        hypotheses = [
            Hypothesis(
                f.tokens, f.score, f.log_prob, f.attention if with_attention else None, len(f.log_probs) >= limit
            )
            for f in scored
        ]
        results.append(sorted(hypotheses, key=lambda h: -h.score))
    return results


def _search(
    stepper: Stepper,
    src: Int[Tensor, "B S"],
    lengths: Int[Tensor, " B"],
    *,
    size: int,
    groups: int,
    penalty: float,
    max_length: Int[Tensor, " B"],
    bos_id: int,
    eos_id: int,
    scoring: Scoring,
    min_length: int,
    constraints: Constraints | None,
) -> list[list[list[Tokens]]]:
    """By sentence and group: what the group has found, best first. `size`: of a group, Q; rows lie as [B, G, Q]."""
    B, G, Q = src.shape[0], groups, size
    memory: Any = stepper.encode(src, lengths)
    state: Any = stepper.start(memory).select(torch.arange(B, device=src.device).repeat_interleave(G * Q))
    beams = [first_beam(B, Q, bos_id, src.device) for _ in range(G)]
    histories: list[list[Step]] = [[] for _ in range(G)]
    written = torch.zeros(B, G * Q, 0, dtype=torch.long, device=src.device)
    order = torch.arange(B, device=src.device)
    found: list[list[list[Tokens]]] = [[] for _ in range(B)]
    while len(order):
        b = len(order)
        steps = beams[0].steps
        choice = only = None
        if constraints is not None:
            choice = open_tokens(constraints, written, steps)
            only = next_of_prefix(constraints, steps).repeat_interleave(G * Q)
        prev = torch.cat([beam.tokens for beam in beams], dim=1)
        candidates, state, _ = stepper.step(prev.view(-1), state, memory, choice)
        assert candidates.ids is None
        must_go_on = (steps < min_length).repeat_interleave(G * Q)
        must_end = (steps + 1 >= max_length).repeat_interleave(G * Q)
        candidates = constrain(candidates, eos_id, must_go_on=must_go_on, must_end=must_end, only=only)
        scores = candidates.scores.view(b, G, Q, -1)
        taken = torch.zeros_like(scores[:, 0, 0])  # [b, V]: how often the groups so far have chosen each token
        row_of = torch.full((B,), -1).index_copy(0, order.cpu(), torch.arange(b))
        parents: list[Tensor] = []
        for g in range(G):
            own = Candidates((scores[:, g] - penalty * taken.unsqueeze(1)).flatten(0, 1))
            new, parent = advance(beams[g], own, eos_id=eos_id, scoring=scoring, n_best=Q, max_length=max_length)
            taken = taken + _choices(new, steps, eos_id, taken.shape[1])
            # a group that is done finishes nothing more while it waits for the others
            dead = is_done(new, max_length).unsqueeze(1)
            beams[g] = new._replace(log_probs=new.log_probs.masked_fill(dead, -torch.inf))
            histories[g].append(Step(row_of, parent.cpu(), new.tokens.cpu(), None))
            parents.append(parent + g * Q)
        done = torch.stack([is_done(beam, max_length) for beam in beams]).all(dim=0)
        for row in done.nonzero().flatten().tolist():
            sentence = int(order[row])
            found[sentence] = [
                [h.tokens for h in collect(beam, row, sentence, history, 0, 0)]
                for beam, history in zip(beams, histories, strict=True)
            ]
        going = (~done).nonzero().flatten()
        from_places = torch.cat(parents, dim=1).index_select(0, going)
        state = state.select((going.unsqueeze(1) * (G * Q) + from_places).view(-1))
        before = written.index_select(0, going)
        before = before.gather(1, from_places.unsqueeze(2).expand_as(before))
        tokens = torch.cat([beam.tokens for beam in beams], dim=1).index_select(0, going)
        written = torch.cat((before, tokens.unsqueeze(2)), dim=2)
        if len(going) < b:
            beams = [beam.select(going) for beam in beams]
            memory, order, max_length = memory.select(going), order.index_select(0, going), max_length[going]
            constraints = None if constraints is None else constraints.select(going)
    return found


def _choices(beam: Beam, steps: Int[Tensor, " B"], eos_id: int, vocabulary: int) -> Tensor:
    """[B, V]: how many hypotheses of a group have just got each token: those that live, and those that it has ended."""
    lives = (beam.log_probs > -torch.inf).to(beam.log_probs.dtype)
    counts = lives.new_zeros(len(lives), vocabulary).scatter_add_(1, beam.tokens, lives)
    is_new = (beam.finished_steps == steps.unsqueeze(1)) & (beam.finished_scores > -torch.inf)
    counts[:, eos_id] += is_new.sum(dim=1)
    return counts


def _in_turn(by_group: Sequence[Sequence[Tokens]], n_best: int) -> list[Tokens]:
    """Each group's best, then each one's second best, and so on, without those that were there before."""
    in_turn = chain.from_iterable(zip_longest(*by_group))
    return list(dict.fromkeys(tokens for tokens in in_turn if tokens is not None))[:n_best]
