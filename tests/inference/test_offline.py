"""Files translated line by line: what lines are, what output looks like, and what a kill at any moment leaves."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import CheckpointError, CorpusError, TranslationError
from nmt.inference import Hypothesis, Translation, offline
from nmt.inference.offline import (
    Block,
    Journal,
    LineFormat,
    Result,
    ResumableOutput,
    count_lines,
    live_blocks,
    open_input,
    read_blocks,
    translate_blocks,
    translate_to_file,
    translate_to_stream,
)

HOSTILE = (
    b"plain\n\n  \n\xc2\x85 next\xe2\x80\xa8line\x0b\x0c\x1c\n\x00\nlone\rreturn\nwindows\r\n\r\r\n"
    b"\xf0\x9f\x98\x80\n\t\ttabs\t\n" + b"long " * 50_000 + b"\n\xe2\x80\xa9\nlast"
)
KIND = Journal("model", {"--beam": 5})


def shout(texts: Sequence[str]) -> list[Result]:
    """A translator to recognise: the text in capitals, its length as score."""
    return [Translation(text.upper(), float(len(text))) for text in texts]


def ignore(_: object) -> None:
    pass


def texts(blocks: Iterator[Block]) -> list[str]:
    return [line.text for block in blocks for line in block.lines]


PLAIN = LineFormat()


def translated(data: bytes, form: LineFormat = PLAIN, translate: offline.TranslateTexts = shout) -> bytes:
    return b"".join(done.output for done in translate_blocks(read_blocks(io.BytesIO(data), "x"), translate, form))


def run(source: Path, target: Path, *, kind: Journal = KIND, restart: bool = False) -> Journal:
    """Translate a file, or go on with it; returns the journal that it began with."""
    with open_input(source) as file, ResumableOutput(target, kind, restart=restart) as output:
        begun = output.journal
        translate_to_file(file, source, output, shout, LineFormat(), ignore)
    return begun


@pytest.fixture
def small_blocks() -> Iterator[None]:
    with patch.object(offline, "BLOCK_LINES", 3), patch.object(offline, "JOURNAL_EVERY_S", 0.0):
        yield


def test_hostile_lines_keep_their_count_their_order_and_their_ends() -> None:
    lines = translated(HOSTILE).split(b"\n")
    expected = [line.decode("utf-8") for line in HOSTILE.split(b"\n")]
    assert [line.decode("utf-8") for line in lines] == [line.upper() for line in expected]


@given(st.binary(max_size=60) | st.text(alphabet="a\n\r\u2028\x85", max_size=20).map(str.encode))
def test_any_bytes_give_as_many_lines_or_an_error_that_names_the_first_bad_one(data: bytes) -> None:
    bad = [number for number, line in enumerate(data.split(b"\n"), start=1) if not _is_utf8(line)]
    if bad:
        with pytest.raises(CorpusError) as caught:
            translated(data)
        assert caught.value.line == bad[0]
    else:
        assert translated(data).count(b"\n") == data.count(b"\n")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def test_a_byte_order_mark_is_no_text() -> None:
    assert translated(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n") == "A\n\ufeffB\n".encode()


@pytest.mark.usefixtures("small_blocks")
def test_blocks_depend_on_the_lines_alone() -> None:
    blocks = list(read_blocks(io.BytesIO(b"1\n2\n3\n4\n5"), "x"))
    assert [[line.text for line in block.lines] for block in blocks] == [["1", "2", "3"], ["4", "5"]]
    assert b"".join(block.raw for block in blocks) == b"1\n2\n3\n4\n5"


def test_memory_is_bounded_by_bytes_where_lines_are_long() -> None:
    data = (b"x" * 300_000 + b"\n") * 20
    assert max(len(block.lines) for block in read_blocks(io.BytesIO(data), "x")) == 4


def test_live_blocks_give_what_has_come_without_waiting_for_more() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as reader, os.fdopen(theirs, "wb", buffering=0) as writer:
        blocks = live_blocks(reader, "x")
        writer.write(b"one\ntwo\nthr")
        assert [line.text for line in next(blocks).lines] == ["one", "two"]
        writer.write(b"ee\n")
        assert [line.text for line in next(blocks).lines] == ["three"]
        writer.write(b"four")
        writer.close()
        assert next(blocks).lines == [offline.Line("four", "")]
        assert list(blocks) == []


def test_live_blocks_read_the_same_lines_as_blocks_of_a_file() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as reader:
        writer = threading.Thread(target=_write_and_close, args=(theirs, HOSTILE))
        writer.start()
        live = texts(live_blocks(reader, "x"))
        writer.join()
    assert live == texts(read_blocks(io.BytesIO(HOSTILE), "x"))


def test_a_compressed_pipe_gives_its_lines(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.gz"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(HOSTILE),))
    writer.start()
    with open_input(pipe) as file:
        live = texts(live_blocks(file, "x"))
    writer.join()
    assert live == texts(read_blocks(io.BytesIO(HOSTILE), "x"))


def _write_and_close(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


FOUND = Translation(
    "a\tb ||| c\nd",
    -0.5,
    (Hypothesis("a\tb ||| c\nd", -0.5, ((0, 1), (2, 0))), Hypothesis("e", -1.25, ())),
    ((0, 1), (2, 0)),
)


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        (LineFormat(), ["a\tb ||| c d"]),
        (LineFormat(scores=True), ["a b ||| c d\t-0.5000"]),
        (LineFormat(alignments=True), ["a b ||| c d\t0-1 2-0"]),
        (LineFormat(scores=True, alignments=True), ["a b ||| c d\t-0.5000\t0-1 2-0"]),
        (LineFormat(n_best=2), ["7 ||| a\tb | | | c d ||| -0.5000", "7 ||| e ||| -1.2500"]),
        (
            LineFormat(n_best=2, alignments=True),
            ["7 ||| a\tb | | | c d ||| -0.5000 ||| 0-1 2-0", "7 ||| e ||| -1.2500 ||| "],
        ),
    ],
)
def test_no_text_can_break_a_line_or_a_column(form: LineFormat, lines: list[str]) -> None:
    assert form.render(7, FOUND) == lines


def test_every_line_of_an_n_best_list_ends_as_its_input_line_does() -> None:
    two = Translation("a", 0.0, (Hypothesis("a", 0.0), Hypothesis("b", -1.0)))
    output = translated(b"x\r\ny", LineFormat(n_best=2), lambda lines: [two] * len(lines))
    assert output == b"0 ||| a ||| 0.0000\r\n0 ||| b ||| -1.0000\r\n1 ||| a ||| 0.0000\n1 ||| b ||| -1.0000"


def test_a_line_that_cannot_be_translated_scores_below_all_others() -> None:
    def refuse(lines: Sequence[str]) -> list[Result]:
        return [TranslationError("no") for _ in lines]

    assert translated(b"x\n", LineFormat(n_best=2), refuse) == b"0 |||  ||| -inf\n"
    assert translated(b"x\n", LineFormat(scores=True), refuse) == b"\t-inf\n"


def test_a_line_that_cannot_be_translated_is_empty_and_reported_with_its_number() -> None:
    def translate(lines: Sequence[str]) -> list[Result]:
        return [TranslationError("no") if line == "bad" else Translation(line) for line in lines]

    (done,) = translate_blocks(read_blocks(io.BytesIO(b"a\nbad\nc\n"), "x"), translate, LineFormat())
    assert done.output == b"a\n\nc\n"
    assert [(line, str(error)) for line, error in done.failures] == [(2, "no")]


@pytest.mark.parametrize("name", ["in.txt", "in.txt.gz"])
def test_lines_are_counted_and_the_file_is_read_again(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(HOSTILE, mtime=0) if name.endswith("gz") else HOSTILE)
    with open_input(path) as file:
        assert count_lines(file, path) == HOSTILE.count(b"\n") + 1
        assert texts(read_blocks(file, path))[0] == "plain"


def test_what_can_be_read_only_once_is_not_counted() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as reader, os.fdopen(theirs, "wb"):
        assert count_lines(reader, "x") is None


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a", b"ok\nb\xe4d\n", r"a:2: not valid UTF-8 \(byte 0xe4\)"),
        ("a.gz", b"no gzip", r"a\.gz: damaged or not gzip"),
        ("a.gz", gzip.compress(b"a\n" * 1000, mtime=0)[:-9], r"a\.gz: .*truncated"),
        ("a", None, "a: no such file"),
    ],
)
def test_an_input_that_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes | None, message: str) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(CorpusError, match=message), open_input(path) as file:
        count_lines(file, path)


def test_a_full_disk_is_an_error_of_one_line() -> None:
    blocks = read_blocks(io.BytesIO(b"a\n"), "x")
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(CorpusError, match="No space left"):
        translate_to_stream(blocks, full, shout, LineFormat(), ignore)


# The output file. A child process is killed at every moment that the disk could tell apart.

LINES = b"".join(b"line %d\n" % number for number in range(10))
SHOUTED = LINES.upper()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", ["out", "out.gz"])
def test_a_finished_file_takes_its_place_and_leaves_nothing_beside_it(tmp_path: Path, name: str) -> None:
    source, target = tmp_path / "in", tmp_path / name
    source.write_bytes(LINES)
    target.write_bytes(b"old")
    run(source, target)
    content = target.read_bytes()
    assert (gzip.decompress(content) if name.endswith("gz") else content) == SHOUTED
    assert {path.name for path in tmp_path.iterdir()} == {"in", name}


def test_an_empty_input_gives_an_empty_file_and_gzip_of_nothing(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.touch()
    run(source, tmp_path / "out")
    run(source, tmp_path / "out.gz")
    assert (tmp_path / "out").read_bytes() == b""
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == b""
    assert (tmp_path / "out.gz").stat().st_size > 0


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(LINES)
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real" / "out")
    run(source, tmp_path / "out")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "real" / "out").read_bytes() == SHOUTED


FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["nmt.inference.offline", "tests.inference.test_offline"])


def run_and_die(source: Path, target: Path, moment: int) -> None:
    """Translate, and be killed just before the disk is touched for the `moment`-th time."""
    left = itertools.count(moment, -1)

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    def half_write(file: io.RawIOBase, data: bytes) -> None:
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            dying(file.write)(half)

    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(offline, "BLOCK_LINES", 3))
        stack.enter_context(patch.object(offline, "JOURNAL_EVERY_S", 0.0))
        stack.enter_context(patch.object(offline, "_write_all", half_write))
        for owner, name in ((Path, "replace"), (Path, "unlink")):
            stack.enter_context(patch.object(owner, name, dying(getattr(owner, name))))
        stack.enter_context(patch.object(os, "fsync", dying(ignore)))
        run(source, target)


@pytest.mark.usefixtures("small_blocks")
def test_a_run_killed_at_any_moment_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", ignore)  # a killed process, unlike a power cut, does not need it
    source, name = tmp_path / "in", "out.gz"
    source.write_bytes(LINES)
    run(source, tmp_path / "whole.gz")
    expected = (tmp_path / "whole.gz").read_bytes()
    resumed_after = set()
    for moment in itertools.count():
        folder = tmp_path / str(moment)
        folder.mkdir()
        target = folder / name
        process = FORKSERVER.Process(target=run_and_die, args=(source, target, moment))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        resumed_after.add(run(source, target).lines)
        assert target.read_bytes() == expected
        assert [path.name for path in folder.iterdir() if "journal.partial" not in path.name] == [name]
    assert moment > 20
    assert resumed_after == {0, 3, 6, 9, 10}


@pytest.mark.usefixtures("small_blocks")
def test_data_reach_the_disk_before_the_journal_that_counts_them(tmp_path: Path) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def note_replace(path: Path, target: Path) -> Path:
        events.append(f"rename to {target.name}")
        return replace(path, target)

    source = tmp_path / "in"
    source.write_bytes(LINES)
    with patch.object(os, "fsync", note_fsync), patch.object(Path, "replace", note_replace):
        run(source, tmp_path / "out")
    events = [event for event in events if event != tmp_path.name]  # the folder's own entries
    entry = ["out.partial", "out.journal.partial", "rename to out.journal"]
    assert events == [*entry * 6, "rename to out"]  # nothing yet, four blocks, the end


class Stop(Exception):
    """An interruption in the middle of work."""


def interrupted(source: Path, target: Path, blocks: int = 2, kind: Journal = KIND) -> None:
    """Translate that many blocks."""
    rounds = itertools.count()

    def translate(lines: Sequence[str]) -> list[Result]:
        if next(rounds) == blocks:
            raise Stop
        return shout(lines)

    with (
        contextlib.suppress(Stop),
        open_input(source) as file,
        ResumableOutput(target, kind) as output,
    ):
        translate_to_file(file, source, output, translate, LineFormat(), ignore)


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """An input and the output of a run that was interrupted after six of its ten lines."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(LINES)
    with patch.object(offline, "BLOCK_LINES", 3):
        interrupted(source, target)
        assert json.loads((tmp_path / "out.journal").read_text("utf-8"))["lines"] == 6
        yield source, target


