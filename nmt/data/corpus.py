"""Parallel text as people have it: two text files, a TSV or a TMX, plain or gzipped, read as a stream of pairs.

Reads and checks, changes nothing: what is dropped is decided in `cleaning`. Lines end at "\\n" only, because U+0085,
U+2028 and their kin occur inside real sentences and would shift one side against the other.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from nmt.config import expand_path
from nmt.data.tmx import read_units
from nmt.errors import CorpusError

BLOCK_BYTES = 1 << 20
BOM = b"\xef\xbb\xbf"


class Pair(NamedTuple):
    """A source text, its translation, and where they stand; `line` counts from 1 in `path`, the source's file."""

    source: str
    target: str
    path: Path
    line: int


def read_lines(path: Path | str) -> Iterator[str]:
    """The lines of a text file (`.gz`: decompressed) without their ends, one in memory at a time.

    Raises CorpusError where the file cannot be read or a line is not valid UTF-8.
    """
    path = Path(path)
    with reading(path), open_bytes(path) as file:
        yield from decode_lines(file, path)


def decode_lines(lines: Iterable[bytes], path: Path | str, *, first: int = 1) -> Iterator[str]:
    """Decode lines split at b"\\n" (a binary file gives them); a byte order mark and the "\\r" of a CRLF end go.

    `path` and `first`, the number of the first line, are for the error: CorpusError at a line that is not valid UTF-8.
    """
    for number, line in enumerate(lines, start=first):
        if number == 1:
            line = line.removeprefix(BOM)
        try:
            yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise not_utf8(error.object[error.start], path, number) from None


def read_pairs(corpus: Sequence[str], source_lang: str, target_lang: str) -> Iterator[Pair]:
    """The pairs of one corpus, in file order, one in memory at a time.

    `corpus` is two text files, or one `.tsv` (source, target, further columns ignored) or `.tmx`, each possibly `.gz`.
    The languages choose the variants of a TMX; its units that lack one of the two are left out.
    Raises CorpusError at the first flaw; `check_corpus` finds the same ones beforehand.
    """
    paths = corpus_paths(corpus)
    if len(paths) == 2:
        return _read_text_pair(*paths)
    return _read_tmx(paths[0], source_lang, target_lang) if _is_tmx(paths[0]) else read_tsv(paths[0])


def check_corpus(corpus: Sequence[str], source_lang: str, target_lang: str) -> int:
    """Read the whole corpus once, fast, and return how many pairs `read_pairs` will give (at least 1).

    Raises CorpusError for a file that is missing, unreadable, truncated, empty or not valid UTF-8, for unequal line
    counts, a TSV line of one column, malformed TMX or one without the two languages.
    """
    paths = corpus_paths(corpus)
    for path in paths:
        check_regular(path)
    if len(paths) == 2:
        pairs = _check_text_pair(*paths)
    elif _is_tmx(paths[0]):
        pairs = sum(1 for _ in _read_tmx(paths[0], source_lang, target_lang))
    else:
        pairs = check_lines(paths[0], tab_needed=True)
    if not pairs:
        raise CorpusError("the corpus is empty: it holds no sentence pair", path=paths[0])
    return pairs


def corpus_paths(corpus: Sequence[str]) -> tuple[Path, ...]:
    """The files of a corpus, `$NAME` and `~` expanded. Raises CorpusError where their number or kind is wrong."""
    paths = tuple(expand_path(name) for name in corpus)
    if len(paths) not in (1, 2):
        raise CorpusError(f"a corpus is one .tsv or .tmx file or a pair of text files, not {len(paths)} files")
    if len(paths) == 1 and not (_is_tmx(paths[0]) or is_tsv(paths[0])):
        raise CorpusError("a corpus of one file is .tsv or .tmx, or .gz of it; text files come in pairs", path=paths[0])
    return paths


def _read_text_pair(source: Path, target: Path) -> Iterator[Pair]:
    sides = zip_longest(read_lines(source), read_lines(target))
    for number, (source_text, target_text) in enumerate(sides, start=1):
        if source_text is None or target_text is None:
            _check_text_pair(source, target)  # raises with both counts
            raise CorpusError("changed while it was read", path=source, line=number)
        yield Pair(source_text, target_text, source, number)


def read_tsv(path: Path) -> Iterator[Pair]:
    """The first two columns of each line. Raises CorpusError for a line of one."""
    for number, line in enumerate(read_lines(path), start=1):
        source, tab, rest = line.partition("\t")
        if not tab:
            raise _no_tab(path, number)
        yield Pair(source, rest.partition("\t")[0], path, number)


def _read_tmx(path: Path, source_lang: str, target_lang: str) -> Iterator[Pair]:
    with reading(path), open_bytes(path) as file:
        for unit in read_units(file, path, source_lang, target_lang):
            yield Pair(unit.source, unit.target, path, unit.line)


def _check_text_pair(source: Path, target: Path) -> int:
    source_lines, target_lines = check_lines(source), check_lines(target)
    if source_lines != target_lines:
        message = f"{source_lines:,} lines, but {target} has {target_lines:,}: line n of one must translate line n"
        raise CorpusError(f"{message} of the other", path=source)
    return source_lines


def check_regular(path: Path) -> None:
    """Raise CorpusError for what can be read only once, if at all: a pipe, a folder."""
    if path.exists() and not path.is_file():
        raise CorpusError("not a regular file; a corpus is read more than once", path=path)


def check_lines(path: Path, *, tab_needed: bool = False) -> int:
    """Number of lines. Raises CorpusError for one that is not valid UTF-8, or has no tab where it should.

    Works on blocks of lines: decoding line by line would take several times as long.
    """
    count = 0
    with reading(path), open_bytes(path) as file:
        while lines := file.readlines(BLOCK_BYTES):
            if not _is_utf8(b"".join(lines)):
                for _ in decode_lines(lines, path, first=count + 1):
                    pass  # raises at the line that is not
            if tab_needed and not all(b"\t" in line for line in lines):
                raise _no_tab(path, count + 1 + next(i for i, line in enumerate(lines) if b"\t" not in line))
            count += len(lines)
    return count


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def open_bytes(path: Path) -> BinaryIO:
    """A file's bytes, `.gz` decompressed. Use it inside `reading`."""
    return cast(BinaryIO, gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turns what goes wrong while opening or reading into a CorpusError that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise CorpusError("no such file", path=path) from None
    except EOFError:
        raise CorpusError("the gzip data stops in the middle: the file is truncated", path=path) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise CorpusError(f"damaged or not gzip at all ({error})", path=path) from None
    except OSError as error:
        raise CorpusError(f"cannot be read: {error.strerror or error}", path=path) from None


def _bare_suffix(path: Path) -> str:
    """The suffix without `.gz`, in lower case."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def _is_tmx(path: Path) -> bool:
    return _bare_suffix(path) == ".tmx"


def is_tsv(path: Path) -> bool:
    return _bare_suffix(path) == ".tsv"


def not_utf8(byte: int, path: Path | str, line: int) -> CorpusError:
    """The error of a line that is not valid UTF-8 from this byte on."""
    return CorpusError(f"not valid UTF-8 (byte 0x{byte:02x}); convert the file with iconv", path=path, line=line)


def _no_tab(path: Path, line: int) -> CorpusError:
    return CorpusError("one column; a TSV line is source, tab, target", path=path, line=line)
