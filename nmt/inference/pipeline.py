"""One bundle's way from text to text: plan, encode, search, decode, join. Every route goes through here.

Texts enter and leave while others are under way; `translate` is the same for a list of texts that is there already.
What a text is taken apart into is `nmt.text.planning`'s business, what becomes of a sentence `nmt.inference.attempts`'.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count

import numpy as np

from nmt.bundle import Bundle
from nmt.errors import Cancelled, InputTooLong, NmtError, TranslationError
from nmt.inference.alignment import word_attention, word_links, words_between
from nmt.inference.attempts import (
    SHORTER,
    Attempts,
    Look,
    Output,
    Query,
    Reply,
    Said,
    Speaker,
    Spoken,
)
from nmt.inference.bounds import Bounds, Ids
from nmt.inference.engine import Answer, Engine
from nmt.inference.members import Member
from nmt.inference.runner import Found, Runner, SearchOptions
from nmt.inference.types import Attention, Hypothesis, Links, ModelInfo, Result, TranslateOptions, Translation
from nmt.inference.unknown import stand_ins
from nmt.search.minimum_risk import by_risk, posterior
from nmt.text.copying import encode_to_copy, split_copies
from nmt.text.folding import Folding
from nmt.text.pieces import Range, offsets
from nmt.text.planning import Plan, Planner, Sentence, Wishes
from nmt.text.tokenizer import UNK_ID, UNKNOWN, Tokenizer, VocabularyTokenizer, with_unknown

log = logging.getLogger(__name__)

SHORT = 12
"""Tokens of a sentence in which no two pieces in a row should come twice."""
_BYTE = "<0x"
"""How a piece begins that is one byte of a character that the vocabulary lacks."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_PLAIN = Query("")
"""A search as the caller of a translation wants it."""


@dataclass(slots=True)
class _Job:
    """A sentence under way: what is tried, and the searches of this round."""

    attempts: Attempts
    is_first: bool
    """It is the text's first."""
    queries: list[Query] = field(default_factory=list)
    replies: list[Reply | None] = field(default_factory=list)
    spoken: Spoken | None = None

    def advance(self, replies: list[Reply] | None = None) -> None:
        """Go on with what was found, to the next searches or to the end."""
        self.queries = []
        try:
            self.queries = next(self.attempts) if replies is None else self.attempts.send(replies)
        except StopIteration as end:
            self.spoken = end.value
        self.replies = [None] * len(self.queries)


@dataclass
class _Text:
    """A text under way: what is copied of it, and sentences, each with searches of its own."""

    number: int
    text: str
    options: TranslateOptions
    deadline: float | None
    plan: Plan = field(default_factory=list)
    later: TranslateOptions | None = None
    """Options for the text between the tags, while its attributes are translated."""
    first: list[Spoken] = field(default_factory=list)
    """Its attributes."""
    prefix: Ids = ()
    """Of the first sentence."""
    forbidden: tuple[Ids, ...] = ()
    jobs: list[_Job] = field(default_factory=list)
    tickets: set[int] = field(default_factory=set)
    """Searches that are not done."""

    @property
    def sentences(self) -> list[Sentence]:
        return [part for part in self.plan if not isinstance(part, str)]

    @property
    def spoken(self) -> list[Spoken]:
        """What became of the sentences, once that is known of all."""
        spoken = [job.spoken for job in self.jobs if job.spoken is not None]
        assert len(spoken) == len(self.jobs)
        return spoken


