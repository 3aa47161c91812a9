"""How far gradients reach back in time: the norm of dL/dh_k by the steps between k and the loss, and its rate.

Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013: through a recurrence the gradient vanishes or explodes
like gamma^(t - k). Measured on a network as it is, trained or fresh; nothing is learnt here.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nmt.errors import CorpusError
from nmt.model.language_model import LanguageModel
from nmt.model.seq2seq import Seq2Seq
from nmt.model.trace import Place, Trace, cells_of, traced, unrolled
from nmt.text.tokenizer import BOS_ID, EOS_ID
from nmt.training.batches import Batch, make_batch

Array = NDArray[np.float64]
Network = TypeVar("Network", LanguageModel, Seq2Seq)

MIN_SHARE = 0.1
"""A distance that a smaller share of the sequences has is left out."""


@dataclass(frozen=True)
class Reach:
    """Gradients of the loss with respect to one part of one layer's state (`nmt.model.trace.traced`)."""

    name: str
    """`layer 1 h`, `decoder 1 c`, `encoder 2 backward h`, ..."""
    norms: Array
    """[K] of distance 0, 1, ... in steps: the geometric mean over sequences; 0 where no sequence has a gradient."""

    @property
    def gamma(self) -> float:
        """Of norm ~ scale * gamma^distance: below 1 the gradient vanishes, above 1 it explodes; nan where unknown."""
        return fit(self.norms)[0]

    @property
    def scale(self) -> float:
        """The norm at distance 0 by the same formula."""
        return fit(self.norms)[1]


def fit(norms: Array) -> tuple[float, float]:
    """gamma and c of norm ~ c gamma^distance, by least squares on logarithms, from distance 1 on.

    At distance 0 the gradient comes from the output and has not been through the recurrence. Norms of 0 are left out;
    nan where fewer than two others are there.
    """
    distances = 1 + np.flatnonzero(norms[1:] > 0)
    if len(distances) < 2:
        return math.nan, math.nan
    slope, intercept = np.polyfit(distances, np.log(norms[distances]), 1)
    return float(np.exp(slope)), float(np.exp(intercept))


def reach_of_language_model(model: LanguageModel, ids: Int[Tensor, "B T"]) -> list[Reach]:
    """Of the loss at the last word of each row, given the words before it, back through each layer."""
    model = _differentiable(model)
    B, T = ids[:, 1:].shape

    def loss() -> Tensor:
        vectors, _ = model(ids[:, :-1])
        return functional.cross_entropy(model.output(vectors[:, -1]), ids[:, -1], reduction="sum")

    distances = torch.arange(T - 1, -1, -1).expand(B, T)
    return [
        reach
        for place, trace in _gradients(model, loss).items()
        for reach in _reaches(f"layer {place.layer}", trace, distances)
    ]


def reach_of_translator(model: Seq2Seq, batch: Batch, steps: int) -> list[Reach]:
    """From the loss at the first target word back through the encoder; from that at word `steps` through the decoder.

    Every target has at least so many words. In the encoder distance is counted to the last step of a direction, where
    the decoder's first state comes from; through attention a loss is near to every step.
    """
    model = _differentiable(model)
    T = steps

    def loss_at(step: int) -> Tensor:
        vectors, weights = model(batch.src, batch.src_lengths, batch.tgt_in[:, : step + 1])
        logits = model.output(vectors[:, -1])
        if model.copying is not None:
            logits = model.copying(vectors[:, -1], logits, weights[:, -1], batch.src)
        return functional.cross_entropy(logits, batch.tgt_out[:, step], reduction="sum")

    B, S = batch.src.shape
    to_end = batch.src_lengths.unsqueeze(1) - 1 - torch.arange(S)  # below 0 on padding
    to_start = torch.arange(S - 1, -1, -1).where(to_end.flip(1) >= 0, -1)
    to_loss = torch.arange(T - 1, -1, -1).expand(B, T)
    encoder, decoder = _gradients(model, lambda: loss_at(0)), _gradients(model, lambda: loss_at(T - 1))
    reaches: list[Reach] = []
    for place, trace in encoder.items():
        if place.part == "encoder":
            # an encoder that reads backward alone is given its words in the other order, padding behind them
            from_padding = place.is_backward and not model.encoder.is_backward
            reaches += _reaches(str(place), trace, to_start if from_padding else to_end)
    for place, trace in decoder.items():
        if place.part == "decoder":
            reaches += _reaches(str(place), trace, to_loss)
    return reaches


