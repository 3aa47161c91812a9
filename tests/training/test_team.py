"""Several processes on one update: the same result as one, and a clear end when one of them dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nmt.config import TrainingConfig, load_recipe
from nmt.data.prepared import PreparedCorpus
from nmt.errors import ConfigError, TrainingError
from nmt.text.tokenizer import TokenizerPair
from nmt.training import team as team_module
from nmt.training import trainer
from nmt.training.task import Stream
from nmt.training.team import SharedMemory, pick_workers
from tests.corpora import write_toy_corpus
from tests.training import sittings  # noqa: F401  (its server of processes has imported everything already)

SETTINGS = [
    "text.kind=word",
    "text.vocab_size=60",
    "model.embedding_size=8",
    "model.hidden_size=8",
    "model.dropout=0",
    "training.precision=fp32",
    "training.batch_tokens=300",
    "training.updates=6",
    "training.accumulation=2",
    "training.sample_translations=0",
    "training.validation_sentences=4",
    "training.checkpoint_every_s=0",
    "optimizer.warmup_updates=0",
]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "learning_curve", lambda *_: None)


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[Path, Path]:
    return write_toy_corpus(tmp_path, pairs=100)


def run(corpus: tuple[Path, Path], output: Path, *settings: str) -> trainer.Outcome:
    files = ", ".join(f'"{path}"' for path in corpus)
    recipe = load_recipe(None, [*SETTINGS, f"data.train=[[{files}]]", f'output="{output}"', *settings])
    return trainer.train(recipe, tensorboard=False)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_several_processes_learn_what_one_learns(corpus: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    found: dict[int, dict[str, torch.Tensor]] = {}
    for workers in (1, 3):
        output = tmp_path / str(workers)
        choices = [f"training.workers={workers}", f"optimizer.name={name}", "training.ema=0.8"]
        outcome = run(corpus, output, *choices)
        assert outcome.position.update == 6
        newest = max((output / "checkpoints").glob("update-*"))
        averages = load_file(newest / "averages.safetensors")
        found[workers] = load_file(newest / "model.safetensors") | {f"mean {k}": v for k, v in averages.items()}
    for weight_name, weight in found[1].items():
        torch.testing.assert_close(found[3][weight_name], weight, rtol=0, atol=1e-4, msg=weight_name)


def test_a_process_that_dies_ends_the_run_with_its_name(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            for child in multiprocessing.active_children():
                if child.name == "nmt-train-1" and (tmp_path / "run" / "checkpoints").is_dir():
                    assert child.pid is not None
                    os.kill(child.pid, signal.SIGKILL)
                    killed.append(child.pid)
            time.sleep(0.01)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    with pytest.raises(TrainingError, match=r"training process 1 was killed by signal 9.*--resume"):
        run(
            corpus,
            tmp_path / "run",
            "training.workers=2",
            "training.updates=100000",
            "training.checkpoint_every_s=1e-3",
        )
    thread.join()
    assert not list((tmp_path / "run").rglob("*.partial"))
    resumed = load_recipe(tmp_path / "run" / "recipe.toml", ["training.updates=1", "training.workers=1"])
    assert trainer.train(resumed, resume=True, tensorboard=False).reason == "finished"


@pytest.mark.parametrize("ends_first", [False, True])
def test_a_process_that_fails_tells_why(
    corpus: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_first: bool
) -> None:
    """Without its vocabulary the other process cannot begin; it may be gone before it is told anything."""
    plan = team_module.Plan

    def enter(team: team_module.Team) -> team_module.Team:
        for child in multiprocessing.active_children() if ends_first else ():
            child.join()
        return team

    monkeypatch.setattr(team_module.Team, "__enter__", enter)

    def without_vocabulary(*arguments: Any, **more: Any) -> team_module.Plan:
        return plan(*arguments, **{**more, "vocabulary": tmp_path / "nowhere"})

    monkeypatch.setattr(trainer, "Plan", without_vocabulary)
    with pytest.raises(TrainingError, match=r"(?s)training process 1 failed:.*no vocabulary"):
        run(corpus, tmp_path / "run", "training.workers=2")


class PlanOfAnUnreadableCorpus(team_module.Plan):
    def stream(self, corpus: PreparedCorpus, tokenizers: TokenizerPair, rank: int) -> Stream:
        if rank:
            raise OSError(5, "Input/output error")
        return super().stream(corpus, tokenizers, rank)


def test_an_error_of_the_system_in_a_process_is_told(
    corpus: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the end of the first process, upon which the others end in silence."""
    monkeypatch.setattr(trainer, "Plan", PlanOfAnUnreadableCorpus)
    with pytest.raises(TrainingError, match=r"(?s)training process 1 failed:.*Input/output error"):
        run(corpus, tmp_path / "run", "training.workers=2")


def test_the_number_of_processes_fits_machine_and_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team_module, "available_cores", lambda: 8)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")

    def picked(pairs: int = 1_000_000, device: torch.device = cpu, **choices: int) -> int:
        return pick_workers(TrainingConfig.model_validate(choices), device, pairs)

    assert picked(batch_tokens=100_000) == 8
    assert picked(batch_tokens=100_000, threads=2) == 4
    assert picked(batch_tokens=1300) == 2
    assert picked(batch_tokens=100) == 1
    assert picked(pairs=500) == 1
    assert picked(pairs=500, workers=3) == 3
    assert picked(device=gpu) == 1
    with pytest.raises(ConfigError, match="one process"):
        picked(device=gpu, workers=2)


def test_shared_memory_hands_out_zeros_that_do_not_overlap() -> None:
    memory = SharedMemory(100)
    first, second = memory.allocate(5), memory.allocate(3)
    first.fill_(1.0)
    assert second.tolist() == [0.0] * 3
    second.fill_(2.0)
    assert first.tolist() == [1.0] * 5
