"""Training runs as a user starts them: limits, refusals, and what must not change the result."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nmt.bundle import load_bundle
from nmt.config import load_recipe
from nmt.errors import CheckpointError, ConfigError, CorpusError
from nmt.training import trainer
from nmt.training.trainer import Outcome, train
from nmt.training.validation import Validator
from tests.corpora import write_toy_corpus

SETTINGS = [
    "text.kind=word",
    "text.vocab_size=60",
    "model.embedding_size=8",
    "model.hidden_size=8",
    "model.encoder_layers=1",
    "training.threads=1",
    "training.precision=fp32",
    "training.batch_tokens=300",
    "training.updates=3",
    "training.sample_translations=0",
    "training.validation_sentences=4",
    "training.checkpoint_every_s=0",
]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "learning_curve", lambda *_: None)


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[Path, Path]:
    return write_toy_corpus(tmp_path, pairs=60)


def run(corpus: tuple[Path, Path], output: Path, *settings: str, **options: Any) -> Outcome:
    files = ", ".join(f'"{path}"' for path in corpus)
    recipe = load_recipe(None, [*SETTINGS, f"data.train=[[{files}]]", f'output="{output}"', *settings])
    return train(recipe, tensorboard=False, **options)


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_file(max((output / "checkpoints").glob("update-*")) / "model.safetensors")


def test_a_run_ends_with_a_bundle_that_remembers_it(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    outcome = run(corpus, tmp_path / "run", "training.validate_every=3", storage="float32")
    assert outcome.reason == "finished"
    assert outcome.position.update == 3
    assert outcome.bundle == tmp_path / "run" / "bundle"
    bundle = load_bundle(outcome.bundle)
    assert bundle.config.training["updates"] == 3
    assert bundle.config.training["recipe"]["model"]["hidden_size"] == 8
    assert "dev set" in bundle.card
    stored = weights(tmp_path / "run")
    assert bundle.weights.keys() == stored.keys()
    assert all(np.array_equal(weight, stored[name].numpy()) for name, weight in bundle.weights.items())


@pytest.mark.parametrize("tying", ["all", "none"])
def test_accumulated_batches_are_one_big_batch(corpus: tuple[Path, Path], tmp_path: Path, tying: str) -> None:
    """Plain SGD over a whole epoch in one update: cut into batches or not, each token weighs the same."""
    same = [
        "training.updates=1",
        "optimizer.name=sgd",
        "optimizer.learning_rate=1.0",
        "optimizer.warmup_updates=0",
        "optimizer.schedule=constant",
        "optimizer.clip_norm=0",
        "model.dropout=0",
        f"model.tying={tying}",
    ]
    run(corpus, tmp_path / "parts", *same, "training.batch_tokens=100", "training.accumulation=99")
    run(corpus, tmp_path / "whole", *same, "training.batch_tokens=100000")
    parts, whole = (json.loads(newest_position(tmp_path / name).read_text("utf-8")) for name in ("parts", "whole"))
    assert parts["tokens"] == whole["tokens"]
    found, expected = weights(tmp_path / "parts"), weights(tmp_path / "whole")
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-6, msg=name)


def newest_position(output: Path) -> Path:
    return max((output / "checkpoints").glob("update-*")) / "position.json"


def test_the_seed_decides(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(corpus, tmp_path / name, f"training.seed={seed}", "model.dropout=0.3", "model.word_dropout=0.1")
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a if a[name].shape == c[name].shape)


def test_a_bundle_of_averaged_weights_ships_only_where_it_is_better(
    corpus: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With perplexity as the metric the shipped weights are at least as good as every validated ones."""
    judged: list[float] = []
    validate = Validator.validate

    def spy(self: Validator, model: Any) -> Any:
        result = validate(self, model)
        judged.append(result.loss)
        return result

    monkeypatch.setattr(Validator, "validate", spy)
    outcome = run(
        corpus,
        tmp_path / "run",
        "training.updates=6",
        "training.validate_every=2",
        "training.metric=perplexity",
        "training.average=3",
        "optimizer.warmup_updates=0",
    )
    assert outcome.bundle is not None
    assert len(judged) == 3 + 2
    shipped = load_bundle(outcome.bundle).config.training["dev"]["perplexity"]
    assert shipped == pytest.approx(float(torch.tensor(min(judged)).exp()), rel=1e-3)


def test_training_stops_without_gain(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """A rate of nearly nothing gains nothing at a BLEU of 0: the first validation and `patience` more."""
    outcome = run(
        corpus,
        tmp_path / "run",
        "training.updates=50",
        "training.validate_every=1",
        "training.patience=2",
        "optimizer.learning_rate=1e-12",
        "optimizer.schedule=constant",
    )
    assert outcome.reason == "patience"
    assert outcome.position.update == 3


def test_a_folder_that_holds_a_run_needs_resume(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    run(corpus, tmp_path / "run")
    with pytest.raises(CheckpointError, match="holds a run already: go on with --resume"):
        run(corpus, tmp_path / "run")


def test_resuming_nothing_is_refused(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no run to resume"):
        run(corpus, tmp_path / "nowhere", resume=True)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "changes", [["model.hidden_size=16"], ["training.seed=5", "optimizer.name=sgd"], ["data.cleaning.empty=false"]]
)
def test_a_resumed_run_names_the_keys_that_changed(
    corpus: tuple[Path, Path], tmp_path: Path, changes: Sequence[str]
) -> None:
    run(corpus, tmp_path / "run")
    with pytest.raises(ConfigError, match="cannot change") as caught:
        run(corpus, tmp_path / "run", *changes, resume=True)
    for change in changes:
        assert change.partition("=")[0] in str(caught.value)


def test_a_resumed_run_may_go_on_for_longer(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    run(corpus, tmp_path / "run")
    outcome = run(corpus, tmp_path / "run", "training.updates=5", "training.patience=9", resume=True)
    assert (outcome.reason, outcome.position.update) == ("finished", 5)


def test_two_processes_cannot_train_in_one_folder(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "run"
    output.mkdir()
    with (output / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CheckpointError, match="another process is training there"):
            run(corpus, output)
    assert run(corpus, output).reason == "finished"


def test_a_folder_that_cannot_be_written_is_named(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written"):
        run(corpus, tmp_path / "file" / "run")


def test_a_run_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    source = tmp_path / "a.en"
    source.write_bytes(b"fine\nbroken \xff\n")
    recipe = load_recipe(None, [f'data.train=[["{source}", "{source}"]]', f'output="{tmp_path / "run"}"'])
    with pytest.raises(CorpusError, match=r"a\.en:2"):
        train(recipe)
    assert not (tmp_path / "run").exists()
