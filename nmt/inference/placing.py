"""Where the tags of a sentence belong in its translation, by what the model looked at. Knows nothing of models.

A pair of tags goes around the run of words whose attention lies within it, a lone tag or sign to the gap at which what
was before it and what was behind it part best. Pairs stay nested as they were, and each tag is written exactly once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nmt.text.markup import Mark
from nmt.text.pieces import Range

Weights = NDArray[np.float64]

_UNIT = re.compile(r"\w+(?:[-'’.]\w+)*|[^\w\s]")
_LEAST = 0.45
"""Share of a word's attention that makes it part of a pair of tags."""


@dataclass(frozen=True)
class Edit:
    """What is written in the place of `text[start:end]`."""

    start: int
    end: int
    written: str


@dataclass
class _Element:
    """A pair of tags, or half of one whose other half is in another sentence."""

    start: int
    """Characters of the source, from here ..."""
    end: int
    """... to here."""
    begin: Mark | None = None
    finish: Mark | None = None
    children: list[_Element] = field(default_factory=list)
    points: list[Mark] = field(default_factory=list)
    range: Range = (0, 0)
    """Units of the target."""


@dataclass(frozen=True)
class View:
    """What the model looked at, by units (words and single signs) of the target and pieces of the source."""

    source: str
    pieces: Sequence[Range]
    """Characters of the source's pieces."""
    target: str
    units: Sequence[Range]
    """Characters of the target's units."""
    weights: Weights
    """[units, pieces]"""

    @classmethod
    def of(
        cls,
        source: str,
        source_pieces: Sequence[Range],
        target: str,
        target_pieces: Sequence[Range],
        attention: NDArray[np.float32],
    ) -> View:
        """`attention` is [T, S]; T and S count EOS."""
        units = [found.span() for found in _UNIT.finditer(target)]
        weights = np.zeros((len(units), len(source_pieces)))
        counts = np.zeros(len(units))
        unit = 0
        for row, (start, end) in enumerate(target_pieces[: attention.shape[0]]):
            while unit < len(units) and units[unit][1] <= start:
                unit += 1
            here = unit
            while here < len(units) and units[here][0] < end:
                weights[here] += attention[row, : len(source_pieces)]
                counts[here] += 1
                here += 1
        weights /= np.maximum(counts, 1)[:, None]
        return cls(source, source_pieces, target, units, weights)

    def share(self, start: int, end: int) -> Weights:
        """[units]: how much of the attention that each unit pays to the source lies on these characters of it."""
        chosen = [i for i, (a, b) in enumerate(self.pieces) if a < end and start < b]
        total = self.weights.sum(axis=1)
        share: Weights = self.weights[:, chosen].sum(axis=1) / np.maximum(total, 0.3)
        return share

    def is_sign(self, unit: int) -> bool:
        """Whether a unit is punctuation or the like."""
        return not self.target[self.units[unit][0]].isalnum()


def place(view: View, marks: Sequence[Mark]) -> list[Edit] | None:
    """Tags as edits of the target; None where a pair with words in it would be left without any.

    `marks`: by place in `view.source`, in their order.
    """
    root = _tree(view, marks)
    root.range = (0, len(view.units))
    if not _arrange(view, root):
        return None
    gaps: dict[int, list[Mark]] = {}
    for gap, mark in _emit(view, root):
        gaps.setdefault(gap, []).append(mark)
    return [_edit(view, gap, inside) for gap, inside in sorted(gaps.items())]


def run_of(view: View, start: int, end: int) -> Range | None:
    """Characters of the target that stand for these of the source; None where that is not plain."""
    if not view.units:
        return None
    share = view.share(start, end)
    low, high = _best_run(share - _LEAST, (0, len(view.units)))
    while low < high and view.is_sign(low):
        low += 1
    while low < high and view.is_sign(high - 1):
        high -= 1
    if low >= high or share[low:high].mean() < _LEAST:
        return None
    return view.units[low][0], view.units[high - 1][1]