def test_an_interruption_keeps_every_block_that_was_done(begun: tuple[Path, Path]) -> None:
    assert run(*begun).lines == 6
    assert begun[1].read_bytes() == SHOUTED


@pytest.mark.parametrize(
    ("kind", "difference"),
    [
        (Journal("other", {"--beam": 5}), "the model is another one"),
        (Journal("model", {"--beam": 4}), "--beam was 5, now 4"),
        (Journal("model", {"--beam": 5, "--raw": True}), "--raw was None, now True"),
    ],
)
def test_another_run_is_refused_by_name_and_harms_nothing(
    begun: tuple[Path, Path], kind: Journal, difference: str
) -> None:
    with pytest.raises(CheckpointError, match=f"{difference}.*--restart"):
        run(*begun, kind=kind)
    assert run(*begun).lines == 6
    assert begun[1].read_bytes() == SHOUTED


@pytest.mark.parametrize("content", [LINES.replace(b"line 2", b"LINE 2"), LINES[:10], b""])
def test_another_input_is_refused_and_harms_nothing(begun: tuple[Path, Path], content: bytes) -> None:
    begun[0].write_bytes(content)
    with pytest.raises(CheckpointError, match="input is another one"):
        run(*begun)
    begun[0].write_bytes(LINES)
    assert run(*begun).lines == 6


