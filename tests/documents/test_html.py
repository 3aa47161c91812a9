"""HTML: byte for byte outside of text. Tags are compared by Python's own reader of HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents.samples import loud, rewritten, same, turned, units
from tests.effort import effort_s

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Cats &amp; dogs</title>
<style>p > b { color: red }</style><script>if (a < b) document.write("<p>no</p>");</script></head>
<body class='x' data-a="a>b">
<p>A <b>big
   cat</b> &amp; a <a href="/?a=1&b=2" title='it "is"'>small dog</a>.<br>
Next line&nbsp;here</p>
<!-- a <b>comment</b> -->
<p translate="no">Keep me</p><p>Keep <span class="a notranslate">this name</span> too, and <code>x &lt; y</code>.</p>
<ul><li>One<li>Two <img src=a.png alt="A picture"> things</ul>
<pre>  as  it
  is</pre>
<p>Broken <b>bold <i>both</b> italic</i> text < 3</p>
12 &middot; 34 <textarea>keep</textarea>
</body></html>
"""


class Outline(HTMLParser):
    """Everything of a page but its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[object] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.seen.append(data)

    def handle_decl(self, decl: str) -> None:
        self.seen.append(decl)


def test_units_are_runs_of_text_and_inline_elements() -> None:
    assert units("html", PAGE) == [
        "Cats & dogs",
        'A <g id="1">big cat</g> &amp; a <g id="2">small dog</g>.',
        " Next line\xa0here",
        'Keep <x id="1"/> too, and <x id="2"/>.',
        "One",
        'Two <x id="1"/> things',
        "Broken ",
        'bold <m id="1"/>both',
        ' italic<m id="1"/> text &lt; 3',
        'it "is"',
        "A picture",
    ]


def test_the_same_texts_give_the_same_bytes() -> None:
    assert rewritten("html", PAGE, same) == PAGE.encode()


def test_tags_stay_in_their_order() -> None:
    shouted = PAGE.replace('it "is"', 'IT "IS"').replace("A picture", "A PICTURE")
    assert Outline(rewritten("html", PAGE, loud).decode()).seen == Outline(shouted).seen


ATTRIBUTES = """<meta name=description content="Cats &eacute; & dogs"><meta name="viewport" content="width=device">
<link rel="stylesheet" title="Main"><div title="A &quot;box&quot;" data-title="no">
<p>Look <img alt='it&#39;s <big>' src="a.png"> here <a title=here href="?title=x">now</a></p>
<img translate="no" alt="kept"><div translate="no"><img alt="kept"></div><pre title="shown"><i title="kept">x</i></pre>
<input placeholder=" Your
  name " value="kept"><textarea placeholder="write">kept</textarea><b aria-label="12" ARIA-LABEL="twice">!</b></div>
"""


def test_attributes_that_people_read_are_units() -> None:
    assert units("html", ATTRIBUTES)[1:] == [
        *("Cats é & dogs", 'A "box"', "it's <big>", "here", "shown", "Your name", "write", "twice"),
    ]
    assert rewritten("html", ATTRIBUTES, same) == ATTRIBUTES.encode()


def test_attributes_keep_quotation_marks_and_entities_and_places() -> None:
    expected = (
        ATTRIBUTES.replace("Cats &eacute; & dogs", "CATS É &amp; DOGS")
        .replace("A &quot;box&quot;", "A &quot;BOX&quot;")
        .replace("it&#39;s <big>", "IT&#39;S &lt;BIG&gt;")
        .replace("title=here", 'title="HERE"')
        .replace("Your\n  name", "YOUR NAME")
        .replace('"shown"', '"SHOWN"')
        .replace('"write"', '"WRITE"')
        .replace('"twice"', '"TWICE"')
    )
    assert rewritten("html", ATTRIBUTES, lambda u: None if u.markup else loud(u)).decode() == expected
    inside = expected.replace(">Look <", ">LOOK <").replace("> here <a", "> HERE <a").replace(">now<", ">NOW<")
    assert rewritten("html", ATTRIBUTES, loud).decode() == inside


def test_the_attributes_of_a_tag_move_with_it() -> None:
    page = '<p>one <img alt="a cat"> two <b title="big">three</b></p>'
    assert rewritten("html", page, turned).decode() == '<p><b title="BIG">THREE</b> TWO <img alt="A CAT">ONE </p>'


def test_what_is_no_text_is_not_touched() -> None:
    written = rewritten("html", PAGE, loud).decode()
    for kept in (
        "p > b { color: red }",
        'if (a < b) document.write("<p>no</p>");',
        'data-a="a>b"',
        "Keep me",
        "this name",
    ):
        assert kept in written
    assert "<code>x &lt; y</code>" in written
    assert "<pre>  as  it\n  is</pre>" in written
    assert "<title>CATS &amp; DOGS</title>" in written
    assert (
        'A <b>BIG CAT</b> &amp; A <a href="/?a=1&b=2" title=\'IT "IS"\'>SMALL DOG</a>.<br>\nNEXT LINE&nbsp;HERE</p>'
        in written
    )


def test_codes_may_move_within_their_unit() -> None:
    assert rewritten("html", "<p>a <b>b</b> <i>c <u>d</u></i></p>", turned) == b"<p><i>C <u>D</u></i> <b>B</b>A </p>"


def test_special_characters_are_escaped_once() -> None:
    assert rewritten("html", "<p>a &lt; b &amp;amp; c</p>", lambda unit: unit.text + " <&>") == (
        b"<p>a &lt; b &amp;amp; c &lt;&amp;&gt;</p>"
    )


def test_a_page_keeps_its_encoding() -> None:
    page = '<meta charset="iso-8859-1"><p>Grüße'.encode("latin-1")
    assert rewritten("html", page, lambda _: "Größe — 日") == '<meta charset="iso-8859-1"><p>Größe — &#26085;'.encode(
        "cp1252"
    )


# fmt: off
SOUP = st.lists(
    st.sampled_from([
        "<p>", "</p>", "<b>", "</b>", "<i class='a'>", "</i>", "<br/>", "<br>", " ", "word", "Zwei", "&amp;", "&nbsp;",
        "<", ">", "<!-- x -->", "<!", "<script>", "</script>", "<code>", "</code>", '<a href="', '">', "</a>",
        "<p translate=no>", "<span translate='no'>", "</span>", "<?php echo 1 ?>", "<![CDATA[", "]]>", "\n",
        "'", '"',
    ]),
    max_size=25,
)
# fmt: on


@given(SOUP)
def test_any_soup_of_tags_comes_back_byte_for_byte(pieces: list[str]) -> None:
    page = "".join(pieces)
    assert rewritten("html", page, same) == page.encode()


@given(SOUP)
def test_any_soup_of_tags_keeps_its_tags(pieces: list[str]) -> None:
    page = "".join(pieces)
    written = rewritten("html", page, lambda unit: loud(unit) + " X").decode()
    assert Outline(written).seen == Outline(page).seen


@pytest.mark.parametrize(
    "piece", ["<", "<a ", '<a "', "<a b='", "<!--", "<b>", "</b>", "<code>", "<script>", "&nbsp;", "<?php", "<p>a"]
)
def test_a_hostile_page_takes_no_great_time(piece: str) -> None:
    assert effort_s(lambda: rewritten("html", piece * 10_000 + ">", loud), 5) < 5
