"""The page on tasks: its table is what the program does, its example is run."""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest

from nmt.bundle import KINDS
from nmt.config import TASK_DEFAULTS, TaskName, default
from nmt.training import trainer
from tests.cli.calls import call_here

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text("utf-8")


def rows() -> list[list[str]]:
    lines = (line for line in PAGE.splitlines() if line.startswith("| `"))
    return [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in lines]


def test_every_task_is_on_the_page_with_the_commands_that_use_it() -> None:
    found = {json.loads(row[0]): row[3].replace("`", "") for row in rows() if row[0].startswith('"')}
    assert found == {task: re.findall(r"\((.*)\)", KINDS[task])[0] for task in get_args(TaskName)}


def test_defaults_of_tasks_are_those_of_the_program() -> None:
    table = {
        row[0]: dict(zip(get_args(TaskName), map(json.loads, row[1:]), strict=True)) for row in rows() if len(row) == 5
    }
    keys = {key for own in TASK_DEFAULTS.values() for key in own}
    assert table == {key: {task: default(key, task) for task in get_args(TaskName)} for key in keys}


def test_the_hello_example_does_what_the_page_says() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    assert min(names["after"]) > 0.95
    assert max(names["before"]) < 0.6
    for which in ("before", "after"):
        (written,) = re.findall(rf"`{which}` is ([\d., ]+\d)", PAGE)
        assert [float(p) for p in written.split(", ")] == names[which]


def test_the_hello_example_is_learnt_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands as they stand on the page."""
    monkeypatch.setattr("nmt.cli.models.THREAD_VARIABLES", ())
    monkeypatch.setattr(trainer, "learning_curve", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    Path("hello.txt").write_text("hello\n", "utf-8")
    page = PAGE[PAGE.index('hello.txt"]]') :].replace("\\\n", " ")
    train, score = (
        line.split("nmt ", 1)
        for line in PAGE.replace("\\\n", " ").splitlines()
        if "hello.txt" in line and "nmt " in line
    )
    assert call_here(*shlex.split(train[1]), "training.precision=fp32", "--no-tensorboard") == 0
    capsys.readouterr()
    assert call_here(*shlex.split(score[1])) == 0
    row = capsys.readouterr().out.split("\t")[3].strip()
    found, written = (
        [piece.split(":") for piece in text.split(" ")] for text in (row, *re.findall(r"`(▁:-.*)`", page))
    )
    assert [piece for piece, _ in found] == [piece for piece, _ in written] == ["▁", *"hello", "</s>"]
    assert min(float(log_p) for _, log_p in found) > math.log(0.9)
