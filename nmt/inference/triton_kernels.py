"""Parts of a step as single Triton kernels. `torch_step` has the same in plain torch, which serves where these cannot.

A step in torch's own operations is well over a hundred kernels of a few microseconds each; with these it is about
twenty. Each does for one row or one sentence what the plain form does for all, in fp32 whatever the weights are in.
Importing this module needs triton. With TRITON_INTERPRET=1 the kernels run on CPUs, where tests compare both forms.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

MAX_WORDS = 1 << 15
"""Entries of a row of logits: the whole row lies in registers, which twice as many overflow."""
MAX_BEAM = 32
"""K: its 2K * K candidates lie in registers too."""
MAX_SOURCE = 256
"""Source positions of one sentence."""


@triton.jit
def _lstm(gates, added, tokens, c_old, h_new, c_new, H, HAS_TOKENS: tl.constexpr, BLOCK: tl.constexpr):
    """A block of one row's h and c. `added`: the table of the embeddings' part, by token, or one bias for all rows."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < H
    other = tl.load(tokens + row) * 4 * H if HAS_TOKENS else 0
    first = gates + row * 4 * H
    i = tl.load(first + at, inside).to(tl.float32) + tl.load(added + other + at, inside).to(tl.float32)
    f = tl.load(first + H + at, inside).to(tl.float32) + tl.load(added + other + H + at, inside).to(tl.float32)
    g = tl.load(first + 2 * H + at, inside).to(tl.float32) + tl.load(added + other + 2 * H + at, inside).to(tl.float32)
    o = tl.load(first + 3 * H + at, inside).to(tl.float32) + tl.load(added + other + 3 * H + at, inside).to(tl.float32)
    c = tl.sigmoid(f) * tl.load(c_old + row * H + at, inside) + tl.sigmoid(i) * (2 * tl.sigmoid(2 * g) - 1)
    tl.store(c_new + row * H + at, c, inside)
    tl.store(h_new + row * H + at, (tl.sigmoid(o) * (2 * tl.sigmoid(2 * c) - 1)).to(h_new.dtype.element_ty), inside)


def lstm(gates: Tensor, added: Tensor, tokens: Tensor | None, c: Tensor) -> tuple[Tensor, Tensor]:
    """h [N, H] in the gates' precision and c [N, H] in fp32 (`nmt.model.cells.lstm_pointwise`).

    gates [N, 4H]. `added`: a table [V, 4H] with `tokens` [N], or without them a bias [4H].
    """
    N, H = c.shape
    assert all(part.is_contiguous() for part in (gates, added, c))
    h_new, c_new = gates.new_empty(N, H), torch.empty_like(c)
    block = min(256, triton.next_power_of_2(H))
    grid = (N, triton.cdiv(H, block))
    _lstm[grid](gates, added, tokens, c, h_new, c_new, H, HAS_TOKENS=tokens is not None, BLOCK=block, num_warps=2)
    return h_new, c_new


