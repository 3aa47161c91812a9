"""One process's part in training: the gradients of its rows, and the update of its share of the weights.

All weights are views of one vector, all gradients views of another. Where several processes train together
(nmt.training.team) the vectors lie in memory that they share: each adds up its share of everybody's gradients and
moves its share of the weights, so that no weight exists twice and none can drift apart. Knows nothing of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nmt.config import OptimizerConfig
from nmt.training.batches import derive_seed
from nmt.training.loss import Loss
from nmt.training.optim import build_optimizer, clipping_factor, ema_decay
from nmt.training.task import Batch, Objective

ALIGNMENT = 16
"""Floats in 64 bytes: every weight begins where vector instructions and caches like it."""

Allocate = Callable[[int], Tensor]
"""A vector of so many fp32 zeros."""


class Sums(NamedTuple):
    """Over the tokens of one process's rows in one update."""

    nll: float
    """Nats."""
    tokens: int


class Learner:
    """A network, its optimiser, and the share `rank` of `workers` of every update.

    An update is `learn`, `combine` and `apply` (and `follow`); with several processes each of the three ends everywhere
    before the next begins anywhere.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        config: OptimizerConfig,
        *,
        precision: torch.dtype,
        seed: int,
        rank: int = 0,
        workers: int = 1,
        allocate: Allocate | None = None,
        ema: float = 0.0,
    ) -> None:
        """`objective`: of this model. `precision`: of the products. `ema`: decay of the averaged weights, 0 for none.

        `allocate`: where the vectors come from, in the same order in every process. The weights of rank 0's model
        count; the others take them from the shared vector.
        """
        self.model = model.train()
        self.objective = objective
        self.device = next(model.parameters()).device
        self._config = config
        self._precision = precision
        self._seed = seed
        self._rank, self._workers = rank, workers
        allocate = allocate or (lambda size: torch.zeros(size, device=self.device))
        self._parameters = list(model.parameters())
        self._spans = _spans(self._parameters)
        self._size = _rounded(self._spans[-1].stop, ALIGNMENT * workers)
        self._weights = allocate(self._size)
        for parameter, span in zip(self._parameters, self._spans, strict=True):
            view = self._weights[span].view_as(parameter)
            if rank == 0:
                view.copy_(parameter.detach())
            parameter.data = view
        self._gradients = [allocate(self._size) for _ in range(workers)]
        mine = self._gradients[rank]
        self._own = [mine[span].view_as(p) for p, span in zip(self._parameters, self._spans, strict=True)]
        # all shares' optimisers, for checkpoints; a process steps its own only
        self._optimizers = [self._optimizer(number, allocate) for number in range(workers)]
        self._ema = ema
        self._averages = allocate(self._size) if ema else None
        if self._averages is not None and rank == 0:
            self._averages.copy_(self._weights)

    def learn(self, number: int, batches: Sequence[Batch]) -> Sums:
        """This process's gradients for the update `number`: of the sum, not yet the mean, over its tokens.

        Dropout is drawn from (seed, number, rank) alone, so that a resumed run draws what the killed one would have.
        """
        torch.manual_seed(derive_seed(self._seed, "update", number, self._rank))
        for parameter in self._parameters:
            parameter.grad = None
        losses = []
        for batch in batches:
            if batch.tokens:
                loss = self.loss(batch)
                loss.smoothed.backward()
                losses.append(loss.nll)
        for place, parameter in zip(self._own, self._parameters, strict=True):
            if parameter.grad is None:
                place.zero_()
            else:
                place.copy_(parameter.grad)
            parameter.grad = None
        return Sums(sum(map(float, losses)), sum(batch.tokens for batch in batches))

    def combine(self, tokens: int) -> float:
        """Make this share of the first gradient vector the mean over `tokens`; the sum of its squares.

        `tokens`: of all processes.
        """
        mine = self._share(self._gradients[0], self._rank)
        for others in self._gradients[1:]:
            mine.add_(self._share(others, self._rank))
        mine.div_(tokens)
        return float(torch.linalg.vector_norm(mine)) ** 2

    def apply(self, rate: float, squares: float) -> None:
        """Move this share of the weights. `squares`: what `combine` returned, added up over all processes."""
        mine = self._share(self._gradients[0], self._rank)
        if (factor := clipping_factor(squares**0.5, self._config.clip_norm)) < 1:
            mine.mul_(factor)
        optimizer = self._optimizers[self._rank]
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()

    def follow(self, number: int) -> None:
        """Move this share of the averaged weights towards the weights that update `number` (from 1) left."""
        if self._averages is not None:
            mine = self._share(self._averages, self._rank)
            mine.lerp_(self._share(self._weights, self._rank), 1 - ema_decay(self._ema, number))

    @property
    def is_averaging(self) -> bool:
        return self._averages is not None

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Meanwhile the model has the averaged weights, where there are any, instead of those that are learnt."""
        if self._averages is None:
            yield
            return
        self._view(self._averages)
        try:
            yield
        finally:
            self._view(self._weights)

    def _view(self, vector: Float[Tensor, " P"]) -> None:
        """Let the model's weights lie in this vector."""
        for parameter, span in zip(self._parameters, self._spans, strict=True):
            parameter.data = vector[span].view_as(parameter)

    def restart(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from these weights, by parameter name, with an optimiser and an average that remember nothing.

        Called in rank 0's process, between updates: it holds everybody's share.
        """
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(weights[name])
            for parts in self._state().values():
                for part in parts:
                    part.zero_()
            if self._averages is not None:
                self._averages.copy_(self._weights)

    def loss(self, batch: Batch) -> Loss:
        """Sums over the batch's tokens."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._precision == torch.bfloat16):
            return self.objective(batch)

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """The optimiser's state by parameter number and name, `3.exp_avg`: however many processes share it."""
        tensors: dict[str, Tensor] = {}
        for name, parts in self._state().items():
            is_vector = parts[0].dim() > 0
            whole = torch.cat(list(parts)) if is_vector else parts[0]
            for number, (parameter, span) in enumerate(zip(self._parameters, self._spans, strict=True)):
                part = whole[span].view_as(parameter) if is_vector else whole
                tensors[f"{number}.{name}"] = part.cpu().clone()
        return tensors

    def load_optimizer_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `optimizer_tensors` gave. Raises KeyError or RuntimeError where it does not fit."""
        for name, parts in self._state().items():
            if not parts[0].dim():
                for part in parts:
                    part.copy_(tensors[f"0.{name}"])
                continue
            whole = torch.zeros(self._size, device=self.device)
            for number, (parameter, span) in enumerate(zip(self._parameters, self._spans, strict=True)):
                whole[span].view_as(parameter).copy_(tensors[f"{number}.{name}"])
            for rank, part in enumerate(parts):
                part.copy_(self._share(whole, rank))

    def _share(self, vector: Float[Tensor, " P"], rank: int) -> Float[Tensor, " p"]:
        size = self._size // self._workers
        return vector[rank * size : (rank + 1) * size]

    def _optimizer(self, rank: int, allocate: Allocate) -> torch.optim.Optimizer:
        """The optimiser of one share, its state made beforehand, in allocated memory."""
        share = self._share(self._weights, rank).requires_grad_()
        share.grad = self._share(self._gradients[0], rank)
        # its own step tells what state it keeps; on a stand-in, for the share may hold weights in use already
        probe = torch.zeros(1, device=self.device, requires_grad=True)
        probe.grad = torch.zeros_like(probe)
        trial = build_optimizer(self._config, [probe])
        trial.step()
        optimizer = build_optimizer(self._config, [share])
        for name, value in trial.state[probe].items():
            if isinstance(value, Tensor):
                state = allocate(share.numel() if value.dim() else 1)
                optimizer.state[share][name] = state if value.dim() else state.view(())
        return optimizer

    def _state(self) -> dict[str, tuple[Tensor, ...]]:
        """The optimiser's tensors by name, one a share."""
        states: list[dict[str, Tensor]] = [next(iter(o.state.values()), {}) for o in self._optimizers]
        return {name: tuple(state[name] for state in states) for name in states[0]}


def _spans(parameters: Sequence[Tensor]) -> list[slice]:
    """Where each weight lies in the vector."""
    spans: list[slice] = []
    start = 0
    for parameter in parameters:
        spans.append(slice(start, start + parameter.numel()))
        start = _rounded(start + parameter.numel(), ALIGNMENT)
    return spans


def _rounded(count: int, to: int) -> int:
    return -(-count // to) * to
