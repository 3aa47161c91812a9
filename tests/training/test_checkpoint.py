"""Checkpoints: what a position counts, what comes back, and what a damaged one says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from nmt.config import OptimizerConfig
from nmt.errors import CheckpointError
from nmt.model.seq2seq import build
from nmt.training.batches import make_batch
from nmt.training.checkpoint import CheckpointStore, Kept, Position, average
from nmt.training.learner import Learner
from nmt.training.translation import TranslationLoss
from tests.disk import full_after
from tests.model.networks import TINY, VOCAB


def positions(values: list[float], keep: int = 2, patience: int = 1) -> list[Position]:
    """The positions after validations with these values, ten updates apart."""
    found = [Position()]
    for number, value in enumerate(values, 1):
        here = Position(**{**vars(found[-1]), "update": number * 10})
        found.append(here.after_validation(value, keep=keep, plateau_patience=patience))
    return found[1:]


def test_the_best_validations_are_kept_in_order() -> None:
    last = positions([1.0, 3.0, 2.0, 2.5])[-1]
    assert last.best == (Kept(20, 3.0), Kept(40, 2.5))


def test_of_equal_values_the_earlier_is_kept() -> None:
    assert positions([2.0, 2.0, 2.0])[-1].best == (Kept(10, 2.0), Kept(20, 2.0))


def test_stale_validations_are_counted_since_the_last_gain() -> None:
    assert [p.stale for p in positions([1.0, 3.0, 2.0, 3.0, 4.0, 1.0])] == [0, 0, 1, 2, 0, 1]


def test_a_plateau_comes_after_its_patience_and_counts_anew() -> None:
    counted = positions([5.0, 1.0, 1.0, 1.0, 1.0, 6.0, 1.0, 1.0], patience=1)
    assert [p.plateaus for p in counted] == [0, 0, 1, 1, 2, 2, 2, 3]


def learner(name: str = "adam", hidden_size: int = 6, workers: int = 1, ema: float = 0.0) -> Learner:
    torch.manual_seed(hidden_size)
    model = build(TINY.model_copy(update={"hidden_size": hidden_size}), VOCAB, VOCAB)
    config = OptimizerConfig.model_validate({"name": name, "momentum": 0.9 if name in ("sgd", "rmsprop") else 0.0})
    loss = TranslationLoss(model, 0.1)
    return Learner(model, loss, config, precision=torch.float32, seed=1, workers=workers, ema=ema)


def learn(learner: Learner, updates: Sequence[int]) -> None:
    batch = make_batch([[5, 6, 7], [8]], [[9, 5], [6, 7]])
    for number in updates:
        tokens = learner.learn(number, [batch]).tokens
        learner.apply(0.1, learner.combine(tokens))
        learner.follow(number)


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_everything_comes_back(tmp_path: Path, name: str, ema: float) -> None:
    whole = learner(name, ema=ema)
    learn(whole, [1, 2, 3])
    store = CheckpointStore(tmp_path)
    position = Position(update=3, tokens=12, seconds=1.5, best=(Kept(2, 0.5), Kept(3, 0.25)), stale=1)
    store.save(whole, position)
    learn(whole, [4, 5])
    again = learner(name, ema=ema)
    assert store.load(again) == position
    learn(again, [4, 5])
    assert equal(whole, again)
    with whole.averaged(), again.averaged():
        assert equal(whole, again)


def equal(one: Learner, other: Learner) -> bool:
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_a_checkpoint_without_the_average_is_refused(tmp_path: Path) -> None:
    store, _ = saved(tmp_path)
    with pytest.raises(CheckpointError, match=r"cannot be resumed.*averages\.safetensors"):
        store.load(learner(ema=0.9))


def test_a_checkpoint_fits_another_number_of_processes(tmp_path: Path) -> None:
    whole, parts = learner(), learner(workers=3)
    learn(whole, [1, 2])
    store = CheckpointStore(tmp_path)
    store.save(whole, Position(update=2))
    assert store.load(parts) == Position(update=2)
    found, expected = parts.optimizer_tensors(), whole.optimizer_tensors()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert any(bool(tensor.any()) for name, tensor in found.items() if name.endswith("exp_avg_sq"))


def saved(folder: Path) -> tuple[CheckpointStore, Learner]:
    store, its_learner = CheckpointStore(folder), learner()
    store.save(its_learner, Position(update=5))
    return store, its_learner


def test_without_a_checkpoint_there_is_nothing_to_load(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    assert store.newest() is None
    assert store.load(learner()) is None


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "position.json"])
@pytest.mark.parametrize("damage", ["truncated", "missing", "noise"])
def test_a_damaged_checkpoint_is_one_line(tmp_path: Path, name: str, damage: str) -> None:
    store, its_learner = saved(tmp_path)
    newest = store.newest()
    assert newest is not None
    path = newest / name
    match damage:
        case "truncated":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "missing":
            path.unlink()
        case "noise":
            path.write_bytes(b"\x80\x04noise\n" * 50)
    with pytest.raises(CheckpointError, match="cannot be resumed") as caught:
        store.load(its_learner)
    assert str(newest) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    store, _ = saved(tmp_path)
    with pytest.raises(CheckpointError, match="cannot be resumed"):
        store.load(learner(hidden_size=8))


def test_a_position_with_a_key_of_another_version_is_refused(tmp_path: Path) -> None:
    store, its_learner = saved(tmp_path)
    newest = store.newest()
    assert newest is not None
    path = newest / "position.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "shards": 3}), "utf-8")
    with pytest.raises(CheckpointError, match="shards"):
        store.load(its_learner)


def test_only_the_newest_checkpoint_and_the_listed_best_stay(tmp_path: Path) -> None:
    store, its_learner = saved(tmp_path)
    for update in (10, 20, 30):
        store.keep_best(its_learner.model, update)
    store.save(its_learner, Position(update=30, best=(Kept(30, 2.0), Kept(10, 1.0))))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["update-00000030"]
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [
        "update-00000010.safetensors",
        "update-00000030.safetensors",
    ]


def test_a_half_written_checkpoint_is_never_the_newest(tmp_path: Path) -> None:
    store, _ = saved(tmp_path)
    (tmp_path / "checkpoints" / "update-00000009.partial").mkdir()
    newest = store.newest()
    assert newest is not None
    assert newest.name == "update-00000005"


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    """It is weights that do not fit, and safetensors has an error of its own for that."""
    store, its_learner = saved(tmp_path)
    before = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    with full_after(100), pytest.raises(CheckpointError, match=r"update-00000009: cannot be written: ") as caught:
        store.save(its_learner, Position(update=9))
    assert "\n" not in str(caught.value)
    with full_after(100), pytest.raises(CheckpointError, match=r"update-00000009\.safetensors: cannot be written: "):
        store.keep_best(its_learner.model, 9)
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} - before == {Path("best")}
    assert store.load(its_learner) == Position(update=5)


def test_lost_best_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"update-00000007\.safetensors"):
        CheckpointStore(tmp_path).best_weights(7)


def test_averaging_is_the_mean_of_each_weight() -> None:
    sets = [{"a": torch.tensor([x, 2 * x]), "b": torch.tensor(x)} for x in (1.0, 2.0, 6.0)]
    mean = average(sets)
    assert mean["a"].tolist() == [3.0, 6.0]
    assert float(mean["b"]) == 3.0
    # sums in fp64: in fp32 the ones would be lost beside 2^25
    assert float(average([{"a": torch.tensor(v)} for v in (2.0**25, 1.0, 1.0, 2.0)])["a"]) == 2.0**23 + 1
