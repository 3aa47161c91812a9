"""Invariant 4: training that is killed at any moment and resumed gives the same weights, bit for bit."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.corpora import write_toy_corpus

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
    "training.epochs=4",
    "training.batch_tokens=256",
    "training.accumulation=2",
    "training.threads=1",
    "training.checkpoint_every_s=0.05",
    "training.sample_translations=0",
    "training.validate_every=12",
    "training.average=2",
    "training.patience=0",
    "optimizer.schedule=plateau",
    "optimizer.warmup_updates=20",
]


def start(corpus: tuple[Path, Path], output: Path, *arguments: str) -> subprocess.Popen[str]:
    pair = [item for path in corpus for item in ("--corpus", str(path))]
    command = [sys.executable, "-m", "nmt.cli.main", "train", *SETTINGS, *pair, "-o", str(output), "--no-tensorboard"]
    return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def final_state(output: Path) -> dict[str, torch.Tensor]:
    newest = max((output / "checkpoints").glob("update-*"))
    tensors = {f"checkpoint {name}": value for name, value in load_file(newest / "model.safetensors").items()}
    tensors |= {f"optimizer {name}": value for name, value in load_file(newest / "optimizer.safetensors").items()}
    tensors |= {f"bundle {name}": value for name, value in load_file(output / "bundle" / "model.safetensors").items()}
    return tensors


def test_killed_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    corpus = write_toy_corpus(tmp_path, pairs=300)
    whole = start(corpus, tmp_path / "whole")
    output, _ = whole.communicate(timeout=120)
    assert whole.returncode == 0, output

    rng = random.Random(7)
    broken = tmp_path / "broken"
    kills = 0
    for sitting in range(40):
        process = start(corpus, broken, *(["--resume"] if (broken / "recipe.toml").exists() else []))
        # let three sittings die at random moments after they have begun to learn, and the rest finish
        if kills < 3 and _wait_for_progress(broken, process):
            time.sleep(rng.uniform(0.0, 0.4))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        break
    assert kills == 3

    expected, found = final_state(tmp_path / "whole"), final_state(broken)
    assert expected.keys() == found.keys()
    assert [name for name, value in expected.items() if not torch.equal(value, found[name])] == []
    assert not list(broken.rglob("*.partial"))


def _wait_for_progress(output: Path, process: subprocess.Popen[str]) -> bool:
    """Whether the process wrote a checkpoint of its own before it ended."""
    before = set((output / "checkpoints").glob("update-*"))
    while process.poll() is None:
        if set((output / "checkpoints").glob("update-*")) - before:
            return True
        time.sleep(0.005)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_training_leaves_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "run"
    process = start(write_toy_corpus(tmp_path, pairs=300), output, "training.checkpoint_every_s=1000")
    while process.poll() is None and not (output / "history.jsonl").exists():
        time.sleep(0.005)
    process.send_signal(number)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "--resume" in text
    assert len(list((output / "checkpoints").glob("update-*"))) == 1
