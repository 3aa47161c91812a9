"""This project's side: random weights in a bundle, text to text through `nmt.inference.Translator`.

Nothing here knows the engine. The length is forced with what a bundle holds anyway: an output bias that keeps EOS far
below every other word until the maximal length, where only EOS is allowed, and limits of length that do not depend on
the source. So a measured translation goes the way of any other: text, pieces, search, pieces, text, and it scores one
token more than those of the other sides, EOS.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from driver import Workload, serve, timed, timed_each

from nmt.inference import TranslateOptions
from nmt.inference.translator import Translator

EOS_BIAS = -40.0
"""Nats. These random weights spread their logits over less than twenty."""


def build(folder: Path, length: int, model: Path, *, with_shortlist: bool = False) -> int:
    """Write the bundle, with the vocabulary, and the shortlist if wanted, of `model`; the number of its weights."""
    import torch

    from nmt.bundle import FORMAT_VERSION, Bundle, BundleConfig, load_bundle, save_bundle, weights_of
    from nmt.config import ModelConfig, SearchConfig
    from nmt.model.seq2seq import build as build_model
    from nmt.text.tokenizer import EOS_ID

    given = load_bundle(model)
    tokenizers = given.tokenizers
    # the peers' model, weight for weight but for where two of them share a matrix: one of 17.4 million
    model_config = ModelConfig(
        embedding_size=512,
        hidden_size=512,
        encoder_layers=2,
        decoder_layers=2,
        attention="general",
        input_feeding=True,
        bridge="copy",
        tying="target",
        init_range=0.1,
    )
    torch.manual_seed(1)
    network = build_model(model_config, tokenizers.source.size, tokenizers.target.size)
    with torch.no_grad():
        network.output.bias[EOS_ID] = EOS_BIAS
    config = BundleConfig(
        format=FORMAT_VERSION,
        task="translation",
        source_lang="en",
        target_lang="de",
        src_vocab=tokenizers.source.size,
        tgt_vocab=tokenizers.target.size,
        storage="int8",
        model=model_config,
        # at most factor * source tokens + offset tokens, EOS not among them
        search=SearchConfig(max_length_factor=1e-9, max_length_offset=length, max_source_tokens=4096),
    )
    shortlist = given.shortlist if with_shortlist else None
    card = "# Random weights, to be timed\n"
    bundle = Bundle(config, tokenizers, weights_of(network), card=card, shortlist=shortlist)
    save_bundle(bundle, folder)
    return bundle.parameters


class Ours:
    """A bundle on `workers` processes of one thread each, or in this process (`workers=0`)."""

    def __init__(self, work: Workload, bundle: Path, workers: int) -> None:
        self._work = work
        self._translator = Translator.load(bundle, workers=workers)

    def offline(self, *, beam: int, batch: int, threads: int, passes: int, first: int, step: int) -> dict[str, Any]:
        """`batch` and `threads` are the engine's own choice here."""
        lines = self._work.lines[first::step] * passes
        options = TranslateOptions(beam_size=beam, raw=True)
        return timed(lambda: [t.target_tokens for t in self._translator.translate_stream(lines, options)])

    def single(self, *, beam: int, threads: int, count: int) -> dict[str, Any]:
        options = TranslateOptions(beam_size=beam, raw=True)

        def one(line: str) -> int:
            return self._translator.translate([line], options)[0].target_tokens

        return timed_each([lambda line=line: one(line) for line in self._work.lines[:count]])


def main() -> None:
    if sys.argv[1] == "build":
        folder, length, model, with_shortlist = sys.argv[2:]
        print(build(Path(folder), int(length), Path(model), with_shortlist=with_shortlist == "yes"))
        return
    serve(lambda spec: Ours(Workload.read(Path(spec["work"])), Path(spec["model"]), spec["workers"]))


if __name__ == "__main__":
    main()
