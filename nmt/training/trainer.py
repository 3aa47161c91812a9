"""The training loop: from a recipe and a run folder to a bundle. Recipe and seed decide everything it does.

A run folder holds `recipe.toml`, `data/` (the cleaned corpus), `vocabulary/`, `checkpoints/`, `best/`, `history.jsonl`,
`curve.png` and `bundle/`, which is replaced whenever a validation is the best so far.
"""

from __future__ import annotations

import fcntl
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from nmt.bundle import (
    CONFIG,
    DICTIONARY,
    FORMAT_VERSION,
    Array,
    Bundle,
    BundleConfig,
    Storage,
    load_config,
    save_bundle,
    weights_of,
)
from nmt.config import Recipe, dump_recipe, load_recipe
from nmt.data.prepared import PreparedCorpus, Progress
from nmt.errors import CheckpointError, ConfigError
from nmt.evaluation.pictures import learning_curve
from nmt.files import atomic_folder, unwritten, write_atomic
from nmt.hardware import pick_device, pick_precision
from nmt.native import training as native
from nmt.text.dictionary import Dictionary
from nmt.text.tokenizer import TokenizerPair, load_tokenizers
from nmt.training.amount import fitted
from nmt.training.card import bundle_card
from nmt.training.checkpoint import CheckpointStore, Position, average
from nmt.training.dictionary import learn_dictionary, needs_dictionary
from nmt.training.initial import initial_weights
from nmt.training.optim import Schedule
from nmt.training.report import Reporter, ValidationResult
from nmt.training.task import Batch, Task
from nmt.training.tasks import TASKS
from nmt.training.team import Plan, Team, pick_workers

MAY_CHANGE = frozenset(
    {
        "output",
        "training.checkpoint_every_s",
        "training.device",
        "training.epochs",
        "training.patience",
        "training.sample_translations",
        "training.threads",
        "training.updates",
        "training.workers",
    }
)
"""Keys that a resumed run may set anew, beside those of `[search]`; any other would make it a different run."""
DECIDES_TRAINING = frozenset({"search.max_length_factor", "search.max_length_offset", "search.unknown_words"})
"""Keys of `[search]` that training goes by: how long what it judges may be, and whether it learns a dictionary."""


@dataclass(frozen=True)
class Outcome:
    """How a sitting of training ended."""

    bundle: Path | None
    """The best bundle so far, if there was a validation."""
    position: Position
    reason: str
    """`finished`, `patience` or `interrupted`."""


def train(
    recipe: Recipe,
    *,
    resume: bool = False,
    storage: Storage | None = None,
    progress: Progress | None = None,
    tensorboard: bool = True,
) -> Outcome:
    """Train a recipe in its output folder, or go on there with `resume=True`.

    `storage`: how the bundle's weights lie on disk; by default as in the bundle that the run has, at first float16.
    Ctrl-C and SIGTERM end it after the current update, with a checkpoint. Raises ConfigError, CorpusError,
    TokenizerError before any time is spent, CheckpointError where a run cannot be resumed or is under way elsewhere,
    TrainingError where one of its processes fails.
    """
    folder = Path(recipe.output)
    device = pick_device(recipe.training.device)
    task = TASKS[recipe.task](recipe)
    with _run_folder(folder, recipe, resume=resume):
        is_new = CheckpointStore(folder).newest() is None
        if is_new and not resume:
            shutil.rmtree(folder / "vocabulary", ignore_errors=True)  # of a run that died before its first checkpoint
        initial = initial_weights(recipe) if recipe.training.init and is_new else None
        torch.set_num_threads(max(1, recipe.training.threads))
        corpus = task.prepare(folder / "data", progress)
        write_atomic(folder / "recipe.toml", dump_recipe(recipe))
        reporter = Reporter(folder, tensorboard=tensorboard)
        try:
            reporter.message(str(corpus.report))
            if corpus.phrases:
                reporter.message(f"{sum(corpus.phrases):,} phrases learnt")
            tokenizers = _vocabulary(folder / "vocabulary", recipe, task, corpus)
            measured = task.measure(corpus, tokenizers)
            recipe = fitted(
                recipe, lambda tried: TASKS[tried.task](tried).stream(corpus, tokenizers, measured, (0, 1)).count(0)
            )
            task = TASKS[recipe.task](recipe)
            plan = Plan(
                recipe,
                data=folder / "data",
                vocabulary=folder / "vocabulary",
                measured=measured,
                workers=pick_workers(recipe.training, device, len(corpus)) if task.is_shared else 1,
            )
            with _Interruption() as interruption, Team(plan, corpus, tokenizers, device) as team:
                kept_as = storage or _storage(folder)
                trainer = Trainer(recipe, task, corpus, tokenizers, device, team, reporter, kept_as, initial)
                return trainer.run(interruption)
        finally:
            reporter.close()


