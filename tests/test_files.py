"""Invariant 5: files and folders appear whole or not at all."""

from __future__ import annotations

import ctypes
import gzip
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nmt.errors import ConfigError
from nmt.files import atomic_folder, check_outputs, sha256, write_atomic, write_output


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def fill(folder: Path, text: str) -> None:
    with atomic_folder(folder) as partial:
        (partial / "sub").mkdir()
        (partial / "a").write_text(text, "utf-8")
        (partial / "sub" / "b").write_text(text, "utf-8")


def test_a_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "x") as partial:
        (partial / "a").write_text("1", "utf-8")
        assert not (tmp_path / "x").exists()
    assert names(tmp_path) == {"x", "x/a"}


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    fill(tmp_path / "x", "old")
    (tmp_path / "x" / "only-in-the-old").touch()
    fill(tmp_path / "x", "new")
    assert names(tmp_path) == {"x", "x/a", "x/sub", "x/sub/b"}
    assert (tmp_path / "x" / "a").read_text("utf-8") == "new"


def test_a_replaced_folder_is_there_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two change places in one system call; no rename leaves the path empty for an instant."""
    fill(tmp_path / "x", "old")

    def refuse(*_: object) -> None:
        raise AssertionError("a rename")

    monkeypatch.setattr(Path, "rename", refuse)
    fill(tmp_path / "x", "new")
    assert (tmp_path / "x" / "a").read_text("utf-8") == "new"


def test_a_folder_is_replaced_where_the_system_cannot_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    test_a_folder_is_replaced_as_a_whole(tmp_path)


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path / "x", "old")
    before = names(tmp_path)

    def fail_half_way() -> None:
        with atomic_folder(tmp_path / "x") as partial:
            (partial / "a").write_text("half", "utf-8")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail_half_way()
    assert names(tmp_path) == before
    assert (tmp_path / "x" / "a").read_text("utf-8") == "old"


def test_what_an_earlier_kill_left_behind_does_not_get_in(tmp_path: Path) -> None:
    leftover = tmp_path / "x.partial"
    leftover.mkdir()
    (leftover / "half").touch()
    fill(tmp_path / "x", "new")
    assert names(tmp_path) == {"x", "x/a", "x/sub", "x/sub/b"}


def test_a_folder_is_replaced_where_a_link_leads(tmp_path: Path) -> None:
    fill(tmp_path / "x", "old")
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "x.partial").symlink_to("x")  # in the way
    fill(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path) == {"link", "x", "x/a", "x/sub", "x/sub/b"}
    assert (tmp_path / "x" / "a").read_text("utf-8") == "new"


WRITER = """
import sys
from pathlib import Path
from nmt.files import atomic_folder, write_atomic
folder = Path(sys.argv[1])
for number in range(10**9):
    text = str(number) * 50_000
    with atomic_folder(folder / "x") as partial:
        (partial / "a").write_text(text)
        (partial / "b").write_text(text)
    write_atomic(folder / "file", text)
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_whole_folder_and_a_whole_file(tmp_path: Path) -> None:
    """Also between the two renames of a replacement: some version is there, and it is complete."""
    for moment in range(6):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        time.sleep(0.003 * moment)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        a, b = ((tmp_path / "x" / name).read_text("utf-8") for name in "ab")
        whole = (tmp_path / "file").read_text("utf-8")
        assert a == b
        for text in (a, whole):
            number = text[: len(text) // 50_000]
            assert text == number * 50_000


def test_a_file_is_replaced_by_one_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "f", "old")

    def full(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(tmp_path / "f", "new")
    assert (tmp_path / "f").read_text("utf-8") == "old"
    monkeypatch.undo()
    with (tmp_path / "f").open("rb") as reader:
        write_atomic(tmp_path / "f", b"\xff\x00")
        assert reader.read() == b"old"  # another file took the name; this one was not written into
    assert (tmp_path / "f").read_bytes() == b"\xff\x00"
    assert names(tmp_path) == {"f"}


def test_an_output_goes_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old", "utf-8")
    (tmp_path / "link").symlink_to("file")
    write_output(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text("utf-8") == "new"
    assert names(tmp_path) == {"file", "link"}


def test_an_output_goes_into_a_pipe_or_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=write_output, args=(pipe, "new"))
    writer.start()
    assert pipe.read_bytes() == b"new"
    writer.join()
    assert pipe.is_fifo()
    before = Path(os.devnull).stat().st_ino
    write_output(Path(os.devnull), "new")
    assert Path(os.devnull).stat().st_ino == before
    assert names(tmp_path) == {"pipe"}


def test_an_output_called_gz_is_compressed_alike_every_time(tmp_path: Path) -> None:
    write_output(tmp_path / "out.GZ", "ü\n")
    data = (tmp_path / "out.GZ").read_bytes()
    assert gzip.decompress(data) == "ü\n".encode()
    assert data[4:8] == bytes(4)  # the time


def test_an_output_that_cannot_be_written_is_an_error_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for name, reason in (("", "it is a folder"), ("no/out", "no folder"), ("file/out", "no folder")):
        with pytest.raises(ConfigError, match=f"cannot be written: .*{reason}"):
            check_outputs(None, tmp_path / name)
        with pytest.raises(ConfigError, match=f"cannot be written: .*{reason}"):
            write_output(tmp_path / name, "text")

    def full(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="out: cannot be written: disk full"):
        write_output(tmp_path / "out", "text")
    assert names(tmp_path) == {"file"}


def test_sha256_is_that_of_hashlib(tmp_path: Path) -> None:
    content = os.urandom(100_000)
    (tmp_path / "f").write_bytes(content)
    assert sha256(tmp_path / "f") == hashlib.sha256(content).hexdigest()
