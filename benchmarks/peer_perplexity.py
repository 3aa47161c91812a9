"""Time to equal perplexity on a dev set, beside OpenNMT-py: a learning curve of each side, and where both cross marks.

Both sides train the same network on the same pairs in the same pieces, each with a batch and a learning rate that suit
it, for the same time, one after the other. Perplexity is exp of the mean -log p of the target pieces, EOS counted, no
label smoothing, no dropout: so `nmt train` says it, and so the driver makes OpenNMT-py say it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.peer_training import (
    Corpus,
    opennmt_command,
    our_command,
    our_run,
    stop,
    write_config,
    write_recipe,
)
from nmt.config import load_recipe
from nmt.data.prepared import prepare
from nmt.text.tokenizer import train_tokenizers
from nmt.training.report import HISTORY_FILE, History

OUR_BATCH = 1280
"""Tokens of the longer side, padding counted."""
OUR_OPTIMIZER = {
    "learning_rate": 0.001,
    "schedule": "constant",
    "warmup_updates": 100,
    "betas": (0.9, 0.999),
    "clip_norm": 5.0,
}
"""As the other side has it: the default schedule ends with a run, and these end when both have got somewhere."""
THEIR_BATCH = 64
"""Sentences."""
OUR_INTERVAL, THEIR_INTERVAL = 100, 50
"""Updates between validations: about as many seconds."""
POLL_S = 0.25
PATIENCE_S = 1200.0
"""How long a validation may be awaited: a busy machine must not cost what has been measured."""
ROUND = (200, 150, 100, 70, 50, 40, 30, 25, 20, 15, 12, 10, 9, 8, 7, 6, 5, 4, 3)
"""Perplexities to be told where both sides cross them; at most `MOST_MARKS`, the lowest."""
MOST_MARKS = 4


@dataclass(frozen=True)
class Point:
    """One validation."""

    update: int
    training_s: float
    """Since the first update began, validations not counted; writing checkpoints is."""
    loss: float
    """Nats a target token, EOS counted, without label smoothing."""
    wall_s: float = math.nan
    """Since the command began, all counted."""

    @property
    def perplexity(self) -> float:
        return math.exp(min(self.loss, 700.0))


@dataclass
class Curve:
    """One side's run."""

    side: str
    setting: str
    points: list[Point] = field(default_factory=list)
    others: float = 0.0
    """Cores that other programs used meanwhile."""

    def time_to(self, loss: float) -> tuple[float, float]:
        """`training_s` and `wall_s` at which the loss first was that low, on a line between two validations.

        Raises ValueError where it never was, or where it was at the first validation: that hides when.
        """
        below = next((place for place, point in enumerate(self.points) if point.loss <= loss), 0)
        if not below:
            raise ValueError(f"{self.side} did not cross a loss of {loss:.3f} between two validations")
        before, after = self.points[below - 1 : below + 1]
        share = (before.loss - loss) / (before.loss - after.loss)
        return (
            before.training_s + share * (after.training_s - before.training_s),
            before.wall_s + share * (after.wall_s - before.wall_s),
        )

    def summary(self) -> dict[str, Any]:
        points = [{**asdict(point), "perplexity": point.perplexity} for point in self.points]
        return {"side": self.side, "setting": self.setting, "others": self.others, "curve": points}


def measure_perplexity(
    corpus: Corpus, opennmt_python: Path, folder: Path, environment: dict[str, str], *, cores: int, seconds: float
) -> list[Curve]:
    """Let each side train for `seconds`, ours first. Raises RuntimeError where one ends early or counts otherwise."""
    run = our_run(folder)
    shutil.rmtree(run, ignore_errors=True)
    # perplexity alone: both sides score the dev set, and one sentence is the least that ours translates
    recipe = write_recipe(
        corpus,
        folder,
        OUR_BATCH,
        cores,
        OUR_OPTIMIZER,
        validate_every=OUR_INTERVAL,
        validation_sentences=1,
        sample_translations=0,
        metric="perplexity",
        patience=0,
        average=1,
    )
    dev_tokens = prepare_text(recipe)
    options = {"valid_steps": THEIR_INTERVAL, "valid_batch_size": 64, "save_checkpoint_steps": THEIR_INTERVAL}
    config = write_config(folder, "sents", THEIR_BATCH, keep_checkpoint=1, **options)
    log = folder / "training-opennmt.log"
    history = History(run / HISTORY_FILE)
    threads = environment | {"OMP_NUM_THREADS": str(cores)}
    ours = Curve("ours", f"Adam, {OUR_BATCH} tokens, learning rate 0.001 after 100 updates, {cores} processes")
    theirs = Curve("OpenNMT-py", f"Adam, {THEIR_BATCH} sentences, learning rate 0.001, {cores} threads")
    follow(ours, our_command(recipe), run.with_suffix(".log"), environment, lambda: our_points(history), seconds)
    follow(
        theirs, opennmt_command(opennmt_python, config), log, threads, lambda: opennmt_points(log, dev_tokens), seconds
    )
    return [ours, theirs]