class Trainer:
    """One run: who learns, what is kept, and the position."""

    def __init__(
        self,
        recipe: Recipe,
        task: Task,
        corpus: PreparedCorpus,
        tokenizers: TokenizerPair,
        device: torch.device,
        team: Team,
        reporter: Reporter,
        storage: Storage,
        initial: Mapping[str, Array] | None = None,
    ) -> None:
        """`initial`: the weights that a run without a checkpoint begins with; by default those that the seed drew."""
        training = recipe.training
        self._recipe = recipe
        self._task = task
        self._folder = Path(recipe.output)
        self._tokenizers = tokenizers
        self._device = device
        self._reporter = reporter
        self._storage: Storage = storage
        self._initial = initial
        self._precision = pick_precision(training.precision, device)
        self._team = team
        self._model = team.learner.model
        self._store = CheckpointStore(self._folder)
        self._pairs = len(corpus)
        self._validator = task.validator(corpus, tokenizers, device)
        self._batches_an_epoch = team.stream.count(0)
        per_epoch = -(-self._batches_an_epoch // training.accumulation)
        self._total_updates = min(x for x in (training.updates, training.epochs * per_epoch) if x)
        self._schedule = Schedule(recipe.optimizer, self._total_updates)
        self._position = Position(corpus=corpus.fingerprint)
        self._began = self._last_checkpoint = time.monotonic()

    def run(self, interruption: _Interruption) -> Outcome:
        """Train from the newest checkpoint, or from the beginning, to an end."""
        if (position := self._store.load(self._team.learner)) is not None:
            if position.corpus not in ("", self._position.corpus):
                raise CheckpointError(
                    f"{self._folder}: the files of data.train or data.dev hold other text than when the run began: "
                    "put that back, or start anew in another folder"
                )
            self._position = replace(position, corpus=self._position.corpus)
        elif self._initial is not None:
            self._team.learner.restart({name: torch.from_numpy(weight) for name, weight in self._initial.items()})
        self._began -= self._position.seconds
        self._describe()
        self._reporter.start(self._position.update, self._position.epoch, self._total_updates)
        reason = self._finished() or self._epochs(interruption)
        if reason == "interrupted":
            self._save()
        elif self._position.best:
            self._finish()
        bundle = self._folder / "bundle"
        return Outcome(bundle if bundle.is_dir() else None, self._position, reason)

    def _epochs(self, interruption: _Interruption) -> str:
        while True:
            epoch, start = self._position.epoch, self._position.batch
            batches = self._team.stream.count(epoch)
            for group in self._team.epoch(epoch, start, self._recipe.training.accumulation):
                self._update(group)
                ends_epoch = self._position.batch >= batches
                if ends_epoch:
                    self._position = replace(self._position, epoch=self._position.epoch + 1, batch=0)
                if self._validation_is_due(ends_epoch) or self._position.update >= self._total_updates:
                    self._validate()
                elif self._checkpoint_is_due():
                    self._save()
                if reason := self._finished():
                    return reason
                if interruption.is_set:
                    return "interrupted"

    def _update(self, group: list[Batch]) -> None:
        position = self._position
        rate = self._schedule.rate(
            position.update + 1, position.epoch + position.batch / self._batches_an_epoch, position.plateaus
        )
        nll, tokens = self._team.update(position.update + 1, rate, group)
        self._position = replace(
            position, update=position.update + 1, batch=position.batch + len(group), tokens=position.tokens + tokens
        )
        self._reporter.train(self._position.update, self._position.epoch, nll / tokens, tokens, rate)

    def _validation_is_due(self, ends_epoch: bool) -> bool:
        every = self._recipe.training.validate_every
        return self._position.update % every == 0 if every else ends_epoch

    def _validate(self) -> None:
        """Validate, keep the weights if they are among the best, and write a checkpoint."""
        plateaus = self._position.plateaus
        with self._team.learner.averaged():
            with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._precision == torch.bfloat16):
                result = self._validator.validate(self._model)
            self._reporter.validation(self._position.update, self._position.epoch, result)
            self._position = self._position.after_validation(
                self._value(result),
                keep=self._recipe.training.average,
                plateau_patience=self._recipe.optimizer.plateau_patience,
            )
            if any(kept.update == self._position.update for kept in self._position.best):
                self._store.keep_best(self._model, self._position.update)
        if self._recipe.optimizer.return_to_best and self._position.plateaus > plateaus:
            best = self._position.best[0].update
            self._team.learner.restart(self._store.best_weights(best))
            self._reporter.message(f"no gain: back to the weights of update {best}")
        self._save()
        if self._position.best[0].update == self._position.update:
            with self._team.learner.averaged():
                weights = weights_of(self._model)
            self._write_bundle(weights, result)
        try:
            learning_curve(self._reporter.history.records(), self._folder / "curve.png")
        except ConfigError as error:
            self._reporter.message(str(error))

    def _value(self, result: ValidationResult) -> float:
        """The deciding metric, higher being better."""
        match self._recipe.training.metric:
            case "bleu" if result.bleu is not None:
                return result.bleu.value
            case "chrf" if result.chrf is not None:
                return result.chrf.value
            case "accuracy" if result.accuracy is not None:
                return result.accuracy
            case _:
                return -result.loss

    def _checkpoint_is_due(self) -> bool:
        every = self._recipe.training.checkpoint_every_s
        return bool(every) and time.monotonic() - self._last_checkpoint >= every

    def _save(self) -> None:
        self._position = replace(self._position, seconds=time.monotonic() - self._began)
        self._store.save(self._team.learner, self._position)
        self._last_checkpoint = time.monotonic()

    def _finished(self) -> str | None:
        patience = self._recipe.training.patience
        if self._position.update >= self._total_updates:
            return "finished"
        if patience and self._position.stale >= patience:
            return "patience"
        return None

    def _finish(self) -> None:
        """Average the best weights, and ship the average where the dev set agrees that it is better."""
        best = self._position.best
        candidates = [self._store.best_weights(best[0].update)]
        if len(best) > 1:
            candidates.append(average([self._store.best_weights(kept.update) for kept in best]))
        judged = [(self._judge(weights), weights) for weights in candidates]
        result, weights = max(judged, key=lambda pair: self._value(pair[0]))
        if weights is candidates[0]:
            self._reporter.message(f"best checkpoint: update {best[0].update}, {_summary(result)}")
        else:
            updates = ", ".join(str(kept.update) for kept in best)
            self._reporter.message(f"average of updates {updates}: {_summary(result)}")
        self._write_bundle({name: weight.numpy() for name, weight in weights.items()}, result)

    def _judge(self, weights: dict[str, Tensor]) -> ValidationResult:
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                parameter.copy_(weights[name])
        return self._validator.validate(self._model)

    def _write_bundle(self, weights: dict[str, Array], result: ValidationResult) -> None:
        recipe, position = self._recipe, self._position
        summary: dict[str, Any] = {
            "updates": position.update,
            "epochs": round(position.epoch + position.batch / self._batches_an_epoch, 2),
            self._task.unit: self._pairs,
            "target_tokens": position.tokens,
            "seconds": round(time.monotonic() - self._began),
            "dev": _figures(result),
            "recipe": recipe.model_dump(mode="json", exclude={"output"}),
        }
        config = BundleConfig(
            format=FORMAT_VERSION,
            task=recipe.task,
            source_lang=recipe.data.source_lang,
            target_lang=recipe.data.target_lang if recipe.task == "translation" else recipe.data.source_lang,
            src_vocab=self._tokenizers.source.size,
            tgt_vocab=self._tokenizers.target.size,
            storage=self._storage,
            running_text=recipe.data.running_text,
            model=recipe.model,
            search=recipe.search,
            training=summary,
        )
        entries = self._folder / "vocabulary" / DICTIONARY
        dictionary = Dictionary.load(entries) if entries.is_file() else None
        bundle = Bundle(config, self._tokenizers, weights, dictionary=dictionary)
        save_bundle(replace(bundle, card=bundle_card(bundle)), self._folder / "bundle")

    def _describe(self) -> None:
        count = sum(p.numel() for p in self._model.parameters())
        kind = "bf16" if self._precision == torch.bfloat16 else "fp32"
        where = f"on {self._device}, {kind}"
        if self._device.type == "cpu":
            where += f", {_counted(self._team.workers, 'process', 'processes')}"
            if (threads := torch.get_num_threads()) > 1:
                where += f" of {threads} threads"
        size = f"{count / 1e6:.1f} M weights, {self._pairs:,} {self._task.unit}"
        batches = f"{self._batches_an_epoch:,} batches an epoch of {self._recipe.training.batch_tokens:,} tokens"
        self._reporter.message(f"{size}, {batches}, {where}")
        if self._device.type == "cpu" and native.load() is None:
            self._reporter.message("compiled kernels are missing: training takes longer (python -m nmt.native.build)")
        if self._position.update:
            self._reporter.message(f"resumed at update {self._position.update}")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _figures(result: ValidationResult) -> dict[str, Any]:
    figures: dict[str, Any] = {"perplexity": round(result.perplexity, 3)}
    if result.accuracy is not None:
        figures["accuracy"] = round(result.accuracy, 4)
    for name, score in (("bleu", result.bleu), ("chrf", result.chrf)):
        if score is not None:
            figures[name] = round(score.value, 2)
            figures[f"{name}_signature"] = score.signature
    return figures


