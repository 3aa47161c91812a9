"""Rows about the life of the service: its end, its models, the death of its workers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from benchmarks.rows.row import MODELS, Answer, Row, Run, Wire, ask, get, probed, translation
from benchmarks.served import Served
from nmt.bundle import WEIGHTS, write_sums

RECOVERY_S = 5.0
HANG_S = 5.0
"""After which a worker that does not answer is replaced, in the row about it; the default is longer."""


def sigterm(run: Run) -> Iterator[Row]:
    """SIGTERM with work in hand, once and twice."""
    with run.serve() as server:
        answers, after, seconds = asyncio.run(_terminate(server, run.texts))
        code = server.process.wait(60)
    statuses = Counter(answer.status for answer in answers)
    yield Row(
        "sigterm",
        "SIGTERM with 32 requests of 16 sentences in hand: all answered, exit code 0 within 30 s; meanwhile /livez is"
        " 200, /readyz 503, and new work is refused",
        f"{statuses[200]} of 32 answered, {seconds:.1f} s, exit code {code}; meanwhile {after}",
        statuses == {200: 32}
        and code == 0
        and seconds <= 30
        and after == {"/livez": 200, "/readyz": 503, "new work": 503},
        {"statuses": statuses, "meanwhile": after},
    )
    with run.serve() as server:
        seconds = asyncio.run(_terminate_twice(server, run.texts))
        code = server.process.wait(60)
        left = [pid for pid in server.others() if Path(f"/proc/{pid}").exists()]
    yield Row(
        "sigterm-twice",
        "a second SIGTERM, with work in hand, ends it within 1 s, workers included",
        f"{seconds:.2f} s, exit code {code}, {len(left)} processes left",
        seconds <= 1 and code != 0 and not left,
    )


async def _terminate(server: Served, texts: Sequence[str]) -> tuple[list[Answer], dict[str, int], float]:
    """The answers to 32 requests, what else is asked during the drain, and how long the process lived on."""
    waiting = await _many(server, texts)
    later = [await Wire.to(server) for _ in range(3)]
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.15)
    asked = {"/livez": get("/livez"), "/readyz": get("/readyz"), "new work": translation("Hello.")}
    after = {}
    for (name, data), wire in zip(asked.items(), later, strict=True):
        after[name] = (await wire.ask(data, timeout_s=2)).status
    answers = await asyncio.gather(*waiting)
    while server.process.poll() is None and time.monotonic() - began < 60:
        await asyncio.sleep(0.02)
    return answers, after, time.monotonic() - began


async def _terminate_twice(server: Served, texts: Sequence[str]) -> float:
    waiting = await _many(server, texts)
    server.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.1)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    while server.process.poll() is None and time.monotonic() - began < 60:
        await asyncio.sleep(0.005)
    seconds = time.monotonic() - began
    await asyncio.gather(*waiting)
    return seconds


async def _many(server: Served, texts: Sequence[str]) -> list[asyncio.Task[Answer]]:
    """32 requests, sent and not yet answered."""
    tasks = []
    for number in range(32):
        part = [texts[(16 * number + index) % len(texts)] for index in range(16)]
        tasks.append(asyncio.create_task(ask(server, translation(part))))
    await asyncio.sleep(0.1)
    return tasks


def workers(run: Run) -> Iterator[Row]:
    """Workers that are killed and workers that stop."""
    yield _trouble(run, "kill", signal.SIGKILL, "2")
    yield _trouble(run, "kill-only", signal.SIGKILL, "1")
    yield _trouble(run, "stop", signal.SIGSTOP, "2")


def _trouble(run: Run, name: str, number: signal.Signals, count: str) -> Row:
    """What 8 clients notice when a worker is sent a signal, and when there is another in its place."""
    is_stop = number == signal.SIGSTOP
    limit_s = RECOVERY_S + (HANG_S if is_stop else 0)
    with run.serve("--workers", count, hang_s=str(HANG_S)) as server:
        before = server.others()
        found: dict[str, float] = {}
        timer = threading.Timer(3, _send, (server, before[0], number, found))
        timer.start()
        watching = run.probe(server, "/livez", seconds=limit_s + 5)
        load = run.closed(server, 8, limit_s + 4, warm_s=1)
        timer.join()
        health = probed(watching)["/livez"]
        answer = asyncio.run(ask(server, translation("Where is the station?")))
        alive = server.others()
    new = set(alive) - set(before)
    replaced = found.get("replaced", float("inf"))
    failed = sum(count for status, count in load.statuses.items() if status != 200)
    what = "stopped (it hangs)" if is_stop else "killed"
    return Row(
        name,
        f"one of {count} workers is {what}: another works in its place within {limit_s:.0f} s, no request of 8 clients"
        " fails, /livez always answers",
        f"another after {replaced:.1f} s, {failed} of {load.requests} requests failed, p50 {load.p50_ms:.0f} ms,"
        f" p99 {load.p99_ms:.0f} ms",
        replaced <= limit_s and not failed and set(health["statuses"]) == {200} and answer.status == 200 and bool(new),
        {"load": load.__dict__, "livez": health, "limit_s": limit_s},
    )


def _send(server: Served, pid: int, number: signal.Signals, found: dict[str, float]) -> None:
    """Send a worker a signal, and note when another one has begun to compute."""
    before = set(server.others())
    os.kill(pid, number)
    began = time.monotonic()
    while time.monotonic() - began < 30:
        status, _ = server.get("/readyz")
        if status == 200 and (new := set(server.others()) - before) and _has_loaded(min(new)):
            found["replaced"] = time.monotonic() - began
            return
        time.sleep(0.05)


def _has_loaded(pid: int) -> bool:
    """Whether a worker waits for work or does some: its stack is no longer that of a start. By its memory."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return False
    return pages * os.sysconf("SC_PAGE_SIZE") > 40e6