def _tree(view: View, marks: Sequence[Mark]) -> _Element:
    root = _Element(0, len(view.source))
    starts = {mark.pair for mark in marks if mark.pair >= 0 and not mark.is_end}
    open_ = [root]
    # elements that began in a sentence before this one are around all that comes before their ends
    for mark in reversed([m for m in marks if m.pair >= 0 and m.is_end and m.pair not in starts]):
        outer = _Element(0, mark.at, finish=mark)
        open_[-1].children.append(outer)
        open_.append(outer)
    for mark in marks:
        if mark.pair < 0:
            open_[-1].points.append(mark)
        elif not mark.is_end:
            inner = _Element(mark.at, len(view.source), begin=mark)
            open_[-1].children.append(inner)
            open_.append(inner)
        else:
            element = open_.pop()
            element.end, element.finish = mark.at, mark
    return root


def _arrange(view: View, parent: _Element) -> bool:
    """Give each child its run of units within the parent's; False where one with words in it gets none."""
    low, high = parent.range
    taken = np.zeros(len(view.units), bool)
    words = [(element, _has_words(view, element)) for element in parent.children]
    full = [element for element, has_words in words if has_words]
    gains = {id(element): view.share(element.start, element.end) - _LEAST for element in full}
    signs = [unit for unit in range(low, high) if view.is_sign(unit)]
    for gain in gains.values():
        gain[signs] = -np.inf
        if (gain[low:high] > 0).any():
            gain[signs] = -0.01
    # the surest first: what is left is for the others
    for element in sorted(full, key=lambda e: -float(np.maximum(gains[id(e)][low:high], 0).sum())):
        gain = np.where(taken, -np.inf, gains[id(element)])
        chosen = _covering(view, parent, element, gain) or _best_run(gain, parent.range)
        if chosen[0] >= chosen[1]:
            return False
        element.range = _trimmed(view, parent, element, chosen, taken)
        taken[element.range[0] : element.range[1]] = True
    for element, has_words in words:
        if not has_words:
            gap = _outside(_gap(view, element.start, parent.range), full)
            element.range = (gap, gap)
    return all(_arrange(view, element) for element in parent.children)


def _has_words(view: View, element: _Element) -> bool:
    return any(character.isalnum() for character in view.source[element.start : element.end])


def _covering(view: View, parent: _Element, element: _Element, gain: Weights) -> Range | None:
    """All of the parent's units for a child that has all of its words, and to its borders for half a pair."""
    low, high = parent.range
    outside = view.source[parent.start : element.start] + view.source[element.end : parent.end]
    if not any(character.isalnum() for character in outside):
        return low, high
    if element.begin is None:  # it begins where the sentence does
        ends = np.cumsum(gain[low:high])
        return low, low + 1 + int(ends.argmax()) if np.isfinite(ends.max()) else low
    if element.finish is None:
        starts = np.cumsum(gain[low:high][::-1])
        return high - 1 - int(starts.argmax()) if np.isfinite(starts.max()) else high, high
    return None


def _best_run(gain: Weights, within: Range) -> Range:
    """The run with the largest sum (Kadane), of at least one unit where one is free."""
    low, high = within
    best, best_range = -np.inf, (low, low)
    total, start = 0.0, low
    for unit in range(low, high):
        value = float(gain[unit])
        if total <= 0 or not np.isfinite(total):
            total, start = value, unit
        else:
            total += value
        if total > best:
            best, best_range = total, (start, unit + 1)
    return best_range


def _trimmed(view: View, parent: _Element, element: _Element, chosen: Range, taken: NDArray[np.bool_]) -> Range:
    """Punctuation at the ends of a run belongs to it where it does in the source."""
    low, high = chosen
    text = view.source[element.start : element.end].strip()
    if element.begin is not None and text[:1].isalnum():
        while high - low > 1 and view.is_sign(low):
            low += 1
    if element.finish is not None:
        if text[-1:].isalnum():
            while high - low > 1 and view.is_sign(high - 1):
                high -= 1
        else:
            while high < parent.range[1] and view.is_sign(high) and not taken[high]:
                high += 1
    return low, high


def _gap(view: View, at: int, within: Range) -> int:
    """The gap, counted by the unit behind it, for what stood before character `at`."""
    low, high = within
    before = view.source[:at]
    if not any(character.isalnum() for character in before):
        return low
    if not any(character.isalnum() for character in view.source[at:]):
        # in front of the full stop where it was there
        if not view.source[at:].strip():
            return high
        while high - low > 1 and view.is_sign(high - 1):
            high -= 1
        return high
    left = view.share(0, at)[low:high]
    scores = np.concatenate([[0.0], np.cumsum(left - (1 - left))])
    best = low + int(scores.argmax())
    sign = view.source[at:].lstrip()[:1]
    if best < high and view.is_sign(best) and sign.isalnum() and low < best:  # a comma stays with the word before it
        best += 1
    return best


