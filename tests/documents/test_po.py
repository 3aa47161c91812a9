"""gettext catalogues, read back by polib: another reader of theirs."""

from __future__ import annotations

import polib
import pytest

from nmt.errors import DocumentError
from tests.documents.samples import loud, read, rewritten, same, units

CATALOGUE = r"""# Translations of a program.
# Copyright (C) somebody
msgid ""
msgstr ""
"Project-Id-Version: 1\n"
"Language: de\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

# a comment
#. for translators
#: src/a.c:12 src/b.c:3
#, c-format
msgid "Open %s\n"
msgstr ""

msgctxt "menu"
msgid ""
"The first line\n"
"and \"the second\"\n"
msgstr ""

#: src/c.c:1
#, c-format
#| msgid "%d old file"
msgid "%d file"
msgid_plural "%d files"
msgstr[0] ""
msgstr[1] ""

msgid "Done"
msgstr "Fertig"

#, fuzzy
msgid "Save"
msgstr "Sichern"

msgid "<b>Bold</b> & more"
msgstr ""

msgid "100 %"
msgstr ""

#~ msgid "Gone"
#~ msgstr ""
"""


def test_only_what_is_not_translated_is_a_unit() -> None:
    assert units("po", CATALOGUE) == [
        "Open %s\n",
        'The first line\nand "the second"\n',
        "%d file",
        "%d files",
        '<g id="1">Bold</g> &amp; more',
    ]
    assert read("po", CATALOGUE).units[0].place == "line 15"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_translations_are_filled_in_and_marked_and_nothing_else_changes(newline: str) -> None:
    written = rewritten("po", CATALOGUE.replace("\n", newline), loud).decode()
    assert written.count(newline) == written.count("\n")
    before, after = polib.pofile(CATALOGUE), polib.pofile(written.replace("\r\n", "\n"))
    assert after.header == before.header
    assert after.metadata == before.metadata
    kept = ("msgid", "msgid_plural", "msgctxt", "comment", "tcomment", "occurrences", "previous_msgid", "obsolete")
    assert [[getattr(e, name) for name in kept] for e in after] == [[getattr(e, name) for name in kept] for e in before]
    opened, first, plural, done, save, bold, code, gone = after
    assert (opened.msgstr, sorted(opened.flags)) == ("OPEN %S\n", ["c-format", "fuzzy"])
    assert (first.msgstr, first.flags) == ('THE FIRST LINE\nAND "THE SECOND"\n', ["fuzzy"])
    assert (plural.msgstr_plural, sorted(plural.flags)) == ({0: "%D FILE", 1: "%D FILES"}, ["c-format", "fuzzy"])
    assert (done.msgstr, done.flags) == ("Fertig", [])
    assert (save.msgstr, save.flags) == ("Sichern", ["fuzzy"])
    assert (bold.msgstr, bold.flags) == ("<b>BOLD</b> & MORE", ["fuzzy"])
    assert (code.msgstr, code.flags) == ("", [])
    assert (gone.msgstr, gone.obsolete) == ("", True)


def test_what_is_not_translated_leaves_every_byte() -> None:
    assert rewritten("po", CATALOGUE, lambda _: None) == CATALOGUE.encode()


def test_the_same_text_is_a_translation_too() -> None:
    after = polib.pofile(rewritten("po", CATALOGUE, same).decode())
    assert [entry.msgstr for entry in after if entry.msgid == "Open %s\n"] == ["Open %s\n"]


def test_half_of_a_plural_is_left_alone() -> None:
    written = rewritten("po", CATALOGUE, lambda unit: None if unit.text == "%d files" else loud(unit))
    (plural,) = (entry for entry in polib.pofile(written.decode()) if entry.msgid_plural)
    assert (plural.msgstr_plural, plural.flags) == ({0: "", 1: ""}, ["c-format"])


TEMPLATE = r"""#, fuzzy
msgid ""
msgstr ""
"Language: \n"
"Content-Type: text/plain; charset=CHARSET\n"
"Plural-Forms: nplurals=INTEGER; plural=EXPRESSION;\n"

msgid "one dog"
msgid_plural "%d dogs"
msgstr[0] ""
msgstr[1] ""
"""


@pytest.mark.parametrize(
    ("target", "forms"),
    [
        ("de", ["ONE DOG", "%D DOGS"]),
        ("ru", ["ONE DOG", "%D DOGS", "%D DOGS"]),
        ("ja", ["%D DOGS"]),
        ("fr", ["ONE DOG", "%D DOGS"]),
        ("pl", ["ONE DOG", "%D DOGS", "%D DOGS"]),
    ],
)
def test_a_template_learns_the_language_and_how_it_counts(target: str, forms: list[str]) -> None:
    after = polib.pofile(rewritten("po", TEMPLATE, loud, target=target).decode())
    assert after.metadata["Language"] == target
    assert f"nplurals={len(forms)};" in after.metadata["Plural-Forms"]
    assert "charset=UTF-8" in after.metadata["Content-Type"]
    assert list(after[0].msgstr_plural.values()) == forms


def test_the_singular_goes_where_the_catalogue_counts_one() -> None:
    odd = TEMPLATE.replace("nplurals=INTEGER; plural=EXPRESSION;", "nplurals=2; plural=(n==1 ? 1 : 0);")
    after = polib.pofile(rewritten("po", odd, loud).decode())
    assert after[0].msgstr_plural == {0: "%D DOGS", 1: "ONE DOG"}


def test_a_catalogue_keeps_its_encoding_as_long_as_it_can() -> None:
    catalogue = CATALOGUE.replace("UTF-8", "ISO-8859-1").replace("Fertig", "schön")
    written = rewritten("po", catalogue.encode("latin-1"), loud)
    assert b"charset=ISO-8859-1" in written
    assert "schön".encode("latin-1") in written
    written = rewritten("po", catalogue.encode("latin-1"), lambda unit: unit.text + "€")
    assert b"charset=UTF-8" in written
    assert "schön" in written.decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A letter.\n", "line 1: not a gettext catalogue"),
        ('msgid "a"\nmsgstr "b\n', "line 2: not a gettext catalogue"),
        ('"a"\n', "line 1: not a gettext catalogue"),
        ('msgid "a"\nmsgstr ""\nmsgstr ""\n', "line 3: a second msgstr"),
    ],
)
def test_another_file_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read("po", text)


def test_codes_of_terminals_are_marks_and_are_written_as_escapes() -> None:
    catalogue = r"""
msgid "A \033[1;31mred\x1b[0m\a word\177"
msgstr ""
"""
    (unit,) = read("po", catalogue).units
    assert unit.text == 'A <m id="1"/>red<m id="2"/><m id="3"/> word'
    written = rewritten("po", catalogue, loud).decode()
    assert r'msgstr "A \033[1;31mRED\033[0m\a WORD\177"' in written
