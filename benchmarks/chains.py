"""Tables of trainings in which a row may need models of other rows, or text that they wrote.

A `Chain` knows what is left to do and in which order. `benchmarks/craft.py` and `benchmarks/multi30k.py` say what the
rows are and how they are scored; `benchmarks/table_runs.py` makes the single runs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.table_runs import DONE, RESULT, SEEDS, Overrides, Places, Run, call, run_all, save, train
from nmt.bundle import load_bundle
from nmt.cli.models import one_thread_a_process
from nmt.files import write_atomic, write_output

BEAM = 5
TRANSLATIONS = "test.txt.gz"
"""Beside a run's scores: what it said of the test set."""
GIVEN, WRITTEN = "given.txt", "written.txt"
MINIMUM_RISK: Overrides = {
    "training.criterion": "mrt",
    "training.rdrop": 0.0,
    "training.batch_tokens": 512,
    "optimizer.learning_rate": 0.0003,
    "optimizer.schedule": "constant",
    "optimizer.warmup_updates": 10,
    "model.dropout": 0.1,
}
"""Of a row that goes on from another for the least expected risk."""
COMMON = 0
"""In the place of a seed: of what the runs of all seeds share."""

_NAMED = re.compile(r"\{([a-z][\w.-]*)\}")
"""In a row's settings: the folder of the run of this name with the row's seed."""


@dataclass(frozen=True)
class Row:
    """A line of a table: what is trained, and what it is compared with."""

    name: str
    title: str
    train: Overrides
    """Keys of the recipe set anew. "{name}" is the folder of another row or text, which is made first."""
    against: str = "base"
    """The row that differs from this one in one thing."""
    is_shown: bool = True
    """False: only trained, because others need it."""
    members: str = ""
    """Nothing is trained: the models of all seeds of this row, as one ensemble."""


@dataclass(frozen=True)
class Text:
    """A corpus of which models write one side: the lines of `GIVEN`, and in `WRITTEN` what becomes of them."""

    name: str
    model: str
    """The row whose models write."""
    given: Callable[[], Iterable[str]]
    seeds: tuple[int, ...] = ()
    """Of those models, which write as one ensemble, once for all. None given: each seed's model writes for its seed."""


@dataclass(frozen=True)
class Chain:
    """Rows and texts by name, and the recipe that the rows change."""

    recipe: Path
    rows: Mapping[str, Row]
    texts: Mapping[str, Text]

    def of_seed(self, name: str, seed: int) -> Run:
        """The run of this name that a row with this seed uses."""
        is_common = self.texts[name].seeds if name in self.texts else self.rows[name].members
        return Run(name, COMMON if is_common else seed)

    def needs(self, run: Run) -> list[Run]:
        """What must be there before a run can be made."""
        if (text := self.texts.get(run.row)) is not None:
            return [Run(text.model, seed) for seed in text.seeds or (run.seed,)]
        row = self.rows[run.row]
        if row.members:
            return [Run(row.members, seed) for seed in SEEDS]
        return [self.of_seed(name, run.seed) for name in dict.fromkeys(_NAMED.findall(json.dumps(row.train)))]

    def settings(self, row: Row, seed: int, output: Path) -> Overrides:
        """What a row sets anew, with the folders of this seed in the place of the names."""
        written = json.dumps(row.train)
        filled = _NAMED.sub(lambda name: json.dumps(str(self.of_seed(name[1], seed).folder(output)))[1:-1], written)
        found: Overrides = json.loads(filled)
        return found

    def is_made(self, run: Run, output: Path) -> bool:
        """Whether what other runs need of this one is there: its text, or its model."""
        return (run.folder(output) / (WRITTEN if run.row in self.texts else DONE)).is_file()

    def is_scored(self, run: Run, results: Path) -> bool:
        """Whether the table has this run."""
        return (run.folder(results) / RESULT).is_file()

    def waves(self, wanted: Iterable[Run], places: Places) -> list[list[Run]]:
        """What is left to make of some runs and of what they need, each wave needing nothing but the waves before.

        A run that is scored already, on another machine perhaps, is made again only where others need its model.
        """
        depths: dict[Run, int] = {}

        def depth(run: Run) -> int:
            if run not in depths:
                depths[run] = 1 + max(
                    (depth(one) for one in self.needs(run) if not self.is_made(one, places.output)), default=0
                )
            return depths[run]

        left = [run for run in wanted if not self._is_ended(run, places)]
        deepest = max(map(depth, left), default=0)
        return [[run for run, level in depths.items() if level == wave] for wave in range(1, deepest + 1)]

    def _is_ended(self, run: Run, places: Places) -> bool:
        is_shown = run.row in self.rows and self.rows[run.row].is_shown
        return self.is_scored(run, places.results) if is_shown else self.is_made(run, places.output)

    def make(self, module: str, chosen: argparse.Namespace) -> None:
        """Everything that is left of the rows of a command line (`table_runs.arguments`), and of what they need."""
        shown = [row.name for row in self.rows.values() if row.is_shown]
        rows = shown if chosen.rows is None else chosen.rows.split(",")
        if unknown := set(rows) - set(self.rows):
            raise SystemExit(f"no row {min(unknown)}: there are {', '.join(self.rows)}")
        one_thread_a_process()
        wanted = dict.fromkeys(self.of_seed(name, seed) for seed in chosen.seeds for name in rows)
        places = Places(chosen.output, chosen.results)
        for runs in self.waves(wanted, places):
            run_all(module, runs, places, chosen.parallel)

    def make_one(self, run: Run, places: Places, score: Callable[[Sequence[Path], Run, Path], None]) -> None:
        """One run, in this process: what is written, or what is trained and scored."""
        if run.row in self.texts:
            self.write(run, places.output)
            return
        models = self.models(run, places.output)
        if self.rows[run.row].is_shown and not self.is_scored(run, places.results):
            score(models, run, places.results)

    def models(self, run: Run, output: Path) -> Sequence[Path]:
        """The bundle of a row with a seed, or the members of an ensemble; trained now where that is left to do.

        Raises RuntimeError where training fails.
        """
        row = self.rows[run.row]
        if row.members:
            return [one.folder(output) / "bundle" for one in self.needs(run)]
        return [train(self.recipe, self.settings(row, run.seed, output), run, output)]

    def write(self, run: Run, output: Path) -> None:
        """Have models translate the lines of a text; goes on where it was cut off. Raises RuntimeError on failure."""
        place = run.folder(output)
        place.mkdir(parents=True, exist_ok=True)
        write_atomic(place / GIVEN, "".join(f"{line}\n" for line in self.texts[run.row].given()))
        first, *others = (one.folder(output) / "bundle" for one in self.needs(run))
        command = [sys.executable, "-m", "nmt.cli.main", "translate", str(first)]
        for other in others:
            command += ["--ensemble", str(other)]
        command += ["--raw", "--beam", str(BEAM), "--workers", "1"]
        call([*command, "-i", str(place / GIVEN), "-o", str(place / WRITTEN)], place / "log")


def keep(place: Path, said: Iterable[str], result: object) -> None:
    """What a run said of the test set, and then its scores: where those are, all is there."""
    place.mkdir(parents=True, exist_ok=True)
    write_output(place / TRANSLATIONS, "".join(f"{line}\n" for line in said))
    save(place, RESULT, result)


def effort(models: Sequence[Path]) -> tuple[int, int]:
    """Seconds and updates of a model's training; 0 of an ensemble."""
    if len(models) > 1:
        return 0, 0
    trained = load_bundle(models[0]).config.training
    return trained["seconds"], trained["updates"]
