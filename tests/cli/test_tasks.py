"""`nmt sample`, `nmt score` and `nmt label`: what they print is what the library says, line by line."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from nmt.bundle import load_bundle
from nmt.errors import BundleError
from nmt.inference import Fusion, TranslateOptions, Translator, load_models, offline
from nmt.inference.labels import TextLabeller
from nmt.inference.language import PairScorer, TextModel
from nmt.inference.offline import Journal, bundle_hash
from tests.bundles import make_labeller, make_language_model, toy_sentences
from tests.cli.calls import call_here

LINES = [*toy_sentences(4), "", "the old tree"]
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _threads_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.cli.models.THREAD_VARIABLES", ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    make_language_model(folder / "lm")
    make_language_model(folder / "running", running_text=True)
    make_labeller(folder / "tagger", "tagging")
    make_labeller(folder / "classifier", "classification")
    (folder / "text").write_text("".join(f"{line}\n" for line in LINES), "utf-8")
    return folder


def printed(capsys: Output, *arguments: object) -> tuple[str, str]:
    assert call_here(*arguments) == 0
    return capsys.readouterr()


def refused(capsys: Output, *arguments: object) -> str:
    assert call_here(*arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_sample_prints_a_text_a_line(folder: Path, capsys: Output) -> None:
    out, _ = printed(capsys, "sample", folder / "lm", "-n", "3", "--seed", "4", "--prompt", "der", "--max-tokens", "9")
    assert out.splitlines() == TextModel.load(folder / "lm", "cpu").sample("der", seeds=[4, 5, 6], max_tokens=9)
    again, _ = printed(
        capsys, "sample", folder / "lm", "-n", "3", "--seed", "4", "--prompt", "der", "--max-tokens", "9"
    )
    assert out == again


def test_sample_passes_its_choices_on(folder: Path, capsys: Output) -> None:
    model = TextModel.load(folder / "lm", "cpu")
    for option, name, value in (
        ("--top-k", "top_k", 2),
        ("--top-p", "top_p", 0.3),
        ("--temperature", "temperature", 3.0),
    ):
        out, _ = printed(capsys, "sample", folder / "lm", option, value, "--max-tokens", "9")
        assert out.rstrip("\n") == model.sample(max_tokens=9, **{name: value})[0]  # type: ignore[arg-type]
        assert out.rstrip("\n") != model.sample(max_tokens=9)[0]


def test_sample_parts_running_texts_by_an_empty_line(folder: Path, capsys: Output) -> None:
    out, _ = printed(capsys, "sample", folder / "running", "-n", "2", "--max-tokens", "60")
    first, second = TextModel.load(folder / "running", "cpu").sample(seeds=[1, 2], max_tokens=60)
    assert out == f"{first}\n\n{second}\n\n"


@pytest.mark.parametrize("model", ["lm", "running"])
def test_score_prints_a_line_a_line_and_the_sum(folder: Path, capsys: Output, model: str) -> None:
    expected = list(TextModel.load(folder / model, "cpu").scores([LINES]))
    out, err = printed(capsys, "score", folder / model, folder / "text", "--pieces")
    for row, score in zip(out.splitlines(), expected, strict=True):
        log_prob, tokens, perplexity, pieces = row.split("\t")
        assert float(log_prob) == pytest.approx(score.log_prob, abs=1e-3)
        assert int(tokens) == len(score.log_probs)
        assert float(perplexity) == pytest.approx(score.perplexity, rel=1e-3)
        assert pieces.split(" ") == [f"{p}:{v:.4f}" for p, v in zip(score.pieces, score.log_probs, strict=True)]
    total, count = sum(s.log_prob for s in expected), sum(len(s.log_probs) for s in expected)
    assert err == f"log p {total:,.2f}, {count:,} tokens, perplexity {math.exp(-total / count):.4f}\n"


@pytest.mark.parametrize("block_lines", [offline.BLOCK_LINES, 2])
def test_score_judges_translations(
    folder: Path, bundle: Path, capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_lines: int
) -> None:
    monkeypatch.setattr(offline, "BLOCK_LINES", block_lines)
    target = tmp_path / "target"
    target.write_text("".join(f"{line}\n" for line in reversed(LINES)), "utf-8")
    out, _ = printed(capsys, "score", bundle, target, "--source", folder / "text")
    pairs = list(zip(LINES, reversed(LINES), strict=True))
    expected = PairScorer(load_bundle(bundle), PairScorer.load(bundle)._device).scores([pairs])
    assert [float(row.split("\t")[0]) for row in out.splitlines()] == pytest.approx(
        [score.log_prob for score in expected], abs=1e-3
    )


@pytest.mark.parametrize(("lines", "message"), [(3, "more lines than its translation"), (9, "fewer lines")])
def test_score_refuses_texts_of_other_lengths(
    folder: Path, bundle: Path, tmp_path: Path, capsys: Output, lines: int, message: str
) -> None:
    target = tmp_path / "target"
    target.write_text("eins\n" * lines, "utf-8")
    assert call_here("score", bundle, target, "--source", folder / "text") == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("model", ["tagger", "classifier"])
def test_label_prints_a_line_a_line(folder: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    expected = TextLabeller.load(folder / model, "cpu").label(LINES)
    out, _ = printed(capsys, "label", folder / model, folder / "text")
    assert out == "".join(f"{' '.join(found.labels)}\n" for found in expected)
    with (folder / "text").open(encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        out, _ = printed(capsys, "label", folder / model, "--probabilities")
    for row, found in zip(out.splitlines(), expected, strict=True):
        labels, _, probabilities = row.partition("\t")
        assert labels.split() == list(found.labels)
        assert [float(p) for p in probabilities.split()] == pytest.approx(found.probabilities, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("translate", "lm", "-i", "text", "-o", "out"), "a language model (nmt sample, nmt score), not a translator"),
        (("translate", "tagger", "-i", "text", "-o", "out"), "a tagger (nmt label), not a translator"),
        (("quantize", "lm", "new"), "a language model (nmt sample, nmt score), not a translator"),
        (("sample", "classifier"), "a classifier (nmt label), not a language model"),
        (("label", "lm"), "a language model (nmt sample, nmt score), not a tagger or a classifier"),
        (("score", "tagger"), "a tagger (nmt label), not a language model"),
        (("score", "lm", "text", "--source", "text"), "no translator, so --source makes no sense"),
    ],
)
def test_a_bundle_of_another_task_is_refused_in_one_line(
    folder: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(folder)
    assert message in refused(capsys, *arguments)


def test_translate_with_a_language_model(folder: Path, bundle: Path, tmp_path: Path, capsys: Output) -> None:
    make_language_model(tmp_path / "lm", tokenizers=load_bundle(bundle).tokenizers)
    texts = ["-i", folder / "text", "--raw", "--beam", "2", "--device", "cpu", "--workers", "1"]
    assert (
        call_here("translate", bundle, *texts, "-o", tmp_path / "out", "--lm", tmp_path / "lm", "--lm-weight", "2") == 0
    )
    with Translator.load(bundle, device="cpu", fusion=Fusion(tmp_path / "lm", 2.0)) as translator:
        found = translator.translate(LINES, TranslateOptions(beam_size=2, raw=True))
    assert (tmp_path / "out").read_text("utf-8").split("\n")[:-1] == [one.text.replace("\n", " ") for one in found]
    assert "--lm-weight needs --lm" in refused(capsys, "translate", bundle, "--lm-weight", "2")
    # work begun without it is not gone on with
    (tmp_path / "out.partial").touch()
    Path(f"{tmp_path / 'out'}.journal").write_text(
        json.dumps(asdict(Journal(bundle_hash(bundle), {"--beam": 2, "--raw": True}))), "utf-8"
    )
    message = refused(capsys, "translate", bundle, *texts, "-o", tmp_path / "out", "--lm", tmp_path / "lm")
    assert "--lm was None" in message


def test_a_translator_is_asked_for_its_source(bundle: Path, folder: Path, capsys: Output) -> None:
    assert "name the text that was translated with --source" in refused(capsys, "score", bundle, folder / "text")


def test_a_service_refuses_a_folder_with_a_language_model_by_name(tmp_path: Path) -> None:
    make_language_model(tmp_path / "lm")
    with pytest.raises(BundleError, match=r"a language model \(nmt sample, nmt score\), not a translator"):
        load_models(tmp_path, device="cpu", workers=0)


@pytest.mark.parametrize("model", ["lm", "tagger", "classifier"])
def test_inspect_knows_every_task(folder: Path, capsys: Output, model: str) -> None:
    out, _ = printed(capsys, "inspect", folder / model)
    task = {"lm": "language-model", "tagger": "tagging", "classifier": "classification"}[model]
    assert task in out
    assert ("8 labels" in out) == (model != "lm")
