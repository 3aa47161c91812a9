"""XLIFF 1.2 and 2: targets are filled in, and all else says the same (compared as canonical XML)."""

from __future__ import annotations

import pytest
from lxml import etree

from nmt.documents import Limits
from nmt.errors import DocumentError
from tests.documents.samples import loud, read, rewritten, same, turned, units

ONE = """<?xml version="1.0" encoding="UTF-8"?>
<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" xmlns:own="urn:own" version="1.2">
 <file source-language="en-US" original="a.txt" datatype="plaintext">
  <header><note>Keep <![CDATA[<me>]]></note></header>
  <body>
   <group id="g">
    <trans-unit id="1" own:x="1"><source>Press <g id="1">the <x id="2"/>button</g> &amp; <bpt id="3">&lt;i&gt;</bpt>go<ept id="3">&lt;/i&gt;</ept>.</source><note>n</note></trans-unit>
   </group>
   <!-- a comment -->
   <trans-unit id="2" translate="no"><source>No</source></trans-unit>
   <group translate="no"><trans-unit id="2b"><source>No</source></trans-unit></group>
   <trans-unit id="3"><source>Done</source><target state="final">Fertig</target></trans-unit>
   <trans-unit id="4"><source>One. <ph id="9">{0}</ph>Two.</source><seg-source><mrk mtype="seg" mid="0">One.</mrk> <mrk mtype="seg" mid="1"><ph id="9">{0}</ph>Two.</mrk></seg-source><target state="new">One. Two.</target></trans-unit>
   <trans-unit id="5"><source>Save</source><target/></trans-unit>
   <trans-unit id="6" approved="yes"><source>Approved</source></trans-unit>
   <trans-unit id="7"><source>12</source></trans-unit>
  </body>
 </file>
</xliff>
"""  # noqa: E501
TWO = """<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.1" srcLang="en">
 <file id="f"><group id="g"><unit id="u"><originalData><data id="d">x</data></originalData>
  <segment id="s1"><source>Say <pc id="1">hello</pc> to <ph id="2" dataRef="d"/> <sc id="3"/>all<ec startRef="3"/></source></segment>
  <ignorable><source> </source></ignorable>
  <segment id="s2" state="final"><source>End</source><target>Ende</target></segment>
  <segment id="s3" state="initial"><source>Old</source><target>Old</target></segment>
 </unit></group>
 <unit id="n" translate="no"><segment><source>No</source></segment></unit></file>
</xliff>
"""  # noqa: E501


def canonical(data: bytes | str, *without: str) -> bytes:
    """An XML document in its canonical form, elements of these names and attributes that we set left out."""
    root = etree.fromstring(data.encode() if isinstance(data, str) else data)
    for name in without:
        for element in list(root.iter(f"{{*}}{name}")):
            element.getparent().remove(element)
    for element in root.iter(etree.Element):
        for attribute in ("state", "target-language", "trgLang"):
            element.attrib.pop(attribute, None)
    return bytes(etree.tostring(root, method="c14n"))


def targets(data: bytes) -> list[str]:
    """The content of each target."""
    root = etree.fromstring(data)
    namespaces = {None, *root.nsmap.values()}
    found = []
    for target in root.iter("{*}target"):
        text = etree.tostring(target, encoding="unicode", with_tail=False)
        for namespace in namespaces:
            text = text.replace(f' xmlns="{namespace}"', "").replace(f' xmlns:own="{namespace}"', "")
        found.append(text)
    return found


def test_units_are_segments_without_a_translation() -> None:
    assert units("xliff", ONE) == [
        'Press <g id="1">the <x id="2"/>button</g> &amp; <g id="3">go</g>.',
        "One.",
        "Two.",
        "Save",
    ]
    assert units("xliff", TWO) == [
        'Say <g id="1">hello</g> to <x id="2"/> <g id="3">all</g>',
        "Old",
    ]


