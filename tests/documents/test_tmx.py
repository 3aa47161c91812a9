"""TMX: a translation is one more variant, and all else says the same."""

from __future__ import annotations

import io

import pytest
from lxml import etree

from nmt.data.tmx import read_units
from nmt.errors import DocumentError
from tests.documents.samples import loud, read, rewritten, units
from tests.documents.test_xliff import canonical

MEMORY = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4">
  <header creationtool="x" srclang="en" segtype="sentence" o-tmf="x" adminlang="en" datatype="plaintext"/>
  <body>
    <tu tuid="1">
      <prop type="x">y</prop>
      <tuv xml:lang="en-US" creationid="ada"><note>n</note><seg>Press <bpt i="1">&lt;b&gt;</bpt>this<ept i="1">&lt;/b&gt;</ept> <ph>{1}</ph> <hi>now</hi></seg></tuv>
      <tuv xml:lang="fr"><seg>Appuyez</seg></tuv>
    </tu>
    <tu><tuv xml:lang="EN"><seg>Hello</seg></tuv><tuv xml:lang="de-AT"><seg>Hallo</seg></tuv></tu>
    <tu><tuv xml:lang="fr"><seg>Bonjour</seg></tuv></tu>
    <tu><tuv lang="en"><seg>Old attribute</seg></tuv></tu>
  </body>
</tmx>
"""  # noqa: E501


def test_units_are_those_without_the_target_language() -> None:
    assert units("tmx", MEMORY) == ['Press <g id="1">this</g> <x id="2"/> <g id="3">now</g>', "Old attribute"]
    assert [unit.text for unit in read("tmx", MEMORY, source="", target="de").units] == units("tmx", MEMORY)
    assert [unit.text for unit in read("tmx", MEMORY, source="fr", target="en").units] == ["Bonjour"]


def test_a_variant_is_added_and_marked_and_nothing_else_changes() -> None:
    written = rewritten("tmx", MEMORY, loud)
    root = etree.fromstring(written)
    added = [variant for variant in root.iter("tuv") if variant.get("creationid") == "MT"]
    assert [variant.get("{http://www.w3.org/XML/1998/namespace}lang") or variant.get("lang") for variant in added] == [
        "de",
        "de",
    ]
    assert [etree.tostring(variant[0], encoding="unicode") for variant in added] == [
        '<seg>PRESS <bpt i="1">&lt;b&gt;</bpt>THIS<ept i="1">&lt;/b&gt;</ept> <ph>{1}</ph> <hi>NOW</hi></seg>',
        "<seg>OLD ATTRIBUTE</seg>",
    ]
    for variant in added:
        parent = variant.getparent()
        if (before := variant.getprevious()) is not None:
            before.tail = variant.tail
        parent.remove(variant)
    assert canonical(etree.tostring(root)) == canonical(MEMORY)
    assert written.startswith(b'<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx')
    assert written.endswith(b"</tmx>\n")


def test_a_corpus_can_be_read_from_the_result() -> None:
    pairs = [(u.source, u.target) for u in read_units(io.BytesIO(rewritten("tmx", MEMORY, loud)), "m.tmx", "en", "de")]
    assert pairs == [("Press this  now", "PRESS THIS  NOW"), ("Hello", "Hallo"), ("Old attribute", "OLD ATTRIBUTE")]


def test_without_translations_it_says_the_same() -> None:
    assert canonical(rewritten("tmx", MEMORY, lambda _: None)) == canonical(MEMORY)


def test_another_file_is_refused() -> None:
    with pytest.raises(DocumentError, match="not TMX: its root is <a>"):
        read("tmx", "<a/>")
