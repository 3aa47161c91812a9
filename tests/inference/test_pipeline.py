"""Texts that come and go while others are under way, and an engine that fails in the middle."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nmt.bundle import Bundle
from nmt.errors import Cancelled, DeadlineExceeded, TranslationError
from nmt.inference import Sampling, TranslateOptions, Translation
from nmt.inference.alignment import word_attention, word_links, words_of
from nmt.inference.pipeline import Pipeline, tidy
from nmt.inference.plain_runner import PlainRunner
from nmt.inference.runner import Found, Sentence
from nmt.inference.torch_runner import TorchRunner
from nmt.inference.types import LEAST_WEIGHT, Result
from nmt.text.words import split_words
from tests.bundles import make_bundle, toy_sentences

CPU = torch.device("cpu")
OPTIONS = TranslateOptions()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    search = {"beam_size": 2, "max_length_factor": 0.8, "max_length_offset": 4}
    return make_bundle(tmp_path_factory.mktemp("pipeline") / "toy", search=search)


class FailsAt(TorchRunner):
    """Fails as soon as it is given a sentence of so many tokens."""

    made = 0

    def __init__(self, bundle: Bundle, tokens: int) -> None:
        super().__init__(bundle, CPU)
        self.tokens = tokens
        FailsAt.made += 1

    def admit(self, sentences: Sequence[Sentence]) -> list[int]:
        slots = super().admit(sentences)
        if any(len(ids) == self.tokens for ids, _ in sentences):
            raise ValueError("a text of the user's")
        return slots


def make_pipeline(bundle: Bundle) -> Pipeline:
    return Pipeline(bundle, TorchRunner(bundle, CPU))


def finish(pipeline: Pipeline) -> dict[int, Result]:
    results: dict[int, Result] = {}
    while not pipeline.is_idle:
        for number, result in pipeline.step():
            assert number not in results
            results[number] = result
    return results


def same(found: Sequence[Result], expected: Sequence[Result]) -> None:
    """The same texts; scores differ by rounding, since products do with the size of a batch."""
    for mine, theirs in zip(found, expected, strict=True):
        assert isinstance(mine, Translation)
        assert isinstance(theirs, Translation)
        assert mine.text == theirs.text
        assert mine.score == pytest.approx(theirs.score, abs=1e-4)
        assert (mine.source_tokens, mine.target_tokens) == (theirs.source_tokens, theirs.target_tokens)


def test_texts_come_while_others_are_under_way(bundle: Bundle) -> None:
    texts = [*toy_sentences(12), "", "...", " ".join(toy_sentences(3))]
    expected = make_pipeline(bundle).translate(texts, OPTIONS)
    pipeline = make_pipeline(bundle)
    results: dict[int, Result] = {}
    for number, text in enumerate(texts):
        pipeline.submit(number, text, OPTIONS)
        results.update(pipeline.step())
    results.update(finish(pipeline))
    same([results[number] for number in range(len(texts))], expected)


def test_a_late_text_is_an_error_and_its_other_segments_stop(bundle: Bundle) -> None:
    now = 10.0
    pipeline = Pipeline(bundle, TorchRunner(bundle, CPU, rows=2), clock=lambda: now)
    pipeline.submit(0, "\n".join(toy_sentences(6)), OPTIONS, deadline=11.0)
    pipeline.submit(1, toy_sentences(1)[0], OPTIONS)
    assert pipeline.step() == []
    now = 12.0
    results = finish(pipeline)
    assert isinstance(results[0], DeadlineExceeded)
    assert isinstance(results[1], Translation)


def test_a_cancelled_text_is_answered_at_the_next_step(bundle: Bundle) -> None:
    pipeline = make_pipeline(bundle)
    pipeline.submit(0, toy_sentences(1)[0], OPTIONS)
    pipeline.submit(1, toy_sentences(2)[1], OPTIONS)
    pipeline.cancel(0)
    pipeline.cancel(7)
    (first, *_), rest = pipeline.step(), finish(pipeline)
    assert first[0] == 0
    assert isinstance(first[1], Cancelled)
    assert isinstance(rest[1], Translation)


def test_a_text_that_makes_the_engine_fail_fails_alone(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    """The others are translated on a new runner; neither log nor answer says what the exception said."""
    texts = toy_sentences(8)
    expected = make_pipeline(bundle).translate(texts, OPTIONS)
    lengths = [len(ids) for ids in bundle.tokenizers.source.encode_batch(texts)]
    bad = next(i for i, length in enumerate(lengths) if lengths.count(length) == 1)
    FailsAt.made = 0
    pipeline = Pipeline(bundle, FailsAt(bundle, lengths[bad]), lambda: FailsAt(bundle, lengths[bad]))
    results = pipeline.translate(texts, OPTIONS)
    assert str(results[bad]) == "internal error (ValueError)"
    same([r for i, r in enumerate(results) if i != bad], [r for i, r in enumerate(expected) if i != bad])
    assert FailsAt.made == 3
    assert "of the user's" not in caplog.text
    same(pipeline.translate(texts[:bad], OPTIONS), expected[:bad])


def test_without_another_runner_the_failure_is_the_callers(bundle: Bundle) -> None:
    text = toy_sentences(1)[0]
    pipeline = Pipeline(bundle, FailsAt(bundle, len(bundle.tokenizers.source.encode(text))))
    with pytest.raises(ValueError, match="user's"):
        pipeline.translate([text], OPTIONS)


def test_a_text_whose_result_cannot_be_made_fails_alone(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the search has found nothing, say."""
    good, bad = toy_sentences(2)
    runner = TorchRunner(bundle, CPU)
    take = runner.take

    def nothing(slot: int) -> list[Found]:
        found = take(slot)
        return [] if slot == 1 else found

    monkeypatch.setattr(runner, "take", nothing)
    results = Pipeline(bundle, runner).translate([good, bad], OPTIONS)
    assert isinstance(results[0], Translation)
    assert isinstance(results[1], TranslationError)


