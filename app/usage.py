"""Characters by caller and month: counted in memory, written to the file of keys in batches by another thread."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from app.keys import KeyFile

logger = logging.getLogger(__name__)


class Ledger:
    """What each caller has used this month. `add` and `used` are for one thread, `write` for another."""

    def __init__(self, file: KeyFile | None = None, *, now: Callable[[], float] = time.time) -> None:
        """`now`: seconds since 1970. Without a file what is counted ends with the process."""
        self._file = file
        self._now = now
        self._month = ""
        self._ends = 0.0
        self._used: dict[str, int] = {}
        """Of this month, by name."""
        self._unwritten: Counter[tuple[str, str]] = Counter()
        self._is_failing = False
        self._turn()
        if file is not None:
            self._used = file.used(self._month)

    def add(self, name: str, characters: int) -> None:
        """Count characters of a caller; fewer than none gives back what was counted for nothing."""
        if self._now() >= self._ends:
            self._turn()
        self._used[name] = max(0, self._used.get(name, 0) + characters)
        if self._file is not None:
            self._unwritten[name, self._month] += characters

    def used(self, name: str) -> int:
        """Characters of a caller in this month (UTC)."""
        if self._now() >= self._ends:
            self._turn()
        return self._used.get(name, 0)

    @property
    def month(self) -> str:
        """The one that is counted, written as 2026-01."""
        return self._month

    def refresh(self, month: str, used: dict[str, int]) -> None:
        """Start from what the file says now, which others may write, too."""
        if month == self._month:
            self._used = used
            for (name, of_month), characters in self._unwritten.items():
                if of_month == month:
                    used[name] = max(0, used.get(name, 0) + characters)

    @property
    def remaining_s(self) -> float:
        """To the end of the month, in seconds."""
        return max(0.0, self._ends - self._now())

    def take_unwritten(self) -> Counter[tuple[str, str]]:
        """What has yet to be written, by name and month; whoever takes it writes it."""
        taken, self._unwritten = self._unwritten, Counter()
        return taken

    def put_back(self, characters: Counter[tuple[str, str]]) -> None:
        """What could not be written."""
        self._unwritten.update(characters)

    def write(self, characters: Counter[tuple[str, str]]) -> bool:
        """Write these; False: it could not be done, and is to be tried again. Waits for the disk."""
        if self._file is None or not characters:
            return True
        try:
            self._file.add_usage(characters)
        except sqlite3.Error as error:
            if not self._is_failing:  # once, not at every attempt
                logger.error("usage cannot be written to %s: %s", self._file.path, error)
            self._is_failing = True
            return False
        if self._is_failing:
            logger.warning("usage is written to %s again", self._file.path)
        self._is_failing = False
        return True

    def _turn(self) -> None:
        """Begin the month that it is. What others may have written of it comes with the next `refresh`."""
        self._month, self._ends = month_of(self._now())
        self._used = {}


def month_of(seconds: float) -> tuple[str, float]:
    """The month (UTC) of a time in seconds since 1970, written as 2026-01, and when it ends."""
    moment = datetime.fromtimestamp(seconds, UTC)
    year, month = (moment.year + 1, 1) if moment.month == 12 else (moment.year, moment.month + 1)
    return moment.strftime("%Y-%m"), datetime(year, month, 1, tzinfo=UTC).timestamp()
