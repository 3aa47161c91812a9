"""Translating offline: one bundle or ensemble, texts in, translations out, in order and in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from nmt.errors import ConfigError, NmtError
from nmt.inference.pool import Pool
from nmt.inference.types import Ensemble, Fusion, ModelInfo, TranslateOptions, Translation

if TYPE_CHECKING:
    from nmt.inference.pipeline import Pipeline

WINDOW = 1024
"""Texts read ahead: enough to keep every worker busy to the end."""


class Translator:
    """A bundle, or an ensemble of several, in this process or on worker processes of one thread each.

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
    def load(
        cls,
        folder: Path | str | Sequence[Path | str],
        *,
        device: str = "auto",
        precision: str = "auto",
        workers: int = 0,
        fusion: Fusion | None = None,
        weights: Sequence[float] = (),
    ) -> Translator:
        """`folder`: of a bundle, or of several over one target vocabulary, which translate as an ensemble.

        The first of several says how they are searched. `weights`: one a bundle; none: all alike.

        `workers`: processes to translate on; 0 translates in this one. `precision`: auto (int8 on a CPU, but fp32 for
        an ensemble), fp32, bf16, fp16 or int8, as far as the machine has it. `fusion`: a language model beside it,
        which takes the plain searches: in fp32, and slower by far.

        Raises BundleError and DeviceError, and ConfigError for models that do not fit together.
        """
        first, *others = [Path(folder)] if isinstance(folder, Path | str) else map(Path, folder)
        if weights and not others:
            raise ConfigError("weights are of an ensemble: name several models")
        ensemble = Ensemble(tuple(others), tuple(weights)) if others else None
        if workers:
            pool = Pool(
                [first],
                device=device,
                precision=precision,
                workers=workers,
                max_queue=4 * workers * WINDOW,
                fusion=fusion,
                ensemble=ensemble,
            )
            return cls(pool.models[0], None, pool)
        from nmt.inference.loading import load_pipeline

        pipeline = load_pipeline(first, device, precision, threads=0, fusion=fusion, ensemble=ensemble)
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
        # the longest first: a window then ends with short ones, and no worker has much left when the others are done
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]), reverse=True)
        source, target = self.info.source_lang, self.info.target_lang
        return _Window(by_length, self._pool.submit([texts[i] for i in by_length], source, target, options))

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

    def __init__(self, order: Sequence[int], future: Future[list[Translation | NmtError]]) -> None:
        self._order = order
        self._future = future

    def results(self) -> list[Translation | NmtError]:
        results = dict(zip(self._order, self._future.result(), strict=True))
        return [results[index] for index in range(len(results))]
