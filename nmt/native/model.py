"""A bundle's weights as the kernels want them: packed into panels, gates interleaved, embeddings multiplied beforehand.

All of it lies in one block of memory, so that worker processes can share it through a mapped file.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmt.config import ModelConfig, SearchConfig
from nmt.native.library import MAX_LAYERS, Matrix, Model, load

Precision = Literal["fp32", "int8"]
Floats = NDArray[np.float32]
Weights = Mapping[str, Floats]

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
K_BLOCK = 64
"""Inputs are padded to this many, as in src/product.h."""
ALIGN = 64
NEVER = -1e30
"""A logit that no softmax sees."""

CELLS = frozenset({"lstm"})
DIRECTIONS = frozenset({"forward"})
BRIDGES = {"zero": 0, "copy": 1, "linear": 2}
SCORES = {"dot": 0, "general": 0, "concat": 1, "location": 2}
SPANS = {"global": 0, "local-m": 1, "local-p": 2}


class WordLists(NamedTuple):
    """A shortlist: a sentence may use the words of `always` and those of its source ids' lists."""

    always: NDArray[np.int32]
    """EOS among them."""
    offsets: NDArray[np.int32]
    """[source vocabulary + 1]: the list of source id s is `targets[offsets[s] : offsets[s + 1]]`."""
    targets: NDArray[np.int32]

    def without_always(self) -> WordLists:
        """The lists without the words of `always`."""
        is_own = ~np.isin(self.targets, self.always)
        before = np.concatenate([[0], np.cumsum(is_own)])
        return self._replace(offsets=before[self.offsets].astype(np.int32), targets=self.targets[is_own])


def refusal(config: ModelConfig) -> str:
    """Why the kernels cannot run this network, in words; empty where they can."""
    if config.cell not in CELLS:
        return f"cell {config.cell!r}"
    if config.copying:
        return "copying"
    if config.layer_norm:
        return "layer_norm"
    if config.residual:
        return "residual connections"
    if config.direction not in DIRECTIONS:
        return f"direction {config.direction!r}"
    if config.reverse_source and (config.attention == "location" or config.attention_span != "global"):
        return f"reverse_source with attention {config.attention!r}, {config.attention_span!r}, which asks for places"
    if config.attention_wiring != "luong":
        return f"attention wiring {config.attention_wiring!r}"
    if config.attention not in SCORES:
        return f"attention {config.attention!r}"
    if config.attention_span not in SPANS:
        return f"attention span {config.attention_span!r}"
    if config.bridge not in BRIDGES:
        return f"bridge {config.bridge!r}"
    if max(config.encoder_layers, config.decoder_layers) > MAX_LAYERS:
        return f"more than {MAX_LAYERS} layers"
    return ""


