"""The conversation between `benchmarks/peers.py` and the process of one side. Knows no toolkit; standard library only.

Runs inside each toolkit's own environment. The parent writes one JSON object a line to standard input and reads one a
line from standard output: a question names a method of the driver and its arguments. What a toolkit prints itself goes
to standard error, so that it cannot get between the answers.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Workload:
    """The sentences that every side translates."""

    lines: list[str]
    pieces: list[list[str]]
    """`lines` in the pieces of the vocabulary."""
    vocabulary: list[str]
    """By id, without the special pieces; those of `pieces` are all in it."""
    length: int
    """Target tokens that every output is forced to, the end not counted."""

    @classmethod
    def read(cls, path: Path) -> Workload:
        return cls(**json.loads(path.read_text("utf-8")))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.__dict__), "utf-8")


class Driver(Protocol):
    """What every side can be asked. Times are seconds of the wall clock; loading is never in them."""

    def offline(self, *, beam: int, batch: int, threads: int, passes: int, first: int, step: int) -> dict[str, Any]:
        """Translate every `step`th sentence from `first`, `passes` times over, as one file: see `timed`."""

    def single(self, *, beam: int, threads: int, count: int) -> dict[str, Any]:
        """Translate `count` sentences, each begun when the one before has ended: see `timed_each`."""


def timed(translate: Callable[[], Sequence[int]]) -> dict[str, Any]:
    """Call once. `translate` returns the length of every output: {"seconds", "lengths": {length: outputs}}."""
    started = time.perf_counter()
    lengths = translate()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "lengths": dict(Counter(lengths))}


def timed_each(calls: Sequence[Callable[[], int]]) -> dict[str, Any]:
    """Call one after the other; each returns the length of its output: {"latencies", "lengths"}."""
    latencies: list[float] = []
    lengths: Counter[int] = Counter()
    for call in calls:
        started = time.perf_counter()
        length = call()
        latencies.append(time.perf_counter() - started)
        lengths[length] += 1
    return {"latencies": latencies, "lengths": dict(lengths)}


def serve(load: Callable[[dict[str, Any]], Driver]) -> None:
    """Load what the command line's JSON object says, then answer questions until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    started = time.perf_counter()
    driver = load(json.loads(sys.argv[1]))
    print(json.dumps({"ready": time.perf_counter() - started}), file=answers, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        answer = getattr(driver, question.pop("do"))(**question)
        print(json.dumps(answer), file=answers, flush=True)