@triton.jit
def _attend(
    query, keys, values, mask, weights, attended, K, S, H, A,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, PART: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One sentence's hypotheses over its source: weights, and a block of the weighted sum of its values."""
    sentence, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    row, place = tl.arange(0, ROWS), tl.arange(0, WIDTH)
    scores = tl.zeros((ROWS, WIDTH), tl.float32)
    for start in range(0, H, PART):
        at = start + tl.arange(0, PART)
        q_at = (sentence * K + row[:, None]) * H + at[None, :]
        k_at = (sentence * S + place[None, :]) * H + at[:, None]
        q = tl.load(query + q_at, (row[:, None] < K) & (at[None, :] < H), other=0.0)
        k = tl.load(keys + k_at, (place[None, :] < S) & (at[:, None] < H), other=0.0)
        scores += tl.dot(q, k, input_precision="ieee")
    real = tl.load(mask + sentence * S + place, place < S, other=0) != 0
    scores = tl.where(real[None, :], scores, float("-inf"))
    peak = tl.maximum(tl.max(scores, 1), -1e30)  # finite, so that a place without a source is no NaN
    exp = tl.exp(scores - peak[:, None])
    share = exp / tl.maximum(tl.sum(exp, 1), 1e-30)[:, None]
    if block == 0:
        out = (sentence * K + row[:, None]) * S + place[None, :]
        tl.store(weights + out, share, (row[:, None] < K) & (place[None, :] < S))
    at = block * BLOCK + tl.arange(0, BLOCK)
    v_at = (sentence * S + place[:, None]) * A + at[None, :]
    v = tl.load(values + v_at, (place[:, None] < S) & (at[None, :] < A), other=0.0)
    total = tl.dot(share.to(v.dtype), v, input_precision="ieee")
    out = (sentence * K + row[:, None]) * A + at[None, :]
    tl.store(attended + out, total.to(attended.dtype.element_ty), (row[:, None] < K) & (at[None, :] < A))


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Global attention by dot products: sum_s a(s) v_s [N, A], and a in fp32 [N, S].

    query [N, H], keys [B, S, H], values [B, S, A], mask [B, S]; rows of one sentence together.
    """
    B, S, H = keys.shape
    N, A = query.shape[0], values.shape[2]
    K = N // B
    assert all(part.is_contiguous() for part in (query, keys, values, mask))
    weights = torch.empty(N, S, device=query.device)
    attended = query.new_empty(N, A)
    block, width = 64, max(16, triton.next_power_of_2(S))
    _attend[(B, triton.cdiv(A, block))](
        query, keys, values, mask.view(torch.uint8), weights, attended, K, S, H, A,
        ROWS=max(16, triton.next_power_of_2(K)), WIDTH=width, PART=32, BLOCK=block,
        num_warps=8 if width >= 128 else 4,  # registers: four warps would spill
    )  # fmt: skip
    return attended, weights


@triton.jit
def _best_tokens(
    logits, words, forbidden, steps, min_length, max_length, scores, ids, V,
    K: tl.constexpr, C: tl.constexpr, EOS: tl.constexpr, HAS_WORDS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One row: its log-sum, then C times the best of what is left."""
    row = tl.program_id(0).to(tl.int64)
    sentence = row // K
    at = tl.arange(0, BLOCK)
    inside = at < V
    x = tl.load(logits + row * V + at, inside, other=float("-inf")).to(tl.float32)
    if HAS_WORDS:
        x = tl.where(tl.load(words + sentence * V + at, inside, other=0) != 0, x, float("-inf"))
    peak = tl.max(x, 0)
    total = peak + tl.log(tl.sum(tl.exp(x - peak), 0))
    end = tl.load(logits + row * V + EOS).to(tl.float32) - total
    step = tl.load(steps + sentence)
    must_end = step + 1 >= tl.load(max_length + sentence)
    x = tl.where(tl.load(forbidden + at, inside, other=1) != 0, float("-inf"), x)
    x = tl.where((at == EOS) & (step < tl.load(min_length + sentence)), float("-inf"), x)
    for rank in range(C):
        best = tl.max(x, 0)
        index = tl.min(tl.where((x == best) & inside, at, V - 1), 0)
        x = tl.where(at == index, float("-inf"), x)
        is_end = must_end & (rank == 0)
        score = tl.where(is_end, end, tl.where(must_end, float("-inf"), best - total))
        # a place that nobody has taken may have no word at all
        tl.store(scores + row * C + rank, tl.where(score == score, score, float("-inf")))
        tl.store(ids + row * C + rank, tl.where(is_end, EOS, index).to(tl.int64))


def best_tokens(
    logits: Tensor,
    words: Tensor | None,
    forbidden: Tensor,
    steps: Tensor,
    min_length: Tensor,
    max_length: Tensor,
    eos_id: int,
) -> tuple[Tensor, Tensor]:
    """`nmt.inference.torch_step.best_tokens`: log p [N, 2K] in fp32 and ids, without a full row of either in memory.

    logits [N, V]; words [B, V]; forbidden [V]; the others [B].
    """
    N, V = logits.shape
    K = N // len(steps)
    C = min(2 * K, V)
    assert all(part is None or part.is_contiguous() for part in (logits, words))
    scores = torch.empty(N, C, device=logits.device)
    ids = torch.empty(N, C, dtype=torch.long, device=logits.device)
    block = triton.next_power_of_2(V)
    _best_tokens[(N,)](
        logits, None if words is None else words.view(torch.uint8), forbidden.view(torch.uint8),
        steps, min_length, max_length, scores, ids, V,
        K=K, C=C, EOS=eos_id, HAS_WORDS=words is not None, BLOCK=block, num_warps=16 if block > 1 << 14 else 8,
    )  # fmt: skip
    return scores, ids


@triton.jit
def _normaliser(length, alpha):
    return tl.exp(alpha * tl.log((5.0 + length) / 6.0))


@triton.jit
def _advance(
    scores, ids, coverage, n_best, max_length,
    log_probs, tokens, steps, finished_scores, finished_log_probs, finished_steps, finished_parents,
    past_tokens, past_parents, rows, T, alpha,
    K: tl.constexpr, C: tl.constexpr, EOS: tl.constexpr, HAS_COVERAGE: tl.constexpr,
    WIDTH: tl.constexpr, BEAM: tl.constexpr,
):  # fmt: skip
    """One sentence: `nmt.search.beam.advance` in place, with the step's place in its history."""
    b = tl.program_id(0).to(tl.int64)
    worst = float("-inf")
    at, beam = tl.arange(0, WIDTH), tl.arange(0, BEAM)
    inside, in_beam = at < K * C, beam < K
    x = tl.load(log_probs + b * K + at // C, inside, other=worst) + tl.load(
        scores + b * K * C + at, inside, other=worst
    )
    step = tl.load(steps + b)
    divisor = _normaliser(step + 1, alpha)

    live = tl.full((BEAM,), worst, tl.float32)
    live_tokens = tl.zeros((BEAM,), tl.int64)
    live_parents = tl.zeros((BEAM,), tl.int64)
    ended = tl.full((BEAM,), worst, tl.float32)
    ended_scores = tl.full((BEAM,), worst, tl.float32)
    ended_parents = tl.zeros((BEAM,), tl.int64)
    alive = 0
    for rank in range(2 * K):
        best = tl.max(x, 0)
        index = tl.min(tl.where((x == best) & inside, at, K * C - 1), 0)
        x = tl.where(at == index, worst, x)
        token = tl.load(ids + b * K * C + index)
        parent = index // C
        is_end = token == EOS
        here = (beam == rank) & is_end & (rank < K)
        score = best / divisor
        if HAS_COVERAGE:
            score += tl.load(coverage + b * K + parent)
        ended = tl.where(here, best, ended)
        ended_scores = tl.where(here, score, ended_scores)
        ended_parents = tl.where(here, parent.to(tl.int64), ended_parents)
        lives = (beam == alive) & (token != EOS) & in_beam
        live = tl.where(lives, best, live)
        live_tokens = tl.where(lives, token, live_tokens)
        live_parents = tl.where(lives, parent.to(tl.int64), live_parents)
        alive += tl.where(is_end, 0, 1)

    # the best K of those that had finished and those that do now; the earlier one wins where both are as good
    old_scores = tl.load(finished_scores + b * K + beam, in_beam, other=worst)
    old_log_probs = tl.load(finished_log_probs + b * K + beam, in_beam, other=worst)
    old_steps = tl.load(finished_steps + b * K + beam, in_beam, other=0)
    old_parents = tl.load(finished_parents + b * K + beam, in_beam, other=0)
    best_scores = tl.full((BEAM,), worst, tl.float32)
    best_log_probs = tl.full((BEAM,), worst, tl.float32)
    best_steps = tl.zeros((BEAM,), tl.int64)
    best_parents = tl.zeros((BEAM,), tl.int64)
    for rank in range(K):
        of_old = tl.max(old_scores, 0)
        of_new = tl.max(ended_scores, 0)
        i = tl.min(tl.where(old_scores == of_old, beam, BEAM), 0)
        j = tl.min(tl.where(ended_scores == of_new, beam, BEAM), 0)
        is_old = beam == tl.where(of_old >= of_new, i, BEAM)
        is_new = beam == tl.where(of_old >= of_new, BEAM, j)
        here = beam == rank
        best_scores = tl.where(here, tl.maximum(of_old, of_new), best_scores)
        # -inf times 0 is no number, so the log-probability is the maximum over one place
        log_prob = tl.max(tl.where(is_old, old_log_probs, tl.where(is_new, ended, worst)), 0)
        best_log_probs = tl.where(here, log_prob, best_log_probs)
        when = tl.sum(tl.where(is_old, old_steps, tl.where(is_new, step, 0)), 0)
        best_steps = tl.where(here, when, best_steps)
        parent = tl.sum(tl.where(is_old, old_parents, tl.where(is_new, ended_parents, 0)), 0)
        best_parents = tl.where(here, parent, best_parents)
        old_scores = tl.where(is_old, worst, old_scores)
        ended_scores = tl.where(is_new, worst, ended_scores)

    most = tl.load(max_length + b)
    needed = tl.max(tl.where(beam == tl.load(n_best + b) - 1, best_scores, worst), 0)
    live = tl.where(live / _normaliser(most, alpha) <= needed, worst, live)
    last = tl.max(tl.where(beam == K - 1, best_scores, worst), 0)
    is_done = (last > worst) | (step + 1 >= most)
    live = tl.where(is_done, worst, live)

    tl.store(log_probs + b * K + beam, live, in_beam)
    tl.store(tokens + b * K + beam, live_tokens, in_beam)
    tl.store(steps + b, step + 1)
    tl.store(finished_scores + b * K + beam, best_scores, in_beam)
    tl.store(finished_log_probs + b * K + beam, best_log_probs, in_beam)
    tl.store(finished_steps + b * K + beam, best_steps, in_beam)
    tl.store(finished_parents + b * K + beam, best_parents, in_beam)
    past = (b * T + tl.minimum(step, T - 1)) * K + beam
    tl.store(past_tokens + past, live_tokens, in_beam)
    tl.store(past_parents + past, live_parents, in_beam)
    tl.store(rows + b * K + beam, b * K + live_parents, in_beam)


def advance(
    scores: Tensor,
    ids: Tensor,
    coverage: Tensor | None,
    n_best: Tensor,
    max_length: Tensor,
    beam: tuple[Tensor, ...],
    past_tokens: Tensor,
    past_parents: Tensor,
    *,
    eos_id: int,
    length_penalty: float,
) -> Tensor:
    """`nmt.search.beam.advance` with the end of done sentences and the history, in place; each row's parent row [N].

    scores, ids [N, C]; coverage [B, K]; n_best, max_length [B]; `beam`: the tensors of a `Beam` in their order;
    past_tokens, past_parents [B, T, K].
    """
    B, T, K = past_tokens.shape
    C = scores.shape[1]
    assert all(part.is_contiguous() for part in (*beam, past_tokens, past_parents, scores, ids))
    rows = torch.empty(B * K, dtype=torch.long, device=scores.device)
    assert C >= 2
    width = triton.next_power_of_2(K * C)
    _advance[(B,)](
        scores, ids, coverage, n_best, max_length, *beam, past_tokens, past_parents, rows, T, length_penalty,
        K=K, C=C, EOS=eos_id, HAS_COVERAGE=coverage is not None,
        WIDTH=width, BEAM=triton.next_power_of_2(K), num_warps=1 if width <= 256 else 4,
    )  # fmt: skip
    return rows
