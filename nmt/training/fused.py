"""The training pass on a CPU, its recurrences written out: torch's products, and C for all that lies between them.

The equations are those of nmt.model, which stays the reference (`Seq2Seq.forward`; tests/training/test_fused.py). Three
things make it faster. Gates, attention, tanh and dropout are one pass each over the data (nmt/native/src/training.c).
Steps write where the next product reads, so that nothing is concatenated or copied. And gradients of weights, keys and
states are taken once a sequence.

Tensors over a sequence are time first and flat: a row for each step and sentence, [S * B, E], then rows of zeros up to
one of few numbers of rows (`even`), because oneDNN prepares for every shape of a product and keeps what it prepared.
The letters R and P below are S * B and T * B with those zeros.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from nmt.model.attention import Dot, General, GlobalAttention
from nmt.model.cells import Cell, LSTMCell, LSTMState
from nmt.model.decoder import Decoder
from nmt.model.dropout import Dropout, drop_connect
from nmt.model.encoder import EncoderOutput, reversed_before_end
from nmt.model.seq2seq import Seq2Seq
from nmt.native import training as native
from nmt.text.tokenizer import PAD_ID
from nmt.training.shapes import even

DTYPES = (torch.float32, torch.bfloat16)


def refused(model: Seq2Seq) -> str | None:
    """Why a network has to take the general way; None where `forward` knows it."""
    decoder = model.decoder
    if model.copying is not None:
        return "it copies words"
    if next(model.parameters()).device.type != "cpu":
        return "it is not on the CPU"
    if next(model.parameters()).dtype != torch.float32:
        return "its weights are not fp32"
    if any(cast(Cell, cell).gain is not None for cell in decoder.cells):
        return "its gates are normalised"
    if not isinstance(model.encoder.rnn, nn.LSTM) or any(type(cell) is not LSTMCell for cell in decoder.cells):
        return "its cells are not LSTMs"
    if model.encoder.is_backward:
        return "its encoder reads backward"
    if type(decoder.attention) is not GlobalAttention or type(decoder.attention.score) not in (Dot, General):
        return "its attention is not global with a dot product"
    if type(decoder) is not Decoder:
        return "its bottom layer attends"
    if not decoder.input_feeding:
        return "it has no input feeding"
    if native.load() is None:
        return "the kernels are not compiled"
    return None


def forward(
    model: Seq2Seq, src: Int[Tensor, "B S"], lengths: Int[Tensor, " B"], tgt_in: Int[Tensor, "B T"]
) -> Float[Tensor, "T B A"]:
    """The attentional vectors of every step, as `Seq2Seq.forward`, for a network that is not `refused`.

    Products run in the autocast precision where that is on. Dropout is drawn from torch's random state, but is not
    torch's dropout: the same state drops other elements.
    """
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
    assert dtype in DTYPES, dtype
    seeds = _seeds()
    (B, S), T = src.shape, tgt_in.shape[1]
    if model.reverse_source:  # and so does the memory lie: attention of this kind does not ask where a state is
        src = reversed_before_end(src, lengths)
    encoded = _encode(model, _embed(model, model.src_embedding, src.t(), dtype, seeds), lengths, S, seeds)
    states = _dropout(encoded.states, model.memory_dropout, B, seeds)
    decoder = model.decoder
    keys = decoder.attention.score.keys(states.unsqueeze(0)).squeeze(0)
    embedded = _embed(model, model.tgt_embedding, tgt_in.t(), dtype, seeds)
    projected = decoder.project(embedded)
    layers = cast(tuple[LSTMState, ...], model.bridge(encoded))
    per_layer: list[Tensor] = []
    for k, (module, state) in enumerate(zip(decoder.cells, layers, strict=True)):
        cell = cast(LSTMCell, module)
        recurrent = drop_connect(cell.weight_recurrent, cell.hidden_size, _p(model, decoder.recurrent_dropout))
        add = projected if k == 0 else cell.bias.to(dtype)
        per_layer += [recurrent.to(dtype), add, state.h.to(dtype), state.c.float()]
    drawn = [[next(seeds) for _ in decoder.cells] for _ in range(1 if decoder.dropout.form == "variational" else T)]
    drawn *= T // len(drawn)  # one mask for all steps, or one for each
    vectors: Tensor = _Decoder.apply(  # type: ignore[no-untyped-call]
        keys,
        states,
        lengths,
        (S, T),
        decoder.combine.weight.to(dtype),
        _p(model, decoder.dropout.p),
        drawn,
        decoder.residual,
        *per_layer,
    )
    return vectors.view(T, B, -1)


def _p(model: Seq2Seq, p: float) -> float:
    return p if model.training else 0.0


def _embed(
    model: Seq2Seq, embedding: nn.Embedding, ids: Int[Tensor, "T B"], dtype: torch.dtype, seeds: Iterator[int]
) -> Float[Tensor, "P E"]:
    flat, B = ids.flatten(), ids.shape[1]
    ids = functional.pad(flat, (0, even(len(flat)) - len(flat)), value=PAD_ID)
    embedded = _dropout(embedding(ids).to(dtype), model.dropout, B, seeds)
    if model.training and model.word_dropout:
        keep = torch.rand(ids.shape) >= model.word_dropout
        embedded = embedded * (keep / (1 - model.word_dropout)).unsqueeze(-1).to(dtype)
    return embedded


def _encode(
    model: Seq2Seq, embedded: Float[Tensor, "R E"], lengths: Int[Tensor, " B"], S: int, seeds: Iterator[int]
) -> EncoderOutput:
    """`Encoder.forward` with states [R, H]."""
    encoder = model.encoder
    assert isinstance(encoder.rnn, nn.LSTM)
    weights = dict(encoder.rnn.named_parameters())
    last_h: list[Tensor] = []
    last_c: list[Tensor] = []
    states = embedded
    for layer in range(encoder.layers):
        below = _dropout(states, encoder.dropout, len(lengths), seeds) if layer else states
        outputs = []
        for direction in range(encoder.directions):
            w_ih, w_hh, b_ih, b_hh = (
                weights[f"{name}_l{layer}{'_reverse' if direction else ''}"]
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            recurrent = drop_connect(w_hh, encoder.rnn.hidden_size, _p(model, encoder.recurrent_dropout))
            projected = functional.linear(below, w_ih, b_ih + b_hh)
            output, h, c = _Recurrence.apply(  # type: ignore[no-untyped-call]
                projected, recurrent.to(projected.dtype), lengths, S, bool(direction)
            )
            outputs.append(output)
            last_h.append(h)
            last_c.append(c)
        joined = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
        states = states + joined if layer and encoder.residual else joined
    B, D = len(lengths), encoder.directions
    h, c = (
        torch.stack(last).view(encoder.layers, D, B, -1).transpose(1, 2).reshape(encoder.layers, B, -1)
        for last in (last_h, last_c)
    )
    return EncoderOutput(states, tuple(LSTMState(*parts) for parts in zip(h, c, strict=True)))


def _dropout(x: Float[Tensor, "R X"], dropout: Dropout, B: int, seeds: Iterator[int]) -> Float[Tensor, "R X"]:
    if not dropout.training or not dropout.p:
        return x
    same = B * x.shape[1] if dropout.form == "variational" else max(1, x.numel())
    y: Tensor = _Dropout.apply(x.contiguous(), dropout.p, next(seeds), same)  # type: ignore[no-untyped-call]
    return y


class _Dropout(torch.autograd.Function):
    """`same`: elements after which the mask begins again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, seed: int, same: int) -> Tensor:
        ctx.choices = p, seed, same
        return _dropped(x, p, seed, same)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, None, None]:
        return _dropped(dy.contiguous(), *ctx.choices), None, None, None


