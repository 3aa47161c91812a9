"""Shallow fusion: a language model of the target has its say at every step of a search (Gulcehre et al. 2015, 4.1).

A `Stepper` around another one, so that every search works with it unchanged.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from nmt.search.stepper import Candidates, Stepper


@runtime_checkable
class LanguageModel(Protocol):
    """log p(y_t | y_<t) over the translation model's target vocabulary."""

    def start(self, rows: int) -> Any:
        """The state of so many hypotheses before BOS; it has `select(rows)`."""

    def step(self, prev: Int[Tensor, " N"], state: Any) -> tuple[Float[Tensor, "N V"], Any]:
        """Logits of the token after `prev`, and the state after it."""


class FusedState(NamedTuple):
    """The states of both models."""

    translation: Any
    language: Any

    def select(self, rows: Int[Tensor, " n"]) -> FusedState:
        return FusedState(self.translation.select(rows), self.language.select(rows))


class ShallowFusion:
    """score(y_t) = log p(y_t | y_<t, x) + weight log p_LM(y_t | y_<t).

    Both are normalised over their own vocabulary: what the translation model may not generate (forbidden tokens, words
    outside a shortlist) stays impossible and keeps its share of the language model's mass. No term is ever positive, so
    searches may still drop what is behind; but the sum is no log-probability, and `log_prob` of a result is that sum.
    """

    def __init__(self, stepper: Stepper, language_model: LanguageModel, weight: float) -> None:
        """`stepper` gives all candidates. `weight`, lambda: 0 leaves the language model out."""
        assert weight >= 0
        self.stepper = stepper
        self.language_model = language_model
        self.weight = weight

    def encode(self, src: Int[Tensor, "B S"], lengths: Int[Tensor, " B"]) -> Any:
        return _Sentences(self.stepper.encode(src, lengths), len(src))

    def start(self, memory: Any) -> FusedState:
        return FusedState(self.stepper.start(memory.memory), self.language_model.start(memory.sentences))

    def step(
        self, prev: Int[Tensor, " N"], state: FusedState, memory: Any, allowed: Bool[Tensor, "#N V"] | None = None
    ) -> tuple[Candidates, FusedState, Float[Tensor, "N S"]]:
        candidates, translation, weights = self.stepper.step(prev, state.translation, memory.memory, allowed)
        assert candidates.ids is None
        logits, language = self.language_model.step(prev, state.language)
        assert logits.shape == candidates.scores.shape, "the models have different vocabularies"
        # 0 times minus infinity is no number
        fluency = self.weight * torch.log_softmax(logits.float(), dim=-1) if self.weight else 0.0
        return Candidates(candidates.scores + fluency), FusedState(translation, language), weights


class _Sentences(NamedTuple):
    """The translation model's memory of so many sentences."""

    memory: Any
    sentences: int

    def select(self, sentences: Int[Tensor, " b"]) -> _Sentences:
        return _Sentences(self.memory.select(sentences), len(sentences))
