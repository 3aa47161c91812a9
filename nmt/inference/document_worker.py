"""One document in a process of its own: `python -m nmt.inference.document_worker`, which `DocumentProcess` starts.

Whatever a file costs in time and memory it costs this process, and the kernel bounds both. It reads frames from
standard input and writes frames to standard output: a JSON object, and bytes where there are some.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import struct
import sys
from contextlib import suppress
from typing import Any, BinaryIO

from nmt.documents import FORMATS, Limits
from nmt.errors import DocumentError, DocumentTooLarge, TranslationError
from nmt.inference.documents import DocumentTranslation, Portion
from nmt.inference.types import TranslateOptions, Translation

HEAD = struct.Struct(">QQ")
"""Of a frame: lengths of the JSON and of the bytes behind it."""
MAX_DATA_BYTES = 2 << 30
MAX_CPU_S = 300
NICENESS = 5
TOO_MUCH = "it takes more memory or time than a file may"


def frame(message: dict[str, Any], data: bytes = b"") -> bytes:
    """A message as it goes through a pipe."""
    body = json.dumps(message).encode()
    return HEAD.pack(len(body), len(data)) + body + data


def main() -> None:
    """Answer the frames of one document, until it is written or nobody asks any more."""
    with suppress(OSError):
        os.nice(NICENESS)  # the engine goes first
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    gc.disable()  # looking through millions of objects again and again would take most of the time
    asked, answered = sys.stdin.buffer, sys.stdout.buffer
    try:
        _serve(asked, answered)
    except DocumentError as error:
        kind = "too_large" if isinstance(error, DocumentTooLarge) else "error"
        _write(answered, {kind: str(error)})
    except (MemoryError, RecursionError):
        _write(answered, {"too_large": TOO_MUCH})
    except EOFError:  # nobody wants it any more
        pass


def _serve(asked: BinaryIO, answered: BinaryIO) -> None:
    order, data = _read(asked)
    work = DocumentTranslation(
        data,
        FORMATS[order["form"]],
        order["source"],
        order["target"],
        limits=Limits(**order["limits"]),
        max_text_chars=order["max_text_chars"],
    )
    del data
    _write(answered, {"texts": work.texts, "characters": work.characters, "sample": work.sample()})
    portions = work.portions(texts=order["texts"])
    while True:
        message, _ = _read(asked)
        if message["op"] == "next":
            portion = next(portions, None)
            found: dict[str, Any] = {} if portion is None else {"texts": portion.texts, "numbers": portion.numbers}
            _write(answered, found | {"markup": "" if portion is None else portion.options.markup})
        elif message["op"] == "note":
            noted = Portion((), TranslateOptions(), tuple(message["numbers"]))
            work.note(noted, [_result(result) for result in message["results"]])
        else:
            written, report = work.finish()
            told = {"texts": report.texts, "failures": report.failures, "flags": report.flags}
            _write(answered, told, written)
            return


def _result(result: dict[str, Any]) -> Translation | TranslationError:
    if "error" in result:
        return TranslationError(result["error"])
    return Translation(result["text"], flags=frozenset(result["flags"]))


def _read(stream: BinaryIO) -> tuple[dict[str, Any], bytes]:
    lengths = HEAD.unpack(_exactly(stream, HEAD.size))
    message = json.loads(_exactly(stream, lengths[0]))
    return message, _exactly(stream, lengths[1])


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _write(stream: BinaryIO, message: dict[str, Any], data: bytes = b"") -> None:
    with suppress(BrokenPipeError):
        stream.write(frame(message, data))
        stream.flush()


if __name__ == "__main__":
    main()
