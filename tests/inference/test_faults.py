"""What goes wrong inside: no numbers, no memory, processes that stop. Only the text at fault fails."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nmt.bundle import Bundle
from nmt.errors import NmtError, TranslationError
from nmt.inference import Pool, TranslateOptions, Translation
from nmt.inference.native_runner import NativeRunner
from nmt.inference.pipeline import Pipeline
from nmt.inference.runner import Found, Runner, Sentence
from nmt.inference.torch_runner import TorchRunner
from nmt.inference.types import Result
from nmt.native.library import available
from tests.bundles import make_bundle, toy_sentences

CPU = torch.device("cpu")
OPTIONS = TranslateOptions()
SHORT = {"beam_size": 2, "max_length_factor": 0.8, "max_length_offset": 4}
READY_S = 5.0
"""A pool that has lost its worker has another after at most so long."""
WAIT_S = 60.0

RUNNERS: dict[str, Callable[[Bundle], Runner]] = {"torch": lambda bundle: TorchRunner(bundle, CPU)}
if available():
    RUNNERS["native"] = lambda bundle: NativeRunner(bundle, "fp32")
    RUNNERS["native int8"] = lambda bundle: NativeRunner(bundle, "int8")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("faults") / "en-de", search=SHORT, tying="none")


def texts_of(results: Sequence[Result]) -> list[str | None]:
    return [result.text if isinstance(result, Translation) else None for result in results]


# Numbers that are none


def test_a_text_that_drives_the_arithmetic_out_of_range_fails_alone(bundle: Bundle) -> None:
    """One word's vector is not a number, as after an overflow: its text is an error, its batch mates are not.

    (The native kernels bound their activations, so that nothing of the kind comes out of them.)
    """
    make = RUNNERS["torch"]
    texts = toy_sentences(12)
    encoded = bundle.tokenizers.source.encode_batch(texts)
    pieces = [set(ids) for ids in encoded]
    bad, piece = next(
        (index, min(own))
        for index, ids in enumerate(pieces)
        if (own := ids.difference(*(other for place, other in enumerate(pieces) if place != index)))
    )
    expected = Pipeline(bundle, make(bundle)).translate(texts, OPTIONS)
    vectors = bundle.weights["src_embedding.weight"].copy()
    vectors[piece] = np.nan
    weights = {**bundle.weights, "src_embedding.weight": vectors}
    broken = replace(bundle, weights=weights)
    results = Pipeline(broken, make(broken)).translate(texts, OPTIONS)
    failed = [index for index, result in enumerate(results) if not isinstance(result, Translation)]
    assert failed == [bad]
    assert "not numbers" in str(results[bad])
    assert texts_of(results)[:bad] == texts_of(expected)[:bad]
    assert texts_of(results)[bad + 1 :] == texts_of(expected)[bad + 1 :]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_model_of_which_nothing_is_a_number_gives_errors_and_comes_to_an_end(bundle: Bundle, runner: str) -> None:
    weights = {name: np.full_like(array, np.nan) for name, array in bundle.weights.items()}
    broken = replace(bundle, weights=weights)
    results = Pipeline(broken, RUNNERS[runner](broken)).translate(toy_sentences(5), OPTIONS)
    assert [str(result) for result in results] == ["internal error (the model's scores are not numbers)"] * 5


class NoNumber(TorchRunner):
    """Finds a translation that looks well and whose score is not a number."""

    def take(self, slot: int) -> list[Found]:
        return [replace(found, score=float("nan")) for found in super().take(slot)]


def test_a_score_that_is_not_a_number_is_no_translation(bundle: Bundle) -> None:
    (result,) = Pipeline(bundle, NoNumber(bundle, CPU)).translate(toy_sentences(1), OPTIONS)
    assert isinstance(result, TranslationError)


# Memory that runs out


class Full(TorchRunner):
    """Has no memory for a sentence of so many tokens."""

    def __init__(self, bundle: Bundle, tokens: int) -> None:
        super().__init__(bundle, CPU)
        self.tokens = tokens

    def admit(self, sentences: Sequence[Sentence]) -> list[int]:
        if any(len(ids) == self.tokens for ids, _ in sentences):
            raise MemoryError
        return super().admit(sentences)


def test_a_text_for_which_there_is_no_memory_fails_alone(bundle: Bundle) -> None:
    texts = toy_sentences(8)
    lengths = [len(ids) for ids in bundle.tokenizers.source.encode_batch(texts)]
    bad = next(index for index, length in enumerate(lengths) if lengths.count(length) == 1)
    expected = Pipeline(bundle, TorchRunner(bundle, CPU)).translate(texts, OPTIONS)
    pipeline = Pipeline(bundle, Full(bundle, lengths[bad]), lambda: Full(bundle, lengths[bad]))
    results = pipeline.translate(texts, OPTIONS)
    assert str(results[bad]) == "internal error (MemoryError)"
    assert [r for i, r in enumerate(texts_of(results)) if i != bad] == [
        r for i, r in enumerate(texts_of(expected)) if i != bad
    ]


# Processes that stop


@pytest.fixture
def pool(bundle: Bundle) -> Pool:
    assert bundle.folder is not None
    return Pool([bundle.folder], workers=1, device="cpu", hang_s=1.5)


def pid_of(pool: Pool) -> int:
    return pool._places[0].worker._process.pid


def submit(pool: Pool, texts: Sequence[str], options: TranslateOptions = OPTIONS) -> Future[list[Result]]:
    return pool.submit(texts, "en", "de", options)


def until_ready(pool: Pool, before: int) -> float:
    """Wait until another process than `before` serves; how long that took, in seconds."""
    began = time.monotonic()
    while pid_of(pool) == before or not pool.status().ready:
        assert time.monotonic() - began < WAIT_S
        time.sleep(0.01)
    return time.monotonic() - began


def memory_of(pid: int) -> int:
    """Address space in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[0]) * resource.getpagesize()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prlimit and /proc")
