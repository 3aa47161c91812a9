"""What is tried so that all of a sentence comes through its translation, from the best way to the surest.

1. The sentence with a common word in the place of each protected part ("Tom" for `{name}`, "2000" for `{count}`), which
   translators copy; of the n best translations the first in which each is there once. Tags and symbols are left out and
   put where the model's attention says they belong.
2. The same with other words, and with numbers where there were names.
3. What lies between the protected parts and tags, each piece by itself. It always holds, and the answer says so.

A sentence whose numbers are wrong, that repeats itself or lacks a term is searched once more, with what went wrong
ruled out; the answer says so where that did not help. Each attempt is verified by what it must hold: nothing here
trusts a model. Knows nothing of engines: searches are asked for, and come back.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from nmt.inference.placing import Edit, View, place, run_of
from nmt.inference.runner import Found
from nmt.inference.types import TranslateOptions
from nmt.text import numbers, protect
from nmt.text.casing import Casing, casing_of, first_edits, normal, restored
from nmt.text.clauses import part_edits
from nmt.text.finals import final_edits
from nmt.text.markup import Mark, tags
from nmt.text.pieces import Range
from nmt.text.planning import Sentence
from nmt.text.protect import Span
from nmt.text.quotation import pair_edits
from nmt.text.repetition import is_loop

SHORTER = 1.5
"""Most tokens of such a translation, as a multiple of the source's."""
MOST_STAND_INS = 6
"""Of a sentence with more protected parts too little is left to translate as one."""

FEW_WORDS = 2
"""A piece of no more stays as it is where its translation goes round in circles."""

_LINE_ENDS = re.compile(r"[\r\n\u2028\u2029]+")
_HIDDEN = "\u00a4"


@dataclass(slots=True)
class Query:
    """A search that is wanted."""

    text: str
    n_best: int = 0
    """At least; 0: as the caller of the translation asked."""
    with_attention: bool = False
    is_constrained: bool = False
    """No run of tokens twice, and not much longer than its source."""
    is_first: bool = True
    """It is the beginning of its sentence."""


@dataclass(slots=True)
class Output:
    """A hypothesis of one search, and its text."""

    found: Found
    tokens: Sequence[int]
    """`<unk>` for every copy."""
    text: str
    unknown: Sequence[str] = ()
    """The pieces that stand for each `<unk>` in turn."""


@dataclass(slots=True)
class Reply:
    """What a search found: nothing where its constraints leave nothing."""

    query: Query
    ids: Sequence[int]
    outputs: Sequence[Output]


@dataclass(frozen=True)
class Look:
    """What the model looked at for part of a sentence, by characters: of the sentence, and of its translation."""

    output: Output
    source: Sequence[Range]
    target: Sequence[Range]


@dataclass(slots=True)
class Said:
    """A translation of a sentence in which all is there that must be."""

    text: str
    """As it is written in the document."""
    output: Output
    flags: frozenset[str] = frozenset()
    looks: tuple[Look, ...] = ()
    """Where they were asked for."""
    is_as_searched: bool = False
    """Its words are those of the output, and those that were searched are the sentence's."""


@dataclass(slots=True)
class Spoken:
    """What became of a sentence."""

    sentence: Sentence
    said: list[Said]
    """Best first, at least one."""
    ids: Sequence[int] = ()
    flags: set[str] = field(default_factory=set)
    source_tokens: int = 0
    target_tokens: int = 0

    @property
    def score(self) -> float:
        """Of the best."""
        return self.said[0].output.found.score


Attempts = Generator[list[Query], list[Reply], Spoken]


@dataclass(frozen=True)
class _Way:
    """Stand-ins for some spans of a sentence."""

    words: tuple[tuple[Span, str], ...] = ()

    @property
    def query_edits(self) -> list[Edit]:
        return [Edit(span.start, span.end, word) for span, word in self.words]


