"""The measuring of speed: what is counted is what happened, and the formula of operations is the network's."""

from __future__ import annotations

import ctypes
import os
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nmt.bundle import Bundle, load_bundle, rewrite_shortlist, save_bundle
from nmt.errors import TranslationError
from nmt.inference import TranslateOptions, Translator
from nmt.inference.pool import Pool
from nmt.inference.speed import (
    PeakMemory,
    Rate,
    decoder_operations,
    forced_length,
    gemm_ceiling,
    is_byte,
    mean_words,
    operations,
    random_texts,
    time_file,
    time_in_flight,
)
from nmt.shortlist import Shortlist
from tests.bundles import make_bundle, toy_sentences

LENGTH = 7


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def forced(bundle: Bundle) -> Iterator[Path]:
    assert bundle.folder is not None
    with forced_length(bundle.folder, LENGTH) as folder:
        yield folder


def test_random_texts_are_as_long_as_sentences_and_the_same_each_time(bundle: Bundle) -> None:
    tokenizer = bundle.tokenizers.source
    texts = random_texts(tokenizer, 300)
    assert texts == random_texts(tokenizer, 300)
    assert texts != random_texts(tokenizer, 300, seed=2)
    lengths = [len(ids) for ids in tokenizer.encode_batch(texts)]
    assert min(lengths) >= 1
    assert 8 <= statistics.median(lengths) <= 16
    assert max(lengths) < 100
    ids = {i for text in texts for i in tokenizer.encode(text)}
    assert not any(is_byte(piece) for piece in tokenizer.pieces(sorted(ids)))


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("storage", ["float32", "int8"])
def test_a_forced_length_is_that_of_every_translation(tmp_path: Path, storage: Any, beam: int) -> None:
    bundle = make_bundle(tmp_path / "b", storage=storage)
    lists = [[i, (i + 7) % bundle.config.tgt_vocab] for i in range(bundle.config.src_vocab)]
    rewrite_shortlist(tmp_path / "b", Shortlist.of_lists(lists, range(4, 40), bundle.config.tgt_vocab), tmp_path / "b")
    with forced_length(tmp_path / "b", LENGTH) as folder:
        assert load_bundle(folder).shortlist is not None
        with Translator.load(folder, device="cpu") as translator:
            found = translator.translate(["a", *toy_sentences(5)], TranslateOptions(beam_size=beam, raw=True))
        assert [translation.target_tokens for translation in found] == [LENGTH] * 6
    assert not folder.exists()


def test_a_file_is_translated_whole_and_counted(forced: Path) -> None:
    texts = toy_sentences(10)
    with Translator.load(forced, device="cpu") as translator:
        rate = time_file(translator, texts, beam=2, seconds=0.0)
        assert (rate.sentences, rate.target_tokens) == (10, 10 * LENGTH)
        longer = time_file(translator, texts, beam=2, seconds=4 * rate.seconds)
    assert longer.sentences % 10 == 0
    assert longer.seconds >= 4 * rate.seconds
    assert longer.sentences_per_s == pytest.approx(longer.sentences / longer.seconds)
    assert longer.tokens_per_s == pytest.approx(LENGTH * longer.sentences_per_s)
    assert longer.percentile_ms(50) is None


@pytest.mark.parametrize("in_flight", [1, 5])
def test_that_many_texts_are_under_way(forced: Path, monkeypatch: pytest.MonkeyPatch, in_flight: int) -> None:
    texts = toy_sentences(6)
    with Pool([forced], device="cpu", workers=1) as pool:
        submit = pool.submit
        under_way: list[int] = []
        going = 0

        def counting(*arguments: Any, **named: Any) -> Any:
            nonlocal going
            going += 1
            under_way.append(going)
            future = submit(*arguments, **named)
            future.add_done_callback(finished)
            return future

        def finished(_: object) -> None:
            nonlocal going
            going -= 1

        monkeypatch.setattr(pool, "submit", counting)
        rate = time_in_flight(pool, texts, 2, in_flight, seconds=0.3)
    measured = under_way[len(texts) :]  # the first ones warm up, one by one
    assert len(measured) == rate.sentences == len(rate.latencies_s) > in_flight
    assert max(measured) == in_flight
    assert rate.target_tokens == rate.sentences * LENGTH
    assert 0 < min(rate.latencies_s) <= max(rate.latencies_s) <= rate.seconds
    if in_flight == 1:
        assert sum(rate.latencies_s) <= rate.seconds


