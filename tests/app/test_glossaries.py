"""Glossaries are kept by caller, outlive the service, and are read strictly."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import glossaries
from app.errors import BadRequest, NotFound
from app.glossaries import (
    FILE_NAME,
    MAX_TERMS,
    Dictionary,
    GlossaryStore,
    TermIndex,
    Terms,
    read_csv,
    read_tsv,
    write_tsv,
)
from app.settings import Settings
from nmt.errors import ConfigError
from tests.app.fake_engine import FakeEngine
from tests.app.serving import calling

pytestmark = pytest.mark.anyio

PAIR = ("en", "de")
TERMS = (("hard disk", "Festplatte"), ("Straße", "road"))


def test_a_glossary_outlives_the_store_and_keeps_the_order_of_its_terms(tmp_path: Path) -> None:
    first = GlossaryStore(tmp_path / "new folder")
    began = datetime.now(UTC)
    made = first.create("anna", "IT", {PAIR: TERMS})
    first.close()
    second = GlossaryStore(tmp_path / "new folder")
    assert second.list("anna") == [made]
    assert second.get(made.id, "anna") == made
    assert made.dictionaries == (Dictionary("en", "de", 2),)
    assert second.terms(made.id, "anna", PAIR) == TERMS
    assert second.entries(made.id, "anna", PAIR) == "hard disk\tFestplatte\nStraße\troad"
    assert began <= made.created <= datetime.now(UTC)
    second.delete(made.id, "anna")
    assert second.list("anna") == []
    second.close()


def test_the_file_is_the_owner_s_alone(tmp_path: Path) -> None:
    GlossaryStore(tmp_path).close()
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


def test_nobody_sees_another_caller_s_glossaries() -> None:
    store = GlossaryStore()
    made = store.create("anna", "IT", {PAIR: TERMS})
    for ask in (store.get, store.change, store.delete):
        with pytest.raises(NotFound):
            ask(made.id, "bert")
    for ask_pair in (store.terms, store.entries, store.delete_dictionary):
        with pytest.raises(NotFound):
            ask_pair(made.id, "bert", PAIR)
    assert store.list("bert") == []
    assert store.list("anna") == [made]
    store.close()


def test_a_glossary_of_several_pairs_changes_one_by_one() -> None:
    store = GlossaryStore()
    made = store.create("anna", "IT", {PAIR: TERMS, ("de", "en"): (("Maus", "mouse"),)})
    assert made.dictionaries == (Dictionary("de", "en", 1), Dictionary("en", "de", 2))
    added = store.change(made.id, "anna", {PAIR: (("hard disk", "Platte"), ("mouse", "Maus"))}, is_addition=True)
    assert (added.name, added.dictionaries) == ("IT", (Dictionary("de", "en", 1), Dictionary("en", "de", 3)))
    assert store.terms(made.id, "anna", PAIR) == (("hard disk", "Platte"), ("Straße", "road"), ("mouse", "Maus"))
    replaced = store.change(made.id, "anna", {PAIR: (("a", "b"),)}, name="other")
    assert (replaced.name, store.terms(made.id, "anna", PAIR)) == ("other", (("a", "b"),))
    store.delete_dictionary(made.id, "anna", PAIR)
    for ask in (store.terms, store.delete_dictionary):
        with pytest.raises(NotFound, match="from en to de"):
            ask(made.id, "anna", PAIR)
    assert store.get(made.id, "anna").dictionaries == (Dictionary("de", "en", 1),)
    store.close()


def test_terms_of_a_text_are_those_of_the_glossary_as_it_is_now() -> None:
    """Whatever was kept ready."""
    store = GlossaryStore()
    made = store.create("anna", "IT", {PAIR: TERMS})

    def found() -> tuple[tuple[str, str], ...]:
        return store.terms_within(made.id, "anna", PAIR, ["a Hard Disk", "a mouse"])

    assert found() == found() == (("hard disk", "Festplatte"),)
    store.change(made.id, "anna", {PAIR: (("mouse", "Maus"),)}, is_addition=True)
    assert found() == (("hard disk", "Festplatte"), ("mouse", "Maus"))
    store.change(made.id, "anna", {PAIR: (("mouse", "Nager"),)})
    assert found() == (("mouse", "Nager"),)
    with pytest.raises(NotFound):
        store.terms_within(made.id, "bert", PAIR, ["mouse"])
    store.delete_dictionary(made.id, "anna", PAIR)
    with pytest.raises(NotFound):
        found()
    store.delete(made.id, "anna")
    with pytest.raises(NotFound):
        found()
    store.close()


def test_what_is_kept_ready_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glossaries, "MAX_READY_TERMS", 3)
    store = GlossaryStore()
    made = [store.create("anna", name, {PAIR: TERMS}) for name in "abc"]
    for glossary in (*made, *made):
        assert store.terms_within(glossary.id, "anna", PAIR, ["straSSe"]) == (("Straße", "road"),)
        assert len(store._recent._indices) == 1
    store.close()


def test_entries_that_are_added_have_a_limit() -> None:
    store = GlossaryStore()
    many = tuple((f"a{number}", "b") for number in range(MAX_TERMS))
    made = store.create("anna", "IT", {PAIR: many})
    with pytest.raises(BadRequest, match="Too many entries"):
        store.change(made.id, "anna", {PAIR: (("b", "c"),)}, name="other", is_addition=True)
    assert store.get(made.id, "anna") == made
    store.close()


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(ConfigError, match="version 9"):
        GlossaryStore(tmp_path)


@pytest.mark.parametrize("content", [b"this is no database, whatever its name says", b"\x00" * 5000])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(FILE_NAME)):
        GlossaryStore(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="NMT_STATE"):
        GlossaryStore(tmp_path / "file")


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("a\tb", (("a", "b"),)),
        ("\ufeffa\tb\r\n\r\n c \t d \n", (("a", "b"), ("c", "d"))),
        ('"a"\tb,c', (('"a"', "b,c"),)),
    ],
)
def test_tsv(text: str, terms: tuple[tuple[str, str], ...]) -> None:
    assert read_tsv(text) == terms
    assert read_tsv(write_tsv(terms)) == terms


def test_csv_with_and_without_languages() -> None:
    assert read_csv('\ufeffa,b\r\n"c, ""d""",e\n\n') == (("a", "b"), ('c, "d"', "e"))
    assert read_csv("a,b,en,de\nc,d,en,de") == (("a", "b"), ("c", "d"))