@dataclass(frozen=True)
class Speaker:
    """Carries sentences of one model through. `translate` is what it is for."""

    languages: tuple[str, str]
    fold: Callable[[str], str]
    """A text as the source's vocabulary can read it, as long as before (`nmt.text.folding`)."""
    cost: Callable[[str], int]
    """Pieces of a word in the source's vocabulary."""
    target_cost: Callable[[str], int]
    """In the target's."""
    source_offsets: Callable[[Reply], list[Range]]
    """Characters of a reply's query for each of its tokens."""
    target_offsets: Callable[[Output], list[Range]]
    beam_size: int
    """Of the model."""

    def translate(self, sentence: Sentence, options: TranslateOptions) -> Attempts:
        """Ask for searches until there is a translation. At most three rounds, and one for pieces or faults."""
        words = sentence.text
        if sentence.spans:  # "DELETE {name}" is shouted
            words = "".join(part for part in protect.parts(words, sentence.spans) if isinstance(part, str)).strip()
        casing = casing_of(words, self.languages[0], self.cost)
        is_whole = not sentence.continues and not sentence.is_open
        if casing is Casing.NORMAL and is_whole and sentence.is_plain and protect.is_everyday(sentence.text):
            return (yield from self._everyday(sentence, options))
        return (yield from self._climb(sentence, casing, options))

    def _everyday(self, sentence: Sentence, options: TranslateOptions) -> Attempts:
        """A sentence in which there is nothing to look after: searched, and looked at no longer than need be."""
        (reply,) = yield [Query(self.fold(_LINE_ENDS.sub(" ", sentence.text)))]
        outputs = reply.outputs
        if not sentence.is_markup and all(self._is_everyday(sentence.text, output) for output in outputs):
            said = [Said(output.text, output, is_as_searched=True) for output in outputs]
            return _spoken(sentence, said, [reply])
        work = _Work(self, sentence, Casing.NORMAL, options)
        if said := work.read(_Way(), reply):
            return (yield from self._improved(work, _Way(), reply, said))
        return (yield from self._in_pieces(work))

    def _is_everyday(self, text: str, output: Output) -> bool:
        """Whether a translation of an everyday sentence can have no fault."""
        tokens = output.found.tokens
        if len(tokens) - len(set(tokens)) > 1 or not protect.is_everyday(output.text):
            return False
        target = self.languages[1]
        return not (
            any(final_edits(text, output.text, target))
            or any(first_edits(text, output.text))
            or any(pair_edits(output.text, target))
        )

    def _climb(self, sentence: Sentence, casing: Casing, options: TranslateOptions) -> Attempts:
        ways = self._ways(sentence, options)
        work = _Work(self, sentence, casing, options)
        for way in ways:
            (reply,) = yield [work.query(way)]
            if said := work.read(way, reply):
                return (yield from self._improved(work, way, reply, said))
        return (yield from self._in_pieces(work))

    def _ways(self, sentence: Sentence, options: TranslateOptions) -> list[_Way]:
        held = [span for span in sentence.spans if span.kind != "term"]
        if not held:
            return [_Way()]
        if sentence.is_tangled or len(held) > MOST_STAND_INS:
            return []
        texts = (sentence.text, options.prefix, *options.forbidden)
        guess = [protect.looks_like_number(span, sentence.text, self.languages[0]) for span in held]
        ways: list[_Way] = []
        for wants, others in ((guess, False), (guess, True), ([not wants for wants in guess], False)):
            if words := protect.stand_ins(texts, wants, others=others):
                chosen = [
                    protect.AND[self.languages[0]] if s.kind == "and" else w for s, w in zip(held, words, strict=True)
                ]
                ways.append(_Way(tuple(zip(held, chosen, strict=True))))
        return ways

    def _improved(self, work: _Work, way: _Way, reply: Reply, said: list[Said]) -> Attempts:
        """The best of what was said; where it has faults, of a second search as well, which rules them out."""
        best = _fewest_faults(said)
        faults = said[best].flags
        is_drawn = work.options.sampling is not None or work.options.diversity is not None
        if faults and not is_drawn:
            other_way = work.without_faults(way, faults)
            (again,) = yield [work.query(other_way, is_constrained="repetition" in faults, is_again=True)]
            others = work.read(other_way, again)
            if others:
                other = _fewest_faults(others)
                if len(others[other].flags) < len(faults):
                    reply, said, best = again, others, other
        if not is_drawn:
            said = _different(said[best:])
        return _spoken(work.sentence, said[: max(1, work.options.n_best)], [reply])

    def _in_pieces(self, work: _Work) -> Attempts:
        """What lies between protected parts and tags, each by itself; one that does not hold stays as it is."""
        sentence = work.sentence
        bits = work.bits()
        queries = [
            Query(bit.query, work.n_best, with_attention=work.looks_wanted, is_constrained=True, is_first=number == 0)
            for number, bit in enumerate(bits)
        ]
        replies = (yield queries) if queries else []
        flags = {"placeholder_fallback"} if any(span.kind != "term" for span in sentence.spans) else set()
        if sentence.marks or not flags:
            flags.add("markup_fallback" if sentence.is_markup else "placeholder_fallback")
        return work.joined(bits, replies, flags)


