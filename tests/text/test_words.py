"""Words of a text: what stays together, and that every text comes back with its blanks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.text.words import GLUE, RULES, bare, join_pieces, split_characters, split_words

SPACE = "\u2581"
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=SPACE + GLUE), max_size=40)
"""Of any script."""
punctuated = st.text(st.sampled_from(list("ab1 .,:-'\u2019()\"/!_%\u0301")), max_size=30)


@pytest.mark.parametrize("split", [*RULES.values(), split_characters])
@given(text=any_text | punctuated)
@settings(max_examples=300)
def test_every_text_comes_back(split: object, text: str) -> None:
    assert callable(split)
    assert join_pieces(split(text)) == " ".join(text.split())


@given(text=any_text | punctuated)
@settings(max_examples=300)
def test_a_word_is_one_piece_wherever_it_stands(text: str) -> None:
    """Only symbols, and what an apostrophe cuts off, exist with a blank and without."""
    for before in ("", "(", '"', "/", "(("):
        for behind in ("", ")", "!", ", ", "..."):
            assert f"{SPACE}Hut" in split_words(f"{text} {before}Hut{behind} {text}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world!", "▁Hello , ▁world !"),
        ("(now)", "▁(￭ ▁now )"),
        ("and/or", "▁and /￭ ▁or"),
        ('He said: "Yes."', '▁He ▁said : ▁"￭ ▁Yes . "'),
        ("a well-known T-Shirt", "▁a ▁well-known ▁T-Shirt"),
        ("wait -- no - ok...", "▁wait ▁-- ▁no ▁- ▁ok ..."),
        ("3.14 or 1,000 at 12:30, 5%", "▁3.14 ▁or ▁1,000 ▁at ▁12:30 , ▁5 %"),
        ("$5.00", "▁$￭ ▁5.00"),
        ("z.B. in the U.S.A.", "▁z.B. ▁in ▁the ▁U.S.A."),
        ("www.example.org.", "▁www.example.org ."),
        ("Tom's dog doesn't", "▁Tom 's ▁dog ▁doesn 't"),
        ("It\u2019s", "▁It \u2019s"),
        ("l'homme qu'elle", "▁l'￭ ▁homme ▁qu'￭ ▁elle"),
        ("O'Brien's", "▁O'￭ ▁Brien 's"),
        ("the dogs' tails", "▁the ▁dogs ' ▁tails"),
        ("a, b:c", "▁a , ▁b :￭ ▁c"),
        ("!!!!! 3rd", "▁!!! !! ▁3rd"),
        ("हिन्दी में", "▁हिन्दी ▁में"),
        ("cafe\u0301.", "▁cafe\u0301 ."),
        ("\u2764\ufe0f", "▁\u2764\ufe0f"),
        ("a▁b ￭", "▁a_b ▁\u25a0"),
    ],
)
def test_words_are_split_as_by_moses(text: str, words: str) -> None:
    assert split_words(text) == words.split(" ")


def test_a_bare_piece_has_no_marks() -> None:
    assert [bare(piece) for piece in ("▁(￭", "▁now", ")", "▁")] == ["(", "now", ")", ""]
