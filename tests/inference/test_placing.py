"""Tags go where attention says, nested as they were, each exactly once."""

from __future__ import annotations

import random
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest

from nmt.inference.placing import View, place, run_of
from nmt.text.markup import Block, Rules, parse


def view(source: str, target: str, links: list[tuple[int, int]], *, sure: float = 0.9) -> View:
    """`links`: (source word, target word) with nearly all of the target word's attention."""
    source_pieces = [(m, m + len(w)) for w, m in words(source)]
    target_pieces = [(m, m + len(w)) for w, m in words(target)]
    attention = np.full((len(target_pieces) + 1, len(source_pieces) + 1), 0.001, np.float32)
    for s, t in links:
        attention[t, s] = sure
    return View.of(source, source_pieces, target, target_pieces, attention)


def words(text: str) -> list[tuple[str, int]]:
    found, position = [], 0
    for word in text.split():
        position = text.index(word, position)
        found.append((word, position))
        position += len(word)
    return found


def placed(marked: str, target: str, links: list[tuple[int, int]]) -> str | None:
    (block,) = [part for part in parse(marked, Rules("html")) if isinstance(part, Block)]
    edits = place(view(block.text, target, links), block.marks)
    if edits is None:
        return None
    for edit in sorted(edits, key=lambda edit: -edit.start):
        target = target[: edit.start] + edit.written + target[edit.end :]
    return target


@pytest.mark.parametrize(
    ("source", "target", "links", "expected"),
    [
        ("a <b>red</b> house", "ein rotes Haus", [(0, 0), (1, 1), (2, 2)], "ein <b>rotes</b> Haus"),
        ("I <b>saw him</b> here", "Hier sah ich ihn", [(3, 0), (1, 1), (0, 2), (2, 3)], "Hier <b>sah ich ihn</b>"),
        ("<i>now</i> I go", "ich gehe jetzt", [(1, 0), (2, 1), (0, 2)], "ich gehe <i>jetzt</i>"),
        ("a <b>b <i>c</i></b> d", "A C B D", [(0, 0), (2, 1), (1, 2), (3, 3)], "A <b><i>C</i> B</b> D"),
        ("<b>x</b> <i>y</i>", "Y X", [(1, 0), (0, 1)], "<i>Y</i> <b>X</b>"),
        ("one <img> two", "eins zwei", [(0, 0), (1, 1)], "eins <img> zwei"),
        ("one<img>two three", "eins drei", [(0, 0), (1, 1)], "eins<img>drei"),
        ("one <img><img>two", "eins zwei", [(0, 0), (1, 1)], "eins <img><img>zwei"),
        ("one<img><img> two", "eins zwei", [(0, 0), (1, 1)], "eins<img><img> zwei"),
        ("one <b><img>two</b>", "eins zwei", [(0, 0), (1, 1)], "eins <b><img>zwei</b>"),
        ("go <b>home</b>!", "geh heim !", [(0, 0), (1, 1)], "geh <b>heim</b> !"),
        ("go <b>home!</b>", "geh heim !", [(0, 0), (1, 1)], "geh <b>heim !</b>"),
        ("go <a></a> home", "geh heim", [(0, 0), (1, 1)], "geh <a></a> heim"),
    ],
)
def test_tags_follow_their_words(source: str, target: str, links: list[tuple[int, int]], expected: str) -> None:
    assert placed(source, target, links) == expected


def test_a_pair_whose_words_have_no_place_is_refused() -> None:
    assert placed("<b>one</b> <i>two</i> three", "alles", [(0, 0)]) is None


def test_half_a_pair_reaches_to_the_end_or_from_the_start_of_its_sentence() -> None:
    (block,) = [part for part in parse("<b>x<br>y</b> z", Rules("html")) if isinstance(part, Block)][1:]
    (edit,) = place(view(block.text, "Z Y", [(1, 0), (0, 1)]), block.marks) or []
    assert edit.written.strip() == "</b>"
    assert edit.start == 3


class Nesting(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_whatever_is_attended_to_tags_are_nested_and_complete() -> None:
    rng = random.Random(3)

    def tagged(words: list[str], depth: int) -> str:
        if depth == 0 or not words:
            return " ".join(words)
        start = rng.randint(0, len(words))
        end = rng.randint(start, len(words))
        tag = rng.choice("biusp") if depth else "b"
        tag = "q" if tag == "p" else tag
        inner = f"<{tag}>{tagged(words[start:end], depth - 1)}</{tag}>"
        lone = "<img>" if rng.random() < 0.3 else ""
        return " ".join(filter(None, [" ".join(words[:start]), inner + lone, tagged(words[end:], depth - 1)]))

    refused = 0
    for _ in range(300):
        source = tagged([f"s{i}" for i in range(rng.randint(1, 9))], 3)
        target = " ".join(f"t{i}" for i in range(rng.randint(1, 9)))
        blocks = [part for part in parse(source, Rules("html")) if isinstance(part, Block)]
        if not blocks:
            continue
        links = [(rng.randrange(9), t) for t in range(len(target.split()))]
        links = [(s, t) for s, t in links if s < len(blocks[0].text.split())]
        result = placed(source, target, links)
        if result is None:
            refused += 1
            continue
        parser = Nesting()
        parser.feed(result)
        parser.close()
        assert parser.open == []
        assert Counter(c for c in result if c in "<>") == Counter(c for c in source if c in "<>")
        assert [w for w in result.replace("<", " <").replace(">", "> ").split() if w[0] == "t"] == target.split()
    assert refused < 200


def test_a_run_of_words_is_found_where_it_is_plain() -> None:
    seen = view("the neural network runs", "das neuronale Netz läuft", [(0, 0), (1, 1), (2, 2), (3, 3)])
    assert run_of(seen, 4, 18) == (4, 18)
    unsure = view("the neural network runs", "das neuronale Netz läuft", [(0, 0), (3, 3)])
    assert run_of(unsure, 4, 18) is None
