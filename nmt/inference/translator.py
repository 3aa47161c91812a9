"""Translating offline: one bundle, texts in, translations out, in order and in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from nmt.errors import NmtError
from nmt.inference.pool import BATCH_TEXTS, Pool
from nmt.inference.types import ModelInfo, TranslateOptions, Translation

if TYPE_CHECKING:
    from nmt.inference.pipeline import Pipeline

WINDOW = 1024
"""Texts read ahead, so that batches can be made of texts of like length."""


class Translator:
    """A bundle in this process, or on worker processes of one thread each.

    >>> with Translator.load("models/en-de") as translator:
    ...     print(translator.translate(["Good morning."])[0].text)
    """

    def __init__(self, info: ModelInfo, pipeline: Pipeline | None, pool: Pool | None) -> None:
        """Use `load`."""
        assert (pipeline is None) != (pool is None)
        self.info = info
        self._pipeline = pipeline
        self._pool = pool

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "auto", workers: int = 0) -> Translator:
        """`workers`: processes to translate on; 0 translates in this one, with torch's own threads.

        Raises BundleError and DeviceError.
        """
        if workers:
            pool = Pool([Path(folder)], device=device, workers=workers, max_queue=4 * workers * WINDOW)
            return cls(pool.models[0], None, pool)
        from nmt.bundle import load_bundle
        from nmt.hardware import pick_device
        from nmt.inference.pipeline import Pipeline

        pipeline = Pipeline(load_bundle(folder), pick_device(device))
        return cls(pipeline.info, pipeline, None)

    def translate(self, texts: Sequence[str], options: TranslateOptions = TranslateOptions()) -> list[Translation]:
        """One translation a text. Raises the TranslationError of the first text that has one."""
        return list(self.translate_stream(texts, options))

    def translate_stream(
        self, texts: Iterable[str], options: TranslateOptions = TranslateOptions()
    ) -> Iterator[Translation]:
        """Translations in the order of the texts, with at most a few windows of them in memory.

        Raises the TranslationError of the first text that has one, after the translations before it.
        """
        for result in self.results(texts, options):
            if isinstance(result, NmtError):
                raise result
            yield result

    def results(
        self, texts: Iterable[str], options: TranslateOptions = TranslateOptions()
    ) -> Iterator[Translation | NmtError]:
        """Like `translate_stream`, but a text that cannot be translated gives its error and the others go on."""
        stream = iter(texts)
        windows = iter(lambda: list(islice(stream, WINDOW)), [])
        if self._pipeline is not None:
            for window in windows:
                yield from self._pipeline.translate(window, options)
            return
        pending: deque[_Window] = deque()
        for window in windows:
            pending.append(self._submit(window, options))
            if len(pending) > 1:  # the workers have the next window while this one is written
                yield from pending.popleft().results()
        while pending:
            yield from pending.popleft().results()

    def _submit(self, texts: Sequence[str], options: TranslateOptions) -> _Window:
        assert self._pool is not None
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]), reverse=True)
        parts: list[tuple[list[int], Future[list[Translation | NmtError]]]] = []
        for first in range(0, len(by_length), BATCH_TEXTS):
            indices = by_length[first : first + BATCH_TEXTS]
            future = self._pool.submit(
                [texts[i] for i in indices],
                self.info.source_lang,
                self.info.target_lang,
                options,
                as_one_batch=True,
            )
            parts.append((indices, future))
        return _Window(parts)

    def close(self) -> None:
        """End the worker processes."""
        if self._pool is not None:
            self._pool.close()

    def __enter__(self) -> Translator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Window:
    """Texts under way, submitted by length, handed out in their order."""

    def __init__(self, parts: list[tuple[list[int], Future[list[Translation | NmtError]]]]) -> None:
        self._parts = parts

    def results(self) -> list[Translation | NmtError]:
        results: dict[int, Translation | NmtError] = {}
        for indices, future in self._parts:
            results.update(zip(indices, future.result(), strict=True))
        return [results[index] for index in range(len(results))]