def reloads(run: Run) -> Iterator[Row]:
    """Other models under load."""
    promise = "20 hot reloads under 8 clients: no failure, each answer wholly of one model, memory back to base + 5 %"
    folder = run.folder / "swapped"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    variants = [MODELS / "en-de", variant(MODELS / "en-de", run.folder / "variant")]
    current = folder / "en-de"
    current.symlink_to(variants[0])
    number = 4 if run.quick else 20
    with run.serve(models=folder) as server:
        if not _takes_sighup(server.pid):
            yield Row("reload", promise, "this service does not reload at SIGHUP", None)
            return
        figures = asyncio.run(_swap(server, run.texts, current, variants, number))
    wrong, failed, answers, base, end, seen = figures
    yield Row(
        "reload",
        promise.replace("20", str(number)),
        f"{answers} answers of {len(seen)} models, {failed} failed, {wrong} mixed; memory {base:.0f} MB before,"
        f" {end:.0f} MB after",
        not wrong and not failed and len(seen) == 2 and end <= 1.05 * base,
        {"answers": answers, "versions": seen},
    )


def variant(bundle: Path, folder: Path) -> Path:
    """A copy of a bundle that translates otherwise: it likes some words less."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bundle, folder)
    weights = load_file(folder / WEIGHTS)
    rng = np.random.default_rng(1)
    bias = weights["output.bias"]
    weights["output.bias"] = (bias + rng.normal(0, 1.0, bias.shape)).astype(bias.dtype)
    save_file(weights, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)
    write_sums(folder)
    return folder


def _takes_sighup(pid: int) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGHUP - 1) & 1)
    return False


async def _swap(
    server: Served, texts: Sequence[str], current: Path, variants: Sequence[Path], number: int
) -> tuple[int, int, int, float, float, dict[str, int]]:
    """Answers that are of no one model, failures, answers, memory before and after, answers by version."""
    parts = [list(texts[start : start + 4]) for start in range(0, 80, 4)]
    expected: dict[str, dict[int, list[str]]] = {}
    for bundle in (*variants[1:], variants[0]):
        await _load(server, current, bundle)
        for index, part in enumerate(parts):
            answer = await ask(server, translation(part))
            expected.setdefault(answer.headers["x-model-version"], {})[index] = answer.json()["translatedText"]
    await asyncio.sleep(3)
    base = server.pss_mb()
    is_over = False
    wrong = failed = answers = 0
    seen: Counter[str] = Counter()

    async def client(first: int) -> None:
        nonlocal wrong, failed, answers
        wire = await Wire.to(server)
        index = first
        while not is_over:
            index = (index + 1) % len(parts)
            answer = await wire.ask(translation(parts[index]))
            answers += 1
            version = answer.headers.get("x-model-version", "")
            if answer.status != 200:
                failed += 1
                wire = await Wire.to(server)
            elif answer.json()["translatedText"] != expected.get(version, {}).get(index):
                wrong += 1
            else:
                seen[version] += 1

    clients = [asyncio.create_task(client(3 * number)) for number in range(8)]
    for turn in range(number):
        await _load(server, current, variants[(turn + 1) % 2])
        await asyncio.sleep(0.5)
    is_over = True
    await asyncio.gather(*clients)
    await _load(server, current, variants[0])
    await asyncio.sleep(5)
    return wrong, failed, answers, base, server.pss_mb(), dict(seen)


async def _load(server: Served, current: Path, bundle: Path) -> None:
    """Put a bundle in the place that is served, and wait until its version answers."""
    beside = current.with_name(".next")
    beside.unlink(missing_ok=True)
    beside.symlink_to(bundle)
    beside.replace(current)
    server.process.send_signal(signal.SIGHUP)
    version = next(
        line.split()[0][:12] for line in (bundle / "SHA256SUMS").read_text().splitlines() if line.endswith(WEIGHTS)
    )
    end = time.monotonic() + 60
    while time.monotonic() < end:
        answer = await ask(server, translation("Hello."))
        if version in answer.headers.get("x-model-version", ""):
            return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"{version} was not loaded within 60 s")
