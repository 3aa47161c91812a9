"""What the service promises, measured on the real one: `nmt serve` with a model that ships. `make reliability` runs it.

    python -m benchmarks.reliability                      everything: about an hour
    python -m benchmarks.reliability --quick              shorter in every row: minutes, for finding mistakes
    python -m benchmarks.reliability --only capacity open
    python -m benchmarks.reliability --beside             LibreTranslate's HTTP layer under the same load

Prints a table (Markdown) and ends with exit code 1 if a row that was measured did not hold. A row that stops with an
error does not hold. The machine should have nothing else to do: what else used it is told above the table.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import machine
from benchmarks.rows import attacks, beside, inputs, life, soak, under_load
from benchmarks.rows.row import Row, Run

MEASUREMENTS: Mapping[str, Callable[[Run], Iterator[Row]]] = {
    "capacity": under_load.capacity,
    "open": under_load.overload,
    "after": under_load.after,
    "alone": under_load.invariance,
    "fairness": under_load.fairness,
    "storm": under_load.storm,
    "sigterm": life.sigterm,
    "workers": life.workers,
    "reload": life.reloads,
    "attacks": attacks.attacks,
    "schema": inputs.schema,
    "strings": inputs.strings,
    "soak": soak.soak,
    "leak": soak.leak,
}
"""By name; one may measure several rows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--quick", action="store_true", help="minutes instead of an hour")
    parser.add_argument("--soak", type=float, help="minutes of the row `soak` (30; with --quick 1)")
    parser.add_argument(
        "--strings", type=Path, help="a list of difficult strings, JSON or JSON.gz, for the row `strings`"
    )
    parser.add_argument("--beside", action="store_true", help="LibreTranslate under the same load, instead")
    parser.add_argument("--json", type=Path, help="write everything measured, too")
    chosen = parser.parse_args()
    minutes = chosen.soak or (1 if chosen.quick else 30)
    measurements = {"beside": beside.beside} if chosen.beside else MEASUREMENTS
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers are ended, too
    rows: list[Row] = []
    began = time.monotonic()
    others = machine.watch([os.getpid()])
    with tempfile.TemporaryDirectory() as folder:
        run = Run(chosen.quick, Path(folder), 60 * minutes, chosen.strings)
        for name, measure in measurements.items():
            if chosen.only and name not in chosen.only:
                continue
            for row in _measured(name, measure, run):
                rows.append(row)
                if chosen.json:  # each time: a run of an hour may be cut short
                    _write(chosen.json, rows, is_quick=chosen.quick, others=others())
                print(f"[{time.monotonic() - began:6.0f} s] {row.name}: {row.verdict}: {row.measured}", file=sys.stderr)
    facts = machine.facts()
    print(f"{facts['processor']}, {facts['cores']} cores, of which others used {others():.2f}", end="")
    print(f"; {(time.monotonic() - began) / 60:.0f} minutes{', quick' if chosen.quick else ''}\n")
    print(table(rows))
    sys.exit(any(row.passed is False for row in rows))


def _measured(name: str, measure: Callable[[Run], Iterator[Row]], run: Run) -> Iterator[Row]:
    """The rows of a measurement; one that stops with an error has a row that says so."""
    try:
        yield from measure(run)
    except Exception as error:
        traceback.print_exc()
        log = run.folder / "server.log"
        if log.exists():
            print("".join(log.read_text("utf-8", "replace").splitlines(keepends=True)[-20:]), file=sys.stderr)
        yield Row(name, "", f"stopped: {type(error).__name__}: {error}", False)


def _write(path: Path, rows: list[Row], *, is_quick: bool, others: float) -> None:
    record = {"machine": machine.facts(), "quick": is_quick, "cores_used_by_others": others}
    record |= {"rows": [vars(row) for row in rows]}
    path.write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| row | promise | measured | holds |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.name} | {row.promise} | {row.measured} | {row.verdict} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