def _dropped(x: Tensor, p: float, seed: int, same: int) -> Tensor:
    y = torch.empty_like(x)
    kernel, size = _kernels().nmt_dropout, x.element_size()
    for first in range(0, x.numel(), same):
        count, at = min(same, x.numel() - first), first * size
        kernel(count, x.data_ptr() + at, y.data_ptr() + at, seed, _limit(p), _scale(p), _half(x))
    return y


class _Recurrence(torch.autograd.Function):
    """One direction of one layer of the encoder: states, and h and c at the end of each sentence."""

    @staticmethod
    def forward(
        ctx: Any,
        projected: Float[Tensor, "R GH"],
        weight: Float[Tensor, "GH H"],
        lengths: Int[Tensor, " B"],
        S: int,
        is_reverse: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        B, R, H = len(lengths), len(projected), weight.shape[1]
        projected, lengths = projected.contiguous(), lengths.contiguous()
        # the state before t is t of a forward pass, t + 1 of a reverse one
        flat_states, states = _steps(projected, R + B, S + 1, B, H)
        c = torch.empty(S + 1, B, H)
        flat_out, out = _steps(projected, R, S, B, H)
        flat_gates, gates = _steps(projected, R, S, B, 4 * H)
        added = projected[: S * B].view(S, B, 4 * H)
        first = S if is_reverse else 0
        states[first].zero_()
        c[first].zero_()
        half = _half(projected)
        step = native.LSTMForward(
            rows=B, hidden=H, half=half, lengths=lengths.data_ptr(), add_stride=4 * H, h_from_stride=H, h_to_stride=H
        )
        step.up_stride = H
        kernel, transposed = _kernels().nmt_lstm_forward, weight.t()
        for t in reversed(range(S)) if is_reverse else range(S):
            before, after = (t + 1, t) if is_reverse else (t, t + 1)
            torch.mm(states[before], transposed, out=gates[t])
            step.at = t
            step.gates, step.add, step.up = _at(gates, t), _at(added, t), _at(out, t)
            step.c_from, step.c_to = _at(c, before), _at(c, after)
            step.h_from, step.h_to = _at(states, before), _at(states, after)
            kernel(ctypes.byref(step))
        ctx.save_for_backward(weight, lengths)
        ctx.buffers, ctx.is_reverse = (flat_states, c, flat_gates, gates), is_reverse
        last = 0 if is_reverse else S
        return flat_out, states[last].clone(), c[last].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor, d_c: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        weight, lengths = ctx.saved_tensors
        states, c, flat_gates, gates = ctx.buffers
        del ctx.buffers  # the gates become their gradients: no second time
        (S, B, _), H, R = gates.shape, weight.shape[1], len(d_out)
        d_out = d_out.contiguous()[: S * B].view(S, B, H)
        keep, d_c = d_h.float().contiguous().clone(), d_c.contiguous().clone()
        through = torch.empty_like(d_out[0])
        step = native.LSTMBackward(
            rows=B, hidden=H, half=_half(gates), lengths=lengths.data_ptr(), next_stride=H, up_stride=H
        )
        step.keep, step.d_c = keep.data_ptr(), d_c.data_ptr()
        kernel = _kernels().nmt_lstm_backward
        for t in range(S) if ctx.is_reverse else reversed(range(S)):
            before, after = (t + 1, t) if ctx.is_reverse else (t, t + 1)
            step.at = t
            step.gates = step.d_gates = _at(gates, t)
            step.c_from, step.c_to, step.up = _at(c, before), _at(c, after), _at(d_out, t)
            kernel(ctypes.byref(step))
            torch.mm(gates[t], weight, out=through)
            step.next = through.data_ptr()
        inputs = states[B:] if ctx.is_reverse else states[:R]
        return flat_gates, flat_gates.t() @ inputs, None, None, None


class _Decoder(torch.autograd.Function):
    """Input feeding over a known target: the attentional vectors of all steps.

    `per_layer`: for each layer its recurrent weight on [fed; h], what is added to its gates (the projected embeddings
    for the bottom one, the bias for the others), and its first h and c. `drawn`: seeds of dropout, by step and layer.
    """

    @staticmethod
    def forward(
        ctx: Any,
        keys: Float[Tensor, "R H"],
        states: Float[Tensor, "R H"],
        lengths: Int[Tensor, " B"],
        sizes: tuple[int, int],
        combine: Float[Tensor, "A HH"],
        p: float,
        drawn: list[list[int]],
        is_residual: bool,
        *per_layer: Tensor,
    ) -> Tensor:
        weights, adds, first_h, first_c = (list(per_layer[part::4]) for part in range(4))
        keys, states, lengths = keys.contiguous(), states.contiguous(), lengths.contiguous()
        adds = [add.contiguous() for add in adds]
        (S, T), B, P, H, A, L = sizes, len(lengths), len(adds[0]), states.shape[1], combine.shape[0], len(weights)
        fed = [A] + [H] * (L - 1)
        flat_inputs, inputs = zip(*(_steps(states, P + B, T + 1, B, fed[k] + H) for k in range(L)), strict=True)
        c = [torch.empty(T + 1, B, H) for _ in range(L)]
        flat_gates, gates = zip(*(_steps(states, P, T, B, 4 * H) for _ in range(L)), strict=True)
        flat_joined, joined = _steps(states, P, T, B, 2 * H)
        flat_squashed, squashed = _steps(states, P, T, B, A)
        out = states.new_empty(T, B, A)
        alignment = torch.empty(T, B, S)
        inputs[0][0, :, :A].zero_()
        for k in range(L):
            inputs[k][T].zero_()  # what would be fed to a step after the last stands beside gates of zeros
            inputs[k][0, :, fed[k] :] = first_h[k]
            c[k][0] = first_c[k]
        half, size = _half(states), states.element_size()
        limit, scale = _limit(p), _scale(p)
        cells = [_lstm_forward(B, H, half, fed[k], adds[k]) for k in range(L)]
        # what leaves each layer but the top one, for the sum with the next; h itself leaves the bottom one
        sums = [torch.empty_like(first_h[0]) for _ in cells[1:-1]] if is_residual else []
        for lower, upper, between in zip(cells[1:], cells[2:], sums, strict=False):
            lower.sum = upper.below = between.data_ptr()
            upper.below_stride = H
        attention = _attention(keys, states, lengths, S)
        attention.query_stride = attention.context_stride = 2 * H
        kernels = _kernels()
        transposed, combine_transposed = [weight.t() for weight in weights], combine.t()
        for t in range(T):
            for k, step in enumerate(cells):
                torch.mm(inputs[k][t], transposed[k], out=gates[k][t])
                step.gates, step.c_from, step.c_to = _at(gates[k], t), _at(c[k], t), _at(c[k], t + 1)
                step.h_to = _at(inputs[k], t + 1) + fed[k] * size
                if k == 0:
                    step.add = adds[0].data_ptr() + t * B * 4 * H * size
                if is_residual and k == 1:
                    step.below, step.below_stride = cells[0].h_to, cells[0].h_to_stride
                if k < L - 1:
                    step.up, step.up_stride = _at(inputs[k + 1], t), 2 * H
                    step.dropout = native.Dropout(drawn[t][k], limit, scale)
                else:
                    step.up, step.up_stride = _at(joined, t) + H * size, 2 * H
                kernels.nmt_lstm_forward(ctypes.byref(step))
            attention.query, attention.context = _at(joined, t) + H * size, _at(joined, t)
            attention.weights = _at(alignment, t)
            kernels.nmt_attention_forward(ctypes.byref(attention))
            torch.mm(joined[t], combine_transposed, out=squashed[t])
            written = (_at(out, t), A, _at(inputs[0], t + 1), A + H)
            kernels.nmt_squash(B, A, _at(squashed, t), *written, drawn[t][L - 1], limit, scale, half)
        ctx.save_for_backward(keys, states, lengths, combine, *weights)
        ctx.buffers = inputs, c, gates, joined, squashed, alignment
        ctx.flat = flat_inputs, flat_gates, flat_joined, flat_squashed
        ctx.dropout, ctx.is_residual = (drawn, limit, scale), is_residual
        return out.view(T * B, A)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        keys, states, lengths, combine, *weights = ctx.saved_tensors
        inputs, c, gates, joined, squashed, alignment = ctx.buffers
        flat_inputs, flat_gates, flat_joined, flat_squashed = ctx.flat
        del ctx.buffers, ctx.flat  # gates and tanhs become their gradients: no second time
        drawn, limit, scale = ctx.dropout
        (T, B, A), S, H, L = squashed.shape, alignment.shape[2], states.shape[1], len(weights)
        d_out = d_out.contiguous().view(T, B, A)
        fed = [A] + [H] * (L - 1)
        half, size = _half(states), states.element_size()
        d_joined = torch.empty_like(joined)
        d_inputs = [torch.empty_like(part[0]) for part in inputs]
        d_c = [torch.zeros(B, H) for _ in range(L)]
        d_scores, d_query = torch.empty(T, B, S), torch.empty(B, H)
        attention = _attention(keys, states, lengths, S)
        attention.context_stride, attention.d_query = 2 * H, d_query.data_ptr()
        cells = [
            native.LSTMBackward(rows=B, hidden=H, half=half, next_stride=fed[k] + H, up_stride=2 * H) for k in range(L)
        ]
        for k, step in enumerate(cells):
            step.d_c = d_c[k].data_ptr()
        cells[-1].more = d_query.data_ptr()
        if ctx.is_residual:  # what a layer gives up reaches the layer below as it is: handed down in one place
            for step in cells:
                step.more = step.sum = d_query.data_ptr()
        kernels = _kernels()
        for t in reversed(range(T)):
            fed_back = d_inputs[0].data_ptr() if t < T - 1 else None
            given = (_at(d_out, t), A, fed_back, A + H)
            kernels.nmt_squash_backward(B, A, _at(squashed, t), *given, drawn[t][L - 1], limit, scale, half)
            torch.mm(squashed[t], combine, out=d_joined[t])
            attention.context, attention.weights = _at(d_joined, t), _at(alignment, t)
            attention.d_scores = _at(d_scores, t)
            kernels.nmt_attention_backward(ctypes.byref(attention))
            for k in reversed(range(L)):
                step = cells[k]
                step.gates = step.d_gates = _at(gates[k], t)
                step.c_from, step.c_to = _at(c[k], t), _at(c[k], t + 1)
                step.next = d_inputs[k].data_ptr() + fed[k] * size if t < T - 1 else None
                if k < L - 1:
                    step.up, step.dropout = d_inputs[k + 1].data_ptr(), native.Dropout(drawn[t][k], limit, scale)
                else:
                    step.up = _at(d_joined, t) + H * size
                kernels.nmt_lstm_backward(ctypes.byref(step))
                torch.mm(gates[k][t], weights[k], out=d_inputs[k])
        d_layers: list[Tensor | None] = []
        for k in range(L):
            rows = flat_gates[k]
            d_add = rows if k == 0 else rows.sum(dim=0, dtype=torch.float32).to(rows.dtype)
            d_layers += [rows.t() @ flat_inputs[k][: len(rows)], d_add, d_inputs[k][:, fed[k] :], d_c[k]]
        d_states = _per_sentence(alignment, d_joined, 0, len(states))
        d_keys = _per_sentence(d_scores, joined, H, len(states))
        d_combine = flat_squashed.t() @ flat_joined
        return d_keys, d_states, None, None, d_combine, None, None, None, *d_layers


def _steps(like: Tensor, rows: int, steps: int, B: int, width: int) -> tuple[Tensor, Tensor]:
    """Room for `rows` rows, and its front as [steps, B, width]; rows behind that are zeros."""
    flat = like.new_empty(rows, width)
    flat[steps * B :].zero_()
    return flat, flat[: steps * B].view(steps, B, width)


def _per_sentence(
    weights: Float[Tensor, "T B S"], vectors: Float[Tensor, "T B HH"], first: int, rows: int
) -> Float[Tensor, "R H"]:
    """sum_t w_t(s) v_t for every sentence; v_t is the half of the vectors that begins at `first`."""
    (T, B, S), H = weights.shape, vectors.shape[2] // 2
    flat, _ = _steps(vectors, rows, S, B, H)
    start = vectors.data_ptr() + first * vectors.element_size()
    kind = _half(vectors)
    _kernels().nmt_per_sentence(T, B, S, H, weights.data_ptr(), start, 2 * H, flat.data_ptr(), kind)
    return flat


def _lstm_forward(rows: int, hidden: int, half: int, fed: int, add: Tensor) -> native.LSTMForward:
    step = native.LSTMForward(rows=rows, hidden=hidden, half=half, h_to_stride=fed + hidden, add=add.data_ptr())
    step.add_stride = 4 * hidden if add.dim() > 1 else 0
    return step


def _attention(keys: Tensor, states: Tensor, lengths: Tensor, S: int) -> native.Attention:
    return native.Attention(
        rows=len(lengths),
        hidden=states.shape[1],
        half=_half(states),
        source=S,
        lengths=lengths.data_ptr(),
        keys=keys.data_ptr(),
        states=states.data_ptr(),
    )


def _at(tensor: Tensor, index: int) -> int:
    """The address of one step of a tensor that is contiguous from there on."""
    return tensor.data_ptr() + index * tensor.stride(0) * tensor.element_size()


def _half(tensor: Tensor) -> int:
    return int(tensor.dtype == torch.bfloat16)


def _limit(p: float) -> int:
    return round(p * 2**32) if p < 1 else 2**32 - 1


def _scale(p: float) -> float:
    return 1 / (1 - p) if p < 1 else 0.0


def _seeds() -> Iterator[int]:
    """Without end, decided by torch's random state."""
    while True:
        yield from torch.randint(2**32, (256,)).tolist()


def _kernels() -> ctypes.CDLL:
    kernels = native.load()
    assert kernels is not None
    return kernels
