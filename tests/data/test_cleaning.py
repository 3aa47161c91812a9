"""Each cleaning rule on and off, against slow definitions of the same; the order of the rules; the report."""

from __future__ import annotations

import tracemalloc
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.config import CleaningConfig
from nmt.data import Cleaner, CleaningReport, Pair
from nmt.data import cleaning as cleaning_module
from nmt.data.cleaning import RULES, HashSet, collapse_blanks, letters

OFF = CleaningConfig(empty=False, control=False, max_length=0, max_ratio=0.0, duplicates=False, overlap=False)
FILE = Path("train.en")


def pairs(*texts: tuple[str, str]) -> list[Pair]:
    return [Pair(source, target, FILE, number) for number, (source, target) in enumerate(texts, start=1)]


def clean(
    config: CleaningConfig, *texts: tuple[str, str], held_out: Iterable[tuple[str, str]] = ()
) -> tuple[list[tuple[str, str]], CleaningReport]:
    cleaner = Cleaner(config, held_out)
    kept = [(pair.source, pair.target) for pair in cleaner.clean(pairs(*texts))]
    return kept, cleaner.report()


LONG_WORDS, LONG_KANJI = "w " * 201, "字" * 804
DROPPED = [
    ("empty", ("", "x")),
    ("empty", ("x", " \t\u00a0\u2028")),
    ("empty", ("\u200b\ufeff\u00ad", "x")),
    ("control", ("a\x00b", "x")),
    ("control", ("x", "a\x0bb")),
    ("control", ("x", "a\u0085b")),
    ("control", ("a\rb", "x")),
    ("max_length", (LONG_WORDS, "x " * 150)),
    ("max_length", ("x " * 150, LONG_WORDS)),
    ("max_length", (LONG_KANJI, "x" * 600)),
    ("max_ratio", ("a" * 81, "b" * 20)),
    ("max_ratio", ("b", "a" * 81)),
]


@pytest.mark.parametrize(("rule", "pair"), DROPPED)
def test_a_rule_drops_its_pair_and_can_be_switched_off(rule: str, pair: tuple[str, str]) -> None:
    kept, report = clean(CleaningConfig(), pair)
    assert (kept, report.dropped[rule], sum(report.dropped.values())) == ([], 1, 1)
    kept, report = clean(CleaningConfig().model_copy(update={rule: 0}), pair)
    assert len(kept) == 1
    assert rule not in report.dropped


@pytest.mark.parametrize(
    "pair",
    [
        ("w " * 200, "x " * 200),
        ("字" * 800, "x" * 600),
        ("a" * 80, "b" * 20),
        ("Ja.", "Yes, I think that is so."),
        ("Tom &amp; <b>Anna</b>", "Tom &amp; <b>Anna</b>"),
        ("!", "?"),
        ("a\tb", "x"),
        ("\U0001f600", "\u0e01"),
    ],
)
def test_pairs_at_the_limit_are_kept(pair: tuple[str, str]) -> None:
    assert len(clean(CleaningConfig(), pair)[0]) == 1


def test_with_every_rule_off_only_blanks_change() -> None:
    texts = [pair for _, pair in DROPPED]
    kept, report = clean(OFF, *texts, *texts, held_out=texts)
    assert kept == [(collapse_blanks(source), collapse_blanks(target)) for source, target in texts * 2]
    assert (report.read, report.kept, report.dropped) == (len(texts) * 2, len(texts) * 2, {})


def test_blanks_collapse_and_no_break_spaces_stay() -> None:
    kept, _ = clean(CleaningConfig(), ("  a \t b\u2028c\u3000d ", "Quoi\u00a0? \u202f Non\u202f!"))
    assert kept == [("a b c d", "Quoi\u00a0? \u202f Non\u202f!")]


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab \t\n\x0b\x1c\u0085\u00a0\u2007\u2028\u202f\u3000é")))
def test_collapsing_equals_its_definition(text: str) -> None:
    plain = "".join(" " if char.isspace() and char not in "\u00a0\u2007\u202f" else char for char in text)
    assert collapse_blanks(text) == " ".join(part for part in plain.split(" ") if part)


def test_duplicates_are_pairs_not_sides_and_blanks_do_not_tell_them_apart() -> None:
    texts = [("a", "b"), ("a", "c"), ("x", "b"), (" a ", "b"), ("a", "b"), ("A", "b"), ("ab", ""), ("", "ab")]
    kept, report = clean(OFF.model_copy(update={"duplicates": True}), *texts)
    assert kept == [("a", "b"), ("a", "c"), ("x", "b"), ("A", "b"), ("ab", ""), ("", "ab")]
    assert report.dropped == {"duplicates": 2}
    assert report.examples["duplicates"].startswith("train.en:4: ")


