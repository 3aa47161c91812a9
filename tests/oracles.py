"""Slow, obvious versions of the model's equations in float64 NumPy, one sentence and one step at a time.

Written from Luong, Pham & Manning 2015 and Hochreiter & Schmidhuber 1997, not from our code. A network's weights come
as a mapping from parameter names to arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.config import ModelConfig

Array = npt.NDArray[np.float64]
UNKNOWN = 3
"""The id of the unknown word."""


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def softmax(x: Array) -> Array:
    exp = np.exp(x - x.max())
    return np.asarray(exp / exp.sum())


Weights = Mapping[str, Array]
State = tuple[Array, ...]
"""h, and c where a cell has one."""


class CellStep(NamedTuple):
    """What one step of a cell gives."""

    gates: dict[str, Array]
    """By name, after their nonlinearities."""
    state: State


@dataclass(frozen=True)
class CellWeights:
    """One cell's weights by gate, as the equations name them. `w`: by parameter name, the gates one below another."""

    gates: str
    """A letter a gate, in the order of the rows."""
    w: Weights
    config: ModelConfig

    def rows(self, matrix: Array, gate: str) -> Array:
        return np.split(matrix, len(self.gates))[self.gates.index(gate)]

    def W(self, gate: str) -> Array:
        """On the input: what is hoisted, then what is fed."""
        size = self.w["weight_recurrent"].shape[0] // len(self.gates)
        fed = self.w.get("weight_feed", self.w["weight_recurrent"][:, :-size])
        hoisted = self.w.get("weight_input", np.zeros((len(fed), 0)))
        return self.rows(np.concatenate([hoisted, fed], axis=1), gate)

    def U(self, gate: str) -> Array:
        """On h."""
        size = self.w["weight_recurrent"].shape[0] // len(self.gates)
        return self.rows(self.w["weight_recurrent"][:, -size:], gate)

    def gate(self, gate: str, total: Array) -> Array:
        """The gate's pre-activation from the sum of its products (Ba et al. 2016, eq. 4, where that is asked for)."""
        if self.config.layer_norm:
            deviation = np.sqrt(np.mean((total - total.mean()) ** 2) + 1e-5)
            total = self.rows(self.w["gain"], gate) * (total - total.mean()) / deviation
        return total + self.rows(self.w["bias"], gate)


def lstm(x: Array, state: State, w: Weights, config: ModelConfig) -> CellStep:
    """Hochreiter & Schmidhuber 1997 with forget gates."""
    h, c = state
    at = CellWeights("ifgo", w, config)
    i, f, o = (sigmoid(at.gate(k, at.W(k) @ x + at.U(k) @ h)) for k in "ifo")
    g = np.tanh(at.gate("g", at.W("g") @ x + at.U("g") @ h))
    c = f * c + i * g
    return CellStep({"i": i, "f": f, "g": g, "o": o}, (o * np.tanh(c), c))


def lstm_peephole(x: Array, state: State, w: Weights, config: ModelConfig) -> CellStep:
    """Gers & Schmidhuber 2000: i and f look at the old memory, o at the new one."""
    h, c = state
    at = CellWeights("ifgo", w, config)

    def seen(gate: str, memory: Array) -> Array:
        return w[f"peephole_{gate}"] * memory if gate in config.peepholes else np.zeros_like(memory)

    i, f = (sigmoid(at.gate(k, at.W(k) @ x + at.U(k) @ h + seen(k, c))) for k in "if")
    g = np.tanh(at.gate("g", at.W("g") @ x + at.U("g") @ h))
    c = f * c + i * g
    o = sigmoid(at.gate("o", at.W("o") @ x + at.U("o") @ h + seen("o", c)))
    return CellStep({"i": i, "f": f, "g": g, "o": o}, (o * np.tanh(c), c))


