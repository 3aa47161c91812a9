"""Charts are well-formed, stay inside their frame, and their lengths are the values."""

from __future__ import annotations

import re

import numpy as np
import pytest
from lxml import etree

from nmt.evaluation.charts import WIDTH, Bar, bars, histogram, nice_ticks, scatter


def parsed(svg: str) -> etree._Element:
    return etree.fromstring(svg)


def height(root: etree._Element) -> float:
    return float(root.get("viewBox").split()[3])


def test_bars_are_as_long_as_their_values() -> None:
    series = [[Bar(10, 8, 12), Bar(40, 30, 50)], [Bar(20, 20, 20), Bar(0, 0, 1)]]
    root = parsed(bars("x & y", [("1-5", "n=3"), ("<6>", "n=4")], series))
    assert root.get("aria-label") == "x & y"
    assert root.get("role") == "img"
    found = root.findall("rect")
    widths = [float(rect.get("width")) for rect in found]  # by group, then by series
    unit = widths[0] / 10
    assert widths == pytest.approx([10 * unit, 20 * unit, 40 * unit, 0], abs=0.3)
    assert [rect.get("class") for rect in found] == ["bar s0", "bar s1"] * 2
    tops = [float(rect.get("y")) for rect in found]
    assert tops == sorted(tops)
    assert all(float(rect.get("y")) + float(rect.get("height")) < height(root) for rect in found)
    assert len(root.findall("path[@class='whisker']")) == 3  # none where the interval is a point
    texts = ["".join(text.itertext()) for text in root.findall("text")]
    assert {"1-5", "<6>", "n=4", "40.0", "0", "50"} <= set(texts)
    assert max(float(text.get("x")) for text in root.findall("text[@class='value']")) < WIDTH - 30


def test_a_histogram_counts_every_value() -> None:
    values = np.array([1.0, 2, 11, 99, 100, 100])
    root = parsed(histogram("h", [values, values[:2]], [0, 10, 20, 90, 100], "score"))
    first, second = (path.get("d") for path in root.findall("path[@class]") if path.get("class").startswith("step"))
    # heights over the base: 2, 1, 0 and 3 values, in the same unit
    base = float(re.match(r"M[\d.]+ ([\d.]+)", first)[1])  # type: ignore[index]
    tops = [base - float(top) for top in re.findall(r"V([\d.]+)H", first)]
    assert tops == pytest.approx([tops[1] * count for count in (2, 1, 0, 3)], abs=0.2)
    assert [base - float(top) for top in re.findall(r"V([\d.]+)H", second)] == pytest.approx([tops[0], 0, 0, 0])


def test_a_scatter_has_a_dot_a_pair_inside_its_frame() -> None:
    across, up = np.array([0.0, 100, 50]), np.array([0.0, 100, 25])
    root = parsed(scatter("s", across, up, ("one", "x" * 90)))
    dots = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in root.iter("circle")]
    (left, bottom), (right, top), middle = dots
    assert 0 < left < right < WIDTH
    assert 0 < top < bottom < height(root)
    assert middle == pytest.approx(((left + right) / 2, bottom - (bottom - top) / 4), abs=0.1)
    assert [text for text in root.itertext() if "x" in text] == ["x" * 47 + "…"]


@pytest.mark.parametrize("most", [0.013, 1, 3.2, 7, 10, 46.3, 99.9, 100, 350, 12345])
def test_ticks_are_round_and_reach_the_top(most: float) -> None:
    ticks = nice_ticks(most)
    step = ticks[1]
    assert ticks[0] == 0
    assert ticks[-2] < most <= ticks[-1] * (1 + 1e-9)
    assert 3 <= len(ticks) <= 7
    assert f"{step:e}"[0] in "125"
    assert ticks == pytest.approx([step * k for k in range(len(ticks))])


def test_ticks_of_nothing_are_there() -> None:
    assert nice_ticks(0) == [0, 1]
    assert nice_ticks(float("nan")) == [0, 1]
