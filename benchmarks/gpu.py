"""Every figure of this project on one GPU, by one command that needs no network and less than eight minutes.

    python -m benchmarks.gpu --json gpu.json

Parts run one after another, each in a process of its own with a limit of time, so that a part that fails, hangs or
breaks the device costs the others nothing. What the figures mean is in docs/gpu.md. `--device cpu --quick` runs the
same code in seconds, on small networks and without graphs: a test of the program, its figures say nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from benchmarks import machine
from benchmarks.training_speed import work_per_token
from nmt.bundle import FORMAT_VERSION, Bundle, BundleConfig, load_bundle, weights_of
from nmt.config import ModelConfig, OptimizerConfig, SearchConfig, TextConfig
from nmt.data.corpus import read_lines
from nmt.errors import DeviceError
from nmt.inference.engine import Engine
from nmt.inference.pipeline import Pipeline
from nmt.inference.runner import Found, SearchOptions, Sentence
from nmt.inference.speed import decoder_operations
from nmt.inference.torch_runner import TorchRunner
from nmt.inference.types import TranslateOptions, Translation
from nmt.model.attention import SCORES, SPANS
from nmt.model.seq2seq import build
from nmt.text.tokenizer import TokenizerPair, train_tokenizers
from nmt.training.batches import Batch, make_batch
from nmt.training.learner import Learner
from nmt.training.translation import TranslationLoss

ROOT = Path(__file__).parents[1]
DATA = ROOT / "benchmarks" / "data"
MODEL = ROOT / "models" / "en-de"
"""Whose vocabulary the measured network has, and which is translated with where words matter."""
LENGTH = 15
"""Target tokens that every measured translation is forced to, EOS not counted."""
TOLERANCE, RELATIVE = 1e-4, 2e-6
"""Scores nearer than this (the second: times their size) are equal at fp32."""
LIMITS_S = {
    "machine": 60.0,
    "ceiling": 30.0,
    "correctness": 100.0,
    "latency": 60.0,
    "offline": 150.0,
    "text": 50.0,
    "training": 80.0,
}
"""Of each part; together they may take `TOTAL_S`."""
MARGIN = 0.7
"""Share of its limit after which a part begins nothing more."""
TOTAL_S = 450.0
START_S = 15.0
"""Least time that a part is started with."""

Item = TypeVar("Item")
Figures = dict[str, Any]
ROUTES = {
    "graphs": (True, True),
    "graphs of plain operations": (True, False),
    "kernels": (False, True),
    "plain operations": (False, False),
}
"""Ways to take a step: whether it is a CUDA graph, and whether Triton kernels are in it."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and how much of it."""

    device: torch.device
    model: Path
    quick: bool = False
    until: float = math.inf
    """When a part should have ended, on the clock of `time.perf_counter`."""

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def while_time(self, items: Iterable[Item]) -> Iterator[Item]:
        """As many of them as there is time for; the first in any case."""
        for number, item in enumerate(items):
            if number and time.perf_counter() > self.until:
                return
            yield item

    @property
    def half(self) -> str:
        """The precision that is timed."""
        return "bf16"

    @cached_property
    def network(self) -> ModelConfig:
        """The peers' network, of 17.4 million weights with 8,000 pieces (docs/benchmarks.md)."""
        size = 32 if self.quick else 512
        return ModelConfig(
            embedding_size=size,
            hidden_size=size,
            encoder_layers=2,
            decoder_layers=2,
            bridge="copy",
            tying="target",
            dropout=0.2,
            init_range=0.1,
        )

    @cached_property
    def texts(self) -> list[str]:
        return list(read_lines(DATA / "dev.en.gz"))[: 24 if self.quick else None]

    @cached_property
    def bundle(self) -> Bundle:
        """The measured network with random weights and the vocabulary of `model`."""
        return random_bundle(load_bundle(self.model).tokenizers, self.network)

    @cached_property
    def ids(self) -> list[list[int]]:
        """Source sentences of the lengths that real ones have."""
        return self.bundle.tokenizers.source.encode_batch(self.texts)

    def runner(self, route: str = "graphs", **choices: Any) -> TorchRunner:
        return self.runner_of(self.bundle, route, self.half, **choices)

    def runner_of(self, bundle: Bundle, route: str, precision: str = "fp32", **choices: Any) -> TorchRunner:
        """`route`: a name in `ROUTES`. On a CPU all of them are plain operations."""
        uses_graphs, uses_kernels = ROUTES[route]
        choices = {
            "as_on_gpu": True,
            "uses_graphs": uses_graphs and self.is_cuda,
            "uses_kernels": uses_kernels and self.is_cuda,
        } | choices
        return TorchRunner(bundle, self.device, precision, **choices)

    def wait(self) -> None:
        """Until the device has done all it was given."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)


def random_bundle(tokenizers: TokenizerPair, model: ModelConfig, seed: int = 1, **search: Any) -> Bundle:
    torch.manual_seed(seed)
    source, target = (tokenizer.size for tokenizer in tokenizers)
    config = BundleConfig(
        format=FORMAT_VERSION,
        task="translation",
        source_lang="en",
        target_lang="de",
        src_vocab=source,
        tgt_vocab=target,
        storage="float32",
        model=model,
        search=SearchConfig(**search),
    )
    return Bundle(config, tokenizers, weights_of(build(model, source, target)))


# The machine


def measure_machine(plan: Plan) -> Figures:
    """Device, driver, versions, and what triton kernels may be used."""
    figures: Figures = {"torch": torch.__version__, "cuda": torch.version.cuda, **machine.facts()}
    if not plan.is_cuda:
        return figures
    facts = torch.cuda.get_device_properties(plan.device)
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    return figures | {
        "device": facts.name,
        "multiprocessors": facts.multi_processor_count,
        "memory_gib": round(facts.total_memory / 2**30, 1),
        "cudnn": torch.backends.cudnn.version(),
        "nvidia_smi": answer.stdout.strip() or answer.stderr.strip(),
    }


def measure_ceiling(plan: Plan) -> Figures:
    """The best rate of square bf16 products, in operations a second, by their size."""
    sizes = (128,) if plan.quick else (2048, 4096, 8192)
    rates: dict[str, float] = {}
    for size in sizes:
        a, b = (torch.randn(size, size, device=plan.device).to(torch.bfloat16) for _ in range(2))
        seconds = min(time_of(lambda a=a, b=b: a @ b, plan, repeat=20) for _ in range(3))  # type: ignore[misc]
        rates[str(size)] = 2 * size**3 / seconds
    return {"bf16_flops": rates, "best_bf16_flops": max(rates.values())}


def time_of(work: Callable[[], object], plan: Plan, repeat: int) -> float:
    """Mean seconds of one call among `repeat`, the device's work included."""
    work()
    plan.wait()
    started = time.perf_counter()
    for _ in range(repeat):
        work()
    plan.wait()
    return (time.perf_counter() - started) / repeat


