"""Hatchling's door to nmt/native/build.py: installing the package, or building its wheel, compiles the kernels."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SKIP = "NMT_NO_NATIVE"
"""Set it to leave the kernels out: translation then runs on torch alone."""

# by its path: the package itself cannot be imported before what it needs is installed
_place = Path(__file__).parent / "nmt" / "native" / "build.py"
_spec = importlib.util.spec_from_file_location("nmt_native_build", _place)
assert _spec is not None
assert _spec.loader is not None
native = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(native)


class NativeBuildHook(BuildHookInterface):  # type: ignore[misc, type-arg]
    """Compiles the kernels into the wheel; where that fails, the wheel is built without them and says so."""

    def dependencies(self) -> list[str]:
        """A compiler from a wheel, where the machine has none."""
        if os.environ.get(SKIP) or native.find_compiler():
            return []
        return [native.COMPILER_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or os.environ.get(SKIP):
            return
        try:
            names = native.build()
        except native.BuildError as error:
            self.app.display_warning(f"translation will run on torch alone, slower: {error}")
            return
        build_data["artifacts"] += [f"nmt/native/lib/{name}{native.SUFFIX}" for name in names]
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
