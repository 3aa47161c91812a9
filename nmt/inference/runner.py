"""The seam between policy and tensors: what the engine asks of whatever runs a bundle's network. No torch, no policy.

A runner holds sentences in slots and advances them all by a token at a time. Who is admitted and when, and who has
waited too long, is the engine's business (`nmt.inference.engine`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nmt.inference.types import Diversity, Sampling


@dataclass(frozen=True)
class SearchOptions:
    """How one sentence is searched."""

    beam_size: int
    n_best: int
    """At most `beam_size`."""
    max_length: int
    """Most tokens of a hypothesis, EOS counted; above `min_length`."""
    with_attention: bool = False
    min_length: int = 1
    """Fewest tokens before EOS: a translation is not empty."""
    no_repeat_ngram: int = 0
    """n: no n tokens may come twice; 0: any may."""
    prefix: tuple[int, ...] = ()
    """Tokens that every hypothesis begins with, whatever else is asked; fewer than `max_length`, none that the bundle
    never generates. Where there is a shortlist they belong to it."""
    forbidden: tuple[tuple[int, ...], ...] = ()
    """Sequences of tokens that may not occur, none of them empty."""
    sampling: Sampling | None = None
    """`n_best` samples, and no beam."""
    diversity: Diversity | None = None
    """`beam_size` is a multiple of its groups."""
    readings: tuple[tuple[int, ...], ...] = ()
    """The source as the further members of an ensemble read it, without EOS; empty: all as the first one does."""


@dataclass(frozen=True)
class Found:
    """One finished hypothesis, in ids."""

    tokens: tuple[int, ...]
    """Without BOS and EOS. One beyond the vocabulary is a copy: V + the place of a source word."""
    score: float
    """After length and coverage terms; higher is better."""
    log_prob: float
    attention: NDArray[np.float32] | None = None
    """[T, S]: weights of each step, that of EOS last; S counts the source's EOS."""
    is_truncated: bool = False
    """Ended at the maximal length, where only the end is allowed."""


def left_to_plain(options: SearchOptions) -> str:
    """What of a search the fast runners leave to the plain one, by name; empty where they can do all of it."""
    if options.sampling is not None:
        return "sampling"
    if options.diversity is not None:
        return "diverse beam search"
    return ""


Sentence = tuple[Sequence[int], SearchOptions]
"""Source ids without EOS, those beyond the vocabulary unknown words to be copied; and how they are searched."""


def readings_of(sentence: Sentence, members: int) -> list[Sequence[int]]:
    """The source ids for each of so many members of an ensemble."""
    ids, options = sentence
    return [ids, *(options.readings or [ids] * (members - 1))]


class Runner(Protocol):
    """A bundle's network and its search. All of it is called from one thread."""

    @property
    def rows(self) -> int:
        """Hypotheses that run at once at best speed. A single sentence with a wider beam is admitted all the same."""

    @property
    def precision(self) -> str:
        """`fp32`, `bf16`, `fp16` or `int8`: fixed when the model is loaded."""

    @property
    def name(self) -> str:
        """`native` or `torch`."""

    @property
    def device(self) -> str:
        """`cpu`, `cuda:0`, ..."""

    def admit(self, sentences: Sequence[Sentence]) -> list[int]:
        """Encode sentences and begin their search; a slot number each, of no other sentence until it is freed."""

    def step(self, steps: int = 1) -> list[int]:
        """Advance every running sentence by up to `steps` tokens, fewer where some finish before.

        Returns the slots that are finished and wait for `take`.
        """

    def take(self, slot: int) -> list[Found]:
        """The results of a finished slot, best first, at most `n_best`; frees it."""

    def drop(self, slot: int) -> None:
        """Free a slot whose answer nobody wants, finished or not."""
