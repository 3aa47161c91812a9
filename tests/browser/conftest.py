"""A real Chromium, a real `nmt serve`, and a service over an engine that can be held."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from app.settings import Settings
from tests.app.fake_engine import FakeEngine, model
from tests.app.serving import free_port, serving, wait_until_ready
from tests.bundles import make_bundle

SEARCH = {"beam_size": 5, "max_length_factor": 0.8, "max_length_offset": 4}
CHAR_LIMIT = 500

Open = Callable[..., Page]
"""Opens a page: (address, **options of the browser's context)."""

expect.set_options(timeout=20_000)  # milliseconds; the machine may be busy


def find_chromium() -> str | None:
    """The variable CHROMIUM, or the first of the usual names on the path."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a module and no longer: while it lives no other event loop can run in this thread."""
    path = find_chromium()
    if path is None:
        message = "no Chromium is installed (Debian: apt-get install chromium; or name one in CHROMIUM)"
        if os.environ.get("BROWSER_TESTS") == "required":
            pytest.fail(message)
        pytest.skip(message)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's own does not run for root
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `nmt serve` with random models en-de, de-en and en-ar."""
    models = tmp_path_factory.mktemp("models")
    for seed, (source, target) in enumerate((("en", "de"), ("de", "en"), ("en", "ar")), start=1):
        make_bundle(models / f"{source}-{target}", seed=seed, source_lang=source, target_lang=target, search=SEARCH)
    port = free_port()
    command = [sys.executable, "-m", "nmt.cli.main", "serve", "--port", str(port), "--models", str(models)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NMT_")}
    environment |= {"NMT_WORKERS": "1", "NMT_MAX_TEXT_CHARS": str(CHAR_LIMIT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(address)
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(models=(model("en", "de"), model("de", "en"), model("en", "fr"), model("en", "he")))


@pytest.fixture
def held(browser: Browser, engine: FakeEngine) -> Iterator[str]:
    """The address of the service over `engine`."""
    with serving(engine, Settings(access_log=False, max_text_chars=2000)) as address:
        yield address


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens pages that must ask no other host, log no error, and never scroll sideways."""
    contexts: list[BrowserContext] = []
    pages: list[Page] = []
    problems: list[str] = []

    def open_page(address: str, **options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-US", "reduced_motion": "reduce"} | options)
        contexts.append(context)
        page = context.new_page()
        pages.append(page)
        host = urlsplit(address).netloc
        page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
        page.on("console", lambda m: problems.append(f"console: {m.text}") if is_fault(m.type, m.text) else None)
        page.on("request", lambda r: problems.append(f"asks {r.url}") if urlsplit(r.url).netloc != host else None)
        page.goto(address)
        expect(page.locator("#from")).to_be_enabled()
        return page

    yield open_page
    widths = [page.evaluate("[document.documentElement.scrollWidth, innerWidth]") for page in pages]
    for context in contexts:
        context.close()
    assert problems == []
    assert all(content <= window for content, window in widths), widths


def is_fault(kind: str, text: str) -> bool:
    """Chromium itself logs every answer that is an error, and every network that is down; these are tested for."""
    return kind in ("error", "warning") and "Failed to load resource" not in text
