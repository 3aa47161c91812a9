"""The plain searches as a runner, beside a fast one, and up to texts: sampling, diverse beams, a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nmt.bundle import Bundle
from nmt.errors import BundleError, TranslationError
from nmt.inference import Diversity, Sampling, TranslateOptions, Translation, Translator
from nmt.inference.loading import load_pipeline
from nmt.inference.pipeline import Pipeline
from nmt.inference.plain_runner import PlainRunner, _seed
from nmt.inference.routing import RoutedRunner
from nmt.inference.runner import Found, SearchOptions, Sentence
from nmt.search.beam import beam_search
from nmt.search.forced import score_targets
from nmt.search.fusion import ShallowFusion
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper
from nmt.text.tokenizer import BOS_ID, EOS_ID
from tests.bundles import make_bundle, toy_sentences
from tests.inference.runners import CPU, compare, mixed_options, reference, torch_runner, translate
from tests.inference.tables import TableRunner
from tests.search.tables import random_table

SEARCH = {"beam_size": 2, "max_length_factor": 0.8, "max_length_offset": 4, "length_penalty": 0.6}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("plain") / "toy", search=SEARCH)


def drawn(bundle: Bundle, count: int, seed: int = 1) -> list[Sentence]:
    ids = bundle.tokenizers.source.encode_batch(toy_sentences(count))
    return [(i, SearchOptions(3, 3, 9, sampling=Sampling(seed=seed))) for i in ids]


def tokens(found: Sequence[Sequence[Found]]) -> list[list[tuple[int, ...]]]:
    return [[h.tokens for h in hypotheses] for hypotheses in found]


def test_what_is_drawn_depends_on_sentence_and_seed_alone(bundle: Bundle) -> None:
    sentences = drawn(bundle, 9)
    together = translate(PlainRunner(bundle, CPU), sentences, group=9)
    backwards = translate(PlainRunner(bundle, CPU), sentences[::-1], group=2)[::-1]
    alone = [translate(PlainRunner(bundle, CPU), [sentence])[0] for sentence in sentences]
    assert tokens(together) == tokens(backwards) == tokens(alone)
    assert tokens(together) != tokens(translate(PlainRunner(bundle, CPU), drawn(bundle, 9, seed=2)))
    assert all(len(found) == 3 for found in together)


def test_a_routed_runner_gives_each_sentence_what_its_own_runner_gives(bundle: Bundle) -> None:
    """Sentences of both kinds come, are dropped and go together; the plain runner is made when it is needed."""
    made: list[PlainRunner] = []

    def plain() -> PlainRunner:
        made.append(PlainRunner(bundle, CPU))
        return made[-1]

    runner = RoutedRunner(torch_runner(bundle), plain)
    ids = bundle.tokenizers.source.encode_batch(toy_sentences(12))
    fast: list[Sentence] = list(zip(ids, mixed_options(12), strict=True))
    assert compare(translate(runner, fast), reference(bundle, fast)) <= 1
    assert not made
    mixed = [one for pair in zip(fast, drawn(bundle, 12), strict=True) for one in pair]
    found = translate(runner, mixed, group=5)
    assert len(made) == 1
    assert compare(found[::2], reference(bundle, fast)) <= 1
    assert tokens(found[1::2]) == tokens(translate(PlainRunner(bundle, CPU), mixed[1::2]))

    slots = runner.admit(mixed[:6])
    for slot in slots[:4]:
        runner.drop(slot)
    left = dict(zip(slots[4:], mixed[4:6], strict=True))
    while left:
        for slot in runner.step():
            assert runner.take(slot)
            del left[slot]
    assert runner.step() == []


def test_a_fast_runner_is_stepped_only_while_it_has_sentences(bundle: Bundle) -> None:
    table = TableRunner(random_table(3, vocab=6, tables=4), rows=20)  # which says so where it is asked for nothing
    runner = RoutedRunner(table, lambda: PlainRunner(bundle, CPU))
    (drawn_one,) = drawn(bundle, 1)
    dropped, slot = runner.admit([([1], SearchOptions(2, 1, 5)), drawn_one])
    runner.drop(dropped)
    assert runner.step() == [slot]
    assert runner.take(slot)
    (slot,) = runner.admit([([2], SearchOptions(2, 1, 5))])
    while not (finished := runner.step()):
        pass
    assert finished == [slot]
    assert runner.take(slot)
    assert table.steps
    before = len(table.steps)
    assert runner.step() == []
    assert len(table.steps) == before


def test_sentences_do_not_share_their_luck() -> None:
    """Nor do two seeds."""
    seeds = {_seed(seed, ids) for seed in range(50) for ids in ([5], [6], [5, 6], [])}
    assert len(seeds) == 200


@pytest.mark.parametrize("choice", [{"sampling": Sampling(top_k=20)}, {"diversity": Diversity(2, 1.0)}], ids=str)
def test_scores_are_those_of_the_model(bundle: Bundle, choice: dict[str, object]) -> None:
    stepper = PlainStepper(bundle.build_model())
    sentences: list[Sentence] = [
        (ids, replace(SearchOptions(4, 4, 9, with_attention=True), **choice))  # type: ignore[arg-type]
        for ids in bundle.tokenizers.source.encode_batch(toy_sentences(5))
    ]
    for (ids, _), hypotheses in zip(sentences, translate(PlainRunner(bundle, CPU), sentences), strict=True):
        assert hypotheses
        src, lengths = torch.tensor([[*ids, EOS_ID]] * len(hypotheses)), torch.tensor([len(ids) + 1] * len(hypotheses))
        again = score_targets(
            stepper, src, lengths, [h.tokens for h in hypotheses], bos_id=BOS_ID, eos_id=EOS_ID, scoring=Scoring(0.6)
        )
        for h, forced in zip(hypotheses, again, strict=True):
            assert (h.score, h.log_prob) == pytest.approx((forced.score, forced.log_prob), abs=1e-4)
            assert h.attention is not None
            assert h.attention == pytest.approx(forced.attention.numpy(), abs=1e-4)


class Unigrams(torch.nn.Module):
    """A language model that likes some words, whatever came before. Its state is nothing."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.logits = 3 * torch.randn(vocabulary, generator=torch.Generator().manual_seed(3))

    def start(self, rows: int) -> Unigrams:
        return self

    def select(self, rows: Tensor) -> Unigrams:
        return self

    def step(self, prev: Tensor, state: Unigrams) -> tuple[Tensor, Unigrams]:
        return self.logits.expand(len(prev), -1), self


