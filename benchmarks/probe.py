"""Asks a path again and again, each time on a new connection as load balancers do, and says how long the answers took.

    python -m benchmarks.probe http://127.0.0.1:8000 /health /metrics --seconds 10

A program of its own, so that it is not late because of who started it.
"""

from __future__ import annotations

import argparse
import json
import socket
import time
from collections import Counter
from urllib.parse import urlsplit

from benchmarks.load import share_of

INTERVAL_S = 0.05
TIMEOUT_S = 10.0


def ask(host: str, port: int, path: str) -> tuple[int, float]:
    """Status (0: none came) and seconds."""
    began = time.monotonic()
    data = b""
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as wire:
            wire.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            while chunk := wire.recv(65536):
                data += chunk
    except OSError:
        return 0, time.monotonic() - began
    return int(data[9:12] or 0), time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    address = urlsplit(chosen.url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    times: dict[str, list[float]] = {path: [] for path in chosen.paths}
    statuses: dict[str, Counter[int]] = {path: Counter() for path in chosen.paths}
    end = time.monotonic() + chosen.seconds
    number = 0
    while time.monotonic() < end:
        path = chosen.paths[number % len(chosen.paths)]
        status, seconds = ask(host, port, path)
        times[path].append(1000 * seconds)
        statuses[path][status] += 1
        number += 1
        time.sleep(max(0.0, INTERVAL_S - seconds))
    report = {
        path: {
            "number": len(taken),
            "statuses": statuses[path],
            "p50_ms": share_of(sorted(taken), 0.5),
            "p99_ms": share_of(sorted(taken), 0.99),
            "max_ms": max(taken, default=0.0),
        }
        for path, taken in times.items()
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
