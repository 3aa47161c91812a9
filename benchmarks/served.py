"""A server in a process of its own, and what the system tells of it: memory, descriptors, threads, processor time.

Reads /proc, so Linux only.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nmt.hardware import process_tree

ROOT = Path(__file__).parents[1]
NMT = (sys.executable, "-m", "nmt.cli.main", "serve")
START_S = 180.0


class Served:
    """A server that answers at `url`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log
        self.url = f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        """Of the process that speaks HTTP."""
        return self.process.pid

    def others(self) -> list[int]:
        """Its other processes: engine workers."""
        return sorted(set(process_tree(self.pid)) - {self.pid})

    def pss_mb(self) -> float:
        """Memory of all its processes; a page that several share counts once."""
        return sum(_rollup(pid, "Pss:") for pid in process_tree(self.pid)) / 1024

    def own_pss_mb(self) -> float:
        """The same of the process that speaks HTTP alone."""
        return _rollup(self.pid, "Pss:") / 1024

    def files(self) -> int:
        """Open descriptors of all its processes."""
        return sum(_entries(pid, "fd") for pid in process_tree(self.pid))

    def threads(self) -> int:
        """Of all its processes."""
        return sum(_entries(pid, "task") for pid in process_tree(self.pid))

    def engine_cpu_s(self) -> float:
        """Processor time of its other processes so far, to the microsecond."""
        return sum(_cpu_s(pid) for pid in self.others())

    def get(self, path: str, timeout_s: float = 5.0) -> tuple[int, str]:
        """Status and body of a GET; status 0 where nothing answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""


@contextmanager
def served(
    arguments: Sequence[str] = (),
    *,
    program: Sequence[str] = NMT,
    ready: str = "/readyz",
    log: Path | None = None,
    environment: dict[str, str] | None = None,
    folder: Path = ROOT,
) -> Iterator[Served]:
    """`nmt serve` with these arguments on a free port, ready inside the block; killed at its end if it still runs.

    `program` stands in for `nmt serve`; `ready` is the path that answers when it is. It runs in `folder`, and what it
    prints goes to `log`.
    """
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NMT_")}
    log = log or Path(os.devnull)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*program, "--port", str(port), *arguments],
            cwd=folder,
            env=clean | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Served(process, port, log)
    try:
        end = time.monotonic() + START_S
        while server.get(ready)[0] != 200:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start (exit code {process.poll()}): see {log}")
            time.sleep(0.05)
        yield server
    finally:
        children = [] if process.poll() is not None else server.others()
        process.kill()
        process.wait()
        for child in children:
            _wait_until_gone(child)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _rollup(pid: int, key: str) -> int:
    """A figure of smaps_rollup in KiB; 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)


def _entries(pid: int, kind: str) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/{kind}").iterdir())
    except OSError:
        return 0


def _cpu_s(pid: int) -> float:
    """Of all threads, from the scheduler's own count."""
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(path.read_text().split()[0])
        except (OSError, IndexError):
            continue
    return total / 1e9


def _wait_until_gone(pid: int) -> None:
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.02)
