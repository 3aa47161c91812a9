"""The decoder: stacked cells with input feeding, attention and the attentional vector. State goes in and comes out.

Luong, Pham & Manning 2015: h_t from [y_{t-1}; h~_{t-1}], c_t from attention, h~_t = tanh(W_c [c_t; h_t]) (eq. 5).
The output layer (eq. 6) is not here, so that training can apply it to all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nmt.model.attention import GlobalAttention, Memory, at_least_fp32
from nmt.model.cells import CELLS, PLAIN, Cell, CellOptions, HiddenState, LSTMState, State, map_state
from nmt.model.dropout import Dropout, drop_connect
from nmt.model.encoder import EncoderOutput
from nmt.model.recurrence import StepProduct


class DecoderState(NamedTuple):
    """All that a hypothesis owns: a few kilobytes of fixed size, whatever its length."""

    layers: tuple[State, ...]
    feed: Float[Tensor, "N F"]
    """What the step before feeds to the bottom layer, h~ or with GNMT's wiring the context; zero before the first."""
    position: Int[Tensor, " N"]
    """t of the next step, from 0."""

    def select(self, rows: Int[Tensor, " n"]) -> DecoderState:
        """The state of some rows, in the order given: beam reordering and dropping of finished rows."""
        return DecoderState(
            tuple(map_state(lambda part: part.index_select(0, rows), layer) for layer in self.layers),
            self.feed.index_select(0, rows),
            self.position.index_select(0, rows),
        )

    def put(self, rows: Int[Tensor, " n"], other: DecoderState) -> DecoderState:
        """This state with some rows replaced by those of `other`: refilling of slots."""
        return DecoderState(
            tuple(
                map_state(lambda mine, new: mine.index_copy(0, rows, new), layer, theirs)
                for layer, theirs in zip(self.layers, other.layers, strict=True)
            ),
            self.feed.index_copy(0, rows, other.feed),
            self.position.index_copy(0, rows, other.position),
        )


class Shared(NamedTuple):
    """What the steps of one batch of training sequences share."""

    cells: tuple[StepProduct, ...]
    combine: StepProduct
    between: tuple[Callable[[Tensor], Tensor], ...]
    """Dropout on the way to each layer above the first."""
    output: Callable[[Tensor], Tensor]
    """Dropout of the attentional vector."""


class Bridge(nn.Module):
    """The decoder's first state from the encoder's last: `zero`, `copy`, or `linear` with tanh on h."""

    def __init__(
        self,
        kind: str,
        hidden_size: int,
        encoder_layers: int,
        decoder_layers: int,
        state_type: type[HiddenState] | type[LSTMState] = LSTMState,
    ) -> None:
        """`state_type`: that of the cells on both sides."""
        super().__init__()
        assert kind in ("zero", "copy", "linear")
        self.kind = kind
        # the top layers meet; a decoder deeper than the encoder repeats the encoder's top
        lowest, top = max(encoder_layers - decoder_layers, 0), encoder_layers - 1
        self.sources = [min(lowest + k, top) for k in range(decoder_layers)]
        maps = decoder_layers if kind == "linear" else 0
        for part in state_type._fields:
            self.add_module(part, nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(maps)))

    def forward(self, encoded: EncoderOutput) -> tuple[State, ...]:
        states = [encoded.last[source] for source in self.sources]
        if self.kind == "zero":
            return tuple(map_state(torch.zeros_like, state) for state in states)
        if self.kind == "copy":
            return tuple(states)
        return tuple(self._linear(k, state) for k, state in enumerate(states))

    def _linear(self, layer: int, state: State) -> State:
        """tanh keeps h in a cell's range; other parts may have any size, and are sums over time."""
        h, *others = (
            cast(nn.ModuleList, self.get_submodule(name))[layer](part)
            for name, part in zip(state._fields, state, strict=True)
        )
        return type(state)._make([torch.tanh(h), *map(at_least_fp32, others)])


