"""The pool's policy by itself: workers that do what a test tells them, and a clock that it turns."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from nmt.errors import DeadlineExceeded, NmtError, Overloaded
from nmt.inference.pool import SHARE, SMALL_CHARS, SMALL_TEXTS, Pool
from nmt.inference.types import ModelInfo, Result, TranslateOptions, Translation
from nmt.inference.worker import Ask, Cancel, Message, Ready, Setup, WorkerDied

WAIT_S = 10.0
ROWS = 16
MODEL = ModelInfo("en-de", "en", "de", "v0", 1, Path("models/en-de"), beam_size=1)
OPTIONS = TranslateOptions()


class Clock:
    """Stands still."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Hand:
    """A worker in the test's hand. It keeps what it is given until it is told to answer."""

    model = MODEL
    has_lanes = False

    def __init__(self, _: Setup) -> None:
        self.asked: list[Ask] = []
        self.cancelled: list[int] = []
        self.is_dead = False
        self._out: queue.Queue[list[tuple[int, Result]] | None] = queue.Queue()

    def ready(self) -> Ready:
        return Ready((Hand.model,), ROWS, "cpu", Hand.has_lanes)

    def offer(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, Cancel):
                self.cancelled.append(message.number)
            else:
                self.asked.append(message)

    def receive(self) -> list[tuple[int, Result]]:
        if (answers := self._out.get()) is None:
            raise WorkerDied("killed")
        return answers

    def kill(self) -> None:
        self.is_dead = True
        self._out.put(None)

    stop = kill

    def close(self) -> None: ...

    def take(self, count: int) -> list[tuple[int, Result]]:
        """The answers to its oldest texts."""
        done, self.asked = self.asked[:count], self.asked[count:]
        return [(ask.number, Translation(ask.text.upper())) for ask in done]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Callable[..., Pool]]:
    monkeypatch.setattr("nmt.inference.pool.Worker", Hand)
    monkeypatch.setattr("nmt.inference.pool.RESTART_S", 0.01)
    monkeypatch.setattr(Hand, "model", MODEL)
    pools: list[Pool] = []

    def make(workers: int = 1, **choices: float) -> Pool:
        pools.append(Pool([Path("models/en-de")], workers=workers, clock=clock, **choices))  # type: ignore[arg-type]
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def submit(pool: Pool, texts: Sequence[str], **choices: float | bool) -> Future[list[Result]]:
    return pool.submit(texts, "en", "de", OPTIONS, **choices)  # type: ignore[arg-type]


def answer(pool: Pool, count: int, worker: int = 0) -> None:
    """Have a worker's oldest texts answered."""
    place = pool._places[worker]
    pool._deliver(place, hand(pool, worker).take(count))


def hand(pool: Pool, worker: int = 0) -> Hand:
    found = pool._places[worker].worker
    assert isinstance(found, Hand)
    return found


def is_dead(worker: Hand) -> bool:
    return worker.is_dead


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def error_of(future: Future[list[Result]]) -> NmtError:
    (result,) = set(future.result(WAIT_S))
    assert isinstance(result, NmtError)
    return result


# Turns


def test_single_texts_wait_for_what_is_in_work_and_for_no_more(make: Callable[..., Pool]) -> None:
    """Twenty beside one request of 500: each is answered within a worker's hand and a share of the large one."""
    pool = make(max_queue=1_000)
    large = submit(pool, [f"large {number}" for number in range(500)])
    in_hand = len(hand(pool).asked)
    assert in_hand == ROWS * 5 // 4
    waits: list[int] = []
    single: Future[list[Result]] | None = None
    since = done = 0
    while len(waits) < 20:
        if single is None:
            single, since = submit(pool, ["single"]), done
        answer(pool, 1)
        done += 1
        if single.done():
            waits.append(done - since)
            single = None
    assert max(waits) <= in_hand + SHARE + 1
    assert not large.done()
    while not large.done():
        answer(pool, 1)
    assert [result.text for result in large.result() if isinstance(result, Translation)] == [
        f"LARGE {number}" for number in range(500)
    ]


def test_small_requests_go_first_in_rows_of_their_own(
    make: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hand, "ready", lambda _: Ready((MODEL,), ROWS, "cpu", has_lanes=True))
    pool = make(max_queue=1_000)
    room = ROWS * 5 // 4
    submit(pool, [f"large {number}" for number in range(500)])
    assert len(hand(pool).asked) == room
    small = [submit(pool, ["small"]) for _ in range(room + 5)]
    submit(pool, ["long " * SMALL_CHARS])
    submit(pool, ["one of three"] * (SMALL_TEXTS + 1))
    asked = hand(pool).asked
    assert [ask.is_small for ask in asked] == [False] * room + [True] * room
    assert {ask.text for ask in asked[room:]} == {"small"}
    hand(pool).asked = asked[room:] + asked[:room]
    answer(pool, room)
    assert [future.done() for future in small] == [True] * room + [False] * 5
    assert sum(ask.is_small for ask in hand(pool).asked) == 5
    answer(pool, room)
    assert "long" in {ask.text[:4] for ask in hand(pool).asked}  # which waited for its turn among the large ones
    assert pool._places[0].rows[0] <= room