@pytest.mark.parametrize("line", ["a", "a\tb\tc", "\tb", "a\t", "x\ty\x0bz", "x\ty\u2028z", "t\tu", "é" * 600 + "\tb"])
def test_a_wrong_line_of_tsv_is_named(line: str) -> None:
    with pytest.raises(BadRequest, match="line 2 "):
        read_tsv(f"t\tu\n{line}\nv\tw")


@pytest.mark.parametrize("line", ["a", "a,b,c", ",b", 'a,"b" c', "t,u", 'x,"y\x01"'])
def test_a_wrong_line_of_csv_is_named(line: str) -> None:
    with pytest.raises(BadRequest, match="line 2 "):
        read_csv(f"t,u\n{line}\nv,w")


def test_the_terms_of_a_text_are_those_that_stand_in_it_whatever_the_size() -> None:
    """Against trying every term."""
    letters = random.Random(1)
    words = ["".join(letters.choices("abcßÄd ", k=letters.randint(1, 6))).strip() or "x" for _ in range(400)]
    terms = tuple((word, str(place)) for place, word in enumerate(dict.fromkeys(words)))
    for few in (terms[:20], terms):
        for size in (0, 1, 3, 40):
            texts = ["".join(letters.choices("abcSÄädD ", k=size)) for _ in range(3)]
            plainly = tuple(term for term in few if any(term[0].casefold() in text.casefold() for text in texts))
            assert TermIndex(few).within(texts) == plainly


