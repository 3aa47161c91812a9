"""A real server, real bundles and callers that never pause, while the models change under them again and again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nmt.bundle import Bundle, write_sums
from nmt.inference import Translator
from tests.app.serving import free_port, wait_until_ready
from tests.bundles import make_bundle, toy_sentences

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

RELOADS = int(os.environ.get("TEST_RELOADS", "4"))
"""Twenty take a minute: benchmarks/reliability.py does so many."""
CALLERS = 4
WAIT_S = 60.0
SHORT = {"beam_size": 2, "max_length_factor": 0.8, "max_length_offset": 4}
TEXTS = toy_sentences(3)


@dataclass
class Calls:
    """What the callers saw."""

    answers: list[tuple[str | None, list[str]]] = field(default_factory=list)
    """Version named and texts."""
    failures: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(models: Path) -> Iterator[tuple[str, int]]:
    """The address and process of `nmt serve` over a folder of models."""
    port = free_port()
    command = [sys.executable, "-m", "nmt.cli.main", "serve", "--port", str(port), "--models", str(models)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NMT_")}
    environment |= {"NMT_WORKERS": "1", "NMT_ACCESS_LOG": "false"}
    process = subprocess.Popen(command, env=environment)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        assert process.wait(WAIT_S) == 0


def ask(address: str, path: str, **fields: Any) -> tuple[str | None, Any]:
    """The version that an answer names, and the answer."""
    body = json.dumps(fields).encode() if fields else None
    request = urllib.request.Request(address + path, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=WAIT_S) as response:
        return response.headers["X-Model-Version"], json.load(response)


def call(address: str, calls: Calls) -> None:
    while not calls.is_over.is_set():
        try:
            version, answer = ask(address, "/translate", q=TEXTS, source="en", target="de")
            calls.answers.append((version, answer["translatedText"]))
        except (OSError, urllib.error.HTTPError) as error:
            calls.failures.append(repr(error))


def put(bundle: Path, models: Path) -> None:
    """Have a bundle stand in the models folder, as another left it: by renaming."""
    place, beside = models / "en-de", models.with_name("beside")
    shutil.copytree(bundle, beside)
    if place.exists():
        place.rename(models.with_name("old"))
    beside.rename(place)
    shutil.rmtree(models.with_name("old"), ignore_errors=True)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Processes that any thread of a process has started."""
    listed = [path.read_text("ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return sorted(int(child) for child in " ".join(listed).split())


def memory_of(pid: int) -> int:
    """Sum of proportional set sizes of the server and its workers, in bytes."""
    total = 0
    for process in (pid, *children(pid)):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) << 10
    return total


def test_reloads_under_load_lose_no_request_and_no_memory(tmp_path: Path) -> None:
    expected: dict[str, list[str]] = {}
    bundles = [tmp_path / "one", tmp_path / "two"]
    for seed, folder in enumerate(bundles, start=1):
        version = make_bundle(folder, seed=seed, search=SHORT).version
        with Translator.load(folder, device="cpu") as translator:
            expected[version] = [one.text for one in translator.translate(TEXTS)]
    models = tmp_path / "models"
    models.mkdir()
    put(bundles[0], models)
    with serving(models) as (address, pid):
        calls = Calls()
        callers = [threading.Thread(target=call, args=(address, calls)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        base = 0
        for number in range(1, RELOADS + 1):
            put(bundles[number % 2], models)
            os.kill(pid, signal.SIGHUP)
            until(partial(serves, address, list(expected)[number % 2]))
            until(lambda: len(children(pid)) == 1)  # the old worker has ended
            if number == 2:
                base = memory_of(pid)
        calls.is_over.set()
        for caller in callers:
            caller.join()
        assert memory_of(pid) < 1.05 * base
    assert calls.failures == []
    assert {version for version, _ in calls.answers} == set(expected)
    for named, texts in calls.answers:
        assert named is not None
        assert texts == expected[named]


def truncate(bundle: Path, _: Bundle) -> None:
    weights = bundle / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def take_the_vocabulary_of(bundle: Path, other: Bundle) -> None:
    assert other.folder is not None
    for vocabulary in other.folder.glob("*.spm"):
        shutil.copy(vocabulary, bundle)
    write_sums(bundle)


def remove(bundle: Path, _: Bundle) -> None:
    shutil.rmtree(bundle)


def test_bundles_that_cannot_serve_change_nothing(tmp_path: Path) -> None:
    models = tmp_path / "models"
    good = make_bundle(tmp_path / "good", search=SHORT)
    other = make_bundle(tmp_path / "other", search=SHORT, text={"vocab_size": 290})
    assert good.folder is not None
    models.mkdir()
    put(good.folder, models)
    with serving(models) as (address, pid):
        for failures, damage in enumerate((truncate, take_the_vocabulary_of, remove), start=1):
            put(good.folder, models)
            damage(models / "en-de", other)
            os.kill(pid, signal.SIGHUP)
            until(partial(has_failed, address, failures))
            assert ask(address, "/readyz")[1] == {"status": "ok"}
            assert ask(address, "/translate", q="The dog.", source="en", target="de")[0] == good.version
        assert reloads(address, "ok") == 0
        put(good.folder, models)
        os.kill(pid, signal.SIGHUP)
        until(lambda: reloads(address, "ok") == 1)


def has_failed(address: str, times: int) -> bool:
    return reloads(address, "failed") == times


def serves(address: str, version: str) -> bool:
    """Whether the models have been replaced by this one."""
    return str(ask(address, "/models")[1]["models"][0]["version"]) == version


def reloads(address: str, result: str) -> float:
    """What /metrics says of them."""
    with urllib.request.urlopen(f"{address}/metrics") as response:
        lines = response.read().decode().splitlines()
    found = [line for line in lines if line.startswith("nmt_model_reloads_total{") and f'"{result}"' in line]
    return float(found[0].split()[-1])
