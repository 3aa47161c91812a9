"""Compile the kernels: once for each family of processors, into `lib/`. Standard library only.

`python -m nmt.native.build` after a change of the sources; installing the package does it by itself (hatch_build.py).
The compiler is $CC, cc, gcc or clang, else the one that the wheel `ziglang` brings, so that a machine without any needs
nothing but pip.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE / "src"
LIBRARIES = HERE / "lib"
SUFFIX = ".dylib" if sys.platform == "darwin" else ".so"
COMPILER_WHEEL = "ziglang"

FLAGS = (
    *("-std=gnu11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)
AVX2 = ("-mavx2", "-mfma", "-mf16c")
AVX512 = (*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
X86: dict[str, tuple[str, ...]] = {  # exactly what cpu.c asks the processor for
    "amx": (*AVX512, "-mamx-tile", "-mamx-int8"),
    "avx512vnni": AVX512,
    "avxvnni": (*AVX2, "-mavxvnni"),
    "avx2": AVX2,
}
VARIANTS: dict[str, tuple[str, ...]] = {
    **(X86 if platform.machine() in ("x86_64", "AMD64") else {}),
    "generic": (),
}
"""Flags of each library, the best first."""


class BuildError(Exception):
    """No compiler, or it refused; the message has its words."""


def source_hash() -> str:
    """What the libraries are made of: each carries it, so that a stale one is noticed."""
    digest = hashlib.sha256(repr((FLAGS, sorted(VARIANTS.items()))).encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def find_compiler() -> list[str] | None:
    """The command of a C compiler; None where there is none."""
    if command := os.environ.get("CC"):
        return shlex.split(command)
    for name in ("cc", "gcc", "clang"):
        if path := shutil.which(name):
            return [path]
    if importlib.util.find_spec(COMPILER_WHEEL):
        return [sys.executable, "-m", COMPILER_WHEEL, "cc"]
    return None


def build(folder: Path = LIBRARIES) -> list[str]:
    """Compile every variant that the compiler knows; their names. Raises BuildError where not even `generic` works."""
    compiler = find_compiler()
    if compiler is None:
        raise BuildError(f"no C compiler (cc, gcc, clang, or pip install {COMPILER_WHEEL})")
    folder.mkdir(exist_ok=True)
    stamp = source_hash()
    with ThreadPoolExecutor(max_workers=len(VARIANTS)) as pool:
        said = pool.map(lambda name: _compile(compiler, name, folder, stamp), VARIANTS)
        errors = dict(zip(VARIANTS, said, strict=True))
    for name, error in errors.items():
        if error:
            print(f"nmt.native: {name} left out: {error}", file=sys.stderr)
    if errors["generic"]:
        raise BuildError(errors["generic"])
    return [name for name, error in errors.items() if not error]


def _compile(compiler: Sequence[str], name: str, folder: Path, stamp: str) -> str:
    """What the compiler said against it; empty when all is well. A library appears whole or not at all."""
    with tempfile.TemporaryDirectory(dir=folder) as partial:
        library = Path(partial) / f"{name}{SUFFIX}"
        sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
        command = [*compiler, *FLAGS, *VARIANTS[name], f'-DSOURCE_HASH="{stamp}"', "-o", str(library), *sources, "-lm"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            return f"{shlex.join(compiler)}: {error.strerror}"
        if done.returncode:
            return f"{shlex.join(compiler)}: {done.stderr.strip()[-2000:]}"
        library.replace(folder / library.name)
    return ""


if __name__ == "__main__":
    print(*build(), "built with", shlex.join(find_compiler() or []))
