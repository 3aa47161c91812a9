"""Rows about time: whether the service needs more and more, and whether this would be seen."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from benchmarks.rows.row import Row, Run
from benchmarks.served import NMT, Served, served

MB_PER_10K = 1.0
SHARE = 0.05
"""Of the memory after the warm-up, by which it may have grown at the end."""
LEAK_BYTES = 1000
"""What the service with a leak keeps of each request: 10 MB of 10,000."""


@dataclass(frozen=True)
class Moment:
    """The service at rest, between two stretches of load."""

    requests: int
    """Answered so far."""
    pss_mb: float
    files: int
    threads: int
    p99_ms: float


def soak(run: Run) -> Iterator[Row]:
    """The service under load for a long time."""
    with run.serve() as server:
        moments, failed = _stretch(run, server, run.soak_s, run.seconds(30, 4))
    yield _row("soak", f"{run.soak_s / 60:.0f} minutes", moments, failed)


def leak(run: Run) -> Iterator[Row]:
    """The same with a service that leaks: where that passes, the measurement sees nothing."""
    program = (NMT[0], "-m", "benchmarks.leaking", "serve")
    seconds = run.seconds(240, 40)
    with served(
        ["--models", str(run.models())],
        program=program,
        log=run.folder / "server.log",
        environment={"LEAK_BYTES": str(LEAK_BYTES)},
    ) as server:
        moments, failed = _stretch(run, server, seconds, run.seconds(20, 4))
    row = _row("leak", "", moments, failed)
    yield Row(
        "leak",
        f"control: a service that keeps {LEAK_BYTES} bytes of each request does not pass the row above",
        row.measured,
        row.passed is False and slope(moments) > MB_PER_10K,
        row.figures,
    )


def _stretch(run: Run, server: Served, seconds: float, slice_s: float) -> tuple[list[Moment], int]:
    """Load in slices, and the service at rest after each; requests that failed."""
    texts = run.folder / "lengths.txt"
    texts.write_text("".join(f"{text}\n" for text in lengths(run.texts, run.quick)), "utf-8")
    moments: list[Moment] = []
    requests = failed = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(moments) < 6:
        load = run.closed(server, 16, slice_s, warm_s=0.0, texts=texts)
        requests += load.requests
        failed += sum(number for status, number in load.statuses.items() if status != 200)
        time.sleep(0.5)
        moments.append(Moment(requests, server.pss_mb(), server.files(), server.threads(), load.p99_ms))
    return moments, failed


def lengths(texts: Sequence[str], is_quick: bool) -> list[str]:
    """Texts of random lengths, from a word to some sentences; in a quick run of a few words, to have many requests."""
    rng = random.Random(1)
    made = []
    for _ in range(2000):
        words = " ".join(rng.sample(texts, 3)).split()
        made.append(" ".join(words[: rng.randint(1, 3) if is_quick else int(rng.triangular(1, 60, 8))]))
    return made


def slope(moments: Sequence[Moment]) -> float:
    """MB for 10,000 requests after the warm-up (a third): the median of the slopes of all pairs (Theil and Sen)."""
    late = moments[len(moments) // 3 :]
    pairs = [(one, two) for number, one in enumerate(late) for two in late[number + 1 :] if two.requests > one.requests]
    return statistics.median((two.pss_mb - one.pss_mb) / (two.requests - one.requests) * 10_000 for one, two in pairs)


def _row(name: str, how_long: str, moments: Sequence[Moment], failed: int) -> Row:
    late = moments[len(moments) // 3 :]
    first, last = late[0], late[-1]
    growth = last.pss_mb / first.pss_mb - 1
    rise = slope(moments)
    early, end = (statistics.median(moment.p99_ms for moment in part) for part in _halves(late))
    return Row(
        name,
        f"{how_long} of 16 clients with texts of random lengths: memory rises by at most {MB_PER_10K:.0f} MB for 10,000"
        f" requests and {SHARE:.0%} in all after the warm-up, descriptors and threads do not, nothing fails",
        f"{last.requests:,} requests, {failed} failed; {rise:+.2f} MB for 10,000 ({first.pss_mb:.0f} to"
        f" {last.pss_mb:.0f} MB, {growth:+.1%}); descriptors {first.files} to {last.files}, threads {first.threads} to"
        f" {last.threads}; p99 {early:.0f} ms in the first half, {end:.0f} ms in the second",
        rise <= MB_PER_10K
        and growth <= SHARE
        and last.files <= first.files
        and last.threads <= first.threads
        and not failed,
        {"slope_mb_per_10k": rise, "moments": [asdict(moment) for moment in moments]},
    )


def _halves(moments: Sequence[Moment]) -> tuple[Sequence[Moment], Sequence[Moment]]:
    middle = len(moments) // 2
    return moments[:middle], moments[middle:]
