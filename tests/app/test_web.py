"""The page as files and headers; what it does in a browser is tested in tests/browser."""

from __future__ import annotations

import re

import httpx
import pytest

from app.routes.web import ASSETS_PATH, FOLDER

pytestmark = pytest.mark.anyio

FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())


def policy(response: httpx.Response) -> dict[str, str]:
    directives = response.headers["Content-Security-Policy"].split("; ")
    return {name: value for name, _, value in (directive.partition(" ") for directive in directives)}


async def test_the_page_may_load_only_its_own_files_and_ask_only_its_own_service(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    rules = policy(response)
    assert rules["default-src"] == "'none'"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules.values()) == {"'none'", "'self'"}
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert (await client.head("/")).status_code == 200


@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_served_with_the_same_rules_and_is_asked_about_again(
    client: httpx.AsyncClient, name: str
) -> None:
    response = await client.get(f"{ASSETS_PATH}/{name}")
    assert response.status_code == 200
    assert policy(response)["default-src"] == "'none'"
    assert response.headers["Cache-Control"] == "no-cache"
    again = await client.get(f"{ASSETS_PATH}/{name}", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["../main.py", "%2e%2e/main.py", "messages/../../main.py", "nothing.js", ""])
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(f"{ASSETS_PATH}/{path}")
    assert response.status_code == 404
    assert set(response.json()) == {"error"}


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_host_and_none_needs_what_the_policy_forbids(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "://" not in text
    assert not re.search(r"<script(?! type=\"module\" src=)|<style|\sstyle=|\son\w+=\"|javascript:|@import", text)
    assert not re.search(r"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write", text)


def test_addresses_are_relative_so_that_a_proxy_may_serve_the_page_below_any_path() -> None:
    page = (FOLDER / "index.html").read_text("utf-8")
    linked = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert {"docs", "web/main.js", "web/style.css"} <= set(linked)
    asked = re.findall(r'\bask\("([^"]*)"', (FOLDER / "api.js").read_text("utf-8"))
    assert {"translate", "translate_file", "languages", "frontend/settings"} == set(asked)
    assert [address for address in (*linked, *asked) if address.startswith("/")] == []


def test_every_word_of_the_page_is_a_message_and_every_message_is_used() -> None:
    english = (FOLDER / "messages" / "en.js").read_text("utf-8")
    keys = set(re.findall(r"^  (\w+):", english, re.MULTILINE))
    page = (FOLDER / "index.html").read_text("utf-8")
    scripts = "".join(path.read_text("utf-8") for path in FOLDER.glob("*.js"))
    placed = re.findall(r'data-message[a-z-]*="(\w+)"', page)
    written = re.findall(r"\bmessages\.(?!js\b)(\w+)", scripts)
    assert {*placed, *written} == keys
    body = page.partition("<body>")[2]
    words = re.sub(r"<noscript>.*?</noscript>|<kbd.*?</kbd>|<title>.*?</title>|<[^>]+>", " ", body, flags=re.DOTALL)
    assert re.findall(r"\w+", words.replace("Translation", "")) == []