def _summary(result: ValidationResult) -> str:
    figures = _figures(result)
    return ", ".join(
        f"dev {name} {figures[name]}" for name in ("perplexity", "accuracy", "bleu", "chrf") if name in figures
    )


def _vocabulary(folder: Path, recipe: Recipe, task: Task, corpus: PreparedCorpus) -> TokenizerPair:
    """The run's vocabularies, and its dictionary beside them: learnt at its beginning, read when it goes on."""
    if folder.is_dir():
        return load_tokenizers(folder)
    tokenizers = task.learn_vocabulary(corpus)
    with atomic_folder(folder) as partial:
        tokenizers.save(partial)
        if needs_dictionary(recipe, tokenizers):
            learn_dictionary(iter(corpus), tokenizers, seed=recipe.training.seed).save(partial / DICTIONARY)
    return tokenizers


def _storage(folder: Path) -> Storage:
    """As in the bundle of a run that goes on."""
    bundle = folder / "bundle"
    return load_config(bundle).storage if (bundle / CONFIG).is_file() else "float16"


@contextmanager
def _run_folder(folder: Path, recipe: Recipe, *, resume: bool) -> Iterator[None]:
    """Hold the run folder for this process. Raises CheckpointError or ConfigError where it is not fit for the run."""
    stored = folder / "recipe.toml"
    if stored.is_file():
        if not resume and CheckpointStore(folder).newest() is not None:
            raise CheckpointError(f"{folder}: holds a run already: go on with --resume, or give another output folder")
        if resume:
            _check_same_run(load_recipe(stored), recipe, stored)
    elif resume:
        raise CheckpointError(f"{folder}: no run to resume there")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise CheckpointError(unwritten(folder, error)) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CheckpointError(f"{folder}: another process is training there") from None
        try:
            yield
        finally:
            _remove_untouched(folder)


def _remove_untouched(folder: Path) -> None:
    """A run that was refused before it began leaves no folder behind."""
    if [path.name for path in folder.iterdir()] == ["lock"]:
        (folder / "lock").unlink()
        folder.rmdir()


def _check_same_run(stored: Recipe, given: Recipe, path: Path) -> None:
    before, now = (_flat(recipe.model_dump(mode="json")) for recipe in (stored, given))
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if wrong := [key for key in changed if not _may_change(key)]:
        raise ConfigError(f"{path}: a resumed run cannot change {', '.join(wrong)}: start anew in another folder")


def _may_change(key: str) -> bool:
    return key in MAY_CHANGE or (key.startswith("search.") and key not in DECIDES_TRAINING)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


class _Interruption:
    """Notes Ctrl-C and SIGTERM while it is entered; a second one ends the process as usual."""

    def __init__(self) -> None:
        self.is_set = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.is_set = True
        signal.signal(number, self._previous[signal.Signals(number)])