def lstm_coupled(x: Array, state: State, w: Weights, config: ModelConfig) -> CellStep:
    """Greff et al. 2017: i = 1 - f."""
    h, c = state
    at = CellWeights("fgo", w, config)
    f, o = (sigmoid(at.gate(k, at.W(k) @ x + at.U(k) @ h)) for k in "fo")
    g = np.tanh(at.gate("g", at.W("g") @ x + at.U("g") @ h))
    c = f * c + (1 - f) * g
    return CellStep({"f": f, "g": g, "o": o}, (o * np.tanh(c), c))


def gru(x: Array, state: State, w: Weights, config: ModelConfig) -> CellStep:
    """Cho et al. 2014, but that r acts on the product U_n h and not on h; z = 1 keeps h."""
    (h,) = state
    at = CellWeights("rzn", w, config)
    r, z = (sigmoid(at.gate(k, at.W(k) @ x + at.U(k) @ h)) for k in "rz")
    n = np.tanh(at.gate("n", at.W("n") @ x + r * (at.U("n") @ h + w["bias_hidden"])))
    return CellStep({"r": r, "z": z, "n": n}, ((1 - z) * n + z * h,))


def rnn(x: Array, state: State, w: Weights, config: ModelConfig) -> CellStep:
    """Elman 1990."""
    at = CellWeights("h", w, config)
    total = at.gate("h", at.W("h") @ x + at.U("h") @ state[0])
    h = np.tanh(total) if config.nonlinearity == "tanh" else np.maximum(total, 0)
    return CellStep({"h": h}, (h,))


class CellOracle(NamedTuple):
    """One step of a cell for one sentence, from the cell's whole input, and the names of its state's parts."""

    step: Callable[[Array, State, Weights, ModelConfig], CellStep]
    parts: str


CELLS = {
    "lstm": CellOracle(lstm, "hc"),
    "lstm_peephole": CellOracle(lstm_peephole, "hc"),
    "lstm_coupled": CellOracle(lstm_coupled, "hc"),
    "gru": CellOracle(gru, "h"),
    "rnn": CellOracle(rnn, "h"),
}
"""By a cell's name in a recipe."""

TORCH_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def of_torch(cell: str, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array) -> Weights:
    """The weights of torch's layer of a cell under our cell's names."""
    w = {"weight_input": weight_ih, "weight_recurrent": weight_hh, "bias": bias_ih + bias_hh}
    if cell == "gru":
        gates, new = np.split(bias_hh, [2 * weight_hh.shape[1]])
        w |= {"bias": bias_ih + np.concatenate([gates, np.zeros_like(new)]), "bias_hidden": new}
    return w


def score(kind: str, h_t: Array, memory: Array, w: Weights) -> Array:
    """score(h_t, h_s) of every source position (eqs. 8 and 9). `w`: the score's own weights."""
    match kind:
        case "none":
            return np.full(len(memory), -np.inf)
        case "dot":
            return np.array([h_t @ h_s for h_s in memory])
        case "general":
            return np.array([h_t @ w["weight.weight"] @ h_s for h_s in memory])
        case "concat":
            joined = np.concatenate([w["query.weight"], w["source.weight"]], axis=1)  # W_a of [h_t; h_s]
            v = w["v.weight"][0]
            return np.array([v @ np.tanh(joined @ np.concatenate([h_t, h_s])) for h_s in memory])
        case "location":
            scores = np.full(len(memory), -np.inf)
            rows = w["weight.weight"] @ h_t
            for s in range(min(len(memory), len(rows))):
                scores[s] = rows[s]
            return scores
        case _:
            raise AssertionError(kind)


def predicted_position(h_t: Array, length: int, w: Weights) -> float:
    """p_t = S sigmoid(v_p^T tanh(W_p h_t)) (eq. 9), with positions counted from 0: up to S - 1."""
    inner = w["v.weight"][0] @ np.tanh(w["position.weight"] @ h_t)
    return float((length - 1) / (1.0 + np.exp(-inner)))


