"""Word links of translations that are known: the model reads them (forced decoding), and its attention is the aligner.

Luong, Pham & Manning 2015, section 5.4. Attention of a search goes another way: `nmt.inference.pipeline`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from nmt.bundle import Bundle
from nmt.errors import ConfigError
from nmt.inference.alignment import link_words
from nmt.inference.types import Links
from nmt.search.forced import score_targets
from nmt.search.stepper import PlainStepper
from nmt.text.copying import number_pair
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer

Step = Literal["predicting", "reading"]
"""Whose weights are a target piece's: those of the step that predicts it, or of the next one, which reads it."""
STEPS: tuple[Step, ...] = get_args(Step)

BATCH_TOKENS = 4096
"""Padded tokens of both sides in one batch."""


class Words(NamedTuple):
    """A text as a model reads it: ids without EOS, and the white-space word that each belongs to, from 0."""

    ids: list[int]
    words: list[int]


def read_words(tokenizer: Tokenizer, text: str) -> Words:
    """The ids of a text and their words.

    No piece crosses a blank, so the pieces of a text are those of its words, and a word's pieces are known whatever
    normalisation makes of it and whether or not it is `<unk>`.
    """
    pieces = tokenizer.encode_batch(text.split())
    return Words([i for word in pieces for i in word], [k for k, word in enumerate(pieces) for _ in word])


def read_pair(bundle: Bundle, source: str, target: str) -> tuple[Words, Words]:
    """Both sides of a pair. For a model that copies, unknown words of both sides are numbered (`nmt.text.copying`)."""
    tokenizers = bundle.tokenizers
    sides = read_words(tokenizers.source, source), read_words(tokenizers.target, target)
    if not bundle.config.model.copying:
        return sides
    numbered = number_pair(tokenizers, (source, target), (sides[0].ids, sides[1].ids))
    return Words(list(numbered[0]), sides[0].words), Words(list(numbered[1]), sides[1].words)


def align_pairs(
    bundle: Bundle,
    pairs: Sequence[tuple[str, str]],
    *,
    step: Step = "predicting",
    advance: Callable[[int], object] = lambda _: None,
) -> list[Links]:
    """For each (source, translation) the source word that each target word attends to most, as (source, target).

    Every target word has one link (`nmt.inference.alignment.link_words`), but none in a pair with an empty side.
    `advance` is told how many pairs are done. Raises ConfigError for a model without attention.
    """
    if bundle.config.model.attention == "none":
        raise ConfigError("this model has no attention, so nothing links its words")
    stepper = PlainStepper(bundle.build_model())
    sides = [read_pair(bundle, source, target) for source, target in pairs]
    links: list[Links] = [()] * len(pairs)
    for batch in _batches([(len(source.ids), len(target.ids)) for source, target in sides]):
        sources = [sides[i][0] for i in batch]
        lengths = torch.tensor([len(source.ids) + 1 for source in sources])
        src = torch.full((len(batch), int(lengths.max())), PAD_ID)
        for row, source in zip(src, sources, strict=True):
            row[: len(source.ids) + 1] = torch.tensor([*source.ids, EOS_ID])
        targets = [sides[i][1].ids for i in batch]
        read = score_targets(stepper, src, lengths, targets, bos_id=BOS_ID, eos_id=EOS_ID)
        for i, forced in zip(batch, read, strict=True):
            source, target = sides[i]
            links[i] = link_words(_of_pieces(forced.attention.numpy(), step), source.words, target.words)
        advance(len(batch))
    return links


def _of_pieces(attention: NDArray[np.float32], step: Step) -> NDArray[np.float32]:
    """The weights of each target piece from those of each step, of which EOS has one more."""
    return attention[:-1] if step == "predicting" else attention[1:]


def _batches(lengths: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Indices of the pairs that have words on both sides, those of like length together."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i][1], lengths[i][0])):
        if min(lengths[index]) == 0:
            continue
        longest = max(sum(lengths[i]) for i in (*batch, index))
        if batch and longest * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
