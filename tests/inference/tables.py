"""A runner over tables of probabilities: the engine's other side without a network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from nmt.inference.runner import Found, SearchOptions, Sentence
from tests.search.tables import SlowBeam, Table, after

ALPHA = 0.6


class TableRunner:
    """Searches the table that a sentence's first id names. Holds the engine to the contract of `Runner`."""

    precision = "fp32"
    name = "table"
    device = "cpu"

    def __init__(self, table: Table, rows: int) -> None:
        self.table = table
        self.rows = rows
        self.running: dict[int, SlowBeam] = {}
        self.admitted: list[tuple[int, ...]] = []
        """Ids of the sentences, in the order in which they came."""
        self.groups: list[int] = []
        """Sentences of each call of `admit`."""
        self.steps: list[int] = []
        """What each call of `step` was asked for."""
        self._numbers = count()

    @property
    def rows_used(self) -> int:
        return sum(beam.size for beam in self.running.values())

    def admit(self, sentences: Sequence[Sentence]) -> list[int]:
        assert sentences
        slots = []
        for ids, options in sentences:
            slot = next(self._numbers)
            self.running[slot] = search(self.table, ids, options)
            self.admitted.append(tuple(ids))
            slots.append(slot)
        self.groups.append(len(sentences))
        assert self.rows_used <= self.rows or len(self.running) == 1
        return slots

    def step(self, steps: int = 1) -> list[int]:
        assert self.running
        assert not self._finished(), "they wait for take"
        self.steps.append(steps)
        for _ in range(steps):
            for beam in self.running.values():
                beam.step()
            if finished := self._finished():
                return finished
        return []

    def take(self, slot: int) -> list[Found]:
        beam = self.running.pop(slot)
        assert beam.is_done
        return results(beam)

    def drop(self, slot: int) -> None:
        del self.running[slot]

    def _finished(self) -> list[int]:
        return [slot for slot, beam in self.running.items() if beam.is_done]


def search(table: Table, ids: Sequence[int], options: SearchOptions) -> SlowBeam:
    return SlowBeam(
        after(table, ids[0]),
        size=options.beam_size,
        n_best=options.n_best,
        max_length=options.max_length,
        min_length=options.min_length,
        alpha=ALPHA,
    )


def results(beam: SlowBeam) -> list[Found]:
    return [
        Found(ended.tokens, ended.score, ended.log_prob, is_truncated=len(ended.tokens) + 1 >= beam.max_length)
        for ended in beam.best
    ]


def expected(table: Table, ids: Sequence[int], options: SearchOptions) -> list[Found]:
    """What the sentence gives by itself."""
    beam = search(table, ids, options)
    while not beam.is_done:
        beam.step()
    return results(beam)
