"""Taggers and classifiers in training: which piece has which label, what accuracy counts, and whole runs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nmt.bundle import load_bundle
from nmt.config import ModelConfig, load_recipe
from nmt.data.forms import blank_words
from nmt.errors import BundleError, CorpusError
from nmt.model.labeller import Labeller, build_labeller
from nmt.text.labels import encode_words, label_vocabulary
from nmt.text.tokenizer import EOS_ID, PAD_ID, UNK_ID, TokenizerPair, VocabularyTokenizer
from nmt.training import trainer
from nmt.training.labelling import LabelEncoder, LabelLoss, LabelValidator
from nmt.training.trainer import Outcome, train

TAGGED = [("ab c", "X Y"), ("a", "Z"), ("c ab ab", "Y Y X"), ("bb a", "X-1 Z")]
CLASSED = [("ab c", "X"), ("a", "Z"), ("c ab ab", "Y")]
CPU = torch.device("cpu")


def tokenizers(pairs: list[tuple[str, str]]) -> TokenizerPair:
    source = VocabularyTokenizer.train([text for text, _ in pairs], "char", 50, "identity")
    return TokenizerPair(source, label_vocabulary([labels for _, labels in pairs]))


def labeller(pair: TokenizerPair, *, is_by_word: bool, **choices: Any) -> Labeller:
    torch.manual_seed(0)
    config = ModelConfig(embedding_size=4, hidden_size=6, encoder_layers=1, dropout=0.0, **choices)
    return build_labeller(config, pair.source.size, pair.target.size, is_by_word=is_by_word)


def test_labels_are_pieces_as_they_stand() -> None:
    labels = label_vocabulary(["B-PER O O", "O I-PER", "<weird> $"])
    assert sorted(labels.pieces(range(4, labels.size))) == sorted(
        f"▁{w}" for w in ("O", "B-PER", "I-PER", "<weird>", "$")
    )
    assert labels.decode(labels.encode("I-PER O  <weird>")) == "I-PER O <weird>"
    assert labels.encode("nowhere") == [UNK_ID]


def test_a_label_is_asked_for_at_the_last_piece_of_its_word() -> None:
    pair = tokenizers(TAGGED)
    batch = LabelEncoder(pair, 0.0, 0, is_by_word=True)(TAGGED)
    assert batch.tokens == 8
    assert batch.src_lengths.tolist() == [6, 3, 9, 6]
    # of "▁ab▁c</s>" the words end at b and c
    assert [[i for i, label in enumerate(row) if label != PAD_ID] for row in batch.labels.tolist()] == [
        [2, 4], [1], [1, 4, 7], [2, 4]
    ]  # fmt: skip
    for ids, labels, (_, wanted) in zip(batch.src.tolist(), batch.labels.tolist(), TAGGED, strict=True):
        assert ids.index(EOS_ID) == len(ids) - ids[::-1].index(EOS_ID) - 1
        assert pair.target.decode([label for label in labels if label != PAD_ID]) == wanted


def test_a_word_of_which_nothing_is_left_is_unknown() -> None:
    class Deaf(VocabularyTokenizer):
        def encode_batch(self, texts: Any) -> list[list[int]]:
            return [[] if text == "?" else ids for text, ids in zip(texts, super().encode_batch(texts), strict=True)]

    deaf = Deaf.train(["a b"], "char", 50, "identity")
    ((ids, ends),) = encode_words([["a", "?", "b"]], deaf)
    assert ids[ends[1]] == UNK_ID
    assert len(ends) == 3


@pytest.mark.parametrize("is_by_word", [True, False])
def test_padding_changes_neither_loss_nor_accuracy(is_by_word: bool) -> None:
    pairs = TAGGED if is_by_word else CLASSED
    pair = tokenizers(pairs)
    model = labeller(pair, is_by_word=is_by_word)
    encode = LabelEncoder(pair, 0.0, 0, is_by_word=is_by_word)
    objective = LabelLoss(model, 0.1)
    together, alone = objective(encode(pairs)), [objective(encode([one])) for one in pairs]
    assert float(together.nll) == pytest.approx(sum(float(loss.nll) for loss in alone), rel=1e-5)
    found = LabelValidator(pairs, pair, encode, CPU, samples=2).validate(model)
    assert model.training
    assert [reference for _, reference, _ in found.samples] == [labels for _, labels in pairs[:2]]
    singles = [LabelValidator([one], pair, encode, CPU, samples=1).validate(model) for one in pairs]
    counts = [len(labels.split()) for _, labels in pairs]
    assert found.accuracy == pytest.approx(
        sum((single.accuracy or 0.0) * count for single, count in zip(singles, counts, strict=True)) / sum(counts)
    )
    # and that is what the labels shown say
    for single, (_, wanted) in zip(singles, pairs, strict=True):
        ((_, _, output),) = single.samples
        right = [a == b for a, b in zip(output.split(), wanted.split(), strict=True)]
        assert single.accuracy == pytest.approx(sum(right) / len(right))


@pytest.mark.parametrize("is_by_word", [True, False])
def test_a_label_never_seen_in_training_is_wrong(is_by_word: bool) -> None:
    pair = tokenizers(CLASSED)
    model = labeller(pair, is_by_word=is_by_word)
    encode = LabelEncoder(pair, 0.0, 0, is_by_word=is_by_word)
    with torch.no_grad():
        model.output.bias[UNK_ID] = 100.0  # a special id is no label, however likely
    assert LabelValidator([("a", "nowhere")], pair, encode, CPU, samples=1).validate(model).accuracy == 0.0


SETTINGS = [
    "text.vocab_size=300",
    "model.embedding_size=8",
    "model.hidden_size=8",
    "model.encoder_layers=1",
    "training.threads=1",
    "training.precision=fp32",
    "training.batch_tokens=120",
    "training.checkpoint_every_s=0",
]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "learning_curve", lambda *_: None)


def run(task: str, folder: Path, output: str, *settings: str, **options: Any) -> Outcome:
    rng = random.Random(3)
    path = folder / f"{task}.tsv"
    texts = [" ".join(rng.choices(["old", "red", "dog", "table", "sees"], k=rng.randint(2, 6))) for _ in range(80)]
    labels = [" ".join(word[0].upper() for word in text.split()) for text in texts]
    if task == "classification":
        labels = [line[0] for line in labels]
    if not path.exists():
        path.write_text("".join(f"{text}\t{label}\n" for text, label in zip(texts, labels, strict=True)), "utf-8")
    data = [f"task={task}", f'data.train=[["{path}"]]', f'output="{folder / output}"']
    return train(load_recipe(None, [*SETTINGS, *data, *settings]), tensorboard=False, storage="float32", **options)


@pytest.mark.parametrize("task", ["tagging", "classification"])
def test_a_run_ends_with_a_bundle_and_can_be_resumed(task: str, tmp_path: Path) -> None:
    same = ["model.dropout=0.3", "text.sampling=0.2", "training.average=1"]
    outcome = run(task, tmp_path, "whole", *same, "training.updates=6", "data.source_lang=en")
    run(task, tmp_path, "parts", *same, "training.updates=3", "data.source_lang=en")
    run(task, tmp_path, "parts", *same, "training.updates=6", "data.source_lang=en", resume=True)
    whole, parts = (
        load_file(max((tmp_path / name / "checkpoints").glob("update-*")) / "model.safetensors")
        for name in ("whole", "parts")
    )
    assert [name for name, value in whole.items() if not torch.equal(value, parts[name])] == []
    assert outcome.bundle is not None
    with pytest.raises(BundleError, match=r"a (tagger|classifier) \(nmt label\), not a translator$"):
        load_bundle(outcome.bundle)
    bundle = load_bundle(outcome.bundle, ["tagging", "classification"])
    assert bundle.config.training["lines"] > 0
    assert "| accuracy |" in bundle.card
    labels = bundle.tokenizers.target
    assert {piece.strip("▁") for piece in labels.pieces(range(4, labels.size))} == set("ORDTS")
    assert bundle.build_labeller().is_by_word == (task == "tagging")


def test_a_flaw_in_the_labels_is_found_before_any_time_is_spent(tmp_path: Path) -> None:
    (tmp_path / "tagging.tsv").write_text("two words\tA B\nthree words here\tA B\n", "utf-8")
    with pytest.raises(CorpusError, match=r"tagging\.tsv:2: 2 labels for 3 words"):
        run("tagging", tmp_path, "run")
    assert not (tmp_path / "run").exists()


def test_words_of_text_are_those_between_blanks() -> None:
    assert blank_words("don't  stop .") == ["don't", "stop", "."]