class Arena:
    """Hands out pieces of one block. Without a block it only counts: that is how large the block must be."""

    def __init__(self, block: memoryview | None = None, *, is_filled: bool = False) -> None:
        """`is_filled`: somebody has written the pieces already."""
        self.used = 0
        self.writes = block is not None and not is_filled
        self._block = block

    def take(self, size: int) -> int:
        """The address of `size` bytes; 0 while counting."""
        at = self.used
        self.used += -(-size // ALIGN) * ALIGN
        return 0 if self._block is None else ctypes.addressof(ctypes.c_char.from_buffer(self._block, at))

    def put(self, values: NDArray[np.generic]) -> int:
        """The address of an array's copy."""
        values = np.ascontiguousarray(values)
        at = self.take(values.nbytes)
        if self.writes:
            ctypes.memmove(at, values.ctypes.data, values.nbytes)
        return at


class Layout:
    """Lays one network out in an arena; the C structure points into it."""

    def __init__(self, arena: Arena, variant: str, precision: Precision) -> None:
        self._arena = arena
        self._library = load(variant)
        self._precision = PRECISIONS.index(precision)
        self._lanes = self._library.nmt_width()
        self._panel = 4 * self._lanes

    def matrix(
        self,
        parts: Sequence[Floats],
        bias: Floats | None = None,
        order: NDArray[np.int32] | None = None,
        padding: float = 0.0,
        *,
        in_lines: bool = False,
    ) -> Matrix:
        """[outputs, inputs] weights in parts side by side, each padded on its own; rows taken in `order`.

        `padding`: the bias of rows that only fill up the last panel. `in_lines`: each output's weights side by side.
        """
        padded = [np.pad(part, ((0, 0), (0, -part.shape[1] % K_BLOCK))) for part in parts] if self._arena.writes else []
        outputs, inputs = parts[0].shape[0], sum(part.shape[1] + -part.shape[1] % K_BLOCK for part in parts)
        if order is None:
            order = np.arange(outputs, dtype=np.int32)
        order = np.pad(order, (0, -len(order) % self._panel), constant_values=-1)
        size = self._library.nmt_packed_bytes(len(order), inputs, self._precision)
        panels = self._arena.take(size)
        scale, offset = self._arena.take(4 * len(order)), self._arena.take(4 * len(order))
        if self._arena.writes:
            weight = np.ascontiguousarray(np.concatenate(padded, axis=1), dtype=np.float32)
            self._library.nmt_pack(
                weight.ctypes.data,
                order.ctypes.data,
                len(order),
                inputs,
                self._precision,
                1 if in_lines else self._panel,
                panels,
                scale,
                offset,
            )
        ordered = np.full(len(order), padding, np.float32)
        ordered[order >= 0] = 0.0 if bias is None else bias[order[order >= 0]]
        return Matrix(inputs, len(order), self._precision, panels, scale, offset, self._arena.put(ordered))

    def gates(self, parts: Sequence[Floats], bias: Floats | None = None) -> Matrix:
        """A cell's matrix: i, f, g, o of a vector's width of units side by side, so that one tile has all four."""
        units = parts[0].shape[0] // 4
        unit = np.arange(-(-units // self._lanes) * self._lanes, dtype=np.int32).reshape(-1, 1, self._lanes)
        gate = np.arange(4, dtype=np.int32).reshape(1, 4, 1)
        order = np.where(unit < units, gate * units + unit, -1).astype(np.int32).reshape(-1)
        return self.matrix(parts, bias, order)

    def vector(self, values: Floats, to: int = 1) -> int:
        """The address of values padded with zeros."""
        missing = -len(values) % to
        if (
            not self._arena.writes
        ):  # embeddings are large: no copy only to count them, or where another process made one
            return self._arena.take(4 * (len(values) + missing))
        return self._arena.put(np.pad(values.astype(np.float32), (0, missing)))

    def ids(self, values: NDArray[np.int32]) -> int:
        """The address of ids."""
        return self._arena.put(values.astype(np.int32))

    def table(self, weight: Floats, bias: Floats, embedding: Floats) -> int:
        """The bottom cell's gates from every token's embedding, bias included: a row each instead of a product."""
        matrix = self.gates([weight], bias)
        at = self._arena.take(len(embedding) * matrix.outputs * (2 if self._precision else 4))
        if self._arena.writes:
            embedding = np.ascontiguousarray(embedding, dtype=np.float32)
            done = self._library.nmt_fill_table(
                ctypes.byref(matrix), embedding.ctypes.data, len(embedding), embedding.shape[1], at
            )
            if not done:
                raise MemoryError
        return at


def lay_out(
    arena: Arena,
    config: ModelConfig,
    search: SearchConfig,
    weights: Weights,
    *,
    variant: str,
    precision: Precision,
    bos_id: int,
    eos_id: int,
    forbidden_ids: Collection[int],
    shortlist: WordLists | None,
) -> Model:
    """The C structure of a network whose `refusal` is empty. Its arrays lie in `arena`."""
    to = Layout(arena, variant, precision)
    H = config.hidden_size
    source_embedding = weights["src_embedding.weight"]
    target_embedding = weights.get("tgt_embedding.weight", source_embedding)
    output = weights.get("output.weight", target_embedding)
    combine = weights["decoder.combine.weight"]

    model = Model(
        precision=PRECISIONS.index(precision),
        embedding=config.embedding_size,
        hidden=H,
        attentional=len(combine),
        encoder_layers=config.encoder_layers,
        directions=2 if config.bidirectional else 1,
        decoder_layers=config.decoder_layers,
        bridge=BRIDGES[config.bridge],
        feeding=config.input_feeding,
        score=SCORES[config.attention],
        span=SPANS[config.attention_span],
        window=config.attention_window,
        positions=config.attention_max_length,
        source_vocabulary=len(source_embedding),
        target_vocabulary=len(output),
        bos=bos_id,
        eos=eos_id,
        length_penalty=search.length_penalty,
        coverage_penalty=search.coverage_penalty,
        source_embedding=to.vector(source_embedding.reshape(-1)),
    )
    for k in range(config.encoder_layers):
        for d, suffix in enumerate(["", "_reverse"][: model.directions]):
            names = (f"encoder.rnn.{kind}_l{k}{suffix}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            inputs, recurrent, bias, more_bias = (weights[name] for name in names)
            model.encoder_input[k][d] = to.gates([inputs], bias + more_bias)
            model.encoder_recurrent[k][d] = to.gates([recurrent])
    if config.bridge == "linear":
        for k in range(config.decoder_layers):
            for maps, name in ((model.bridge_h, "h"), (model.bridge_c, "c")):
                maps[k] = to.matrix([weights[f"bridge.{name}.{k}.weight"]], weights[f"bridge.{name}.{k}.bias"])

    cells = [
        {name: weights[f"decoder.cells.{k}.{name}"] for name in ("weight_recurrent", "bias")}
        for k in range(config.decoder_layers)
    ]
    fed = len(combine) if config.input_feeding else 0
    for k, cell in enumerate(cells):
        recurrent = cell["weight_recurrent"]
        below = fed if k == 0 else H
        parts = [recurrent[:, :below], recurrent[:, below:]] if below else [recurrent]
        model.cells[k] = to.gates(parts, None if k == 0 else cell["bias"])
    model.table = to.table(weights["decoder.cells.0.weight_input"], cells[0]["bias"], target_embedding)

    attention = "decoder.attention"
    if config.attention == "general":
        model.keys = to.matrix([weights[f"{attention}.score.weight.weight"]])
    elif config.attention == "concat":
        model.keys = to.matrix([weights[f"{attention}.score.source.weight"]])
        model.query = to.matrix([weights[f"{attention}.score.query.weight"]])
        model.v = to.vector(weights[f"{attention}.score.v.weight"][0], K_BLOCK)
    elif config.attention == "location":
        model.query = to.matrix([weights[f"{attention}.score.weight.weight"]])
    if config.attention_span == "local-p":
        model.centre = to.matrix([weights[f"{attention}.position.weight"]])
        model.v_p = to.vector(weights[f"{attention}.v.weight"][0], K_BLOCK)
    model.values = to.matrix([combine[:, :H]])
    model.combine = to.matrix([combine[:, H:]])
    bias = weights["output.bias"]
    barred = np.zeros(len(output), np.float32)
    barred[list(forbidden_ids)] = -np.inf

    def words(matrix: Matrix, ids: NDArray[np.int32] | slice) -> tuple[Matrix, int]:
        return matrix, to.vector(np.pad(barred[ids], (0, matrix.outputs - len(barred[ids])), constant_values=-np.inf))

    if shortlist is None:
        model.output, model.barred = words(to.matrix([output], bias, padding=NEVER), slice(None))
        return model
    lists = shortlist.without_always()
    model.output, model.barred = words(to.matrix([output], bias, lists.always, NEVER), lists.always)
    model.output_ids = to.ids(np.pad(lists.always, (0, model.output.outputs - len(lists.always)), constant_values=-1))
    model.list_from, model.list_words = to.ids(lists.offsets), to.ids(lists.targets)
    model.lines, model.lines_barred = words(to.matrix([output], bias, padding=NEVER, in_lines=True), slice(None))
    return model