def test_a_worker_without_memory_loses_one_text_and_is_back_soon(pool: Pool) -> None:
    texts = toy_sentences(4)
    huge = TranslateOptions(beam_size=800, n_best=800, raw=True, max_length_factor=1e4)
    with pool:
        expected = texts_of(submit(pool, texts).result(WAIT_S))
        before = pid_of(pool)
        limit = memory_of(before) + (16 << 20)
        resource.prlimit(before, resource.RLIMIT_AS, (limit, limit))
        (failed,) = submit(pool, ["The dog sees the man."], huge).result(WAIT_S)
        assert isinstance(failed, NmtError)
        began = time.monotonic()
        assert texts_of(submit(pool, texts).result(WAIT_S)) == expected
        assert time.monotonic() - began < READY_S
        assert pool.status().ready


def test_a_worker_that_is_killed_is_back_soon(pool: Pool) -> None:
    with pool:
        before = pid_of(pool)
        waiting = submit(pool, toy_sentences(30))
        os.kill(before, signal.SIGKILL)
        assert until_ready(pool, before) < READY_S
        assert None not in texts_of(waiting.result(WAIT_S))


def test_a_worker_that_is_stopped_is_replaced_and_its_texts_are_answered(pool: Pool) -> None:
    texts = toy_sentences(10)
    with pool:
        expected = texts_of(submit(pool, texts).result(WAIT_S))
        before = pid_of(pool)
        os.kill(before, signal.SIGSTOP)
        began = time.monotonic()
        results = texts_of(submit(pool, texts).result(WAIT_S))
        assert time.monotonic() - began < pool._hang_s + READY_S
        assert results == expected
        assert pid_of(pool) != before


def test_a_worker_at_work_gives_a_sign_although_no_text_is_done(pool: Pool) -> None:
    slow = TranslateOptions(beam_size=20, n_best=20, raw=True, max_length_factor=200.0)
    with pool:
        before = pid_of(pool)
        waiting = submit(pool, [" ".join(toy_sentences(8))] * 8, slow)
        time.sleep(2 * pool._hang_s)
        assert not waiting.done()
        assert pid_of(pool) == before
        assert waiting.cancel()
        assert pool.drain(WAIT_S)