# Correctness


@dataclass
class Agreement:
    """How two lists of n-best lists compare."""

    sentences: int = 0
    same: int = 0
    near_ties: int = 0
    """Other words, where the first list hardly separates its own hypotheses."""
    largest_gap: float = 0.0
    """Of the best hypotheses' scores, divided by what is allowed for their size."""

    def add(self, wanted: Sequence[Sequence[Found]], found: Sequence[Sequence[Found]]) -> None:
        for one, other in zip(wanted, found, strict=True):
            self.sentences += 1
            pairs = list(zip(one, other, strict=False))
            gaps = [abs(a.score - b.score) / (TOLERANCE + RELATIVE * abs(a.score)) for a, b in pairs]
            self.largest_gap = max([self.largest_gap, *gaps])
            if [h.tokens for h in one] == [h.tokens for h in other] and max(gaps, default=0.0) <= 1:
                self.same += 1
            elif any(a.score - b.score < TOLERANCE + RELATIVE * abs(b.score) for a, b in pairwise(one)):
                self.near_ties += 1

    @property
    def figures(self) -> Figures:
        return {
            "sentences": self.sentences,
            "equal": self.same,
            "near_ties": self.near_ties,
            "unequal": self.sentences - self.same - self.near_ties,
            "largest_gap_of_allowed": round(self.largest_gap, 3),
        }


