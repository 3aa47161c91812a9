"""Checkpoints: everything that a killed run needs to go on as if nothing had happened.

`checkpoints/update-00001234/` holds the weights, their average where one is kept, the optimiser's tensors and the
position; `best/` holds the weights of the best validations. All are safetensors and JSON; each appears by one rename.
There is no random state to keep: what is drawn for an update depends on the seed and the update's number.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nmt.errors import CheckpointError
from nmt.files import atomic_file, atomic_folder, unwritten
from nmt.training.learner import Learner

CHECKPOINTS, BEST = "checkpoints", "best"
_WEIGHTS, _OPTIMIZER, _POSITION = "model.safetensors", "optimizer.safetensors", "position.json"
_AVERAGES = "averages.safetensors"
_CARRIED = "carried.safetensors"
"""What the task carries from batch to batch (`Objective.carried`), where it carries anything."""


@dataclass(frozen=True)
class Kept:
    """One of the best validations, whose weights are kept in `best/`."""

    update: int
    value: float
    """Of the deciding metric, turned so that higher is better."""


@dataclass(frozen=True)
class Position:
    """Where training stands. All of it is decided by the run so far, nothing by the clock but `seconds`."""

    update: int = 0
    epoch: int = 0
    """Whole epochs behind us."""
    batch: int = 0
    """Batches of this epoch behind us."""
    tokens: int = 0
    """Target tokens learnt from."""
    seconds: float = 0.0
    """Time spent training, over all sittings."""
    best: tuple[Kept, ...] = ()
    """Best first, at most as many as are averaged."""
    stale: int = 0
    """Validations since the last gain."""
    plateaus: int = 0
    """Times the plateau schedule has lowered the rate."""
    since_plateau: int = 0
    """Validations without gain since the plateau schedule last looked."""
    corpus: str = ""
    """Fingerprint of the text whose batches are counted; empty in checkpoints from before it was kept."""

    def after_validation(self, value: float, *, keep: int, plateau_patience: int) -> Position:
        """The position with a validation's value (higher is better) entered."""
        is_gain = not self.best or value > self.best[0].value
        best = tuple(sorted((*self.best, Kept(self.update, value)), key=lambda k: (-k.value, k.update))[:keep])
        if is_gain:
            return replace(self, best=best, stale=0, since_plateau=0)
        waited = self.since_plateau + 1
        if waited > plateau_patience:
            return replace(self, best=best, stale=self.stale + 1, plateaus=self.plateaus + 1, since_plateau=0)
        return replace(self, best=best, stale=self.stale + 1, since_plateau=waited)


@dataclass
class CheckpointStore:
    """The checkpoints of one run folder."""

    folder: Path
    _last: Path | None = field(default=None, init=False)

    def save(self, learner: Learner, position: Position) -> None:
        """Write a checkpoint, then drop the one before and weights that no list of the best names any more.

        Raises CheckpointError where it cannot be written; the one before is still there then.
        """
        place = self.folder / CHECKPOINTS / f"update-{position.update:08d}"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with atomic_folder(place) as partial:
                save_file(_parameters(learner.model), partial / _WEIGHTS)
                save_file(learner.optimizer_tensors(), partial / _OPTIMIZER)
                if learner.is_averaging:
                    with learner.averaged():
                        save_file(_parameters(learner.model), partial / _AVERAGES)
                if carried := learner.objective.carried():
                    save_file({name: tensor.cpu().clone() for name, tensor in carried.items()}, partial / _CARRIED)
                (partial / _POSITION).write_text(json.dumps(asdict(position), indent=1), "utf-8")
            self._prune(place, position)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(unwritten(place, error)) from None

    def load(self, learner: Learner) -> Position | None:
        """Put the newest checkpoint into model and optimiser; None where there is none.

        Raises CheckpointError where it does not fit or cannot be read.
        """
        place = self.newest()
        if place is None:
            return None
        try:
            with torch.no_grad():
                _fill(learner.model, load_file(place / _WEIGHTS))
                if learner.is_averaging:
                    with learner.averaged():
                        _fill(learner.model, load_file(place / _AVERAGES))
                learner.load_optimizer_tensors(load_file(place / _OPTIMIZER))
            if (place / _CARRIED).exists():
                learner.objective.carry(load_file(place / _CARRIED, device=str(learner.device)))
            return _position(json.loads((place / _POSITION).read_text("utf-8")))
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{place}: cannot be resumed ({reason}); remove it to start anew") from None

    def newest(self) -> Path | None:
        """The folder of the newest whole checkpoint."""
        found = sorted((self.folder / CHECKPOINTS).glob("update-*[0-9]"))
        return found[-1] if found else None

    def keep_best(self, model: nn.Module, update: int) -> None:
        """Keep these weights as a candidate for the end. Written before the checkpoint that lists them.

        Raises CheckpointError where they cannot be written.
        """
        place = self.best_path(update)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(place) as partial:
                save_file(_parameters(model), partial)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(unwritten(place, error)) from None

    def best_path(self, update: int) -> Path:
        return self.folder / BEST / f"update-{update:08d}.safetensors"

    def best_weights(self, update: int) -> dict[str, Tensor]:
        """Weights that `keep_best` wrote. Raises CheckpointError."""
        try:
            return load_file(self.best_path(update))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{self.best_path(update)}: cannot be read ({error})") from None

    def _prune(self, newest: Path, position: Position) -> None:
        for place in (self.folder / CHECKPOINTS).iterdir():
            if place != newest:
                shutil.rmtree(place, ignore_errors=True)
        listed = {self.best_path(kept.update) for kept in position.best}
        for path in (self.folder / BEST).glob("*"):
            if path not in listed:
                path.unlink(missing_ok=True)


def average(all_weights: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several sets of weights, summed in fp64."""
    return {name: torch.stack([w[name].double() for w in all_weights]).mean(dim=0).float() for name in all_weights[0]}


def _parameters(model: nn.Module) -> dict[str, Tensor]:
    # copies, for they are views of one vector
    return {name: p.detach().cpu().clone() for name, p in model.named_parameters()}


def _fill(model: nn.Module, weights: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])


def _position(raw: dict[str, Any]) -> Position:
    return Position(**{**raw, "best": tuple(Kept(**kept) for kept in raw["best"])})