def _differentiable(model: Network) -> Network:
    """A copy in double precision, in which norms do not underflow, whose layers show their steps; without dropout."""
    model = copy.deepcopy(model).double().eval().requires_grad_(True)
    model.encoder = unrolled(model.encoder)
    return model


def _gradients(model: LanguageModel | Seq2Seq, loss: Callable[[], Tensor]) -> dict[Place, Trace]:
    with traced(cells_of(model), gates=False, gradients=True) as traces:
        value = loss()
    value.backward()
    return traces


def _reaches(name: str, trace: Trace, distances: Int[Tensor, "B N"]) -> list[Reach]:
    """A `Reach` for each part of the state. `distances`: of each row and recorded step; below 0: not a step of its."""
    reaches = []
    for part in trace.states[0]._fields:
        tensors = [getattr(state, part) for state in trace.states]
        norms = torch.stack([_norm(tensor) for tensor in tensors], dim=1)  # [B, N]
        reaches.append(Reach(f"{name} {part}", _by_distance(norms.numpy(), distances.numpy())))
    return reaches


def _norm(state: Tensor) -> Tensor:
    """|dL/ds| of each row; 0 where the loss does not depend on it."""
    return state.new_zeros(len(state)) if state.grad is None else state.grad.norm(dim=-1)


def _by_distance(norms: Array, distances: NDArray[np.int64]) -> Array:
    """[K]: geometric means over the rows that have a step at a distance and a gradient there."""
    means = []
    for distance in range(int(distances.max()) + 1):
        chosen = norms[distances == distance]
        if len(chosen) < MIN_SHARE * len(norms):
            break
        found = chosen[chosen > 0]
        means.append(float(np.exp(np.log(found).mean())) if len(found) else 0.0)
    return np.array(means)


def language_rows(
    lines: Sequence[Sequence[int]], steps: int, rows: int, seed: int, *, runs_on: bool
) -> Int[Tensor, "B T"]:
    """At most `rows` pieces of text of `steps` words and the one after them, drawn by the seed.

    They begin where lines do or, where text `runs_on`, anywhere. Raises CorpusError where no piece is as long.
    """
    rng = random.Random(seed)
    if runs_on:
        text = [token for ids in lines for token in (*ids, EOS_ID)]
        starts = range(max(0, len(text) - steps))
        drawn = [text[start : start + steps + 1] for start in sorted(rng.sample(starts, min(rows, len(starts))))]
        longest = max(len(text) - 1, 0)
    else:
        texts = [[BOS_ID, *ids, EOS_ID] for ids in lines]
        longest = max((len(text) - 1 for text in texts), default=0)
        enough = [text[: steps + 1] for text in texts if len(text) > steps]
        drawn = rng.sample(enough, min(rows, len(enough)))
    if not drawn:
        raise CorpusError(f"no text of {steps} words to go back through; the longest has {longest}")
    return torch.tensor(drawn)


def translation_rows(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], steps: int, rows: int, seed: int) -> Batch:
    """At most `rows` pairs whose translation has `steps` words, its end counted, drawn by the seed.

    Raises CorpusError where none has.
    """
    enough = [(source, target) for source, target in pairs if source and len(target) + 1 >= steps]
    if not enough:
        longest = max((len(target) + 1 for _, target in pairs), default=0)
        raise CorpusError(f"no translation of {steps} words to go back through; the longest has {longest}")
    drawn = random.Random(seed).sample(enough, min(rows, len(enough)))
    return make_batch([source for source, _ in drawn], [target[:steps] for _, target in drawn])