def measure_correctness(plan: Plan) -> Figures:
    """The same sentences on CPU, by single operations and by graphs, at fp32 and on networks of every form.

    Then the shipped model at half precision: the share of sentences whose best translation is that of fp32. Tests hold
    that the CPU finds what the reference search finds.
    """
    routes = {route: Agreement() for route in ROUTES}
    failures: list[str] = []
    for name, bundle, sentences in plan.while_time(networks(plan)):
        wanted = search(TorchRunner(bundle, torch.device("cpu")), sentences)
        for route, agreement in routes.items():
            found = search(plan.runner_of(bundle, route), sentences)
            unequal = agreement.figures["unequal"]
            agreement.add(wanted, found)
            if agreement.figures["unequal"] > unequal:
                failures.append(f"{name}, by {route}")
    figures: Figures = {f"fp32 {route}": agreement.figures for route, agreement in routes.items()}
    many, one_by_one = full_rows(plan)
    figures["full rows, fp32"] = many.figures
    failures += ["full rows"] * (many.figures["unequal"] > one_by_one)
    figures["failures"] = failures
    figures["is_right"] = not failures
    return figures | {"half": half_precision(plan)}


def full_rows(plan: Plan) -> tuple[Agreement, int]:
    """Thousands of rows, looked at late, against few rows that are looked at at once; how many may differ.

    Products of other sizes round otherwise, and sentences are many: one in a hundred.
    """
    encoded = plan.ids[: 12 if plan.quick else 1000]
    sentences: list[Sentence] = [(ids, SearchOptions(5, 1, 12 + i % 9)) for i, ids in enumerate(encoded)]
    agreement = Agreement()
    wanted = search(plan.runner_of(plan.bundle, "plain operations", look_every=1, looks_late=False), sentences, 100)
    agreement.add(wanted, search(plan.runner_of(plan.bundle, "graphs"), sentences, len(sentences)))
    return agreement, len(sentences) // 100


def half_precision(plan: Plan) -> Figures:
    bundle = load_bundle(plan.model)
    encoded = bundle.tokenizers.source.encode_batch(plan.texts[: 4 if plan.quick else 500])
    sentences = [(ids, SearchOptions(5, 1, 2 * len(ids) + 11)) for ids in encoded]
    exact = search(TorchRunner(bundle, plan.device), sentences, group=len(sentences))
    figures: Figures = {}
    for precision in ("bf16", "fp16") if plan.is_cuda else ("bf16",):
        found = search(TorchRunner(bundle, plan.device, precision), sentences, group=len(sentences))
        same = sum(a[0].tokens == b[0].tokens for a, b in zip(exact, found, strict=True))
        gaps = [abs(a[0].score - b[0].score) for a, b in zip(exact, found, strict=True)]
        figures[precision] = {"equal_share": same / len(exact), "median_score_gap": statistics.median(gaps)}
    return figures


def networks(plan: Plan) -> Iterator[tuple[str, Bundle, list[Sentence]]]:
    """Random networks of every attention score and span and other forms in turn, and sentences of mixed options."""
    lines = [[line, line] for line in plan.texts]
    tokenizers = train_tokenizers([(a, b) for a, b in lines], TextConfig(vocab_size=300), seed=1)
    encoded = [ids for ids in tokenizers.source.encode_batch(plan.texts) if ids]
    forms: list[dict[str, Any]] = [
        {},
        {"input_feeding": False, "bridge": "copy", "encoder_layers": 2, "tying": "none"},
        {"decoder_layers": 2, "bridge": "zero", "bidirectional": False},
    ]
    sizes: dict[str, Any] = {
        "embedding_size": 48,
        "hidden_size": 64,
        "encoder_layers": 1,
        "dropout": 0.0,
        "init_range": 0.4,
    }
    kinds = [(score, span) for score in SCORES for span in SPANS]
    count = 6 if plan.quick else 40
    for number, (score, span) in enumerate(kinds[:3] if plan.quick else kinds):
        settings = sizes | {"attention": score, "attention_span": span, "attention_window": 3} | forms[number % 3]
        coverage = 0.2 if number % 4 == 3 else 0.0
        bundle = random_bundle(
            tokenizers, ModelConfig(**settings), seed=number, length_penalty=0.8, coverage_penalty=coverage
        )
        yield f"{score} {span} {forms[number % 3]}", bundle, list(zip(encoded, mixed_options(count), strict=False))
    if not plan.quick:
        options = [replace(o, max_length=o.max_length + 20) for o in mixed_options(count)]
        yield "the measured network", plan.bundle, list(zip(plan.ids, options, strict=False))