def test_an_interrupted_call_does_not_mix_with_the_next(bundle: Bundle) -> None:
    texts = toy_sentences(6)
    expected = make_pipeline(bundle).translate(texts, OPTIONS)
    pipeline = make_pipeline(bundle)
    step, begun = pipeline.step, time.monotonic()

    def interrupted() -> list[tuple[int, Result]]:
        step()
        raise KeyboardInterrupt

    pipeline.step = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        pipeline.translate(texts[:3], OPTIONS)
    pipeline.step = step  # type: ignore[method-assign]
    same(pipeline.translate(texts[3:], OPTIONS), expected[3:])
    assert time.monotonic() - begun < 60


def test_word_links_add_up_attention_over_the_pieces_of_both_words() -> None:
    source, target = ["▁a", "b", "▁c"], ["▁x", "▁y", "z"]
    attention = np.array([[0.3, 0.3, 0.4, 0], [0.1, 0.0, 0.9, 0], [0.8, 0.2, 0.0, 0], [0, 0, 0, 1]], np.float32)
    # x: a 0.6, c 0.4; y: a 0.1 + 1.0, c 0.9
    assert word_links(attention, source, target) == ((0, 0), (0, 1))
    assert word_links(attention, source, []) == ()


def test_word_attention_adds_up_source_pieces_and_takes_the_mean_of_target_pieces() -> None:
    source, target = ["▁a", "b", "▁c"], ["▁x", "▁y", "z"]
    attention = np.array([[0.3, 0.3, 0.395, 0.005], [0.1, 0, 0.9, 0], [0.8, 0.2, 0, 0], [0, 0, 0, 1]], np.float32)
    # x: a 0.6, c 0.395; y: a (0.1 + 1.0) / 2, c 0.9 / 2
    assert word_attention(attention, source, target) == (((0, 0.6), (1, 0.395)), ((0, 0.55), (1, 0.45)))
    assert word_attention(attention, source, []) == ()
    spread = np.full((2, 1001), 0.9 * LEAST_WEIGHT, np.float32)
    spread[0, 7] = 0.1
    assert word_attention(spread, ["▁a"] * 1000, ["▁x"]) == (((7, 0.1),),)


@pytest.mark.parametrize("options", [{}, {"raw": True}, {"n_best": 2, "alignments": True}])
def test_attention_has_one_row_for_each_word_and_agrees_with_the_links(bundle: Bundle, options: dict[str, Any]) -> None:
    several = f" {toy_sentences(1)[0]}\n\n... \n{toy_sentences(2)[1]}"
    texts = [*toy_sentences(8), *([] if "raw" in options else [several])]
    results = make_pipeline(bundle).translate(texts, TranslateOptions(attention=True, **options))
    for text, result in zip(texts, results, strict=True):
        assert isinstance(result, Translation)
        assert result.attention == result.alternatives[0].attention
        for hypothesis in result.alternatives:
            assert len(hypothesis.attention) == len(hypothesis.text.split())
            assert any(hypothesis.attention)
            for row in hypothesis.attention:
                assert sum(weight for _, weight in row) <= 1.01
                assert [weight for _, weight in row] == sorted((weight for _, weight in row), reverse=True)
                assert all(0 <= word < len(text.split()) for word, _ in row)
            if "alignments" in options:
                largest = {(row[0][0], place) for place, row in enumerate(hypothesis.attention) if row}
                assert len(largest & set(hypothesis.alignment)) >= 0.9 * len(largest)  # the rest are ties
            else:
                assert hypothesis.alignment == ()


