"""One bundle's way from text to text: split, encode, search, decode, join. Every route goes through here.

Texts enter and leave while others are under way; `translate` is the same for a list of texts that is there already.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from nmt.bundle import Bundle
from nmt.errors import Cancelled, InputTooLong, NmtError, TranslationError
from nmt.inference.alignment import word_attention, word_links
from nmt.inference.bounds import Bounds, Ids
from nmt.inference.engine import Answer, Engine
from nmt.inference.runner import Found, Runner, SearchOptions
from nmt.inference.types import Attention, Hypothesis, Links, ModelInfo, Result, TranslateOptions, Translation
from nmt.inference.unknown import stand_ins
from nmt.text.copying import encode_to_copy, split_copies
from nmt.text.sentences import Segment, fit, join, split
from nmt.text.tokenizer import UNK_ID, UNKNOWN, with_unknown

log = logging.getLogger(__name__)


@dataclass
class _Text:
    """A text under way: cut into segments, of which the translatable ones are encoded and searched."""

    number: int
    text: str
    options: TranslateOptions
    deadline: float | None
    segments: list[Segment] = field(default_factory=list)
    encoded: list[list[int]] = field(default_factory=list)
    prefix: Ids = ()
    """Of the first of them."""
    forbidden: tuple[Ids, ...] = ()
    found: list[list[Found]] = field(default_factory=list)
    """By encoded segment; empty until it is there."""
    tickets: list[int] = field(default_factory=list)
    open: int = 0
    """Segments still searched."""


@dataclass(frozen=True)
class _Output:
    """A hypothesis of one segment, and its text."""

    found: Found
    tokens: Sequence[int]
    """`<unk>` for every copy."""
    text: str
    unknown: Sequence[str] = ()
    """The pieces that stand for each `<unk>` in turn."""


class Pipeline:
    """A loaded bundle that translates texts. For one thread."""

    def __init__(
        self,
        bundle: Bundle,
        runner: Runner,
        another: Callable[[], Runner] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`another` makes a runner anew where this one has failed; without it the failure is the caller's.

        `clock`: seconds, on the same scale as deadlines.
        """
        self._config = bundle.config
        self._source, self._target = bundle.tokenizers
        self._bounds = Bounds(bundle.tokenizers.target, bundle.forbidden_ids)
        self._dictionary = bundle.dictionary if bundle.config.search.unknown_words == "replace" else None
        self._copies = bundle.config.model.copying
        self._another = another
        self._clock = clock
        self._engine = Engine(runner, clock)
        self._texts: dict[int, _Text] = {}
        self._segments: dict[int, tuple[_Text, int]] = {}
        """Text and segment of each ticket."""
        self._tickets = count()
        self._numbers = count()
        self._answers: list[tuple[int, Result]] = []
        """What is known before the next step."""
        self.rows, self.device = runner.rows, runner.device
        folder = bundle.folder
        assert folder is not None
        self.info = ModelInfo(
            name=folder.resolve().name,
            source_lang=bundle.config.source_lang,
            target_lang=bundle.config.target_lang,
            version=bundle.version,
            parameters=bundle.parameters,
            folder=folder,
            description=bundle.card.partition("\n")[0].lstrip("# "),
            beam_size=bundle.config.search.beam_size,
            runner=runner.name,
            precision=runner.precision,
        )

    @property
    def is_idle(self) -> bool:
        """Whether `step` would have nothing to do."""
        return not self._answers and self._engine.is_idle

    def submit(self, number: int, text: str, options: TranslateOptions, deadline: float | None = None) -> None:
        """Take a text in. `number` comes back with its answer; it is of no other text that is under way."""
        assert number not in self._texts
        one = _Text(number, text, options, deadline)
        try:
            self._plan(one)
        except NmtError as error:
            self._answers.append((number, error))
            return
        except Exception as error:
            self._answers.append((number, _internal_error(error)))
            return
        if not one.encoded:
            untouched = Translation(text, alternatives=(Hypothesis(text, 0.0),))
            self._answers.append((number, untouched))
            return
        self._texts[number] = one
        self._search(one)

    def cancel(self, number: int) -> None:
        """Give a text up: the next step answers it with Cancelled, if it is still under way."""
        if one := self._texts.get(number):
            self._answers.append((number, self._forget(one, Cancelled("given up by its caller"))))

    def step(self) -> list[tuple[int, Result]]:
        """Advance all texts by a few tokens; those that are complete, with what became of them."""
        if not self._engine.is_idle:
            try:
                answers = self._engine.step()
            except Exception as error:
                self._recover(error)
            else:
                for ticket, answer in answers:
                    self._collect(ticket, answer)
        complete, self._answers = self._answers, []
        return complete

    def translate(self, texts: Sequence[str], options: TranslateOptions) -> list[Result]:
        """One result a text, in order: its translation, or the error that is this text's alone."""
        numbers = [next(self._numbers) for _ in texts]
        for number, text in zip(numbers, texts, strict=True):
            self.submit(number, text, options)
        results: dict[int, Result] = {}
        expected = set(numbers)  # an interrupted call may have left others
        while len(results) < len(numbers):
            results.update(answer for answer in self.step() if answer[0] in expected)
        return [results[number] for number in numbers]

    def _plan(self, one: _Text) -> None:
        """Cut a text and encode its segments. Raises TranslationError."""
        limit = self._config.search.max_source_tokens
        text, options = one.text, one.options
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise TranslationError(f"character {error.start} is half of a surrogate pair: not a text") from None
        if options.raw:
            one.segments = [Segment(text)]
        else:
            one.segments = fit(split(text, self._config.source_lang), limit, self._count)
        texts = [s.text for s in one.segments if s.translatable]
        one.encoded = encode_to_copy(self._source, texts) if self._copies else self._source.encode_batch(texts)
        if options.raw and one.encoded and len(one.encoded[0]) > limit:
            raise InputTooLong(f"{len(one.encoded[0])} tokens; with raw this model takes {limit}")
        one.prefix = self._bounds.prefix(options.prefix)
        one.forbidden = self._bounds.forbidden(options.forbidden)

    def _count(self, text: str) -> int:
        return len(self._source.encode(text))

    def _search(self, one: _Text) -> None:
        """Give a text's segments to the engine."""
        one.found = [[] for _ in one.encoded]
        one.open = len(one.encoded)
        one.tickets = [next(self._tickets) for _ in one.encoded]
        for index, (ticket, ids) in enumerate(zip(one.tickets, one.encoded, strict=True)):
            self._segments[ticket] = (one, index)
            prefix = one.prefix if index == 0 else ()
            own = self._search_options(len(ids), one.options, prefix, one.forbidden)
            self._engine.submit(ticket, ids, own, one.deadline, one.number)

    def _search_options(
        self, length: int, options: TranslateOptions, prefix: Ids = (), forbidden: tuple[Ids, ...] = ()
    ) -> SearchOptions:
        """`length`: tokens of the source."""
        search = self._config.search
        factor = options.max_length_factor or search.max_length_factor
        room = max(int(length * factor), len(prefix))
        beam_size = max(options.beam_size or search.beam_size, options.n_best)
        if options.sampling is not None:
            beam_size = options.n_best
        elif options.diversity is not None:
            beam_size = -(-beam_size // options.diversity.groups) * options.diversity.groups
        ngram = search.no_repeat_ngram if options.no_repeat_ngram is None else options.no_repeat_ngram
        return SearchOptions(
            beam_size=beam_size,
            n_best=options.n_best,
            max_length=max(2, room + search.max_length_offset + 1),
            no_repeat_ngram=ngram,
            prefix=prefix,
            forbidden=forbidden,
            sampling=options.sampling,
            diversity=options.diversity,
            with_attention=options.alignments
            or options.attention
            or (options.replace_unknown and self._dictionary is not None),
        )

    def _collect(self, ticket: int, answer: Answer) -> None:
        """Note what became of a segment; the last one completes its text, an error does so at once."""
        if ticket not in self._segments:  # its text has been answered
            return
        one, index = self._segments.pop(ticket)
        if isinstance(answer, NmtError):
            self._answers.append((one.number, self._forget(one, answer)))
            return
        one.found[index] = answer
        one.open -= 1
        if one.open:
            return
        del self._texts[one.number]
        try:
            self._answers.append((one.number, self._finish(one)))
        except NmtError as error:
            self._answers.append((one.number, error))
        except Exception as error:
            self._answers.append((one.number, _internal_error(error)))

    def _forget(self, one: _Text, error: NmtError) -> NmtError:
        """Stop what is still searched of a text; its error."""
        del self._texts[one.number]
        for ticket in one.tickets:
            if self._segments.pop(ticket, None):
                self._engine.cancel(ticket)
        return error

    def _recover(self, error: Exception) -> None:
        """Each text by itself on a new runner, since nothing of the old one is trusted: who fails again is at fault."""
        if self._another is None:
            raise error
        log.error("the engine failed (%s): each of %d texts by itself", type(error).__name__, len(self._texts))
        texts = list(self._texts.values())
        self._begin_anew()
        for one in texts:
            self._texts[one.number] = one
            self._search(one)
            try:
                while one.number in self._texts:
                    for ticket, answer in self._engine.step():
                        self._collect(ticket, answer)
            except Exception as again:
                self._begin_anew()
                self._answers.append((one.number, _internal_error(again)))

    def _begin_anew(self) -> None:
        assert self._another is not None
        self._texts.clear()
        self._segments.clear()
        self._engine = Engine(self._another(), self._clock)

    def _finish(self, one: _Text) -> Translation:
        found = one.found
        if not all(found) and (one.prefix or one.forbidden):
            raise TranslationError("no translation keeps to what was asked: forbid less, or another beginning")
        if not all(hypotheses and all(map(_is_sound, hypotheses)) for hypotheses in found):
            log.error("the scores of a text are not numbers: the model's arithmetic went out of range")
            raise TranslationError("internal error (the model's scores are not numbers)")
        is_list = one.options.sampling is not None or one.options.diversity is not None
        chosen = list(zip(*found, strict=False)) if is_list else combine(found, one.options.n_best)
        spoken = [self._speak(one, hypotheses) for hypotheses in chosen]
        alternatives = tuple(self._hypothesis(one, outputs) for outputs in spoken)
        best = alternatives[0]
        flags = {
            "truncated": any(segment[0].is_truncated for segment in found),
            "unknown_words": any(UNKNOWN in output.unknown for output in spoken[0]),
        }
        return Translation(
            text=best.text,
            score=best.score,
            alternatives=alternatives,
            alignment=best.alignment,
            attention=best.attention,
            flags=frozenset(name for name, is_set in flags.items() if is_set),
            source_tokens=sum(len(ids) for ids in one.encoded),
            target_tokens=sum(len(segment[0].tokens) for segment in found),
        )

    def _speak(self, one: _Text, chosen: Sequence[Found]) -> list[_Output]:
        """One hypothesis of each translatable segment as text."""
        segments = (segment for segment in one.segments if segment.translatable)
        return [self._output(segment, found, one.options) for segment, found in zip(segments, chosen, strict=True)]

    def _output(self, segment: Segment, found: Found, options: TranslateOptions) -> _Output:
        V = self._target.size
        if all(token != UNK_ID and token < V for token in found.tokens):
            return _Output(found, found.tokens, self._target.decode(found.tokens))
        source_pieces = self._source.split(segment.text)
        tokens, copies = split_copies(found.tokens, source_pieces, V)
        dictionary = self._dictionary if options.replace_unknown else None
        unknown = stand_ins(tokens, copies, source_pieces, found.attention, dictionary)
        return _Output(found, tokens, self._target.decode(tokens, unknown), unknown)

    def _hypothesis(self, one: _Text, outputs: Sequence[_Output]) -> Hypothesis:
        score = sum(output.found.score for output in outputs) / len(outputs)
        links, attention = self._words(one, outputs)
        return Hypothesis(join(one.segments, [output.text for output in outputs]), score, links, attention)

    def _words(self, one: _Text, outputs: Sequence[_Output]) -> tuple[Links, Attention]:
        """Links and attention over the words of the whole text: each segment's, moved on by the words before it.

        Each is empty where it was not asked for.
        """
        if not (one.options.alignments or one.options.attention):
            return (), ()
        links: list[tuple[int, int]] = []
        looked: list[tuple[tuple[int, float], ...]] = []
        source = target = 0
        translated = iter(zip(one.encoded, outputs, strict=True))
        for segment in one.segments:
            words = len(segment.text.split())
            if not segment.translatable:
                source, target = source + words, target + words
                looked += [()] * words
                continue
            encoded, output = next(translated)
            attention = output.found.attention
            assert attention is not None
            all_known = UNK_ID not in encoded and max(encoded, default=0) < self._source.size
            source_pieces = self._source.pieces(encoded) if all_known else self._source.split(segment.text)
            target_pieces = with_unknown(output.tokens, self._target.pieces(output.tokens), output.unknown)
            output_words = len(output.text.split())
            if one.options.alignments:
                found = word_links(attention, source_pieces, target_pieces)
                links += [(source + s, target + t) for s, t in found if s < words and t < output_words]
            if one.options.attention:
                rows = word_attention(attention, source_pieces, target_pieces)[:output_words]
                looked += [tuple((source + s, weight) for s, weight in row if s < words) for row in rows]
                looked += [()] * (output_words - len(rows))
            source, target = source + words, target + output_words
        return tuple(links), tuple(looked)


def combine(found: Sequence[Sequence[Found]], n_best: int) -> list[tuple[Found, ...]]:
    """The n best ways to choose one hypothesis a segment, by the sum of their scores, best first."""
    chosen: list[tuple[float, tuple[Found, ...]]] = [(0.0, ())]
    for hypotheses in found:
        longer = [(score + h.score, (*before, h)) for score, before in chosen for h in hypotheses]
        longer.sort(key=lambda item: -item[0])
        chosen = longer[:n_best]
    return [hypotheses for _, hypotheses in chosen]


def _is_sound(found: Found) -> bool:
    """Not so where the arithmetic overflowed: what was found then is no translation, whatever it looks like."""
    return math.isfinite(found.score) and math.isfinite(found.log_prob)


def _internal_error(error: Exception) -> TranslationError:
    """What a caller hears of a fault of ours. The message may quote the text, which is the user's: the type must do."""
    log.error("a text failed: %s", type(error).__name__)
    return TranslationError(f"internal error ({type(error).__name__})")
