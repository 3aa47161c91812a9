"""One step of many searches at once, as functions on tensors: what a CUDA graph captures. Holds and decides nothing.

`FusedModel` is the network's step with everything taken out that need not be done at every step; where a network has a
form that it does not know, the network's own step serves. `search_step` is the reference's step of beam search
(`nmt.search.beam.advance`) on buffers that stay where they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from nmt.model.attention import Dot, GlobalAttention, Memory
from nmt.model.cells import Cell, LSTMCell, LSTMState, State
from nmt.model.decoder import Decoder, DecoderState
from nmt.model.seq2seq import Seq2Seq
from nmt.search.beam import Beam, advance, is_done
from nmt.search.constraints import NOTHING, Constraints, next_of_prefix, open_tokens
from nmt.search.ensemble import Memories, States
from nmt.search.scoring import Scoring
from nmt.search.stepper import Candidates, PlainModel, with_copies

Tree = TypeVar("Tree")


def map_tensors(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Tuples of tensors, nested and named as they may be, with `function` applied to each tensor; None stays None."""
    if tree is None:
        return tree
    if isinstance(tree, Tensor):
        result: Tree = function(tree, *others)
        return result
    assert isinstance(tree, tuple)
    parts = [map_tensors(function, *pieces) for pieces in zip(tree, *others, strict=True)]
    made: Tree = type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)  # type: ignore[assignment]
    return made


class FusedMemory(NamedTuple):
    """A network's memory, and the states as they enter h~."""

    memory: Memory
    values: Tensor
    """[B, S, A]: W_c's half for the context, applied to each state."""


