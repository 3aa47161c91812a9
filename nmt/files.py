"""Files and folders that appear whole or not at all: written beside their place, synced, then renamed into it."""

from __future__ import annotations

import ctypes
import gzip
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nmt.errors import ConfigError

PARTIAL = ".partial"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a whole file. A kill at any moment leaves the old file or the new one."""
    with atomic_file(path) as partial:
        partial.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def check_outputs(*paths: Path | None) -> None:
    """Raise ConfigError where `write_output` could not write, before any time is spent on what is to be written.

    None: nothing will be.
    """
    for path in paths:
        if path is None:
            continue
        parent = path.resolve().parent
        if path.is_dir():
            raise ConfigError(unwritten(path, IsADirectoryError(None, "it is a folder")))
        if not parent.is_dir():
            raise ConfigError(unwritten(path, FileNotFoundError(None, f"there is no folder {parent}")))


def write_output(path: Path, content: bytes | str) -> None:
    """Write what a user asked for to the place that he named: a file whole, through a link too; `.gz` is compressed.

    A pipe or a device, which a renaming would replace, is written as it is. Raises ConfigError where the place cannot
    be written, BrokenPipeError where nobody reads the pipe any more.
    """
    check_outputs(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    if path.suffix.lower() == ".gz":
        data = gzip.compress(data, mtime=0)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            write_atomic(path.resolve(), data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(unwritten(path, error)) from None


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """The path of a file to write, which takes the place of `path` when the block ends without an exception."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        yield partial
        _sync_file(partial)
        partial.replace(path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `path`, or of what that links to, when the block ends without an
    exception.

    Where `path` exists already the two change places in one step, and the old one is removed. A file system that cannot
    do that (NFS) has no `path` for the instant between two renames.
    """
    path = path.resolve()  # a link stays a link
    partial = path.with_name(path.name + PARTIAL)
    if partial.is_symlink():
        partial.unlink()
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                _sync_file(file)
        _sync_folder(partial)
        if path.exists():
            _exchange(partial, path)
        else:
            partial.rename(path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    """Let two paths change places."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # glibc 2.28, musl 1.2.6
    if renameat2 is not None and renameat2(_AT_FDCWD, bytes(one), _AT_FDCWD, bytes(other), _RENAME_EXCHANGE) == 0:
        return
    aside = other.with_name(other.name + ".old" + PARTIAL)
    shutil.rmtree(aside, ignore_errors=True)
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def unwritten(place: Path, error: Exception) -> str:
    """What to say where a file or folder could not be written. `error`: of the system, or of a library that wrote."""
    return f"{place}: cannot be written: {getattr(error, 'strerror', None) or error}"


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
