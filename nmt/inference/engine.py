"""Who is translated when: continuous batching as policy, without a tensor. `nmt.inference.runner` is the other side.

Sentences enter and leave at every step. They are admitted first come, first served, as far as the runner's rows go, but
the sentences of a long text take turns with those of others; a late or cancelled one frees its rows at the next step.
Knows nothing of text, processes or HTTP.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from nmt.errors import Cancelled, DeadlineExceeded, NmtError
from nmt.inference.runner import Found, Runner, SearchOptions

GROUP = 8
"""Where more wait than fit, they are admitted once a part in so many of the rows is free: encoding goes by groups."""
STEPS = 4
"""Tokens a step where nobody waits for a row."""

Answer = list[Found] | NmtError


@dataclass(frozen=True)
class _Sentence:
    ids: Sequence[int]
    options: SearchOptions


class Engine:
    """Sentences in, by ticket; their hypotheses out, in whatever order they finish. For one thread."""

    def __init__(self, runner: Runner, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, on the same scale as deadlines."""
        self._runner = runner
        self._clock = clock
        self._waiting: dict[int, _Sentence] = {}
        self._turns: dict[int, deque[int]] = {}
        """Tickets by text, the text whose turn is next first; some may have been given up."""
        self._running: dict[int, tuple[int, _Sentence]] = {}
        self._tickets: dict[int, int] = {}
        """Of the slots in use."""
        self._deadlines: list[tuple[float, int]] = []
        """A heap; sentences that have been answered are still in it."""
        self._cancelled: list[int] = []
        self._rows = self._wanted = 0
        """Hypotheses of the sentences that run, and of those that wait."""

    @property
    def waiting(self) -> int:
        """Sentences that have no row yet."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Sentences in the runner."""
        return len(self._running)

    @property
    def free_rows(self) -> int:
        """Rows that no sentence, running or waiting, has claimed; below 0 where more wait than fit."""
        return self._runner.rows - self._rows - self._wanted

    @property
    def is_idle(self) -> bool:
        """Whether `step` would have nothing to do."""
        return not (self._waiting or self._running or self._cancelled)

    def submit(
        self,
        ticket: int,
        ids: Sequence[int],
        options: SearchOptions,
        deadline: float | None = None,
        text: int | None = None,
    ) -> None:
        """Queue a sentence (ids without EOS). `ticket`: a number that was never used before.

        `text`: a number, 0 or more, that it shares with other sentences of its text.
        """
        assert not self._is_known(ticket)
        self._waiting[ticket] = _Sentence(ids, options)
        self._turns.setdefault(-1 - ticket if text is None else text, deque()).append(ticket)
        self._wanted += options.beam_size
        if deadline is not None:
            heappush(self._deadlines, (deadline, ticket))

    def cancel(self, ticket: int) -> None:
        """Give a sentence up: the next step answers it with Cancelled. Nothing happens to one answered already."""
        if self._is_known(ticket):
            self._cancelled.append(ticket)

    def step(self) -> list[tuple[int, Answer]]:
        """Drop who is late or cancelled, admit who fits, advance all by a few tokens. Returns the tickets answered."""
        answers: list[tuple[int, Answer]] = []
        for ticket in self._cancelled:
            if self._remove(ticket):
                answers.append((ticket, Cancelled("given up by its caller")))
        self._cancelled.clear()
        for ticket in self._late():
            if self._remove(ticket):
                answers.append((ticket, DeadlineExceeded("not translated in time")))
        self._admit()
        if self._running:
            finished = self._runner.step(1 if self._waiting else STEPS)
            answers += [self._take(slot) for slot in finished]
        return answers

    def _is_known(self, ticket: int) -> bool:
        return ticket in self._waiting or ticket in self._running

    def _late(self) -> Iterable[int]:
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            yield heappop(self._deadlines)[1]

    def _admit(self) -> None:
        """Take the first ones waiting that fit, all at once; one alone may be wider than all rows."""
        free = self._runner.rows - self._rows
        if self._running and self._wanted > free and free < self._runner.rows // GROUP:
            return
        chosen: list[int] = []
        while (ticket := self._next()) is not None:
            free -= self._waiting[ticket].options.beam_size
            if free < 0 and (self._running or chosen):
                break
            chosen.append(ticket)
            self._pass_turn()
        if not chosen:
            return
        sentences = [self._waiting[ticket] for ticket in chosen]
        slots = self._runner.admit([(sentence.ids, sentence.options) for sentence in sentences])
        for ticket, sentence, slot in zip(chosen, sentences, slots, strict=True):
            del self._waiting[ticket]
            self._running[ticket] = (slot, sentence)
            self._tickets[slot] = ticket
            self._rows += sentence.options.beam_size
            self._wanted -= sentence.options.beam_size

    def _next(self) -> int | None:
        """Whose turn it is; None: nobody waits."""
        while self._turns:
            text, tickets = next(iter(self._turns.items()))
            while tickets and tickets[0] not in self._waiting:  # given up
                tickets.popleft()
            if tickets:
                return tickets[0]
            del self._turns[text]
        return None

    def _pass_turn(self) -> None:
        """The one whose turn it was is admitted: its text comes last now."""
        text = next(iter(self._turns))
        tickets = self._turns.pop(text)
        tickets.popleft()
        if tickets:
            self._turns[text] = tickets

    def _take(self, slot: int) -> tuple[int, Answer]:
        ticket = self._tickets.pop(slot)
        _, sentence = self._running.pop(ticket)
        self._rows -= sentence.options.beam_size
        return ticket, self._runner.take(slot)

    def _remove(self, ticket: int) -> bool:
        """Forget a sentence and free its rows; whether there was one."""
        if (waiting := self._waiting.pop(ticket, None)) is not None:
            self._wanted -= waiting.options.beam_size
            return True
        if ticket not in self._running:
            return False
        slot, sentence = self._running.pop(ticket)
        del self._tickets[slot]
        self._rows -= sentence.options.beam_size
        self._runner.drop(slot)
        return True
