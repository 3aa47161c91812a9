"""Plain text: lines and paragraphs."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tests.documents.samples import loud, rewritten, same, units

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60)
LETTER = (
    "    The first line of a letter that was wrapped by somebody at\n"
    "    a width of sixty characters or so, as people used to do it.\n"
    "\n"
    "- one item of a list that is so long that it fills all of it\n"
    "- another one\n"
    "\n"
    "Yours,\n"
    "Ada\n"
)


@given(text=TEXT)
def test_the_same_texts_give_the_same_bytes(text: str) -> None:
    assert rewritten("text", text, same) == text.encode()
    assert rewritten("paragraphs", text, same) == text.encode()


@given(text=TEXT)
def test_lines_and_their_ends_stay(text: str) -> None:
    written = rewritten("text", text, lambda unit: "<" + unit.text.replace("ß", "s") + "\r\n>").decode()
    ends = re.findall(r"\r\n|\r|\n", text)
    assert re.findall(r"\r\n|\r|\n", written) == ends


def test_lines_without_words_stay_and_white_space_around_others() -> None:
    assert rewritten("text", "  one \n\n***\n1,234\n\ttwo\t", loud) == b"  ONE \n\n***\n1,234\n\tTWO\t"


def test_wrapped_lines_are_one_unit_others_are_not() -> None:
    first, *rest = units("paragraphs", LETTER)
    assert first.startswith("The first line")
    assert first.endswith("at a width of sixty characters or so, as people used to do it.")
    assert rest == ["- one item of a list that is so long that it fills all of it", "- another one", "Yours,", "Ada"]


def test_a_paragraph_is_wrapped_to_its_width_again() -> None:
    written = rewritten("paragraphs", LETTER, lambda unit: f"{unit.text} {unit.text}").decode()
    paragraph = written.split("\n\n")[0].split("\n")
    assert len(paragraph) == 4
    assert all(line.startswith("    ") and len(line) <= 63 for line in paragraph)
    assert " ".join(line.strip() for line in paragraph).count("somebody") == 2