class Says(TorchRunner):
    """Whatever it is asked, this is what it has found, and it notes how many it was asked for."""

    def __init__(self, bundle: Bundle, found: Sequence[Found]) -> None:
        super().__init__(bundle, CPU)
        self.found = list(found)
        self.wanted: list[int] = []

    def admit(self, sentences: Sequence[Sentence]) -> list[int]:
        self.wanted += [options.n_best for _, options in sentences]
        return super().admit(sentences)

    def take(self, slot: int) -> list[Found]:
        super().take(slot)
        return self.found


def test_least_risk_prefers_what_hypotheses_have_in_common(bundle: Bundle) -> None:
    alike = [(291, 292, 293, 294, 295), (291, 292, 293, 294, 296), (291, 292, 293, 294, 297)]
    found = [Found((288, 289), -0.4, -0.8), *(Found(ids, -0.5, -2.0) for ids in alike)]
    runner = Says(bundle, found)
    pipeline = Pipeline(bundle, runner)
    decode = bundle.tokenizers.target.decode
    for options, expected in (
        (TranslateOptions(), [(288, 289)]),
        (TranslateOptions(mbr=4), alike[:1]),
        (TranslateOptions(mbr=4, n_best=3), alike),
        (TranslateOptions(mbr=4, n_best=4, raw=True), [*alike, (288, 289)]),
    ):
        [done] = pipeline.translate(["a b"], options)
        assert isinstance(done, Translation)
        assert [one.text for one in done.alternatives] == [decode(ids) for ids in expected]
        assert done.text == done.alternatives[0].text
        assert done.score in (-0.4, -0.5)  # the model's own
    assert runner.wanted == [1, 4, 4, 4]


@pytest.mark.parametrize("sampling", [None, Sampling(seed=2)], ids=["beam", "samples"])
def test_least_risk_puts_the_same_hypotheses_in_another_order(bundle: Bundle, sampling: Sampling | None) -> None:
    plain, risk = TranslateOptions(n_best=6, raw=True, sampling=sampling), TranslateOptions(n_best=6, raw=True, mbr=6)
    texts = toy_sentences(10)
    pipeline = make_pipeline(bundle) if sampling is None else Pipeline(bundle, PlainRunner(bundle, CPU))
    found = pipeline.translate(texts, plain)
    ordered = pipeline.translate(texts, replace(risk, sampling=sampling))
    lists = [
        [[h.text for h in one.alternatives] for one in some if isinstance(one, Translation)]
        for some in (found, ordered)
    ]
    assert [sorted(one) for one in lists[0]] == [sorted(one) for one in lists[1]]
    assert lists[0] != lists[1]


def test_a_text_of_several_sentences_has_the_least_risk_of_each(bundle: Bundle) -> None:
    texts = [f"{text.rstrip(' .')}." for text in toy_sentences(3)]
    options = TranslateOptions(mbr=5, n_best=2)
    each = make_pipeline(bundle).translate(texts, options)
    [joined] = make_pipeline(bundle).translate(["\n".join(texts)], options)
    assert isinstance(joined, Translation)
    for rank, one in enumerate(joined.alternatives):
        assert one.text.split("\n") == [t.alternatives[rank].text for t in each if isinstance(t, Translation)]


def test_pieces_that_touch_are_one_word() -> None:
    pieces = split_words("He said \"Tom's (and/or) l'or\".")
    assert words_of(pieces) == [0, 1, *[2] * 3, *[3] * 5, *[4] * 4]


def test_what_a_worker_imports_is_without_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    make_bundle(tmp_path / "toy")
    program = f"""
import sys
import nmt.inference.worker, nmt.inference.pipeline, nmt.inference.loading, nmt.inference.engine
print("torch" in sys.modules)
from nmt.inference.loading import load_pipeline
pipeline = load_pipeline({str(tmp_path / "toy")!r}, "cpu")
pipeline.translate(["The dog."], __import__("nmt.inference").inference.TranslateOptions(alignments=True))
print(pipeline.info.runner == "torch" or "torch" not in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue\n"


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        (" a b ", "", "a b"),
        ("a\x07b\u2028", "", "ab"),
        ("a \ufffd\ufffd b", "x", "a  b"),
        ("a \ufffd", "a \ufffd", "a \ufffd"),
        ("\ufffd", "x", "\ufffd"),
    ],
)
def test_what_no_sentence_has_is_left_out(text: str, source: str, expected: str) -> None:
    assert tidy(text, source) == expected
