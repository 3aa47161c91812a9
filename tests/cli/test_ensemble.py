"""`--ensemble` on the command line: what is printed is what the library says, and what it is gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.bundle import load_bundle
from nmt.inference import TranslateOptions, Translator
from tests.bundles import make_bundle, toy_sentences
from tests.cli.calls import call_here

# as tokenised corpora are: spaces around everything, marks of hyphens and quotes, more than one sentence's end a line
TOKENISED = ["the old tree .", "the dog @-@ house is red , &quot; said the man .", "no ! the cat sees it ."]
LINES = [*toy_sentences(4), *TOKENISED]
Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def other(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensemble") / "other"
    make_bundle(folder, seed=2, tokenizers=load_bundle(bundle).tokenizers, cell="gru")
    return folder


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in LINES), "utf-8")
    return tmp_path / "text"


def refused(capsys: Output, *arguments: object) -> str:
    assert call_here(*arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_translate_prints_an_ensembles_n_best(bundle: Path, other: Path, text: Path, tmp_path: Path) -> None:
    """Raw lines of tokenised text too, each searched as it stands: what a student is taught by."""
    out = tmp_path / "out"
    how = ["-o", out, "--raw", "--n-best", "3", "--device", "cpu", "--workers", "1"]
    assert call_here("translate", bundle, "-i", text, "--ensemble", other, "--ensemble-weights", "2,1", *how) == 0
    with Translator.load([bundle, other], device="cpu", weights=(2, 1)) as translator:
        found = translator.translate(LINES, TranslateOptions(n_best=3, raw=True))
    expected = [f"{i} ||| {h.text} ||| {h.score:.4f}" for i, one in enumerate(found) for h in one.alternatives]
    assert out.read_text("utf-8").split("\n")[:-1] == expected
    assert len(expected) == 3 * len(LINES)


def test_work_begun_with_another_ensemble_is_not_gone_on_with(
    bundle: Path, other: Path, text: Path, tmp_path: Path, capsys: Output
) -> None:
    from nmt.cli.translate import _Task  # what it notes down of a run
    from nmt.inference import Ensemble
    from nmt.inference.offline import LineFormat

    def differences(before: Ensemble | None, now: Ensemble | None) -> str:
        tasks = [
            _Task(bundle, text, TranslateOptions(), LineFormat(), None, ensemble, "cpu", "auto", 1).journal()
            for ensemble in (before, now)
        ]
        return tasks[0].difference(tasks[1])

    assert "--ensemble was None" in differences(None, Ensemble((other,)))
    assert "--ensemble was" in differences(Ensemble((bundle,)), Ensemble((other,)))
    assert "--ensemble-weights was 0.5,0.5, now 0.25,0.75" in differences(
        Ensemble((other,)), Ensemble((other,), (1, 3))
    )
    assert differences(Ensemble((other,)), Ensemble((other,), (2, 2))) == ""


def test_evaluate_scores_an_ensemble(bundle: Path, other: Path, text: Path, capsys: Output, tmp_path: Path) -> None:
    with Translator.load([bundle, other], device="cpu") as translator:
        texts = [one.text for one in translator.translate(LINES, TranslateOptions(raw=True))]
    reference = tmp_path / "reference"
    reference.write_text("".join(f"{line}\n" for line in texts), "utf-8")
    files = ["--source", text, "--reference", reference, "--raw", "--workers", "1", "--device", "cpu"]
    assert call_here("evaluate", "quality", bundle, "--ensemble", other, *files, "-o", tmp_path / "o", "--json") == 0
    out, _ = capsys.readouterr()
    assert (tmp_path / "o").read_text("utf-8") == reference.read_text("utf-8")
    assert f'"{bundle.name}+{other.name}"' in out


@pytest.mark.parametrize("command", [("translate",), ("evaluate", "quality")])
def test_mistakes_are_one_line(bundle: Path, other: Path, text: Path, capsys: Output, command: tuple[str, ...]) -> None:
    files = ("-i", text, "-o", text.parent / "out")
    call = [*command, bundle, *(files if command == ("translate",) else ("--source", text, "--reference", text))]
    weights = "--ensemble-weights"
    assert "--ensemble-weights needs --ensemble" in refused(capsys, *call, weights, "1,2")
    assert "numbers with commas" in refused(capsys, *call, "--ensemble", other, weights, "1;2")
    assert "1 weights for an ensemble of 2" in refused(capsys, *call, "--ensemble", other, weights, "1")
    assert "no such folder" in refused(capsys, *call, "--ensemble", text.parent / "none")
    own = make_bundle(text.parent / "own", seed=5, text={"vocab_size": 340})
    assert "its target vocabulary" in refused(capsys, *call, "--ensemble", own.folder, "--workers", "1")


def test_an_ensemble_is_of_a_model_and_not_of_a_file(other: Path, text: Path, capsys: Output) -> None:
    files = ["--hypothesis", text, "--reference", text]
    assert "--ensemble needs a model" in refused(capsys, "evaluate", "quality", *files, "--ensemble", other)
