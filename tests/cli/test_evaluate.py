"""`nmt evaluate` and `nmt inspect`: what they print is what the library and the files say."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
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
from tests.corpora import toy_pair

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
        (["--links", "G", "--gold", "G", "--step", "reading"], "--step is of a model's attention"),
        (["--links", "G", "--gold", "G", "--source", "S"], "--source and --target go together"),
        (["--links", "L", "--gold", "G", "--source", "S", "--target", "S"], "l:2: link 1-0 is past the end"),
    ],
)
def test_what_alignment_cannot_do_is_one_line(
    arguments: list[str], message: str, bundle: Path, tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "s").write_text("a\nb\n", "utf-8")
    (tmp_path / "g").write_text("0-0\n" if "lines" in message else "0-0\n\n", "utf-8")
    (tmp_path / "l").write_text("0-0\n1-0\n", "utf-8")
    names = {"MODEL": str(bundle), **{name.upper(): str(tmp_path / name) for name in "sgl"}}
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", "alignment", *(names.get(word, word) for word in arguments)])
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert re.search(message, error)
    assert error.count("\n") == 1


@pytest.fixture
def two_systems(tmp_path: Path) -> list[str | Path]:
    """Arguments that compare two files of translations, the first clearly better, with sources and training text."""
    rng = random.Random(1)
    pairs = [toy_pair(rng) for _ in range(40)]
    worse = [" ".join(["falsch", *target.split()[1:]]) for _, target in pairs]
    texts = {"source": [s for s, _ in pairs], "ref": [t for _, t in pairs], "good": [t for _, t in pairs], "bad": worse}
    for name, lines in texts.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    names = {"--source": "source", "--reference": "ref", "--hypothesis": "good", "--against": "bad"}
    arguments = [word for option, name in names.items() for word in (option, tmp_path / name)]
    return ["evaluate", "quality", *arguments, "--resamples", "50", "--trials", "60"]


def test_two_systems_are_compared(two_systems: list[str | Path], capsys: Output) -> None:
    content = json.loads(run(capsys, *two_systems, "--seed", "5", "--json"))
    (comparison,) = content["comparisons"]
    assert (comparison["system"], comparison["other"]) == ("good", "bad")
    found = {one["metric"]: one for one in comparison["metrics"]}
    assert found["bleu"]["score"] == pytest.approx(100)
    assert found["ter"]["score"] == 0 < found["ter"]["other"]
    assert found["bleu"]["p_approximate_randomisation"] == pytest.approx(1 / 61)
    assert found["bleu"]["p_paired_bootstrap"] == pytest.approx(1 / 51)
    assert "|bs:50|ar:60|seed:5|" in found["bleu"]["signature"]
    printed = run(capsys, *two_systems)
    assert "good against bad" in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("TER") and " to " in line]
    assert "100.0 %" in line
    assert re.search(r"^good +100\.00 ± 0\.00 +100\.00 ± 0\.00 +0\.00 ± 0\.00$", printed, re.MULTILINE)


def test_ter_is_left_out_where_it_would_take_long(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "long").write_text("a b\n" + "x " * 101 + "\n", "utf-8")
    arguments = ["evaluate", "quality", "--hypothesis", str(tmp_path / "long"), "--reference", str(tmp_path / "long")]
    with pytest.raises(SystemExit):
        main(arguments)
    out, err = capsys.readouterr()
    assert "TER" not in out
    assert err.startswith("warning: TER is left out: line 2 has 101 words")
    assert "\nTER|" in run(capsys, *arguments, "--ter")
    assert "TER" not in run(capsys, *arguments, "--no-ter")


def test_long_names_are_whole_where_no_terminal_cuts_them(two_systems: list[str | Path], capsys: Output) -> None:
    name = "a" * 120
    path = Path(two_systems[two_systems.index("--hypothesis") + 1])
    path.rename(path.with_name(name))
    printed = run(capsys, *(path.with_name(name) if word == path else word for word in two_systems))
    assert f"\n{name}  " in printed
    assert "…" not in printed


def test_rarity_is_by_training_text(two_systems: list[str | Path], tmp_path: Path, capsys: Output) -> None:
    source, reference = (two_systems[two_systems.index(option) + 1] for option in ("--source", "--reference"))
    content = json.loads(run(capsys, *two_systems, "--train-source", source, "--train-target", reference, "--json"))
    groups = [row["lines"] for row in content["rows"]]
    assert any(group.startswith("rarest word: ") for group in groups)
    assert "rarest word: never seen" not in groups
    good, bad = (system["words"] for system in content["systems"])
    assert {row["f1"] for row in good} == {1}
    assert bad[0] | {"output": 40} == {
        "occurrences": "never seen",
        "reference": 0,
        "output": 40,
        "matched": 0,
        "precision": 0,
        "recall": 0,
        "f1": 0,
    }
    printed = run(capsys, *two_systems, "--train-target", reference)
    assert re.search(r"^good +\S+ times +\d+ +100\.0 +100\.0 +100\.0$", printed, re.MULTILINE)


def test_a_report_is_written(two_systems: list[str | Path], tmp_path: Path, capsys: Output) -> None:
    page = tmp_path / "report.html"
    run(capsys, *two_systems, "--report", page, "--title", "Good & bad")
    text = page.read_text("utf-8")
    assert "<h1>Good &amp; bad</h1>" in text
    assert "ahead of" in text
    run(capsys, *two_systems, "--report", page)
    assert "<h1>good on ref</h1>" in page.read_text("utf-8")


def test_a_model_is_compared_with_another(
    bundle: Path, files: tuple[Path, Path, list[str]], tmp_path: Path, capsys: Output
) -> None:
    source, reference, texts = files
    make_bundle(tmp_path / "other" / "en-de", seed=9, search={"max_length_factor": 0.8, "max_length_offset": 4})
    arguments: list[str | Path] = ["evaluate", "quality", bundle, "--against", tmp_path / "other" / "en-de"]
    arguments += ["--source", source, "--reference", reference, "--beam", "3", "--raw"]
    content = json.loads(
        run(capsys, *arguments, "-o", tmp_path / "out", "--report", tmp_path / "r.html", "--json", "--trials", "40")
    )
    assert (tmp_path / "out").read_text("utf-8").splitlines() == texts
    first, second = (system["name"] for system in content["systems"])
    assert first != second  # the last parts of the paths are the same
    assert first.endswith("en-de")
    assert second == "other/en-de"
    # rarity by the bundle's own vocabulary
    pieces = [bucket for bucket in content["systems"][0]["buckets"] if bucket["kind"] == "word cut finest"]
    assert sum(bucket["sentences"] for bucket in pieces) == 12
    assert '<bdi lang="de" dir="auto">' in (tmp_path / "r.html").read_text("utf-8")


def test_robustness_is_the_score_of_noise_beside_that_of_clean_text(
    bundle: Path, files: tuple[Path, Path, list[str]], tmp_path: Path, capsys: Output
) -> None:
    source, reference, _ = files
    arguments: list[str | Path] = ["evaluate", "robustness", bundle, "--source", source, "--reference", reference]
    arguments += ["--sets", tmp_path / "sets", "--seed", "3", "--resamples", "40"]
    content = json.loads(run(capsys, *arguments, "--json"))
    assert content["seed"] == 3
    sets = {one["name"]: one for one in content["sets"]}
    assert list(sets) == ["typos", "no full stop", "capitals", "lower case", "two joined"]
    folder = tmp_path / "sets"
    assert (folder / "capitals.source").read_text("utf-8") == source.read_text("utf-8").upper()
    lines = {name: (folder / f"{name}.output").read_text("utf-8").splitlines() for name in ("clean", "two_joined")}
    # the outputs are those of the model, joined ones without splitting, and the scores are theirs
    with Translator.load(bundle) as translator:
        joined = (folder / "two_joined.source").read_text("utf-8").splitlines()
        whole = [t.text for t in translator.translate(joined, TranslateOptions(splitting="none"))]
        assert lines["clean"] == [t.text for t in translator.translate(toy_sentences(12))]
    assert lines["two_joined"] == whole
    right = reference.read_text("utf-8").splitlines()
    both = [f"{one} {other}" for one, other in zip(right[::2], right[1::2], strict=True)]
    figures = sets["two joined"]["metrics"][0]
    assert figures["score"] == pytest.approx(bleu(whole, [both]).value)
    clean = [f"{one} {other}" for one, other in zip(lines["clean"][::2], lines["clean"][1::2], strict=True)]
    assert figures["clean"] == pytest.approx(bleu(clean, [both]).value)
    assert figures["ratio"] == pytest.approx(figures["score"] / figures["clean"])
    printed = run(capsys, *arguments).splitlines()
    assert printed[0].split()[0] == "set"
    assert printed[1].startswith("typos")


def test_sets_are_written_without_a_model_and_scored_by_quality(
    files: tuple[Path, Path, list[str]], tmp_path: Path, capsys: Output
) -> None:
    source, reference, _ = files
    folder = tmp_path / "sets"
    out = run(capsys, "evaluate", "robustness", "--source", source, "--reference", reference, "--sets", folder)
    assert out == ""
    found = run(capsys, "evaluate", "quality", "--hypothesis", reference, "--reference", folder / "typos.reference")
    assert "100.00" in found.splitlines()[1]


def test_sets_have_the_references_that_they_were_made_of(
    files: tuple[Path, Path, list[str]], tmp_path: Path, capsys: Output
) -> None:
    """One a line whatever stands in it; several only where tabs can tell them apart."""
    source, reference, _ = files
    odd, folder = tmp_path / "odd", tmp_path / "sets"
    odd.write_text("".join(f"{line}\n" for line in ["", "a\tb", *["c"] * 10]), "utf-8")
    words: list[str | Path] = ["evaluate", "robustness", "--source", source, "--sets", folder, "--reference", odd]
    run(capsys, *words)
    assert (folder / "typos.reference").read_bytes() == odd.read_bytes()
    run(capsys, "evaluate", "quality", "--hypothesis", reference, "--reference", folder / "typos.reference")
    with pytest.raises(SystemExit):
        main([str(word) for word in (*words, "--reference", reference)])
    assert "typos, line 1: a reference is empty or has a tab in it" in capsys.readouterr().err
    run(capsys, *words[:-1], reference, "--reference", reference)
    assert (folder / "typos.allrefs.reference").read_text("utf-8").splitlines()[0].count("\t") == 1


def test_outputs_go_where_they_are_told(two_systems: list[str | Path], tmp_path: Path, capsys: Output) -> None:
    """Through a link, compressed where the name says so, and into a device, which stays one."""
    (tmp_path / "link.html").symlink_to("page.html")
    run(capsys, *two_systems, "--report", tmp_path / "link.html", "-o", tmp_path / "out.gz")
    assert (tmp_path / "link.html").is_symlink()
    assert "<h1>" in (tmp_path / "page.html").read_text("utf-8")
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == (tmp_path / "good").read_bytes()
    device = Path(os.devnull).stat().st_ino
    run(capsys, *two_systems, "-o", os.devnull)
    assert Path(os.devnull).stat().st_ino == device


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quality", "MODEL", "--report", "no/r.html"], "no/r.html: cannot be written: there is no folder"),
        (["quality", "MODEL", "-o", "no/out"], "no/out: cannot be written: there is no folder"),
        (["alignment", "MODEL", "--target", "source", "--gold", "gold", "-o", "no/out"], "there is no folder"),
        (["robustness", "MODEL", "--sets", "source"], "source: cannot be written: File exists"),
        (["quality", "MODEL", "--tokenize", "13b"], "no BLEU tokenizer '13b'"),
        (["robustness", "MODEL", "--tokenize", "13b"], "no BLEU tokenizer '13b'"),
        (["quality", "MODEL", "--train-target", "nope"], "nope: no such file"),
        (["quality", "MODEL", "--train-source", "nope"], "nope: no such file"),
        (["quality", "MODEL", "--against", "nope"], "nope: no such file"),
        (["quality", "MODEL", "--against", "short"], "short: 1 hypotheses, but 12 lines"),
    ],
)
def test_what_cannot_be_read_or_written_is_refused_before_anything_is_translated(
    arguments: list[str],
    message: str,
    bundle: Path,
    files: tuple[Path, Path, list[str]],
    tmp_path: Path,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, reference, texts = files
    (tmp_path / "gold").write_text("0-0\n" * len(texts), "utf-8")
    (tmp_path / "short").write_text("a\n", "utf-8")
    broken = tmp_path / "broken"  # looks like a bundle: an error of its own where it is loaded
    broken.mkdir()
    (broken / "config.json").touch()
    monkeypatch.chdir(tmp_path)
    words = [str(broken) if word == "MODEL" else word for word in arguments]
    words += ["--source", str(source)] + ([] if "alignment" in words else ["--reference", str(reference)])
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", *words])
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quality", "--hypothesis", "S", "--against", "MODEL", "--reference", "S"], "a model needs --source"),
        (["quality", "--hypothesis", "S", "--reference", "S", "--train-source", "S"], "--train-source needs --source"),
        (["quality", "--hypothesis", "S", "--reference", "S", "--report", "x.pdf"], "ends in .html"),
        (["quality", "--hypothesis", "S", "--reference", "S", "--against", "T"], "t: 1 hypotheses, but 2 lines"),
        (["quality", "--hypothesis", "S", "--reference", "S", "--against", "none"], "none: no such file"),
        (["quality", "--hypothesis", "S", "--reference", "S", "--tokenize", "13b"], "no BLEU tokenizer '13b'"),
        (["quality", "--hypothesis", "MODEL", "--reference", "S"], "a model is named without it"),
        (["quality", "--hypothesis", "MODEL", "--source", "S", "--reference", "S"], "a model is named without it"),
        (["quality", "--hypothesis", "S", "--reference", "S", "--beam", "2", "--raw"], "--beam, --raw: for a model"),
        (["quality", "--hypothesis", "S", "--reference", "S", "--precision", "int8"], "--precision: for a model"),
        (["quality", "--hypothesis", "S", "--reference", "S", "--workers", "1"], "--workers: for a model"),
        (["robustness", "MODEL", "--reference", "S"], "--source is missing"),
        (["robustness", "--source", "S", "--reference", "S"], "name a model that translates the sets, or --sets"),
        (
            ["robustness", "--source", "S", "--sets", "F", "--mbr", "8"],
            "--mbr: for a model that translates, and here is",
        ),
    ],
)
def test_what_cannot_be_scored_is_one_line(
    arguments: list[str], message: str, bundle: Path, tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "s").write_text("a b\nb c\n", "utf-8")
    (tmp_path / "t").write_text("a\n", "utf-8")
    names = {"MODEL": str(bundle), "S": str(tmp_path / "s"), "T": str(tmp_path / "t")}
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", *(names.get(word, word) for word in arguments)])
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert message in error
    assert error.count("\n") == 1