def _fewest_faults(said: Sequence[Said]) -> int:
    """The first of those with the fewest."""
    return min(range(len(said)), key=lambda i: len(said[i].flags))


def _different(said: Sequence[Said]) -> list[Said]:
    """The first of each text: what was found may have differed in its last mark alone."""
    return [one for number, one in enumerate(said) if all(one.text != other.text for other in said[:number])]


@dataclass(frozen=True)
class _Bit:
    """Part of a sentence without anything protected in it."""

    start: int
    end: int
    query: str
    is_cut_before: bool
    """Something else than the sentence's beginning is before it."""
    is_cut_behind: bool

    @property
    def words(self) -> int:
        """How many it has."""
        return len(self.query.split())


class _Work:
    """One sentence on its way: how it is asked for, and what is made of what comes back."""

    def __init__(self, speaker: Speaker, sentence: Sentence, casing: Casing, options: TranslateOptions) -> None:
        self.speaker = speaker
        self.sentence = sentence
        self.casing = casing
        self.options = options
        self.looks_wanted = options.alignments or options.attention
        self.terms = [span for span in sentence.spans if span.kind == "term"]
        text = speaker.fold(_LINE_ENDS.sub(lambda m: " " * len(m[0]), sentence.text))
        self.normal = normal(text, casing, speaker.cost)
        self.signature = protect.signature(sentence.text)
        self._tags = tags(sentence.raw) if sentence.marks or sentence.spans else Counter()

    @property
    def n_best(self) -> int:
        """Hypotheses to choose from, where one alone might not do."""
        if self.options.sampling is not None or self.options.diversity is not None:
            return 0
        return self.options.width(self.speaker.beam_size)

    def query(self, way: _Way, *, is_constrained: bool = False, is_again: bool = False) -> Query:
        """The sentence with stand-ins, written normally."""
        needs_look = bool(self.sentence.marks or self.terms)
        return Query(
            _edited(self.normal, way.query_edits),
            n_best=self.n_best if is_again or needs_look or way.words else 0,
            with_attention=needs_look or self.looks_wanted,
            is_constrained=is_constrained,
        )

    def read(self, way: _Way, reply: Reply) -> list[Said]:
        """Those of the hypotheses in which all that must be is there."""
        if self.sentence.is_plain and self.casing is Casing.NORMAL and not way.words:
            found = (self._plain(reply, output) for output in reply.outputs)
        else:
            found = (self._said(way, reply, output) for output in reply.outputs)
        return [said for said in found if said is not None]

    def _plain(self, reply: Reply, output: Output) -> Said | None:
        """A sentence that is nothing but text: checked, and returned as it is."""
        text = output.text
        if protect.signature(text) != self.signature:
            return None
        flags: list[str] = []
        comparison = numbers.compare(self.normal, text, self.speaker.languages)
        if not comparison.is_equal:
            better = numbers.repaired(text, comparison, self.speaker.languages)
            if better is None:
                flags.append("number_mismatch")
            else:
                text = better
        if is_loop(reply.query.text, output.text):
            flags.append("repetition")
        edits = self._outer_edits(text)
        text = _edited(text, edits)
        is_same = text == output.text
        looks = self._looks(reply, output, _Way(), edits) if self.looks_wanted else ()
        written = self.sentence.escaped(text) if self.sentence.is_markup else text
        return Said(written, output, frozenset(flags), looks, is_same and written == text)

    def _said(self, way: _Way, reply: Reply, output: Output) -> Said | None:
        text = output.text
        edits: list[Edit] = []  # of what was found, by what is to be there, as the document has it
        shown: list[Edit] = []  # the same as a reader sees it
        for span, word in way.words:
            if span.kind == "and":
                word = protect.AND.get(self.speaker.languages[1], "&")
            found = list(re.finditer(rf"(?<!\w){re.escape(word)}(?=s?(?!\w))", text))
            if len(found) != 1:
                return None
            start, end = found[0].span()
            if span.kind == "number":
                span = replace(span, out=numbers.beside(span.out, text[end:]))
            edits.append(Edit(start, end, self._written(span)))
            shown.append(Edit(start, end, span.out))
        flags: set[str] = set()
        view = self._view(way, reply, output) if self.sentence.marks or self.terms else None
        for term in self.terms:
            if any(span is term for span, _ in way.words):
                continue
            if _stands(term.out, text):
                continue
            run = None if view is None else run_of(view, *_moved((term.start, term.end), way.query_edits))
            if run is None or any(edit.start < run[1] and run[0] < edit.end for edit in edits):
                flags.add("term_missing")
                continue
            edits.append(Edit(*run, self.sentence.escaped(term.out)))
            shown.append(Edit(*run, term.out))
        comparison = self._numbers(way, text, edits)
        if not comparison.is_equal:
            if numbers.repaired(text, comparison, self.speaker.languages) is None:
                flags.add("number_mismatch")
            else:
                (right,), (wrong,) = comparison.missing, comparison.extra
                fixed = numbers.localised(right, self.speaker.languages)
                edits.append(Edit(wrong.start, wrong.end, self.sentence.escaped(fixed)))
                shown.append(Edit(wrong.start, wrong.end, fixed))
        if protect.signature(_edited(text, shown)) != self._expected(way):
            return None
        if is_loop(reply.query.text, output.text):
            flags.add("repetition")
        edits += [
            one for one in self._outer_edits(text) if not any(one.start < e.end and e.start < one.end for e in edits)
        ]
        if self.sentence.marks:
            marks = [self._mark(mark, way) for mark in self.sentence.marks]
            assert view is not None
            placed = place(view, marks)
            if placed is None:
                return None
            edits = _merged(edits, placed)
        final = _edited(text, edits, lambda part: self.sentence.escaped(restored(part, self.casing)))
        if self.sentence.marks and tags(final) != self._tags:
            return None
        looks = self._looks(reply, output, way, edits) if self.looks_wanted else ()
        return Said(final, output, frozenset(flags), looks)

    def _outer_edits(self, text: str) -> list[Edit]:
        """What makes a translation begin and end as its sentence does, or fit to the other parts of the sentence.

        And what makes marks of quotation a pair.
        """
        one = self.sentence
        found: list[tuple[int, int, str]] = []
        if one.continues or one.is_open:
            cost = self.speaker.target_cost
            found += part_edits(one.text, text, cost, continues=one.continues, is_open=one.is_open)
        elif not self.options.prefix:
            found += final_edits(one.text, text, self.speaker.languages[1])
        if not one.continues and not self.options.prefix:
            found += first_edits(one.text, text, is_open=one.is_open)
        if not self.options.prefix:
            found += pair_edits(text, self.speaker.languages[1])
        return [Edit(*edit) for edit in found]

    def _expected(self, way: _Way) -> Counter[str]:
        """The placeholders that must be there, terms translated."""
        if not self.terms:
            return self.signature
        return protect.signature(_edited(self.sentence.text, [Edit(t.start, t.end, t.out) for t in self.terms]))

    def _written(self, span: Span) -> str:
        """What stands for a span in the document."""
        if span.kind in ("term", "number"):
            return self.sentence.escaped(span.out)
        return self.sentence.written(span.start, span.end)

    def _numbers(self, way: _Way, text: str, edits: Sequence[Edit]) -> numbers.Comparison:
        """Of what is neither protected nor put in."""
        spans = [(span.start, span.end) for span in self.sentence.spans] + [(s.start, s.end) for s, _ in way.words]
        hidden = [Edit(start, end, _HIDDEN * (end - start)) for start, end in sorted(set(spans))]
        source = _edited(self.normal, hidden)
        target = _edited(text, [Edit(e.start, e.end, _HIDDEN * (e.end - e.start)) for e in edits])
        return numbers.compare(source, target, self.speaker.languages)

    def without_faults(self, way: _Way, faults: frozenset[str]) -> _Way:
        """The same way with stand-ins also for numbers that went wrong and for terms that are missing."""
        more: list[tuple[Span, bool]] = []
        if "term_missing" in faults:
            more += [(term, False) for term in self.terms]
        if "number_mismatch" in faults:
            taken = [*self.sentence.spans]
            more += [
                (Span(n.start, n.end, "number", numbers.localised(n, self.speaker.languages)), True)
                for n in numbers.find(self.sentence.text, self.speaker.languages[0])
                if not any(span.start < n.end and n.start < span.end for span in taken)
            ]
        words = [(span, word[0].isdigit()) for span, word in way.words]
        wanted = sorted([*words, *more], key=lambda pair: pair[0].start)
        if len(wanted) > MOST_STAND_INS:
            return way
        texts = (self.sentence.text, self.options.prefix, *self.options.forbidden)
        chosen = protect.stand_ins(texts, [is_number for _, is_number in wanted])
        return way if chosen is None else _Way(tuple((s, w) for (s, _), w in zip(wanted, chosen, strict=True)))

    def _view(self, way: _Way, reply: Reply, output: Output) -> View:
        attention = output.found.attention
        assert attention is not None
        return View.of(
            reply.query.text,
            self.speaker.source_offsets(reply),
            output.text,
            self.speaker.target_offsets(output),
            attention,
        )

    def _mark(self, mark: Mark, way: _Way) -> Mark:
        at, _ = _moved((mark.at, mark.at), way.query_edits)
        return replace(mark, at=at)

    def _looks(self, reply: Reply, output: Output, way: _Way, edits: Sequence[Edit]) -> tuple[Look, ...]:
        """By characters of the sentence as it stands in the document, and of its translation there."""
        inverse = _Inverse(way.query_edits)
        source = [self._outside(inverse.range(span)) for span in self.speaker.source_offsets(reply)]
        target = [_moved(span, edits) for span in self.speaker.target_offsets(output)]
        return (Look(output, source, target),)

    def _outside(self, span: Range) -> Range:
        """Places of the sentence's text as places of what is written, where marks stand in between."""
        return self._place(span[0]), self._place(max(span[0], span[1] - 1)) + (span[1] > span[0])

    def _place(self, at: int) -> int:
        before = sum(len(mark.raw) for mark in self.sentence.marks if mark.at <= at)
        return before + len(self.sentence.written(0, at))

    def bits(self) -> list[_Bit]:
        """What lies between spans and marks and has words in it."""
        text = self.sentence.text
        cuts = {0, len(text)}
        inside = [False] * (len(text) + 1)
        for span in self.sentence.spans:
            cuts |= {span.start, span.end}
            inside[span.start : span.end] = [True] * (span.end - span.start)
        cuts |= {mark.at for mark in self.sentence.marks}
        bits: list[_Bit] = []
        for start, end in pairwise(sorted(cuts)):
            if not inside[start]:
                for low, high in _clear(text, start, end, start > 0, end < len(text)):
                    bits.append(_Bit(low, high, self.normal[low:high], start > 0 or low > start, high < len(text)))
        return bits

    def joined(self, bits: Sequence[_Bit], replies: Sequence[Reply], flags: set[str]) -> Spoken:
        """Translated pieces in the place of the sentence's own, and terms in that of theirs."""
        edits: list[Edit] = []
        outputs: list[Output] = []
        places: list[tuple[_Bit, Reply, Output]] = []
        for bit, reply in zip(bits, replies, strict=True):
            source = self.normal[bit.start : bit.end]
            expected = protect.signature(source)
            good = [output for output in reply.outputs if protect.signature(output.text) == expected]
            sound = [output for output in good if not is_loop(source, output.text) and not output.found.is_truncated]
            good = sound or (good if bit.words > FEW_WORDS else [])
            if not good and bit.words > FEW_WORDS and not expected:  # placeholders that the model made up
                good = [
                    replace(o, text=text) for o in reply.outputs[:1] if (text := protect.without_placeholders(o.text))
                ]
            if not good:
                continue
            output = good[0]
            text = _bare(output.text, bit)
            comparison = numbers.compare(source, text, self.speaker.languages)
            if not comparison.is_equal:
                text = numbers.repaired(text, comparison, self.speaker.languages) or text
                if not numbers.compare(source, text, self.speaker.languages).is_equal:
                    flags.add("number_mismatch")
            if is_loop(source, text):
                flags.add("repetition")
            if output.found.is_truncated:
                flags.add("truncated")
            edits.append(Edit(bit.start, bit.end, self.sentence.escaped(restored(text, self.casing))))
            outputs.append(output)
            places.append((bit, reply, output))
        edits += [Edit(t.start, t.end, self.sentence.escaped(t.out)) for t in self.terms]
        final = self._assembled(edits)
        if not self.terms and (tags(final), protect.signature(final)) != (
            self._tags,
            protect.signature(self.sentence.raw),
        ):
            final = self.sentence.raw  # two pieces have become something together
        first = outputs[0] if outputs else Output(Found((), 0.0, 0.0), (), "")
        mean = sum(output.found.score for output in outputs) / max(1, len(outputs))
        shown = replace(first, found=replace(first.found, score=mean))
        looks = tuple(self._piece_look(*where, edits) for where in places) if self.looks_wanted else ()
        said = Said(final, shown, frozenset(), looks)
        spoken = _spoken(self.sentence, [said], replies)
        spoken.target_tokens = sum(len(output.found.tokens) for output in outputs)
        spoken.flags |= flags
        return spoken

    def _piece_look(self, bit: _Bit, reply: Reply, output: Output, edits: Sequence[Edit]) -> Look:
        source = [self._outside((bit.start + a, bit.start + b)) for a, b in self.speaker.source_offsets(reply)]
        start = len(self._assembled([e for e in edits if e.start < bit.start], stop=bit.start))
        target = [(start + a, start + b) for a, b in self.speaker.target_offsets(output)]
        return Look(output, source, target)

    def _assembled(self, edits: Sequence[Edit], stop: int | None = None) -> str:
        """The sentence as it was written, marks in their places, with these parts replaced."""
        out: list[str] = []
        position = 0
        marks = list(self.sentence.marks)
        end = len(self.sentence.text) if stop is None else stop

        def copy(to: int) -> None:
            nonlocal position
            while marks and marks[0].at <= to and marks[0].at <= end:
                mark = marks.pop(0)
                out.append(self.sentence.written(position, max(position, mark.at)))
                position = max(position, mark.at)
                out.append(mark.out)
            out.append(self.sentence.written(position, to))
            position = to

        for edit in sorted(edits, key=lambda edit: edit.start):
            copy(edit.start)
            out.append(edit.written)
            position = edit.end
        copy(end)
        return "".join(out)


