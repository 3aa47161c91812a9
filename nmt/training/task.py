"""What differs between the kinds of models that can be trained, as one protocol. All else in nmt.training is for all.

A task is made from a recipe alone. Where several processes train, each makes its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from nmt.config import Recipe
from nmt.data.prepared import PreparedCorpus, Progress
from nmt.text.tokenizer import TokenizerPair
from nmt.training.loss import Loss
from nmt.training.report import ValidationResult


class Batch(Protocol):
    """What one product of the network works on."""

    @property
    def tokens(self) -> int:
        """Over how many the loss is summed; with none, there is nothing to learn."""

    def to(self, device: torch.device) -> Self: ...


class Stream(Protocol):
    """The batches of any epoch, from any position: the same for the same seed, epoch and position."""

    waited_s: float
    """How long training has waited for batches, but for the first of each `epoch` call."""

    def count(self, epoch: int) -> int:
        """Batches of an epoch."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of an epoch from the one with index `start`."""


class Objective(Protocol):
    """The loss of one network."""

    def __call__(self, batch: Any) -> Loss:
        """Sums over the batch's tokens. Called under the autocast of the run's precision."""

    def carried(self) -> dict[str, Tensor]:
        """What the next batch's loss depends on besides weights and batch; checkpoints keep it."""

    def carry(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `carried` gave."""


class Validator(Protocol):
    """Holds the dev set."""

    def validate(self, model: Any) -> ValidationResult:
        """The figures of a model, which is left in training mode."""


class Task(Protocol):
    """A kind of model, from the corpus to its figures."""

    unit: str
    """What a corpus is counted in, as a plural."""

    @property
    def is_shared(self) -> bool:
        """Whether several processes may share its batches."""

    def __init__(self, recipe: Recipe) -> None: ...

    def prepare(self, folder: Path, progress: Progress | None = None) -> PreparedCorpus:
        """Read and clean the recipe's corpora into `folder`. Raises ConfigError and CorpusError."""

    def learn_vocabulary(self, corpus: PreparedCorpus) -> TokenizerPair:
        """Learn what the run's `vocabulary/` will hold. Raises TokenizerError."""

    def measure(self, corpus: PreparedCorpus, tokenizers: TokenizerPair) -> Any:
        """What the streams of all processes need to know of the corpus, found out once."""

    def stream(self, corpus: PreparedCorpus, tokenizers: TokenizerPair, measured: Any, part: tuple[int, int]) -> Stream:
        """`part` (k, n): the rows k, k + n, k + 2n, ... of each batch."""

    def build(self, tokenizers: TokenizerPair, *, draw_weights: bool = True) -> nn.Module:
        """The network, its weights drawn from torch's random state."""

    def objective(self, model: Any, tokenizers: TokenizerPair, /) -> Objective: ...

    def validator(self, corpus: PreparedCorpus, tokenizers: TokenizerPair, device: torch.device) -> Validator: ...