def _outside(gap: int, elements: Sequence[_Element]) -> int:
    """The gap, or the nearer border of the element that it would be inside of."""
    for element in elements:
        low, high = element.range
        if low < gap < high:
            return low if gap - low <= high - gap else high
    return gap


def _emit(view: View, element: _Element) -> list[tuple[int, Mark]]:
    """The marks of an element in the order in which they are written, each with its gap."""
    low, high = element.range
    items: list[tuple[tuple[int, int, int], list[tuple[int, Mark]]]] = []
    for child in element.children:
        if child.range[0] == child.range[1]:
            # nothing to be put around: written as one, whatever it holds
            gap = child.range[0]
            marks = [mark for _, mark in _marks_of(child)]
            raw, out = "".join(mark.raw for mark in marks), "".join(mark.out for mark in marks)
            items.append(((gap, 0, child.start), [(gap, Mark(child.start, raw, translation=out))]))
            continue
        items.append(((child.range[0], int(child.range[1] > child.range[0]), child.start), _emit(view, child)))
    for number, mark in enumerate(element.points):
        gap = _outside(_gap(view, mark.at, element.range), element.children)
        items.append(((gap, 0, number), [(gap, mark)]))
    items.sort(key=lambda item: item[0])
    inner = [entry for _, entries in items for entry in entries]
    # a point at a child's end comes behind it
    inner.sort(key=lambda entry: entry[0])
    begin = [(low, element.begin)] if element.begin else []
    finish = [(high, element.finish)] if element.finish else []
    return [*begin, *inner, *finish]


def _marks_of(element: _Element) -> list[tuple[int, Mark]]:
    """All marks of an element in the order of the source."""
    inner = [(mark.at, mark) for mark in element.points]
    inner += [entry for child in element.children for entry in _marks_of(child)]
    inner.sort(key=lambda entry: entry[0])
    begin = [(element.start, element.begin)] if element.begin else []
    finish = [(element.end, element.finish)] if element.finish else []
    return [*begin, *inner, *finish]


def _edit(view: View, gap: int, marks: Sequence[Mark]) -> Edit:
    """The marks in a gap, with the blanks that they had; what blank the gap has is kept once.

    Marks that touched have one blank before all of them, and one behind.
    """
    units = view.units
    start = units[gap - 1][1] if gap else 0
    end = units[gap][0] if gap < len(units) else len(view.target)
    has_blank = end > start and 0 < gap < len(units)
    wanted = [_blank_at(view.source, mark.at - 1) for mark in marks] + [False]
    behind = [False] + [_blank_at(view.source, mark.at) for mark in marks]
    blanks = [(a or b) for a, b in zip(wanted, behind, strict=True)]
    lone = [mark.pair < 0 for mark in marks]
    chosen = [False] * len(blanks)
    if any(lone):
        for group in _touching(marks):
            if any(lone[i] for i in group):
                chosen[group.start] = chosen[group.start] or wanted[group.start]
                chosen[group.stop] = chosen[group.stop] or behind[group.stop]
        if gap == 0:
            chosen[0] = False
        if gap == len(units):
            chosen[-1] = False
    elif has_blank:
        ends = sum(1 for mark in marks if mark.is_end)
        chosen[ends if blanks[ends] or not any(blanks) else blanks.index(True)] = True
    written = "".join(
        (" " if blank else "") + (marks[i].out if i < len(marks) else "") for i, blank in enumerate(chosen)
    )
    return Edit(start, end, written)


def _touching(marks: Sequence[Mark]) -> list[range]:
    """Indices of marks that follow each other and had no text between them."""
    cuts = [i for i in range(1, len(marks)) if marks[i - 1].at != marks[i].at]
    return [range(start, stop) for start, stop in zip([0, *cuts], [*cuts, len(marks)], strict=True)]


def _blank_at(text: str, place: int) -> bool:
    return 0 <= place < len(text) and text[place].isspace()
