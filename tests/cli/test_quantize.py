"""`nmt quantize`: the bundle that it writes, and the figures that it prints beside each other."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from nmt.bundle import load_bundle, rewrite_shortlist
from nmt.evaluation.quality import bleu
from nmt.inference import TranslateOptions, Translator
from nmt.shortlist import Shortlist
from tests.bundles import toy_sentences
from tests.cli.calls import call_here

Output = pytest.CaptureFixture[str]


run = partial(call_here, "quantize")


def test_matrices_take_a_byte_a_weight_and_the_rest_stays(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    model = load_bundle(bundle)
    V = model.config.src_vocab
    with_shortlist = tmp_path / "with shortlist"
    rewrite_shortlist(bundle, Shortlist.of_lists([[i] for i in range(V)], [4], V), with_shortlist)
    assert run(with_shortlist, tmp_path / "new" / "en-de") == 0
    small = load_bundle(tmp_path / "new" / "en-de")
    assert small.config.storage == "int8"
    assert small.config.search == model.config.search
    assert small.card == model.card
    assert small.shortlist is not None
    for name, weight in model.weights.items():
        step = np.abs(weight).max(axis=-1, keepdims=True) / 127 if weight.ndim == 2 else np.float32(0)
        assert (np.abs(small.weights[name] - weight) <= 0.5001 * step).all(), name
    stored = load_file(tmp_path / "new" / "en-de" / "model.safetensors")
    assert all(stored[name].dtype == np.int8 for name, weight in model.weights.items() if weight.ndim == 2)

    printed = capsys.readouterr().out
    for folder in (bundle, tmp_path / "new" / "en-de"):
        assert f"{(folder / 'model.safetensors').stat().st_size:,}" in printed
    assert "float32" in printed
    assert "BLEU" not in printed


def test_bleu_is_that_of_fp32_before_and_of_int8_after(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    sentences = toy_sentences(20)
    with Translator.load(bundle, device="cpu", precision="fp32") as translator:
        texts = [t.text for t in translator.translate(sentences, TranslateOptions(beam_size=3, raw=True))]
    source, reference = tmp_path / "source", tmp_path / "reference"
    source.write_text("".join(f"{line}\n" for line in sentences), "utf-8")
    reference.write_text("".join(f"{line} x\n" for line in texts), "utf-8")
    options = ("--source", source, "--reference", reference, "--beam", 3, "--device", "cpu")
    assert run(bundle, tmp_path / "small", *options, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    before, after = report["before"], report["after"]
    score = bleu(texts, [[f"{line} x" for line in texts]])
    assert before["BLEU"] == round(score.value, 2)
    assert before["signature"] == score.signature == after["signature"]
    assert (before["precision"], after["precision"]) == ("fp32", "int8")
    with Translator.load(tmp_path / "small", device="cpu", precision="int8") as translator:
        texts = [t.text for t in translator.translate(sentences, TranslateOptions(beam_size=3, raw=True))]
    assert after["BLEU"] == round(bleu(texts, [reference.read_text("utf-8").splitlines()]).value, 2)
    assert after["weights, bytes"] < before["weights, bytes"] / 2
    assert before["sentences/s"] > 0
    assert after["sentences/s"] > 0


def test_bleu_counts_every_reference(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    sentences = toy_sentences(8)
    with Translator.load(bundle, device="cpu", precision="fp32") as translator:
        right = [t.text for t in translator.translate(sentences, TranslateOptions(raw=True))]
    wrong = ["x y z"] * len(right)
    texts = {
        "source": sentences,
        "wrong": wrong,
        "right": right,
        "both.allrefs.de": [f"{one}\t{other}" for one, other in zip(wrong, right, strict=True)],
    }
    for name, lines in texts.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    expected = bleu(right, [wrong, right])
    for number, names in enumerate((("wrong", "right"), ("both.allrefs.de",))):
        references = [word for name in names for word in ("--reference", tmp_path / name)]
        options = ("--source", tmp_path / "source", *references, "--device", "cpu", "--workers", 1, "--json")
        assert run(bundle, tmp_path / f"small{number}", *options) == 0
        before = json.loads(capsys.readouterr().out)["before"]
        assert (before["BLEU"], before["signature"]) == (round(expected.value, 2), expected.signature)


def test_a_line_that_is_too_long_counts_as_empty_and_is_named(bundle: Path, tmp_path: Path, capsys: Output) -> None:
    source, reference = tmp_path / "source", tmp_path / "reference"
    source.write_text(f"The dog.\n{'the dog ' * 500}\n", "utf-8")
    reference.write_text("a b\nc d\n", "utf-8")
    options = ("--source", source, "--reference", reference, "--device", "cpu", "--workers", 1, "--json")
    assert run(bundle, tmp_path / "small", *options) == 0
    out, err = capsys.readouterr()
    assert "BLEU" in json.loads(out)["after"]
    assert "warning: line 2: " in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{bundle}",), "is the model itself"),
        (("docs",), "docs: is there and is no model bundle"),
        (("{new}", "--source", "README.md"), "BLEU needs both"),
        (("{new}", "--beam", "2"), "--beam: for translating --source, and there is none"),
        (("{new}", "--reference", "README.md"), "BLEU needs both"),
        (("{new}", "--source", "README.md", "--reference", "nowhere"), "nowhere: no such file"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    bundle: Path, tmp_path: Path, capsys: Output, arguments: tuple[str, ...], message: str
) -> None:
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert run(bundle, *(word.format(bundle=bundle, new=tmp_path / "new") for word in arguments)) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    assert not (tmp_path / "new").exists()
