"""The engine's policy, over a runner made of numbers: order, rows, deadlines, cancellation, and every answer once."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nmt.errors import Cancelled, DeadlineExceeded
from nmt.inference.engine import GROUP, STEPS, Answer, Engine
from nmt.inference.runner import SearchOptions
from tests.inference.tables import TableRunner, expected
from tests.search.tables import random_table

TABLES = 5
TABLE = random_table(4, vocab=7, tables=TABLES)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """An engine, its runner and its clock, and what came out."""

    rows: int = 12
    clock: Clock = field(default_factory=Clock)
    answers: dict[int, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.runner = TableRunner(TABLE, self.rows)
        self.engine = Engine(self.runner, self.clock)

    def submit(
        self,
        ticket: int,
        beam: int = 3,
        deadline: float | None = None,
        max_length: int = 9,
        text: int | None = None,
    ) -> None:
        self.engine.submit(ticket, (ticket % TABLES, ticket), options(beam, max_length), deadline, text)

    def step(self) -> dict[int, Answer]:
        answers = self.engine.step()
        for ticket, answer in answers:
            assert ticket not in self.answers, "answered twice"
            self.answers[ticket] = answer
        return dict(answers)

    def finish(self, patience: int = 1000) -> None:
        while not self.engine.is_idle:
            self.step()
            patience -= 1
            assert patience, "the engine goes on for ever"


def options(beam: int, max_length: int = 9) -> SearchOptions:
    return SearchOptions(beam_size=beam, n_best=1 + beam // 2, max_length=max_length)


class EngineLife(RuleBasedStateMachine):
    """Anything that callers may do, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.asked: dict[int, tuple[SearchOptions, float | None]] = {}
        self.given_up: set[int] = set()

    @rule(
        beam=st.integers(1, 16),
        max_length=st.integers(2, 12),
        patience_s=st.none() | st.floats(0.0, 5.0),
        n=st.integers(1, 4),
        text=st.none() | st.integers(0, 3),
    )
    def submit(self, beam: int, max_length: int, patience_s: float | None, n: int, text: int | None) -> None:
        for _ in range(n):
            ticket = len(self.asked)
            deadline = None if patience_s is None else self.bench.clock.now + patience_s
            self.asked[ticket] = (options(beam, max_length), deadline)
            self.bench.submit(ticket, beam, deadline, max_length, text)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ticket = data.draw(st.integers(0, len(self.asked) - 1))
        self.given_up.add(ticket)
        self.bench.engine.cancel(ticket)

    @rule(seconds=st.floats(0.01, 3.0))
    def wait(self, seconds: float) -> None:
        self.bench.clock.now += seconds

    @rule()
    def step(self) -> None:
        self.bench.step()

    @invariant()
    def counts_agree(self) -> None:
        engine, runner = self.bench.engine, self.bench.runner
        assert engine.running == len(runner.running)
        assert engine.waiting + engine.running + len(self.bench.answers) == len(self.asked)
        assert engine.free_rows <= runner.rows - runner.rows_used

    @invariant()
    def first_come_first_served(self) -> None:
        numbers = [ids[1] for ids in self.bench.runner.admitted]
        assert numbers == sorted(numbers)

    def teardown(self) -> None:
        self.bench.finish()
        assert self.bench.answers.keys() == self.asked.keys()
        assert not self.bench.runner.running
        assert self.bench.engine.free_rows == self.bench.runner.rows
        for ticket, answer in self.bench.answers.items():
            wanted, deadline = self.asked[ticket]
            if isinstance(answer, DeadlineExceeded):
                assert deadline is not None
                assert deadline <= self.bench.clock.now
            elif isinstance(answer, Cancelled):
                assert ticket in self.given_up
            else:
                assert answer == expected(TABLE, (ticket % TABLES, ticket), wanted)


TestEngineLife = EngineLife.TestCase
TestEngineLife.settings = settings(max_examples=25, stateful_step_count=30)


def test_every_sentence_gets_the_answer_it_has_alone_whoever_is_beside_it() -> None:
    bench = Bench()
    beams = [1, 5, 3, 12, 2, 2, 7, 1, 4, 30, 1, 6]
    for ticket, beam in enumerate(beams):
        bench.submit(ticket, beam)
    bench.finish()
    for ticket, beam in enumerate(beams):
        assert bench.answers[ticket] == expected(TABLE, (ticket % TABLES, ticket), options(beam))


