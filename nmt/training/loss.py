"""Cross-entropy with label smoothing over a large vocabulary, a chunk of rows at a time. Knows nothing of sequences.

The full [M, V] matrix of log-probabilities is never in memory: each chunk's gradient is taken while its logits are
there, and the backward pass only scales it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from nmt.native import training as native
from nmt.training.shapes import even

CHUNK_BYTES = 32 * 2**20
"""Logits in one chunk: few chunks, for each adds a whole matrix to the weight's gradient."""


class Loss(NamedTuple):
    """Sums over tokens, in nats."""

    smoothed: Float[Tensor, ""]
    """What training minimises."""
    nll: Float[Tensor, ""]
    """-sum log p(y): exp(nll / tokens) is the perplexity. Without gradient."""


def cross_entropy(
    vectors: Float[Tensor, "M A"],
    weight: Float[Tensor, "V A"],
    bias: Float[Tensor, " V"],
    targets: Int[Tensor, " M"],
    smoothing: float = 0.0,
) -> Loss:
    """-sum over rows of sum_v q(v) log softmax(W x + b)_v.

    q is 1 - smoothing on the target plus smoothing / V on every entry (Szegedy et al. 2016, section 7). Products run in
    the autocast precision where that is on, sums in fp32 (in fp64 for fp64 weights).
    """
    passes = vectors.unsqueeze(0)
    smoothed, nll = _CrossEntropy.apply(passes, weight, bias, targets, smoothing, 0.0)  # type: ignore[no-untyped-call]
    return Loss(smoothed, nll)


def rdrop_cross_entropy(
    vectors: Float[Tensor, "2 M A"],
    weight: Float[Tensor, "V A"],
    bias: Float[Tensor, " V"],
    targets: Int[Tensor, " M"],
    smoothing: float,
    alpha: float,
) -> Loss:
    """R-Drop (Wu et al. 2021): the cross-entropy of two passes over the same words, and how far the two are apart.

    1/2 (CE_1 + CE_2) + alpha / 4 (KL(p_1 || p_2) + KL(p_2 || p_1)), summed over rows. The paper's loss is twice this,
    with the same alpha: halved, a token weighs what it weighs without R-Drop. `nll` is the mean of the two.
    """
    passed = _CrossEntropy.apply(vectors, weight, bias, targets, smoothing, alpha / 4)  # type: ignore[no-untyped-call]
    return Loss(*passed)


