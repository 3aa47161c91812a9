"""What tables of trainings have in common: runs that are made once, go on where they were cut off, and share the cores.

A run is a row of a table with a seed, and has the folder OUTPUT/ROW/SEED for its training and RESULTS/ROW/SEED for what
the table shows of it. `benchmarks/experiments.py`, `benchmarks/craft.py` and `benchmarks/multi30k.py` say what the rows
are and how they are scored. `module`: the name of such a program; it has a function `main_one(row, seed, output,
results)`, which makes one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from nmt.files import write_atomic
from nmt.hardware import available_cores

SEEDS = (1, 2, 3)
RESULT = "result.json"
DONE = "done"
"""In the folder of a run whose training has ended."""

Overrides = dict[str, Any]
"""Keys of a recipe set anew."""


class Run(NamedTuple):
    """A row of a table, and what its training draws by."""

    row: str
    seed: int

    def folder(self, output: Path) -> Path:
        return output / self.row / str(self.seed)


class Places(NamedTuple):
    """Where a table's runs are."""

    output: Path
    """Trainings: checkpoints, logs, bundles, text for other trainings. Large, and not kept in the repository."""
    results: Path
    """Scores and translations. Small: with them a table is printed, and gone on with, on another machine."""


class OfRow(Protocol):
    """What is known of one row with one seed."""

    @property
    def row(self) -> str: ...


R = TypeVar("R", bound=OfRow)


def train(recipe: Path, changes: Overrides, run: Run, output: Path) -> Path:
    """The bundle of a recipe with some keys changed and this seed: what is there, or the rest of a run, or a new run.

    Raises RuntimeError where training fails.
    """
    place = run.folder(output)
    done = place / DONE
    if done.is_file():
        return place / "bundle"
    settings = override(changes | {"training.seed": run.seed})
    command = [sys.executable, "-m", "nmt.cli.main", "train", str(recipe), *settings, "-o", str(place)]
    resumed = ["--resume"] if (place / "checkpoints").is_dir() else []
    place.mkdir(parents=True, exist_ok=True)
    call([*command, "--no-tensorboard", *resumed], place / "log")
    done.touch()
    return place / "bundle"


def override(changes: Overrides) -> list[str]:
    """`section.key=value` for `load_recipe` and `nmt train`: JSON's values are TOML's."""
    return [f"{key}={json.dumps(value)}" for key, value in changes.items()]


def call(command: Sequence[str], log: Path) -> None:
    """Run a command whose output is added to a file. Raises RuntimeError where it fails."""
    with log.open("a") as file:
        code = subprocess.run(command, stdout=file, stderr=file, check=False).returncode
    if code:
        raise RuntimeError(f"{' '.join(command[2:5])} ended with exit code {code}; see {log}")


def save(place: Path, name: str, result: object) -> None:
    """The fields of a result as JSON, in the folder of its run."""
    place.mkdir(parents=True, exist_ok=True)
    write_atomic(place / name, json.dumps(vars(result), indent=1) + "\n")


def load(kind: type[R], results: Path, name: str = RESULT) -> dict[str, list[R]]:
    """What has ended, by row."""
    found: dict[str, list[R]] = {}
    for path in sorted(results.glob(f"*/*/{name}")):
        result = kind(**json.loads(path.read_text("utf-8")))
        found.setdefault(result.row, []).append(result)
    return found


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation over the seeds."""
    mean = statistics.mean(values)
    return f"{mean:.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"


def arguments(description: str | None, name: str) -> argparse.ArgumentParser:
    """Options that the programs share: output, results, rows, seeds, parallel, print."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs") / name, help="trainings (default: %(default)s)")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path(__file__).with_name("results") / name,
        help=f"scores and translations; a run that has some is not made again (default: benchmarks/results/{name})",
    )
    parser.add_argument("--rows", help="names separated by commas; default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--parallel", type=int, default=available_cores())
    parser.add_argument("--print", action="store_true", help="run nothing")
    return parser


def run_all(module: str, runs: Iterable[Run], places: Places, parallel: int) -> None:
    """Make runs that do not wait for each other, some at a time, and say of each how long it took."""
    with ThreadPoolExecutor(parallel) as pool:
        for line in pool.map(partial(_timed, module, places), runs):
            print(line, flush=True)


def _timed(module: str, places: Places, run: Run) -> str:
    began = time.monotonic()
    # a process of its own for the scoring too: the threads of one would take turns
    program = f"import sys; from {module} import main_one; main_one(*sys.argv[1:])"
    command = [sys.executable, "-c", program, run.row, str(run.seed), *map(str, places)]
    code = subprocess.run(command, check=False).returncode
    took = f"{run.row}, seed {run.seed}: {time.monotonic() - began:.0f} s"
    return took + (f", exit code {code}" if code else "")
