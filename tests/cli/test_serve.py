"""`nmt serve`: the server's life from the outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from nmt.cli.serve import check_address
from nmt.errors import ConfigError

ROOT = Path(__file__).parents[2]


def serve(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NMT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "nmt.cli.main", "serve", *map(str, arguments)],
        cwd=ROOT,
        env=clean | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def get(url: str, body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=30) as answer:
        return json.load(answer)


def wait_until_ready(url: str, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            get(f"{url}/readyz")
        except (URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError(process.communicate(timeout=1)[0] if process.poll() is not None else "not ready")


def test_it_translates_and_ends_well_at_sigterm(bundle: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # the option goes before the variable, which names a folder that is not there
    process = serve("--models", bundle.parent, "--port", str(port), "--workers", "1", NMT_MODELS="/nowhere")
    try:
        wait_until_ready(url, process)
        answer = get(f"{url}/translate", {"q": "The dog sees the man.", "source": "en", "target": "de"})
        assert isinstance(answer, dict)
        assert answer["translatedText"]
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert "Traceback" not in output


def test_a_second_sigterm_ends_it_although_somebody_waits(bundle: Path) -> None:
    port = free_port()
    process = serve("--models", bundle.parent, "--port", str(port), "--workers", "1")
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", process)
        with socket.create_connection(("127.0.0.1", port)) as half:
            head = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
            half.sendall(head + b"\r\n{")
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1.0)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, time.monotonic() - began < 10) == (128 + signal.SIGTERM, True), output


def test_what_cannot_be_finished_before_the_end_gets_an_answer(bundle: Path) -> None:
    port = free_port()
    process = serve("--models", bundle.parent, "--port", str(port), "--workers", "1", NMT_DRAIN_S="0.5")
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", process)
        with socket.create_connection(("127.0.0.1", port), timeout=60) as half, half.makefile("rb") as answer:
            head = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
            half.sendall(head + b"\r\n{")
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            told = answer.read()
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert told.startswith(b"HTTP/1.1 503 ")
    assert json.loads(told.partition(b"\r\n\r\n")[2]) == {"error": "the service is stopping"}
    assert process.returncode == 0, output
    assert "POST /translate 503" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"NMT_MODELS": "/nowhere"}, "error: /nowhere: no such folder of models: set NMT_MODELS to one"),
        ({"NMT_DRAIN_S": "soon"}, "error: NMT_DRAIN_S: "),
    ],
)
def test_a_wrong_setting_ends_it_with_one_line(environment: dict[str, str], message: str) -> None:
    process = serve("--port", "0", **environment)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert message in output
    assert "Traceback" not in output


def test_a_port_in_use_is_told_before_anything_is_loaded() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            check_address("127.0.0.1", port)
