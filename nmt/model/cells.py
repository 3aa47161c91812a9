"""Recurrent cells as equations: one step each, state in and state out. Knows nothing of sequences or attention.

A cell's input comes in two parts. The *hoisted* part is known for a whole sequence beforehand (target embeddings in
training), so `project` multiplies it for all steps at once. The *fed* part exists only at its step (the attentional
vector of input feeding, the layer below), so it shares one product with the recurrent state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

Product = Callable[[Tensor], Tensor]
"""x -> x W^T of one weight matrix."""


class HiddenState(NamedTuple):
    """What a layer remembers whose cell has no memory beside its output, [N, H]."""

    h: Float[Tensor, "N H"]


class LSTMState(NamedTuple):
    """h and c of one layer, [N, H] each."""

    h: Float[Tensor, "N H"]
    c: Float[Tensor, "N H"]


class CellOptions(NamedTuple):
    """What may be chosen of a cell beside its kind. Each cell heeds what concerns it."""

    nonlinearity: str = "tanh"
    """Of `rnn`: one of NONLINEARITIES."""
    peepholes: tuple[str, ...] = ("i", "f", "o")
    """Of `lstm_peephole`: the gates that look at c."""
    layer_norm: bool = False
    """Whether each gate's pre-activation is normalised."""


PLAIN = CellOptions()


State = HiddenState | LSTMState
"""One layer's state: a cell's output h first, then what else it remembers."""
AnyState = TypeVar("AnyState", HiddenState, LSTMState, State)


def map_state(function: Callable[..., Tensor], *states: AnyState) -> AnyState:
    """A state whose every part is `function` of that part of the given ones, which are of one kind."""
    return type(states[0])._make(function(*parts) for parts in zip(*states, strict=True))


