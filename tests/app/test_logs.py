"""Lines of the log: what they say, and what they never say."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import sys
from pathlib import Path

import pytest

from app import logs
from app.keys import FILE_NAME, KeyFile
from app.logs import AccessLog, JsonFormatter
from app.settings import Settings
from tests.app.fake_engine import FakeEngine
from tests.app.serving import calling

pytestmark = pytest.mark.anyio

GOOD = {"q": "Hi there", "source": "en", "target": "de"}
SECRET = "hunter2-secret"


async def test_json_lines_say_who_what_and_how_long_and_hold_no_secret(engine: FakeEngine, tmp_path: Path) -> None:
    with KeyFile(tmp_path / FILE_NAME) as file:
        key = file.add("alice")
    stream = io.StringIO()
    async with calling(Settings(state=tmp_path, api_keys=True, log_format="json"), engine) as (app, client):
        app.access_log = AccessLog(stream, is_json=True)
        body = GOOD | {"q": [SECRET, "b"], "api_key": key}
        await client.post("/translate", json=body, headers={"X-Request-Id": "mine"})
        await client.post("/translate", data=GOOD | {"q": SECRET, "api_key": key + "x"})
        await client.get(f"/{SECRET}?api_key={key}")
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(entry["route"], entry["status"]) for entry in entries] == [
        ("/translate", 200),
        ("/translate", 403),
        ("-", 404),
    ]
    first, second, _ = entries
    assert {name: first[name] for name in ("request_id", "caller", "texts", "characters", "method")} == {
        "request_id": "mine",
        "caller": "alice",
        "texts": 2,
        "characters": len(SECRET) + 1,
        "method": "POST",
    }
    assert first["ms"] >= 0
    assert second["error"] == "InvalidKey"
    for secret in (SECRET, key, "127.0.0.1"):
        assert secret not in stream.getvalue()


async def test_a_fault_is_logged_with_its_route_and_not_with_what_the_caller_asked_for(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with calling(Settings(), engine) as (app, client):
        app.state.service.glossaries.close()
        engine.fault = RuntimeError(SECRET)
        for method, path, route in (
            ("GET", f"/v2/glossaries/{SECRET}", "/v2/glossaries/{glossary_id}"),
            ("POST", "/translate", "/translate"),
        ):
            caplog.clear()
            assert (await client.request(method, path, json=GOOD)).status_code == 500
            assert f" in {route}\n" in caplog.text
            assert SECRET not in caplog.text


def test_a_record_in_json_is_one_line_with_the_place_of_a_fault_and_not_its_words() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        record = logging.LogRecord("app.errors", logging.ERROR, __file__, 1, "a\nfault: %s", ("x",), sys.exc_info())
    line = JsonFormatter().format(record)
    entry = json.loads(line)
    assert "\n" not in line
    assert (entry["level"], entry["message"], entry["error"]) == ("error", "a\nfault: x", "ValueError")
    assert Path(__file__).name in entry["place"]
    assert SECRET not in line


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_process_logs_its_own_messages_and_uvicorns(log_format: str) -> None:
    config = logs.log_config(log_format)  # type: ignore[arg-type]
    assert {"app", "nmt", "uvicorn"} <= set(config["loggers"])
    names = ("app", "nmt", "uvicorn", "uvicorn.error", "uvicorn.access")
    before = {name: (logging.getLogger(name).handlers[:], logging.getLogger(name).propagate) for name in names}
    try:
        logging.config.dictConfig(config)
        handler = logging.getLogger("app").handlers[0]
        is_json = isinstance(handler.formatter, JsonFormatter)
        assert is_json is (log_format == "json")
    finally:
        for name, (handlers, propagate) in before.items():
            logging.getLogger(name).handlers[:] = handlers
            logging.getLogger(name).propagate = propagate
            logging.getLogger(name).setLevel(logging.NOTSET)
