"""The page on tasks: its table is what the program does, its example is run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

from nmt.bundle import KINDS
from nmt.config import TASK_DEFAULTS, TaskName, default

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