class FusedModel:
    """A network whose step costs less and gives the same.

    The embeddings' part of the gates is a table [V, GH]. With W_c = [W_cc W_ch] (Luong et al. 2015, eq. 5) the
    context's product is made once a sentence: h~_t = tanh(sum_s a_t(s) v_s + W_ch h_t), where v_s = W_cc h_s.
    Weights lie in `dtype`; sums over time (c), softmaxes and scores stay in fp32.
    """

    def __init__(self, model: Seq2Seq, dtype: torch.dtype = torch.float32, kernels: ModuleType | None = None) -> None:
        """`model`: one that `refusal` has nothing against. `kernels`: `triton_kernels` where they can run."""
        assert refusal(model) is None
        self._kernels = kernels
        self.dtype = dtype
        self._model = model
        decoder = model.decoder if dtype == torch.float32 else copy.deepcopy(model.decoder).to(dtype)
        self._cells, self._attention = decoder.cells, decoder.attention
        self._feeds, self._is_residual = decoder.input_feeding, decoder.residual
        self._table = model.decoder.project(model.tgt_embedding.weight).to(dtype)
        H = model.hidden_size
        self._context, self._top = decoder.combine.weight[:, :H], decoder.combine.weight[:, H:].contiguous()
        self._output, self._bias = model.output.weight.to(dtype), model.output.bias.to(dtype)

    def encode(self, src: Tensor, lengths: Tensor) -> tuple[Any, Any]:
        """Memory and first state of B sentences, padded to S."""
        with half_encoder(src.device, self.dtype):
            memory, state = self._model.encode(src, lengths)
        memory = memory._replace(states=memory.states.to(self.dtype), keys=memory.keys.to(self.dtype))
        layers = tuple(self._stored(layer) for layer in state.layers)
        state = state._replace(layers=layers, feed=state.feed.to(self.dtype))
        return FusedMemory(memory, memory.states @ self._context.T), state

    def step(self, prev: Tensor, state: Any, memory: Any) -> tuple[Tensor, Any, Tensor]:
        """Logits [N, V], next state and attention weights [N, S] of N = B * Q hypotheses after their tokens `prev`."""
        below: Tensor | None = state.feed if self._feeds else None
        layers: list[State] = []
        top = state.layers[0].h
        for k, (cell, layer) in enumerate(zip(self._cells, state.layers, strict=True)):
            layers.append(self._cell(cell, prev if k == 0 else None, below, layer))
            below = top = top + layers[-1].h if k and self._is_residual else layers[-1].h
        attended, weights = self._attend(top, memory, state.position)
        attentional = torch.addmm(attended, top, self._top.T).tanh_()
        logits = torch.addmm(self._bias, attentional, self._output.T)
        return logits, DecoderState(tuple(layers), attentional, state.position + 1), weights

    def _cell(self, cell: Any, prev: Tensor | None, below: Tensor | None, state: State) -> State:
        """One layer's next state. `prev`: tokens, for the bottom layer."""
        if self._kernels is None or type(cell) is not LSTMCell or cell.gain is not None:
            return self._stored(cell(None if prev is None else self._table[prev], below, state))
        assert isinstance(state, LSTMState)
        recurrent = state.h if below is None else torch.cat((below, state.h), dim=1)
        gates = recurrent @ cell.weight_recurrent.T
        return LSTMState(*self._kernels.lstm(gates, cell.bias if prev is None else self._table, prev, state.c))

    def _stored(self, state: State) -> State:
        """h in the weights' precision, as it enters products; what else a cell remembers in fp32."""
        return type(state)._make([state.h.to(self.dtype), *(part.float() for part in state[1:])])

    def _attend(self, top: Tensor, memory: FusedMemory, position: Tensor) -> tuple[Tensor, Tensor]:
        """The context as it enters h~ [N, A], and the weights [N, S]."""
        N, (B, S, _) = top.shape[0], memory.values.shape
        attention, kernels = self._attention, self._kernels
        is_plain = type(attention) is GlobalAttention and isinstance(attention.score, Dot)
        if kernels is not None and is_plain and S <= kernels.MAX_SOURCE:
            attended, weights = kernels.attend(top, memory.memory.keys, memory.values, memory.memory.mask)
            return attended, weights
        weights = attention.align(top.view(B, N // B, -1), memory.memory, position.view(B, N // B))
        return (weights.to(self.dtype) @ memory.values).view(N, -1), weights.view(N, -1)


def refusal(model: Seq2Seq) -> str | None:
    """What of a network `FusedModel` does not know, by name; None where it can take it."""
    if model.copying is not None:
        return "copying"
    decoder = model.decoder
    if type(decoder) is not Decoder:
        return f"decoder {type(decoder).__name__}"
    if type(decoder.attention).forward is not GlobalAttention.forward:  # its context may be no weighted sum
        return f"attention {type(decoder.attention).__name__}"
    if unknown := [cell for cell in decoder.cells if not isinstance(cell, Cell)]:
        return f"cell {type(unknown[0]).__name__}"
    return None


def half_encoder(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Encoding in `dtype`, but on CPUs: their half-precision LSTMs give other results in other company."""
    return torch.autocast(device.type, dtype=dtype, enabled=device.type != "cpu" and dtype != torch.float32)


class HalfModel:
    """A network's own step under autocast to `dtype`: the general route to half precision."""

    def __init__(self, model: PlainModel, dtype: torch.dtype) -> None:
        self._model = model
        self._dtype = dtype

    def encode(self, src: Tensor, lengths: Tensor) -> tuple[Any, Any]:
        with half_encoder(src.device, self._dtype):
            return self._model.encode(src, lengths)

    def step(self, prev: Tensor, state: Any, memory: Any) -> tuple[Tensor, Any, Tensor]:
        with torch.autocast(prev.device.type, dtype=self._dtype):
            return self._model.step(prev, state, memory)


class EnsembleModel:
    """Models as one: softmax(sum_m w_m z_m), which is their normalised log-linear combination.

    See `nmt.search.ensemble`. Memory and state are tuples of the members'.
    """

    def __init__(self, models: Sequence[PlainModel], weights: Sequence[float], reads_alike: Sequence[bool]) -> None:
        """`weights` sum to 1. `reads_alike`: whose source positions are the first's, so that its attention counts."""
        assert len(models) == len(weights) == len(reads_alike)
        self._models = tuple(models)
        self._weights = tuple(weights)
        alike = sum(weight for weight, is_alike in zip(weights, reads_alike, strict=True) if is_alike)
        self._shares = tuple(w / alike if is_alike else 0.0 for w, is_alike in zip(weights, reads_alike, strict=True))
        self.is_fused = all(isinstance(model, FusedModel) for model in models)

    def encode(self, src: Tensor, lengths: Tensor) -> tuple[Memories, States]:
        """src [B, M, S] and lengths [B, M] of B sentences as each of the M members reads them."""
        encoded = [model.encode(src[:, m], lengths[:, m]) for m, model in enumerate(self._models)]
        return Memories(tuple(memory for memory, _ in encoded)), States(tuple(state for _, state in encoded))

    def step(self, prev: Tensor, state: States, memory: Memories) -> tuple[Tensor, States, Tensor]:
        """The mean of the members' logits [N, V] in fp32, their next states, and the mean attention [N, S]."""
        logits: Tensor | None = None
        attention: Tensor | None = None
        states = []
        parts = zip(self._models, state.members, memory.members, self._weights, self._shares, strict=True)
        for model, own, its_memory, weight, share in parts:
            its_logits, new, weights = model.step(prev, own, its_memory)
            states.append(new)
            its_logits = its_logits.float()
            logits = its_logits * weight if logits is None else logits.add_(its_logits, alpha=weight)
            if share:
                attention = weights * share if attention is None else attention + weights * share
        assert logits is not None
        assert attention is not None
        return logits, States(tuple(states)), attention


class Limits(NamedTuple):
    """What was asked for each sentence, [B] each."""

    n_best: Tensor
    max_length: Tensor
    min_length: Tensor


class History(NamedTuple):
    """What tracing back needs: by sentence, then its own step. T is above the largest maximal length."""

    tokens: Tensor
    """[B, T, K]"""
    parents: Tensor
    """[B, T, K]"""
    attention: Tensor | None
    """[B, T, K, S], before the hypotheses were reordered."""
    written: Tensor | None = None
    """[B, T, K]: the live hypotheses' own tokens, which move with them; None where no constraint asks for them."""


class Slots(NamedTuple):
    """Sentences under way, one a place. Every tensor's first dimension is places, or places times K."""

    memory: Any
    state: Any
    """Of the hypotheses, [B * K, ...]."""
    beam: Beam
    limits: Limits
    mask: Tensor
    """[B, S]: True on real source tokens."""
    attended: Tensor | None
    """[B * K, S]: attention summed over the steps; None where scores have no coverage term."""
    words: Tensor | None
    """[B, V]: each sentence's shortlist."""
    history: History
    constraints: Constraints | None = None


class Rules(NamedTuple):
    """What is the same for all sentences of a bundle."""

    scoring: Scoring
    eos_id: int
    forbidden: Tensor
    """[V]: True on tokens that are never generated."""
    kernels: ModuleType | None = None
    """`triton_kernels` where they can run."""


def search_step(model: PlainModel, slots: Slots, rules: Rules) -> None:
    """Advance every sentence by a token, in place. One that is done stays as it is, without a live hypothesis.

    No value leaves the device, and shapes depend on nothing but those of `slots`.
    """
    beam, limits = slots.beam, slots.limits
    B, K = beam.log_probs.shape
    logits, state, weights = model.step(beam.tokens.view(-1), slots.state, slots.memory)
    candidates = best_tokens(logits, slots, rules)
    step = beam.steps if slots.history.written is None else beam.steps.clone()  # `beam` is about to advance
    coverage = attended = None
    if slots.attended is not None:
        attended = slots.attended + weights
        mask = slots.mask.unsqueeze(1).expand(B, K, -1)
        coverage = rules.scoring.coverage(attended.view(B, K, -1), mask)
    if slots.history.attention is not None:
        _write(slots.history.attention, beam.steps, weights.view(B, K, -1))
    kernels = rules.kernels
    if kernels is not None and candidates.ids is not None and K <= kernels.MAX_BEAM:
        rows = kernels.advance(
            candidates.scores,
            candidates.ids,
            coverage,
            limits.n_best,
            limits.max_length,
            beam,
            slots.history.tokens,
            slots.history.parents,
            eos_id=rules.eos_id,
            length_penalty=rules.scoring.length_penalty,
        )
    else:
        rows = _advance(slots, candidates, coverage, rules)
    if slots.history.written is not None:
        _reorder(slots.history.written, rows)
        _write(slots.history.written, step, beam.tokens)
    if isinstance(model, FusedModel) or (isinstance(model, EnsembleModel) and model.is_fused):
        map_tensors(lambda old, value: torch.index_select(value, 0, rows, out=old), slots.state, state)
    else:
        map_tensors(lambda old, value: old.copy_(value), slots.state, state.select(rows))
    if slots.attended is not None and attended is not None:
        torch.index_select(attended, 0, rows, out=slots.attended)


def _advance(slots: Slots, candidates: Candidates, coverage: Tensor | None, rules: Rules) -> Tensor:
    """Advance the beams in place, and note the step; each row's parent row [N]."""
    beam, limits = slots.beam, slots.limits
    B, K = beam.log_probs.shape
    new, parents = advance(
        beam,
        candidates,
        eos_id=rules.eos_id,
        scoring=rules.scoring,
        n_best=limits.n_best,
        max_length=limits.max_length,
        coverage=coverage,
    )
    # a dead sentence finishes nothing more, so its result stands until somebody fetches it
    done = is_done(new, limits.max_length).unsqueeze(1)
    new = new._replace(log_probs=new.log_probs.masked_fill(done, -torch.inf))
    _write(slots.history.tokens, beam.steps, new.tokens)
    _write(slots.history.parents, beam.steps, parents)
    map_tensors(lambda old, value: old.copy_(value), beam, new)
    return (torch.arange(0, B * K, K, device=parents.device).unsqueeze(1) + parents).view(-1)


def best_tokens(logits: Tensor, slots: Slots, rules: Rules) -> Candidates:
    """The 2K best next tokens of each hypothesis: all that `advance` can ever use.

    logits [N, V]. Constraints act before the cut; the softmax is over the whole vocabulary, or the sentence's words.
    """
    K, V = slots.beam.tokens.shape[1], logits.shape[1]
    kernels, limits = rules.kernels, slots.limits
    if kernels is not None and slots.constraints is None and V <= kernels.MAX_WORDS and K <= kernels.MAX_BEAM:
        few = kernels.best_tokens(
            logits, slots.words, rules.forbidden, slots.beam.steps, limits.min_length, limits.max_length, rules.eos_id
        )
        return Candidates(*few)
    logits = logits.float()
    if slots.words is not None:
        barred = ~with_copies(slots.words, V).unsqueeze(1)
        logits = logits.view(len(barred), K, -1).masked_fill(barred, -torch.inf).view(logits.shape)
    total = torch.logsumexp(logits, dim=1, keepdim=True)
    end = logits[:, rules.eos_id] - total.squeeze(1)
    if slots.constraints is not None and slots.history.written is not None:
        choice = open_tokens(slots.constraints, slots.history.written.transpose(1, 2), slots.beam.steps)
        may_copy = next_of_prefix(slots.constraints, slots.beam.steps) == NOTHING
        copies = may_copy.repeat_interleave(K).unsqueeze(1).expand(-1, V - choice.shape[1])
        logits = logits.masked_fill(~torch.cat((choice, copies), dim=1), -torch.inf)
    steps = slots.beam.steps
    must_go_on = (steps < limits.min_length).repeat_interleave(K)
    must_end = (steps + 1 >= limits.max_length).repeat_interleave(K)
    allowed = with_copies(~rules.forbidden.unsqueeze(0), V)
    logits = logits.masked_fill(~allowed, -torch.inf)
    logits[:, rules.eos_id].masked_fill_(must_go_on, -torch.inf)
    scores, ids = logits.topk(min(2 * K, V), dim=1)
    scores = (scores - total).masked_fill_(must_end.unsqueeze(1), -torch.inf)
    scores[:, 0] = torch.where(must_end, end, scores[:, 0])
    ids[:, 0].masked_fill_(must_end, rules.eos_id)
    return Candidates(scores, ids)


def _reorder(written: Tensor, rows: Tensor) -> None:
    """Each hypothesis takes over what its parent has written. written [B, T, K]; rows [B * K]."""
    B, T, K = written.shape
    by_row = written.transpose(1, 2).reshape(B * K, T)
    written.copy_(by_row.index_select(0, rows).view(B, K, T).transpose(1, 2))


def _write(history: Tensor, steps: Tensor, values: Tensor) -> None:
    """Each sentence's values of its own step. history [B, T, K, ...]."""
    B, T = history.shape[:2]
    step = steps.clamp(max=T - 1)  # a dead sentence goes on counting
    history.index_put_((torch.arange(B, device=step.device), step), values)
