"""Two translations in a row as one: links and weights are products of matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nmt.inference.pivoting import compose_attention, compose_links, first_leg, second_leg, through
from nmt.inference.types import LEAST_WEIGHT, Attention, Hypothesis, Links, TranslateOptions, Translation

WORDS = 5
PAIRS = st.sets(st.tuples(st.integers(0, WORDS - 1), st.integers(0, WORDS - 1))).map(lambda pairs: tuple(sorted(pairs)))
WEIGHTS = st.lists(st.lists(st.floats(0, 1), min_size=WORDS, max_size=WORDS), min_size=WORDS, max_size=WORDS)


def matrix(links: Links) -> NDArray[np.bool_]:
    found = np.zeros((WORDS, WORDS), bool)
    for source, target in links:
        found[source, target] = True
    return found


def as_attention(weights: NDArray[np.float64]) -> Attention:
    """Rows of target words, as a translation has them."""
    return tuple(
        tuple(sorted(((word, float(w)) for word, w in enumerate(row) if w >= LEAST_WEIGHT), key=lambda look: -look[1]))
        for row in weights
    )


def as_matrix(attention: Attention) -> NDArray[np.float64]:
    found = np.zeros((WORDS, WORDS))
    for target, row in enumerate(attention):
        for source, weight in row:
            found[target, source] = weight
    return found


@given(PAIRS, PAIRS)
def test_links_are_composed_as_relations(
    first: tuple[tuple[int, int], ...], second: tuple[tuple[int, int], ...]
) -> None:
    composed = compose_links(first, second)
    assert len(set(composed)) == len(composed)
    np.testing.assert_array_equal(matrix(composed), matrix(first) @ matrix(second))
    assert [target for _, target in composed] == sorted(target for _, target in composed)


@given(WEIGHTS, WEIGHTS)
def test_attention_is_composed_as_matrices(first: list[list[float]], second: list[list[float]]) -> None:
    one, other = (as_attention(np.array(rows) / WORDS) for rows in (first, second))
    composed = compose_attention(one, other)
    expected = as_matrix(other) @ as_matrix(one)
    found = as_matrix(composed)
    np.testing.assert_allclose(found[found > 0], expected[found > 0], atol=5.1e-4)
    assert (expected[found == 0] < LEAST_WEIGHT + 1e-9).all()
    assert all(row == tuple(sorted(row, key=lambda look: -look[1])) for row in composed)


def test_words_that_nothing_is_known_of_have_no_weights() -> None:
    """A text that was copied has rows for words, its translation perhaps none."""
    assert compose_attention((), (((0, 1.0),),)) == ((),)
    assert compose_links((), ((0, 0),)) == ()


def test_both_legs_make_one_translation() -> None:
    first = Translation("b", -1.0, (Hypothesis("b", -1.0),), ((0, 1),), (((0, 1.0),),), frozenset({"truncated"}), 3, 4)
    second = Translation(
        "c",
        -0.5,
        (Hypothesis("c", -0.5, ((1, 0),)), Hypothesis("d", -0.75, ((0, 0),))),
        ((1, 0),),
        (((0, 0.5),),),
        frozenset({"repetition"}),
        4,
        5,
    )
    joined = through(first, second)
    assert (joined.text, joined.score, joined.source_tokens, joined.target_tokens) == ("c", -1.5, 3, 5)
    assert joined.flags == {"truncated", "repetition"}
    assert joined.alignment == ((0, 0),)
    assert joined.attention == (((0, 0.5),),)
    assert [(one.text, one.score, one.alignment) for one in joined.alternatives] == [
        ("c", -1.5, ((0, 0),)),
        ("d", -1.75, ()),
    ]


def test_what_is_said_of_the_target_is_said_to_the_second_leg_alone() -> None:
    asked = TranslateOptions(n_best=4, prefix="Le", forbidden=("mot",), terms=(("Bank", "banque"),), alignments=True)
    first, second = first_leg(asked), second_leg(asked)
    assert (first.n_best, first.prefix, first.forbidden, first.alignments) == (1, "", (), True)
    assert first.terms == (("Bank", "banque"),)
    assert (second.n_best, second.prefix, second.forbidden) == (4, "Le", ("mot",))
    assert second.terms == (("banque", "banque"),)


@pytest.mark.parametrize("options", [TranslateOptions(), TranslateOptions(beam_size=7, raw=True, markup="")])
def test_plain_options_go_with_both_legs(options: TranslateOptions) -> None:
    assert first_leg(options) == second_leg(options) == options
