"""Joey NMT's side: random weights from its own model builder in one of its model folders, its own `predict`.

The pieces go in as "words", so that no tokeniser of its own comes between. Its `predict` forgets to hand the shortest
output length on to its search (2.3.0), so the driver does that.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joeynmt.prediction
import torch
import yaml
from driver import Workload, serve, timed, timed_each
from joeynmt.config import load_config, parse_global_args
from joeynmt.model import build_model
from joeynmt.prediction import predict, prepare
from joeynmt.search import search
from joeynmt.vocabulary import build_vocab

ENCODER = {
    "type": "recurrent",
    "rnn_type": "lstm",
    "embeddings": {"embedding_dim": 512},
    "hidden_size": 256,  # of each direction
    "bidirectional": True,
    "num_layers": 2,
}
DECODER = {
    "type": "recurrent",
    "rnn_type": "lstm",
    "embeddings": {"embedding_dim": 512},
    "hidden_size": 512,
    "num_layers": 2,
    "input_feeding": True,
    "init_hidden": "last",
    "attention": "luong",
}


def write_config(folder: Path, length: int) -> Path:
    side = {"level": "word", "voc_file": str(folder / "src_vocab.txt")}
    config = {
        "name": "random",
        "joeynmt_version": "2.3.0",
        "model_dir": str(folder),
        "use_cuda": False,
        "fp16": False,
        "random_seed": 1,
        "data": {
            "test": "unused",  # translating reads no corpus, but it refuses to start without naming one
            "dataset_type": "plain",
            "src": {"lang": "en", **side},
            "trg": {"lang": "de", **side},
        },
        "testing": {"batch_size": 64, "beam_size": 5, "beam_alpha": 1.0, "max_output_length": length},
        "training": {"batch_size": 64},
        "model": {"tied_embeddings": True, "tied_softmax": False, "encoder": ENCODER, "decoder": DECODER},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config), "utf-8")
    return path


def build(work: Workload, folder: Path) -> int:
    """Write the model folder; the number of its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    specials = ["<unk>", "<pad>", "<s>", "</s>"]
    (folder / "src_vocab.txt").write_text("\n".join([*specials, *work.vocabulary]) + "\n", "utf-8")
    args = parse_global_args(load_config(write_config(folder, work.length)), rank=0, mode="translate")
    src_vocab, trg_vocab = build_vocab(args.data)
    torch.manual_seed(1)
    model = build_model(args.model, src_vocab=src_vocab, trg_vocab=trg_vocab)
    torch.save({"model_state": model.state_dict()}, folder / "best.ckpt")
    return sum(parameter.numel() for parameter in model.parameters())


class JoeyNMT:
    """One model in this process."""

    def __init__(self, work: Workload, config: Path) -> None:
        self._work = work
        self._args = parse_global_args(load_config(config), rank=0, mode="translate")
        self._model, _, _, self._stream = prepare(self._args, rank=0, mode="translate")
        joeynmt.prediction.search = functools.partial(search, min_output_length=work.length)

    def _translate(self, sentences: Sequence[Sequence[str]], beam: int, batch: int) -> list[int]:
        self._stream.reset_cache()
        for pieces in sentences:
            self._stream.set_item(" ".join(pieces))
        # as `translate` of the same module calls it
        _, _, _, tokens, _, _ = predict(
            model=self._model,
            data=self._stream,
            compute_loss=False,
            device=self._args.device,
            rank=0,
            n_gpu=0,
            normalization="none",
            num_workers=0,
            args=self._args.test._replace(beam_size=beam, batch_size=batch),
            autocast=self._args.autocast,
        )
        return [len(pieces) for pieces in tokens]

    def offline(self, *, beam: int, batch: int, threads: int, passes: int, first: int, step: int) -> dict[str, Any]:
        torch.set_num_threads(threads)
        # it batches sentences in the order in which they come; like lengths together save it some padding
        sentences = sorted(self._work.pieces[first::step] * passes, key=len)
        return timed(lambda: self._translate(sentences, beam, batch))

    def single(self, *, beam: int, threads: int, count: int) -> dict[str, Any]:
        torch.set_num_threads(threads)
        return timed_each(
            [lambda pieces=pieces: self._translate([pieces], beam, 1)[0] for pieces in self._work.pieces[:count]]
        )


def main() -> None:
    if sys.argv[1] == "build":
        print(build(Workload.read(Path(sys.argv[2])), Path(sys.argv[3])))
        return
    serve(lambda spec: JoeyNMT(Workload.read(Path(spec["work"])), Path(spec["model"]) / "config.yaml"))


if __name__ == "__main__":
    main()