def test_a_late_sentence_frees_its_rows_at_the_next_step() -> None:
    bench = Bench(rows=4)
    bench.submit(0, beam=4, deadline=101.0)
    bench.submit(1, beam=4)
    bench.submit(2, beam=4, deadline=101.5)
    bench.step()
    assert bench.runner.rows_used == 4
    bench.clock.now = 101.0
    assert isinstance(bench.step()[0], DeadlineExceeded)
    assert [ids[1] for ids in bench.runner.admitted] == [0, 1]
    bench.clock.now = 101.6
    assert isinstance(bench.step()[2], DeadlineExceeded), "it never ran"
    bench.finish()
    assert isinstance(bench.answers[1], list)


def test_a_cancelled_sentence_frees_its_rows_at_the_next_step() -> None:
    bench = Bench(rows=4)
    for ticket in range(3):
        bench.submit(ticket, beam=4)
    bench.step()
    bench.engine.cancel(0)
    bench.engine.cancel(2)
    answers = bench.step()
    assert isinstance(answers[0], Cancelled)
    assert isinstance(answers[2], Cancelled)
    assert [ids[1] for ids in bench.runner.admitted] == [0, 1]
    bench.finish()
    bench.engine.cancel(1)  # answered: nothing happens
    assert bench.engine.is_idle
    assert bench.step() == {}


def test_a_wide_beam_is_not_passed_by_narrow_ones_for_ever() -> None:
    bench = Bench(rows=8)
    bench.submit(0, beam=1)
    bench.submit(1, beam=8)
    for ticket in range(2, 40):
        bench.submit(ticket, beam=1)
    bench.finish()
    assert [ids[1] for ids in bench.runner.admitted] == list(range(40))


def test_a_beam_wider_than_all_rows_runs_alone() -> None:
    bench = Bench(rows=4)
    bench.submit(0, beam=2)
    bench.submit(1, beam=9)
    bench.submit(2, beam=1)
    bench.finish()
    assert bench.runner.groups == [1, 1, 1]


def test_sentences_of_a_long_text_take_turns_with_those_of_others() -> None:
    bench = Bench(rows=4)
    for ticket in range(40):
        bench.submit(ticket, beam=1, text=0)
    bench.step()
    for ticket in range(40, 46):
        bench.submit(ticket, beam=1, text=ticket)
    bench.submit(46, beam=1)
    bench.finish()
    order = [ids[1] for ids in bench.runner.admitted]
    assert order[:4] == [0, 1, 2, 3]
    assert order[4:12] == [4, 40, 41, 42, 43, 44, 45, 46]
    assert order[12:] == list(range(5, 40))


def test_a_text_that_was_given_up_has_no_turn() -> None:
    bench = Bench(rows=1)
    for ticket, text in enumerate((0, 1, 1, 2, 1, 2)):
        bench.submit(ticket, beam=1, text=text)
    bench.step()
    for ticket in (1, 2, 4):
        bench.engine.cancel(ticket)
    bench.finish()
    assert [ids[1] for ids in bench.runner.admitted] == [0, 3, 5]


def test_sentences_are_encoded_in_groups_where_many_wait() -> None:
    bench = Bench(rows=64)
    for ticket in range(300):
        bench.submit(ticket, beam=1, max_length=2 + ticket * 7 % 11)  # they do not end together
    bench.finish()
    first, *others, _ = bench.runner.groups
    assert first == 64
    assert min(others) >= 64 // GROUP


def test_a_lone_sentence_never_waits_for_company() -> None:
    bench = Bench(rows=64)
    bench.submit(0, beam=60)
    bench.step()
    bench.submit(1, beam=3)
    bench.step()
    assert bench.runner.groups == [1, 1]


@pytest.mark.parametrize(("sentences", "steps"), [(1, STEPS), (9, 1)])
def test_several_tokens_a_step_unless_somebody_waits(sentences: int, steps: int) -> None:
    """A row that falls free between two tokens is given away before the next one."""
    bench = Bench(rows=8)
    for ticket in range(sentences):
        bench.submit(ticket, beam=4)
    bench.step()
    assert bench.runner.steps == [steps]


def test_free_rows_count_what_waits() -> None:
    bench = Bench(rows=8)
    assert bench.engine.free_rows == 8
    for ticket in range(3):
        bench.submit(ticket, beam=4)
    assert bench.engine.free_rows == -4
    bench.engine.cancel(0)
    bench.step()
    assert bench.engine.free_rows == 0