class Pipeline:
    """A loaded bundle that translates texts. For one thread."""

    def __init__(
        self,
        bundle: Bundle,
        runner: Runner,
        another: Callable[[], Runner] | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        further: Sequence[Member] = (),
    ) -> None:
        """`another` makes a runner anew where this one has failed; without it the failure is the caller's.

        `clock`: seconds, on the same scale as deadlines. `further`: members of an ensemble that `runner` runs beside
        `bundle`, which says how texts are searched.
        """
        self._config = bundle.config
        self._source, self._target = bundle.tokenizers
        is_one_reading = all(member.reads_alike for member in further)
        self._readers = [] if is_one_reading else [member.bundle.tokenizers.source for member in further]
        """Tokenizers of an ensemble's further members; none where all read what the first one reads."""
        self._bounds = Bounds(bundle.tokenizers.target, bundle.forbidden_ids)
        self._dictionary = bundle.dictionary if bundle.config.search.unknown_words == "replace" else None
        self._copies = bundle.config.model.copying
        self._another = another
        self._clock = clock
        self._engine = Engine(runner, clock)
        self._texts: dict[int, _Text] = {}
        self._searches: dict[int, tuple[_Text, _Job, int, Sequence[int]]] = {}
        """Text, job, place among its queries and source of each ticket."""
        is_known = lru_cache(maxsize=4096)(self._knows)
        fold = Folding(is_known, lambda character: self._source.encode(f"a{character}b") == self._source.encode("ab"))
        self._cost = lru_cache(maxsize=4096)(self._count)
        self._planner = Planner(
            bundle.config.source_lang,
            bundle.config.target_lang,
            is_known,
            bundle.config.search.max_source_tokens,
            lambda text: self._count(fold(text)),
            letters_are_known=not _is_of_words(self._source),
            clause_limit=bundle.config.search.clause_tokens,
        )
        self._speaker = Speaker(
            (bundle.config.source_lang.lower()[:2], bundle.config.target_lang.lower()[:2]),
            fold,
            self._cost,
            lru_cache(maxsize=4096)(lambda word: len(self._target.encode(word))),
            self._source_offsets,
            self._target_offsets,
            bundle.config.search.beam_size,
        )
        self._tickets = count()
        self._numbers = count()
        self._answers: list[tuple[int, Result]] = []
        """What is known before the next step."""
        self.rows, self.device = runner.rows, runner.device
        folder = bundle.folder
        assert folder is not None
        others = [member.bundle for member in further]
        self.info = ModelInfo(
            name="+".join(one.folder.resolve().name for one in (bundle, *others) if one.folder is not None),
            source_lang=bundle.config.source_lang,
            target_lang=bundle.config.target_lang,
            version="+".join(one.version for one in (bundle, *others)),
            parameters=sum(one.parameters for one in (bundle, *others)),
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
            if _has_attributes(options):
                one.options, one.later = replace(options, n_best=1, prefix="", markup="html"), options
            self._plan(one)
        except NmtError as error:
            self._answers.append((number, error))
            return
        except Exception as error:
            self._answers.append((number, _internal_error(error)))
            return
        if not one.sentences:
            self._answers.append((number, _untouched(one)))
            return
        self._texts[number] = one
        try:
            self._start(one)
        except Exception as error:
            self._answers.append((number, self._forget(one, _internal_error(error))))

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
        """Take a text apart. Raises TranslationError."""
        limit = self._config.search.max_source_tokens
        text, options = one.text, one.options
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise TranslationError(f"character {error.start} is half of a surrogate pair: not a text") from None
        if options.raw:
            is_text = any(character.isalnum() for character in text)
            one.plan = [Sentence(text) if is_text else text]
            if is_text and (tokens := self._count(text)) > limit:
                raise InputTooLong(f"{tokens} tokens; with raw this model takes {limit}")
        elif one.later is not None:
            wishes = _wishes(options)
            assert wishes is not None
            one.plan = self._planner.plan_attributes(text, wishes)
            if not one.sentences:
                one.options, one.later = one.later, None
                self._plan(one)
                return
        else:
            one.plan = self._planner.plan(text, _wishes(options))
        one.prefix = self._bounds.prefix(options.prefix)
        one.forbidden = self._bounds.forbidden(options.forbidden)

    def _count(self, text: str) -> int:
        """Tokens of a text, as whoever cuts it finest reads it."""
        return max(len(reader.encode(text)) for reader in (self._source, *self._readers))

    def _knows(self, character: str) -> bool:
        """Whether the vocabulary has a character."""
        # behind a letter: alone some tokenizers leave it out
        ids = self._source.encode("a" + character)
        return UNK_ID not in ids and not any(piece.startswith(_BYTE) for piece in self._source.pieces(ids))

    def _start(self, one: _Text) -> None:
        """Begin with each sentence of a text."""
        one.jobs = []
        for index, sentence in enumerate(one.sentences):
            is_raw = one.options.raw
            attempts = _as_it_is(sentence) if is_raw else self._speaker.translate(sentence, one.options)
            one.jobs.append(_Job(attempts, is_first=index == 0))
        one.tickets = set()
        for job in one.jobs:
            job.advance()
        self._search(one, one.jobs)
        self._complete(one)

    def _search(self, one: _Text, jobs: Sequence[_Job]) -> None:
        """Give the queries of some of a text's sentences to the engine."""
        texts = [query.text for job in jobs for query in job.queries]
        encoded = iter(encode_to_copy(self._source, texts) if self._copies else self._source.encode_batch(texts))
        readings = zip(*(reader.encode_batch(texts) for reader in self._readers), strict=True)
        for job in jobs:
            for place, query in enumerate(job.queries):
                ids = next(encoded)
                ticket = next(self._tickets)
                one.tickets.add(ticket)
                self._searches[ticket] = (one, job, place, ids)
                prefix = one.prefix if job.is_first and query.is_first else ()
                own = self._search_options(len(ids), one.options, prefix, one.forbidden, query)
                if self._readers:
                    own = replace(own, readings=tuple(map(tuple, next(readings))))
                self._engine.submit(ticket, ids, own, one.deadline, one.number)

    def _search_options(
        self,
        length: int,
        options: TranslateOptions,
        prefix: Ids = (),
        forbidden: tuple[Ids, ...] = (),
        query: Query = _PLAIN,
    ) -> SearchOptions:
        """`length`: tokens of the source."""
        search = self._config.search
        factor = options.max_length_factor or search.max_length_factor
        n_best = max(options.candidates, query.n_best)
        beam_size = max(options.width(search.beam_size), n_best)
        if options.sampling is not None:
            beam_size = n_best
        elif options.diversity is not None:
            beam_size = -(-beam_size // options.diversity.groups) * options.diversity.groups
        ngram = search.no_repeat_ngram if options.no_repeat_ngram is None else options.no_repeat_ngram
        if query.is_constrained:
            # a short sentence has no pair of pieces twice; a long one may, but no three
            most = 2 if length <= SHORT else 3
            ngram = min(ngram or most, most)
            factor = min(factor, SHORTER)
        room = max(int(length * factor), len(prefix))
        return SearchOptions(
            beam_size=beam_size,
            n_best=n_best,
            max_length=max(2, room + search.max_length_offset + 1),
            no_repeat_ngram=ngram,
            prefix=prefix,
            forbidden=forbidden,
            sampling=options.sampling,
            diversity=options.diversity,
            with_attention=query.with_attention
            or options.alignments
            or options.attention
            or (options.replace_unknown and self._dictionary is not None),
        )

    def _collect(self, ticket: int, answer: Answer) -> None:
        """Note what became of a search; the last one completes its text, an error does so at once."""
        if ticket not in self._searches:  # its text has been answered
            return
        one, job, place, ids = self._searches.pop(ticket)
        one.tickets.discard(ticket)
        if isinstance(answer, NmtError):
            self._answers.append((one.number, self._forget(one, answer)))
            return
        try:
            query = job.queries[place]
            if not answer and not query.is_constrained and (one.prefix or one.forbidden):
                raise TranslationError("no translation keeps to what was asked: forbid less, or another beginning")
            if not (answer or query.is_constrained) or not all(map(_is_sound, answer)):
                log.error("the scores of a text are not numbers: the model's arithmetic went out of range")
                raise TranslationError("internal error (the model's scores are not numbers)")
            if answer and one.options.mbr:
                answer = _by_risk(answer, one.options)[: max(one.options.n_best, query.n_best)]
            outputs = [self._output(query.text, found, one.options) for found in answer]
            if not one.options.raw:
                for output in outputs:
                    output.text = tidy(output.text, query.text)
            job.replies[place] = Reply(query, ids, outputs)
            replies = [reply for reply in job.replies if reply is not None]
            if len(replies) == len(job.queries):
                job.advance(replies)
                if job.queries:
                    self._search(one, [job])
        except NmtError as error:
            self._answers.append((one.number, self._forget(one, error)))
        except Exception as error:
            self._answers.append((one.number, self._forget(one, _internal_error(error))))
        else:
            self._complete(one)

    def _complete(self, one: _Text) -> None:
        """Answer a text, if nothing of it is searched any more."""
        if one.tickets:
            return
        if one.later is not None:
            self._go_on(one)
            return
        del self._texts[one.number]
        try:
            self._answers.append((one.number, self._finish(one)))
        except NmtError as error:
            self._answers.append((one.number, error))
        except Exception as error:
            self._answers.append((one.number, _internal_error(error)))

    def _go_on(self, one: _Text) -> None:
        """From the attributes, which are translated, to the text between the tags."""
        assert one.later is not None
        try:
            one.first = one.spoken
            sentences = iter(one.first)
            one.text = "".join(p if isinstance(p, str) else next(sentences).said[0].text for p in one.plan)
            one.options, one.later = one.later, None
            self._plan(one)
            self._start(one)
        except NmtError as error:
            self._answers.append((one.number, self._forget(one, error)))
        except Exception as error:
            self._answers.append((one.number, self._forget(one, _internal_error(error))))

    def _forget(self, one: _Text, error: NmtError) -> NmtError:
        """Stop what is still searched of a text; its error."""
        del self._texts[one.number]
        for ticket in one.tickets:
            if self._searches.pop(ticket, None):
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
            try:
                self._start(one)
                while one.number in self._texts:
                    for ticket, answer in self._engine.step():
                        self._collect(ticket, answer)
            except Exception as again:
                self._begin_anew()
                self._answers.append((one.number, _internal_error(again)))

    def _begin_anew(self) -> None:
        assert self._another is not None
        self._texts.clear()
        self._searches.clear()
        self._engine = Engine(self._another(), self._clock)

    def _finish(self, one: _Text) -> Translation:
        spoken = one.spoken
        if not spoken:
            return _untouched(one)
        options = one.options
        is_list = options.sampling is not None or options.diversity is not None or options.mbr
        said = [sentence.said for sentence in spoken]
        chosen = list(zip(*said, strict=False))[: options.n_best] if is_list else combine(said, options.n_best)
        alternatives = tuple(self._hypothesis(one, spoken, sentences) for sentences in chosen)
        best = alternatives[0]
        flags = {flag for sentence in (*one.first, *spoken) for flag in sentence.flags}
        if any(UNKNOWN in sentence.output.unknown for sentence in chosen[0]):
            flags.add("unknown_words")
        return Translation(
            text=best.text,
            score=best.score,
            alternatives=alternatives,
            alignment=best.alignment,
            attention=best.attention,
            flags=frozenset(flags),
            source_tokens=sum(sentence.source_tokens for sentence in (*one.first, *spoken)),
            target_tokens=sum(sentence.target_tokens for sentence in (*one.first, *spoken)),
        )

    def _output(self, text: str, found: Found, options: TranslateOptions) -> Output:
        """A hypothesis for a searched text, as text."""
        V = self._target.size
        if all(token != UNK_ID and token < V for token in found.tokens):
            return Output(found, found.tokens, self._target.decode(found.tokens))
        source_pieces = self._source.split(text)
        tokens, copies = split_copies(found.tokens, source_pieces, V)
        dictionary = self._dictionary if options.replace_unknown else None
        unknown = stand_ins(tokens, copies, source_pieces, found.attention, dictionary)
        return Output(found, tokens, self._target.decode(tokens, unknown), unknown)

    def _source_pieces(self, ids: Sequence[int], text: str) -> list[str]:
        all_known = UNK_ID not in ids and max(ids, default=0) < self._source.size
        return self._source.pieces(ids) if all_known else self._source.split(text)

    def _target_pieces(self, output: Output) -> list[str]:
        return with_unknown(output.tokens, self._target.pieces(output.tokens), output.unknown)

    def _source_offsets(self, reply: Reply) -> list[Range]:
        return offsets(self._source_pieces(reply.ids, reply.query.text), reply.query.text)

    def _target_offsets(self, output: Output) -> list[Range]:
        return offsets(self._target_pieces(output), output.text)

    def _hypothesis(self, one: _Text, spoken: Sequence[Spoken], chosen: Sequence[Said]) -> Hypothesis:
        score = sum(said.output.found.score for said in chosen) / len(chosen)
        sentences = iter(chosen)
        parts = [part if isinstance(part, str) else next(sentences).text for part in one.plan]
        text = "".join(parts)
        if not (one.options.alignments or one.options.attention):
            return Hypothesis(text, score)
        if all(said.is_as_searched for said in chosen):
            links, attention = self._words(one, spoken, chosen)
        else:
            links, attention = _words_by_place(one, text, chosen)
        return Hypothesis(
            text, score, links if one.options.alignments else (), attention if one.options.attention else ()
        )

    def _words(self, one: _Text, spoken: Sequence[Spoken], chosen: Sequence[Said]) -> tuple[Links, Attention]:
        """Links and attention over the words of the whole text: each sentence's, moved on by the words before it."""
        links: list[tuple[int, int]] = []
        looked: list[tuple[tuple[int, float], ...]] = []
        source = target = 0
        translated = iter(zip(spoken, chosen, strict=True))
        for part in one.plan:
            if isinstance(part, str):
                words = len(part.split())
                source, target = source + words, target + words
                looked += [()] * words
                continue
            sentence, said = next(translated)
            words = len(part.text.split())
            output = said.output
            attention = output.found.attention
            assert attention is not None
            source_pieces = self._source_pieces(sentence.ids, part.text)
            target_pieces = self._target_pieces(output)
            output_words = len(said.text.split())
            found = word_links(attention, source_pieces, target_pieces)
            links += [(source + s, target + t) for s, t in found if s < words and t < output_words]
            rows = word_attention(attention, source_pieces, target_pieces)[:output_words]
            looked += [tuple((source + s, weight) for s, weight in row if s < words) for row in rows]
            looked += [()] * (output_words - len(rows))
            source, target = source + words, target + output_words
        return tuple(links), tuple(looked)


def _words_by_place(one: _Text, text: str, chosen: Sequence[Said]) -> tuple[Links, Attention]:
    """Links and attention over words, where what was searched is not what stands in the text: by characters."""
    looks: list[tuple[Look, int, int]] = []
    sentences = iter(chosen)
    source = target = 0
    for part in one.plan:
        if isinstance(part, str):
            source, target = source + len(part), target + len(part)
            continue
        said = next(sentences)
        looks += [(look, source, target) for look in said.looks]
        source, target = source + len(part.raw), target + len(said.text)
    placed = [
        (
            look.output.found.attention,
            [(source + start, source + end) for start, end in look.source],
            [(target + start, target + end) for start, end in look.target],
        )
        for look, source, target in looks
    ]
    return words_between(one.text, text, placed)


def combine(said: Sequence[Sequence[Said]], n_best: int) -> list[tuple[Said, ...]]:
    """The n best ways to choose one translation a sentence, by the sum of their scores, best first."""
    chosen: list[tuple[float, tuple[Said, ...]]] = [(0.0, ())]
    for sentence in said:
        longer = [(score + s.output.found.score, (*before, s)) for score, before in chosen for s in sentence]
        longer.sort(key=lambda item: -item[0])
        chosen = longer[:n_best]
    return [sentences for _, sentences in chosen]


def _by_risk(answer: Sequence[Found], options: TranslateOptions) -> list[Found]:
    """Hypotheses of a search, that of the least risk first."""
    # samples come as often as they are likely: each counts once
    drawn = options.sampling is not None
    weights = np.ones(len(answer)) if drawn else posterior([found.score for found in answer], answer[0].log_prob)
    return [answer[place] for place in by_risk([found.tokens for found in answer], weights)]


def _as_it_is(sentence: Sentence) -> Attempts:
    """A text searched without any of what `nmt.inference.attempts` does."""
    (reply,) = yield [Query(sentence.text)]
    flags = {"truncated"} if reply.outputs[0].found.is_truncated else set()
    said = [Said(output.text, output, is_as_searched=True) for output in reply.outputs]
    tokens = len(reply.outputs[0].found.tokens)
    return Spoken(sentence, said, reply.ids, flags, source_tokens=len(reply.ids), target_tokens=tokens)


def tidy(text: str, source: str) -> str:
    """Without blanks at the ends, control characters, which no sentence has and XML forbids, and halves of characters.

    The latter are U+FFFD, which bytes become that are no character; where there is nothing else they stay.
    """
    if not text.isprintable():
        text = _CONTROL.sub("", text)
    if "\ufffd" in text and "\ufffd" not in source:
        text = text.replace("\ufffd", "").strip() or text
    return text.strip()


def _has_attributes(options: TranslateOptions) -> bool:
    """Whether attributes are wanted. Raises TranslationError where that goes together with something else badly."""
    if not options.attributes or options.markup != "html" or options.raw:
        return False
    if options.alignments or options.attention:
        raise TranslationError("alignments and attention are between words of one text: not with attributes")
    return True


def _untouched(one: _Text) -> Translation:
    """The answer where nothing is left to translate."""
    return Translation(
        one.text,
        alternatives=(Hypothesis(one.text, 0.0),),
        flags=frozenset(flag for sentence in one.first for flag in sentence.flags),
        source_tokens=sum(sentence.source_tokens for sentence in one.first),
        target_tokens=sum(sentence.target_tokens for sentence in one.first),
    )


def _wishes(options: TranslateOptions) -> Wishes | None:
    """What a caller wants of a text's parts; None where that is nothing."""
    if not (options.markup or options.terms or options.splitting != "all"):
        return None
    return Wishes(
        options.markup,
        options.splitting,
        options.ignore_tags,
        options.split_tags,
        options.non_split_tags,
        options.terms,
    )


def _is_of_words(tokenizer: Tokenizer) -> bool:
    """Whether a vocabulary is of whole words, so that what letters it has says nothing."""
    return isinstance(tokenizer, VocabularyTokenizer) and len(tokenizer.split("ab")) == 1


def _is_sound(found: Found) -> bool:
    """Not so where the arithmetic overflowed: what was found then is no translation, whatever it looks like."""
    return math.isfinite(found.score) and math.isfinite(found.log_prob)


def _internal_error(error: Exception) -> TranslationError:
    """What a caller hears of a fault of ours. The message may quote the text, which is the user's: the type must do."""
    log.error("a text failed: %s", type(error).__name__)
    return TranslationError(f"internal error ({type(error).__name__})")
