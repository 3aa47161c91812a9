"""The worker's loop by itself: whose step is next, with pipelines that only count."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import cast

import pytest

from nmt.inference.channel import Channel
from nmt.inference.pipeline import Pipeline
from nmt.inference.types import Result, TranslateOptions, Translation
from nmt.inference.worker import TURNS, Ask, Cancel, Message, serve

OPTIONS = TranslateOptions()


class Steps:
    """A pipeline whose texts take so many steps as they have letters. It writes its name down at each step."""

    def __init__(self, name: str, order: list[str]) -> None:
        self.name, self.order = name, order
        self.left: dict[int, int] = {}

    @property
    def is_idle(self) -> bool:
        return not self.left

    def submit(self, number: int, text: str, options: TranslateOptions, deadline: float | None) -> None:
        self.left[number] = len(text)

    def cancel(self, number: int) -> None:
        self.left[number] = 0

    def step(self) -> list[tuple[int, Result]]:
        self.order.append(self.name)
        self.left = {number: steps - 1 for number, steps in self.left.items()}
        done = [number for number, steps in self.left.items() if steps <= 0]
        for number in done:
            del self.left[number]
        return [(number, Translation(self.name)) for number in done]


@contextmanager
def serving(large: Sequence[Steps], small: Sequence[Steps], messages: list[Message]) -> Iterator[Channel]:
    """The other end of a worker's channel, which has these messages before it looks for any."""
    ours, theirs = Channel.pair()
    worker = Channel(theirs)
    ours.send(messages)

    def run() -> None:
        with suppress(EOFError, OSError):
            serve(worker, cast("Sequence[Pipeline]", large), cast("Sequence[Pipeline]", small))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ours
    finally:
        ours.close()
        thread.join()
        theirs.close()


def ask(number: int, text: str, *, is_small: bool, model: int = 0) -> Ask:
    return Ask(number, model, text, OPTIONS, None, is_small)


def receive(channel: Channel, count: int) -> dict[int, str]:
    """So many answers, by number; empty ones, which say that the worker lives, left out."""
    found: dict[int, str] = {}
    while len(found) < count:
        answers = cast("list[tuple[int, Translation]]", channel.receive())
        found |= {number: result.text for number, result in answers}
    return found


def test_most_steps_are_those_of_small_requests_while_there_are_any() -> None:
    order: list[str] = []
    large, small = Steps("large", order), Steps("small", order)
    with serving([large], [small], [ask(0, "x" * 10, is_small=False), ask(1, "x" * 30, is_small=True)]) as channel:
        assert receive(channel, 2) == {0: "large", 1: "small"}
    together = order[: len(order) - order[::-1].index("small")]
    assert together.count("small") == 30
    assert together.count("large") == 30 // TURNS
    assert order[len(together) :] == ["large"] * (10 - 30 // TURNS)


@pytest.mark.parametrize("is_small", [False, True])
def test_without_a_lane_everybody_is_stepped(is_small: bool) -> None:
    order: list[str] = []
    one, other = Steps("one", order), Steps("other", order)
    messages: list[Message] = [ask(0, "xxx", is_small=is_small), ask(1, "xxx", is_small=False, model=1)]
    with serving([one, other], [one, other], messages) as channel:
        assert receive(channel, 2) == {0: "one", 1: "other"}
    assert order.count("one") == order.count("other") == 3


def test_a_cancelled_text_is_answered_in_its_lane() -> None:
    order: list[str] = []
    large, small = Steps("large", order), Steps("small", order)
    messages: list[Message] = [ask(0, "x" * 10_000, is_small=True), Cancel(0), Cancel(7)]
    with serving([large], [small], messages) as channel:
        assert receive(channel, 1) == {0: "small"}
