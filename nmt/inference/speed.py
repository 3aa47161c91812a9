"""How fast a bundle is on this machine, by the way that users take: worker processes, from text to text.

Measures and counts; prints nothing. What the figures mean is in docs/speed.md.
"""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from nmt.bundle import Bundle, load_bundle, save_bundle
from nmt.config import ModelConfig, SearchConfig
from nmt.errors import NmtError
from nmt.hardware import pss_bytes
from nmt.inference.pool import Pool
from nmt.inference.translator import Translator
from nmt.inference.types import TranslateOptions, Translation
from nmt.inference.worker import THREAD_VARIABLES
from nmt.text.tokenizer import EOS_ID, SPECIAL_IDS, Tokenizer

NEVER = -1e4
"""Nats that keep a word from being chosen, and that every precision can hold."""
MEMORY_EVERY_S = 0.2
WARM_UP_TEXTS = 64
GEMM_SIZE = 2048
GEMM_S = 2.0

Result = Translation | NmtError
Texts = Sequence[str]


@dataclass(frozen=True)
class Rate:
    """One measurement."""

    beam: int
    in_flight: int | None
    """Texts that were under way at any time, the next one sent when one came back; None: a file, all sent ahead."""
    sentences: int
    target_tokens: int
    """EOS not counted."""
    seconds: float
    latencies_s: tuple[float, ...] = ()
    """Of each text, from sending it to having its translation; empty for a file."""

    @property
    def sentences_per_s(self) -> float:
        return self.sentences / self.seconds

    @property
    def tokens_per_s(self) -> float:
        return self.target_tokens / self.seconds

    def percentile_ms(self, percent: float) -> float | None:
        return 1000 * float(np.percentile(self.latencies_s, percent)) if self.latencies_s else None


# What is translated


def random_texts(tokenizer: Tokenizer, count: int, seed: int = 1) -> list[str]:
    """Texts of random pieces, as long as sentences are: log-normal, half of them up to 12 pieces, most under 30."""
    rng = random.Random(seed)
    everything = range(len(SPECIAL_IDS), tokenizer.size)
    pieces = [i for i, piece in zip(everything, tokenizer.pieces(everything), strict=True) if not is_byte(piece)]
    lengths = (max(3, min(60, round(rng.lognormvariate(math.log(12), 0.5)))) for _ in range(count))
    return [tokenizer.decode(rng.choices(pieces, k=length)) for length in lengths]


def is_byte(piece: str) -> bool:
    """Whether a piece is a byte of a character that has no piece."""
    return len(piece) == 6 and piece.startswith("<0x")


@contextmanager
def forced_length(folder: Path, length: int) -> Iterator[Path]:
    """A copy of a bundle whose translations all have `length` target tokens, for as long as the block lasts.

    EOS is out of reach until the maximal length, where nothing else is allowed; no part of the engine knows of it.
    """
    with tempfile.TemporaryDirectory(prefix="nmt-speed-") as place:
        path = Path(place) / folder.resolve().name
        # nothing of it stays in memory, which is measured next
        save_bundle(_forced(load_bundle(folder), length), path)
        yield path


def _forced(bundle: Bundle, length: int) -> Bundle:
    name = "output.bias"
    bias = bundle.weights[name].copy()
    bias[EOS_ID] = NEVER
    search = bundle.config.search.model_copy(update={"max_length_factor": 1e-9, "max_length_offset": length})
    return replace(
        bundle,
        config=bundle.config.model_copy(update={"search": SearchConfig.model_validate(search.model_dump())}),
        weights={**bundle.weights, name: bias},
    )


# How fast


def time_file(translator: Translator, texts: Texts, beam: int, seconds: float) -> Rate:
    """A file of these texts, as `nmt translate` sends it, again and again until the time is up.

    Raises the TranslationError of a text that cannot be translated.
    """
    options = TranslateOptions(beam_size=beam, raw=True)
    translator.translate(texts[:WARM_UP_TEXTS], options)
    started = time.perf_counter()
    sentences = tokens = 0
    while not sentences or time.perf_counter() < started + seconds:
        for translation in translator.translate_stream(texts, options):
            sentences += 1
            tokens += translation.target_tokens
    return Rate(beam, None, sentences, tokens, time.perf_counter() - started)


