"""What every answer says beside its body."""

from __future__ import annotations

import httpx
import pytest

from app.direct import Application
from app.exchange import Exchange

pytestmark = pytest.mark.anyio

GOOD = {"q": "Hi there", "source": "en", "target": "de"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/translate"),
        ("GET", "/languages"),
        ("GET", "/livez"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("PUT", "/translate"),
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/web/style.css"),
        ("GET", "/openapi.json"),
        ("GET", "/docs/assets/swagger-ui.css"),
    ],
)
async def test_every_answer_tells_browsers_what_not_to_do_with_it(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await client.request(method, path, json=GOOD if method == "POST" else None)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    policies = response.headers.get_list("Content-Security-Policy")
    assert len(policies) == 1
    assert "frame-ancestors 'none'" in policies[0]
    if method == "POST":
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/web/style.css", 200),
        ("/docs", 200),
        ("/openapi.json", 200),
        ("/livez", 200),
        ("/languages", 200),
        ("/v2/languages?type=target", 200),
        ("/apy/translate?q=Hi&langpair=en|de", 200),
        ("/download_file/none", 404),
        ("/translate", 405),
        ("/nowhere", 404),
    ],
)
async def test_head_is_get_without_the_body(
    client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str], app: Application, path: str, status: int
) -> None:
    full, head = [await client.request(method, path, headers={"X-Request-Id": "a"}) for method in ("GET", "HEAD")]
    assert (full.status_code, head.status_code) == (status, status)
    assert full.content
    assert head.content == b""
    for answer in (full, head):
        answer.headers.pop("Server-Timing", None)  # of each request its own
    assert head.headers == full.headers
    assert app.access_log is not None
    app.access_log.flush()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(line[1], line[3], line[-1]) for line in lines] == [
        (method, str(status), "a") for method in ("GET", "HEAD")
    ]
    assert lines[0][2] == lines[1][2]


async def test_both_ways_of_translate_send_the_same_headers(client: httpx.AsyncClient) -> None:
    short = await client.post("/translate", json=GOOD)
    long = await client.post("/translate", data=GOOD)
    assert set(short.headers) == set(long.headers) - {"vary"}  # the framework's, for pages of other origins
    assert "Server-Timing" in short.headers


async def test_the_api_page_runs_no_script_but_its_own(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/docs")).headers["Content-Security-Policy"]
    assert "script-src 'self' 'sha256-" in policy
    assert "default-src 'none'" in policy


def test_server_timing_says_where_the_time_went() -> None:
    done = Exchange({}, {})
    assert done.timing(0.5) == b"total;dur=500.0"
    done.queue_s, done.engine_s = 0.1234, 0.25
    assert done.timing(0.5) == b"queue;dur=123.4, engine;dur=250.0, total;dur=500.0"
