"""Virtual environments for the toolkits that we are compared with, every version in them pinned.

Each has a list of packages beside the drivers, `<name>.lock`, which says why it is as it is. torch is the build for
CPUs: on some platforms the plain package brings several GB of CUDA libraries along.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

LOCKS = Path(__file__).parent / "peer_drivers"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
TORCH = "torch==2.13.0"
STAMP = ".installed"


@dataclass(frozen=True)
class Environment:
    """One toolkit's: the name of its folder and of its list of packages."""

    name: str
    uses_torch: bool = True


ENVIRONMENTS = {e.name: e for e in (Environment("opennmt"), Environment("joey"), Environment("ctranslate2", False))}
LIBRETRANSLATE = Environment("libretranslate", False)
"""Its HTTP layer alone, for benchmarks/rows/beside.py."""


def install(environment: Environment, root: Path) -> Path:
    """Make the environment below `root` unless it is there already; its Python.

    Raises subprocess.CalledProcessError where a step fails; what it printed has gone to standard error.
    """
    folder = root / environment.name
    python = folder / "bin" / "python"
    lock = LOCKS / f"{environment.name}.lock"
    recipe = f"{environment}\n{TORCH}\n{sys.version}\n{lock.read_text('utf-8')}"
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    stamp = folder / STAMP
    if stamp.exists() and stamp.read_text() == digest:
        return python
    print(f"installing {environment.name} into {folder}", file=sys.stderr, flush=True)
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    # the lists are whole: without --no-deps OpenNMT-py would have an older torch, and Joey NMT an older protobuf
    pip = (str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps")
    if environment.uses_torch:
        # alone: only this one name is asked of the extra index, and where that cannot be reached pip goes on
        _run(*pip, "--retries", "1", "--timeout", "10", "--extra-index-url", CPU_INDEX, TORCH)
    _run(*pip, "--requirement", str(lock))
    stamp.write_text(digest)
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