def time_in_flight(pool: Pool, texts: Texts, beam: int, in_flight: int, seconds: float) -> Rate:
    """A number of texts under way at any time, each a request of its own, until the time is up.

    Raises the TranslationError of a text that cannot be translated.
    """
    options = TranslateOptions(beam_size=beam, raw=True)
    model = pool.models[0]
    back: SimpleQueue[tuple[Future[list[Result]], float, float]] = SimpleQueue()

    def send(text: str) -> None:
        sent = time.perf_counter()
        future = pool.submit([text], model.source_lang, model.target_lang, options)
        future.add_done_callback(lambda done: back.put((done, sent, time.perf_counter())))

    def receive() -> tuple[Translation, float]:
        future, sent, came = back.get()
        (result,) = future.result()
        if isinstance(result, NmtError):
            raise result
        return result, came - sent

    for text in texts[:WARM_UP_TEXTS]:
        send(text)
        receive()
    stream = cycle(texts)
    under_way = tokens = 0
    latencies: list[float] = []
    started = time.perf_counter()
    while True:
        is_time = not latencies or time.perf_counter() < started + seconds
        while is_time and under_way < in_flight:
            send(next(stream))
            under_way += 1
        if not under_way:
            break
        translation, latency = receive()
        under_way -= 1
        tokens += translation.target_tokens
        latencies.append(latency)
    return Rate(beam, in_flight, len(latencies), tokens, time.perf_counter() - started, tuple(latencies))


# How much memory


class PeakMemory:
    """The largest sum of proportional set sizes of this process and its workers while the block lasted, in bytes."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._ended.wait(MEMORY_EVERY_S):
            self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, pss_bytes(os.getpid()))


# How near to the machine's limit


def decoder_operations(model: ModelConfig, words: float) -> float:
    """Multiplications and additions of the products that one decoder step of one hypothesis takes.

    2 (sum of inputs * outputs) over the recurrence of each layer ([h~; h] or [h below; h] to four gates), attention's
    product with the query, h's half of the attentional vector and the output layer over `words` target pieces. What an
    engine multiplies beforehand does not count: the embedding's part of the gates, once a vocabulary, and the context's
    half of the attentional vector, once a source position. Nor does attention over the source, no product with weights.
    """
    H = model.hidden_size
    A = H if model.tying == "none" else model.embedding_size
    recurrence = 4 * H * ((A if model.input_feeding else 0) + H) + (model.decoder_layers - 1) * 4 * H * 2 * H
    query = {"dot": 0, "general": 0, "concat": H * H, "location": H * model.attention_max_length}[model.attention]
    centre = H * H + H if model.attention_span == "local-p" else 0
    return 2 * (recurrence + query + centre + H * A + A * words)


def operations(rate: Rate, length: int, per_step: float) -> float:
    """Of all decoder steps of a measurement whose translations all have `length` tokens.

    The first step has one live hypothesis, each of the `length` further ones, that of EOS among them, has `beam`.
    """
    assert rate.target_tokens == rate.sentences * length
    return rate.sentences * (1 + rate.beam * length) * per_step


def mean_words(bundle: Bundle, texts: Texts) -> float:
    """Target pieces that the output layer computes for a sentence, on average."""
    if bundle.shortlist is None:
        return float(bundle.config.tgt_vocab)
    encoded = bundle.tokenizers.source.encode_batch(texts)
    return sum(len(bundle.shortlist.words(ids)) for ids in encoded) / len(encoded)


def gemm_ceiling(precision: str, device: str, workers: int, seconds: float = GEMM_S) -> float:
    """Operations a second of the best 2048 x 2048 x 2048 product, summed over processes of one thread that run at once.

    torch's products: fp32, bf16, fp16 or int8 (int32 sums).
    """
    command = [sys.executable, "-c", f"from {__name__} import gemm; gemm({precision!r}, {device!r}, {seconds!r})"]
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, "1")
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    processes = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()  # it has imported torch
        return sum(map(float, [out for out, _ in _communicate(processes)]))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _communicate(processes: Sequence[subprocess.Popen[str]]) -> list[tuple[str, str]]:
    """Let all begin, then wait for all."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("begin\n")
        process.stdin.flush()
    return [process.communicate() for process in processes]


def gemm(precision: str, device: str, seconds: float) -> None:
    """One process of `gemm_ceiling`: waits for a line, prints operations a second."""
    import torch

    torch.set_num_threads(1)
    multiply = _product(precision, device)
    multiply()
    print(flush=True)
    sys.stdin.readline()
    best = math.inf
    end = time.perf_counter() + seconds
    while best == math.inf or time.perf_counter() < end:
        started = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - started)
    print(2 * GEMM_SIZE**3 / best)


def _product(precision: str, device: str) -> Callable[[], object]:
    """A function that multiplies two matrices and waits for the result."""
    import torch

    on_gpu = device.startswith("cuda")
    shape = (GEMM_SIZE, GEMM_SIZE)
    if precision == "int8":
        a, b = (torch.randint(-128, 128, shape, dtype=torch.int8, device=device) for _ in range(2))
    else:
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        a, b = (torch.randn(shape, device=device).to(dtype) for _ in range(2))

    def multiply() -> None:
        if precision == "int8":
            torch._int_mm(a, b)
        else:
            torch.mm(a, b)
        if on_gpu:
            torch.cuda.synchronize()

    return multiply