def test_a_language_model_has_its_say_on_the_plain_runner(bundle: Bundle) -> None:
    language = Unigrams(bundle.config.tgt_vocab)
    allowed = torch.tensor([i not in bundle.forbidden_ids for i in range(bundle.config.tgt_vocab)])
    stepper = ShallowFusion(PlainStepper(bundle.build_model(), allowed), language, 0.4)
    ids = bundle.tokenizers.source.encode_batch(toy_sentences(8))
    sentences: list[Sentence] = [(i, SearchOptions(3, 2, 9)) for i in ids]
    found = translate(PlainRunner(bundle, CPU, language, 0.4), sentences)
    for (i, options), hypotheses in zip(sentences, found, strict=True):
        expected = beam_search(
            stepper,
            torch.tensor([[*i, EOS_ID]]),
            torch.tensor([len(i) + 1]),
            size=3,
            n_best=2,
            max_length=torch.tensor([options.max_length]),
            min_length=1,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            scoring=Scoring(0.6),
        )[0]
        assert [h.score for h in hypotheses] == pytest.approx([h.score for h in expected], abs=1e-4)
        assert [h.tokens for h in hypotheses] == [h.tokens for h in expected]
    assert tokens(found) != tokens(translate(PlainRunner(bundle, CPU), sentences))


TEXTS = [*toy_sentences(6), "", " ".join(toy_sentences(3))]


def found_by(translator: Translator | Pipeline, options: TranslateOptions) -> list[tuple[str, ...]]:
    results = translator.translate(TEXTS, options)
    assert all(isinstance(result, Translation) for result in results)
    return [tuple(h.text for h in result.alternatives) for result in results if isinstance(result, Translation)]


@pytest.mark.parametrize(
    "options",
    [
        TranslateOptions(n_best=3, sampling=Sampling(temperature=0.8, top_p=0.9, seed=4)),
        TranslateOptions(n_best=4, diversity=Diversity(2), beam_size=5, no_repeat_ngram=2),
    ],
    ids=["sampling", "diversity"],
)
def test_a_text_gets_the_same_by_every_route(bundle: Bundle, options: TranslateOptions) -> None:
    folder = bundle.folder
    assert folder is not None
    pipeline = load_pipeline(folder, "cpu")
    together = found_by(pipeline, options)
    alone = [pipeline.translate([text], options)[0] for text in TEXTS]
    assert together == [tuple(h.text for h in one.alternatives) for one in alone if isinstance(one, Translation)]
    with Translator.load(folder, device="cpu", workers=2) as translator:
        assert found_by(translator, options) == together
    assert len({text for texts in together for text in texts}) > 12
    assert pipeline.translate(TEXTS[:1], TranslateOptions()), "the fast route is there as before"
    assert found_by(pipeline, replace(options, sampling=None, diversity=None)) != together


def test_a_beam_is_widened_to_whole_groups(bundle: Bundle) -> None:
    folder = bundle.folder
    assert folder is not None
    pipeline = load_pipeline(folder, "cpu")
    result = pipeline.translate(TEXTS[:1], TranslateOptions(n_best=3, diversity=Diversity(3, 50.0)))[0]
    assert isinstance(result, Translation)
    assert len({h.text for h in result.alternatives}) == 3


def test_the_plain_searches_take_the_weights_that_the_fast_ones_have(tmp_path: Path) -> None:
    """Another model in the same place is not mixed with the one that serves."""
    make_bundle(tmp_path / "toy", search=SEARCH)
    pipeline = load_pipeline(tmp_path / "toy", "cpu")
    make_bundle(tmp_path / "other", seed=2, search=SEARCH)
    for path in (tmp_path / "other").iterdir():
        path.replace(tmp_path / "toy" / path.name)
    pipeline._another = None
    with pytest.raises(BundleError, match="another model than the one that serves"):
        pipeline.translate(TEXTS[:1], TranslateOptions(sampling=Sampling()))


def test_nothing_that_keeps_to_what_was_asked_is_an_error_of_that_text_alone(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every piece forbidden: there is nothing to say."""
    assert bundle.folder is not None
    pipeline = load_pipeline(bundle.folder, "cpu")
    everything = tuple((i,) for i in range(4, bundle.tokenizers.target.size))
    monkeypatch.setattr(pipeline._bounds, "forbidden", lambda phrases: everything if phrases else ())
    for sampling in (None, Sampling()):
        options = TranslateOptions(forbidden=("all",), sampling=sampling)
        bad, good = pipeline.translate(TEXTS[:1], options)[0], pipeline.translate(TEXTS[:1], TranslateOptions())[0]
        assert isinstance(bad, TranslationError)
        assert "keeps to what was asked" in str(bad)
        assert isinstance(good, Translation)
