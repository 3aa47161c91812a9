"""Markdown: the outline that another reader of it sees is the same before and after."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.documents.samples import loud, rewritten, same, turned, units

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
    page = PAGE.replace("A line between tags\n", "")
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
