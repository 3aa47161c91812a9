"""Alignments are scored, read and joined as the papers define it: examples worked out by hand, and slow versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import CorpusError
from nmt.evaluation.alignment import (
    GoldLinks,
    Link,
    check_fits,
    evaluate_alignment,
    grow_diag_final_and,
    intersection,
    pharaoh,
    read_gold,
    read_links,
    score,
    union,
)

LINKS = st.frozensets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12)


def gold(sure: str, possible: str = "") -> GoldLinks:
    return GoldLinks(links(sure), links(possible))


def links(text: str) -> frozenset[Link]:
    return frozenset((int(i), int(j)) for i, j in (field.split("-") for field in text.split()))


def test_error_rate_of_an_example_worked_out_by_hand() -> None:
    """A = {00, 11, 21, 32}, S = {00, 22}, P = S + {11, 32}: |A S| = 1, |A P| = 3, so AER = 1 - (1 + 3) / (4 + 2)."""
    found = score([links("0-0 1-1 2-1 3-2")], [gold("0-0 2-2", "1-1 3-2")])
    assert (found.links, found.sure, found.found_sure, found.found_possible) == (4, 2, 1, 3)
    assert found.aer == pytest.approx(1 - 4 / 6)
    assert found.precision == pytest.approx(3 / 4)
    assert found.recall == pytest.approx(1 / 2)
    assert found.f1 == pytest.approx(2 * 0.75 * 0.5 / 1.25)


def test_counts_are_added_up_over_the_corpus_before_they_are_divided() -> None:
    """One pair all right with 1 link, one all wrong with 3: 1 - 2 / (4 + 4), not the mean of 0 and 1."""
    found = score([links("0-0"), links("0-0 1-1 2-2")], [gold("0-0"), gold("0-1 1-2 2-0")])
    assert found.aer == pytest.approx(1 - 2 / 8)


def test_possible_links_cost_nothing_where_they_are_missed() -> None:
    assert score([links("0-0")], [gold("0-0", "1-1 2-2")]).aer == 0
    assert score([links("0-0 1-1")], [gold("0-0", "1-1 2-2")]).aer == 0
    assert score([links("1-1")], [gold("0-0", "1-1")]).aer == pytest.approx(1 - 1 / 2)


@given(LINKS, LINKS)
def test_with_sure_links_alone_the_error_rate_is_one_minus_f1(found: frozenset[Link], sure: frozenset[Link]) -> None:
    result = score([found], [GoldLinks(sure)])
    if found and sure:
        assert result.aer == pytest.approx(1 - result.f1)
    assert 0 <= result.aer <= 1


def test_nothing_found_and_nothing_to_find() -> None:
    nothing = score([frozenset()], [gold("")])
    assert (nothing.aer, nothing.precision, nothing.recall) == (0, 1, 1)
    missed = score([frozenset()], [gold("0-0")])
    assert (missed.aer, missed.recall, missed.f1) == (1, 0, 0)


def test_counts_of_pairs_must_agree() -> None:
    with pytest.raises(CorpusError, match="line by line"):
        score([links("0-0")], [gold("0-0"), gold("1-1")])


def test_gold_files_in_both_notations_and_both_ways_to_count(tmp_path: Path) -> None:
    path = tmp_path / "gold"
    path.write_text("0-1 2?0 1p1\n\n3-3\n", "utf-8")
    assert read_gold(path) == [gold("0-1", "2-0 1-1"), gold(""), gold("3-3")]
    assert read_gold(path, target_first=True)[0] == gold("1-0", "0-2 1-1")
    path.write_text("1-2 3?1\n", "utf-8")
    assert read_gold(path, first_word=1) == [gold("0-1", "2-0")]


@pytest.mark.parametrize(("line", "message"), [("1-1 2:3", "'2:3' is no link"), ("1-0", "count from 1")])
def test_a_bad_link_is_named_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "gold"
    path.write_text(f"1-1\n{line}\n", "utf-8")
    with pytest.raises(CorpusError, match=message) as caught:
        read_gold(path, first_word=1)
    assert caught.value.line == 2


def test_links_of_an_aligner_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "links"
    some = [links("3-0 0-1 0-0"), links("")]
    path.write_text("".join(f"{pharaoh(one)}\n" for one in some), "utf-8")
    assert path.read_text("utf-8") == "0-0 0-1 3-0\n\n"
    assert read_links(path) == some
    path.write_text("0?0\n", "utf-8")
    with pytest.raises(CorpusError, match="possible"):
        read_links(path)


def test_a_link_past_the_end_of_its_sentence_is_told(tmp_path: Path) -> None:
    pairs = [("a b", "x"), ("a", "x y z")]
    check_fits([links("1-0"), links("0-2")], pairs, tmp_path)
    with pytest.raises(CorpusError, match="link 1-0 is past the end of its pair of 1 and 3 words") as caught:
        check_fits([links("1-0"), links("1-0")], pairs, tmp_path)
    assert caught.value.line == 2


def test_growing_step_by_step() -> None:
    """The intersection is 1-1, which is visited first: beside it 1-2 (target 2 is free), then 2-2 (source 2 is).

    Beside 1-2 lies 2-3 (target 3 is free), beside 2-2 lies 3-2 (source 3 is); then both words of 3-3 are taken. Nothing
    touches 6-6, but both its words are free at the end; then comes 6-7, and 6 is taken.
    """
    forward = links("1-1 2-2 3-2 6-6")
    backward = links("1-1 1-2 2-3 3-3 6-7")
    assert grow_diag_final_and(forward, backward) == links("1-1 1-2 2-2 2-3 3-2 6-6")


@given(LINKS, LINKS)
def test_growing_is_that_of_the_published_loop(forward: frozenset[Link], backward: frozenset[Link]) -> None:
    grown = grow_diag_final_and(forward, backward)
    assert grown == dense_grow_diag_final_and(forward, backward)
    assert intersection(forward, backward) <= grown <= union(forward, backward)


def dense_grow_diag_final_and(forward: frozenset[Link], backward: frozenset[Link]) -> frozenset[Link]:
    """The pseudo-code of Koehn et al. 2005 on tables of booleans."""
    e2f, f2e = np.zeros((2, 7, 7), bool)  # a border of one around words 0 to 4
    for table, some in ((e2f, forward), (f2e, backward)):
        for i, j in some:
            table[i + 1, j + 1] = True
    alignment = e2f & f2e
    while True:
        before = alignment.copy()
        for e in range(1, 6):
            for f in range(1, 6):
                if not alignment[e, f]:
                    continue
                for de, df in ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
                    new = e + de, f + df
                    is_free = not alignment[new[0]].any() or not alignment[:, new[1]].any()
                    if is_free and (e2f | f2e)[new]:
                        alignment[new] = True
        if (alignment == before).all():
            break
    for table in (e2f, f2e):
        for e in range(1, 6):
            for f in range(1, 6):
                if table[e, f] and not alignment[e].any() and not alignment[:, f].any():
                    alignment[e, f] = True
    return frozenset((int(e) - 1, int(f) - 1) for e, f in np.argwhere(alignment))


def test_a_report_of_two_directions_has_a_row_for_every_way_to_join_them() -> None:
    report = evaluate_alignment([links("0-0 1-1")], [gold("0-0 1-1")], [links("0-0 2-1")])
    assert list(report.scores) == ["forward", "backward", "intersection", "union", "grow-diag-final-and"]
    assert report.scores["forward"].aer == 0
    assert report.scores["intersection"].recall == 0.5
    assert report.table()[1] == ("forward", "0.000", "100.0", "100.0", "100.0", "2")
    assert report.as_dict()["union"]["links"] == 3
