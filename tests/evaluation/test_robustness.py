"""Sets of noise: what is changed, how much, and that a perfect translator loses nothing."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.errors import CorpusError
from nmt.evaluation.quality import EvaluationSet
from nmt.evaluation.robustness import RobustnessReport, Variant, costs_of, edited, variants
from nmt.evaluation.scoring import count
from tests.evaluation.systems import sentences, worsened

SOURCES, REFERENCES = sentences(61)
AGAINST = EvaluationSet([REFERENCES], SOURCES)
NAMES = ["typos", "no full stop", "capitals", "lower case", "two joined"]


def by_name(against: EvaluationSet, seed: int = 1) -> dict[str, Variant]:
    return {variant.name: variant for variant in variants(against, seed)}


def distance(one: str, other: str) -> int:
    """Edits from one text to another, swaps of neighbours among them (optimal string alignment), by the textbook."""
    rows = [[i + j if not i or not j else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            same = one[i - 1] == other[j - 1]
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (not same))
            if i > 1 < j and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


def test_five_per_cent_of_the_words_get_one_edit() -> None:
    found = by_name(AGAINST)["typos"]
    pairs = [
        pair for a, b in zip(SOURCES, found.sources, strict=True) for pair in zip(a.split(), b.split(), strict=True)
    ]
    changed = [pair for pair in pairs if pair[0] != pair[1]]
    assert len(changed) == round(0.05 * len(pairs)) > 20
    assert {distance(*pair) for pair in changed} == {1}
    assert found.references == [REFERENCES]
    assert 0 < found.changed <= len(changed)


@given(st.text("aBé", min_size=2, max_size=5), st.sampled_from(["", ".", "“"]), st.integers(0, 50))
def test_an_edit_is_always_one(word: str, mark: str, seed: int) -> None:
    found = edited(mark + word + mark, "abcé", random.Random(seed))
    assert distance(mark + word + mark, found) == 1
    assert found.startswith(mark)
    assert found.endswith(mark)


def test_every_kind_of_edit_comes() -> None:
    rng = random.Random(1)
    found = {edited("Word", "xyz", rng) for _ in range(400)}
    assert {"ord", "oWrd", "Wodr"} <= found  # left out, swapped
    assert {"Wxord", "Wxrd"} <= found  # put in, put for another
    assert {"Xord", "YWord"} <= found  # a capital stays one


def test_the_seed_decides_and_nothing_else() -> None:
    assert by_name(AGAINST) == by_name(AGAINST)
    assert by_name(AGAINST)["typos"].sources != by_name(AGAINST, seed=2)["typos"].sources
    assert by_name(AGAINST)["capitals"] == by_name(AGAINST, seed=2)["capitals"]


def test_full_stops_go_and_other_ends_stay() -> None:
    sources = ["Go.", "Why?", "Wait...", "No", "等等。", "Fin .", ".", "Mr. X came. "]
    found = by_name(EvaluationSet([sources], sources))["no full stop"]
    assert found.sources == ["Go", "Why?", "Wait...", "No", "等等", "Fin", ".", "Mr. X came"]
    assert found.changed == 4
    assert found.references == [sources]


def test_case_is_changed_and_how_it_is_scored() -> None:
    found = by_name(AGAINST)
    assert found["capitals"].sources == [source.upper() for source in SOURCES]
    assert found["lower case"].sources == [source.lower() for source in SOURCES]
    assert found["capitals"].ignoring_case == (True,)
    assert found["lower case"].ignoring_case == (False, True)
    assert found["typos"].ignoring_case == (False,)


def test_two_lines_become_one_segment() -> None:
    found = by_name(AGAINST)["two joined"]
    assert found.is_one_segment
    assert len(found.sources) == 30  # the last of 61 is left out
    assert found.sources[1] == f"{SOURCES[2]} {SOURCES[3]}"
    assert found.references[0][1] == f"{REFERENCES[2]} {REFERENCES[3]}"
    assert found.joined(SOURCES) == found.sources


def test_joined_lines_have_the_references_that_both_have() -> None:
    columns: list[list[str | None]] = [["a", None, "e", "f"], [None, "d", "g", None]]
    found = by_name(EvaluationSet(columns, ["one two", "three", "four", "five six"]))["two joined"]
    assert found.references == [["a d", "e f"], [None, None]]


NAMED = EvaluationSet(
    [
        ["Tom singt.", "Ich kenne Tom und Anna.", "Niemand kam.", "Maria kam.", "Toms Hund"],
        ["Es singt Tom.", None, "Keiner kam.", "Mary kam.", None],
    ],
    ["Tom sings.", "I know Tom and Anna.", "Nobody came.", "Mary came.", "Tom's dog"],
)


def test_names_become_others_that_nobody_has_on_all_sides() -> None:
    found = by_name(NAMED)["other names"]
    assert found.changed == len(found.sources) == 3
    assert found.clean == [(0,), (1,), (4,)]
    assert found.clean_references == [[column[k] for k in (0, 1, 4)] for column in NAMED.references]
    first, second = found.references
    names = [found.sources[0].split()[0], found.sources[1].split()[2], found.sources[2].partition("'")[0]]
    assert first == [f"{names[0]} singt.", f"Ich kenne {names[1]} und Anna.", f"{names[2]}s Hund"]
    assert second == [f"Es singt {names[0]}.", None, None]
    assert all(name.istitle() and name != "Tom" for name in names)
    assert by_name(NAMED, seed=2)["other names"].sources != found.sources


def test_a_translator_that_copies_names_loses_nothing_by_others() -> None:
    found = by_name(NAMED)["other names"]
    clean = [column or "" for column in NAMED.references[0]]
    said = [text or "" for text in found.references[0]]
    assert [cost.ratio for cost in costs_of(found, clean, said, resamples=40)] == [1, 1]
    assert all(cost.ratio < 1 for cost in costs_of(found, clean, [clean[k] for (k,) in found.clean], resamples=40))


def test_a_translator_that_noise_does_not_touch_loses_nothing() -> None:
    outputs = worsened(REFERENCES, 0.2, seed=1)
    for variant in variants(AGAINST, 1):
        for cost in costs_of(variant, outputs, variant.joined(outputs), resamples=50):
            assert cost.ratio == cost.interval.low == cost.interval.high == 1


def test_a_ratio_is_score_over_clean_score_of_the_same_lines() -> None:
    clean, noisy = worsened(REFERENCES, 0.1, seed=1), worsened(REFERENCES, 0.3, seed=2)
    variant = by_name(AGAINST)["capitals"]
    bleu, chrf = costs_of(variant, [text.upper() for text in clean], noisy, resamples=200)
    expected = [count("BLEU", some, [REFERENCES], lowercase=True).score() for some in (clean, noisy)]
    assert (bleu.clean, bleu.score) == tuple(expected)
    assert bleu.ratio == pytest.approx(expected[1].value / expected[0].value)
    assert bleu.interval.low < bleu.ratio < bleu.interval.high < 1
    assert "case:lc" in bleu.score.signature
    assert bleu.ratio < chrf.ratio < 1


def test_nothing_of_nothing_is_no_loss_that_could_be_told() -> None:
    variant = by_name(AGAINST)["typos"]
    empty = [""] * len(REFERENCES)
    assert [cost.ratio for cost in costs_of(variant, empty, empty, resamples=40)] == [0, 0]


def test_the_report_has_every_set_by_every_metric() -> None:
    costs = [
        cost
        for variant in variants(AGAINST)
        for cost in costs_of(variant, REFERENCES, REFERENCES[: len(variant.sources)], resamples=40)
    ]
    found = RobustnessReport(12345, costs)
    header, *rows = found.table()
    assert [row[0] for row in rows[::2]] == [
        "typos",
        "no full stop",
        "capitals",
        "lower case",
        "lower case",
        "two joined",
    ]
    assert {len(row) for row in rows} == {len(header)}
    content = json.loads(json.dumps(found.as_dict()))
    assert [one["name"] for one in content["sets"]] == NAMES
    assert [one["metric"] for one in content["sets"][3]["metrics"]] == ["bleu", "chrfpp"] * 2
    assert [one["lowercase"] for one in content["sets"][3]["metrics"]] == [False, False, True, True]
    assert content["sets"][0]["metrics"][0]["ratio"] == costs[0].ratio
    assert len(found.signatures()) == 4


@pytest.mark.parametrize(("sources", "message"), [(["? 1", "2"], "misspelt"), (["one word"], "only one")])
def test_what_no_set_can_be_made_of_is_refused(sources: list[str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        variants(EvaluationSet([sources], sources))