def prepare_text(recipe_path: Path) -> int:
    """Clean the pairs and learn the vocabulary before the clock runs, where and as `nmt train` would.

    Returns the number of target tokens of the dev set, EOS counted.
    """
    recipe = load_recipe(recipe_path)
    run = Path(recipe.output)
    corpus = prepare(recipe.data, run / "data", recipe.training.seed)
    tokenizers = train_tokenizers(iter(corpus), recipe.text, seed=recipe.training.seed)
    (run / "vocabulary").mkdir()
    tokenizers.save(run / "vocabulary")
    return sum(len(ids) + 1 for ids in tokenizers.target.encode_batch([target for _, target in corpus.dev]))


def our_points(history: History) -> list[Point]:
    """The validations of a run of ours so far. What it says of its updates is without validations."""
    points, seconds = [], 0.0
    records: list[Mapping[str, Any]] = list(history.records())
    for record in records:
        if record["kind"] == "train":
            seconds += record["seconds"]
        else:
            points.append(Point(record["update"], seconds, record["loss"]))
    return points


def opennmt_points(log: Path, dev_tokens: int) -> list[Point]:
    """The validations that the driver has printed so far. Raises RuntimeError where they count other target tokens."""
    points = []
    for line in log.read_text("utf-8", errors="replace").splitlines(keepends=True):
        if not (line.startswith("VALIDATION ") and line.endswith("}\n")):  # the last one may not be whole yet
            continue
        found = json.loads(line.removeprefix("VALIDATION "))
        if found["tokens"] != dev_tokens:
            raise RuntimeError(f"OpenNMT-py scores {found['tokens']} target tokens, not {dev_tokens}: {log}")
        points.append(Point(found["update"], found["training_s"], found["loss"]))
    return points


def follow(
    curve: Curve,
    command: Sequence[str],
    log: Path,
    environment: dict[str, str],
    points: Callable[[], list[Point]],
    seconds: float,
) -> None:
    """Run a command until its points reach `seconds` of training, then stop it; `curve` gets them as they come.

    Raises RuntimeError where the command ends before, or nothing comes for `PATIENCE_S`.
    """
    others = machine.watch([os.getpid()])
    began = heard = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            while not curve.points or curve.points[-1].training_s < seconds:
                if process.poll() is not None or time.monotonic() > heard + PATIENCE_S:
                    raise RuntimeError(f"{curve.side} told too little: {log}")
                time.sleep(POLL_S)
                for point in points()[len(curve.points) :]:
                    heard = time.monotonic()
                    curve.points.append(replace(point, wall_s=heard - began))
                    said = f"update {point.update}, {point.training_s:.0f} s, perplexity {point.perplexity:.2f}"
                    print(f"  {curve.side}: {said}", file=sys.stderr, flush=True)
        finally:
            stop(process)
    curve.others = others()


def marks(curves: Sequence[Curve]) -> list[float]:
    """Losses that all curves cross, falling: of a few round perplexities, then the lowest that all have reached."""
    lowest = max(min(point.loss for point in curve.points) for curve in curves)
    highest = min(curve.points[0].loss for curve in curves)
    if lowest >= highest:
        return []
    return [*[loss for loss in map(math.log, ROUND) if lowest < loss < highest][-MOST_MARKS:], lowest]


def compare_curves(ours: Curve, theirs: Curve) -> list[dict[str, float]]:
    """For each mark the seconds that each side took, and how many times as fast ours was."""
    rows = []
    for mark in marks([ours, theirs]):
        (our_training, our_wall), (their_training, their_wall) = ours.time_to(mark), theirs.time_to(mark)
        rows.append(
            {
                "perplexity": math.exp(mark),
                "our_training_s": our_training,
                "their_training_s": their_training,
                "training_ratio": their_training / our_training,
                "our_wall_s": our_wall,
                "their_wall_s": their_wall,
                "wall_ratio": their_wall / our_wall,
            }
        )
    return rows