def test_duplicates_are_found_across_chunks_and_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning_module, "CHUNK_PAIRS", 7)
    rng = np.random.default_rng(0)
    texts = [(f"s{number}", "t") for number in rng.integers(0, 300, 1000)]
    cleaner = Cleaner(CleaningConfig())
    kept = [pair.source for half in (texts[:500], texts[500:]) for pair in cleaner.clean(pairs(*half))]
    assert kept == list(dict.fromkeys(source for source, _ in texts))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 60), max_size=30), max_size=20))
def test_hash_set_is_a_set(groups: list[list[int]]) -> None:
    hashes, reference = HashSet(), set[int]()
    for group in groups:
        expected = []
        for value in group:
            expected.append(value not in reference)
            reference.add(value)
        assert hashes.add(np.array(group, dtype=np.uint64)).tolist() == expected
        assert len(hashes) == len(reference)


def test_hash_set_takes_eight_bytes_an_entry() -> None:
    entries, rng = 400_000, np.random.default_rng(0)
    tracemalloc.start()
    hashes = HashSet()
    for _ in range(40):
        hashes.add(rng.integers(0, 2**64, entries // 40, dtype=np.uint64))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(hashes) == entries
    assert held < 9 * entries
    assert peak < 20 * entries


@pytest.mark.parametrize(
    ("pair", "overlaps"),
    [
        (("How are you?", "neu"), True),
        (("HOW ARE YOU", "neu"), True),
        (("how-are «you»…", "neu"), True),
        (("neu", "wie geht\u00a0es dir"), True),
        (("neu", "STRASSE!"), True),
        (("How are you two?", "neu"), False),
        (("Wie geht es dir?", "How are you?"), False),  # sides are not mixed
        (("neu", "..."), False),
        (("neu", "?!"), True),  # nothing but punctuation is compared as it is
    ],
)
def test_overlap_ignores_case_blanks_and_punctuation(pair: tuple[str, str], overlaps: bool) -> None:
    held_out = [("How are you?", "Wie geht es dir?"), ("x", "Straße"), ("y", "?!")]
    kept, report = clean(CleaningConfig(), pair, held_out=held_out)
    assert (len(kept), report.dropped["overlap"]) == ((0, 1) if overlaps else (1, 0))
    assert len(clean(CleaningConfig(overlap=False), pair, held_out=held_out)[0]) == 1


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_letters_equal_their_definition(text: str) -> None:
    folded = text.casefold()
    bare = "".join(c for c in folded if unicodedata.category(c)[0] not in "PZ" and not c.isspace())
    assert letters(text) == (bare or folded)


def test_a_pair_counts_under_the_first_rule_that_drops_it() -> None:
    everything = ("\x00", "b" * 900 + " b" * 300)  # no ink, control, too long, ratio
    texts = [everything, ("a\x00", everything[1]), ("a", everything[1]), ("a", "b" * 900), ("a", "b"), ("a", "b")]
    _, report = clean(CleaningConfig(), *texts, held_out=[("a", "z")])
    assert report.dropped == dict.fromkeys(RULES, 1)


def test_rules_are_the_keys_of_the_config() -> None:
    assert tuple(CleaningConfig.model_fields) == RULES


def test_report_table() -> None:
    config = CleaningConfig(control=False)
    _, report = clean(config, ("a", "b"), ("a", "b"), ("", "a tab\tand a very long sentence that does not end " * 2))
    assert report.table() == [
        ("rule", "pairs", "share", "example"),
        ("empty", "1", "33.33%", r"train.en:3: '' | 'a tab\tand a very long sentence that does...'"),
        ("control", "off", "", ""),
        ("max_length", "0", "0.00%", ""),
        ("max_ratio", "0", "0.00%", ""),
        ("duplicates", "1", "33.33%", "train.en:2: 'a' | 'b'"),
        ("overlap", "0", "0.00%", ""),
        ("kept", "1", "33.33%", ""),
        ("read", "3", "100.00%", ""),
    ]
    text = str(report).splitlines()
    assert text[1] == r"empty           1   33.33%  train.en:3: '' | 'a tab\tand a very long sentence that does...'"
    assert len(text) == 9


def test_cleaning_streams() -> None:
    """The first pairs come out before the last ones are read."""
    read = 0

    def endless() -> Iterable[Pair]:
        nonlocal read
        while True:
            read += 1
            yield Pair(f"s{read}", "t", FILE, read)

    stream = iter(Cleaner(CleaningConfig()).clean(endless()))
    assert next(stream).source == "s1"
    assert read <= cleaning_module.CHUNK_PAIRS
