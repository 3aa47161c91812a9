"""The stream of batches: its parts, and that it says how long training waited for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.config import DataConfig, TextConfig
from nmt.data.epochs import Measured, Mixture, Sample
from nmt.data.prepared import PreparedCorpus, prepare
from nmt.text.tokenizer import TokenizerPair, train_tokenizers
from nmt.training.batches import Batch, BatchStream, token_lengths
from nmt.training.translation import PairEncoder
from tests.corpora import write_toy_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreparedCorpus, TokenizerPair]:
    folder = tmp_path_factory.mktemp("corpus")
    source, target = write_toy_corpus(folder, pairs=100)
    data = DataConfig(source_lang="en", target_lang="de", train=((str(source), str(target)),))
    prepared = prepare(data, Path(folder) / "data", seed=1)
    return prepared, train_tokenizers(iter(prepared), TextConfig(kind="word", vocab_size=60), seed=1)


def stream(
    corpus: tuple[PreparedCorpus, TokenizerPair], part: tuple[int, int] = (0, 1), **noise: float
) -> BatchStream[Sample, Batch]:
    prepared, tokenizers = corpus
    encode = PairEncoder(tokenizers, sampling=0.0, seed=1)
    config = DataConfig.model_validate({"noise": noise})
    mixture = Mixture(prepared, config, Measured(token_lengths(*corpus)), seed=1)
    return BatchStream(mixture, encode, batch_tokens=60, seed=1, part=part)


def test_the_parts_of_a_batch_are_the_batch(corpus: tuple[PreparedCorpus, TokenizerPair]) -> None:
    whole = list(stream(corpus).epoch(0))
    parts = [list(stream(corpus, part=(k, 3)).epoch(0)) for k in range(3)]
    for number, batch in enumerate(whole):
        shares = [part[number] for part in parts]
        assert sum(share.tokens for share in shares) == batch.tokens
        rows = [row.tolist() for share in shares for row in share.tgt_out if len(share.src)]
        stripped = sorted([piece for piece in row if piece] for row in rows)
        assert stripped == sorted([piece for piece in row if piece] for row in batch.tgt_out.tolist())


def test_an_epoch_begun_in_its_midst_is_that_epoch(corpus: tuple[PreparedCorpus, TokenizerPair]) -> None:
    """In another process, with noise and joined pairs, and asked for after another epoch."""
    noise: dict[str, Any] = {"lower": 0.3, "typos": 0.5, "typo_rate": 0.5, "no_final": 0.3, "join": 0.5}
    whole = list(stream(corpus, **noise).epoch(2))
    again = stream(corpus, **noise)
    assert again.count(2) == len(whole)
    assert sum(batch.tokens for batch in whole) == int((again.lengths(2).tgt + 1).sum())
    assert len({again.count(epoch) for epoch in range(8)}) > 1
    rest = list(again.epoch(2, start=5))
    assert len(rest) == len(whole) - 5
    for one, other in zip(whole[5:], rest, strict=True):
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(one[:4], other[:4], strict=True))
    assert [batch.tokens for batch in stream(corpus, **noise).epoch(3)] != [batch.tokens for batch in whole]


def test_waiting_for_data_is_counted(
    corpus: tuple[PreparedCorpus, TokenizerPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = stream(corpus)
    encode = slow._encode

    def late(*arguments: Any) -> Any:
        time.sleep(0.01)
        return encode(*arguments)

    monkeypatch.setattr(slow, "_encode", late)
    count = len(list(slow.epoch(0)))
    assert count > 10
    assert 0.005 * count < slow.waited_s
    slow.waited_s = 0.0
    for _ in slow.epoch(0):
        time.sleep(0.03)  # a training step that takes longer than its data
    assert slow.waited_s < 0.005 * count
