"""The pool under load: a bounded queue, deadlines, cancellation, fairness, and workers that die."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nmt.errors import BundleError, DeadlineExceeded, DeviceError, NmtError, Overloaded, UnsupportedPair
from nmt.inference import Pool, TranslateOptions, Translation
from nmt.inference.pool import gathering_s
from nmt.inference.worker import Message, Worker
from nmt.native.library import available
from tests.bundles import make_bundle, toy_sentences

WAIT_S = 60.0
SHORT = {"beam_size": 2, "max_length_factor": 0.8, "max_length_offset": 4}

LONG = " ".join(toy_sentences(8))
SLOWLY = TranslateOptions(beam_size=20, n_best=20, raw=True, max_length_factor=100.0)

Answers = Future[list[Translation | NmtError]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles, one for each direction."""
    folder = tmp_path_factory.mktemp("models")
    make_bundle(folder / "en-de", search=SHORT)
    make_bundle(folder / "de-en", seed=2, source_lang="de", target_lang="en", search=SHORT)
    return folder


@pytest.fixture(scope="module")
def shared_pool(folder: Path) -> Iterator[Pool]:
    """Its worker has one text at a time, so that the others wait where a test can see them."""
    with Pool.load_models(folder, workers=1, max_queue=200) as pool:
        pool._room = 0
        yield pool


@pytest.fixture
def pool(shared_pool: Pool) -> Iterator[Pool]:
    """The module's pool, with nothing left over from the test before."""
    yield shared_pool
    assert shared_pool.drain(WAIT_S)


@contextmanager
def stopped(pool: Pool) -> Iterator[None]:
    """A pool whose only worker does nothing for a while."""
    process = pool._places[0].worker._process
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.001)


def occupy(pool: Pool) -> Answers:
    """Give the stopped worker a text, so that what comes after it waits in the queue, unless it is small."""
    future = pool.submit(["The dog. " * 50], "en", "de")
    deadline = time.monotonic() + WAIT_S
    while pool.status().queued and time.monotonic() < deadline:
        time.sleep(0.001)
    assert pool.status().running == 1
    return future


def translations(future: Answers) -> list[str]:
    results = future.result(WAIT_S)
    assert all(isinstance(result, Translation) for result in results), results
    return [result.text for result in results if isinstance(result, Translation)]


def test_every_bundle_of_a_folder_is_loaded(pool: Pool) -> None:
    assert [model.name for model in pool.models] == ["de-en", "en-de"]
    assert all(len(model.version) == 12 for model in pool.models)
    assert pool.status().ready
    assert pool.status().device == "cpu"


def test_each_direction_is_answered_by_its_own_model(pool: Pool) -> None:
    text = ["The dog sees the man here."]
    there, back = pool.submit(text, "en", "de"), pool.submit(text, "de", "en")
    assert translations(there) != translations(back)
    assert translations(pool.submit([], "en", "de")) == []
    with pytest.raises(UnsupportedPair, match="from en to fr"):
        pool.submit(text, "en", "fr")


def test_requests_of_all_kinds_at_once_get_their_own_answers(pool: Pool) -> None:
    texts = toy_sentences(60)
    plain, n_best = TranslateOptions(raw=True), TranslateOptions(raw=True, n_best=2)
    expected = dict(zip(texts, translations(pool.submit(texts, "en", "de", plain)), strict=True))
    parts = [texts[first : first + size] for first, size in ((0, 1), (1, 30), (31, 2), (33, 27))]
    futures = [(part, pool.submit(part, "en", "de", options)) for part in parts for options in (plain, n_best)]
    for part, future in futures:
        assert translations(future) == [expected[text] for text in part]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(pool: Pool) -> None:
    with stopped(pool):
        first = occupy(pool)
        waiting = pool.submit(toy_sentences(150), "en", "de")
        with pytest.raises(Overloaded, match="150 texts wait, 200 may") as refusal:
            pool.submit(toy_sentences(51), "en", "de")
        assert refusal.value.retry_after_s >= 1.0
        accepted = pool.submit(toy_sentences(50), "en", "de")
    assert len(translations(first) + translations(waiting) + translations(accepted)) == 201


def test_a_cancelled_request_frees_its_place_and_work(pool: Pool) -> None:
    with stopped(pool):
        occupy(pool)
        waiting = pool.submit(toy_sentences(200), "en", "de")
        assert pool.status().queued == 200
        assert waiting.cancel()
        assert pool.status().queued == 0
        after = pool.submit(["The man."], "en", "de")
    assert len(translations(after)) == 1
    with pytest.raises(CancelledError):
        waiting.result(0)


def test_a_deadline_that_passes_in_the_queue_is_an_error_of_its_texts(pool: Pool) -> None:
    with stopped(pool):
        occupy(pool)
        late = pool.submit(toy_sentences(3), "en", "de", deadline_s=0.01)
        patient = pool.submit(toy_sentences(3), "en", "de", deadline_s=WAIT_S)
        time.sleep(0.05)
    assert all(isinstance(result, DeadlineExceeded) for result in late.result(WAIT_S))
    assert len(translations(patient)) == 3


