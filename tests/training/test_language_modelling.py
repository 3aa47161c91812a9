"""Language models in training: what is read and what it should give, the state that is carried, and the dev loss."""

from __future__ import annotations

import io
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor

from nmt.bundle import load_bundle
from nmt.config import ModelConfig, load_recipe
from nmt.data.prepared import PreparedCorpus
from nmt.errors import BundleError, ConfigError
from nmt.model.language_model import LanguageModel, build_language_model
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID, SPECIAL_PIECES, Tokenizer, VocabularyTokenizer
from nmt.training import trainer
from nmt.training.language_modelling import (
    LanguageBatch,
    LanguageLoss,
    LanguageValidator,
    RunningStream,
    RunningText,
    make_language_batch,
)
from nmt.training.report import Reporter
from nmt.training.trainer import Outcome, train
from tests.bundles import make_bundle
from tests.corpora import toy_pair

VOCAB = 9
LINES = [[4, 5, 6], [7], [], [8, 4, 4, 5, 7, 6], [5, 5]]


def tiny(**choices: Any) -> LanguageModel:
    torch.manual_seed(3)
    settings: dict[str, Any] = {"embedding_size": 5, "hidden_size": 6, "dropout": 0.0, "tying": "target"}
    model = build_language_model(ModelConfig(**settings | choices), VOCAB)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.8, 0.8)
    return model


def validator(
    lines: list[list[int]], *, is_running: bool, samples: int = 0, tokenizer: Tokenizer | None = None
) -> LanguageValidator:
    letters = VocabularyTokenizer("char", [*SPECIAL_PIECES, *"abcde"], "identity")
    device = torch.device("cpu")
    return LanguageValidator(lines, tokenizer or letters, device, is_running=is_running, samples=samples)


@torch.no_grad()
def by_steps(model: LanguageModel, lines: list[list[int]], *, is_running: bool) -> float:
    """-log p of all lines, one token after the other; a running text keeps its state from line to line."""
    model.eval()
    nll, state = 0.0, model.start(1)
    for ids in lines:
        if not is_running:
            state = model.start(1)
        for read, following in zip([BOS_ID, *ids], [*ids, EOS_ID], strict=True):
            logits, state = model.step(torch.tensor([read]), state)
            nll -= float(logits.log_softmax(dim=-1)[0, following])
    return nll


@pytest.mark.parametrize("is_running", [False, True])
def test_the_dev_loss_is_that_of_single_steps(is_running: bool) -> None:
    model = tiny()
    lines = LINES if is_running else LINES * 20
    found = validator(lines, is_running=is_running).validate(model)
    tokens = sum(len(ids) + 1 for ids in lines)
    assert model.training
    assert found.loss == pytest.approx(by_steps(model, lines, is_running=is_running) / tokens, rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(found.loss))


def test_a_validation_shows_lines_that_the_model_writes(tmp_path: Path) -> None:
    model = tiny()
    with torch.no_grad():
        model.output.bias[EOS_ID] -= 4.0  # lines of some length
    dev = validator(LINES, is_running=False, samples=3)
    result = dev.validate(model)
    assert len({output for _, _, output in result.samples}) == 3
    assert {letter for _, _, output in result.samples for letter in output} <= set("abcde")
    assert dev.validate(model).samples == result.samples
    file = io.StringIO()
    Reporter(tmp_path, console=Console(file=file, width=200)).validation(1, 0, result)
    printed = file.getvalue()
    assert printed.count("  output     ") == 3
    assert "source" not in printed