def test_a_text_that_cannot_be_translated_stops_the_measurement(bundle: Bundle) -> None:
    assert bundle.folder is not None
    limit = bundle.config.search.max_source_tokens
    with (
        Pool([bundle.folder], device="cpu", workers=1) as pool,
        pytest.raises(TranslationError, match=f"takes {limit}"),
    ):
        time_in_flight(pool, ["the dog " * limit], 1, 1, seconds=0.0)


def test_percentiles_are_of_single_texts() -> None:
    rate = Rate(1, 1, 100, 100, 1.0, tuple(i / 1000 for i in range(101)))
    assert rate.percentile_ms(50) == pytest.approx(50)
    assert rate.percentile_ms(99) == pytest.approx(99)


def test_memory_that_was_used_for_a_while_counts() -> None:
    size = 1 << 28
    with PeakMemory() as memory:
        memory._look()
        before = memory.bytes
        block = bytearray(size)
        # touched, so that the pages exist
        ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(block)), 1, size)
        memory._look()
        del block
    if not Path(f"/proc/{os.getpid()}/smaps_rollup").exists():
        pytest.skip("no /proc here")
    assert memory.bytes - before == pytest.approx(size, rel=0.05)


NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "deep": {"decoder_layers": 3, "encoder_layers": 3},
    "without feeding": {"input_feeding": False},
    "shared": {"tying": "all"},
    "concat": {"attention": "concat"},
    "location": {"attention": "location", "attention_max_length": 17},
    "dot": {"attention": "dot"},
    "local-p": {"attention_span": "local-p"},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_formula_counts_the_products_of_a_step(tmp_path: Path, name: str) -> None:
    """Against torch's own counter, less what engines do beforehand (embeddings, the context's half of the attentional
    vector), and attention over the source."""
    bundle = make_bundle(tmp_path / "b", **{"tying": "none"} | NETWORKS[name])
    config, model = bundle.config.model, bundle.build_model()
    N, S, H, E = 3, 5, config.hidden_size, config.embedding_size
    memory, state = model.encode(torch.full((N, S), 7), torch.full((N,), S))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.step(torch.full((N,), 5), state, memory)
    scores = {"concat": S * H, "location": 0}.get(config.attention, S * H)
    A = H if config.tying == "none" else E
    left_out = 4 * H * E + H * A + scores + S * H
    assert counter.get_total_flops() / N == decoder_operations(config, bundle.config.tgt_vocab) + 2 * left_out


def test_operations_count_one_hypothesis_in_the_first_step_and_the_beam_in_the_others() -> None:
    rate = Rate(beam=5, in_flight=None, sentences=3, target_tokens=3 * LENGTH, seconds=1.0)
    assert operations(rate, LENGTH, 10.0) == 3 * (1 + 5 * LENGTH) * 10.0


def test_output_words_are_those_of_the_shortlist(bundle: Bundle, tmp_path: Path) -> None:
    texts = toy_sentences(4)
    assert mean_words(bundle, texts) == bundle.config.tgt_vocab
    lists: list[list[int]] = [[i] for i in range(bundle.config.src_vocab)]
    with_list = replace(bundle, shortlist=Shortlist.of_lists(lists, [], bundle.config.tgt_vocab))
    save_bundle(with_list, tmp_path / "b")
    expected = [len({*ids, 2}) for ids in bundle.tokenizers.source.encode_batch(texts)]
    assert mean_words(load_bundle(tmp_path / "b"), texts) == statistics.mean(expected)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_the_ceiling_is_measured_in_operations_a_second(precision: str) -> None:
    """A core of any machine of this century multiplies between these."""
    assert 1e8 < gemm_ceiling(precision, "cpu", workers=1, seconds=0.0) < 1e14
