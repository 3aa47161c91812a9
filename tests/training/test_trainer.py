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
from nmt.native import training as native
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


def test_what_a_recipe_leaves_to_the_text_is_told_by_its_bundle(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """And the same when the run goes on."""
    left_open = ["training.batch_tokens=0", "training.updates=0", "training.validate_every=1000"]
    outcome = run(corpus, tmp_path / "run", *left_open)
    assert outcome.bundle is not None
    training = load_bundle(outcome.bundle).config.training["recipe"]["training"]
    assert (training["batch_tokens"], training["epochs"]) == (256, 40)
    assert outcome.position.epoch == 40
    assert run(corpus, tmp_path / "run", *left_open, resume=True).position == outcome.position
    longer = run(corpus, tmp_path / "run", *left_open, "training.epochs=41", resume=True)
    assert longer.position.epoch == 41


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


def test_the_average_is_validated_and_shipped(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    settings = ["training.ema=0.5", "training.validate_every=3", "training.metric=perplexity"]
    outcome = run(corpus, tmp_path / "run", *settings, storage="float32")
    assert outcome.bundle is not None
    newest = max((tmp_path / "run" / "checkpoints").glob("update-*"))
    averages, last = (load_file(newest / f"{name}.safetensors") for name in ("averages", "model"))
    bundle = load_bundle(outcome.bundle)
    assert all(np.array_equal(weight, averages[name].numpy()) for name, weight in bundle.weights.items())
    assert not all(np.array_equal(weight, last[name].numpy()) for name, weight in bundle.weights.items())


def test_a_run_goes_on_from_a_bundle(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """Its first weights are the bundle's: with a rate of nearly nothing they stay. Resuming does not need it."""
    base = run(corpus, tmp_path / "base", "training.seed=3", storage="float32").bundle
    assert base is not None
    slow = [f'training.init="{base}"', "model.dropout=0.5", "training.ema=0.9"]
    slow += ["optimizer.learning_rate=1e-12", "training.validate_every=3"]
    tuned = run(corpus, tmp_path / "tuned", *slow, storage="float32").bundle
    assert tuned is not None
    before, after = load_bundle(base), load_bundle(tuned)
    for name, weight in before.weights.items():
        np.testing.assert_allclose(after.weights[name], weight, rtol=0, atol=1e-7)
    assert after.tokenizers.source.encode("The old dog.") == before.tokenizers.source.encode("The old dog.")
    base.rename(tmp_path / "elsewhere")
    assert run(corpus, tmp_path / "tuned", *slow, "training.updates=5", resume=True).position.update == 5


def test_a_bundle_of_another_network_is_refused_key_by_key(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    base = run(corpus, tmp_path / "base").bundle
    init = f'training.init="{base}"'
    with pytest.raises(
        ConfigError, match=r"model.hidden_size = 8 \(here 16\), model.bridge = \"linear\" \(here \"copy\"\)"
    ):
        run(corpus, tmp_path / "tuned", init, "model.hidden_size=16", "model.bridge=copy")
    with pytest.raises(ConfigError, match=r"training\.init: .*nowhere"):
        run(corpus, tmp_path / "tuned", f'training.init="{tmp_path / "nowhere"}"')
    assert not (tmp_path / "tuned").exists()


def test_without_gain_a_run_returns_to_its_best_weights(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """At a rate that destroys every network the weights after each plateau are those of the first validation."""
    run(
        corpus,
        tmp_path / "run",
        "training.updates=4",
        "training.validate_every=1",
        "training.metric=perplexity",
        "optimizer.name=sgd",
        "optimizer.schedule=plateau",
        "optimizer.plateau_patience=0",
        "optimizer.return_to_best=true",
        "optimizer.learning_rate=1000",
        "optimizer.factor=0.9",
        "optimizer.warmup_updates=0",
        "optimizer.clip_norm=0",
    )
    position = json.loads(newest_position(tmp_path / "run").read_text("utf-8"))
    assert position["plateaus"] >= 1
    best = load_file(tmp_path / "run" / "best" / f"update-{position['best'][0]['update']:08d}.safetensors")
    assert position["best"][0]["update"] < 4
    assert all(torch.equal(weight, best[name]) for name, weight in weights(tmp_path / "run").items())


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
    "changes",
    [
        ["model.hidden_size=16"],
        ["training.seed=5", "optimizer.name=sgd"],
        ["data.cleaning.empty=false"],
        ["search.max_length_factor=3.0"],
        ["search.unknown_words=bar"],
    ],
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
    longer = ["training.updates=5", "training.patience=9", "search.length_penalty=1.5"]
    outcome = run(corpus, tmp_path / "run", *longer, resume=True)
    assert (outcome.reason, outcome.position.update) == ("finished", 5)


def test_a_resumed_run_is_of_the_same_text(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """The position counts batches of the text that the run began with, and its dev set judged the best weights."""
    run(corpus, tmp_path / "run")
    before = corpus[0].read_text("utf-8")
    corpus[0].write_text(before.replace("dog", "table"), "utf-8")
    with pytest.raises(CheckpointError, match=r"data\.train or data\.dev hold other text"):
        run(corpus, tmp_path / "run", "training.updates=5", resume=True)
    corpus[0].write_text(before, "utf-8")
    assert run(corpus, tmp_path / "run", "training.updates=5", resume=True).position.update == 5


def test_a_resumed_run_keeps_the_storage_of_its_bundle(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    def stored(**options: Any) -> str:
        bundle = run(corpus, tmp_path / "run", **options).bundle
        assert bundle is not None
        return load_bundle(bundle).config.storage

    assert stored(storage="int8") == "int8"
    assert stored(resume=True) == "int8"
    assert stored(resume=True, storage="float32") == "float32"


def test_a_run_that_died_before_its_first_checkpoint_leaves_no_vocabulary(
    corpus: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory, say; what is changed then must not meet the vocabulary of the first attempt."""

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "run", fail)
        with pytest.raises(MemoryError):
            run(corpus, tmp_path / "run", "text.vocab_size=12")
    bundle = run(corpus, tmp_path / "run").bundle
    assert bundle is not None
    assert load_bundle(bundle).tokenizers.source.size > 12


def test_a_word_model_keeps_a_dictionary_when_it_is_fine_tuned(corpus: tuple[Path, Path], tmp_path: Path) -> None:
    """Whether there are unknown words is the vocabulary's business, and here that is the bundle's."""
    few = ["text.joint=false", "model.tying=target"]
    base = run(corpus, tmp_path / "base", "text.vocab_size=12", *few).bundle
    tuned = run(corpus, tmp_path / "tuned", f'training.init="{base}"', "text.kind=unigram", *few).bundle
    assert base is not None
    assert tuned is not None
    assert load_bundle(base).dictionary is not None
    assert load_bundle(tuned).dictionary is not None


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


def test_missing_kernels_are_told(
    corpus: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkout that was not installed trains at two thirds of the speed, and nothing else would say so."""
    monkeypatch.setattr(native, "load", lambda: None)
    run(corpus, tmp_path / "run", "training.updates=1")
    assert "python -m nmt.native.build" in capsys.readouterr().out