@pytest.mark.parametrize(("rows", "steps"), [(1, 4), (2, 3), (3, 5), (4, 2), (100, 4)])
def test_a_running_text_is_read_whole_in_rows_that_go_on(rows: int, steps: int) -> None:
    text = RunningText.of(LINES)
    assert text.tgt_in.tolist()[:6] == [BOS_ID, 4, 5, 6, BOS_ID, 7]
    assert text.tgt_out.tolist()[:6] == [4, 5, 6, EOS_ID, 7, EOS_ID]
    stream = RunningStream(text, rows, steps)
    batches = list(stream.epoch(0))
    assert len(batches) == stream.count(0)
    assert [batch.goes_on for batch in batches] == [False] + [True] * (len(batches) - 1)
    assert all(batch.tgt_in.shape[1] <= steps for batch in batches)
    assert len(batches[0].tgt_in) == min(rows, len(text.tgt_in) // steps)
    for side, whole in (("tgt_in", text.tgt_in), ("tgt_out", text.tgt_out)):
        flat = torch.cat([getattr(batch, side) for batch in batches], dim=1).flatten().tolist()
        assert [token for token in flat if token != PAD_ID] == whole.tolist()
        assert flat[: len(whole)] == whole.tolist(), "padding is at the end only"
    assert sum(batch.tokens for batch in batches) == len(text.tgt_out)
    rest = list(stream.epoch(3, start=1))
    assert [batch.tgt_in.tolist() for batch in rest] == [batch.tgt_in.tolist() for batch in batches[1:]]


def running_loss(model: LanguageModel, steps: int, *, carries: bool = True) -> tuple[float, dict[str, Tensor]]:
    """Of an epoch in one row, with its gradients."""
    objective = LanguageLoss(model, 0.0, steps, carries=carries)
    model.zero_grad()
    total = 0.0
    for batch in RunningStream(RunningText.of(LINES), 1, steps).epoch(0):
        loss = objective(batch if carries else batch._replace(goes_on=False))
        loss.smoothed.backward()
        total += float(loss.nll)
    return total, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_the_state_is_carried_from_batch_to_batch_and_the_gradient_is_not() -> None:
    model = tiny()
    expected = by_steps(model, LINES, is_running=True)
    model.train()
    assert running_loss(model, 4)[0] == pytest.approx(expected, rel=1e-5)
    assert running_loss(model, 4, carries=False)[0] != pytest.approx(expected, rel=1e-5)
    # batches of k steps have the gradient of the whole text cut every k steps
    text = RunningText.of(LINES)
    tgt_in, tgt_out = (torch.from_numpy(part.astype(np.int64)).unsqueeze(0) for part in text)
    found = running_loss(model, 4)[1]
    model.zero_grad()
    LanguageLoss(model, 0.0, 4, carries=False)(LanguageBatch(tgt_in, tgt_out, len(text.tgt_in))).smoothed.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(found[name], parameter.grad, rtol=0, atol=1e-5)


def test_padding_adds_nothing_to_the_loss() -> None:
    model = tiny()
    objective = LanguageLoss(model, 0.1, 0, carries=False)
    together = objective(make_language_batch(LINES))
    alone = [objective(make_language_batch([line])) for line in LINES]
    assert float(together.nll) == pytest.approx(sum(float(loss.nll) for loss in alone), rel=1e-5)
    assert float(together.smoothed.detach()) == pytest.approx(
        sum(float(loss.smoothed.detach()) for loss in alone), rel=1e-5
    )


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_what_is_carried_can_be_put_back(cell: str) -> None:
    batches = list(RunningStream(RunningText.of(LINES), 2, 4).epoch(0))
    first = LanguageLoss(tiny(cell=cell, decoder_layers=2), 0.0, 4, carries=True)
    first(batches[0])
    second = LanguageLoss(tiny(cell=cell, decoder_layers=2), 0.0, 4, carries=True)
    second.carry({name: tensor.clone() for name, tensor in first.carried().items()})
    assert float(first(batches[1]).nll) == float(second(batches[1]).nll)


SETTINGS = [
    "task=language-model",
    "text.kind=word",
    "text.vocab_size=60",
    "model.embedding_size=8",
    "model.hidden_size=8",
    "training.threads=1",
    "training.precision=fp32",
    "training.batch_tokens=120",
    "training.checkpoint_every_s=0",
    "training.sample_translations=0",
]
RUNNING = ["data.running_text=true", "training.bptt=6", "model.dropout=0.3", "model.word_dropout=0.1"]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "learning_curve", lambda *_: None)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    rng = random.Random(3)
    path = tmp_path / "text.txt"
    path.write_text("".join(f"{toy_pair(rng)[0]}\n" for _ in range(120)), "utf-8")
    return path


