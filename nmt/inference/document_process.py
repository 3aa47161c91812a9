"""Documents of strangers, for programs with an event loop: read and written in a process of their own.

What it is told by that process is JSON and the bytes of the result, never objects.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

from nmt.documents import Format, Limits
from nmt.errors import DocumentError, DocumentTooLarge
from nmt.inference.document_worker import HEAD, TOO_MUCH, frame
from nmt.inference.documents import DocumentReport, Portion
from nmt.inference.types import Result, TranslateOptions, Translation

WORKER = "nmt.inference.document_worker"
_PACKAGES = str(Path(__file__).parents[2])


class DocumentProcess:
    """`DocumentTranslation` at a distance. Close it, whatever happens."""

    def __init__(self, process: Process, options: TranslateOptions) -> None:
        """Use `open`."""
        self._process = process
        self._options = options
        self._turn = asyncio.Lock()
        self.texts = self.characters = 0
        self.sample = ""

    @classmethod
    async def open(
        cls,
        data: bytes,
        form: Format,
        source: str,
        target: str,
        options: TranslateOptions,
        *,
        limits: Limits,
        max_text_chars: int,
        texts_per_portion: int,
    ) -> Self:
        """Read a document. Raises DocumentError."""
        paths = os.pathsep.join(filter(None, (_PACKAGES, os.environ.get("PYTHONPATH"))))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            WORKER,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )
        opened = cls(process, options)
        try:
            order: dict[str, Any] = {"form": form.name, "source": source, "target": target, "limits": asdict(limits)}
            order |= {"max_text_chars": max_text_chars, "texts": texts_per_portion}
            told, _ = await opened._ask(order, data)
        except BaseException:
            await opened.close()
            raise
        opened.texts, opened.characters, opened.sample = told["texts"], told["characters"], told["sample"]
        return opened

    async def next(self) -> Portion | None:
        """The next texts to translate; None after the last. Raises DocumentError."""
        told, _ = await self._ask({"op": "next"})
        if "texts" not in told:
            return None
        options = replace(self._options, markup="xml" if told["markup"] else "")
        return Portion(tuple(told["texts"]), options, tuple(told["numbers"]))

    async def note(self, portion: Portion, results: Sequence[Result]) -> None:
        """Hand over the results of a portion. Raises DocumentError."""
        plain = [
            {"text": result.text, "flags": sorted(result.flags)}
            if isinstance(result, Translation)
            else {"error": str(result)}
            for result in results
        ]
        async with self._turn:
            await self._send(frame({"op": "note", "numbers": portion.numbers, "results": plain}))

    async def finish(self) -> tuple[bytes, DocumentReport]:
        """The translated document, and what became of its texts. Raises DocumentError."""
        told, data = await self._ask({"op": "finish"})
        failures = tuple((str(place), str(error)) for place, error in told["failures"])
        return data, DocumentReport(told["texts"], failures, Counter(told["flags"]))

    async def close(self) -> None:
        """End the process, done or not."""
        with suppress(ProcessLookupError):
            self._process.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(OSError):
            await self._process.stdin.wait_closed()
        await self._process.communicate()

    async def _ask(self, message: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
        async with self._turn:
            await self._send(frame(message, data))
            stdout = self._process.stdout
            assert stdout is not None
            try:
                lengths = HEAD.unpack(await stdout.readexactly(HEAD.size))
                told: dict[str, Any] = json.loads(await stdout.readexactly(lengths[0]))
                answer = await stdout.readexactly(lengths[1])
            except asyncio.IncompleteReadError:  # the kernel has ended it
                raise DocumentTooLarge(TOO_MUCH) from None
        if "too_large" in told:
            raise DocumentTooLarge(told["too_large"])
        if "error" in told:
            raise DocumentError(told["error"])
        return told, answer

    async def _send(self, data: bytes) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(ConnectionError):  # what has happened is told by the end of its answers
            stdin.write(data)
            await stdin.drain()
