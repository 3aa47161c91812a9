"""The models that serve: one set at a time takes new requests, and another may take its place while it works.

A request holds the set that it began with to its end, so that an answer is wholly of one set.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from app.admission import Admission, Engine
from app.errors import INTERNAL, ReloadFailed, Stopping
from app.languages import Languages
from nmt.errors import NmtError, Overloaded
from nmt.inference import Detector

logger = logging.getLogger(__name__)


class ModelSet:
    """The models of one engine. `with` it for as long as they are needed."""

    def __init__(self, engine: Engine, *, has_pivots: bool = True, before: ModelSet | None = None) -> None:
        """`before`: whose place it takes. If that told the same languages apart, this need not learn to."""
        self.engine = engine
        self.languages = Languages(engine.models, has_pivots=has_pivots)
        self._codes = [language.code for language in self.languages.listed]
        self._detector: Detector | None = None
        if before is not None and before._codes == self._codes:
            self._detector = before._detector
        self._loading = asyncio.Lock()
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    async def detector(self) -> Detector:
        """Tells the languages of these models apart. It is loaded when it is first asked for."""
        if self._detector is None:
            async with self._loading:
                if self._detector is None:
                    self._detector = await asyncio.to_thread(Detector, self._codes)
        return self._detector

    async def unused(self) -> None:
        """Wait until no request holds this set."""
        await self._unused.wait()

    def __enter__(self) -> ModelSet:
        self._users += 1
        self._unused.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users:
            self._unused.set()


class Models:
    """The set that serves now, and the way to another."""

    def __init__(
        self, engine: Engine, load: Callable[[], Engine], admission: Admission, *, has_pivots: bool, drain_s: float
    ) -> None:
        """`load` makes another engine, warm; it may block: it runs in a thread. `drain_s`: longest wait for an old."""
        self.current = ModelSet(engine, has_pivots=has_pivots)
        self.reloads = {"ok": 0, "failed": 0}
        self._load = load
        self._admission = admission
        self._has_pivots = has_pivots
        self._drain_s = drain_s
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[ModelSet] | None = None
        """A reload that has not begun: whoever asks meanwhile shares it."""
        self._unasked: set[asyncio.Task[None]] = set()
        self._retiring: asyncio.Task[None] | None = None

    async def reload(self) -> ModelSet:
        """Load what lies in the models folder now, beside the set that serves, and put it in its place.

        One at a time. A request goes on with what it began with; the old set is closed when no request holds it.

        Raises:
            ReloadFailed: these models cannot serve; the old ones go on.
            Overloaded: the service is stopping.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._reload_in_turn())
        return await asyncio.shield(self._next)

    def reload_soon(self) -> None:
        """The same where nobody waits for an answer: a failure is logged and counted."""
        task = asyncio.get_running_loop().create_task(self._reload_unasked())
        self._unasked.add(task)  # which keeps it alive
        task.add_done_callback(self._unasked.discard)

    async def close(self, drain_s: float) -> None:
        """Finish the accepted work, for at most `drain_s`, and free all engines.

        Admission has been told that the service is stopping.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + drain_s
        try:
            async with self._turn:  # one under way ends without effect
                pass
            await asyncio.to_thread(self.current.engine.drain, max(0.0, end - clock()))
            if self._retiring is not None:  # who held that set longer than this has been cancelled
                await asyncio.wait((self._retiring,), timeout=max(0.0, end - clock()))
                self._retiring.cancel()
                await asyncio.wait((self._retiring,))
        finally:
            self.current.engine.close()

    async def _reload_unasked(self) -> None:
        with suppress(NmtError):
            await self.reload()

    async def _reload_in_turn(self) -> ModelSet:
        async with self._turn:
            self._next = None
            if self._retiring is not None:  # never more than two sets in memory
                await self._retiring
            return await self._replace()

    async def _replace(self) -> ModelSet:
        self._refuse_at_the_end()
        try:
            engine = await asyncio.to_thread(self._load)
            try:
                self._refuse_at_the_end()
                new = ModelSet(engine, has_pivots=self._has_pivots, before=self.current)
            except BaseException:
                await asyncio.to_thread(engine.close)
                raise
        except Overloaded:
            raise
        except Exception as error:
            self.reloads["failed"] += 1
            reason = str(error) if isinstance(error, NmtError) else f"{INTERNAL} ({type(error).__name__})"
            logger.error("the models were not loaded anew, the old ones serve on: %s", reason)
            raise ReloadFailed(f"the models were not loaded anew, the old ones serve on: {reason}") from error
        self.reloads["ok"] += 1
        old, self.current = self.current, new
        self._admission.engine = engine
        log_models(engine)
        self._retiring = asyncio.create_task(self._retire(old))
        return new

    def _refuse_at_the_end(self) -> None:
        if self._admission.is_stopping:
            raise Stopping()

    async def _retire(self, old: ModelSet) -> None:
        """Close a set when nobody needs it any more, or has had all the time that there is."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._drain_s):
                    await old.unused()
        finally:
            await asyncio.to_thread(_close, old.engine)


def _close(engine: Engine) -> None:
    engine.drain(1.0)  # what is left belongs to requests that were given up
    engine.close()


def log_models(engine: Engine) -> None:
    """A line of the log for each model that serves from now on."""
    for model in engine.models:
        pair = f"{model.source_lang} to {model.target_lang}"
        how = f"{model.runner} {model.precision}".strip()
        logger.info("model %s: %s, version %s, %s", model.name, pair, model.version, how)
