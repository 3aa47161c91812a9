"""An engine that can be held, filled, broken and watched: the service's own behaviour is tested against it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from nmt.errors import DeadlineExceeded, NmtError, Overloaded, TranslationError
from nmt.inference import Detection, Hypothesis, ModelInfo, PoolStatus, TranslateOptions, Translation


def model(source: str, target: str) -> ModelInfo:
    """A model for a pair, its version made of its codes."""
    return ModelInfo(
        name=f"{source}-{target}",
        source_lang=source,
        target_lang=target,
        version=f"v-{source}-{target}",
        parameters=1,
        folder=Path("models") / f"{source}-{target}",
        description="",
    )


@dataclass
class Job:
    """What was submitted, and the future the service waits for."""

    texts: list[str]
    source: str
    target: str
    options: TranslateOptions
    deadline_s: float | None
    future: Future[list[Translation | NmtError]] = field(default_factory=Future)


@dataclass
class FakeEngine:
    """Upper-cases texts at once, or when `release` is called if `is_held`.

    Some texts are special: "fail" and "late" come back as errors, "odd" with a NaN for a score, "long" with flags.
    """

    models: tuple[ModelInfo, ...] = (model("en", "de"), model("de", "en"), model("en", "fr"))
    max_queue: int = 512
    is_held: bool = False
    reasons: tuple[str, ...] = ()
    fault: Exception | None = None
    jobs: list[Job] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def submit(
        self,
        texts: Sequence[str],
        source: str,
        target: str,
        options: TranslateOptions,
        *,
        deadline_s: float | None,
        is_continued: bool = False,
    ) -> Future[list[Translation | NmtError]]:
        if self.fault:
            raise self.fault
        if not is_continued and self.waiting + len(texts) > self.max_queue:
            raise Overloaded("the queue is full", retry_after_s=2.5)
        job = Job(list(texts), source, target, options, deadline_s)
        self.jobs.append(job)
        if not self.is_held:
            self.release()
        return job.future

    @property
    def waiting(self) -> int:
        """Texts of jobs that nobody has answered or cancelled."""
        return sum(len(job.texts) for job in self.jobs if not job.future.done())

    def release(self) -> None:
        """Answer everything that waits, and hold no more."""
        self.is_held = False
        for job in self.jobs:
            if not job.future.done() and job.future.set_running_or_notify_cancel():
                job.future.set_result([translate(text, job.options) for text in job.texts])

    @property
    def queued(self) -> int:
        return self.waiting

    def status(self) -> PoolStatus:
        return PoolStatus(not self.reasons, self.reasons, self.waiting, 0, "cpu")

    def stay_awake(self, seconds: float) -> None: ...

    def gather(self) -> None: ...

    def drain(self, timeout_s: float) -> None:
        self.events.append(f"drain {timeout_s:.0f}")  # whole seconds: some time has passed

    def close(self) -> None:
        self.events.append("close")


def translate(text: str, options: TranslateOptions) -> Translation | NmtError:
    """What this engine makes of one text."""
    if text == "fail":
        return TranslationError("no translation found")
    if text == "late":
        return DeadlineExceeded("no translation within 30 s")
    links = ((0, 0), (1, 1)) if options.alignments else ()
    looked = tuple(((word, 0.75), (0, 0.25))[: word + 1] for word in range(len(text.split())))
    attention = looked if options.attention else ()
    said = (
        re.sub(r"(<[^<>]*>|&\w+;)|([^<&]+)", lambda m: m[1] or m[2].upper(), text) if options.markup else text.upper()
    )
    hypotheses = [Hypothesis(said + "!" * rank, -0.5 - rank, links, attention) for rank in range(options.n_best)]
    return Translation(
        text=hypotheses[0].text,
        score=math.nan if text == "odd" else -0.5,
        alternatives=tuple(hypotheses),
        alignment=links,
        attention=attention,
        flags=frozenset({"truncated", "repetition"}) if text == "long" else frozenset(),
        source_tokens=1,
        target_tokens=1,
    )


class FakeDetector:
    """Reads the language from the text itself: "de: Guten Tag"."""

    def __init__(self, codes: Iterable[str]) -> None:
        self.codes = set(codes)

    def detect(self, text: str, codes: Collection[str]) -> list[Detection]:
        return [Detection(code, 0.876) for code in codes if code in self.codes and f"{code}:" in text]