class Decoder(nn.Module):
    """One step is `step`; `forward` is the same steps over a known target (teacher forcing)."""

    bottom_attends: ClassVar[bool] = False
    """Whether the context, not h~, is fed to the next step, and the layers above the bottom one read it too."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int,
        attention: GlobalAttention,
        *,
        attentional_size: int,
        cell: str = "lstm",
        options: CellOptions = PLAIN,
        input_feeding: bool = True,
        dropout: float = 0.0,
        dropout_form: str = "zaremba",
        recurrent_dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        """`residual`: every layer above the first adds its input, undropped, to its output (Wu et al. 2016, eq. 6)."""
        super().__init__()
        self.attentional_size = attentional_size
        self.input_feeding = input_feeding
        kind = CELLS[cell]
        self.feed_size = hidden_size if self.bottom_attends else attentional_size
        above = 2 * hidden_size if self.bottom_attends else hidden_size
        bottom = kind(input_size, self.feed_size if input_feeding else 0, hidden_size, options)
        self.cells = nn.ModuleList([bottom, *(kind(0, above, hidden_size, options) for _ in range(layers - 1))])
        self.attention = attention
        self.combine = nn.Linear(2 * hidden_size, attentional_size, bias=False)
        self.dropout = Dropout(dropout, dropout_form)
        self.recurrent_dropout = recurrent_dropout
        self.residual = residual

    def start(self, layers: tuple[State, ...]) -> DecoderState:
        """The state before the first step."""
        h = layers[0].h
        return DecoderState(
            layers,
            h.new_zeros(h.shape[0], self.feed_size),
            torch.zeros(h.shape[0], dtype=torch.long, device=h.device),
        )

    def project(self, embedded: Float[Tensor, "*rows E"]) -> Float[Tensor, "*rows GH"]:
        """The target embeddings' part of the bottom cell's gates, for any number of steps at once."""
        return cast(Cell, self.cells[0]).project(embedded)

    def step(
        self,
        projected: Float[Tensor, "N GH"],
        state: DecoderState,
        memory: Memory,
        shared: Shared | None = None,
    ) -> tuple[Float[Tensor, "N A"], DecoderState, Float[Tensor, "N S"]]:
        """The attentional vector h~_t, the next state and the attention weights.

        Rows of one sentence lie together: N = B * Q for a memory of B sentences. `shared`: with the other steps of a
        training sequence.
        """
        N, B = projected.shape[0], memory.mask.shape[0]
        top, layers = self._recur(projected, state, shared)
        context, weights = self.attention(top.view(B, N // B, -1), memory, state.position.view(B, N // B))
        attentional = self._combine(context.view(N, -1), top, shared)
        return attentional, DecoderState(layers, attentional, state.position + 1), weights.view(N, -1)

    def _recur(
        self, projected: Float[Tensor, "N GH"], state: DecoderState, shared: Shared | None
    ) -> tuple[Float[Tensor, "N H"], tuple[State, ...]]:
        """One step of all layers: what leaves the top one, and the new states."""
        below: Tensor | None = state.feed if self.input_feeding else None
        layers: list[State] = []
        top: Tensor | None = None
        for k, (cell, layer) in enumerate(zip(self.cells, state.layers, strict=True)):
            if top is not None:
                below = self.dropout(top) if shared is None else shared.between[k - 1](top)
            layers.append(cell(projected if k == 0 else None, below, layer, shared and shared.cells[k]))
            top = top + layers[-1].h if top is not None and self.residual else layers[-1].h
        assert top is not None
        return top, tuple(layers)

    def _combine(
        self, context: Float[Tensor, "*rows H"], top: Float[Tensor, "*rows H"], shared: Shared | None
    ) -> Float[Tensor, "*rows A"]:
        """h~_t = tanh(W_c [c_t; h_t]) (eq. 5)."""
        joined = torch.cat((context.to(top.dtype), top), dim=-1)
        attentional = torch.tanh(self.combine(joined) if shared is None else shared.combine(joined))
        dropped: Tensor = self.dropout(attentional) if shared is None else shared.output(attentional)
        return dropped

    def forward(
        self, embedded: Float[Tensor, "B T E"], state: DecoderState, memory: Memory
    ) -> tuple[Float[Tensor, "B T A"], Float[Tensor, "B T S"], DecoderState]:
        """All steps of a known target: h~ and attention weights of each."""
        shared = self._share()
        if not self.input_feeding:
            return self._forward_without_feeding(embedded, state, memory, shared)
        vectors: list[Tensor] = []
        weights: list[Tensor] = []
        for projected in self.project(embedded).unbind(1):
            attentional, state, attention = self.step(projected, state, memory, shared)
            vectors.append(attentional)
            weights.append(attention)
        return torch.stack(vectors, dim=1), torch.stack(weights, dim=1), state

    def _share(self) -> Shared:
        p = self.recurrent_dropout if self.training else 0.0
        cells = [cast(Cell, cell) for cell in self.cells]
        return Shared(
            tuple(StepProduct(drop_connect(cell.weight_recurrent, cell.hidden_size, p)) for cell in cells),
            StepProduct(self.combine.weight),
            tuple(self.dropout.over_steps() for _ in cells[1:]),
            self.dropout.over_steps(),
        )

    def _forward_without_feeding(
        self, embedded: Float[Tensor, "B T E"], state: DecoderState, memory: Memory, shared: Shared
    ) -> tuple[Float[Tensor, "B T A"], Float[Tensor, "B T S"], DecoderState]:
        """Nothing of attention enters the recurrence, so all target steps are attended at once."""
        first = state.position.unsqueeze(1)
        tops: list[Tensor] = []
        for projected in self.project(embedded).unbind(1):
            top, layers = self._recur(projected, state, shared)
            state = state._replace(layers=layers, position=state.position + 1)
            tops.append(top)
        query = torch.stack(tops, dim=1)
        positions = first + torch.arange(len(tops), device=first.device)
        context, weights = self.attention(query, memory, positions)
        attentional = self._combine(context, query, None)
        return attentional, weights, state._replace(feed=attentional[:, -1])


class GNMTDecoder(Decoder):
    """The bottom layer attends for all (Wu et al. 2016, section 3): its h_t is the query, c_t enters all above.

    h_t^1 = cell^1([y_{t-1}; c_{t-1}], h_{t-1}^1), a_t from h_t^1, h_t^k = cell^k([h_t^{k-1}; c_t], h_{t-1}^k). They
    take the query of the step before, so that all layers can begin at once; ours has read y_{t-1}. The attentional
    vector stays Luong's, of c_t and the top layer, where they take the top layer alone.
    """

    bottom_attends = True

    def step(
        self,
        projected: Float[Tensor, "N GH"],
        state: DecoderState,
        memory: Memory,
        shared: Shared | None = None,
    ) -> tuple[Float[Tensor, "N A"], DecoderState, Float[Tensor, "N S"]]:
        top, state, weights = self._advance(projected, state, memory, shared)
        return self._combine(state.feed, top, shared), state, weights

    def _advance(
        self, projected: Float[Tensor, "N GH"], state: DecoderState, memory: Memory, shared: Shared | None
    ) -> tuple[Float[Tensor, "N H"], DecoderState, Float[Tensor, "N S"]]:
        """What leaves the top layer, the next state, whose feed is c_t, and the attention weights."""
        N, B = projected.shape[0], memory.mask.shape[0]
        fed = state.feed if self.input_feeding else None
        layers: list[State] = [self.cells[0](projected, fed, state.layers[0], shared and shared.cells[0])]
        top = layers[0].h
        context, weights = self.attention(top.view(B, N // B, -1), memory, state.position.view(B, N // B))
        context = context.view(N, -1).to(top.dtype)
        for k in range(1, len(self.cells)):
            read = torch.cat((top, context), dim=-1)
            read = self.dropout(read) if shared is None else shared.between[k - 1](read)
            layers.append(self.cells[k](None, read, state.layers[k], shared and shared.cells[k]))
            top = top + layers[k].h if self.residual else layers[k].h
        return top, DecoderState(tuple(layers), context, state.position + 1), weights.view(N, -1)

    def forward(
        self, embedded: Float[Tensor, "B T E"], state: DecoderState, memory: Memory
    ) -> tuple[Float[Tensor, "B T A"], Float[Tensor, "B T S"], DecoderState]:
        shared = self._share()
        tops: list[Tensor] = []
        contexts: list[Tensor] = []
        weights: list[Tensor] = []
        for projected in self.project(embedded).unbind(1):
            top, state, attention = self._advance(projected, state, memory, shared)
            tops.append(top)
            contexts.append(state.feed)
            weights.append(attention)
        # h~ enters no step, so all of them are made at once
        vectors = self._combine(torch.stack(contexts, dim=1), torch.stack(tops, dim=1), None)
        return vectors, torch.stack(weights, dim=1), state


WIRINGS: dict[str, type[Decoder]] = {
    "luong": Decoder,
    "gnmt": GNMTDecoder,
}
"""Which state attends, by the name that a recipe gives it."""
