"""`nmt evaluate` and `nmt inspect`: what they print is what the library and the files say."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from nmt.bundle import load_bundle
from nmt.cli.main import main
from nmt.evaluation.alignment import (
    GoldLinks,
    Link,
    evaluate_alignment,
    grow_diag_final_and,
    pharaoh,
    read_links,
)
from nmt.evaluation.quality import bleu
from nmt.inference import TranslateOptions, Translator
from nmt.inference.aligner import align_pairs
from tests.bundles import make_bundle, toy_sentences

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


@pytest.fixture
def aligned(bundle: Path, tmp_path: Path) -> tuple[Path, Path, list[frozenset[Link]]]:
    """A source, its translation, and the model's links."""
    pairs = [(sentence, sentence.lower()) for sentence in toy_sentences(6)]
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("".join(f"{s}\n" for s, _ in pairs), "utf-8")
    target.write_text("".join(f"{t}\n" for _, t in pairs), "utf-8")
    return source, target, [frozenset(links) for links in align_pairs(load_bundle(bundle), pairs)]


def test_alignment_is_that_of_the_model_against_peoples(
    bundle: Path, aligned: tuple[Path, Path, list[frozenset[Link]]], tmp_path: Path, capsys: Output
) -> None:
    source, target, links = aligned
    gold, found = tmp_path / "gold", tmp_path / "found"
    # people count from 1, target first, and have not linked the first word
    gold.write_text("".join(" ".join(f"{j + 1}-{i + 1}" for i, j in some if j) + "\n" for some in links), "utf-8")
    arguments: list[str | Path] = ["evaluate", "alignment", bundle, "--source", source, "--target", target]
    arguments += ["--gold", gold, "--first-word", "1", "--target-first", "-o", found]
    scores = json.loads(run(capsys, *arguments, "--json"))["scores"]
    total = sum(map(len, links))
    assert scores["forward"]["recall"] == 1
    assert scores["forward"]["precision"] == pytest.approx((total - len(links)) / total)
    assert read_links(found) == links
    printed = run(capsys, "evaluate", "alignment", "--links", found, "--gold", found).splitlines()
    assert printed[0].split() == ["links", "AER", "precision", "recall", "F1", "number"]
    assert printed[1].split() == ["forward", "0.000", "100.0", "100.0", "100.0", str(total)]


def test_two_directions_are_joined(
    bundle: Path, aligned: tuple[Path, Path, list[frozenset[Link]]], tmp_path: Path, capsys: Output
) -> None:
    source, target, links = aligned
    make_bundle(tmp_path / "de-en", seed=4, source_lang="de", target_lang="en")
    gold = tmp_path / "gold"
    gold.write_text("".join(f"{pharaoh(some)}\n" for some in links), "utf-8")
    arguments: list[str | Path] = ["evaluate", "alignment", bundle, "--source", source, "--target", target]
    arguments += ["--gold", gold, "--backward", tmp_path / "de-en", "-o", tmp_path / "joined"]
    scores = json.loads(run(capsys, *arguments, "--json"))["scores"]
    sides = (path.read_text("utf-8").splitlines() for path in (target, source))
    turned = list(zip(*sides, strict=True))
    back = [frozenset((i, j) for j, i in some) for some in align_pairs(load_bundle(tmp_path / "de-en"), turned)]
    expected = evaluate_alignment(links, [GoldLinks(some) for some in links], back)
    assert scores == expected.as_dict()
    assert read_links(tmp_path / "joined") == list(map(grow_diag_final_and, links, back))
    with pytest.raises(SystemExit):
        main([str(argument) for argument in (*arguments[:-4], "--backward", bundle)])
    assert "must be a model from de to en" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--links", "x"], "--gold is missing"),
        (["--gold", "x"], "name either a model"),
        (["MODEL", "--gold", "x"], "a model needs --source and --target"),
        (["--links", "x", "--gold", "x", "--backward", "MODEL"], "--backward needs a model"),
        (["MODEL", "--source", "S", "--target", "S", "--gold", "G", "--step", "next"], "predicting or reading"),
        (["MODEL", "--source", "S", "--target", "S", "--gold", "S"], "is no link"),
        (["MODEL", "--source", "S", "--target", "G", "--gold", "G"], "1 lines, but .* has 2"),
    ],
)
def test_what_alignment_cannot_do_is_one_line(
    arguments: list[str], message: str, bundle: Path, tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "s").write_text("a\nb\n", "utf-8")
    (tmp_path / "g").write_text("0-0\n" if "lines" in message else "0-0\n\n", "utf-8")
    names = {"MODEL": str(bundle), "S": str(tmp_path / "s"), "G": str(tmp_path / "g")}
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", "alignment", *(names.get(word, word) for word in arguments)])
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert re.search(message, error)
    assert error.count("\n") == 1