def test_the_operator_s_terms_come_by_pair(tmp_path: Path) -> None:
    (tmp_path / "en-de.tsv").write_text("hard disk\tFestplatte\nmouse\tMaus\n", "utf-8")
    (tmp_path / "en-PT-br.tsv").write_text("mouse\tmouse\n", "utf-8")
    (tmp_path / "zh-Hans-en.tsv").write_text("鼠标\tmouse\n", "utf-8")
    (tmp_path / "notes.txt").write_text("not read", "utf-8")
    store = GlossaryStore(shared=tmp_path)
    assert store.shared_pairs == {"en-de": 2, "en-pt-br": 1, "zh-hans-en": 1}
    assert store.shared("en", "de", ["My Hard Disk!"]) == (("hard disk", "Festplatte"),)
    assert store.shared("EN", "pt-BR", ["a mouse"]) == (("mouse", "mouse"),)
    assert store.shared("zh-Hans", "en", ["一个鼠标"]) == (("鼠标", "mouse"),)
    assert store.shared("de", "en", ["mouse"]) == ()
    store.close()


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("en-de.tsv", b"a", "en-de.tsv: .*line 1 has 1 columns"),
        ("en-de.tsv", b"\xff\tb", "en-de.tsv: .*utf-8"),
        ("terms.tsv", b"a\tb", "terms.tsv: the name says no pair"),
        ("en-.tsv", b"a\tb", "en-.tsv: the name says no pair"),
        ("-en-de.tsv", b"a\tb", "-en-de.tsv: the name says no pair"),
    ],
)
def test_a_wrong_file_of_the_operator_ends_the_start(tmp_path: Path, name: str, content: bytes, error: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=error):
        GlossaryStore(shared=tmp_path)
    with pytest.raises(ConfigError, match="is not a folder"):
        GlossaryStore(shared=tmp_path / name)


async def test_others_are_answered_while_long_texts_are_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "en-de.tsv").write_text("mouse\tMaus\n", "utf-8")
    have_been_answered = threading.Event()
    within = TermIndex.within

    def look(index: TermIndex, texts: Iterable[str]) -> Terms:
        assert have_been_answered.wait(5)
        return within(index, texts)

    monkeypatch.setattr(TermIndex, "within", look)
    engine = FakeEngine()
    async with calling(Settings(glossaries=tmp_path), engine) as (_, client):
        body = {"q": ["a mouse " * 1000] * 3, "source": "en", "target": "de"}
        long = asyncio.create_task(client.post("/translate", json=body))
        await asyncio.sleep(0.05)
        assert (await client.get("/livez")).status_code == 200
        have_been_answered.set()
        assert (await long).status_code == 200
    assert engine.jobs[0].options.terms == (("mouse", "Maus"),)


async def test_the_operator_s_terms_reach_the_engine_unless_the_request_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "en-de.tsv").write_text("disk\tPlatte\nmouse\tMaus\n", "utf-8")
    engine = FakeEngine()
    async with calling(Settings(glossaries=tmp_path), engine) as (_, client):
        for fields in ({"target": "de"}, {"target": "fr"}, {"target": "de", "raw": True}):
            await client.post("/translate", json={"q": "A mouse.", "source": "en", **fields})
        assert [job.options.terms for job in engine.jobs] == [(("mouse", "Maus"),), (), ()]
        glossary = {"name": "g", "source_lang": "en", "target_lang": "de", "entries_format": "tsv"}
        made = (await client.post("/v2/glossaries", json=glossary | {"entries": "mouse\tNager"})).json()
        body = {"text": ["mouse, disk"], "source_lang": "EN", "target_lang": "DE", "glossary_id": made["glossary_id"]}
        await client.post("/v2/translate", content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert engine.jobs[-1].options.terms == (("mouse", "Nager"), ("disk", "Platte"))
