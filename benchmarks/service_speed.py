"""The service under many clients, beside its own engine: how much of the engine's speed reaches the clients.

    python -m benchmarks.service_speed                        64 clients, the shipped en-de model, about a minute
    python -m benchmarks.service_speed --fields '{"beam_size": 1}'

Both sides translate single sentences of the same file on as many workers, 64 of them under way at any time, in turns.
`engine` is `nmt.inference.Pool`, which the service stands on, fed by the program itself, before and after each turn of
the service. The clients run on the same cores as the service; what they use is no cost of the service, so the last
column gives it back: the rate times (cores / (cores - the clients' share)).
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import machine
from benchmarks.load import Load
from nmt.data.corpus import read_lines
from nmt.hardware import available_cores
from nmt.inference import ModelInfo, Pool, TranslateOptions
from nmt.inference.types import Result

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models" / "en-de"
TEXTS = Path(__file__).parent / "data" / "test.en.gz"


@dataclass(frozen=True)
class Round:
    """Both sides, once."""

    engine_per_s: float
    """Mean of just before and just after the service's turn."""
    service: Load
    server_cpu_s: float
    """Of the process that speaks HTTP, for the requests counted."""

    def ratio(self, cores: int) -> float:
        """Service over engine, the clients' processor time given back."""
        left = cores - self.service.cpu_s / self.service.seconds
        return self.service.per_s * cores / left / self.engine_per_s


def engine_rate(
    pool: Pool, texts: Sequence[str], options: TranslateOptions, in_flight: int, seconds: float, warm_s: float
) -> float:
    """Texts a second with so many under way: each answer sends the next text. Raises NmtError."""
    model = pool.models[0]
    done = 0
    errors: list[Result | BaseException] = []
    is_over = False
    finished = threading.Semaphore(0)
    order = iter(range(1 << 60))

    def send() -> None:
        text = texts[next(order) % len(texts)]
        pool.submit([text], model.source_lang, model.target_lang, options).add_done_callback(note)

    def note(future: Future[list[Result]]) -> None:
        nonlocal done
        (result,) = future.result()
        if isinstance(result, Exception):
            errors.append(result)
        done += 1
        if is_over:
            finished.release()
        else:
            send()

    for _ in range(in_flight):
        send()
    time.sleep(warm_s)
    before, began = done, time.monotonic()
    time.sleep(seconds)
    after, taken = done, time.monotonic() - began
    is_over = True
    for _ in range(in_flight):
        finished.acquire()
    if errors:
        raise RuntimeError(f"{len(errors)} texts failed: {errors[0]}")
    return (after - before) / taken


@contextmanager
def service(model: Path, workers: int) -> Iterator[tuple[str, int]]:
    """`nmt serve` with this model alone, in a process of its own: its address and process."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with TemporaryDirectory() as models, ExitStack() as stack:
        Path(models, model.name).symlink_to(model.resolve())
        command = [sys.executable, "-m", "nmt.cli.main", "serve", "--port", str(port), "--models", models]
        command += ["--workers", str(workers)]
        nowhere = subprocess.DEVNULL
        process = stack.enter_context(subprocess.Popen(command, stdout=nowhere, stderr=nowhere))
        stack.callback(process.terminate)
        while not _answers(f"{url}/readyz"):
            if process.poll() is not None:
                sys.exit(f"error: {' '.join(command)} ended with exit code {process.returncode}")
            time.sleep(0.1)
        yield url, process.pid


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url):
            return True
    except OSError:
        return False


def service_load(url: str, texts: Path, model: ModelInfo, chosen: argparse.Namespace) -> Load:
    """What the clients saw, who are a process of their own."""
    command = [sys.executable, "-m", "benchmarks.load", url, str(texts), "--clients", str(chosen.clients)]
    command += ["--seconds", str(chosen.seconds), "--warm", str(chosen.warm), "--fields", chosen.fields]
    command += ["--source", model.source_lang, "--target", model.target_lang]
    answer = json.loads(subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout)
    return Load(**answer | {"statuses": {int(key): value for key, value in answer["statuses"].items()}})


def measure(chosen: argparse.Namespace) -> Iterator[Round]:
    """The rounds, one by one."""
    fields = json.loads(chosen.fields)
    options = TranslateOptions(beam_size=fields.get("beam_size"), raw=fields.get("raw", False))
    texts = [text for text in read_lines(chosen.texts) if text.strip()]
    with (
        Pool([chosen.model], workers=chosen.workers) as pool,
        service(chosen.model, chosen.workers) as (url, pid),
    ):

        def engine() -> float:
            return engine_rate(pool, texts, options, chosen.clients, chosen.seconds, chosen.warm)

        earlier = engine()
        for _ in range(chosen.rounds):
            before = machine.own_cpu_seconds(pid)
            load = service_load(url, chosen.texts, pool.models[0], chosen)
            share = chosen.seconds / (chosen.seconds + chosen.warm)
            server_cpu_s = (machine.own_cpu_seconds(pid) - before) * share
            later = engine()
            yield Round((earlier + later) / 2, load, server_cpu_s)
            earlier = later


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--texts", type=Path, default=TEXTS, help="one sentence a line, .gz or not")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    # a network of random weights repeats itself, which would be tried again: another load than the one to measure
    parser.add_argument("--fields", default='{"raw": true}', help="more fields of the requests, as a JSON object")
    parser.add_argument("--json", type=Path, help="write everything measured here, too")
    chosen = parser.parse_args()
    cores = available_cores()
    facts = machine.facts()
    print(f"{facts['processor']}, {cores} cores; {chosen.model}, {chosen.clients} clients, {chosen.fields}\n")
    print("engine/s  service/s  ratio  p50 ms  p99 ms  server cores  clients' cores  ratio, clients' time given back")
    rounds: list[Round] = []
    for one in measure(chosen):
        load = one.service
        if set(load.statuses) != {200}:
            sys.exit(f"error: not every request was answered with 200: {load.statuses}")
        rounds.append(one)
        print(
            f"{one.engine_per_s:8.0f} {load.per_s:10.0f} {load.per_s / one.engine_per_s:6.1%} {load.p50_ms:7.1f}"
            f" {load.p99_ms:7.1f} {one.server_cpu_s / load.seconds:13.2f} {load.cpu_s / load.seconds:15.2f}"
            f" {one.ratio(cores):10.1%}",
            flush=True,
        )
    plain = statistics.median(one.service.per_s / one.engine_per_s for one in rounds)
    print(
        f"\nmedian of {len(rounds)}: {plain:.1%}; clients' time given back: "
        f"{statistics.median(one.ratio(cores) for one in rounds):.1%}"
    )
    if chosen.json:
        record = {"machine": facts, "rounds": [one.__dict__ | {"service": one.service.__dict__} for one in rounds]}
        chosen.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
