"""OpenNMT-py's side: random weights from its own model builder in one of its checkpoints, its own Translator.

Needs TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1: since torch 2.6 it cannot read its own checkpoints without.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from driver import Workload, serve, timed, timed_each
from onmt.constants import CorpusTask, ModelTask
from onmt.inference_engine import InferenceEnginePY
from onmt.inputters.dynamic_iterator import build_dynamic_dataset_iter
from onmt.opts import train_opts, translate_opts
from onmt.utils.parse import ArgumentParser

MODEL_OPTIONS = """
    -encoder_type brnn -enc_layers 2 -decoder_type rnn -dec_layers 2 -rnn_type LSTM -hidden_size 512
    -word_vec_size 512 -global_attention general -input_feed 1 -share_vocab -share_embeddings
    -dropout 0.2 -param_init 0.0 -param_init_glorot
"""
"""`hidden_size` of a bidirectional encoder is that of both directions together."""


def write_vocabulary(work: Workload, path: Path) -> None:
    """One piece and a count a line; the special ones are added by the toolkit."""
    path.write_text("".join(f"{piece}\t1\n" for piece in work.vocabulary), "utf-8")


def build(work: Workload, path: Path) -> int:
    """Write a checkpoint of random weights as training's first would be; the number of its weights."""
    from onmt.inputters import build_vocab
    from onmt.model_builder import build_model
    from onmt.models import build_model_saver
    from onmt.utils.optimizers import Optimizer

    vocabulary = path.with_suffix(".vocab")
    write_vocabulary(work, vocabulary)
    parser = ArgumentParser()
    train_opts(parser)
    options, _ = parser.parse_known_args(
        [*MODEL_OPTIONS.split(), "-src_vocab", str(vocabulary), "-save_model", str(path.with_suffix("")), "-data", "{}"]
    )
    ArgumentParser.update_model_opts(options)
    ArgumentParser.validate_model_opts(options)
    options.data_task = ModelTask.SEQ2SEQ  # otherwise found by looking at the corpora, of which there are none
    vocabs = build_vocab(options, {"src": [], "tgt": []})
    torch.manual_seed(1)
    model = build_model(options, options, vocabs, None, -1)
    optimizer = Optimizer.from_opt(model, options)
    build_model_saver(options, options, model, vocabs, optimizer, -1).save(0)
    Path(f"{path.with_suffix('')}_step_0.pt").replace(path)
    return sum(parameter.numel() for parameter in model.parameters())


def forced(length: int) -> list[str]:
    """Options that hold every output at `length` tokens; a ratio would shorten those of short sources."""
    return ["-min_length", str(length), "-max_length", str(length), "-max_length_ratio", "0"]


class OpenNMT:
    """One model in this process."""

    def __init__(self, work: Workload, model: str) -> None:
        self._work = work
        self._model = model
        self._engine = InferenceEnginePY(self._options(5, 64))

    def _options(self, beam: int, batch: int) -> Any:
        """As `onmt_translate` reads them from its command line."""
        parser = ArgumentParser()
        translate_opts(parser)
        command = ["-model", self._model, "-src", "/dev/null", "-output", "/dev/null", "-gpu", "-1"]
        options = parser.parse_args(
            [*command, "-beam_size", str(beam), "-batch_size", str(batch), *forced(self._work.length)]
        )
        ArgumentParser.validate_translate_opts(options)
        ArgumentParser._get_all_transform_translate(options)
        ArgumentParser._validate_transforms_opts(options)
        ArgumentParser.validate_translate_opts_dynamic(options)
        return options

    def _set(self, beam: int, batch: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self._engine.opt = self._options(beam, batch)
        self._engine.translator.beam_size = beam

    def offline(self, *, beam: int, batch: int, threads: int, passes: int, first: int, step: int) -> dict[str, Any]:
        self._set(beam, batch, threads)
        sentences = [" ".join(pieces) for pieces in self._work.pieces[first::step]] * passes
        return timed(lambda: _lengths(self._engine.infer_list(sentences)[1]))

    def single(self, *, beam: int, threads: int, count: int) -> dict[str, Any]:
        """Batches of one, made beforehand: what is timed is its `_translate` alone."""
        self._set(beam, 1, threads)
        sentences = [" ".join(pieces) for pieces in self._work.pieces[:count]]
        batches = build_dynamic_dataset_iter(
            self._engine.opt, self._engine.transforms_cls, self._engine.vocabs, task=CorpusTask.INFER, src=sentences
        )
        translator, transforms = self._engine.translator, batches.transforms
        return timed_each(
            [lambda item=item: _lengths(translator._translate([item], transforms)[1])[0] for item in list(batches)]
        )


def train(options: Sequence[str]) -> None:
    """`onmt_train` with our model and these options. Each validation prints a line: VALIDATION and a JSON object.

    Its "loss" is nats a target token, EOS counted, of the words themselves: OpenNMT-py's own validation perplexity has
    the label smoothing of training in it. "training_s" is the time since the loop began, less all validations.
    """
    from onmt.bin.train import main as onmt_train
    from onmt.trainer import Trainer

    train_loop, validate = Trainer.train, Trainer.validate
    began = validating = 0.0

    def timed_loop(trainer: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal began
        began = time.monotonic()
        return train_loop(trainer, *arguments, **named)

    def told_validation(trainer: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal validating
        started = time.monotonic()
        trainer.valid_loss.criterion.label_smoothing = 0.0  # the loss of training is an object of its own
        statistics = validate(trainer, *arguments, **named)
        validating += time.monotonic() - started
        found = {
            "update": trainer.optim.training_step - 1,  # its number is of the update that comes next
            "training_s": time.monotonic() - began - validating,
            "loss": statistics.loss / statistics.n_words,
            "tokens": statistics.n_words,
        }
        print("VALIDATION", json.dumps(found), flush=True)
        return statistics

    Trainer.train, Trainer.validate = timed_loop, told_validation
    sys.argv[1:] = [*MODEL_OPTIONS.split(), *options]
    onmt_train()


def _lengths(predictions: Sequence[Sequence[str]]) -> list[int]:
    return [len(best[0].split()) for best in predictions]


def main() -> None:
    if sys.argv[1] == "build":
        print(build(Workload.read(Path(sys.argv[2])), Path(sys.argv[3])))
        return
    if sys.argv[1] == "train":
        train(sys.argv[2:])
        return
    serve(lambda spec: OpenNMT(Workload.read(Path(spec["work"])), spec["model"]))


if __name__ == "__main__":
    main()
