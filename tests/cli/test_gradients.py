"""`nmt inspect --gradients` measures bundles and untrained networks, and prints and draws what it finds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from nmt.bundle import load_bundle
from nmt.cli.main import main
from nmt.training.gradients import language_rows, reach_of_language_model, reach_of_translator, translation_rows
from tests.bundles import make_labeller, make_language_model, toy_sentences

Output = pytest.CaptureFixture[str]


def run(output: Output, *arguments: str | Path) -> str:
    """Standard output of a call that succeeds, in this process."""
    with pytest.raises(SystemExit) as exit_:
        main(["inspect", "--gradients", *map(str, arguments)])
    out, err = output.readouterr()
    assert (exit_.value.code, err) == (0, "")
    return out


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text("".join(f"{line}\n" for line in toy_sentences(20)), "utf-8")
    return path


def states(printed: str) -> dict[str, dict[str, Any]]:
    (series,) = json.loads(printed)
    return {state["name"]: state for state in series["states"]}


def test_a_translator_is_measured_on_its_text(bundle: Path, text: Path, capsys: Output) -> None:
    arguments: list[str | Path] = [
        bundle,
        "--source",
        text,
        "--target",
        text,
        "--steps",
        "6",
        "--sequences",
        "5",
        "--json",
    ]
    found = states(run(capsys, *arguments))
    loaded = load_bundle(bundle)
    ids = [loaded.tokenizers.source.encode(line) for line in text.read_text("utf-8").splitlines()]
    batch = translation_rows([(one, one) for one in ids], 7, 5, 1)
    for reach in reach_of_translator(loaded.build_model(), batch, 7):
        assert found[reach.name]["norms"] == pytest.approx(reach.norms.tolist())
        assert found[reach.name]["gamma"] == pytest.approx(reach.gamma)
    assert {"decoder 1 h", "decoder 1 c", "encoder 1 backward h"} <= found.keys()
    assert len(found["decoder 1 h"]["norms"]) == 1 + 6


@pytest.mark.parametrize("runs_on", [False, True])
def test_a_language_model_is_measured_on_its_text(runs_on: bool, text: Path, tmp_path: Path, capsys: Output) -> None:
    loaded = make_language_model(tmp_path / "lm", running_text=runs_on, cell="gru")
    found = states(run(capsys, tmp_path / "lm", "--text", text, "--steps", "4", "--json"))
    ids = loaded.tokenizers.target.encode_batch(text.read_text("utf-8").splitlines())
    rows = language_rows(ids, 5, 64, 1, runs_on=runs_on)
    reaches = reach_of_language_model(loaded.build_language_model(), rows)
    assert list(found) == ["layer 1 h", "layer 2 h"] == [reach.name for reach in reaches]
    for reach in reaches:
        assert found[reach.name]["norms"] == pytest.approx(reach.norms.tolist())


def test_untrained_networks_are_compared_in_table_and_picture(tmp_path: Path, capsys: Output) -> None:
    pytest.importorskip("matplotlib")
    networks = ("cell=rnn init_range=0.1", "cell=lstm forget_bias=4 hidden_size=32")
    arguments = [word for network in networks for word in ("--fresh", network)]
    lines = run(capsys, *arguments, "--steps", "12", "--picture", tmp_path / "reach.png").splitlines()
    assert lines[0].split() == [
        "network",
        "state",
        "gamma",
        "lost",
        "after",
        "1",
        "back",
        "2",
        "back",
        "5",
        "back",
        "10",
        "back",
    ]
    rows = [re.split(r"\s{2,}", line) for line in lines[1:]]
    assert [row[:2] for row in rows] == [
        [networks[0], "layer 1 h"],
        [networks[1], "layer 1 h"],
        [networks[1], "layer 1 c"],
    ]
    assert float(rows[0][2]) < 0.8 < float(rows[2][2])
    assert (tmp_path / "reach.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_text_random_words_are_read(bundle: Path, capsys: Output) -> None:
    first = run(capsys, bundle, "--steps", "5", "--sequences", "3", "--json")
    assert run(capsys, bundle, "--steps", "5", "--sequences", "3", "--json") == first
    assert run(capsys, bundle, "--steps", "5", "--sequences", "3", "--json", "--seed", "2") != first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gradients"], "whose gradients"),
        (["--gradients", "MODEL", "--source", "T"], "--source and --target go together"),
        (["--gradients", "MODEL", "--source", "T", "--target", "T", "--steps", "500"], "no translation of 501 words"),
        (["--gradients", "--fresh", "cell=elman"], "model.cell"),
        (["--gradients", "--fresh", "cell=rnn", "--picture", "x.gif"], "must end in"),
        (["--gradients", "--fresh", "cell=rnn", "--picture", "no/x.png"], "there is no folder"),
        (["--gradients", "MODEL", "--text", "T"], "--text is for the bundle of a language model"),
        (["--gradients", "--fresh", "cell=rnn", "--text", "T"], "--text is for the bundle of a language model"),
        (["--gradients", "LM", "--source", "T", "--target", "T"], "--source and --target are for a translator"),
        (["MODEL", "--steps", "9", "--seed", "0"], "--steps, --seed goes with --gradients"),
        (["MODEL", "--sequences", "9"], "--sequences goes with --gradients"),
        (["MODEL", "--fresh", "cell=rnn", "--picture", "x.png"], "--fresh, --picture goes with --gradients"),
        (["MODEL", "MODEL"], "name one model bundle"),
        ([], "name one model bundle"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    arguments: list[str], message: str, bundle: Path, text: Path, tmp_path: Path, capsys: Output
) -> None:
    if "LM" in arguments:
        make_language_model(tmp_path / "lm")
    names = {"MODEL": str(bundle), "T": str(text), "LM": str(tmp_path / "lm")}
    with pytest.raises(SystemExit) as exit_:
        main(["inspect", *(names.get(word, word) for word in arguments)])
    err = capsys.readouterr().err
    assert exit_.value.code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_tagger_is_refused_by_name(tmp_path: Path, capsys: Output) -> None:
    make_labeller(tmp_path / "tagger", "tagging")
    with pytest.raises(SystemExit):
        main(["inspect", "--gradients", str(tmp_path / "tagger")])
    assert "a tagger (nmt label), not a translator or a language model" in capsys.readouterr().err
