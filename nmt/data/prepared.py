"""Clean training pairs on disk, made once: text that can be fetched by index without being in memory.

A pair is what `nmt.data.forms` says: a sentence and its translation, a text and its labels, a line and nothing. A
prepared corpus is a folder: `pairs.tsv` (source, tab, target), `pairs.offsets` (where each line begins, and the end:
int64, little-endian), the same two for `dev` and `phrases`, and `prepared.json`. It appears whole or not at all.
"""

from __future__ import annotations

import json
import mmap
import operator
import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from hashlib import blake2b
from itertools import accumulate, islice
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsIndex

import numpy as np

from nmt.config import DataConfig
from nmt.data.cleaning import Cleaner, CleaningReport, Overlap, collapse_blanks, example, is_visible
from nmt.data.corpus import Pair
from nmt.data.forms import Form, Parallel
from nmt.data.phrases import phrase_pairs
from nmt.errors import ConfigError, CorpusError
from nmt.files import PARTIAL, atomic_folder

FORMAT_VERSION = 2
"""Part of the key: raise it when what is stored, or how pairs are cleaned, changes."""

META_FILE = "prepared.json"
MIN_DEV, MAX_DEV, DEV_SHARE = 16, 1000, 0.01
MIN_PAIRS = 2 * MIN_DEV
PROGRESS_PAIRS = 10_000
OFFSET_BYTES = 8

TextPair = tuple[str, str]
Progress = Callable[[int, int], None]
"""Called now and then with the pairs read so far and their whole number."""


def prepare(
    config: DataConfig, folder: Path | str, seed: int, progress: Progress | None = None, form: Form | None = None
) -> PreparedCorpus:
    """Check, read and clean the training corpora into `folder`, or reuse it where it holds just that already.

    All files are checked before anything is written. With no dev set in the config, 1 % of the clean pairs (at least
    16, at most 1,000) are drawn by `seed` and held out, and training pairs that overlap with them are dropped. Of a
    running text they are the last ones instead. `form`: what a corpus is; by default sentences and translations.
    Raises ConfigError without a training corpus, CorpusError for a flaw in a file and when too few pairs are left.
    """
    folder = Path(folder)
    form = form or Parallel(config.source_lang, config.target_lang)
    if not config.train:
        raise ConfigError(f"data.train names no corpus: give at least one, for example {form.example}")
    key = _key(config, seed, form)
    try:
        # what a killed run left goes even where nothing is built now
        shutil.rmtree(folder.with_name(folder.name + PARTIAL), ignore_errors=True)
        if (found := _reusable(folder, key)) is not None:
            return found
        _refuse_foreign(folder)
        total = _check_all(config, form)
        with atomic_folder(folder) as partial:
            _build(config, form, partial, seed, key, _counted(progress, total))
    except OSError as error:
        raise CorpusError(f"cannot be written: {error.strerror or error}", path=error.filename or folder) from None
    return PreparedCorpus(folder)


class PreparedCorpus:
    """Clean pairs by index (source, target), memory-mapped, with the dev set and the report of the cleaning.

    `corpora`: how many of the pairs each of `data.train` gave; they lie in that order. `phrases`: how many phrases were
    learnt from each; they are no part of the corpus, but have the indices behind it. `fingerprint` depends on the
    pairs, phrases and dev set alone, not on where their files lay. Others may keep arrays that belong to these pairs in
    `folder`; they go when the corpus is prepared anew.
    """

    def __init__(self, folder: Path | str) -> None:
        """Open a folder that `prepare` made. Raises CorpusError where it is missing or damaged."""
        self.folder = Path(folder)
        meta = _read_meta(self.folder)
        if meta is None:
            raise CorpusError("not a prepared corpus, or a damaged one: prepare it again", path=folder)
        self.fingerprint: str = meta["fingerprint"]
        self.report = CleaningReport(**meta["report"])
        self.corpora: tuple[int, ...] = tuple(meta["corpora"])
        self.phrases: tuple[int, ...] = tuple(meta.get("phrases", ()))
        self.dev: list[TextPair] = list(_Store(self.folder, "dev"))
        self._store = _Store(self.folder, "pairs")
        self._phrases = _Store(self.folder, "phrases") if sum(self.phrases) else ()

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, index: SupportsIndex) -> TextPair:
        return self._store[index]

    def __iter__(self) -> Iterator[TextPair]:
        return iter(self._store)

    def pairs(self, indices: Iterable[SupportsIndex]) -> list[TextPair]:
        """The pairs and phrases of these indices, in their order."""
        size = len(self._store)
        places = map(operator.index, indices)
        return [self._store[place] if place < size else self._phrases[place - size] for place in places]

    def with_phrases(self) -> Iterator[TextPair]:
        """All pairs, and behind them all phrases."""
        yield from self._store
        yield from self._phrases


