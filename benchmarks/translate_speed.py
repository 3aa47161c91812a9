"""How fast `nmt translate` is, as a user meets it: whole command, from start to the last line.

    python -m benchmarks.translate_speed models/en-de "$NMT_DATA/multi30k/test_2016_flickr.en.gz"

Each row is the best of `--repeat` runs. `steady` leaves out the time that the same command takes for one line, so it is
the rate of a long file.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nmt.data.corpus import read_lines
from nmt.hardware import available_cores


def seconds(model: Path, source: Path, beam: int, workers: int) -> float:
    """Wall time of one `nmt translate`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "nmt.cli.main", "translate", str(model), "-i", str(source)]
        command += ["-o", str(Path(folder) / "out"), "--beam", str(beam), "--workers", str(workers)]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - started


def machine() -> str:
    """Processor and cores."""
    names = [line for line in read_lines("/proc/cpuinfo") if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else platform.processor()
    return f"{name}, {available_cores()} cores, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("source", type=Path, help="one sentence a line, .gz or not")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    lines = list(read_lines(chosen.source))
    print(f"{machine()}\n{chosen.model}, {chosen.source.name}: {len(lines):,} sentences\n")
    print(f"{'beam':>5} {'workers':>8} {'seconds':>8} {'sent/s':>8} {'steady':>8}")
    with tempfile.TemporaryDirectory() as folder:
        one_line = Path(folder) / "one.gz"
        one_line.write_bytes(gzip.compress(f"{lines[0]}\n".encode()))
        for beam, workers in itertools.product(chosen.beams, chosen.workers):
            whole = min(seconds(chosen.model, chosen.source, beam, workers) for _ in range(chosen.repeat))
            start = min(seconds(chosen.model, one_line, beam, workers) for _ in range(chosen.repeat))
            rate, steady = len(lines) / whole, (len(lines) - 1) / max(whole - start, 1e-9)
            print(f"{beam:>5} {workers:>8} {whole:>8.2f} {rate:>8.1f} {steady:>8.1f}")


if __name__ == "__main__":
    main()