_PAIRS = ("()", "[]", "{}", '"“”„', "«»")
_ENDING = re.compile(r"(?:['’]\w{1,2}|s)(?!\w)")
"""Half a word that belongs to what is before it: "{name}'s"."""


def _clear(text: str, start: int, end: int, is_cut_before: bool, is_cut_behind: bool) -> list[Range]:
    """Parts of a piece of text that have words, less the blanks and punctuation where something else touches them.

    A bracket or quotation mark whose other half is elsewhere is none of a part's: a translation would lose it.
    """
    low, high = start, end
    if is_cut_before:
        if ending := _ENDING.match(text, low, high):
            low = ending.end()
        while low < high and _is_edge(text[low]):
            low += 1
    if is_cut_behind:
        while low < high and _is_edge(text[high - 1]):
            high -= 1
    low, high = low + len(text[low:high]) - len(text[low:high].lstrip()), low + len(text[low:high].rstrip())
    if not any(character.isalnum() for character in text[low:high]):
        return []
    for at in range(low, high):
        pair = next((pair for pair in _PAIRS if text[at] in pair), "")
        if sum(text.count(sign, low, high) for sign in pair) % 2:
            return _clear(text, low, at, is_cut_before, True) + _clear(text, at, high, True, is_cut_behind)
    return [(low, high)]


