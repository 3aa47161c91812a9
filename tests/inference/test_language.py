"""A language model, a translator as a judge, and labellers in use: against the network, one text at a time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from nmt.bundle import Bundle, load_bundle
from nmt.errors import BundleError
from nmt.inference import language
from nmt.inference.labels import TextLabeller
from nmt.inference.language import LineScore, PairScorer, TextModel
from nmt.search.stepper import PlainStepper
from nmt.text.tokenizer import BOS_ID, EOS_ID
from tests.bundles import make_bundle, make_labeller, make_language_model, toy_sentences

LINES = [*toy_sentences(7), "", "the", "old old old old red tree"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


def by_steps(bundle: Bundle, lines: list[str], *, runs_on: bool) -> list[float]:
    """log p of each line."""
    model = bundle.build_language_model()
    found, state = [], model.start(1)
    for line in lines:
        ids = bundle.tokenizers.target.encode(line)
        state = state if runs_on else model.start(1)
        found.append(0.0)
        for read, following in zip([BOS_ID, *ids], [*ids, EOS_ID], strict=True):
            logits, state = model.step(torch.tensor([read]), state)
            found[-1] += float(logits.log_softmax(dim=-1)[0, following])
    return found


@pytest.mark.parametrize("runs_on", [False, True])
@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_lines_are_scored_as_single_steps_score_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, runs_on: bool, batch_tokens: int
) -> None:
    monkeypatch.setattr(language, "BATCH_TOKENS", batch_tokens)
    bundle = make_language_model(folder / f"lm-{runs_on}", running_text=runs_on)
    scores = list(TextModel(bundle, CPU).scores([LINES[:4], LINES[4:]]))
    assert [score.log_prob for score in scores] == pytest.approx(by_steps(bundle, LINES, runs_on=runs_on), abs=1e-4)
    for line, score in zip(LINES, scores, strict=True):
        ids = bundle.tokenizers.target.encode(line)
        assert score.pieces == (*bundle.tokenizers.target.pieces(ids), "</s>")
        assert len(score.log_probs) == len(ids) + 1
        assert score.perplexity == pytest.approx(math.exp(-score.log_prob / (len(ids) + 1)))


def test_running_text_is_judged_by_what_came_before(folder: Path) -> None:
    alone = make_language_model(folder / "alone")
    running = make_language_model(folder / "running", running_text=True)
    twice = [LINES[0], LINES[0]]
    first, second = TextModel(alone, CPU).scores([twice])
    assert first == second
    first, second = TextModel(running, CPU).scores([twice])
    assert first != second


def test_a_text_begins_with_its_prompt(folder: Path) -> None:
    model = TextModel(make_language_model(folder / "lm", text={"kind": "char", "vocab_size": 60}), CPU)
    drawn = model.sample("der alte", seeds=range(5), max_tokens=10)
    assert all(text.startswith("der alte") for text in drawn)
    assert len(set(drawn)) > 1
    assert drawn[3:4] == model.sample("der alte", seeds=[3], max_tokens=10)
    assert not any("\n" in text for text in drawn)


def test_running_text_has_lines(folder: Path) -> None:
    bundle = make_language_model(folder / "runs", running_text=True, text={"kind": "char", "vocab_size": 60})
    prompt = "Der mann.\nDer hund.\nDer"
    (text,) = TextModel(bundle, CPU).sample(prompt, max_tokens=400)
    assert text.startswith(prompt)
    assert text.count("\n") > prompt.count("\n")


def test_a_translation_is_scored_given_its_source(folder: Path) -> None:
    bundle = make_bundle(folder / "en-de")
    pairs = list(zip(LINES, reversed(LINES), strict=True))
    found = list(PairScorer(bundle, CPU).scores([pairs[:3], pairs[3:]]))
    stepper = PlainStepper(bundle.build_model())
    for (source, target), score in zip(pairs, found, strict=True):
        src = torch.tensor([[*bundle.tokenizers.source.encode(source), EOS_ID]])
        memory = stepper.encode(src, torch.tensor([src.shape[1]]))
        state, prev, log_prob = stepper.start(memory), BOS_ID, 0.0
        for token in [*bundle.tokenizers.target.encode(target), EOS_ID]:
            candidates, state, _ = stepper.step(torch.tensor([prev]), state, memory)
            log_prob, prev = log_prob + float(candidates.scores[0, token]), token
        assert score.log_prob == pytest.approx(log_prob, abs=1e-4)


@pytest.mark.parametrize("task", ["tagging", "classification"])
def test_labels_do_not_depend_on_company(folder: Path, task: str) -> None:
    by_word = task == "tagging"
    bundle = make_labeller(folder / task, "tagging" if by_word else "classification")
    labeller = TextLabeller(bundle, CPU)
    together = labeller.label(LINES)
    for line, found in zip(LINES, together, strict=True):
        (alone,) = labeller.label([line])
        assert alone.labels == found.labels
        assert alone.probabilities == pytest.approx(found.probabilities, abs=1e-5)
        assert len(found.labels) == (len(line.split()) if by_word else 1)
        assert set(found.labels) <= set("ABCD")
        assert all(0.25 <= p <= 1 for p in found.probabilities), "the likeliest of four"
    assert len({label for found in together for label in found.labels}) > 1


def test_a_classifier_reads_text_as_one_and_a_tagger_word_by_word(folder: Path) -> None:
    bundle = make_labeller(folder / "network", "classification")
    model = bundle.build_labeller()
    for line in LINES[:3]:
        ids = torch.tensor([[*bundle.tokenizers.source.encode(line), EOS_ID]])
        logits = model.output(model(ids, torch.tensor([ids.shape[1]])))[0, 4:]
        (found,) = TextLabeller(bundle, CPU).label([line])
        assert found.labels == ("ABCD"[int(logits.argmax())],)
        assert found.probabilities[0] == pytest.approx(float(logits.softmax(dim=0).max()), rel=1e-4)


def test_bundles_of_other_tasks_are_refused_by_name(folder: Path) -> None:
    make_bundle(folder / "t")
    make_language_model(folder / "l")
    make_labeller(folder / "c", "classification")
    with pytest.raises(BundleError, match=r"t: a translator \(nmt translate, nmt serve\), not a language model$"):
        TextModel.load(folder / "t")
    with pytest.raises(BundleError, match=r"l: a language model .*, not a tagger or a classifier$"):
        TextLabeller.load(folder / "l")
    with pytest.raises(BundleError, match=r"c: a classifier .*, not a translator$"):
        load_bundle(folder / "c")


def test_a_line_that_is_impossible_has_no_likelihood_and_a_perplexity_all_the_same() -> None:
    score = LineScore(("a", "</s>"), (-math.inf, -1.0))
    assert score.log_prob == -math.inf
    assert math.isfinite(score.perplexity)
