"""Tensors without policy: one bundle on one device, ids in, n-best ids out. Knows nothing of text or queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from nmt.bundle import Bundle
from nmt.search.beam import Hypothesis, beam_search
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID

MAX_ROWS = 320
"""Hypotheses in one batch (sentences times beam): larger ones win nothing more on a CPU core."""


@dataclass(frozen=True)
class SearchOptions:
    """What of a request concerns the search."""

    beam_size: int
    n_best: int
    max_length_factor: float
    with_attention: bool


class Runner:
    """A bundle's network, ready to search."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.bundle = bundle
        self.device = device
        search = bundle.config.search
        self._scoring = Scoring(search.length_penalty, search.coverage_penalty)
        self._max_length_offset = search.max_length_offset
        target = bundle.tokenizers.target
        allowed = torch.ones(target.size, dtype=torch.bool)
        allowed[sorted(target.forbidden_ids)] = False
        self._stepper = PlainStepper(bundle.build_model().to(device), allowed.to(device))

    def run(self, sentences: Sequence[Sequence[int]], options: SearchOptions) -> list[list[Hypothesis]]:
        """The n best hypotheses of each sentence (ids without special tokens, at least one each), in their order.

        Sentences are searched in batches of like length; which ones share a batch does not change their result.
        """
        results: list[list[Hypothesis]] = [[] for _ in sentences]
        by_length = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
        size = max(1, MAX_ROWS // options.beam_size)
        for first in range(0, len(by_length), size):
            chunk = by_length[first : first + size]
            for index, found in zip(chunk, self._search([sentences[i] for i in chunk], options), strict=True):
                results[index] = found[: options.n_best]
        return results

    def _search(self, sentences: Sequence[Sequence[int]], options: SearchOptions) -> list[list[Hypothesis]]:
        lengths = torch.tensor([len(ids) + 1 for ids in sentences], device=self.device)
        factor, offset = options.max_length_factor, self._max_length_offset
        max_length = ((lengths - 1) * factor).long() + offset + 1
        return beam_search(
            self._stepper,
            _padded(sentences).to(self.device),
            lengths,
            size=options.beam_size,
            max_length=max_length.clamp(min=2),
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            scoring=self._scoring,
            n_best=options.n_best,
            with_attention=options.with_attention,
            min_length=1,
        )


def _padded(sentences: Sequence[Sequence[int]]) -> Int[Tensor, "B S"]:
    """Sentences as the encoder saw them in training: EOS at the end, PAD after it."""
    width = max(len(ids) for ids in sentences) + 1
    return torch.tensor([[*ids, EOS_ID, *[PAD_ID] * (width - len(ids) - 1)] for ids in sentences])
