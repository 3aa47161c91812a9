"""The whole chain learns: a toy language whose rule a translator must find, within seconds and to a stated score."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nmt.bundle import load_bundle
from nmt.config import load_recipe
from nmt.evaluation.quality import bleu
from nmt.search.beam import beam_search
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper
from nmt.text.tokenizer import BOS_ID, EOS_ID
from nmt.training import trainer
from nmt.training.batches import make_batch
from nmt.training.trainer import train
from tests.corpora import toy_pair, write_toy_corpus

SETTINGS = [
    "text.kind=word",
    "text.vocab_size=100",
    "model.embedding_size=32",
    "model.hidden_size=64",
    "model.encoder_layers=1",
    "model.dropout=0",
    "model.attention_window=8",
    "optimizer.learning_rate=0.01",
    "optimizer.warmup_updates=20",
    "optimizer.schedule=cosine",
    "optimizer.betas=[0.9, 0.98]",
    "training.validate_every=1000",
    "training.validation_sentences=4",
    "training.batch_tokens=160",
    "training.label_smoothing=0",
    "training.threads=1",
    "training.precision=fp32",
    "training.checkpoint_every_s=0",
]
LEAST_BLEU = 90.0


@pytest.mark.parametrize(("span", "updates"), [("global", 400), ("local-p", 700)])
def test_a_small_translator_learns_the_toy_language(
    span: str, updates: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unseen sentences: every word of the lexicon, and the adverb moved to its new place.

    A translator that has learnt the language but not to look at its source scores about 15. Predicting positions takes
    longer to learn than finding words.
    """
    monkeypatch.setattr(trainer, "learning_curve", lambda *_: None)
    source, target = write_toy_corpus(tmp_path, pairs=800)
    data = [f'data.train=[["{source}", "{target}"]]', f'output="{tmp_path / "run"}"']
    outcome = train(
        load_recipe(None, [*SETTINGS, *data, f"model.attention_span={span}", f"training.updates={updates}"]),
        tensorboard=False,
        storage="int8",
    )
    assert outcome.bundle is not None
    bundle = load_bundle(outcome.bundle)

    trained_on = set(source.read_text("utf-8").splitlines())
    rng = random.Random(99)
    unseen = [pair for pair in (toy_pair(rng) for _ in range(100)) if pair[0] not in trained_on]
    assert len(unseen) > 30
    batch = make_batch(bundle.tokenizers.source.encode_batch([s for s, _ in unseen]), [[]] * len(unseen))
    found = beam_search(
        PlainStepper(bundle.build_model()),
        batch.src,
        batch.src_lengths,
        size=3,
        max_length=batch.src_lengths * 2,
        bos_id=BOS_ID,
        eos_id=EOS_ID,
        scoring=Scoring(length_penalty=0.6),
    )
    outputs = [bundle.tokenizers.target.decode(hypotheses[0].tokens) for hypotheses in found]
    assert bleu(outputs, [[t for _, t in unseen]]).value >= LEAST_BLEU