def test_a_large_request_does_not_hold_up_small_ones(pool: Pool) -> None:
    """Their turn comes at once: a request takes only its share of what is handed over while others wait."""
    done: list[str] = []
    with stopped(pool):
        occupy(pool)
        large = pool.submit(toy_sentences(180), "en", "de")
        large.add_done_callback(lambda _: done.append("large"))
        small = [pool.submit([text], "en", "de") for text in toy_sentences(5)]
        for future in small:
            future.add_done_callback(lambda _: done.append("small"))
    translations(large)
    for future in small:
        translations(future)
    assert done == ["small"] * 5 + ["large"]


def test_a_worker_that_dies_is_replaced_and_its_texts_answered(folder: Path) -> None:
    texts = toy_sentences(20)
    with Pool.load_models(folder, workers=1) as pool:
        expected = translations(pool.submit(texts, "en", "de"))
        with stopped(pool):
            occupy(pool)
            waiting = pool.submit(texts, "en", "de")
            os.kill(pool._places[0].worker._process.pid, signal.SIGKILL)
        assert translations(waiting) == expected
        assert pool.status().ready


def test_closing_cancels_what_waits_and_ends_the_processes(folder: Path) -> None:
    pool = Pool.load_models(folder, workers=1)
    pool._room = 0  # the worker has one text at a time
    process = pool._places[0].worker._process
    with stopped(pool):
        occupy(pool)
        waiting = pool.submit(toy_sentences(3), "en", "de")
        pool.close()
    assert process.poll() is not None
    assert waiting.cancelled()
    assert not pool.status().ready
    with pytest.raises(Overloaded, match="stopping"):
        pool.submit(["The dog."], "en", "de")


def test_models_that_cannot_be_served_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        Pool.load_models(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="no model bundle"):
        Pool.load_models(tmp_path)
    make_bundle(tmp_path / "damaged")
    weights = tmp_path / "damaged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match="damaged"):
        Pool.load_models(tmp_path, workers=1)
    with pytest.raises(DeviceError, match="no device"):
        Pool.load_models(folder, device="abacus", workers=1)


