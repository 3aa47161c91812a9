"""Work that nobody waits for: its callers ask now and then how far it is. Knows neither files nor contracts.

What is remembered of it is in memory, and forgotten after a while.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from app.errors import INTERNAL, NotFound, Stopping
from nmt.errors import NmtError, Overloaded

logger = logging.getLogger(__name__)

MAX_WAITING = 16
"""Jobs that have not ended; each holds its file in memory."""
MAX_ENDED = 1000
"""Jobs whose end is remembered."""


@dataclass
class Job:
    """A document from its order to its end. Who knows both `id` and `secret` may ask for it."""

    id: str
    secret: str
    status: Literal["queued", "translating", "done", "error"] = "queued"
    characters: int = 0
    message: str = ""
    """What went wrong."""
    stored: str = ""
    """Name of the translation in the store of files."""
    ended: float | None = None
    """On the desk's clock."""
    task: asyncio.Task[None] | None = field(default=None, repr=False)


Work: TypeAlias = Callable[[Job], Awaitable[None]]
"""Does a job and writes into it what came out. An exception that it raises is the job's error."""


class DocumentDesk:
    """All jobs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, never going back."""
        self._clock = clock
        self._jobs: dict[str, Job] = {}

    def start(self, work: Work, *, life_s: float) -> Job:
        """Begin a job. One that has ended is forgotten after `life_s`. Raises Overloaded where too many are there."""
        self._forget_old(life_s)
        waiting = sum(job.ended is None for job in self._jobs.values())
        if waiting >= MAX_WAITING:
            raise Overloaded(f"{waiting} documents wait to be translated, as many as may be", retry_after_s=5.0)
        job = Job(secrets.token_hex(16).upper(), secrets.token_hex(32).upper())
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._run(job, work))
        return job

    def find(self, job_id: str, secret: str) -> Job:
        """A job that was begun here. Raises NotFound, for a wrong secret too."""
        job = self._jobs.get(job_id)
        if job is None or not hmac.compare_digest(job.secret.encode(), secret.encode()):
            raise NotFound("Document not found.")
        return job

    async def close(self) -> None:
        """End the jobs in work: what came of them could not be fetched any more."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, job: Job, work: Work) -> None:
        try:
            await work(job)
            job.status = "done"
        except asyncio.CancelledError:
            job.status, job.message = "error", str(Stopping())
            raise
        except NmtError as error:
            job.status, job.message = "error", str(error)
        except Exception as error:
            place = "".join(traceback.format_tb(error.__traceback__))  # not its message: it may quote the document
            logger.error("a document was not translated: %s\n%s", type(error).__name__, place)
            job.status, job.message = "error", INTERNAL
        finally:
            job.ended, job.task = self._clock(), None

    def _forget_old(self, life_s: float) -> None:
        now = self._clock()
        ended = [(job.ended, job.id) for job in self._jobs.values() if job.ended is not None]
        for place, (end, job_id) in enumerate(sorted(ended), 1):
            if end + life_s <= now or len(ended) - place >= MAX_ENDED:
                del self._jobs[job_id]
