"""Epochs: every pair as often as it weighs, joined within bounds, marked, and the same again for the same number."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.config import DataConfig
from nmt.data.epochs import MOST_REPEATED, Measured, MixedEpoch, Mixture, PairLengths, Sample, noisy_pairs
from nmt.data.prepared import PreparedCorpus, prepare

SIZES = (300, 500)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> PreparedCorpus:
    folder = tmp_path_factory.mktemp("corpus")
    for number, size in enumerate(SIZES):
        lines = (
            f"Old {'word ' * (i % 7)}s{number}-{i}.\tAlte {'Wort ' * (i % 5)}t{number}-{i}.\n" for i in range(size)
        )
        (folder / f"{number}.tsv").write_text("".join(lines), "utf-8")
    (folder / "dev.tsv").write_text("dev\tdev\n")
    train = tuple((str(folder / f"{number}.tsv"),) for number in range(len(SIZES)))
    return prepare(DataConfig(train=train, dev=(str(folder / "dev.tsv"),)), folder / "data", 1)


def epoch(corpus: PreparedCorpus, number: int = 0, seed: int = 1, **settings: Any) -> MixedEpoch:
    config = DataConfig.model_validate({"train": (("a.tsv",), ("b.tsv",)), "source_lang": "en", **settings})
    return Mixture(corpus, config, Measured(lengths(corpus, 1), lengths(corpus, 2)), seed).epoch(number)


def lengths(corpus: PreparedCorpus, factor: int) -> PairLengths:
    """Words; in upper case twice as many pieces."""
    sides = zip(*((factor * len(s.split()), factor * len(t.split())) for s, t in corpus), strict=True)
    return PairLengths(*(np.array(side, dtype=np.int32) for side in sides))


def samples(one: MixedEpoch) -> list[Sample]:
    return one.read(np.arange(len(one.lengths.src)))


def test_corpora_are_counted(corpus: PreparedCorpus) -> None:
    assert corpus.corpora == SIZES


def test_without_any_choice_it_is_the_corpus(corpus: PreparedCorpus) -> None:
    plain = epoch(corpus, 3)
    assert samples(plain) == [Sample(source, target) for source, target in corpus]
    assert np.array_equal(plain.lengths.src, lengths(corpus, 1).src)
    assert plain.lengths.tgt.dtype == np.int32


def test_pairs_come_as_often_as_their_corpus_weighs(corpus: PreparedCorpus) -> None:
    counts = [Counter(sample.target for sample in samples(epoch(corpus, n, weights=(2.5, 1.0)))) for n in range(2)]
    first, second = ([target for _, target in corpus][part] for part in (slice(300), slice(300, None)))
    for count in counts:
        assert {count[target] for target in second} == {1}
        assert {count[target] for target in first} == {2, 3}
        assert sum(count[target] for target in first) == pytest.approx(750, abs=40)
    assert counts[0] != counts[1]


def test_an_epoch_has_a_pair_however_little_they_weigh(corpus: PreparedCorpus) -> None:
    found = [samples(epoch(corpus, number, weights=(1e-9, 1e-9), noise={"join": 1.0})) for number in range(3)]
    assert [len(one) for one in found] == [1, 1, 1]
    assert len({one[0] for one in found}) > 1


def test_a_tag_marks_a_corpus_and_takes_a_token(corpus: PreparedCorpus) -> None:
    tagged = epoch(corpus, tags=("", "<bt>"))
    assert [sample.tag for sample in samples(tagged)] == [""] * 300 + ["<bt>"] * 500
    assert (tagged.lengths.src - lengths(corpus, 1).src).tolist() == [0] * 300 + [1] * 500


def test_joined_pairs_are_all_pairs_within_bounds_and_of_one_tag(corpus: PreparedCorpus) -> None:
    joined = epoch(corpus, tags=("<a1>", ""), noise={"join": 0.6, "join_length": 12})
    found = samples(joined)
    rejoined = [
        pair for sample in found for pair in zip(sample.source.split(". "), sample.target.split(". "), strict=True)
    ]
    sources = Counter(source.removesuffix(".") for source, _ in rejoined)
    assert sources == Counter(source.removesuffix(".") for source, _ in corpus)
    parts = Counter(sample.source.count(". ") + 1 for sample in found)
    assert set(parts) == {1, 2, 3}
    assert 0.2 * 800 < 2 * parts[2] + 3 * parts[3] < 0.6 * 800
    for sample, src, tgt in zip(found, *joined.lengths, strict=True):
        count = len(sample.source.split()), len(sample.target.split())
        assert (src - (sample.tag != ""), tgt) == count
        assert max(count) <= 12 or ". " not in sample.source
        assert {f"s{int(not sample.tag)}-" in part for part in sample.source.split(". ")} == {True}


def test_enough_room_joins_the_share_asked_for(corpus: PreparedCorpus) -> None:
    found = samples(epoch(corpus, noise={"join": 1.0, "join_length": 1000}))
    assert sum(". " not in sample.source for sample in found) <= 2
    assert not any(". " in sample.source for sample in samples(epoch(corpus, noise={"join": 1.0, "join_length": 1})))


def test_as_many_are_joined_as_may_be(corpus: PreparedCorpus) -> None:
    found = samples(epoch(corpus, noise={"join": 1.0, "join_length": 1000, "join_most": 6}))
    groups = Counter(sample.source.count(". ") + 1 for sample in found)
    assert set(groups) - {1} == {2, 3, 4, 5, 6}
    assert groups[1] <= 5
    assert sum(size * number for size, number in groups.items()) == len(corpus)


def test_a_pair_in_upper_case_counts_as_long_as_it_is(corpus: PreparedCorpus) -> None:
    shouted = epoch(corpus, noise={"upper": 0.5})
    found = samples(shouted)
    is_upper = np.array([sample.source.isupper() for sample in found])
    assert 300 < is_upper.sum() < 500
    factor = np.where(is_upper, 2, 1)
    assert np.array_equal(shouted.lengths.src, factor * lengths(corpus, 1).src)
    assert np.array_equal(shouted.lengths.tgt, factor * lengths(corpus, 1).tgt)
    assert all(sample.target.isupper() == bool(upper) for sample, upper in zip(found, is_upper, strict=True))


NOISE = {"lower": 0.2, "upper": 0.2, "no_final": 0.3, "typos": 0.4, "typo_rate": 0.5, "join": 0.3, "join_length": 20}


def test_seed_and_number_decide_alone_and_order_does_not(corpus: PreparedCorpus) -> None:
    one = epoch(corpus, 4, noise=NOISE)
    expected = samples(one)
    assert samples(epoch(corpus, 4, noise=NOISE)) == expected
    order = np.random.default_rng(1).permutation(len(expected))
    assert one.read(order) == [expected[place] for place in order]
    assert samples(epoch(corpus, 5, noise=NOISE)) != expected
    assert samples(epoch(corpus, 4, seed=2, noise=NOISE)) != expected


def test_typing_errors_are_the_sources_alone(corpus: PreparedCorpus) -> None:
    found = samples(epoch(corpus, noise={"typos": 0.5, "typo_rate": 1.0}))
    is_wrong = [sample.source != source for sample, (source, _) in zip(found, corpus, strict=True)]
    assert sum(is_wrong) == pytest.approx(400, abs=60)
    assert [sample.target for sample in found] == [target for _, target in corpus]


def test_numbers_are_others_in_every_epoch(tmp_path: Path) -> None:
    corpus, found = noisy_epochs(
        [f"I see {n} dogs.\tIch sehe {n} Hunde." for n in range(100, 300)], tmp_path, "numbers"
    )
    for each in found:
        changed = sum(one.source != source for one, (source, _) in zip(each, corpus, strict=True))
        assert changed == pytest.approx(100, abs=30)
        for one in each:
            assert re.findall(r"\d+", one.source) == re.findall(r"\d+", one.target) != []
    assert found[0] != found[1]


def test_names_are_others_in_every_epoch(tmp_path: Path) -> None:
    names = ["Tom", "Mary", "Boston", "Emil"]
    lines = [f"I know {names[n % 4]} {n}.\tIch kenne {names[n % 4]} {n}." for n in range(200)]
    corpus, found = noisy_epochs(lines, tmp_path, "names")
    for each in found:
        changed = sum(one.source != source for one, (source, _) in zip(each, corpus, strict=True))
        assert changed == pytest.approx(90, abs=30)  # now and then two halves make the same name again
        assert all(one.target == one.source.replace("I know", "Ich kenne") for one in each)
    assert found[0] != found[1]
    assert list(noisy_pairs(corpus, DataConfig.model_validate({"noise": {"names": 1.0}}), seed=1)) == list(corpus)


def noisy_epochs(lines: list[str], folder: Path, kind: str) -> tuple[PreparedCorpus, list[list[Sample]]]:
    """Two epochs of a corpus of `lines`, half of it with one kind of noise."""
    (folder / "train.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "dev.tsv").write_text("dev\tdev\n")
    config = DataConfig(train=((str(folder / "train.tsv"),),), dev=(str(folder / "dev.tsv"),))
    corpus = prepare(config, folder / "data", 1)
    return corpus, [samples(epoch(corpus, number, train=config.train, noise={kind: 0.5})) for number in (1, 2)]


def test_a_vocabulary_sees_every_pair_once_with_noise(corpus: PreparedCorpus) -> None:
    config = DataConfig.model_validate({"noise": {"upper": 0.25, "join": 1.0}})
    found = list(noisy_pairs(corpus, config, seed=1))
    assert sum(source.isupper() for source, _ in found) == pytest.approx(200, abs=40)
    assert [source.lower() for source, _ in found] == [source.lower() for source, _ in corpus]
    assert list(noisy_pairs(corpus, config, seed=1)) == found
    assert list(noisy_pairs(corpus, DataConfig(), seed=1)) == list(corpus)


def test_held_out_pairs_are_taken_off_their_corpus(tmp_path: Path) -> None:
    for number, size in enumerate((40, 80)):
        lines = (f"s{number} {i}\tt{number} {i}\n" for i in range(size))
        (tmp_path / f"{number}.tsv").write_text("".join(lines), "utf-8")
    train = tuple((str(tmp_path / f"{number}.tsv"),) for number in range(2))
    prepared = prepare(DataConfig(train=train), tmp_path / "data", 1)
    assert prepared.corpora == tuple(sum(source.startswith(f"s{n} ") for source, _ in prepared) for n in range(2))
    assert sum(prepared.corpora) == 120 - 16


WORDS = (("aa", "bb", "cc"), ("dd",))


@pytest.fixture(scope="module")
def with_phrases(tmp_path_factory: pytest.TempPathFactory) -> PreparedCorpus:
    folder = tmp_path_factory.mktemp("phrases")
    for number, words in enumerate(WORDS):
        lines = (f"{word} {i}\t{word}{word} {i}\n" for word in words for i in range(20))
        (folder / f"{number}.tsv").write_text("".join(lines), "utf-8")
    (folder / "dev.tsv").write_text("dev\tdev\n")
    train = tuple((str(folder / f"{number}.tsv"),) for number in range(len(WORDS)))
    corpus = prepare(DataConfig(train=train, dev=(str(folder / "dev.tsv"),), phrases=0.1), folder / "data", 1)
    assert corpus.phrases == (3, 1)
    return corpus


def phrases_of(corpus: PreparedCorpus, number: int = 0, **settings: Any) -> list[Sample]:
    """The samples of an epoch that are phrases."""
    measured = Measured(*(lengths_with_phrases(corpus, factor) for factor in (1, 2)))
    config = DataConfig.model_validate({"train": (("a.tsv",), ("b.tsv",)), "source_lang": "en", **settings})
    one = Mixture(corpus, config, measured, 1).epoch(number)
    found = samples(one)
    assert len(found) == len(one.lengths.src) == len(one.lengths.tgt)
    return [sample for sample in found if not any(map(str.isdecimal, sample.source))]


def lengths_with_phrases(corpus: PreparedCorpus, factor: int) -> PairLengths:
    sides = zip(*((factor * len(s.split()), factor * len(t.split())) for s, t in corpus.with_phrases()), strict=True)
    return PairLengths(*(np.array(side, dtype=np.int32) for side in sides))


def test_phrases_are_a_share_of_their_corpus(with_phrases: PreparedCorpus) -> None:
    """Of 60 pairs 0.05 are one each of three phrases; of 20, weighed twice, two of the one."""
    found = Counter(s.target.lower() for s in phrases_of(with_phrases, phrases=0.05, weights=(1.0, 2.0)))
    assert found == {"aaaa": 1, "bbbb": 1, "cccc": 1, "dddd": 2}


def test_an_epoch_has_no_phrase_too_often(with_phrases: PreparedCorpus) -> None:
    found = Counter(s.target.lower() for s in phrases_of(with_phrases, phrases=1.0))
    assert set(found.values()) == {MOST_REPEATED}


def test_phrases_have_tags_and_are_never_joined(with_phrases: PreparedCorpus) -> None:
    found = phrases_of(with_phrases, phrases=1.0, tags=("", "<dd>"), noise={"join": 1.0})
    assert {(s.source.lower(), s.tag) for s in found} == {("aa", ""), ("bb", ""), ("cc", ""), ("dd", "<dd>")}


def test_some_phrases_begin_with_a_capital_on_both_sides(with_phrases: PreparedCorpus) -> None:
    every = [phrases_of(with_phrases, number, phrases=1.0) for number in range(20)]
    capitals = [s.source[0].isupper() for found in every for s in found]
    assert 0.35 < sum(capitals) / len(capitals) < 0.65
    assert all(s.source[0].isupper() == s.target[0].isupper() for found in every for s in found)
    assert every[3] == phrases_of(with_phrases, 3, phrases=1.0)


def test_phrases_change_nothing_of_the_pairs(with_phrases: PreparedCorpus) -> None:
    settings: dict[str, Any] = {"weights": (1.5, 0.5), "noise": {"join": 0.5}}
    measured = Measured(lengths_with_phrases(with_phrases, 1))
    config = DataConfig.model_validate({"train": (("a.tsv",), ("b.tsv",)), "source_lang": "en", **settings})
    pairs, more = (
        samples(Mixture(with_phrases, config.model_copy(update={"phrases": share}), measured, 1).epoch(2))
        for share in (0.0, 1.0)
    )
    assert len(more) == len(pairs) + MOST_REPEATED * sum(with_phrases.phrases)
    assert more[: len(pairs)] == pairs
