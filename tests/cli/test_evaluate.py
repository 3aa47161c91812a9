"""`nmt evaluate quality` and `nmt inspect`: what they print is what the library and the files say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from nmt.cli.main import main
from nmt.evaluation.quality import bleu
from nmt.inference import TranslateOptions, Translator
from tests.bundles import toy_sentences

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sets the environment of its process, which here is that of the other tests too."""
    monkeypatch.setattr("nmt.cli.models.THREAD_VARIABLES", ())


def run(output: Output, *arguments: str | Path) -> str:
    """Standard output of a call that succeeds, in this process."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    out, err = output.readouterr()
    assert (exit_.value.code, err) == (0, "")
    return out


@pytest.fixture
def files(bundle: Path, tmp_path: Path) -> tuple[Path, Path, list[str]]:
    """A source, a reference that a beam of 3 would get nearly right, and the beam's translations."""
    sentences = toy_sentences(12)
    with Translator.load(bundle) as translator:
        texts = [t.text for t in translator.translate(sentences, TranslateOptions(beam_size=3, raw=True))]
    source, reference = tmp_path / "source", tmp_path / "reference"
    source.write_text("".join(f"{line}\n" for line in sentences), "utf-8")
    reference.write_text("".join(f"{line} x\n" for line in texts), "utf-8")
    return source, reference, texts


def test_a_model_is_scored_by_its_translations(
    bundle: Path, files: tuple[Path, Path, list[str]], capsys: Output
) -> None:
    source, reference, texts = files
    arguments: list[str | Path] = [
        "evaluate",
        "quality",
        bundle,
        "--source",
        source,
        "--reference",
        reference,
        "--beam",
        "3",
        "--raw",
    ]
    report = json.loads(run(capsys, *arguments, "--json"))
    expected = bleu(texts, [reference.read_text("utf-8").splitlines()])
    assert report["rows"][0]["bleu"] == {"score": pytest.approx(expected.value), "signature": expected.signature}
    assert report["rows"][0]["sentences"] == 12


def test_existing_translations_are_scored_with_flags_and_tabs(tmp_path: Path, capsys: Output) -> None:
    lines = ["der alte Hund sieht den Baum", "ein Mann hört oft den Hund", "sie findet heute den Tisch"]
    (tmp_path / "hyp").write_text("\n".join(lines) + "\n", "utf-8")
    (tmp_path / "ref").write_text(f"{lines[0]}\nganz etwas anderes\t{lines[1]}\n{lines[2]}\n", "utf-8")
    (tmp_path / "near").write_text("0\n1\n0\n", "utf-8")
    arguments: list[str | Path] = [
        "evaluate",
        "quality",
        "--hypothesis",
        tmp_path / "hyp",
        "--reference",
        tmp_path / "ref",
        "--tabs",
    ]
    out = run(capsys, *arguments, "--flags", tmp_path / "near")
    table = [line.split() for line in out.splitlines() if line.startswith(("all", "unflagged"))]
    assert [row[:3] for row in table] == [
        ["all", "first", "3"],
        ["all", "all", "3"],
        ["unflagged", "first", "2"],
        ["unflagged", "all", "2"],
    ]
    assert float(table[0][3]) < 100
    assert [row[3] for row in table[1:]] == ["100.00"] * 3
    assert "\nBLEU|nrefs:1|case:mixed|" in out
    assert "\nchrF2|nrefs:1|case:mixed|" in out


def test_inspect_says_what_the_files_hold(bundle: Path, capsys: Output) -> None:
    facts = json.loads(run(capsys, "inspect", bundle, "--json"))
    assert (facts["source_lang"], facts["target_lang"], facts["storage"]) == ("en", "de", "float32")
    assert sum(facts["parameters_by_part"].values()) == facts["parameters"]
    weights = (bundle / "model.safetensors").read_bytes()
    assert facts["version"] == hashlib.sha256(weights).hexdigest()[:12]
    (listed,) = [file for file in facts["files"] if file["name"] == "model.safetensors"]
    assert listed == {
        "name": "model.safetensors",
        "bytes": len(weights),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    assert {file["name"] for file in facts["files"]} == {path.name for path in bundle.iterdir()}

    printed = run(capsys, "inspect", bundle)
    assert "en to de" in printed
    assert f"{facts['parameters']:,}" in printed
    assert "verified" in printed