def _is_edge(character: str) -> bool:
    """Blanks and punctuation: their place is where they are. Signs of percent and the like belong to their number."""
    return character.isspace() or (unicodedata.category(character)[0] == "P" and character not in "%‰&@#§")


def _bare(text: str, bit: _Bit) -> str:
    """A translated piece without what the model began or ended it with, as if it were a sentence."""
    start, end = 0, len(text)
    while bit.is_cut_before and start < end and _is_edge(text[start]):
        start += 1
    while bit.is_cut_behind and start < end and _is_edge(text[end - 1]):
        end -= 1
    return text[start:end] or text


def _spoken(sentence: Sentence, said: list[Said], replies: Sequence[Reply]) -> Spoken:
    """`said`: at least one."""
    best = said[0]
    flags = set(best.flags)
    if best.output.found.is_truncated:
        flags.add("truncated")
    ids = replies[0].ids if replies else ()
    source_tokens = sum([len(reply.ids) for reply in replies])
    return Spoken(sentence, said, ids, flags, source_tokens, len(best.output.found.tokens))


def _stands(term: str, text: str) -> bool:
    """Whether a target term is in a translation, whatever its capitals."""
    return re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text, re.IGNORECASE) is not None


def _edited(text: str, edits: Sequence[Edit], rest: Callable[[str], str] = lambda part: part) -> str:
    """`text` with its edits made, which do not overlap; `rest`: what becomes of the parts between them."""
    if not edits:
        return rest(text)
    out: list[str] = []
    position = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        out += (rest(text[position : edit.start]), edit.written)
        position = edit.end
    return "".join([*out, rest(text[position:])])


