"""Signs that a vocabulary lacks are read as those it has, and nothing moves."""

from __future__ import annotations

import pytest

from nmt.text.folding import Folding


def known(character: str) -> bool:
    return character.isascii() or character in "„“’…"


FOLD = Folding(known, lambda character: character == "\x01")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("He said “no”.", 'He said "no".'),  # “ as well, of which it knows the German end
        ("Er sagte „nein“.", "Er sagte „nein“."),
        ("I don’t, ‘you’ do.", "I don't, 'you' do."),
        ("I don’t.", "I don’t."),
        ("«Oui», 5–10, a non‑breaking one", '"Oui", 5-10, a non-breaking one'),
        ("Kran\u00adken\u00adhaus", "Kran\x01ken\x01haus"),
        ("Москва…", "Москва…"),
    ],
)
def test_signs_are_read_as_their_like(text: str, read: str) -> None:
    assert FOLD(text) == read
    assert len(read) == len(text)


def test_a_vocabulary_that_has_neither_reads_what_is_written() -> None:
    """A sign in the place of one as unknown would be no better, and what is not left out must not be put in."""
    fold = Folding(lambda character: character.isalnum(), lambda _: False)
    assert fold("“no”, Kran\u00adken") == "“no”, Kran\u00adken"