def test_targets_are_filled_in_with_their_elements() -> None:
    done = 'state="needs-review-translation" state-qualifier="leveraged-mt"'
    go = '<bpt id="3">&lt;i&gt;</bpt>GO<ept id="3">&lt;/i&gt;</ept>'
    second = '<mrk mtype="seg" mid="1"><ph id="9">{0}</ph>TWO.</mrk>'
    assert targets(rewritten("xliff", ONE, loud)) == [
        f'<target {done}>PRESS <g id="1">THE <x id="2"/>BUTTON</g> &amp; {go}.</target>',
        '<target state="final">Fertig</target>',
        f'<target {done}><mrk mtype="seg" mid="0">ONE.</mrk> {second}</target>',
        f"<target {done}>SAVE</target>",
    ]
    written = rewritten("xliff", TWO, turned)
    assert targets(written) == [
        '<target><sc id="3"/>ALL<ec startRef="3"/> <ph id="2" dataRef="d"/> TO <pc id="1">HELLO</pc>SAY </target>',
        "<target>Ende</target>",
        "<target>OLD</target>",
    ]
    states = [segment.get("state") for segment in etree.fromstring(written).iter("{*}segment")]
    assert states == ["translated", "final", "translated", None]


@pytest.mark.parametrize("text", [ONE, TWO])
@pytest.mark.parametrize("translate", [loud, same, turned, lambda _: None])
def test_everything_but_targets_says_the_same(text: str, translate: object) -> None:
    written = rewritten("xliff", text, translate)  # type: ignore[arg-type]
    assert canonical(written, "target") == canonical(text, "target")


def test_a_file_without_translations_is_as_it_was() -> None:
    assert canonical(rewritten("xliff", ONE, lambda _: None)) == canonical(ONE)


def test_the_target_language_is_named_and_another_one_refused() -> None:
    root = etree.fromstring(rewritten("xliff", ONE, loud))
    assert root.find("{*}file").get("target-language") == "de"
    assert etree.fromstring(rewritten("xliff", TWO, loud)).get("trgLang") == "de"
    with pytest.raises(DocumentError, match="line 1: trgLang is fr, and the translation would be de"):
        read("xliff", TWO.replace('srcLang="en"', 'srcLang="en" trgLang="fr"'))
    with pytest.raises(DocumentError, match="target-language is fr-CA"):
        read("xliff", ONE.replace("source-language", 'target-language="fr-CA" source-language'))


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "utf-8-sig"])
def test_encoding_declaration_and_line_ends_stay(encoding: str) -> None:
    text = ONE.replace("UTF-8", encoding.removesuffix("-sig")).replace("Keep", "Behält").replace("\n", "\r\n")
    written = rewritten("xliff", text.encode(encoding), lambda unit: loud(unit) + "€")
    back = written.decode(encoding)
    assert back.split("\r\n")[0] == text.split("\r\n")[0]
    assert back.count("\r\n") == back.count("\n") == text.count("\n")
    assert "€" in "".join(etree.fromstring(written).itertext())
    assert "Behält" in back


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB + ONE.partition("\n")[2], "line 1: declares an XML entity"),
        ('<!DOCTYPE xliff [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + TWO, "declares an XML entity"),
        ("<xliff version='1.2'><file>", "line 1: not well-formed XML"),
        ("<a>" * 300 + "</a>" * 300, "not well-formed XML"),
        ("<html/>", "not XLIFF: its root is <html>"),
        (ONE.replace('version="1.2"', 'version="9"'), "XLIFF 9: 1.2 and 2 can be read"),
        ("", "not well-formed XML"),
    ],
)
def test_what_is_no_xliff_or_a_trap_is_refused(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read("xliff", text)


def test_limits_hold() -> None:
    with pytest.raises(DocumentError, match="more than 100 bytes of XML"):
        read("xliff", ONE, limits=Limits(max_xml_bytes=100))
    with pytest.raises(DocumentError, match="more than 2 texts"):
        read("xliff", ONE, limits=Limits(max_units=2))
    with pytest.raises(DocumentError, match="more than 20 lines and tags"):
        read("xliff", ONE, limits=Limits(max_pieces=20))


@pytest.mark.parametrize(
    ("begin", "kept", "end"),
    [
        (
            '<xliff version="1.2"><file source-language="en"><body><trans-unit id="1"><source>',
            '<mrk mtype="protected">Visual <x id="1"/>Studio</mrk>',
            "</source></trans-unit></body></file></xliff>",
        ),
        (
            '<xliff version="2.0" srcLang="en"><file id="f"><unit id="1"><segment><source>',
            '<mrk id="m1" translate="no">Visual Studio</mrk>',
            "</source></segment></unit></file></xliff>",
        ),
    ],
)
def test_a_part_that_is_not_to_be_translated_is_copied_whole(begin: str, kept: str, end: str) -> None:
    file = f"{begin}Open {kept} now{end}"
    assert units("xliff", file) == ['Open <x id="1"/> now']
    assert f">OPEN {kept} NOW</target>" in rewritten("xliff", file, loud).decode()
