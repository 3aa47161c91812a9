"""Search errors against exhaustive search and the plain beam, on a vocabulary small enough to try everything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nmt.bundle import Bundle
from nmt.errors import ConfigError
from nmt.evaluation.quality import bleu
from nmt.inference.runner import Found, SearchOptions
from nmt.inference.search_errors import SearchReport, measure_search
from nmt.search.exhaustive import exhaustive_search
from nmt.search.stepper import PlainStepper
from nmt.text.tokenizer import BOS_ID, EOS_ID
from tests.bundles import make_bundle, toy_sentences
from tests.inference.runners import reference

LIMIT = 4
BEAMS = (1, 2, 4)
TEXTS = toy_sentences(8)
REFERENCES = ["the dog", "a man sees", "the", "dog dog", "the man", "sees", "a dog sees", "man"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    text = {"kind": "word", "vocab_size": 13}
    search = {"length_penalty": 0.9, "coverage_penalty": 0.5}
    # a network so sure of itself that its beams miss what comes late; it would like to say what it never may, too
    return make_bundle(tmp_path_factory.mktemp("errors") / "toy", seed=4, text=text, search=search, init_range=1.2)


def measured(bundle: Bundle, budget: int = 100_000, with_references: bool = True) -> SearchReport:
    advanced: list[int] = []
    report = measure_search(
        bundle,
        TEXTS,
        REFERENCES if with_references else None,
        beams=BEAMS,
        length_penalties=[0.9],
        max_length=LIMIT,
        budget=budget,
        device="cpu",
        advance=advanced.append,
    )
    assert sum(advanced) == len(TEXTS) * (2 * len(BEAMS) + 1)
    return report


def by_exhaustion(bundle: Bundle) -> list[Found]:
    allowed = torch.tensor([i not in bundle.forbidden_ids for i in range(bundle.config.tgt_vocab)])
    stepper = PlainStepper(bundle.build_model(), allowed)
    results = []
    for ids in bundle.tokenizers.source.encode_batch(TEXTS):
        src, lengths = torch.tensor([[*ids, EOS_ID]]), torch.tensor([len(ids) + 1])
        best = exhaustive_search(stepper, src, lengths, max_length=LIMIT, bos_id=BOS_ID, eos_id=EOS_ID)[0]
        results.append(Found(best.tokens, best.score, best.log_prob))
    return results


def by_beam(bundle: Bundle, beam: int, alpha: float) -> list[Found]:
    search = bundle.config.search.model_copy(update={"length_penalty": alpha, "coverage_penalty": 0.0})
    own = Bundle(bundle.config.model_copy(update={"search": search}), bundle.tokenizers, bundle.weights)
    options = SearchOptions(beam, 1, LIMIT, min_length=0)
    ids = bundle.tokenizers.source.encode_batch(TEXTS)
    return [found[0] for found in reference(own, [(i, options) for i in ids])]


def test_errors_are_what_exhaustive_search_finds_likelier(bundle: Bundle) -> None:
    report = measured(bundle)
    best = by_exhaustion(bundle)
    assert (report.sentences, report.proven) == (len(TEXTS), len(TEXTS))
    rows = {(row.beam, row.length_penalty): row for row in report.rows}
    assert list(rows) == [*((b, 0.0) for b in BEAMS), *((b, 0.9) for b in BEAMS), (None, 0.0)]
    for beam in BEAMS:
        gaps = [b.log_prob - f.log_prob for b, f in zip(best, by_beam(bundle, beam, 0.0), strict=True)]
        row = rows[beam, 0.0]
        assert row.errors == sum(gap > 1e-3 for gap in gaps)
        assert row.behind == pytest.approx(sum(gaps) / len(gaps), abs=1e-3)
        assert rows[beam, 0.9].errors is None
    errors = [rows[beam, 0.0].errors or 0 for beam in BEAMS]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0
    exact = rows[None, 0.0]
    assert exact.log_prob == pytest.approx(sum(f.log_prob for f in best) / len(best), abs=1e-3)
    assert exact.length == pytest.approx(sum(len(f.tokens) for f in best) / len(best))


def test_figures_are_those_of_the_translations(bundle: Bundle) -> None:
    target = bundle.tokenizers.target
    pieces = sum(map(len, target.encode_batch(REFERENCES)))
    for row in measured(bundle).rows[:-1]:
        assert row.beam is not None
        found = by_beam(bundle, row.beam, row.length_penalty)
        assert row.log_prob == pytest.approx(sum(f.log_prob for f in found) / len(found), abs=1e-3)
        assert row.length == pytest.approx(sum(len(f.tokens) for f in found) / len(found))
        assert row.empty == pytest.approx(sum(not f.tokens for f in found) / len(found))
        assert row.length_ratio == pytest.approx(sum(len(f.tokens) for f in found) / pieces)
        assert row.bleu == pytest.approx(bleu([target.decode(f.tokens) for f in found], [REFERENCES]).value)


def test_what_exact_search_cannot_afford_is_left_open(bundle: Bundle) -> None:
    report = measured(bundle, budget=1, with_references=False)
    assert report.proven == 0
    assert all(row.beam is not None for row in report.rows)
    assert all((row.bleu, row.length_ratio) == (None, None) for row in report.rows)
    assert report.steps <= len(TEXTS)
    # what another beam has found is known to exist, and what the few steps have found
    for row, whole in zip(report.rows[: len(BEAMS)], measured(bundle).rows, strict=False):
        assert (row.errors or 0) <= (whole.errors or 0)
    assert (report.rows[0].errors or 0) > 0


def test_a_model_that_copies_is_refused_by_name(tmp_path: Path) -> None:
    text = {"kind": "word", "vocab_size": 60}
    copying = make_bundle(tmp_path / "copying", text=text, copying=True)
    with pytest.raises(ConfigError, match="a model that copies"):
        measured(copying)