def _moved(span: Range, edits: Sequence[Edit]) -> Range:
    """Where a range of a text lies once its edits are made; one within an edit is all of it."""
    start, end = span
    shift = 0
    new_start = new_end = -1
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if new_start < 0 and start < edit.end:
            new_start = min(start, edit.start) + shift if start >= edit.start else start + shift
        if new_end < 0 and end <= edit.start:
            new_end = end + shift
        shift += len(edit.written) - (edit.end - edit.start)
        if new_end < 0 and end <= edit.end:
            new_end = edit.end + shift
    if new_start < 0:
        new_start = start + shift
    if new_end < 0:
        new_end = end + shift
    return new_start, max(new_start, new_end)


class _Inverse:
    """From places in an edited text back to those before."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._back: list[Edit] = []
        shift = 0
        for edit in sorted(edits, key=lambda edit: edit.start):
            start = edit.start + shift
            self._back.append(Edit(start, start + len(edit.written), " " * (edit.end - edit.start)))
            shift += len(edit.written) - (edit.end - edit.start)

    def range(self, span: Range) -> Range:
        return _moved(span, self._back)


def _merged(edits: Sequence[Edit], placed: Sequence[Edit]) -> list[Edit]:
    """Edits of words and of the gaps between them: a gap within a word that is replaced moves in front of it."""
    merged = list(edits)
    for gap in placed:
        inside = next((e for e in merged if e.start < gap.end and gap.start < e.end and e.end > e.start), None)
        if inside is None:
            inside = next((e for e in edits if e.start < gap.start < e.end), None)
        if inside is not None:
            merged[merged.index(inside)] = replace(inside, written=gap.written + inside.written)
        else:
            merged.append(gap)
    return merged
