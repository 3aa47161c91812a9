"""How often a beam misses what the model likes best, and whether finding it would help. Measures; prints nothing.

Search errors after Stahlberg & Byrne 2019: the share of sentences for which exact search finds a likelier translation
than the beam. The "beam curse" after Koehn & Knowles 2017: quality falls as beams widen, because the model likes short
translations too well, and the length penalty holds against that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch

from nmt.bundle import Bundle
from nmt.errors import ConfigError
from nmt.evaluation.quality import bleu
from nmt.inference.engine import Engine
from nmt.inference.loading import choose_runner
from nmt.inference.runner import Found, SearchOptions
from nmt.search.exact import exact_search
from nmt.search.stepper import PlainStepper
from nmt.text.tokenizer import BOS_ID, EOS_ID, Tokenizer

TOLERANCE = 1e-3
"""Nats within which two routes may compute the same log-probability."""


@dataclass(frozen=True)
class Searched:
    """All sentences by one search. Means are over sentences."""

    beam: int | None
    """None: exact search, the sentences alone of which the best is known."""
    length_penalty: float
    sentences: int
    log_prob: float
    """In nats."""
    length: float
    """In pieces, the end not counted."""
    empty: float
    """Share of empty translations."""
    bleu: float | None = None
    length_ratio: float | None = None
    """Pieces over the reference's."""
    errors: int | None = None
    """Sentences of which a likelier translation is known; for plain log-probabilities alone."""
    behind: float | None = None
    """Nats that the likeliest one known is ahead."""


@dataclass(frozen=True)
class SearchReport:
    """What was measured."""

    sentences: int
    proven: int
    """Sentences of which exact search knows the best."""
    steps: int
    """Prefixes that exact search extended, over all sentences."""
    rows: Sequence[Searched]

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self) | {"rows": [asdict(row) for row in self.rows]}


def measure_search(
    bundle: Bundle,
    texts: Sequence[str],
    references: Sequence[str] | None,
    *,
    beams: Sequence[int],
    length_penalties: Sequence[float],
    max_length: int | None = None,
    budget: int,
    device: str = "auto",
    advance: Callable[[int], None],
) -> SearchReport:
    """Search every text raw, as one sentence, with each beam and length penalty; and exactly, for log p alone.

    `max_length`: most pieces of a translation, EOS counted; None: the bundle's own limit. `budget`: most prefixes that
    exact search extends for a sentence. An empty translation is allowed, unlike when a bundle serves. `advance` hears
    of sentences done: once for each beam and penalty, and once for exact search.

    Raises ConfigError for a bundle that this cannot be asked of, DeviceError.
    """
    if bundle.config.model.copying:
        raise ConfigError("no search errors of a model that copies: its vocabulary is another for each sentence")
    search, (source, target) = bundle.config.search, bundle.tokenizers
    encoded = source.encode_batch(list(texts))
    limits = [max(2, int(len(ids) * search.max_length_factor) + search.max_length_offset + 1) for ids in encoded]
    limits = [limit if max_length is None else min(limit, max_length) for limit in limits]
    penalties = sorted({0.0, *length_penalties})
    found: dict[tuple[float, int], list[Found]] = {}
    for alpha in penalties:
        changed = search.model_copy(update={"length_penalty": alpha, "coverage_penalty": 0.0})
        runner = choose_runner(
            replace(bundle, config=bundle.config.model_copy(update={"search": changed})), device, "fp32"
        )
        for beam in beams:
            found[alpha, beam] = _search(Engine(runner), encoded, limits, beam)
            advance(len(texts))
    place = torch.device(runner.device)
    known = [max(of_text, key=lambda f: f.log_prob) for of_text in zip(*(found[0.0, b] for b in beams), strict=True)]
    exact = _exact(bundle, place, list(zip(encoded, limits, known, strict=True)), budget, advance)
    likeliest = [one.likeliest for one in exact]
    counted = _Counted(target, references)
    rows = [
        counted.row(beam, alpha, found[alpha, beam], likeliest if alpha == 0 else None)
        for alpha in penalties
        for beam in beams
    ]
    proven = [index for index, one in enumerate(exact) if one.is_proven]
    if proven:
        best = counted.only(proven)
        rows.append(best.row(None, 0.0, [likeliest[i] for i in proven], [likeliest[i] for i in proven]))
    return SearchReport(len(texts), len(proven), sum(one.steps for one in exact), rows)


def _search(engine: Engine, encoded: Sequence[Sequence[int]], limits: Sequence[int], beam: int) -> list[Found]:
    """The best of each sentence."""
    for ticket, (ids, limit) in enumerate(zip(encoded, limits, strict=True)):
        engine.submit(ticket, ids, SearchOptions(beam, 1, limit, min_length=0))
    found: dict[int, Found] = {}
    while not engine.is_idle:
        for ticket, answer in engine.step():
            assert isinstance(answer, list)
            found[ticket] = answer[0]
    return [found[ticket] for ticket in range(len(encoded))]


class _Likeliest(NamedTuple):
    likeliest: Found
    """That is known."""
    is_proven: bool
    steps: int


def _exact(
    bundle: Bundle,
    device: torch.device,
    sentences: Sequence[tuple[Sequence[int], int, Found]],
    budget: int,
    advance: Callable[[int], None],
) -> list[_Likeliest]:
    """Of each sentence (ids, limit, the likeliest translation so far) the likeliest one."""
    allowed = torch.ones(bundle.config.tgt_vocab, dtype=torch.bool)
    allowed[sorted(bundle.forbidden_ids - {EOS_ID})] = False
    stepper = PlainStepper(bundle.build_model().to(device), allowed.to(device), bundle.shortlist)
    results: list[_Likeliest] = []
    for ids, limit, known in sentences:
        exact = exact_search(
            stepper,
            torch.tensor([[*ids, EOS_ID]], device=device),
            torch.tensor([len(ids) + 1], device=device),
            max_length=limit,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            bound=known.log_prob,
            budget=budget,
        )
        best = known if exact.best is None else Found(exact.best.tokens, exact.best.score, exact.best.log_prob)
        results.append(_Likeliest(best, exact.is_proven, exact.steps))
        advance(1)
    return results


class _Counted:
    """Makes rows of results."""

    def __init__(self, target: Tokenizer, references: Sequence[str] | None) -> None:
        self._target = target
        self._references = references

    def only(self, chosen: Sequence[int]) -> _Counted:
        """For some of the sentences."""
        return _Counted(self._target, None if self._references is None else [self._references[i] for i in chosen])

    def row(
        self, beam: int | None, alpha: float, found: Sequence[Found], likeliest: Sequence[Found] | None
    ) -> Searched:
        count = len(found)
        gaps = [] if likeliest is None else [b.log_prob - f.log_prob for b, f in zip(likeliest, found, strict=True)]
        length = sum(len(f.tokens) for f in found)
        score = ratio = None
        if self._references is not None:
            score = bleu([self._target.decode(f.tokens) for f in found], [self._references]).value
            ratio = length / max(1, sum(map(len, self._target.encode_batch(self._references))))
        return Searched(
            beam=beam,
            length_penalty=alpha,
            sentences=count,
            log_prob=sum(f.log_prob for f in found) / count,
            length=length / count,
            empty=sum(not f.tokens for f in found) / count,
            bleu=score,
            length_ratio=ratio,
            errors=None if likeliest is None else sum(gap > TOLERANCE for gap in gaps),
            behind=None if likeliest is None else sum(max(gap, 0.0) for gap in gaps) / count,
        )