class _Store:
    """Pairs by index from a text file and its offsets, both memory-mapped."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._offsets = np.memmap(folder / f"{stem}.offsets", dtype="<i8", mode="r")
        with (folder / f"{stem}.tsv").open("rb") as file:
            self._text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: SupportsIndex) -> TextPair:
        place = index.__index__()
        place += len(self) if place < 0 else 0
        if not 0 <= place < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        begin, end = self._offsets[place : place + 2].tolist()
        source, _, target = self._text[begin : end - 1].decode("utf-8").partition("\t")
        return source, target

    def __iter__(self) -> Iterator[TextPair]:
        return (self[place] for place in range(len(self)))


class _StoreWriter:
    """Writes what `_Store` reads. Sides hold no tab and no line break: their blanks are collapsed."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.pairs = 0
        self.bytes = 0
        self._digest = blake2b(digest_size=16)
        self._text = (folder / f"{stem}.tsv").open("wb")
        self._offsets = (folder / f"{stem}.offsets").open("wb")
        self._write_offset()

    def __enter__(self) -> _StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._text.close()
        self._offsets.close()

    def add(self, source: str, target: str) -> None:
        line = f"{source}\t{target}\n".encode()
        self._text.write(line)
        self._digest.update(line)
        self.bytes += len(line)
        self.pairs += 1
        self._write_offset()

    def summary(self) -> dict[str, Any]:
        """What `_read_meta` compares the files with."""
        return {"pairs": self.pairs, "bytes": self.bytes, "digest": self._digest.hexdigest()}

    def _write_offset(self) -> None:
        self._offsets.write(self.bytes.to_bytes(OFFSET_BYTES, "little"))


def _build(config: DataConfig, form: Form, folder: Path, seed: int, key: str, progress: Callable[[], None]) -> None:
    """Fill an empty folder."""
    test = _held_out_pairs(form, config.test)
    given_dev = _held_out_pairs(form, config.dev)
    rules = form.rules(config.cleaning)
    cleaner = Cleaner(rules, [*given_dev, *test], is_text_alone=form.is_text_alone)
    corpora = [0] * len(config.train)
    clean = _clean(config, form, cleaner, corpora, progress)
    if config.dev:
        dev, train = given_dev, _write(folder, "pairs", clean)
        report = cleaner.report()
    else:
        _write(folder, "clean", clean)
        report = cleaner.report()
        dev, train, report = _hold_out(folder, report, corpora, seed, form, drop_overlap=rules.overlap)
    if not report.kept:
        raise CorpusError(f"no training pair is left of {report.read:,}; the cleaning dropped {report.dropped}")
    dev_summary = _write(folder, "dev", dev)
    stores = {"pairs": train, "dev": dev_summary}
    phrases: list[int] = []
    if config.phrases:
        overlap = Overlap([*dev, *test] if rules.overlap else ())
        stores["phrases"], phrases = _learn_phrases(folder, corpora, config, overlap, seed)
    digests = " ".join(store["digest"] for store in stores.values())
    fingerprint = blake2b(f"{FORMAT_VERSION} {digests}".encode(), digest_size=16)
    meta = {
        "format": FORMAT_VERSION,
        "key": key,
        "fingerprint": fingerprint.hexdigest(),
        "stores": stores,
        "corpora": corpora,
        "phrases": phrases,
        "report": asdict(report),
    }
    (folder / META_FILE).write_text(json.dumps(meta, ensure_ascii=False, indent=1), "utf-8")


def _learn_phrases(
    folder: Path, corpora: Sequence[int], config: DataConfig, overlap: Overlap, seed: int
) -> tuple[dict[str, Any], list[int]]:
    """Write the phrases of each corpus's pairs, without what stands in held-out text; the store and their numbers."""
    pairs = iter(_Store(folder, "pairs"))
    counts: list[int] = []
    with _StoreWriter(folder, "phrases") as writer:
        for size in corpora:
            before = writer.pairs
            languages = config.source_lang, config.target_lang
            for source, target in phrase_pairs(islice(pairs, size), languages, seed=seed):
                if not overlap.has(source, target):
                    writer.add(source, target)
            counts.append(writer.pairs - before)
    return writer.summary(), counts


