"""Invariant 4: training that is killed at any moment and resumed gives the same weights, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nmt.config import load_recipe
from nmt.training import trainer
from tests.corpora import write_toy_corpus
from tests.training.sittings import start

SETTINGS = [
    "data.source_lang=en",
    "data.target_lang=de",
    "text.vocab_size=300",
    "text.sampling=0.3",
    "model.embedding_size=16",
    "model.hidden_size=24",
    "model.decoder_layers=2",
    "model.dropout=0.3",
    "model.word_dropout=0.1",
    "training.epochs=3",
    "training.batch_tokens=200",
    "training.accumulation=2",
    "training.threads=1",
    "training.precision=fp32",
    "training.checkpoint_every_s=0.01",
    "training.sample_translations=0",
    "training.validate_every=8",
    "training.metric=perplexity",
    "training.average=2",
    "training.patience=0",
    "optimizer.schedule=plateau",
    "optimizer.warmup_updates=10",
]
PAIRS = 120


def overrides(corpus: tuple[Path, Path], output: Path, *more: str) -> list[str]:
    files = ", ".join(f'"{path}"' for path in corpus)
    return [*SETTINGS, f"data.train=[[{files}]]", f'output="{output}"', *more]


def final_state(output: Path) -> dict[str, torch.Tensor]:
    newest = max((output / "checkpoints").glob("update-*"))
    tensors = {f"checkpoint {name}": value for name, value in load_file(newest / "model.safetensors").items()}
    tensors |= {f"optimizer {name}": value for name, value in load_file(newest / "optimizer.safetensors").items()}
    if (newest / "averages.safetensors").exists():
        tensors |= {f"average {name}": value for name, value in load_file(newest / "averages.safetensors").items()}
    tensors |= {f"bundle {name}": value for name, value in load_file(output / "bundle" / "model.safetensors").items()}
    return tensors


@pytest.mark.parametrize(
    "choices",
    [
        [
            "training.workers=2",
            "training.rdrop=2",
            "training.ema=0.9",
            "model.dropout_form=variational",
            "model.recurrent_dropout=0.2",
        ],
        [
            "training.workers=1",
            "model.cell=lstm_coupled",
            "model.layer_norm=true",
            "model.residual=true",
            "model.dropout_form=variational",
            "model.recurrent_dropout=0.2",
            "text.vocab_size=340",
            "data.weights=[1.5]",
            "data.noise.typos=0.5",
            "data.noise.upper=0.2",
            "data.noise.join=0.3",
            "data.phrases=0.3",
            "optimizer.return_to_best=true",
            "optimizer.plateau_patience=0",
        ],
    ],
    ids=["two processes, R-Drop, average", "masks of a sequence, noise"],
)
def test_killed_training_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choices: list[str]
) -> None:
    corpus = write_toy_corpus(tmp_path, PAIRS)
    # here, and so with another hash seed than in the sittings below: no order of a set may matter
    monkeypatch.setattr(trainer, "learning_curve", lambda *_: None)
    whole = trainer.train(load_recipe(None, overrides(corpus, tmp_path / "whole", *choices)), tensorboard=False)
    assert whole.reason == "finished"

    rng = random.Random(7)
    broken, log = tmp_path / "broken", tmp_path / "log"
    settings = [*overrides(corpus, broken, *choices), "--no-tensorboard"]
    for sitting in range(4):
        process = start(settings + resume_option(broken), log)
        # the first dies in its preparations, the others when they have begun to learn
        if sitting > 0:
            assert wait_for_progress(broken, process), log.read_text("utf-8")
        time.sleep(rng.uniform(0.0, 0.3))
        assert process.is_alive(), "the run is too short for its kills"
        process.kill()
        process.join()
    process = start(settings + resume_option(broken), log)
    process.join(120)
    assert process.exitcode == 0, log.read_text("utf-8")

    expected, found = final_state(tmp_path / "whole"), final_state(broken)
    assert expected.keys() == found.keys()
    assert [name for name, value in expected.items() if not torch.equal(value, found[name])] == []
    assert not list(broken.rglob("*.partial"))


def resume_option(output: Path) -> list[str]:
    return ["--resume"] if (output / "recipe.toml").exists() else []


def wait_for_progress(output: Path, process: BaseProcess) -> bool:
    """Whether the process wrote a checkpoint of its own before it ended."""
    before = checkpoints(output)
    while process.is_alive():
        if checkpoints(output) - before:
            return True
        time.sleep(0.005)
    return False


def checkpoints(output: Path) -> set[Path]:
    return set((output / "checkpoints").glob("update-*[0-9]"))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_training_leaves_a_checkpoint(tmp_path: Path, number: signal.Signals, workers: int) -> None:
    output, log = tmp_path / "run", tmp_path / "log"
    corpus = write_toy_corpus(tmp_path, PAIRS)
    endless = ["training.epochs=1000", "training.checkpoint_every_s=1000", "training.validate_every=100000"]
    endless.append(f"training.workers={workers}")
    process = start([*overrides(corpus, output, *endless), "--no-tensorboard"], log)
    while process.is_alive() and not (log.exists() and "batches an epoch" in log.read_text("utf-8")):
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(60)
    text = log.read_text("utf-8")
    assert process.exitcode == 130, text
    assert "--resume" in text
    assert len(checkpoints(output)) == 1
