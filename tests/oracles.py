"""Slow, obvious versions of the model's equations in float64 NumPy, one sentence and one step at a time.

Written from Luong, Pham & Manning 2015 and Hochreiter & Schmidhuber 1997, not from our code. A network's weights come
as a mapping from parameter names to arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.config import ModelConfig

Array = npt.NDArray[np.float64]
Weights = Mapping[str, Array]


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def softmax(x: Array) -> Array:
    exp = np.exp(x - x.max())
    return np.asarray(exp / exp.sum())


def lstm_step(x: Array, h: Array, c: Array, w_x: Array, w_h: Array, bias: Array) -> tuple[Array, Array]:
    """One step for one sentence. Gate rows lie in the order i, f, g, o; `h` may have fed values before it."""
    size = len(c)
    z = w_x @ x + w_h @ h + bias
    i, f, o = sigmoid(z[:size]), sigmoid(z[size : 2 * size]), sigmoid(z[3 * size :])
    g = np.tanh(z[2 * size : 3 * size])
    c = f * c + i * g
    return o * np.tanh(c), c


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
        feed = np.zeros(w["decoder.combine.weight"].shape[0])
        steps: list[Step] = []
        for t, token in enumerate(tgt_in):
            x = w["tgt_embedding.weight"][token]
            for k, (h, c) in enumerate(layers):
                cell = below(w, f"decoder.cells.{k}.")
                if k == 0:
                    fed = np.concatenate([feed, h]) if config.input_feeding else h
                    layers[0] = lstm_step(x, fed, c, cell["weight_input"], cell["weight_recurrent"], cell["bias"])
                else:
                    layers[k] = self._upper(layers[k - 1][0], h, c, cell)
            top = layers[-1][0]
            attention_weights = below(w, "decoder.attention.")
            scores = score(config.attention, top, memory, below(attention_weights, "score."))
            is_predictive = config.attention_span == "local-p"
            centre = predicted_position(top, len(src), attention_weights) if is_predictive else 0.0
            a_t = align(config.attention_span, scores, t, config.attention_window, centre)
            context = sum((a * h_s for a, h_s in zip(a_t, memory, strict=True)), np.zeros(memory.shape[1]))
            feed = np.tanh(w["decoder.combine.weight"] @ np.concatenate([context, top]))
            logits = w["output.weight"] @ feed + w["output.bias"]
            steps.append(Step(np.log(softmax(logits)), a_t, feed))
        return steps

    @staticmethod
    def _upper(x: Array, h: Array, c: Array, cell: Weights) -> tuple[Array, Array]:
        """A layer above the first: the fed input and h lie side by side in one matrix, which has all of the input."""
        size = len(h)
        w_x, w_h = cell["weight_recurrent"][:, : len(x)], cell["weight_recurrent"][:, len(x) :]
        assert w_h.shape == (4 * size, size)
        return lstm_step(x, h, c, w_x, w_h, cell["bias"])

    def encode(self, src: Sequence[int]) -> tuple[Array, list[tuple[Array, Array]]]:
        """The memory [S, H], and (h, c) of each layer, its directions side by side."""
        inputs = [self.weights["src_embedding.weight"][token] for token in src]
        last: list[tuple[Array, Array]] = []
        for layer in range(self.config.encoder_layers):
            outputs, h, c = self._direction(inputs, f"l{layer}")
            if self.config.bidirectional:
                back, h_back, c_back = self._direction(inputs[::-1], f"l{layer}_reverse")
                outputs = [np.concatenate(pair) for pair in zip(outputs, back[::-1], strict=True)]
                h, c = np.concatenate([h, h_back]), np.concatenate([c, c_back])
            last.append((h, c))
            inputs = outputs
        return np.stack(inputs), last

    def _direction(self, inputs: Sequence[Array], name: str) -> tuple[list[Array], Array, Array]:
        w = below(self.weights, "encoder.rnn.")
        w_x, w_h, bias = w[f"weight_ih_{name}"], w[f"weight_hh_{name}"], w[f"bias_ih_{name}"] + w[f"bias_hh_{name}"]
        h = c = np.zeros(w_h.shape[1])
        outputs: list[Array] = []
        for x in inputs:
            h, c = lstm_step(x, h, c, w_x, w_h, bias)
            outputs.append(h)
        return outputs, h, c

    def bridge(self, last: list[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
        """The decoder's first state: top meets top; a deeper decoder repeats the encoder's top layer."""
        depth = self.config.decoder_layers
        chosen = last[-depth:] if depth <= len(last) else last + [last[-1]] * (depth - len(last))
        match self.config.bridge:
            case "zero":
                return [(np.zeros_like(h), np.zeros_like(c)) for h, c in chosen]
            case "copy":
                return list(chosen)
            case "linear":
                w = below(self.weights, "bridge.")
                return [
                    (
                        np.tanh(w[f"h.{k}.weight"] @ h + w[f"h.{k}.bias"]),
                        w[f"c.{k}.weight"] @ c + w[f"c.{k}.bias"],
                    )
                    for k, (h, c) in enumerate(chosen)
                ]
