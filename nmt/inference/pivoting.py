"""Two translations in a row as one: from the source through a third language. Values only; who translates, when and by
which models is decided elsewhere."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from nmt.inference.types import LEAST_WEIGHT, Attention, Hypothesis, Links, TranslateOptions, Translation


def first_leg(options: TranslateOptions) -> TranslateOptions:
    """How the way to the language in between is translated: the one best, and nothing said of the target's words.

    A term is put into its target form at once, and kept by the second leg.
    """
    return replace(options, n_best=1, prefix="", forbidden=(), sampling=None, diversity=None)


def second_leg(options: TranslateOptions) -> TranslateOptions:
    """How the way from there is translated."""
    kept = tuple(dict.fromkeys((target, target) for _, target in options.terms))
    return replace(options, terms=kept)


def through(first: Translation, second: Translation) -> Translation:
    """What both legs make together: the second's texts; links and attention of its words to those of the source.

    A score is the sum of both legs', and flags are those of either.
    """
    alternatives = tuple(_onward(first, hypothesis) for hypothesis in second.alternatives)
    return Translation(
        text=second.text,
        score=first.score + second.score,
        alternatives=alternatives,
        alignment=compose_links(first.alignment, second.alignment),
        attention=compose_attention(first.attention, second.attention),
        flags=first.flags | second.flags,
        source_tokens=first.source_tokens,
        target_tokens=second.target_tokens,
        queue_s=first.queue_s + second.queue_s,
        engine_s=first.engine_s + second.engine_s,
    )


def _onward(first: Translation, hypothesis: Hypothesis) -> Hypothesis:
    return Hypothesis(
        hypothesis.text,
        first.score + hypothesis.score,
        compose_links(first.alignment, hypothesis.alignment),
        compose_attention(first.attention, hypothesis.attention),
    )


def compose_links(first: Links, second: Links) -> Links:
    """(i, k) for every (i, j) of the first and (j, k) of the second, by target word."""
    sources: dict[int, list[int]] = defaultdict(list)
    for source, middle in first:
        sources[middle].append(source)
    pairs = {(source, target) for middle, target in second for source in sources[middle]}
    return tuple(sorted(pairs, key=lambda pair: (pair[1], pair[0])))


def compose_attention(first: Attention, second: Attention) -> Attention:
    """The product of both, as if they were matrices; small weights are left out as in either."""
    return tuple(_look_through(first, row) for row in second)


def _look_through(first: Attention, row: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    weights: dict[int, float] = defaultdict(float)
    for middle, weight in row:
        for source, share in first[middle] if middle < len(first) else ():
            weights[source] += weight * share
    kept = ((source, round(weight, 3)) for source, weight in weights.items() if weight >= LEAST_WEIGHT)
    return tuple(sorted(kept, key=lambda look: (-look[1], look[0])))
