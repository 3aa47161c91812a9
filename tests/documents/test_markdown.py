"""Markdown: the outline that another reader of it sees is the same before and after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.documents.samples import loud, rewritten, same, turned, units
from tests.effort import effort_s

PAGE = """---
title: Not this
---

# A heading #

Some **bold and *both*** words, `code`, a [link *here*](http://a.b/c_d "title") and
an ![image](a.png) on a second line.
A hard break\\
here, and <b>tags</b>, and https://example.org/a_b_c too.

> A quotation
> in two lines

- [ ] One item
  that goes on
- Another one
  1. Inner

```python
x = "not this"
```

    nor this

| Head | Other |
| ---- | :---: |
| A cell | 12 |

A title
=======

<div>
A line between tags
</div>

[ref]: http://a.b "c"
Last snake_case_word \\* end
"""


FIRST = (
    'Some <g id="1">bold and <g id="2">both</g></g> words, <x id="3"/>, a <g id="4">link <g id="5">here</g></g> '
    'and an <x id="6"/> on a second line. A hard break'
)


def test_units_are_paragraphs_headings_items_and_cells() -> None:
    assert units("markdown", PAGE) == [
        "A heading #",
        FIRST,
        'here, and <g id="1">tags</g>, and <x id="2"/> too.',
        "A quotation in two lines",
        "One item that goes on",
        "Another one",
        "Inner",
        "Head",
        "Other",
        "A cell",
        "A title",
        "A line between tags",
        'Last snake_case_word <x id="1"/> end',
    ]


NESTED = """1.  Do this:

    A second paragraph of it.

    - Nested
      - ```sh
        make install
        ```

	```
	tab
	```
2.  Then
> > Said twice
and on a lazy line
>
> ~~~
> make all
> ~~~
> | a x | b y |
> |-----|-----|
> | c z | d w |

Name | Age
--- | ---
Bob `x` | three
Al | four

<script>
var hello = 1;

alert(hello);
</script>
<!-- a comment

of two paragraphs -->

<img src="a.png"
     alt="not this">

<https://example.org> is <kbd>our</kbd> site,
since 1986 or
1986. See [the guide][] and [faq], not [it].

[The Guide]: http://a.b
[faq]: http://c.d
"""


def test_units_within_containers() -> None:
    assert units("markdown", NESTED) == [
        "Do this:",
        "A second paragraph of it.",
        "Nested",
        "Then",
        "Said twice and on a lazy line",
        *("a x", "b y", "c z", "d w", "Name", "Age", "Bob ", "three", "Al", "four"),
        ' is <g id="1">our</g> site, since 1986 or 1986. See <g id="2">the guide</g> and <g id="3">faq</g>, not [it].',
    ]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("See [the guide][] and [faq].\n\n[The Guide]: /a\n[faq]: /b", "SEE [THE GUIDE][the guide] AND [FAQ][faq]."),
        ("A word[^1] <!-- no --> more.\n\n[^1]: The note\n    goes on.", "A WORD[^1] <!-- no --> MORE."),
        ("[^1]: The note", "[^1]: THE NOTE"),
        ("> [!NOTE]\n> Mind this.", "> [!NOTE]\n> MIND THIS."),
        ("See [it](<my file.md>) now", "SEE [IT](<my file.md>) NOW"),
        ("[![A b](c.svg)](d) and so", "[![A b](c.svg)](d) AND SO"),
        ("$$\na = b\n$$\nso", "$$\na = b\n$$\nSO"),
        ("::: warning\nMind this.\n:::", "::: warning\nMIND THIS.\n:::"),
        ("Term\n: What it is", "TERM\n: WHAT IT IS"),
        ("-\n\n   ~~~\n| a | b |", "-\n\n   ~~~\n| a | b |"),
    ],
)
def test_what_is_left_as_it_is(page: str, expected: str) -> None:
    assert rewritten("markdown", page, loud).decode().startswith(expected)


def test_backticks_that_nothing_ends_are_text() -> None:
    assert units("markdown", "So ```this` is, and ``code`` is.") == ['So ```this` is, and <x id="1"/> is.']


@pytest.mark.parametrize("part", ["> ", "- ", "[", "[a", "<", "<!--", "`", "|", "1. ", "a | ", "![[", "<a "])
def test_a_line_of_many_marks_takes_no_great_time(part: str) -> None:
    def page(n: int) -> str:
        return f"{part * n}word\n{part * n}word\n"

    limit_s = 40 * max(effort_s(lambda: units("markdown", page(1_000)), 0.01), 0.01)
    assert effort_s(lambda: units("markdown", page(10_000)), limit_s) < limit_s


def outline(page: str) -> list[object]:
    """Everything that a reader sees but the text: tokens, levels, addresses, code."""
    seen: list[object] = []
    for token in MarkdownIt().enable("table").parse(page):
        kept = token.content if token.type in ("fence", "code_block", "html_block") else ""
        seen.append((token.type, token.tag, token.level, kept))
        inline = [child for child in token.children or () if child.type not in ("text", "softbreak")]
        seen.append(
            sorted((child.type, child.tag, child.content if child.type != "text_special" else "") for child in inline)
        )
        seen.append(sorted(str(child.attrs) for child in inline if child.type == "link_open"))
    return seen


def test_the_outline_is_the_same() -> None:
    for page in (PAGE.replace("A line between tags\n", ""), NESTED):
        for translate in (loud, turned):
            assert outline(rewritten("markdown", page, translate).decode()) == outline(page)


def test_the_same_texts_give_the_same_bytes() -> None:
    assert rewritten("markdown", PAGE, same) == PAGE.encode()


@given(
    st.lists(
        st.sampled_from(
            ["# ", "- ", "> ", "a b", "**", "_", "`", "```", "[", "](x)", "\n", "\n\n", "    ", "|", "---", "<b>", "\\"]
        )
    )
)
def test_any_soup_of_marks_comes_back_byte_for_byte(pieces: list[str]) -> None:
    page = "".join(pieces)
    assert rewritten("markdown", page, same) == page.encode()
