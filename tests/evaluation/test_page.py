"""A page is one well-formed file that holds every weight and asks nothing of anybody."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from nmt.evaluation.page import Section, page, png

VOID = {"meta", "img"}


class Checker(HTMLParser):
    """Every element is closed in the order in which it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.texts: list[str] = []
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.titles += [value or "" for name, value in attrs if name == "title"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def section(text: str, weights: np.ndarray | None) -> Section:
    rng = np.random.default_rng(1)
    gates = {"f": rng.random((3, 8)), "g": rng.random((3, 8)) * 2 - 1}
    return Section(text, [("score", "-1.5")], weights, ["a", "<b>"], ["x", "y", "</s>"], ["0.9", "0.8", "0.7"],
                   [("decoder 1", gates, ["x", "y", "</s>"])])  # fmt: skip


def test_a_page_is_well_formed_and_complete() -> None:
    weights = np.array([[0.9, 0.1], [0.02, 0.98], [0.5, 0.5]])
    text = page("A <title> & more", [section("x & y", weights), section("other", None)])
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    assert {"A <title> & more", "x & y", "other", "<b>", "-1.5", "0.98"[:3]} <= set(checker.texts)
    assert "y from <b>: 0.980" in checker.titles
    assert len(checker.titles) == weights.size
    assert "script" not in checker.seen
    assert not re.search(r"https?:|//", re.sub(r"data:image/png;base64,[^\"]*", "", text))
    assert checker.seen.count("img") == 4


def test_pictures_of_gates_have_a_line_a_unit_and_a_column_a_step() -> None:
    text = page("t", [section("x", None)])
    first = base64.b64decode(re.findall(r"base64,([^\"]*)", text)[0])
    assert struct.unpack(">II", first[16:24]) == (3, 8)


def test_colours_tell_sign_and_size() -> None:
    text = page("t", [section("x", np.array([[0.0, 1.0], [0.25, 0.0], [0.0, 0.0]]))])
    fields = re.findall(r"background:rgb\((\d+),(\d+),(\d+)\)", text)
    assert fields[0] == ("255", "255", "255")
    assert fields[1] == ("0", "68", "136")
    assert int(fields[1][0]) < int(fields[2][0]) < 255


def test_png_is_read_back_by_another_library() -> None:
    image = pytest.importorskip("matplotlib.image")
    pixels = np.random.default_rng(2).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    read = image.imread(io.BytesIO(png(pixels)), format="png")
    np.testing.assert_array_equal(np.rint(read * 255), pixels)


def test_png_by_its_specification() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    data = png(pixels)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    length = struct.unpack(">I", data[33:37])[0]
    assert data[37:41] == b"IDAT"
    lines = zlib.decompress(data[41 : 41 + length])
    assert lines == b"\0" + bytes(range(9)) + b"\0" + bytes(range(9, 18))
    assert struct.unpack(">I", data[41 + length : 45 + length])[0] == zlib.crc32(data[37 : 41 + length])
