"""Reading and checking text pairs and TSV: where lines end, what is refused, and that the error names the place."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.data import check_corpus, read_lines, read_pairs
from nmt.errors import ConfigError, CorpusError

Write = Callable[[str, bytes], str]

LINE_BREAKS_OF_OTHERS = "a\u0085b\u2028c\u2029d\x0be\x0cf\rg\x1ch\x1di\x1ej"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return str(tmp_path / name)

    return write_file


def texts(*corpus: str) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in read_pairs(corpus, "en", "de")]


def checked(*corpus: str) -> int:
    return check_corpus(corpus, "en", "de")


@pytest.mark.parametrize("suffix", ["txt", "en", "en.gz"])
def test_only_a_line_feed_ends_a_line(write: Write, suffix: str) -> None:
    source = write(f"s.{suffix}", f"{LINE_BREAKS_OF_OTHERS}\nsecond\n".encode())
    target = write("t.de", b"eins\nzwei\n")
    assert texts(source, target) == [(LINE_BREAKS_OF_OTHERS, "eins"), ("second", "zwei")]
    assert checked(source, target) == 2


def test_pairs_know_their_file_and_line(write: Write) -> None:
    source, target = write("s", b"one\ntwo"), write("t", b"eins\nzwei\n")
    assert [(pair.path, pair.line) for pair in read_pairs([source, target], "en", "de")] == [
        (Path(source), 1),
        (Path(source), 2),
    ]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"a\r\nb\r\r\n", ["a", "b\r"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
    ],
)
def test_line_ends_and_byte_order_mark(write: Write, content: bytes, lines: list[str]) -> None:
    assert list(read_lines(write("f.txt", content))) == lines
    assert list(read_lines(write("f.txt.gz", content))) == lines


def test_unequal_line_counts_give_both_counts(write: Write) -> None:
    source, target = write("s.en", b"1\n2\n3\n"), write("t.de", b"1\n2\n3\n4")
    for call in (checked, texts):
        with pytest.raises(CorpusError, match=r"s\.en: 3 lines, but .*t\.de has 4"):
            call(source, target)


@pytest.mark.parametrize("line", [1, 2, 40_000])
def test_invalid_utf8_is_found_at_its_line(write: Write, line: int) -> None:
    good = b"caf\xc3\xa9 " * 6 + b"\n"  # 40,000 of them are several blocks
    source = write("s.gz", good * (line - 1) + b"caf\xe9\n" + good * 3)
    target = write("t", good * (line + 3))
    for call in (checked, texts):
        with pytest.raises(CorpusError, match=rf"s\.gz:{line}: not valid UTF-8 \(byte 0xe9\)") as caught:
            call(source, target)
        assert caught.value.line == line


def test_a_character_cut_off_at_the_end_of_the_file_is_invalid(write: Write) -> None:
    with pytest.raises(CorpusError, match=":2: not valid UTF-8"):
        checked(write("s", b"a\nb\xc3"), write("t", b"a\nb"))


def test_truncated_and_damaged_gzip(write: Write, tmp_path: Path) -> None:
    target = write("t", b"line\n" * 1000)
    whole = gzip.compress(os.urandom(5000).hex().encode())
    damaged = bytearray(whole)
    damaged[-6] ^= 1  # in the checksum
    cases = {"cut.gz": whole[:-20], "sum.gz": bytes(damaged), "plain.gz": b"not gzip\n"}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        for call in (checked, texts):
            with pytest.raises(CorpusError, match=f"{name}: .*(truncated|damaged)"):
                call(str(tmp_path / name), target)


def test_missing_files_and_folders(write: Write, tmp_path: Path) -> None:
    there = write("t", b"a\n")
    with pytest.raises(CorpusError, match="none: no such file"):
        checked(there, str(tmp_path / "none"))
    with pytest.raises(CorpusError, match="not a regular file"):
        checked(there, str(tmp_path))
    with pytest.raises(CorpusError, match="cannot be read"):
        texts(str(tmp_path), there)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(write: Write) -> None:
    source, target = write("s", b"a\n"), write("t", b"a\n")
    Path(target).chmod(0)
    with pytest.raises(CorpusError, match="t: cannot be read: Permission denied"):
        checked(source, target)


def test_a_pipe_is_refused_before_it_blocks(write: Write, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorpusError, match="not a regular file"):
        checked(str(tmp_path / "pipe"), write("t", b"a\n"))


def test_empty_corpus_is_refused(write: Write) -> None:
    with pytest.raises(CorpusError, match="empty"):
        checked(write("s", b""), write("t", b""))
    with pytest.raises(CorpusError, match="empty"):
        checked(write("c.tsv", b""))


@pytest.mark.parametrize("name", ["c.tsv", "c.TSV", "c.tsv.gz"])
def test_tsv_takes_the_first_two_columns(write: Write, name: str) -> None:
    content = f"\ufeffone\teins\ntwo\tzwei\tCC-BY\t#1\r\n{LINE_BREAKS_OF_OTHERS}\t\n".encode()
    corpus = write(name.replace("TSV", "tsv"), content)
    if name == "c.TSV":
        corpus = str(Path(corpus).rename(Path(corpus).with_name(name)))
    assert texts(corpus) == [("one", "eins"), ("two", "zwei"), (LINE_BREAKS_OF_OTHERS, "")]
    assert checked(corpus) == 3


def test_tsv_line_of_one_column_is_found_at_its_line(write: Write) -> None:
    corpus = write("c.tsv", b"a\tb\n" * 300_000 + b"a b\n" + b"a\tb\n")
    with pytest.raises(CorpusError, match=r"c\.tsv:300001: one column"):
        checked(corpus)
    with pytest.raises(CorpusError, match=r"c\.tsv:300001: one column"):
        texts(corpus)


def test_paths_are_expanded(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("c.tsv", b"a\tb\n")
    monkeypatch.setenv("CORPORA_OF_TEST", str(tmp_path))
    assert texts("$CORPORA_OF_TEST/c.tsv") == [("a", "b")]
    with pytest.raises(ConfigError, match="CORPORA_NOT_SET is not set"):
        checked("$CORPORA_NOT_SET/c.tsv")


def test_number_and_kind_of_files(write: Write) -> None:
    one = write("c.txt", b"a\tb\n")
    with pytest.raises(CorpusError, match=r"c\.txt: a corpus of one file is \.tsv or \.tmx"):
        checked(one)
    with pytest.raises(CorpusError, match="not 3 files"):
        checked(one, one, one)


def test_reading_streams(write: Write, tmp_path: Path) -> None:
    """The pairs before a flaw arrive: nothing waits for the end of the file."""
    source, target = write("s", b"a\n" * 10 + b"\xff\n"), write("t", b"b\n" * 11)
    stream = read_pairs([source, target], "en", "de")
    assert [next(stream).line for _ in range(10)] == list(range(1, 11))
    with pytest.raises(CorpusError, match="s:11:"):
        next(stream)
