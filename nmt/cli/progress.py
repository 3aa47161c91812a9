"""Progress over lines: a bar on a terminal, silence elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Speed(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(
            "" if speed is None else f"{speed:,.1f} {self._unit}/s" if speed < 100 else f"{speed:,.0f} {self._unit}/s"
        )


class LineProgress:
    """Lines done, lines a second and, with `total`, the time left; on standard error, if that is a terminal."""

    def __init__(self, total: int | None, *, done: int = 0, is_shown: bool = True, unit: str = "lines") -> None:
        """`unit`: what is counted."""
        self._console = Console(stderr=True)
        columns = [MofNCompleteColumn(), TextColumn(unit), _Speed(unit)]
        if total is not None:
            columns = [BarColumn(), *columns, TimeRemainingColumn()]
        self._progress = Progress(*columns, console=self._console, disable=not (is_shown and self._console.is_terminal))
        self._task = self._progress.add_task("", total=total, completed=done)

    def advance(self, lines: int) -> None:
        """`lines` more are done."""
        self._progress.advance(self._task, lines)

    def message(self, text: str) -> None:
        """A line on standard error, above the bar."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
