"""What the packages import is what pyproject.toml declares and requirements.lock pins."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")

EXTRAS = PROJECT["optional-dependencies"]
RUN_TIME = [
    *PROJECT["dependencies"],
    *(text for extra in ("client", "otel", "pictures", "tensorboard") for text in EXTRAS[extra]),
]
WITH_TORCH = {"triton"}
"""Comes with torch's builds for GPUs; nothing needs it."""
EVERYTHING = [
    Requirement(text)
    for text in (*RUN_TIME, *EXTRAS["browser"], *EXTRAS["contracts"], *EXTRAS["dev"])
    if not text.startswith(PROJECT["name"])
]


def imported_packages(*folders: str) -> set[str]:
    """Top-level names of other people's packages that the files below `folders` import."""
    tops = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                tops.add(node.module.partition(".")[0])
    return tops - sys.stdlib_module_names - {"nmt", "app", "benchmarks", "tests"}


def undeclared(packages: set[str], requirements: list[str]) -> set[str]:
    declared = {canonicalize_name(Requirement(text).name) for text in requirements}
    distributions = packages_distributions()
    return {p for p in packages if not declared & {canonicalize_name(name) for name in distributions.get(p, ())}}


def test_every_package_that_nmt_and_app_import_is_declared() -> None:
    assert undeclared(imported_packages("nmt", "app") - WITH_TORCH, RUN_TIME) == set()


def test_every_package_that_the_tests_import_is_declared() -> None:
    assert undeclared(imported_packages("tests"), [str(requirement) for requirement in EVERYTHING]) == set()


def test_a_missing_declaration_is_seen() -> None:
    assert undeclared({"numpy", "nowhere_at_all"}, ["numpy>=1.26"]) == {"nowhere_at_all"}
    assert undeclared({"numpy"}, ["rich"]) == {"numpy"}


def test_the_lock_pins_every_declared_package_to_a_version_that_is_allowed() -> None:
    pins = dict(line.split("==") for line in LOCK.splitlines() if line and not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in pins.items()}
    for requirement in EVERYTHING:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_the_lock_binds_torch_to_no_build_and_nobody_to_an_index() -> None:
    assert re.search(r"^torch==[\d.]+$", LOCK, re.MULTILINE)
    assert not re.search(r"^\s*-|://|--hash", LOCK, re.MULTILINE)