def test_a_small_request_that_waits_can_be_given_up(make: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hand, "ready", lambda _: Ready((MODEL,), ROWS, "cpu", has_lanes=True))
    pool = make(max_queue=1_000)
    small = [submit(pool, ["small"]) for _ in range(2 * ROWS)]
    waiting = pool.status().queued
    assert waiting == 2 * ROWS - ROWS * 5 // 4
    assert small[-1].cancel()
    assert pool.status().queued == waiting - 1
    answer(pool, ROWS * 5 // 4)
    answer(pool, 2 * ROWS)
    assert all(future.done() for future in small)


def test_several_large_requests_take_turns(make: Callable[..., Pool]) -> None:
    pool = make(max_queue=1_000)
    answers = [submit(pool, [f"{name} {number}" for number in range(100)]) for name in "abc"]
    order: list[str] = []
    while not all(future.done() for future in answers):
        order.append(hand(pool).asked[0].text[0])
        answer(pool, 1)
    settled = order[ROWS * 2 : -ROWS * 2]
    runs = [len(run) for run in "".join(settled).replace("ab", "a b").replace("bc", "b c").replace("ca", "c a").split()]
    assert max(runs) <= SHARE


def test_a_long_text_leaves_room_for_others(make: Callable[..., Pool]) -> None:
    """In the worker its sentences take turns with theirs."""
    pool = make()
    submit(pool, ["A sentence of some length, one of many. " * 200])
    submit(pool, ["single"])
    assert [ask.text[:6] for ask in hand(pool).asked] == ["A sent", "single"]


def test_small_requests_go_before_large_ones_where_they_have_a_lane(
    make: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hand, "has_lanes", True)
    pool = make(max_queue=1_000)
    submit(pool, ["large"] * 100)
    in_hand = len(hand(pool).asked)
    assert in_hand == ROWS * 5 // 4
    assert not any(ask.is_small for ask in hand(pool).asked)
    for _ in range(in_hand + 1):
        submit(pool, ["small"])
    small = [ask for ask in hand(pool).asked if ask.is_small]
    assert [ask.text for ask in small] == ["small"] * in_hand
    submit(pool, ["three", "texts", "are many"])
    submit(pool, ["a long text " * 40])
    answer(pool, 2 * in_hand)
    assert [ask.text for ask in hand(pool).asked if ask.is_small] == ["small"]


def test_a_small_request_waits_for_small_ones_alone(make: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hand, "has_lanes", True)
    pool = make(max_wait_s=2.0, max_queue=1_000)
    pool._rate.texts_per_s = 10.0
    for _ in range(3):
        submit(pool, ["large"] * 50)
    with pytest.raises(Overloaded, match="longer than 2 s"):
        submit(pool, ["large"] * 3)
    submit(pool, ["small"])


# Waiting too long


def test_who_waits_too_long_is_refused_although_no_worker_asks_for_more(
    make: Callable[..., Pool], clock: Clock
) -> None:
    pool = make(max_wait_s=5.0)
    submit(pool, ["in work"] * (ROWS * 5 // 4))
    waiting, continued = submit(pool, ["late"] * 3), submit(pool, ["second leg"], is_continued=True)
    clock.now += 4.9
    pool._look(clock.now)
    assert not waiting.done()
    clock.now += 0.2
    pool._look(clock.now)
    refusal = error_of(waiting)
    assert isinstance(refusal, Overloaded)
    assert "within 5 s" in str(refusal)
    assert refusal.retry_after_s >= 1.0
    assert not continued.done()
    assert pool.status().queued == 1


def test_a_request_that_has_begun_may_take_its_time(make: Callable[..., Pool], clock: Clock) -> None:
    pool = make(max_wait_s=5.0, hang_s=1e6)
    begun = submit(pool, ["text"] * 100)
    clock.now += 60.0
    pool._look(clock.now)
    assert not begun.done()
    while not begun.done():
        answer(pool, 10)
    assert len(begun.result()) == 100


def test_a_deadline_passes_in_the_queue_although_no_worker_asks_for_more(
    make: Callable[..., Pool], clock: Clock
) -> None:
    pool = make()
    submit(pool, ["in work"] * (ROWS * 5 // 4))
    late = submit(pool, ["late"], deadline_s=3.0)
    clock.now += 3.1
    pool._look(clock.now)
    assert isinstance(error_of(late), DeadlineExceeded)


def test_who_would_wait_too_long_is_refused_at_once(make: Callable[..., Pool]) -> None:
    pool = make(max_wait_s=2.0)
    pool._rate.texts_per_s = 10.0
    submit(pool, ["in work"] * (ROWS * 5 // 4))
    for number in range(21):
        submit(pool, [f"waits {number}"])
    with pytest.raises(Overloaded, match="longer than 2 s") as refusal:
        submit(pool, ["too many"])
    assert refusal.value.retry_after_s == pytest.approx(21 / 2 / 10)
    submit(pool, ["second leg"], is_continued=True)


def test_a_large_request_makes_the_wait_longer_by_its_share_alone(make: Callable[..., Pool]) -> None:
    pool = make(max_wait_s=2.0)
    pool._rate.texts_per_s = 10.0
    submit(pool, ["large"] * 500)
    submit(pool, ["single"])
    assert pool.status().queued == 500 - ROWS * 5 // 4 + 1


# Workers that are silent or come back as others


def test_a_silent_worker_is_ended_and_its_texts_are_done_by_another(make: Callable[..., Pool], clock: Clock) -> None:
    pool = make(hang_s=10.0)
    waiting = submit(pool, ["one", "two"])
    silent = hand(pool)
    clock.now += 6.0
    assert pool.status().reasons == ("no worker answers",)
    clock.now += 3.0
    pool._look(clock.now)
    assert not is_dead(silent)
    clock.now += 2.0
    pool._look(clock.now)
    assert is_dead(silent)
    until(lambda: hand(pool) is not silent and hand(pool).asked)
    assert len(hand(pool).asked) == 1, "it has company"
    assert pool.status().ready
    answer(pool, 1)
    answer(pool, 1)
    assert [result.text for result in waiting.result(WAIT_S) if isinstance(result, Translation)] == ["ONE", "TWO"]


def test_a_sign_of_life_is_enough(make: Callable[..., Pool], clock: Clock) -> None:
    pool = make(hang_s=10.0)
    submit(pool, ["one"])
    for _ in range(5):
        clock.now += 9.0
        pool._look(clock.now)
        answer(pool, 0)
    assert not hand(pool).is_dead


def test_a_worker_without_work_may_be_silent(make: Callable[..., Pool], clock: Clock) -> None:
    pool = make(hang_s=10.0)
    clock.now += 1_000.0
    pool._look(clock.now)
    submit(pool, ["one"])
    pool._look(clock.now)
    assert not hand(pool).is_dead
    assert pool.status().ready


def test_texts_that_nobody_waits_for_are_not_tried_again(make: Callable[..., Pool], clock: Clock) -> None:
    pool = make()
    gone, late, kept = submit(pool, ["gone"]), submit(pool, ["late"], deadline_s=1.0), submit(pool, ["kept"])
    first = hand(pool)
    gone.cancel()
    clock.now += 2.0
    first.kill()
    until(lambda: hand(pool) is not first and hand(pool).asked)
    assert [ask.text for ask in hand(pool).asked] == ["kept"]
    answer(pool, 1)
    assert kept.done()
    assert isinstance(error_of(late), NmtError)
    assert pool.drain(WAIT_S)


def test_a_worker_that_comes_back_with_other_models_does_not_serve(
    make: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer would name one version and be of another."""
    pool = make()
    monkeypatch.setattr(Hand, "model", replace(MODEL, version="v1"))
    waiting = submit(pool, ["text"])
    hand(pool).kill()
    assert "no worker can be started" in str(error_of(waiting))
    assert pool.status().reasons == ("no worker can be started",)
    monkeypatch.setattr(Hand, "model", MODEL)
    until(lambda: pool.status().ready)
    after = submit(pool, ["text"])
    until(lambda: hand(pool).asked)
    answer(pool, 1)
    assert after.done()


def test_the_pool_says_that_its_only_worker_is_being_started_again(
    make: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make()
    is_free = queue.Queue[Ready]()
    monkeypatch.setattr(Hand, "ready", lambda _: is_free.get())
    hand(pool).kill()
    until(lambda: pool.status().reasons == ("all workers are being started again",))
    is_free.put(Ready((MODEL,), ROWS, "cpu"))
    until(lambda: pool.status().ready)


# A storm of cancellations


def test_nothing_is_left_when_all_callers_have_gone(make: Callable[..., Pool]) -> None:
    pool = make(workers=2)
    futures = [submit(pool, [f"text {number}"]) for number in range(64)]
    in_hand = [len(hand(pool, worker).asked) for worker in (0, 1)]
    assert in_hand == [ROWS * 5 // 4] * 2
    for future in futures:
        assert future.cancel()
    assert pool.status().queued == 0
    for worker in (0, 1):
        assert hand(pool, worker).cancelled == [ask.number for ask in hand(pool, worker).asked]
        answer(pool, in_hand[worker], worker)
    assert pool.status().running == 0
    assert pool.drain(0)