def run(text: Path, output: Path, *settings: str, **options: Any) -> Outcome:
    recipe = load_recipe(None, [*SETTINGS, f'data.train=[["{text}"]]', f'output="{output}"', *settings])
    return train(recipe, tensorboard=False, storage="float32", **options)


def newest(output: Path) -> dict[str, Tensor]:
    folder = max((output / "checkpoints").glob("update-*"))
    return {f"{path.stem} {name}": t for path in folder.glob("*.safetensors") for name, t in load_file(path).items()}


@pytest.mark.parametrize(
    "settings",
    [RUNNING, [*RUNNING, "training.precision=bf16"], ["text.sampling=0.2", "text.kind=unigram", "text.vocab_size=300"]],
)
def test_a_resumed_run_ends_in_the_same_weights_and_the_same_state(
    text: Path, tmp_path: Path, settings: list[str]
) -> None:
    run(text, tmp_path / "whole", *settings, "training.updates=9")
    run(text, tmp_path / "parts", *settings, "training.updates=4")
    run(text, tmp_path / "parts", *settings, "training.updates=9", resume=True)
    expected, found = newest(tmp_path / "whole"), newest(tmp_path / "parts")
    assert expected.keys() == found.keys()
    assert any(name.startswith("carried") for name in expected) == ("data.running_text=true" in settings)
    assert [name for name, value in expected.items() if not torch.equal(value, found[name])] == []


def test_one_process_learns_a_running_text(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where any other corpus of its size would have several."""
    monkeypatch.setattr(trainer, "pick_workers", lambda *_: 2)
    run(text, tmp_path / "run", *RUNNING, "training.updates=1")
    with pytest.raises(ConfigError, match="learnt by one process"):
        run(text, tmp_path / "more", *RUNNING, "training.workers=2")


def test_processes_share_the_lines_of_a_batch(text: Path, tmp_path: Path) -> None:
    sgd = ["training.updates=2", "optimizer.name=sgd", "optimizer.warmup_updates=0", "model.dropout=0"]
    for workers in (1, 2):
        run(text, tmp_path / str(workers), *sgd, f"training.workers={workers}")
    one, two = newest(tmp_path / "1"), newest(tmp_path / "2")
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=0, atol=1e-6, msg=name)


def test_a_bundle_is_loaded_by_those_who_can_use_it(text: Path, tmp_path: Path) -> None:
    outcome = run(text, tmp_path / "run", "training.updates=2", "data.source_lang=en")
    assert outcome.bundle is not None
    with pytest.raises(BundleError, match=r"run/bundle: a language model \(nmt sample, nmt score\), not a translator$"):
        load_bundle(outcome.bundle)
    bundle = load_bundle(outcome.bundle, ["language-model"])
    assert (bundle.config.source_lang, bundle.config.target_lang) == ("en", "en")
    assert "# en: a language model" in bundle.card
    lines = [line for line, _ in PreparedCorpus(tmp_path / "run" / "data").dev]
    ids = bundle.tokenizers.target.encode_batch(lines)
    dev = validator(ids, is_running=False, tokenizer=bundle.tokenizers.target)
    perplexity = dev.validate(bundle.build_language_model()).perplexity
    assert perplexity == pytest.approx(bundle.config.training["dev"]["perplexity"], rel=1e-3)


def test_the_vocabulary_of_a_bundle_can_be_taken(text: Path, tmp_path: Path) -> None:
    translator = make_bundle(tmp_path / "en-de", text={"joint": False}, tying="target")
    outcome = run(text, tmp_path / "run", "training.updates=1", f'text.vocabulary="{tmp_path / "en-de"}"')
    assert outcome.bundle is not None
    ours, theirs = load_bundle(outcome.bundle, ["language-model"]).tokenizers.target, translator.tokenizers.target
    assert ours.pieces(range(ours.size)) == theirs.pieces(range(theirs.size))
    with pytest.raises(ConfigError, match=r"text\.vocabulary: .*no SHA256SUMS"):
        run(text, tmp_path / "other", f'text.vocabulary="{tmp_path}"')
