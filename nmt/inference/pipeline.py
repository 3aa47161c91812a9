"""One bundle's way from text to text: split, encode, search, decode, join. Every route goes through here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from nmt.bundle import Bundle
from nmt.errors import InputTooLong, NmtError, TranslationError
from nmt.inference.alignment import word_links
from nmt.inference.torch_runner import Runner, SearchOptions
from nmt.inference.types import Hypothesis, Links, ModelInfo, TranslateOptions, Translation
from nmt.search.beam import Hypothesis as Ids
from nmt.text.sentences import Segment, fit, join, split

Result = Translation | NmtError


@dataclass
class _Plan:
    """A text cut into segments, and where the encoded ones stand in the batch."""

    text: str
    segments: list[Segment]
    encoded: list[list[int]]
    rows: list[int] = field(default_factory=list)


class Pipeline:
    """A loaded bundle that translates texts."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self._config = bundle.config
        self._source, self._target = bundle.tokenizers
        self._runner = Runner(bundle, device)
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
        )

    def translate(self, texts: Sequence[str], options: TranslateOptions) -> list[Result]:
        """One result a text, in order: its translation, or the error that is this text's alone."""
        plans = [self._plan(text, options) for text in texts]
        sentences: list[list[int]] = []
        for plan in plans:
            if isinstance(plan, _Plan):
                plan.rows = list(range(len(sentences), len(sentences) + len(plan.encoded)))
                sentences += plan.encoded
        found = self._runner.run(sentences, self._search_options(options)) if sentences else []
        return [
            self._finish(plan, [found[row] for row in plan.rows], options) if isinstance(plan, _Plan) else plan
            for plan in plans
        ]

    def _search_options(self, options: TranslateOptions) -> SearchOptions:
        search = self._config.search
        return SearchOptions(
            beam_size=max(options.beam_size or search.beam_size, options.n_best),
            n_best=options.n_best,
            max_length_factor=options.max_length_factor or search.max_length_factor,
            with_attention=options.alignments,
        )

    def _plan(self, text: str, options: TranslateOptions) -> _Plan | NmtError:
        limit = self._config.search.max_source_tokens
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            return TranslationError(f"character {error.start} is half of a surrogate pair: not a text")
        segments = [Segment(text)] if options.raw else fit(split(text, self._config.source_lang), limit, self._count)
        encoded = self._source.encode_batch([s.text for s in segments if s.translatable])
        if options.raw and encoded and len(encoded[0]) > limit:
            return InputTooLong(f"{len(encoded[0])} tokens; with raw this model takes {limit}")
        return _Plan(text, segments, encoded)

    def _count(self, text: str) -> int:
        return len(self._source.encode(text))

    def _finish(self, plan: _Plan, found: Sequence[Sequence[Ids]], options: TranslateOptions) -> Translation:
        if not found:
            return Translation(plan.text, alternatives=(Hypothesis(plan.text, 0.0),))
        alternatives = tuple(self._hypothesis(plan, chosen, options) for chosen in combine(found, options.n_best))
        best = alternatives[0]
        return Translation(
            text=best.text,
            score=best.score,
            alternatives=alternatives,
            alignment=best.alignment,
            flags=frozenset({"truncated"} if any(segment[0].is_truncated for segment in found) else ()),
            source_tokens=sum(len(ids) for ids in plan.encoded),
            target_tokens=sum(len(segment[0].tokens) for segment in found),
        )

    def _hypothesis(self, plan: _Plan, chosen: Sequence[Ids], options: TranslateOptions) -> Hypothesis:
        outputs = [self._target.decode(ids.tokens) for ids in chosen]
        score = sum(ids.score for ids in chosen) / len(chosen)
        links = self._links(plan, chosen, outputs) if options.alignments else ()
        return Hypothesis(join(plan.segments, outputs), score, links)

    def _links(self, plan: _Plan, chosen: Sequence[Ids], outputs: Sequence[str]) -> Links:
        """Links over the words of the whole text: each segment's, moved on by the words before it."""
        links: list[tuple[int, int]] = []
        source = target = 0
        translated = iter(zip(plan.encoded, chosen, outputs, strict=True))
        for segment in plan.segments:
            words = len(segment.text.split())
            if not segment.translatable:
                source, target = source + words, target + words
                continue
            encoded, ids, output = next(translated)
            assert ids.attention is not None
            found = word_links(ids.attention, self._source.pieces(encoded), self._target.pieces(ids.tokens))
            output_words = len(output.split())
            links += [(source + s, target + t) for s, t in found if s < words and t < output_words]
            source, target = source + words, target + output_words
        return tuple(links)


def combine(found: Sequence[Sequence[Ids]], n_best: int) -> list[tuple[Ids, ...]]:
    """The n best ways to choose one hypothesis a segment, by the sum of their scores, best first."""
    chosen: list[tuple[float, tuple[Ids, ...]]] = [(0.0, ())]
    for hypotheses in found:
        longer = [(score + h.score, (*before, h)) for score, before in chosen for h in hypotheses]
        longer.sort(key=lambda item: -item[0])
        chosen = longer[:n_best]
    return [hypotheses for _, hypotheses in chosen]
