"""How the kernels are compiled, found and refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.native import build, library

pytestmark = pytest.mark.skipif(build.find_compiler() is None, reason="needs a C compiler")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the libraries, with nothing remembered of the real one."""
    monkeypatch.setattr(build, "LIBRARIES", tmp_path)
    monkeypatch.setattr(build, "VARIANTS", {"generic": ("-O0",)})
    monkeypatch.setattr(library, "load", library.load.__wrapped__)
    monkeypatch.setattr(library, "best", library.best.__wrapped__)
    return tmp_path


def test_what_was_built_is_found(folder: Path) -> None:
    assert not library.available()
    assert build.build(folder) == ["generic"]
    assert library.best() == "generic"
    assert [path.name for path in folder.iterdir()] == [f"generic{build.SUFFIX}"]


def test_a_library_older_than_its_sources_is_left_alone_with_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.build(folder)
    monkeypatch.setattr(build, "source_hash", lambda: "of a later version")
    with pytest.warns(UserWarning, match=r"generic is older than its sources: run python -m nmt\.native\.build"):
        assert not library.available()


def test_a_file_that_is_no_library_is_none(folder: Path) -> None:
    (folder / f"generic{build.SUFFIX}").write_bytes(b"not compiled")
    assert not library.available()


def test_without_a_compiler_the_error_says_how_to_get_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(build, "COMPILER_WHEEL", "nmt_no_such_wheel")
    with pytest.raises(build.BuildError, match=r"no C compiler \(cc, gcc, clang, or pip install nmt_no_such_wheel\)"):
        build.build(folder)


def test_what_a_compiler_says_is_passed_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(build.VARIANTS, "generic", ("-fno-such-flag",))
    with pytest.raises(build.BuildError, match="no-such-flag"):
        build.build(folder)
    assert list(folder.iterdir()) == []


def test_a_variant_that_the_compiler_refuses_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(build.VARIANTS, "special", ("-fno-such-flag",))
    assert build.build(folder) == ["generic"]
    assert "special left out" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc")
def test_the_sources_compile_without_warnings(tmp_path: Path) -> None:
    """Of the strict kind, in the plainest and the widest variant."""
    strict = ["-Wextra", "-Werror", "-Wno-unused-parameter", '-DSOURCE_HASH=""', "-fsyntax-only"]
    for flags in (build.VARIANTS["generic"], build.VARIANTS.get("avx512vnni", ())):
        sources = [str(path) for path in sorted(build.SOURCES.glob("*.c"))]
        done = subprocess.run(
            ["cc", *build.FLAGS, *flags, *strict, *sources], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_importing_the_package_loads_no_library() -> None:
    code = "import nmt.native, sys; sys.exit(any(name.startswith('nmt.native.') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True)
