"""The loss of a network that may copy words: -log of the mixture of what it generates and what it copies.

Knows `nmt.model.copy`, whose equation this is for the words that are known to come. A chunk of rows at a time: the
logits are computed again on the way back rather than kept.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from nmt.model.copy import copied_mass
from nmt.model.seq2seq import Seq2Seq
from nmt.text.tokenizer import PAD_ID
from nmt.training.batches import Batch
from nmt.training.loss import CHUNK_BYTES, Loss

LEAST = 1e-30
"""A share of attention below this counts as this: its logarithm, and the gradient of that, stay numbers."""


def copy_loss(model: Seq2Seq, batch: Batch, smoothing: float = 0.0) -> Loss:
    """-sum log P(y_t | y_<t, x) over the real tokens of a batch.

    Label smoothing is that of the words that the network generates: `smoothing` of each token's loss is the mean of
    -log P_vocab over the vocabulary instead.
    """
    assert model.copying is not None
    vectors, weights = model(batch.src, batch.src_lengths, batch.tgt_in)
    real = torch.nonzero((batch.tgt_out != PAD_ID).flatten()).squeeze(1)
    rows, targets = vectors.flatten(0, 1)[real], batch.tgt_out.flatten()[real]
    weights = weights.to(torch.promote_types(weights.dtype, torch.float32))
    copied = copied_mass(weights, batch.src, batch.tgt_out).flatten()[real]
    gate = model.copying.log_gate(rows)
    by_network, spread = generated(rows, model.output.weight, model.output.bias, targets)
    by_copy = gate.copy.squeeze(1) + copied.clamp_min(LEAST).log()
    by_vocabulary = gate.generate.squeeze(1) + by_network
    nll = -torch.logaddexp(by_vocabulary, by_copy).sum()
    smoothed = (1 - smoothing) * nll + smoothing * spread.sum() if smoothing else nll
    return Loss(smoothed, nll.detach())


def generated(
    vectors: Float[Tensor, "M A"], weight: Float[Tensor, "V A"], bias: Float[Tensor, " V"], targets: Int[Tensor, " M"]
) -> tuple[Float[Tensor, " M"], Float[Tensor, " M"]]:
    """log P_vocab(y) of each row, -inf where y is beyond the vocabulary, and the mean of -log P_vocab over it."""
    chunk = max(1, CHUNK_BYTES // (4 * len(weight)))
    parts = [
        checkpoint(_chunk, x, weight, bias, y, use_reentrant=False, preserve_rng_state=False)
        for x, y in zip(vectors.split(chunk), targets.split(chunk), strict=True)
    ]
    log_probs, spread = (torch.cat(list(part)) for part in zip(*parts, strict=True))
    return log_probs, spread


def _chunk(x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    logits = functional.linear(x, weight, bias)
    log_probs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(dim=-1)
    is_known = y < len(weight)
    chosen = log_probs.gather(1, y.where(is_known, 0).unsqueeze(1)).squeeze(1)
    return chosen.where(is_known, -torch.inf), -log_probs.mean(dim=-1)