def mixed_options(count: int) -> list[SearchOptions]:
    """Beams of all sizes, few and many hypotheses, limits low and high, with and without attention."""
    beams = (1, 3, 5, 2, 8)
    return [
        SearchOptions(
            beam_size=beams[i % 5],
            n_best=1 if i % 3 == 0 else beams[i % 5],
            max_length=5 + 3 * (i % 4),
            with_attention=i % 4 != 1,
            min_length=1 + 2 * (i % 2),
        )
        for i in range(count)
    ]


def search(runner: TorchRunner, sentences: Sequence[Sentence], group: int = 7) -> list[list[Found]]:
    """Sentences that come and go in groups; their results in order."""
    waiting = list(enumerate(sentences))
    running: dict[int, int] = {}
    found: dict[int, list[Found]] = {}
    while waiting or running:
        chosen, waiting = waiting[:group], waiting[group:]
        if chosen:
            slots = runner.admit([sentence for _, sentence in chosen])
            running.update(zip(slots, (index for index, _ in chosen), strict=True))
        for slot in runner.step(3):
            found[running.pop(slot)] = runner.take(slot)
    return [found[index] for index in range(len(sentences))]


# Speed


def forced(beam: int, length: int = LENGTH) -> SearchOptions:
    """Exactly `length` tokens and EOS."""
    return SearchOptions(beam, 1, length + 1, min_length=length)


def measure_latency(plan: Plan) -> Figures:
    """One sentence at a time, ids to ids, every output forced to `LENGTH` tokens: milliseconds."""
    figures: Figures = {}
    for route in plan.while_time(ROUTES):
        runner = plan.runner(route)
        for beam in (5, 1):
            figures[f"beam {beam}, {route}"] = latencies(runner, plan, beam)
    return figures


def latencies(runner: TorchRunner, plan: Plan, beam: int) -> Figures:
    engine = Engine(runner)
    count = 6 if plan.quick else 300
    warm_up = 2 if plan.quick else 60
    times: list[float] = []
    for ticket, ids in enumerate(islice(cycle(plan.ids), warm_up + count)):
        started = time.perf_counter()
        engine.submit(ticket, ids, forced(beam))
        while not (answers := engine.step()):
            pass
        times.append(time.perf_counter() - started)
        check_forced(answers[0][1])
    p50, p99 = (1000 * float(np.percentile(times[warm_up:], percent)) for percent in (50, 99))
    return {"p50_ms": p50, "p99_ms": p99, "sentences": count}


def check_forced(answer: object) -> int:
    """The tokens of an answer that has as many as were asked for."""
    assert isinstance(answer, list), answer
    assert len(answer[0].tokens) == LENGTH
    return LENGTH


