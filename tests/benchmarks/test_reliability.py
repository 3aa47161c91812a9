"""What the reliability rows are made of, against servers and figures whose truth is known."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks import reliability
from benchmarks.load import generate, generate_open, request, share_of
from benchmarks.rows.inputs import load_strings, ways
from benchmarks.rows.row import Row, Run
from benchmarks.rows.soak import LEAK_BYTES, MB_PER_10K, Moment, lengths, slope
from benchmarks.served import served


@asynccontextmanager
async def server(answers: itertools.cycle[int], delay_s: float) -> AsyncIterator[int]:
    """The port of a server that answers these statuses in turn, each after a delay."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
                await asyncio.sleep(delay_s)
                status = next(answers)
                more = b"Retry-After: 1\r\n" if status == 503 else b""
                writer.write(b"HTTP/1.1 %d X\r\n%sContent-Length: 2\r\n\r\n{}" % (status, more))
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with running:
        yield running.sockets[0].getsockname()[1]


async def test_an_open_load_counts_what_came_of_each_request_that_was_due() -> None:
    requests = [request("x", "Hello.", "en", "de", {})]
    async with server(itertools.cycle([200, 200, 503]), 0.05) as port:
        load = await generate_open("127.0.0.1", port, requests, rate=200, seconds=0.5, warm_s=0.1)
    assert 60 < load.due < 140
    assert sum(load.statuses.values()) == load.due
    assert load.statuses[200] == pytest.approx(2 * load.statuses[503], abs=2)
    assert load.without_retry_after == load.unanswered == 0
    assert min(load.good_p50_ms, load.rejected_p50_ms) >= 50
    assert load.connections >= 5


async def test_an_open_load_does_not_wait_for_a_slow_server() -> None:
    requests = [request("x", "Hello.", "en", "de", {})]
    async with server(itertools.cycle([200]), 0.4) as port:
        load = await generate_open("127.0.0.1", port, requests, rate=100, seconds=0.3, warm_s=0.0)
    assert load.due > 15
    assert load.connections == load.due


async def test_a_closed_load_has_one_request_a_client_under_way() -> None:
    requests = [request("x", "Hello.", "en", "de", {})]
    async with server(itertools.cycle([200]), 0.1) as port:
        load = await generate("127.0.0.1", port, requests, clients=5, seconds=0.5, warm_s=0.05)
    assert 15 <= load.requests <= 25


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


def moments(mb_per_10k: float, noise_mb: float) -> list[Moment]:
    """A service of 300 MB that rises so fast, measured with an error, after a warm-up of 50 MB."""
    found = []
    for number in range(30):
        error = noise_mb * (-1) ** number
        warm = min(50.0, 10.0 * number)
        found.append(Moment(5000 * number, 300 + warm + mb_per_10k * number / 2 + error, 10, 10, 10.0))
    return found


@pytest.mark.parametrize("rise", [0.0, 0.5, 2.0])
def test_the_slope_is_found_through_noise_and_warm_up(rise: float) -> None:
    assert slope(moments(rise, noise_mb=2.0)) == pytest.approx(rise, abs=0.15)


def test_the_leak_of_the_control_is_above_the_limit() -> None:
    assert LEAK_BYTES * 10_000 / 2**20 > 5 * MB_PER_10K


def test_texts_have_random_lengths_within_bounds() -> None:
    texts = ["one two three four five six seven eight nine ten"] * 10
    words = [len(text.split()) for text in lengths(texts, is_quick=False)]
    assert min(words) == 1
    assert 20 < max(words) <= 60


def test_share_of() -> None:
    assert [share_of([1, 2, 3, 4], share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 3, 4, 4]
    assert share_of([], 0.5) == 0.0


def test_the_program_fails_where_a_row_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good, bad = Row("good", "p", "m", True), Row("bad", "p", "m", False)
    left_out = Row("out", "p", "why", None)
    monkeypatch.setattr(
        reliability,
        "MEASUREMENTS",
        {"good": lambda _: iter([good, left_out]), "bad": lambda _: iter([bad]), "error": lambda _: iter([1 // 0])},
    )
    for names, code in ((["good"], 0), (["good", "bad"], 1), (["error"], 1)):
        report = tmp_path / "report.json"
        monkeypatch.setattr(sys, "argv", ["reliability", "--only", *names, "--json", str(report)])
        with pytest.raises(SystemExit) as end:
            reliability.main()
        assert int(end.value.code or 0) == code
        shown = capsys.readouterr().out
        assert [row["name"] for row in json.loads(report.read_text())["rows"]] != []
        assert "| not measured |" in shown or "good" not in names
    assert "stopped: ZeroDivisionError" in shown


def test_every_way_is_a_request_with_the_text(tmp_path: Path) -> None:
    assert all(b"Hund" in data for data in ways("Hund").values())
    (tmp_path / "list.json").write_text('["a", "b"]', "utf-8")
    assert load_strings(tmp_path / "list.json") == ["a", "b"]


def test_the_mix_is_the_same_each_time_and_has_no_empty_line(tmp_path: Path) -> None:
    one, two = (Run(True, tmp_path, 1.0, None).texts for _ in range(2))
    assert one == two
    assert all(text.strip() for text in one)


def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"exit code 7"), served(program=[sys.executable, "-c", "exit(7)"]):
        pass