def test_a_line_after_the_finished_ones_may_be_mended(begun: tuple[Path, Path]) -> None:
    begun[0].write_bytes(LINES.replace(b"line 8", b"mended"))
    assert run(*begun).lines == 6
    assert begun[1].read_bytes() == SHOUTED.replace(b"LINE 8", b"MENDED")


def test_restart_begins_anew(begun: tuple[Path, Path]) -> None:
    assert run(*begun, kind=Journal("other", {}), restart=True).lines == 0
    assert begun[1].read_bytes() == SHOUTED


def test_a_last_line_that_was_still_being_written_is_not_glued_to_its_rest(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"one\ntw")
    with patch.object(ResumableOutput, "finish", side_effect=Stop), contextlib.suppress(Stop):
        run(source, target)
    source.write_bytes(b"one\ntwo\n")
    with pytest.raises(CheckpointError, match="has changed"):
        run(source, target)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 99}'])
def test_a_damaged_journal_is_refused(begun: tuple[Path, Path], content: bytes) -> None:
    begun[1].with_name("out.journal").write_bytes(content)
    with pytest.raises(CheckpointError, match="--restart"):
        run(*begun)


def test_a_partial_output_that_lost_bytes_is_refused(begun: tuple[Path, Path]) -> None:
    os.truncate(begun[1].with_name("out.partial"), 5)
    with pytest.raises(CheckpointError, match="shorter than its journal says"):
        run(*begun)


def test_a_file_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    source, other = tmp_path / "in", tmp_path / "out.partial"
    source.write_bytes(LINES)
    other.write_bytes(b"precious")
    with pytest.raises(CheckpointError, match="in the way"):
        run(source, tmp_path / "out")
    assert other.read_bytes() == b"precious"


def test_two_processes_do_not_write_the_same_output(tmp_path: Path) -> None:
    with ResumableOutput(tmp_path / "out", KIND), pytest.raises(CheckpointError, match="another process"):
        ResumableOutput(tmp_path / "out", KIND)


def test_a_run_that_did_nothing_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(LINES)
    interrupted(source, tmp_path / "out", blocks=0)
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


@pytest.mark.parametrize(("name", "message"), [("", "it is a folder"), ("no/out", "cannot be written")])
def test_an_output_that_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        ResumableOutput(tmp_path / name, KIND)