def measure_offline(plan: Plan) -> Figures:
    """Sentences by the thousand through the engine, ids to ids, by rows in flight; and the device's own step.

    `tokens_per_s` counts the target tokens of answers, EOS not among them. `step_ms` is one step of full rows without
    anything between the steps; `device_tokens_per_s` what such steps alone would give.
    """
    per_step = decoder_operations(plan.bundle.config.model, plan.bundle.config.tgt_vocab)
    figures: Figures = {}
    for beam, rows, route, choices in plan.while_time(variants(plan)):
        rates = throughput(plan.runner(route, rows=rows, **choices), plan, beam, rows)
        step_ms = 1000 * step_seconds(plan.runner(route, rows=rows), plan, beam, rows)
        name = ", ".join([f"beam {beam}", f"{rows} rows", route, *(f"{key} {value}" for key, value in choices.items())])
        figures[name] = rates | {
            "step_ms": step_ms,
            "device_tokens_per_s": 1000 * (rows // beam) / step_ms * LENGTH / (LENGTH + 1),
            "product_flops": 1000 * rows * per_step / step_ms,
            "peak_memory_mib": peak_memory(plan),
        }
    best = max(rates["tokens_per_s"] for name, rates in figures.items() if name.startswith("beam 5"))
    return figures | {"best_beam_5_tokens_per_s": best}


def variants(plan: Plan) -> list[tuple[int, int, str, dict[str, Any]]]:
    """Beam, rows, route and choices of the runner: by rows, then one thing changed at a time."""
    if plan.quick:
        return [(5, 40, "graphs", {}), (1, 40, "plain operations", {})]
    rows = 8192
    return [
        *((5, count, "graphs", {}) for count in (rows, 1024, 2048, 4096, 16384)),
        *((1, count, "graphs", {}) for count in (rows, 2048)),
        (5, rows, "graphs of plain operations", {}),
        (5, rows, "kernels", {}),
        (5, rows, "graphs", {"looks_late": False}),
        (5, rows, "graphs", {"look_every": 1}),
        (5, rows, "graphs", {"look_every": 4}),
        (5, rows, "graphs", {"look_every": 4, "looks_late": False}),
    ]


def throughput(runner: TorchRunner, plan: Plan, beam: int, rows: int) -> Figures:
    """Whole sentences through the engine until the time is up, the rows kept full."""
    engine = Engine(runner)
    seconds = 0.2 if plan.quick else 3.0
    stream = cycle(plan.ids)
    options = forced(beam)
    ticket = answered = 0
    started, begun = time.perf_counter(), 0
    warm_until = started + seconds / 2
    while True:
        now = time.perf_counter()
        if now < warm_until:
            started, begun = now, answered
        elif now - started > seconds and answered > begun:
            break
        for _ in range(max(0, 2 * rows // beam - engine.waiting - engine.running)):
            engine.submit(ticket, next(stream), options)
            ticket += 1
        answered += sum(check_forced(answer) // LENGTH for _, answer in engine.step())
    elapsed = time.perf_counter() - started
    return {
        "tokens_per_s": (answered - begun) * LENGTH / elapsed,
        "sentences_per_s": (answered - begun) / elapsed,
    }


def step_seconds(runner: TorchRunner, plan: Plan, beam: int, rows: int) -> float:
    """Of one step of full rows of one bucket."""
    times = 3 if plan.quick else 40
    ids = [i[:LENGTH] for i in islice(cycle(plan.ids), rows // beam)]
    runner.admit([(i, forced(beam, 4 * times)) for i in ids])
    runner.step(times)
    plan.wait()
    seconds: list[float] = []
    for _ in range(2):
        started = time.perf_counter()
        runner.step(times)
        plan.wait()
        seconds.append((time.perf_counter() - started) / times)
    return min(seconds)


def measure_text(plan: Plan) -> Figures:
    """Text to text with the shipped model in one process, and what of it is the host's: microseconds a sentence."""
    bundle = load_bundle(plan.model)
    texts = plan.texts
    source, target = bundle.tokenizers
    ids = source.encode_batch(texts)
    host = {
        "split_into_pieces_us": 1e6 * time_host(lambda: source.encode_batch(texts)) / len(texts),
        "join_pieces_us": 1e6 * time_host(lambda: [target.decode(i) for i in ids]) / len(texts),
    }
    pipeline = Pipeline(bundle, TorchRunner(bundle, plan.device, plan.half))
    options = TranslateOptions(beam_size=5, raw=True)
    window = texts if plan.quick else texts * 8
    seconds, tokens, sentences = 0.0, 0, 0
    pipeline.translate(window, options)
    while seconds < (0.1 if plan.quick else 15.0):
        started = time.perf_counter()
        results = pipeline.translate(window, options)
        seconds += time.perf_counter() - started
        done = [result for result in results if isinstance(result, Translation)]
        assert len(done) == len(window)
        tokens += sum(result.target_tokens for result in done)
        sentences += len(done)
    rates = {"tokens_per_s": tokens / seconds, "sentences_per_s": sentences / seconds}
    host["engine_us"] = policy_us(plan)
    above = Pipeline(bundle, _Instant())
    host["text_to_text_without_runner_us"] = 1e6 * time_host(lambda: above.translate(window, options)) / len(window)
    return {"host": host, "beam 5": rates, "peak_memory_mib": peak_memory(plan)}


def time_host(work: Callable[[], object]) -> float:
    """The best of three calls, in seconds."""
    times: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


class _Instant:
    """A runner whose sentences are finished at once: what is left is the time of all above it."""

    rows, name, precision, device = 8192, "instant", "fp32", "cpu"

    def __init__(self) -> None:
        self._next = 0
        self._done: list[int] = []

    def admit(self, sentences: Sequence[Sentence]) -> list[int]:
        slots = list(range(self._next, self._next + len(sentences)))
        self._next += len(sentences)
        self._done += slots
        return slots

    def step(self, steps: int = 1) -> list[int]:
        done, self._done = self._done, []
        return done

    def take(self, slot: int) -> list[Found]:
        return [Found(tuple(range(10, 10 + LENGTH)), -1.0, -1.0)]

    def drop(self, slot: int) -> None:
        pass


def policy_us(plan: Plan) -> float:
    """The engine's time for a sentence, in microseconds, without a network."""
    count = 200 if plan.quick else 20_000
    options = forced(5)

    def run() -> None:
        engine = Engine(_Instant())
        for ticket in range(count):
            engine.submit(ticket, plan.ids[ticket % len(plan.ids)], options)
        while not engine.is_idle:
            engine.step()

    return 1e6 * time_host(run) / count


# Training


def measure_training(plan: Plan) -> Figures:
    """Whole updates (loss, gradients, clipping, weights) by tokens in a batch, with training's own step, in bf16.

    Tokens are those of source and target, EOS counted, padding not.
    """
    figures: Figures = {}
    best = 0.0
    for batch_tokens in plan.while_time((200,) if plan.quick else (16_384, 32_768, 65_536, 4_096)):
        try:
            rates = training_rate(plan, batch_tokens)
        except torch.cuda.OutOfMemoryError as error:
            rates = {"error": str(error).partition("\n")[0]}
        figures[f"{batch_tokens} target tokens"] = rates
        best = max(best, rates.get("tokens_per_s", 0.0))
    return figures | {"best_tokens_per_s": best}


def training_rate(plan: Plan, batch_tokens: int) -> Figures:
    torch.manual_seed(1)
    tokenizers = plan.bundle.tokenizers
    model = build(plan.network, tokenizers.source.size, tokenizers.target.size).to(plan.device)
    learner = Learner(model, TranslationLoss(model, 0.1), OptimizerConfig(), precision=torch.bfloat16, seed=1)
    batches = [batch.to(plan.device) for batch in training_batches(plan, batch_tokens)]
    src = sum(int(batch.src_lengths.sum()) for batch in batches) // len(batches)
    tgt = sum(batch.tokens for batch in batches) // len(batches)

    def update(number: int) -> float:
        sums = learner.learn(number, [batches[number % len(batches)]])
        learner.apply(1e-4, learner.combine(sums.tokens))
        return sums.nll / sums.tokens

    losses = [update(number) for number in range(3)]
    plan.wait()
    started, number = time.perf_counter(), 3
    while (seconds := time.perf_counter() - started) < (0.2 if plan.quick else 6.0) or number == 3:
        losses.append(update(number))  # waits for the device: it returns a float
        number += 1
    assert all(np.isfinite(losses)), losses
    rate = (number - 3) / seconds
    return {
        "tokens_per_s": rate * (src + tgt),
        "target_tokens_per_s": rate * tgt,
        "updates_per_s": rate,
        "product_flops": rate * tgt * work_per_token(model, src, tgt),
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "peak_memory_mib": peak_memory(plan),
    }


def training_batches(plan: Plan, batch_tokens: int, count: int = 4) -> list[Batch]:
    """Pairs of real sentences, sorted by length and cut into batches as training cuts them."""
    tokenizers = plan.bundle.tokenizers
    lines = [list(read_lines(DATA / f"dev.{language}.gz"))[: len(plan.texts)] for language in ("en", "de")]
    sources, targets = tokenizers.source.encode_batch(lines[0]), tokenizers.target.encode_batch(lines[1])
    pairs = [pair for pair in zip(sources, targets, strict=True) if all(pair)]
    pairs.sort(key=lambda pair: (len(pair[1]), len(pair[0])))
    around = max(1, min(8, len(pairs) // (4 * count)))
    batches: list[Batch] = []
    for part in range(count):
        # sentences around a quantile of the lengths, repeated until the batch is full
        middle = (2 * part + 1) * len(pairs) // (2 * count)
        near = pairs[middle - around : middle + around]
        rows = max(1, batch_tokens // (1 + max(len(target) for _, target in near)))
        chosen = list(islice(cycle(near), rows))
        batches.append(make_batch([source for source, _ in chosen], [target for _, target in chosen]))
    return batches


def peak_memory(plan: Plan) -> float:
    """The most that tensors held on the device since this was last asked, in MiB; 0 on a CPU."""
    if not plan.is_cuda:
        return 0.0
    peak = torch.cuda.max_memory_allocated(plan.device) / 2**20
    torch.cuda.reset_peak_memory_stats(plan.device)
    return round(peak, 1)


# Parts and their processes

PARTS: dict[str, Callable[[Plan], Figures]] = {
    "machine": measure_machine,
    "ceiling": measure_ceiling,
    "correctness": measure_correctness,
    "latency": measure_latency,
    "offline": measure_offline,
    "text": measure_text,
    "training": measure_training,
}


def attempt(part: str, plan: Plan) -> Figures:
    """A part's figures and seconds, or what it failed with."""
    started = time.perf_counter()
    try:
        figures = PARTS[part](plan)
    except Exception:
        figures = {"error": traceback.format_exc(limit=-4)}
    return figures | {"seconds": round(time.perf_counter() - started, 1)}


def attempt_apart(part: str, arguments: Sequence[str], limit_s: float) -> Figures:
    """The same in a process of its own, which may break or hang."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", part, "--seconds", f"{MARGIN * limit_s}", *arguments]
    started = time.perf_counter()
    with process(command) as child:
        try:
            out, errors = child.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, errors = child.communicate()
            return {"error": f"not finished after {limit_s:.0f} s: {errors[-2000:]}", "seconds": round(limit_s, 1)}
    try:
        figures: Figures = json.loads(out.strip().rpartition("\n")[2])  # libraries may print before it
    except ValueError:
        seconds = round(time.perf_counter() - started, 1)
        return {"error": f"ended with {child.returncode}: {errors[-2000:]}", "seconds": seconds}
    return figures


@contextmanager
def process(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, so that it can be ended with all it started."""
    child = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def run(parts: Sequence[str], plan: Plan, arguments: Sequence[str]) -> dict[str, Figures]:
    """All parts in turn, printed as they come."""
    report: dict[str, Figures] = {}
    until = time.perf_counter() + TOTAL_S
    for part in parts:
        left = until - time.perf_counter()
        if plan.quick:
            report[part] = attempt(part, plan)
        elif left < START_S:
            report[part] = {"error": "no time left"}
        else:
            report[part] = attempt_apart(part, arguments, min(LIMITS_S[part], left))
        print(f"\n{part}\n" + "\n".join(lines(report[part])), flush=True)
    return report


def lines(figures: Figures, indent: str = "  ") -> Iterator[str]:
    """A tree of figures, a value a line."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield f"{indent}{name}"
            yield from lines(value, indent + "  ")
        else:
            yield f"{indent}{name}: {f'{value:,.6g}' if isinstance(value, float) else value}"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every part gave figures and results were right, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    parser.add_argument("--quick", action="store_true", help="little of everything, in this process")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=math.inf, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    device = torch.device(chosen.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA device here: this program measures one (--device cpu --quick tries the program)")
    plan = Plan(device, chosen.model, chosen.quick, time.perf_counter() + chosen.seconds)
    if chosen.part:
        print(json.dumps(attempt(chosen.part, plan)))
        return 0
    passed_on = ["--device", chosen.device, "--model", str(chosen.model.resolve())]
    report = run(chosen.parts, plan, passed_on)
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    is_right = report.get("correctness", {}).get("is_right", True)
    return 0 if is_right and not any("error" in figures for figures in report.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
