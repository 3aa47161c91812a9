"""CTranslate2's side: Transformers of random weights, made with its own model specification, quantised to int8.

It runs no recurrent models, so the sizes are those that it is used with for the same work.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.specs import TransformerSpec
from ctranslate2.specs.attention_spec import MultiHeadAttentionSpec
from ctranslate2.specs.common_spec import LayerNormSpec, LinearSpec
from driver import Workload, serve, timed, timed_each

SHAPES = {"d384-3+3": (384, 3, 3), "d256-6+3": (256, 6, 3)}
"""Name to model size, encoder layers and decoder layers. 8 heads, feed-forward layers of 4 times the size."""
HEADS = 8


def build(work: Workload, shape: str, folder: Path) -> int:
    """Write the model; the number of its weights."""
    size, encoder_layers, decoder_layers = SHAPES[shape]
    vocabulary = ["<blank>", "<s>", "</s>", "<unk>", *work.vocabulary]
    rng = np.random.default_rng(1)
    made: list[int] = []

    def matrix(rows: int, columns: int) -> np.ndarray:
        made.append(rows * columns)
        bound = (6 / (rows + columns)) ** 0.5  # Glorot and Bengio 2010
        return rng.uniform(-bound, bound, (rows, columns)).astype(np.float32)

    def fill_linear(spec: LinearSpec, rows: int, columns: int) -> None:
        spec.weight = matrix(rows, columns)
        spec.bias = np.zeros(rows, np.float32)

    def fill_norm(spec: LayerNormSpec) -> None:
        spec.gamma, spec.beta = np.ones(size, np.float32), np.zeros(size, np.float32)

    def fill_attention(spec: MultiHeadAttentionSpec) -> None:
        fill_norm(spec.layer_norm)
        # queries, keys and values in one product; or queries, then keys and values of the source; then the output
        rows = (3 * size, size) if len(spec.linear) == 2 else (size, 2 * size, size)
        for linear, count in zip(spec.linear, rows, strict=True):
            fill_linear(linear, count, size)

    spec = TransformerSpec.from_config((encoder_layers, decoder_layers), HEADS)
    for layer in itertools.chain(spec.encoder.layer, spec.decoder.layer):
        fill_attention(layer.self_attention)
        if hasattr(layer, "attention"):
            fill_attention(layer.attention)
        fill_norm(layer.ffn.layer_norm)
        fill_linear(layer.ffn.linear_0, 4 * size, size)
        fill_linear(layer.ffn.linear_1, size, 4 * size)
    fill_norm(spec.encoder.layer_norm)
    fill_norm(spec.decoder.layer_norm)
    embeddings = matrix(len(vocabulary), size)
    for encoder_embeddings in spec.encoder.embeddings:
        encoder_embeddings.weight = embeddings
    spec.decoder.embeddings.weight = embeddings
    spec.decoder.projection.weight = embeddings
    spec.decoder.projection.bias = np.zeros(len(vocabulary), np.float32)
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.config.add_source_eos = True
    spec.validate()
    spec.optimize(quantization="int8")
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    return sum(made)


class CTranslate2:
    """A model on `workers` workers of `threads` threads each, both fixed when it is loaded."""

    def __init__(self, work: Workload, model: str, workers: int, threads: int) -> None:
        self._work = work
        self._translator = ctranslate2.Translator(
            model, device="cpu", compute_type="int8", inter_threads=workers, intra_threads=threads
        )

    def _translate(self, sentences: list[list[str]], beam: int, batch: int) -> list[int]:
        results = self._translator.translate_batch(
            sentences,
            max_batch_size=batch,
            beam_size=beam,
            min_decoding_length=self._work.length,
            max_decoding_length=self._work.length,
        )
        return [len(result.hypotheses[0]) for result in results]

    def offline(self, *, beam: int, batch: int, threads: int, passes: int, first: int, step: int) -> dict[str, Any]:
        sentences = self._work.pieces[first::step] * passes
        return timed(lambda: self._translate(sentences, beam, batch))

    def single(self, *, beam: int, threads: int, count: int) -> dict[str, Any]:
        return timed_each(
            [lambda pieces=pieces: self._translate([pieces], beam, 1)[0] for pieces in self._work.pieces[:count]]
        )


def main() -> None:
    if sys.argv[1] == "build":
        work, shape, folder = sys.argv[2:]
        print(build(Workload.read(Path(work)), shape, Path(folder)))
        return
    if sys.argv[1] == "once":  # from process start to the first translation: it has no command of its own
        work = Workload.read(Path(sys.argv[2]))
        print(CTranslate2(work, sys.argv[3], 1, 1).single(beam=5, threads=1, count=1))
        return
    serve(lambda spec: CTranslate2(Workload.read(Path(spec["work"])), spec["model"], spec["workers"], spec["threads"]))


if __name__ == "__main__":
    main()
