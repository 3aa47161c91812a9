"""Files that are in work, and translated ones that wait to be fetched. In memory: nothing of a file goes to disk."""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.settings import Settings
from nmt.errors import Overloaded

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class TranslatedFile:
    """A file that waits to be fetched."""

    data: bytes
    name: str
    """What a user saves it as."""
    media_type: str
    expires: float
    """On the store's clock."""


class FileStore:
    """Translated files, each under a name that nobody can guess, for a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, never going back."""
        self._clock = clock
        self._files: OrderedDict[str, TranslatedFile] = OrderedDict()
        self._bytes = 0

    def put(self, data: bytes, name: str, media_type: str, *, life_s: float, max_bytes: int) -> str:
        """Keep a file; the name it is fetched by. The oldest make room where all together are over `max_bytes`."""
        self.forget_old()
        while self._files and self._bytes + len(data) > max_bytes:
            self._forget(next(iter(self._files)))
        key = f"{secrets.token_hex(16)}.{_UNSAFE.sub('_', name)[-100:]}"
        self._files[key] = TranslatedFile(data, name, media_type, self._clock() + life_s)
        self._bytes += len(data)
        return key

    def get(self, key: str) -> TranslatedFile | None:
        """The file of a name; None where there is none any more."""
        self.forget_old()
        return self._files.get(key)

    def forget_old(self) -> None:
        """Drop what has been kept long enough."""
        now = self._clock()
        for key in [key for key, file in self._files.items() if file.expires <= now]:
            self._forget(key)

    def __len__(self) -> int:
        return len(self._files)

    def _forget(self, key: str) -> None:
        self._bytes -= len(self._files.pop(key).data)


class FileDesk:
    """What of files belongs to the whole service: how many are in work, and those that are done."""

    def __init__(self) -> None:
        self.store = FileStore()
        self.in_work = 0

    @contextmanager
    def turn(self, settings: Settings) -> Iterator[None]:
        """A place for one file. Raises Overloaded where all are taken."""
        self.check_room(settings)
        self.in_work += 1
        try:
            yield
        finally:
            self.in_work -= 1

    def check_room(self, settings: Settings) -> None:
        """Raises Overloaded where as many files are in work as may be."""
        if self.in_work >= settings.max_file_jobs:
            raise Overloaded(f"{self.in_work} files are being translated, as many as may be", retry_after_s=5.0)