class _CrossEntropy(torch.autograd.Function):
    """Over one pass, vectors [1, M, A], or two [2, M, A] that are compared. `strength`: of their divergence."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float, strength: float
    ) -> tuple[Tensor, Tensor]:
        kind = vectors.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        passes, _, A = vectors.shape
        V = weight.shape[0]
        accumulator = torch.float64 if weight.dtype == torch.float64 else torch.float32
        w, b = weight.to(dtype), bias.to(dtype)
        needs_grad = any(ctx.needs_input_grad[:3])
        d_weight = torch.zeros_like(weight, dtype=accumulator) if needs_grad else None
        d_bias = torch.zeros_like(bias, dtype=accumulator) if needs_grad else None
        d_vectors: list[Tensor] = []
        smoothed = vectors.new_zeros((), dtype=accumulator)
        nll = vectors.new_zeros((), dtype=accumulator)
        rows = max(1, CHUNK_BYTES // (dtype.itemsize * V * passes))
        is_native = kind == "cpu" and dtype in (torch.float32, torch.bfloat16) and native.load() is not None
        chunk, pair = (_native_chunk, _native_pair) if is_native else (_chunk, _pair)
        with torch.autocast(kind, enabled=False):
            for x, y in zip(vectors.to(dtype).split(rows, dim=1), targets.split(rows), strict=True):
                used = passes * len(y)
                # rows of zeros: products of few different shapes
                x = functional.pad(x.reshape(used, A), (0, 0, 0, even(used) - used))
                logits = torch.addmm(b, x, w.T)
                if passes == 1:
                    row_nll, spread = chunk(logits[:used], y, smoothing, d_bias)
                else:
                    row_nll, spread, divergence = pair(logits[:used].view(2, -1, V), y, smoothing, strength, d_bias)
                    smoothed += strength * divergence
                nll += row_nll
                smoothed += (1 - smoothing) * row_nll + smoothing * spread
                if d_weight is not None:
                    logits[used:] = 0
                    d_weight += logits.T @ x
                    d_vectors.append((logits @ w)[:used].view(passes, -1, A).to(vectors.dtype))
        if needs_grad:
            ctx.save_for_backward(torch.cat(d_vectors, dim=1), d_weight, d_bias)
        ctx.dtypes = weight.dtype, bias.dtype
        ctx.mark_non_differentiable(nll)
        return smoothed, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        d_vectors, d_weight, d_bias = ctx.saved_tensors
        weight_dtype, bias_dtype = ctx.dtypes
        scale = grad.to(d_weight.dtype)
        return (
            d_vectors * scale.to(d_vectors.dtype),
            (d_weight * scale).to(weight_dtype),
            (d_bias * scale).to(bias_dtype),
            None,
            None,
            None,
        )


def _chunk(logits: Tensor, targets: Tensor, smoothing: float, d_bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """The sums of -log p(y) and of log Z - mean(logits); where `d_bias` is given the logits become their gradient."""
    V = logits.shape[1]
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_z = scores.logsumexp(dim=-1, keepdim=True)
    nll = (log_z - scores.gather(1, targets.unsqueeze(1))).sum()
    spread = log_z.sum() - scores.mean(dim=-1).sum() if smoothing else torch.zeros_like(nll)
    if d_bias is None:
        return nll, spread
    d_logits = scores.sub_(log_z).exp_()
    if smoothing:
        d_logits -= smoothing / V
    d_logits.scatter_add_(1, targets.unsqueeze(1), d_logits.new_full((len(targets), 1), smoothing - 1))
    d_bias += d_logits.sum(dim=0)
    logits.copy_(d_logits)
    return nll, spread


def _native_chunk(logits: Tensor, targets: Tensor, smoothing: float, d_bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """`_chunk` in one pass."""
    kernels = native.load()
    assert kernels is not None
    rows, words = logits.shape
    targets = targets.contiguous()
    sums = torch.empty(2, rows)
    kernels.nmt_cross_entropy(
        rows,
        words,
        logits.data_ptr(),
        targets.data_ptr(),
        smoothing,
        None if d_bias is None else d_bias.data_ptr(),
        sums[0].data_ptr(),
        sums[1].data_ptr(),
        int(logits.dtype == torch.bfloat16),
    )
    nll, spread = sums.sum(dim=1).unbind()
    return nll, spread


def _pair(
    logits: Tensor, targets: Tensor, smoothing: float, strength: float, d_bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """`_chunk` of the two passes in logits [2, M, V], their means; and the sum of KL(p || q) + KL(q || p).

    With l = log p - log q, the derivative of that sum by the logits of p is p (l - KL(p || q)) + p - q.
    """
    V = logits.shape[2]
    log_probs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(dim=-1)
    probs = log_probs.exp()
    places = targets.expand(2, -1).unsqueeze(2)
    ratio = log_probs - log_probs.flip(0)
    divergence = (probs * ratio).sum(dim=-1, keepdim=True)
    nll = -log_probs.gather(2, places).sum() / 2
    spread = -log_probs.mean(dim=-1).sum() / 2
    if d_bias is not None:
        d_logits = probs - smoothing / V
        d_logits.scatter_add_(2, places, d_logits.new_full(places.shape, smoothing - 1))
        d_logits = d_logits / 2 + strength * (probs * (ratio - divergence) + probs - probs.flip(0))
        d_bias += d_logits.sum(dim=(0, 1))
        logits.copy_(d_logits)
    return nll, spread, divergence.sum()


def _native_pair(
    logits: Tensor, targets: Tensor, smoothing: float, strength: float, d_bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """`_pair` in one pass."""
    kernels = native.load()
    assert kernels is not None
    _, rows, words = logits.shape
    targets = targets.contiguous()
    sums = torch.empty(3, rows)
    kernels.nmt_cross_entropy_twice(
        rows,
        words,
        logits.data_ptr(),
        targets.data_ptr(),
        smoothing,
        strength,
        None if d_bias is None else d_bias.data_ptr(),
        *(part.data_ptr() for part in sums),
        int(logits.dtype == torch.bfloat16),
    )
    nll, spread, divergence = sums.sum(dim=1).unbind()
    return nll, spread, divergence
