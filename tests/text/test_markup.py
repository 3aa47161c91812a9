"""Tags and text of HTML and XML: all of a document is there again, and only language is for translating."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.text.markup import Block, Kind, Rules, attributes, parse
from tests.effort import effort_s

HTML = Rules("html")
XML = Rules("xml")


def written(part: str | Block) -> str:
    """A part of a document as it was."""
    if isinstance(part, str):
        return part
    out, position = [], 0
    for mark in part.marks:
        out += [part.raw(position, mark.at), mark.raw]
        position = mark.at
    return "".join([*out, part.raw(position, len(part.text))])


def texts(document: str, rules: Rules = HTML) -> list[str]:
    return [part.text for part in parse(document, rules) if isinstance(part, Block)]


def only(parts: Iterable[str | Block]) -> Block:
    (block,) = [part for part in parts if isinstance(part, Block)]
    return block


SNIPPETS = st.sampled_from(
    [
        *("<p>", "</p>", "<b>", "</b>", "<i class='a>b'>", "</i>", "<br>", "<img src=x>", "<x/>", "<x id='1'></x>"),
        *("<code>", "</code>", "<script>", "</script>", "<!-- c -->", "<!--", "-->", "<![CDATA[ t ]]>", "<?pi?>"),
        *("<!DOCTYPE html>", "&amp;", "&eacute;", "&copy", "&#65;", "&#x41;", "&foo;", "&", "<", ">", '"', "<3"),
        *("word", " ", "\n", "é", "\ufffc", "<span translate=no>", "</span>", "<div class='x notranslate'>", "</div>"),
    ]
)


@settings(max_examples=500)
@given(st.lists(SNIPPETS, max_size=25).map("".join), st.sampled_from(["html", "xml"]))
def test_nothing_is_lost(document: str, kind: Kind) -> None:
    parts = parse(document, Rules(kind, frozenset({"x"}), frozenset({"i"}), frozenset({"b"})))
    assert "".join(map(written, parts)) == document


def test_blocks_part_sentences_and_inline_tags_do_not() -> None:
    document = "<div><h1>One</h1><p>Two <b>three <i>four</i></b>!<br>Five<ul><li>Six</li></ul></div>"
    assert texts(document) == ["One", "Two three four!", "Five", "Six"]
    block = only(parse("a <b>b <i>c</i></b> d", HTML))
    assert [(m.at, m.raw, m.is_end) for m in block.marks] == [
        (2, "<b>", False),
        (4, "<i>", False),
        (5, "</i>", True),
        (5, "</b>", True),
    ]
    pairs = [mark.pair for mark in block.marks]
    assert pairs[0] == pairs[3] != pairs[1] == pairs[2]


def test_what_is_no_language_is_copied() -> None:
    document = (
        "<script>var a = '<p>Text</p>'</script><style>p {}</style><pre>as is</pre><textarea>x</textarea>"
        '<p translate="no">No</p><div class="a notranslate">No <p>no</p></div><!-- No --><p title="No">Yes</p>'
    )
    assert texts(document) == ["Yes"]
    assert texts("<p translate=yes>Yes</p><p class='notranslated'>Yes</p>") == ["Yes", "Yes"]


def test_an_element_inside_a_sentence_that_is_copied_leaves_a_hole() -> None:
    block = only(parse("Call <code>f(x)</code> now", HTML))
    assert block.text == "Call \ufffc now"
    assert block.raw(5, 6) == "<code>f(x)</code>"
    block = only(parse('Press <x id="1"></x> or <ph/> now', XML))
    assert block.text == "Press \ufffc or \ufffc now"
    assert texts("Ask <k>a <k>b</k></k> now", Rules("xml", ignore=frozenset({"k"}))) == ["Ask \ufffc now"]


def test_structure_of_xml_is_told_by_where_text_stands() -> None:
    assert texts("<doc><p>Hello <b>x</b> y</p><q><r>text</r></q></doc>", XML) == ["Hello x y", "text"]
    assert texts("<p><b>Hello</b> <i>world</i></p>", XML) == ["Hello", "world"]
    joined = Rules("xml", join=frozenset({"b", "i"}))
    assert texts("<p><b>Hello</b> <i>world</i></p>", joined) == ["Hello world"]
    assert texts("one<s/>two", Rules("xml", split=frozenset({"s"}))) == ["one", "two"]


def test_entities_are_characters_and_are_written_as_they_were() -> None:
    block = only(parse("caf&eacute; &amp; &lt;b&gt; &foo; AT&T", HTML))
    assert block.text == "café & <b> &foo; AT&T"
    assert block.escaped("é & < > ü") == "&eacute; & &lt; &gt; ü"
    assert block.escaped("x&y") == "x&amp;y"
    assert only(parse("&nbsp; &#233; &apos;x", XML)).text == "&nbsp; é 'x"


@pytest.mark.parametrize(
    "part",
    ["<!--", "<?", "<a ", "<a b='", "<![CDATA[", "<b>", "</b>", "&", "<script>", "<code>", "<![a[", "<!a", "<p class="],
)
@pytest.mark.parametrize("kind", ["html", "xml"])
def test_a_hostile_document_takes_no_longer_than_its_length_explains(part: str, kind: Kind) -> None:
    limit_s = 40 * max(effort_s(lambda: parse(part * 1_000, Rules(kind)), 0.01), 0.01)
    assert effort_s(lambda: parse(part * 10_000, Rules(kind)), limit_s) < limit_s


def test_attributes_that_people_read_are_blocks() -> None:
    page = (
        '<meta content="A page" name=description><meta name=viewport content="wide"><link title="Main">'
        '<p title="One &eacute; &quot;x&quot;" data-title="no">text <img ALT=dog src=x> <svg aria-label=\'It\'>'
        '<b title="kept"></b></svg><img translate="no" alt="kept"><i translate=no><img alt="kept"></i>'
        '<input placeholder="12 %" value="kept">'
    )
    parts = attributes(page, HTML)
    blocks = [part for part in parts if isinstance(part, Block)]
    assert [block.text for block in blocks] == ["A page", 'One é "x"', "dog", "It", "12 %"]
    assert "".join(map(written, parts)) == page.replace("=dog", '="dog"')
    assert blocks[1].escaped('"É" & é') == "&quot;É&quot; &amp; &eacute;"
    assert blocks[3].escaped("'a' \"b\"") == '&#39;a&#39; "b"'


@settings(max_examples=200)
@given(st.lists(SNIPPETS, max_size=25).map("".join))
def test_nothing_is_lost_of_what_is_beside_attributes(document: str) -> None:
    assert "".join(map(written, attributes(document, HTML))) == document
