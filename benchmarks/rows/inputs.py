"""Rows about what requests hold: everything that the API's description allows and forbids, and difficult strings."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from benchmarks.rows.row import Answer, Row, Run, ask, get, post
from benchmarks.served import Served

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
AT_ONCE = 16


def schema(run: Run) -> Iterator[Row]:
    """Requests that Schemathesis makes from the API's descriptions, right ones and wrong ones."""
    examples = 10 if run.quick else 100
    for name, document in (("schema", "openapi.json"), ("schema-contracts", "openapi-contracts.json")):
        report = run.folder / f"{name}.log"
        with run.serve() as server:
            code = schemathesis(server.url, examples, run.seed, report, document)
        lines = report.read_text("utf-8", "replace").splitlines()
        summary = [line.strip() for line in lines if " generated, " in line]
        yield Row(
            name,
            f"Schemathesis on /{document}, {examples} examples of each operation, right and wrong: no 5xx, answers "
            "as described",
            "; ".join(summary[-3:]) or f"exit code {code}",
            code == 0,
            {"exit_code": code, "report": lines[-200:]},
        )


def schemathesis(url: str, examples: int, seed: int, report: Path, document: str = "openapi.json") -> int:
    """Exit code of Schemathesis on the service at `url`; what it prints goes to `report`."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/{document}", "--checks", CHECKS]
    command += ["--mode", "all", "--max-examples", str(examples), "--seed", str(seed), "--no-color"]
    with report.open("w") as output:
        done = subprocess.run(command, cwd=report.parent, stdout=output, stderr=subprocess.STDOUT, check=False)
    return done.returncode


def strings(run: Run) -> Iterator[Row]:
    """Every string of a list of difficult ones, by every way in."""
    promise = "difficult strings by every contract: no 5xx, every status documented"
    if run.strings is None:
        yield Row("strings", promise, "no list was named (`--strings FILE`)", None)
        return
    texts = load_strings(run.strings)
    with run.serve() as server:
        outcome = asyncio.run(_send_all(server, texts))
    wrong = {way: number for (way, status), number in outcome.items() if status == 0 or status >= 500}
    ways = len({way for way, _ in outcome})
    statuses: Counter[int] = Counter()
    for (_, status), number in outcome.items():
        statuses[status] += number
    yield Row(
        "strings",
        f"{len(texts)} {promise}",
        f"{sum(outcome.values()):,} requests by {ways} ways: "
        + ", ".join(f"{number:,} x {status}" for status, number in sorted(statuses.items())),
        not wrong,
        {"by_way": {f"{way} {status}": number for (way, status), number in sorted(outcome.items())}},
    )


def load_strings(path: Path) -> list[str]:
    """A JSON list of strings, compressed or not."""
    data = path.read_bytes()
    texts: list[str] = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    return texts


def ways(text: str) -> dict[str, bytes]:
    """A request with this text for every way in, by name."""
    pair = {"source": "en", "target": "de"}
    form = "application/x-www-form-urlencoded"
    listed: dict[str, Any] = {"q": [text], **pair}
    deepl = {"text": [text], "source_lang": "EN", "target_lang": "DE"}
    return {
        "JSON": post(json.dumps({"q": text, **pair}).encode()),
        "JSON list": post(json.dumps(listed).encode()),
        "JSON HTML": post(json.dumps({"q": text, "format": "html", **pair}).encode()),
        "form": post(urlencode({"q": text, **pair}, errors="surrogatepass").encode(), kind=form),
        "query": post(b"", f"/translate?{urlencode({'q': text, **pair}, errors='surrogatepass')}", kind=form),
        "detect": post(json.dumps({"q": text}).encode(), "/detect"),
        "DeepL JSON": post(json.dumps(deepl).encode(), "/v2/translate"),
        "DeepL XML": post(json.dumps(deepl | {"tag_handling": "xml"}).encode(), "/v2/translate"),
        "Apertium": get(f"/apy/translate?langpair=en%7Cde&q={quote(text, errors='surrogatepass')}"),
        "Google": post(json.dumps(listed).encode(), "/language/translate/v2"),
    }


async def _send_all(server: Served, texts: list[str]) -> Counter[tuple[str, int]]:
    """Numbers of answers by way and status."""
    outcome: Counter[tuple[str, int]] = Counter()
    gate = asyncio.Semaphore(AT_ONCE)

    async def send(way: str, data: bytes) -> None:
        async with gate:
            answer: Answer = await ask(server, data)
        is_told = answer.status == 200 or isinstance(answer.json(), dict)
        outcome[way, answer.status if is_told else 0] += 1

    await asyncio.gather(*(send(way, data) for text in texts for way, data in ways(text).items()))
    return outcome
