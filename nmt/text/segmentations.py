"""All the ways in which a vocabulary can write a word: whoever forbids it must forbid each of them."""

from __future__ import annotations

from collections.abc import Mapping


def segmentations(text: str, pieces: Mapping[str, int], limit: int) -> list[tuple[int, ...]]:
    """The ids of pieces that make up `text` when joined: every way, those of fewest pieces first, `limit` at most."""
    longest = max(map(len, pieces), default=0)
    ways: list[list[tuple[int, ...]]] = [[()]]  # of each beginning of the text
    for end in range(1, len(text) + 1):
        longer = [
            (*before, pieces[text[start:end]])
            for start in range(max(0, end - longest), end)
            if text[start:end] in pieces
            for before in ways[start]
        ]
        # the best of a whole have the best of their beginnings
        ways.append(sorted(longer, key=lambda ids: (len(ids), ids))[:limit])
    return ways[-1] if text else []