def test_the_calling_process_never_loads_torch(folder: Path) -> None:
    program = f"""
import sys
from nmt.inference import load_models
with load_models({str(folder)!r}, workers=1) as pool:
    pool.submit(["The dog."], "en", "de").result()
    print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def in_work(pool: Pool) -> int:
    return sum(len(place.items) for place in pool._places)


def test_a_worker_has_as_many_texts_as_it_has_room_for_and_no_more(folder: Path) -> None:
    with Pool.load_models(folder, workers=1, max_queue=4096) as pool:
        pool._room = 50
        with stopped(pool):
            waiting = pool.submit(["The dog."] * 100, "en", "de")  # a beam of 2 each
            wait_until(lambda: in_work(pool) == 25)
            time.sleep(0.05)
            assert (pool.status().queued, pool.status().running) == (75, 25)
        assert len(translations(waiting)) == 100
        assert pool._places[0].rows == [0, 0]


def test_texts_are_spread_over_all_workers(folder: Path) -> None:
    with Pool.load_models(folder, workers=2) as pool:
        processes = [place.worker._process for place in pool._places]
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        waiting = pool.submit(toy_sentences(20), "en", "de")
        wait_until(lambda: in_work(pool) == 20)
        assert [len(place.items) for place in pool._places] == [10, 10]
        for process in processes:
            process.send_signal(signal.SIGCONT)
        assert len(translations(waiting)) == 20


def test_cancelling_reaches_texts_that_a_worker_has(folder: Path) -> None:
    """All of it would take minutes; those who come after it wait for no more than a step."""
    with Pool.load_models(folder, workers=1) as pool:
        slow = pool.submit([LONG] * 20, "en", "de", SLOWLY)
        wait_until(lambda: in_work(pool) > 0)
        assert slow.cancel()
        assert len(translations(pool.submit(["The dog."], "en", "de"))) == 1
        assert pool.drain(WAIT_S)


def test_a_deadline_ends_texts_that_a_worker_has(folder: Path) -> None:
    with Pool.load_models(folder, workers=1) as pool:
        late = pool.submit([LONG] * 20, "en", "de", SLOWLY, deadline_s=0.2)
        assert all(isinstance(result, DeadlineExceeded) for result in late.result(WAIT_S))


def test_a_text_that_kills_its_worker_twice_fails_alone(folder: Path) -> None:
    """The others are tried again one by one, so that only the one at fault is left with an error."""
    texts = toy_sentences(5)
    with Pool.load_models(folder, workers=1) as pool:
        expected = translations(pool.submit(texts, "en", "de"))
        place = pool._places[0]
        with stopped(pool):
            slow = pool.submit([LONG], "en", "de", SLOWLY)
            wait_until(lambda: in_work(pool) == 1)
            waiting = pool.submit(texts, "en", "de")
            wait_until(lambda: in_work(pool) == 6)
            first = place.worker
            os.kill(first._process.pid, signal.SIGKILL)
        wait_until(lambda: place.worker is not first and in_work(pool) > 0)
        assert in_work(pool) == 1, "it has company"
        os.kill(place.worker._process.pid, signal.SIGKILL)
        assert "the worker ended" in str(slow.result(WAIT_S)[0])
        assert translations(waiting) == expected


def test_a_pool_whose_workers_cannot_start_again_says_so_and_recovers(folder: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(folder, models)
    with Pool.load_models(models, workers=1) as pool:
        weights = models / "en-de" / "model.safetensors"
        content = weights.read_bytes()
        weights.write_bytes(b"damaged")
        os.kill(pool._places[0].worker._process.pid, signal.SIGKILL)
        wait_until(lambda: pool.status().reasons == ("no worker can be started",))
        failed = pool.submit(["The dog."], "en", "de").result(WAIT_S)
        assert "no worker can be started" in str(failed[0])
        weights.write_bytes(content)
        wait_until(lambda: pool.status().ready)
        assert len(translations(pool.submit(["The dog."], "en", "de"))) == 1


def test_precision_is_what_was_asked_for(folder: Path) -> None:
    with Pool.load_models(folder, device="cpu", precision="fp32", workers=1) as pool:
        assert {model.precision for model in pool.models} == {"fp32"}
    with pytest.raises(DeviceError, match="fp16"):
        Pool.load_models(folder, device="cpu", precision="fp16", workers=1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.skipif(not available(), reason="the native library was not built")
def test_workers_hold_a_models_weights_once(folder: Path) -> None:
    with Pool([folder / "en-de"], device="cpu", workers=2) as pool:
        maps = [Path(f"/proc/{place.worker._process.pid}/maps").read_text("utf-8") for place in pool._places]
    found = [re.findall(r"^\S+ (\S+) \S+ \S+ (\d+) .*nmt-weights", text, re.MULTILINE) for text in maps]
    assert len(set(found[0])) == 1  # a map for each of its lanes, all of one file
    assert found[0][0][0] == "rw-s"
    assert set(found[1]) == set(found[0])


def test_a_pool_on_an_event_loop_answers_there_replaces_a_dead_worker_and_closes(folder: Path) -> None:
    async def use() -> None:
        loop = asyncio.get_running_loop()
        pool = Pool.load_models(folder, workers=1, loop=loop)
        assert not pool._threads
        try:
            first = await asyncio.wrap_future(pool.submit(["The dog sleeps."], "en", "de"))
            with stopped(pool):
                lost = pool.submit(["The dog sleeps."], "en", "de")
                await asyncio.sleep(0)  # it is handed over
                pool._places[0].worker._process.kill()
            assert await asyncio.wrap_future(lost) == first
            in_work = pool.submit([LONG], "en", "de", SLOWLY)
            await asyncio.sleep(0)
        finally:
            pool.close()
        assert all(isinstance(result, NmtError) for result in in_work.result(WAIT_S))

    asyncio.run(use())


@pytest.mark.parametrize(
    ("running", "queued", "texts_per_s", "pause_s"),
    [
        (64, 0, 700.0, 0.005),  # no more than this, although a text takes 91 ms
        (64, 64, 2000.0, 0.002),  # a sixteenth of 32 ms
        (64, 65, 2000.0, 0.0015),  # a crowd comes by itself, and who asks for the health waits several turns
        (15, 0, 700.0, 0.0),  # in that time hardly one more would come
        (1, 0, 5.0, 0.0),
        (64, 0, 0.0, 0.0),  # nothing is known yet
    ],
)
def test_answers_gather_for_a_small_part_of_a_texts_time_where_several_come(
    running: int, queued: int, texts_per_s: float, pause_s: float
) -> None:
    assert gathering_s(running, queued, texts_per_s) == pytest.approx(pause_s)


def test_what_comes_in_one_turn_of_the_loop_is_handed_over_together(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[int] = []

    def offer(self: Worker, messages: Sequence[Message], hand_over: Any = Worker.offer) -> None:
        offered.append(len(messages))
        hand_over(self, messages)

    monkeypatch.setattr(Worker, "offer", offer)

    async def use() -> None:
        pool = Pool.load_models(folder, workers=1, loop=asyncio.get_running_loop())
        try:
            futures = [pool.submit([text], "en", "de") for text in ("The dog sleeps.", "The cat sleeps.")]
            assert (offered, pool.queued) == ([], 2)
            await asyncio.gather(*map(asyncio.wrap_future, futures))
        finally:
            pool.close()
        assert offered == [2]

    asyncio.run(use())