def _hold_out(
    folder: Path, report: CleaningReport, corpora: list[int], seed: int, form: Form, *, drop_overlap: bool
) -> tuple[list[TextPair], dict[str, Any], CleaningReport]:
    """Split the store `clean` into a dev set drawn by seed and the store `pairs`, without what overlaps with dev.

    `corpora`: pairs of each corpus; what goes is taken off. The dev set of a running text is its end: places drawn from
    the midst of it would leave holes.
    """
    if report.kept < MIN_PAIRS:
        message = f"{report.kept} clean training pairs are too few to hold out a dev set (it takes {MIN_PAIRS})"
        raise CorpusError(f"{message}: give more text, or a dev set of your own (data.dev)")
    clean = _Store(folder, "clean")
    size = max(MIN_DEV, min(MAX_DEV, int(len(clean) * DEV_SHARE)))
    if form.is_running:
        places = frozenset(range(len(clean) - size, len(clean)))
    else:
        places = frozenset(np.random.default_rng(seed % 2**64).choice(len(clean), size, replace=False).tolist())
    dev = [clean[place] for place in sorted(places)]
    overlap = Overlap(((s, s if form.is_text_alone else t) for s, t in dev) if drop_overlap else ())
    dropped, examples = 0, dict(report.examples)
    ends = list(accumulate(corpora))
    with _StoreWriter(folder, "pairs") as writer:
        for place, (source, target) in enumerate(clean):
            if place in places:
                corpora[bisect_right(ends, place)] -= 1
                continue
            if overlap.has(source, source if form.is_text_alone else target):
                corpora[bisect_right(ends, place)] -= 1
                dropped += 1
                examples.setdefault("overlap", f"with held-out dev: {example(source, target)}")
            else:
                writer.add(source, target)
    for suffix in (".tsv", ".offsets"):
        (folder / f"clean{suffix}").unlink()
    counts = dict(report.dropped)
    if drop_overlap:
        counts["overlap"] += dropped
    kept = CleaningReport(report.read, writer.pairs, counts, examples, held_out=size)
    return dev, writer.summary(), kept


def _write(folder: Path, stem: str, pairs: Iterable[TextPair]) -> dict[str, Any]:
    with _StoreWriter(folder, stem) as writer:
        for source, target in pairs:
            writer.add(source, target)
    return writer.summary()


def _clean(
    config: DataConfig, form: Form, cleaner: Cleaner, corpora: list[int], progress: Callable[[], None]
) -> Iterator[TextPair]:
    """The clean pairs of all corpora in their order; those of each are counted in `corpora`."""
    for number, corpus in enumerate(config.train):
        for pair in cleaner.clean(_counting(form.read(corpus), progress)):
            corpora[number] += 1
            yield pair.source, pair.target


def _counting(pairs: Iterable[Pair], progress: Callable[[], None]) -> Iterator[Pair]:
    for pair in pairs:
        progress()
        yield pair


def _held_out_pairs(form: Form, corpus: Sequence[str]) -> list[TextPair]:
    """The pairs of dev or test, blanks collapsed; those with an empty text tell nothing and are left out."""
    if not corpus:
        return []
    pairs = [(collapse_blanks(pair.source), collapse_blanks(pair.target)) for pair in form.read(corpus)]
    full = [(s, t) for s, t in pairs if is_visible(s) and (form.is_text_alone or is_visible(t))]
    if not full:
        raise CorpusError(
            "no line has text" if form.is_text_alone else "no pair has text on both sides", path=corpus[0]
        )
    return full


def _check_all(config: DataConfig, form: Form) -> int:
    """Check every file and return the number of training pairs before cleaning."""
    for corpus in (config.dev, config.test):
        if corpus:
            form.check(corpus)
    return sum(form.check(corpus) for corpus in config.train)


def _counted(progress: Progress | None, total: int) -> Callable[[], None]:
    """A callback for each pair that passes every 10,000th on, and the last."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if progress is not None and (done % PROGRESS_PAIRS == 0 or done == total):
            progress(done, total)

    return count


def _key(config: DataConfig, seed: int, form: Form) -> str:
    """What a prepared corpus is reused by: settings, seed and the files' places, sizes and times of change."""
    files: list[tuple[str, int, int]] = []
    for corpus in (*config.train, config.dev, config.test):
        for path in form.paths(corpus) if corpus else ():
            try:
                status = path.stat()
            except OSError as error:
                raise CorpusError(f"cannot be read: {error.strerror}", path=path) from None
            files.append((str(path.resolve()), status.st_size, status.st_mtime_ns))
    settings = config.model_dump(mode="json", exclude={"weights", "tags", "noise", "phrases"})  # they change no pair
    settings |= {"phrases": True} if config.phrases else {}
    content = json.dumps([FORMAT_VERSION, form.name, settings, seed, files])
    return blake2b(content.encode(), digest_size=16).hexdigest()


def _reusable(folder: Path, key: str) -> PreparedCorpus | None:
    meta = _read_meta(folder)
    return PreparedCorpus(folder) if meta is not None and meta["key"] == key else None


def _read_meta(folder: Path) -> dict[str, Any] | None:
    """The folder's `prepared.json`; None where it is missing, of another format, or the files have other sizes."""
    try:
        meta: dict[str, Any] = json.loads((folder / META_FILE).read_text("utf-8"))
        if meta["format"] != FORMAT_VERSION:
            return None
        for stem, store in meta["stores"].items():
            sizes = [(folder / f"{stem}{suffix}").stat().st_size for suffix in (".tsv", ".offsets")]
            if sizes != [store["bytes"], (store["pairs"] + 1) * OFFSET_BYTES]:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return meta


def _refuse_foreign(folder: Path) -> None:
    """Raise CorpusError rather than replace what is not ours."""
    if folder.is_dir() and ((folder / META_FILE).exists() or not any(folder.iterdir())):
        return
    if folder.exists():
        raise CorpusError("exists and is not a prepared corpus: move it away or choose another folder", path=folder)