def align(span: str, scores: Array, t: int, window: int, centre: float) -> Array:
    """a_t (eqs. 7 and 10) from the scores of all positions. `centre`: p_t of local-p."""
    length = len(scores)
    if not np.isfinite(scores).any():
        return np.zeros(length)
    if span == "global":
        return softmax(scores)
    p_t = min(t, length - 1) if span == "local-m" else centre
    inside = [s for s in range(length) if p_t - window <= s <= p_t + window and scores[s] > -np.inf]
    weights = np.zeros(length)
    if inside:
        weights[inside] = softmax(scores[inside])
    if span == "local-p":
        sigma = window / 2
        weights *= np.exp(-((np.arange(length) - p_t) ** 2) / (2 * sigma**2))
    return weights


def below(w: Weights, prefix: str) -> dict[str, Array]:
    """The weights under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in w.items() if name.startswith(prefix)}


class Step(NamedTuple):
    """What one decoder step gives."""

    log_probs: Array
    attention: Array
    attentional: Array


@dataclass(frozen=True)
class Seq2SeqOracle:
    """The whole network for one sentence. `weights` names every parameter, shared ones under each of their names."""

    config: ModelConfig
    weights: Weights

    def forward(self, src: Sequence[int], tgt_in: Sequence[int]) -> list[Step]:
        """Teacher forcing over a source without padding."""
        memory, last = self.encode(src)
        layers = self.bridge(last)
        config, w = self.config, self.weights
        cell = CELLS[config.cell]
        is_gnmt = config.attention_wiring == "gnmt"
        feed = np.zeros(memory.shape[1] if is_gnmt else w["decoder.combine.weight"].shape[0])
        a_t = context = np.zeros(0)
        steps: list[Step] = []
        for t, token in enumerate(tgt_in):
            x = self._embedding("tgt", token)
            top = np.concatenate([x, feed]) if config.input_feeding else x
            for k, state in enumerate(layers):
                read = np.concatenate([top, context]) if is_gnmt and k else top
                layers[k] = cell.step(read, state, below(w, f"decoder.cells.{k}."), config).state
                top = top + layers[k][0] if config.residual and k else layers[k][0]
                if k == (0 if is_gnmt else len(layers) - 1):
                    a_t, context = self._attend(top, memory, t)
            attentional = np.tanh(w["decoder.combine.weight"] @ np.concatenate([context, top]))
            feed = context if is_gnmt else attentional
            logits = w["output.weight"] @ attentional + w["output.bias"]
            probabilities = softmax(logits)
            if config.copying:
                probabilities = self._copying(probabilities, attentional, a_t, src)
            with np.errstate(divide="ignore"):  # an id beyond the vocabulary that is no word of this source
                steps.append(Step(np.log(probabilities), a_t, attentional))
        return steps

    def _attend(self, query: Array, memory: Array, t: int) -> tuple[Array, Array]:
        """a_t and c_t."""
        config, w = self.config, below(self.weights, "decoder.attention.")
        scores = score(config.attention, query, memory, below(w, "score."))
        centre = predicted_position(query, len(memory), w) if config.attention_span == "local-p" else 0.0
        a_t = align(config.attention_span, scores, t, config.attention_window, centre)
        return a_t, sum((a * h_s for a, h_s in zip(a_t, memory, strict=True)), np.zeros(memory.shape[1]))

    def _embedding(self, side: str, token: int) -> Array:
        """An id beyond the vocabulary is an unknown word."""
        table = self.weights[f"{side}_embedding.weight"]
        return np.asarray(table[token if token < len(table) else UNKNOWN])

    def _copying(self, generated: Array, attentional: Array, a_t: Array, src: Sequence[int]) -> Array:
        """See et al. 2017, eq. 9, over the vocabulary and as many more ids as the source has words."""
        gate = self.weights["copying.gate.weight"][0] @ attentional + self.weights["copying.gate.bias"][0]
        p_gen = sigmoid(np.asarray(gate))
        mixed = np.concatenate([p_gen * generated, np.zeros(len(src))])
        for weight, word in zip(a_t, src, strict=True):
            mixed[word] += (1 - p_gen) * weight
        return mixed

    def encode(self, src: Sequence[int]) -> tuple[Array, list[State]]:
        """The memory [S, H], and the state of each layer, its directions side by side."""
        order = list(range(len(src)))
        if self.config.reverse_source:
            order = [*order[-2::-1], order[-1]]  # the end of the sentence, the last token, stays where it is
        inputs = [self._embedding("src", src[s]) for s in order]
        directions = ["forward", "backward"] if self.config.bidirectional else [self.config.direction]
        last: list[State] = []
        for layer in range(self.config.encoder_layers):
            found = [self._direction(inputs, layer, number, name) for number, name in enumerate(directions)]
            outputs = [np.concatenate(parts) for parts in zip(*(outputs for outputs, _ in found), strict=True)]
            is_added = self.config.residual and layer
            inputs = [x + h for x, h in zip(inputs, outputs, strict=True)] if is_added else outputs
            last.append(tuple(np.concatenate(parts) for parts in zip(*(state for _, state in found), strict=True)))
        return np.stack(inputs)[order], last

    def _direction(self, inputs: Sequence[Array], layer: int, number: int, direction: str) -> tuple[list[Array], State]:
        """The outputs in the order of the words, and the last state."""
        w = self._encoder_cell(layer, number)
        size = w["weight_recurrent"].shape[1]
        cell = CELLS[self.config.cell]
        state: State = tuple(np.zeros(size) for _ in cell.parts)
        outputs: list[Array] = []
        for x in inputs if direction == "forward" else inputs[::-1]:
            state = cell.step(x, state, w, self.config).state
            outputs.append(state[0])
        return outputs if direction == "forward" else outputs[::-1], state

    def _encoder_cell(self, layer: int, number: int) -> Weights:
        """The weights of one direction under the names of a cell, whoever runs it."""
        if found := below(self.weights, f"encoder.cells.{layer}.{number}."):
            return found
        w, name = below(self.weights, "encoder.rnn."), f"l{layer}{'_reverse' if number else ''}"
        return of_torch(self.config.cell, *(w[f"{kind}_{name}"] for kind in TORCH_NAMES))

    def bridge(self, last: list[State]) -> list[State]:
        """The decoder's first state: top meets top; a deeper decoder repeats the encoder's top layer."""
        depth = self.config.decoder_layers
        chosen = last[-depth:] if depth <= len(last) else last + [last[-1]] * (depth - len(last))
        match self.config.bridge:
            case "zero":
                return [tuple(np.zeros_like(part) for part in state) for state in chosen]
            case "copy":
                return list(chosen)
            case "linear":
                w = below(self.weights, "bridge.")
                return [self._linear(w, k, state) for k, state in enumerate(chosen)]

    @staticmethod
    def _linear(w: Weights, k: int, state: State) -> State:
        mapped = [
            w[f"{name}.{k}.weight"] @ part + w[f"{name}.{k}.bias"] for name, part in zip("hc", state, strict=False)
        ]
        return np.tanh(mapped[0]), *mapped[1:]


def rdrop(first: Array, second: Array, targets: Sequence[int], smoothing: float, alpha: float) -> float:
    """Half the loss of Wu et al. 2021 from the logits [M, V] of two passes, row by row."""
    total = 0.0
    for x, y, target in zip(first, second, targets, strict=True):
        p, q = softmax(x), softmax(y)
        wanted = np.full(len(p), smoothing / len(p))
        wanted[target] += 1 - smoothing
        cross_entropies = -(wanted @ np.log(p)) - wanted @ np.log(q)
        divergences = p @ np.log(p / q) + q @ np.log(q / p)
        total += (cross_entropies + alpha * divergences / 2) / 2
    return float(total)


def expected_risk(log_probs: Sequence[float], risks: Sequence[float], alpha: float) -> tuple[float, Array]:
    """Shen et al. 2016, eqs. 11 to 13, of one sentence: the risk, and its derivative by each log-probability."""
    scaled = np.exp(alpha * np.asarray(log_probs))
    q = scaled / scaled.sum()
    risk = float(q @ np.asarray(risks))
    return risk, alpha * q * (np.asarray(risks) - risk)
