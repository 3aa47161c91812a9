"""Invariant 1 across routes: library, command line and service give one text the same translation."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from nmt.inference import Translator
from tests.bundles import make_bundle, toy_sentences

SHORT = {"beam_size": 2, "max_length_factor": 0.8, "max_length_offset": 4}
START_S = 120.0


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_bundle(folder / "en-de", search=SHORT)
    return folder


def lines() -> list[str]:
    """One line each: a file cannot hold a text with a newline in it."""
    sentences = toy_sentences(200)
    return [*sentences, *(" ".join(sentences[i : i + 3]) for i in range(0, 30, 3)), "", "  padded  ", "???", "\u2028x"]


def test_library_command_and_service_agree(models: Path, tmp_path: Path) -> None:
    texts = lines()
    with Translator.load(models / "en-de") as translator:
        by_library = [translation.text for translation in translator.translate(texts)]
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_text("".join(f"{text}\n" for text in texts), "utf-8")
    command = [
        sys.executable,
        "-m",
        "nmt.cli.main",
        "translate",
        *map(str, (models / "en-de", "-i", source, "-o", output)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    by_command = output.read_text("utf-8").removesuffix("\n").split("\n")
    by_service = asyncio.run(ask_service(models, texts))
    assert by_command == by_library
    assert by_service == by_library


async def ask_service(models: Path, texts: list[str]) -> list[str]:
    """All texts at once, in requests of one text and of many."""
    app = create_app(Settings(models=models, workers=1, max_texts=100, deadline_s=START_S))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service", timeout=None) as client,
    ):

        async def ask(q: list[str] | str) -> list[str]:
            answer = await client.post("/translate", json={"q": q, "source": "en", "target": "de"})
            assert answer.status_code == 200, answer.text
            translated = answer.json()["translatedText"]
            return translated if isinstance(translated, list) else [translated]

        single = [ask(text) for text in texts[:40] if text]
        many = [ask(texts[first : first + 60]) for first in range(40, len(texts), 60)]
        return [text for part in await asyncio.gather(*single, *many) for text in part]


@pytest.fixture(scope="module")
def served(models: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`nmt serve` as a process, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "nmt.cli.main", "serve", "--port", str(port), "--models", str(models)]
    process = subprocess.Popen(command, env=os.environ | {"NMT_WORKERS": "1"})
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(process, address)
        yield process, address
    finally:
        process.kill()
        process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(f"{address}/readyz"):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise AssertionError("the server did not become ready")


def post(address: str, **fields: Any) -> Any:
    body = json.dumps({"source": "en", "target": "de"} | fields).encode()
    request = urllib.request.Request(f"{address}/translate", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_the_served_process_answers_and_drains_at_sigterm(
    served: tuple[subprocess.Popen[bytes], str], models: Path
) -> None:
    process, address = served
    text = toy_sentences(1)[0]
    answer = post(address, q=text, n_best=2, scores=True, alignments=True)
    with Translator.load(models / "en-de") as translator:
        assert answer["translatedText"] == translator.translate([text])[0].text
    assert [len(answer["nBest"]), answer["nBest"][0]["text"]] == [2, answer["translatedText"]]
    assert answer["scores"] == pytest.approx(answer["nBest"][0]["score"])
    with urllib.request.urlopen(f"{address}/docs") as page:
        assert b"http" not in page.read().replace(address.encode(), b"").replace(b"http-equiv", b"")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
