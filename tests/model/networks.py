"""Tiny networks and sentences for the tests of the model and of search."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from nmt.config import AttentionKind, AttentionSpan, ModelConfig
from nmt.model.attention import SCORES
from nmt.model.seq2seq import Seq2Seq, build

KINDS: tuple[AttentionKind, ...] = tuple(SCORES)
SPANS: tuple[AttentionSpan, ...] = ("global", "local-m", "local-p")
ATTENTIONS: list[tuple[AttentionKind, AttentionSpan]] = [*itertools.product(KINDS, SPANS), ("none", "global")]
VOCAB = 11

TINY = ModelConfig(
    embedding_size=5,
    hidden_size=6,
    encoder_layers=2,
    decoder_layers=2,
    attention_window=2,
    attention_max_length=5,
    dropout=0.0,
)


def tiny(seed: int = 0, dtype: torch.dtype = torch.float64, **choices: object) -> Seq2Seq:
    """A network with weights large enough that every part of it matters, in evaluation mode."""
    torch.manual_seed(seed)
    config = ModelConfig.model_validate({**TINY.model_dump(), **choices})
    model = build(config, VOCAB, VOCAB).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.8, 0.8)
    return model.eval()


def sentences(seed: int, lengths: list[int], width: int | None = None) -> tuple[Tensor, Tensor]:
    """Random ids, padded with 0 to the longest or to `width`; and the lengths."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.zeros(len(lengths), width or max(lengths), dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(4, VOCAB, (length,), generator=generator)
    return ids, torch.tensor(lengths)
