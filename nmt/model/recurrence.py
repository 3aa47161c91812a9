"""Products inside a recurrence, with the weight's gradient taken once a sequence instead of once a step.

Autograd adds up a full-size weight gradient at every step. Here each step's backward returns only the gradient of its
input and leaves (x, dy) on a tape; the first step, whose backward runs last, multiplies the whole tape at once.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class StepProduct:
    """x -> x W^T for the successive steps of one sequence.

    Every call's output must depend on the output of the call before it, as in a recurrence: that is what makes the
    first call the last one of the backward pass. One object serves one sequence.
    """

    def __init__(self, weight: Float[Tensor, "O I"]) -> None:
        kind = weight.device.type
        autocast = torch.is_autocast_enabled(kind)
        self._weight = weight.to(torch.get_autocast_dtype(kind)) if autocast else weight
        self._tape: list[tuple[Tensor, Tensor]] = []
        self._is_first = True

    def __call__(self, x: Float[Tensor, "N I"]) -> Float[Tensor, "N O"]:
        if not torch.is_grad_enabled():
            return functional.linear(x.to(self._weight.dtype), self._weight)
        arguments = (x.to(self._weight.dtype), self._weight, self._tape, self._is_first)
        y: Tensor = _StepProduct.apply(*arguments)  # type: ignore[no-untyped-call]
        self._is_first = False
        return y


class _StepProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tape: list[tuple[Tensor, Tensor]], is_first: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.tape, ctx.is_first = tape, is_first
        return x @ weight.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        ctx.tape.append((x, dy))
        dx = dy @ weight
        if not ctx.is_first:
            return dx, None, None, None
        xs, dys = (torch.cat(part) for part in zip(*ctx.tape, strict=True))
        ctx.tape.clear()
        return dx, dys.T @ xs, None, None