class Cell(nn.Module):
    """One layer's recurrence: a step takes this step's input and a state, and gives the next state.

    Here are the weights that every cell has; a kind of cell names its gates and its state and writes its equations
    (`equations`).

    With layer normalisation (Ba et al. 2016) a gate's sum of products z, over its H units, becomes
    gain * (z - mean(z)) / sqrt(var(z) + 1e-5) + b: each gate for itself, as in RNMT+ (Chen et al. 2018). Ba et al.
    normalise W x and U h apart, and c too. b acts behind the normalisation, which would undo a forget bias.
    """

    gate_names: ClassVar[tuple[str, ...]]
    """In the order of the weights' rows."""
    gates: ClassVar[int]
    """G: how many those are."""
    state_type: ClassVar[type[HiddenState] | type[LSTMState]]
    deviation: ClassVar[float]
    """About that of h's entries in a network with fitted first weights: what a layer above has to allow for."""

    def __init_subclass__(cls) -> None:
        cls.gates = len(cls.gate_names)

    def __init__(self, input_size: int, feed_size: int, hidden_size: int, options: CellOptions = PLAIN) -> None:
        """`input_size`: width of the hoisted part, 0 where there is none. `feed_size`: width of the fed part."""
        super().__init__()
        self.hidden_size = hidden_size
        self.options = options
        self.weight_input = nn.Parameter(torch.empty(self.gates * hidden_size, input_size)) if input_size else None
        self.weight_recurrent = nn.Parameter(torch.empty(self.gates * hidden_size, feed_size + hidden_size))
        self.bias = nn.Parameter(torch.zeros(self.gates * hidden_size))
        self.gain = nn.Parameter(torch.ones(self.gates * hidden_size)) if options.layer_norm else None

    def project(self, x: Float[Tensor, "*rows E"]) -> Float[Tensor, "*rows GH"]:
        """The hoisted part of the gates, W x + b (W x with layer normalisation), for any number of steps at once."""
        assert self.weight_input is not None
        return functional.linear(x, self.weight_input, self.bias if self.gain is None else None)

    def forward(
        self,
        projected: Float[Tensor, "N GH"] | None,
        feed: Float[Tensor, "N F"] | None,
        state: State,
        product: Product | None = None,
    ) -> State:
        """One step.

        `projected`: this step's slice of `project`, None for a cell without hoisted input. `product`: how to multiply
        by `weight_recurrent`, where a whole sequence shares a `recurrence.StepProduct`.
        """
        return self.equations(projected, feed, state, product)[1]

    def activations(
        self, projected: Float[Tensor, "N GH"] | None, feed: Float[Tensor, "N F"] | None, state: State
    ) -> dict[str, Float[Tensor, "N H"]]:
        """The gates of one step by name, after their nonlinearities; of the same arguments as `forward`."""
        return dict(zip(self.gate_names, self.equations(projected, feed, state, None)[0], strict=True))

    def equations(
        self, projected: Tensor | None, feed: Tensor | None, state: State, product: Product | None
    ) -> tuple[tuple[Tensor, ...], State]:
        """The gates after their nonlinearities, in order, and the next state; of the same arguments as `forward`."""
        raise NotImplementedError

    @torch.no_grad()
    def reset_vectors(self, init_range: float, forget_bias: float) -> None:
        """First values of all that is no matrix: biases 0, but a forget gate's; gains 1; others as a cell says."""
        for vector in self.parameters():
            if vector.dim() == 1:
                vector.zero_()
        if "f" in self.gate_names:
            self.bias.view(self.gates, -1)[self.gate_names.index("f")] = forget_bias
        if self.gain is not None:
            self.gain.fill_(1.0)

    def initial_state(self, rows: int, like: Tensor) -> State:
        """Zeros on the device of `like`: h in its precision, what else a cell remembers in fp32 or better."""
        zeros = like.new_zeros(rows, self.hidden_size)
        sums = zeros.to(torch.promote_types(like.dtype, torch.float32))
        return self.state_type._make([zeros] + [sums] * (len(self.state_type._fields) - 1))

    def _of_input(self, projected: Tensor | None) -> Tensor:
        """What the hoisted part adds to the gates; with layer normalisation the bias comes later (`_normal`)."""
        if projected is not None:
            return projected
        return self.bias if self.gain is None else torch.zeros_like(self.bias)

    def _sums(self, projected: Tensor | None, feed: Tensor | None, h: Tensor, product: Product | None) -> Tensor:
        """The sums of the gates' products: W x + U [feed; h] + b, without b where `_normal` adds it."""
        recurrent = h if feed is None else torch.cat((feed, h), dim=-1)
        sums = functional.linear(recurrent, self.weight_recurrent) if product is None else product(recurrent)
        return sums + self._of_input(projected)

    def _normal(self, sums: Tensor, first: int = 0) -> Tensor:
        """The pre-activations of the gates from `first` on, from their sums: the same without layer normalisation."""
        if self.gain is None:
            return sums
        rows = slice(first * self.hidden_size, first * self.hidden_size + sums.shape[-1])
        by_gate = sums.unflatten(-1, (-1, self.hidden_size))
        normal = functional.layer_norm(by_gate, (self.hidden_size,)).flatten(-2)
        return torch.addcmul(self.bias[rows], self.gain[rows], normal).to(sums.dtype)


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    i, f, o = sigmoid(W x + U [feed; h] + b), g = tanh(the same), c' = f * c + i * g, h' = o * tanh(c').
    Gates lie in the order i, f, g, o, as in cuDNN and torch.nn.LSTM.
    """

    gate_names = ("i", "f", "g", "o")
    state_type = LSTMState
    deviation = 0.2

    def forward(
        self,
        projected: Float[Tensor, "N GH"] | None,
        feed: Float[Tensor, "N F"] | None,
        state: State,
        product: Product | None = None,
    ) -> State:
        assert isinstance(state, LSTMState)
        return LSTMState(*lstm_pointwise(self._normal(self._sums(projected, feed, state.h, product)), state.c))

    def equations(
        self, projected: Tensor | None, feed: Tensor | None, state: State, product: Product | None
    ) -> tuple[tuple[Tensor, ...], State]:
        assert isinstance(state, LSTMState)
        before = self._normal(self._sums(projected, feed, state.h, product))
        i, f, g, o = before.chunk(4, dim=-1)
        gates = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        return gates, LSTMState(*lstm_pointwise(before, state.c))


class PeepholeLSTMCell(Cell):
    """LSTM whose gates look at the memory (Gers & Schmidhuber 2000).

    i, f = sigmoid(W x + U h + p * c + b) and o the same with p_o * c', the new memory; the rest is the LSTM's. Each p
    is a vector: a unit's gates see that unit's memory alone. `CellOptions.peepholes` says which gates have one.
    """

    gate_names = ("i", "f", "g", "o")
    state_type = LSTMState
    deviation = 0.2

    def __init__(self, input_size: int, feed_size: int, hidden_size: int, options: CellOptions = PLAIN) -> None:
        super().__init__(input_size, feed_size, hidden_size, options)
        self.peephole_i, self.peephole_f, self.peephole_o = (
            nn.Parameter(torch.zeros(hidden_size)) if gate in options.peepholes else None for gate in "ifo"
        )

    def equations(
        self, projected: Tensor | None, feed: Tensor | None, state: State, product: Product | None
    ) -> tuple[tuple[Tensor, ...], State]:
        assert isinstance(state, LSTMState)
        sums = self._sums(projected, feed, state.h, product)
        i, f, g, o = sums.chunk(4, dim=-1)
        i = self._normal(_seeing(i, self.peephole_i, state.c), 0).sigmoid()
        f = self._normal(_seeing(f, self.peephole_f, state.c), 1).sigmoid()
        g = self._normal(g, 2).tanh()
        c = f * state.c + i * g
        o = self._normal(_seeing(o, self.peephole_o, c), 3).sigmoid()
        return (i, f, g, o), LSTMState((o * c.tanh()).to(sums.dtype), c)

    @torch.no_grad()
    def reset_vectors(self, init_range: float, forget_bias: float) -> None:
        """Peepholes are drawn like matrices where those are uniform; else they begin closed, at 0."""
        super().reset_vectors(init_range, forget_bias)
        for peephole in (self.peephole_i, self.peephole_f, self.peephole_o):
            if peephole is not None:
                peephole.uniform_(-init_range, init_range)


def _seeing(sums: Tensor, peephole: Tensor | None, c: Tensor) -> Tensor:
    return sums if peephole is None else sums + peephole * c


class CoupledLSTMCell(Cell):
    """LSTM that forgets exactly as much as it lets in: i = 1 - f (CIFG of Greff et al. 2017).

    f, o = sigmoid(W x + U h + b), g = tanh(the same), c' = f * c + (1 - f) * g, h' = o * tanh(c').
    """

    gate_names = ("f", "g", "o")
    state_type = LSTMState
    deviation = 0.15

    def equations(
        self, projected: Tensor | None, feed: Tensor | None, state: State, product: Product | None
    ) -> tuple[tuple[Tensor, ...], State]:
        assert isinstance(state, LSTMState)
        before = self._normal(self._sums(projected, feed, state.h, product))
        f, g, o = before.chunk(3, dim=-1)
        f, g, o = f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * state.c + (1 - f) * g
        return (f, g, o), LSTMState((o * c.tanh()).to(before.dtype), c)


class GRUCell(Cell):
    """Gated recurrent unit (Cho et al. 2014), in the form of torch.nn.GRU and cuDNN.

    r, z = sigmoid(W x + U h + b), n = tanh(W_n x + b_n + r * (U_n h + b_hn)), h' = (1 - z) * n + z * h.
    z near 1 keeps h. Cho et al. reset h before the product, U_n (r * h): that product has to wait for r, where this one
    is taken together with those of the gates. Gates lie in the order r, z, n.

    What is fed is input, which r does not touch, so its weights are a matrix of their own.
    """

    gate_names = ("r", "z", "n")
    state_type = HiddenState
    deviation = 0.4

    def __init__(self, input_size: int, feed_size: int, hidden_size: int, options: CellOptions = PLAIN) -> None:
        super().__init__(input_size, 0, hidden_size, options)
        self.weight_feed = nn.Parameter(torch.empty(self.gates * hidden_size, feed_size)) if feed_size else None
        self.bias_hidden = nn.Parameter(torch.zeros(hidden_size))

    def equations(
        self, projected: Tensor | None, feed: Tensor | None, state: State, product: Product | None
    ) -> tuple[tuple[Tensor, ...], State]:
        of_input = self._of_input(projected)
        if feed is not None:
            assert self.weight_feed is not None
            of_input = of_input + functional.linear(feed, self.weight_feed)
        of_state = functional.linear(state.h, self.weight_recurrent) if product is None else product(state.h)
        H = self.hidden_size
        r, z = self._normal(of_input[..., : 2 * H] + of_state[..., : 2 * H]).sigmoid().chunk(2, dim=-1)
        new = of_input[..., 2 * H :] + r * (of_state[..., 2 * H :] + self.bias_hidden)
        n = torch.tanh(self._normal(new, 2))
        return (r, z, n), HiddenState((n + z * (state.h - n)).to(of_state.dtype))


NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}


class RNNCell(Cell):
    """Simple recurrent network (Elman 1990): h' = tanh(W x + U [feed; h] + b), or relu in the place of tanh."""

    gate_names = ("h",)
    state_type = HiddenState
    deviation = 0.7

    def equations(
        self, projected: Tensor | None, feed: Tensor | None, state: State, product: Product | None
    ) -> tuple[tuple[Tensor, ...], State]:
        before = self._normal(self._sums(projected, feed, state.h, product))
        h = NONLINEARITIES[self.options.nonlinearity](before)
        return (h,), HiddenState(h)


CELLS: dict[str, type[Cell]] = {
    "lstm": LSTMCell,
    "lstm_peephole": PeepholeLSTMCell,
    "lstm_coupled": CoupledLSTMCell,
    "gru": GRUCell,
    "rnn": RNNCell,
}
"""Cells by the name that a recipe gives them; nmt.config reads the names from here."""


def lstm_pointwise(
    gates: Float[Tensor, "N GH"], c_prev: Float[Tensor, "N H"]
) -> tuple[Float[Tensor, "N H"], Float[Tensor, "N H"]]:
    """h and c from the gates' pre-activations (order i, f, g, o) and the previous c.

    With gradients this is one node of the graph with its derivative written out: autograd's own dozen small
    operations cost more than the products at the sizes of a translator.
    """
    if torch.is_grad_enabled() and (gates.requires_grad or c_prev.requires_grad):
        h, c = _LSTMPointwise.apply(gates, c_prev)  # type: ignore[no-untyped-call]
        return h, c
    i, f, g, o = gates.chunk(4, dim=-1)
    c = f.sigmoid() * c_prev + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


class _LSTMPointwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, c_prev: Tensor) -> tuple[Tensor, Tensor]:
        hidden = c_prev.shape[-1]
        active = gates.sigmoid()
        g = active[:, 2 * hidden : 3 * hidden]
        torch.tanh(gates[:, 2 * hidden : 3 * hidden], out=g)
        i, f, g, o = active.chunk(4, dim=-1)
        # c stays in the precision it came in: a sum over steps in bf16 would lose small updates
        c = torch.addcmul(f * c_prev, i, g)
        tanh_c = c.tanh()
        ctx.save_for_backward(active, c_prev, tanh_c)
        return (o * tanh_c).to(gates.dtype), c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor, Tensor]:
        active, c_prev, tanh_c = ctx.saved_tensors
        i, f, g, o = active.chunk(4, dim=-1)
        d_c = torch.addcmul(grad_c, grad_h * o, 1 - tanh_c * tanh_c)
        d_active = torch.cat((d_c * g, d_c * c_prev, d_c * i, grad_h * tanh_c), dim=-1)
        # s' = s (1 - s) for the gates, g' = 1 - g^2 for the candidate
        slope = active * (1 - active)
        hidden = c_prev.shape[-1]
        slope[:, 2 * hidden : 3 * hidden] = 1 - g * g
        return (d_active * slope).to(active.dtype), d_c * f
