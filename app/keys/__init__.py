"""The file of keys and of what they have used, and the command that keeps it.

    python -m app.keys add NAME [--characters-per-month N] ...
    python -m app.keys list | set NAME ... | remove NAME

Only a key's hash is kept. SHA-256 without salt or stretching suffices: a key is 256 random bits, which nobody can guess
from a hash however fast it is computed. A service that runs takes over changes of the file within a second.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nmt.errors import ConfigError

FILE_NAME = "keys.sqlite"
ANONYMOUS = "anonymous"
"""What a caller without a key is called."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Names stand in logs and in labels of metrics."""
PREFIX = "nmt_"
"""What every key begins with: programs that look for leaked secrets can tell."""
BUSY_S = 5.0
_VERSION = 1
_SCHEMA = """
CREATE TABLE keys (
    name TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    is_admin INTEGER NOT NULL,
    texts_per_minute INTEGER NOT NULL,
    characters_per_minute INTEGER NOT NULL,
    characters_per_month INTEGER NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE usage (
    name TEXT NOT NULL,
    month TEXT NOT NULL,
    characters INTEGER NOT NULL,
    PRIMARY KEY (name, month)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Limits:
    """What a caller may send; 0: no limit."""

    texts_per_minute: int = 0
    characters_per_minute: int = 0
    characters_per_month: int = 0


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Key:
    """What is known of a key: not the key."""

    name: str
    digest: bytes
    """Its SHA-256."""
    limits: Limits = NO_LIMITS
    is_admin: bool = False
    """May reload models."""
    created: str = ""
    """Day, in ISO 8601."""


def digest_of(key: str) -> bytes:
    """The SHA-256 of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


class KeyFile:
    """The SQLite file. Safe for any thread, and for several processes at once; every call may wait for the disk."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises ConfigError where it cannot be used."""
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(0o600)
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"{path}: cannot be used as the file of keys: {error}") from None

    def _prepare(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")  # of two that open it for the first time one makes the tables
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if not version:
            for statement in _SCHEMA.split(";\n"):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        self._connection.execute("COMMIT")
        if version not in (0, _VERSION):
            raise ConfigError(f"{self.path}: a file of keys of version {version}; this program reads {_VERSION}")

    def add(self, name: str, limits: Limits = NO_LIMITS, *, is_admin: bool = False) -> str:
        """Enter a new key and return it: it can never be read again. Raises ConfigError for a name that is taken."""
        if not NAME.fullmatch(name) or name == ANONYMOUS:
            raise ConfigError(f"{name!r} cannot be the name of a key: letters, digits, '.', '_' and '-', at most 64")
        key = _new_key()
        row = (name, digest_of(key), is_admin, *_numbers(limits), _today())
        try:
            self._change("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        except sqlite3.IntegrityError:
            raise ConfigError(f"there is a key of the name {name} already") from None
        return key

    def replace(self, name: str) -> str:
        """A new key for a name, whose limits and usage stay; the old one is void. Raises ConfigError."""
        key = _new_key()
        self._change_one(name, "UPDATE keys SET digest = ? WHERE name = ?", (digest_of(key), name))
        return key

    def set(self, name: str, limits: Limits, *, is_admin: bool) -> None:
        """Change what a key may do. Raises ConfigError where there is none of the name."""
        self._change_one(
            name,
            "UPDATE keys SET is_admin = ?, texts_per_minute = ?, characters_per_minute = ?, characters_per_month = ? "
            "WHERE name = ?",
            (is_admin, *_numbers(limits), name),
        )

    def remove(self, name: str) -> None:
        """Make a key void; what it used stays written. Raises ConfigError where there is none of the name."""
        self._change_one(name, "DELETE FROM keys WHERE name = ?", (name,))

    def keys(self) -> list[Key]:
        """All of them, by name."""
        columns = "name, digest, texts_per_minute, characters_per_minute, characters_per_month, is_admin, created"
        with self._lock:
            rows = self._connection.execute(f"SELECT {columns} FROM keys ORDER BY name").fetchall()
        return [Key(row[0], bytes(row[1]), Limits(*row[2:5]), bool(row[5]), row[6]) for row in rows]

    def get(self, name: str) -> Key:
        """The key of a name. Raises ConfigError."""
        found = next((key for key in self.keys() if key.name == name), None)
        if found is None:
            raise ConfigError(f"there is no key of the name {name}")
        return found

    def used(self, month: str) -> dict[str, int]:
        """Characters by name in a month, written as 2026-01."""
        with self._lock:
            rows = self._connection.execute("SELECT name, characters FROM usage WHERE month = ?", (month,))
            return dict(rows.fetchall())

    def add_usage(self, characters: Mapping[tuple[str, str], int]) -> None:
        """Add characters to what is written, by name and month, all of them or none. Raises sqlite3.Error."""
        rows = [(name, month, number) for (name, month), number in characters.items()]
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(
                    "INSERT INTO usage VALUES (?, ?, ?) "
                    "ON CONFLICT (name, month) DO UPDATE SET characters = characters + excluded.characters",
                    rows,
                )
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    def version(self) -> int:
        """A number that is another one when somebody else has changed the file."""
        with self._lock:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> KeyFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _change(self, statement: str, values: tuple[object, ...]) -> int:
        with self._lock, closing(self._connection.execute(statement, values)) as cursor:
            return cursor.rowcount

    def _change_one(self, name: str, statement: str, values: tuple[object, ...]) -> None:
        if not self._change(statement, values):
            raise ConfigError(f"there is no key of the name {name}")


def _new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _numbers(limits: Limits) -> tuple[int, int, int]:
    return limits.texts_per_minute, limits.characters_per_minute, limits.characters_per_month


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
