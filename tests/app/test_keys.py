"""`python -m app.keys`, as an operator types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.gate import Gate
from app.keys import FILE_NAME, KeyFile, Limits
from app.keys.__main__ import app
from nmt.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> "Run":
    return Run(tmp_path)


class Run:
    """The command over one folder."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def __call__(self, *arguments: str) -> str:
        done = CliRunner().invoke(app, arguments, env={"NMT_STATE": str(self.state)}, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output.strip()

    @property
    def file(self) -> KeyFile:
        return KeyFile(self.state / FILE_NAME)


def test_a_key_that_is_made_works_and_is_shown_once(run: Run) -> None:
    key = run("add", "alice", "--characters-per-month", "500", "--texts-per-minute", "7")
    assert len(key.split()) == 1
    with run.file as file:
        assert Gate(file=file).identify(key).name == "alice"
        assert file.get("alice").limits == Limits(7, 0, 500)
    assert key not in run("list")


def test_a_list_shows_limits_and_usage_of_this_month(run: Run) -> None:
    run("add", "alice", "--characters-per-minute", "60")
    key = run("add", "root", "--admin")
    with run.file as file:
        gate = Gate(file=file)
        gate.admit(key, characters=42, texts=1)
        assert gate._ledger.write(gate._ledger.take_unwritten())
    lines = [line.split()[:6] for line in run("list").splitlines()]
    assert lines == [
        ["name", "texts/min", "chars/min", "chars/month", "used", "admin"],
        ["alice", "0", "60", "0", "0", "no"],
        ["root", "0", "0", "0", "42", "yes"],
    ]


def test_only_what_is_named_changes(run: Run) -> None:
    key = run("add", "alice", "--characters-per-month", "500", "--texts-per-minute", "7")
    assert run("set", "alice", "--texts-per-minute", "0", "--admin") == ""
    with run.file as file:
        assert (file.get("alice").limits, file.get("alice").is_admin) == (Limits(0, 0, 500), True)
        assert Gate(file=file).identify(key).is_admin
    run("set", "alice", "--no-admin")
    other = run("set", "alice", "--new-key")
    with run.file as file:
        assert file.get("alice").limits == Limits(0, 0, 500)
        assert not Gate(file=file).identify(other).is_admin
    run("remove", "alice")
    assert len(run("list").splitlines()) == 1


def test_a_mistake_is_told(run: Run) -> None:
    with pytest.raises(ConfigError, match="no key of the name bob"):
        run("remove", "bob")


def test_as_a_program_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.keys", "remove", "bob", "--state", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no key of the name bob\n"
