"""Ensembles on the fast runner and the plain one, held to the reference search; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nmt.bundle import Bundle, load_bundle, save_bundle
from nmt.errors import BundleError, ConfigError, DeviceError
from nmt.inference import Diversity, Ensemble, Fusion, Sampling, TranslateOptions, Translator
from nmt.inference.members import Member, checked_weights, load_members
from nmt.inference.plain_runner import PlainRunner
from nmt.inference.runner import SearchOptions, Sentence
from nmt.inference.torch_runner import TorchRunner
from nmt.model.attention import SCORES, SPANS
from nmt.model.cells import CELLS
from nmt.text.tokenizer import TokenizerPair
from tests.bundles import make_bundle, make_language_model, toy_sentences
from tests.inference.runners import CONSTRAINTS, CPU, compare, constrained_options, reference, translate
from tests.inference.test_runners import FORMS, OPTIONS, network, random_shortlist

TEXTS = toy_sentences(4)
SHORT = {"beam_size": 2, "max_length_factor": 0.8, "max_length_offset": 4}
"""Random networks do not end by themselves."""
CHOICES: dict[str, dict[str, Any]] = {
    "torch": {},
    "torch, plain": {"is_fused": False},
    "torch, as on a GPU": {"as_on_gpu": True},
}
ENSEMBLES = [
    *(("lstm", score, span, form) for score, span, form in zip(SCORES, cycle(SPANS), cycle(FORMS), strict=False)),
    *zip(sorted(CELLS.keys() - {"lstm"}), cycle(SCORES), cycle(SPANS), cycle(FORMS), strict=False),
    *zip(repeat("lstm"), repeat("general"), repeat("global"), sorted(OPTIONS.keys() - {"copying"}), strict=False),
]
"""The second member's form, beside a plain first one: every cell, score and option that an ensemble may have."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one`; `two` of another form; `three` with another source vocabulary; `lm` for their targets."""
    folder = tmp_path_factory.mktemp("ensemble")
    one = make_bundle(folder / "one", tying="target", search=SHORT)
    make_bundle(
        folder / "two", seed=2, search=SHORT, tokenizers=one.tokenizers, cell="gru", hidden_size=40, attention="dot"
    )
    own = make_bundle(folder / "own", seed=3, text={"vocab_size": 400, "joint": False}, tying="target")
    tokenizers = TokenizerPair(own.tokenizers.source, one.tokenizers.target)
    make_bundle(
        folder / "three", seed=3, storage="int8", tokenizers=tokenizers, search=SHORT, tying="none", attention="concat"
    )
    make_language_model(folder / "lm", tokenizers=one.tokenizers)
    return folder


def members(folder: Path, *names: str, weights: tuple[float, ...] = ()) -> tuple[Bundle, tuple[Member, ...]]:
    first = load_bundle(folder / names[0])
    return first, load_members(first, Ensemble(tuple(folder / name for name in names[1:]), weights))


def sentences_for(first: Bundle, further: tuple[Member, ...], options: list[SearchOptions]) -> list[Sentence]:
    texts = [" ".join(toy_sentences(1 + i % 3, seed=i)) for i in range(len(options))]
    readings = zip(*(member.bundle.tokenizers.source.encode_batch(texts) for member in further), strict=True)
    ids = first.tokenizers.source.encode_batch(texts)
    return [
        (own, replace(option, readings=tuple(map(tuple, others))))
        for own, option, others in zip(ids, options, readings, strict=True)
    ]


@pytest.mark.parametrize(
    ("cell", "score", "span", "form", "runner"),
    [(*one, "torch") for one in ENSEMBLES] + [(*one, runner) for one in ENSEMBLES[::4] for runner in list(CHOICES)[1:]],
)
def test_runner_equals_the_reference_search(cell: str, score: str, span: str, form: str, runner: str) -> None:
    """Mixed beams, n-best lists, limits and attention, while sentences come and go."""
    first, sentences = network("lstm", "general", "global", "plain")
    second, _ = network(cell, score, span, form)
    first = replace(first, shortlist=random_shortlist(first.config.src_vocab, first.config.tgt_vocab))
    first = replace(first, config=first.config.model_copy(update={"search": second.config.search}))
    further = (Member(second, 0.6, reads_alike=True),)
    found = translate(TorchRunner(first, CPU, further=further, **CHOICES[runner]), sentences)
    assert compare(found, reference(first, sentences, further)) == 0


@pytest.mark.parametrize("runner", CHOICES)
def test_members_that_read_differently_are_searched_as_by_the_reference(folder: Path, runner: str) -> None:
    first, further = members(folder, "one", "two", "three", weights=(2, 1, 3))
    assert [member.reads_alike for member in further] == [True, False]
    options = constrained_options(list(CONSTRAINTS), first.tokenizers.source.encode_batch(toy_sentences(12)))
    sentences = sentences_for(first, further, options)
    assert any(len(ids) < len(options.readings[1]) for ids, options in sentences)
    found = translate(TorchRunner(first, CPU, further=further, **CHOICES[runner]), sentences)
    assert compare(found, reference(first, sentences, further)) == 0


def test_shortlists_of_all_members_are_united_and_of_some_are_left_out(folder: Path) -> None:
    first, further = members(folder, "one", "three")
    lists = [random_shortlist(one.config.src_vocab, one.config.tgt_vocab) for one in (first, further[0].bundle)]
    options = constrained_options(["prefix"], first.tokenizers.source.encode_batch(toy_sentences(8)))
    sentences = sentences_for(first, further, options)
    second = replace(further[0].bundle, shortlist=lists[1])
    by_lists = []
    for one in (first, replace(first, shortlist=lists[0])):
        both = (further[0]._replace(bundle=second),)
        wanted = reference(one, sentences, both)
        for runner in (TorchRunner(one, CPU, further=both), PlainRunner(one, CPU, further=both)):
            assert compare(translate(runner, sentences), wanted) == 0
        by_lists.append(wanted)
    assert [h[0].tokens for h in by_lists[0]] != [h[0].tokens for h in by_lists[1]]


def test_the_plain_runner_takes_ensembles(folder: Path) -> None:
    first, further = members(folder, "one", "two", "three")
    options = [SearchOptions(3, 2, 6 + i, with_attention=True) for i in range(5)]
    sentences = sentences_for(first, further, options)
    found = translate(PlainRunner(first, CPU, further=further), sentences)
    assert compare(found, reference(first, sentences, further)) == 0


def test_sentences_that_only_another_member_tells_apart_are_searched_apart(folder: Path) -> None:
    """An unknown word is like any other to the first member, and none to the second."""
    first, further = members(folder, "one", "three")
    (ids, options), (_, others) = sentences_for(first, further, [SearchOptions(3, 3, 9)] * 2)
    sentences: list[Sentence] = [(ids, options), (ids, others), (ids, options)]
    wanted = reference(first, sentences, further)
    assert wanted[0] == wanted[2] != wanted[1]
    for runner in (PlainRunner(first, CPU, further=further), TorchRunner(first, CPU, further=further)):
        assert compare(translate(runner, sentences), wanted) == 0


def texts_and_scores(*folders: Path, options: TranslateOptions = TranslateOptions(), **how: Any) -> list[Any]:
    with Translator.load(folders, device="cpu", **how) as translator:
        return [(one.text, round(one.score, 4)) for one in translator.translate(TEXTS, options)]


def test_one_bundle_several_times_is_the_bundle(folder: Path) -> None:
    alone = texts_and_scores(folder / "three", precision="fp32")
    thrice = texts_and_scores(*[folder / "three"] * 3, weights=(1, 0.5, 3))
    assert [text for text, _ in thrice] == [text for text, _ in alone]
    assert [score for _, score in thrice] == pytest.approx([score for _, score in alone], abs=2e-4)


def test_weights_count_by_their_ratios_and_decide(folder: Path) -> None:
    names = folder / "one", folder / "two"
    assert texts_and_scores(*names, weights=(1, 3)) == texts_and_scores(*names, weights=(0.25, 0.75))
    alike = texts_and_scores(*names)
    assert alike == texts_and_scores(*names, weights=(7, 7))
    assert len({str(alike), *(str(texts_and_scores(*names, weights=w)) for w in ((1, 9), (9, 1)))}) == 3
    nearly = texts_and_scores(*names, weights=(1e-7, 1))
    assert [text for text, _ in nearly] == [text for text, _ in texts_and_scores(folder / "two", precision="fp32")]


def test_worker_processes_translate_alike(folder: Path) -> None:
    names = folder / "one", folder / "three"
    assert texts_and_scores(*names, workers=1, weights=(1, 2)) == texts_and_scores(*names, weights=(1, 2))


def test_what_an_ensemble_says_of_itself(folder: Path) -> None:
    with Translator.load([folder / "one", folder / "two"], device="cpu") as translator:
        info = translator.info
    first, ((second, *_),) = members(folder, "one", "two")
    assert (info.name, info.version) == ("one+two", f"{first.version}+{second.version}")
    assert info.parameters == first.parameters + second.parameters
    assert (info.runner, info.precision) == ("torch", "fp32")


@pytest.mark.parametrize(
    "options",
    [
        TranslateOptions(sampling=Sampling(seed=4), n_best=3),
        TranslateOptions(diversity=Diversity(2), beam_size=4, n_best=2),
    ],
)
def test_sampling_and_diverse_beams_ask_all_members(folder: Path, options: TranslateOptions) -> None:
    alone = texts_and_scores(folder / "one", options=options)
    together = texts_and_scores(folder / "one", folder / "three", options=options)
    assert alone != together
    twice = texts_and_scores(folder / "one", folder / "one", options=options)
    assert [text for text, _ in twice] == [text for text, _ in alone]


def test_a_language_model_may_have_its_say_beside_an_ensemble(folder: Path) -> None:
    fusion = Fusion(folder / "lm", 3.0)
    fused = texts_and_scores(folder / "one", folder / "two", fusion=fusion)
    assert fused != texts_and_scores(folder / "one", folder / "two")
    assert fused != texts_and_scores(folder / "one", fusion=fusion)


def test_links_are_over_the_first_members_words(folder: Path) -> None:
    """Though the second one reads other pieces: with its attention left out, the first one's alone counts."""
    options = TranslateOptions(alignments=True, attention=True)
    with Translator.load([folder / "one", folder / "three"], device="cpu") as translator:
        for text, found in zip(TEXTS, translator.translate(TEXTS, options), strict=True):
            assert found.alignment
            assert max(source for source, _ in found.alignment) < len(text.split())
            assert all(sum(weight for _, weight in word) < 1.01 for word in found.attention)


def test_models_that_do_not_fit_are_refused(folder: Path) -> None:
    one = folder / "one"
    with pytest.raises(ConfigError, match=r"own: its target vocabulary \(\w{12}\) is not that of .*one \(\w{12}\)"):
        Translator.load([one, folder / "own"], device="cpu")
    first, _ = members(folder, "one", "two")
    other_way = replace(first, config=first.config.model_copy(update={"source_lang": "fr"}))
    save_bundle(other_way, folder / "fr-de")
    with pytest.raises(ConfigError, match=r"fr-de: translates fr-de, and .*one en-de"):
        Translator.load([one, folder / "fr-de"], device="cpu")
    with pytest.raises(BundleError, match=r"a language model .*, not a translator"):
        Translator.load([one, folder / "lm"], device="cpu")
    copying = make_bundle(folder / "copying", text={"kind": "word", "vocab_size": 30}, copying=True, tying="none")
    with pytest.raises(ConfigError, match=r"copying: it copies words of the source"):
        Translator.load([copying.folder or "", one], device="cpu")
    with pytest.raises(DeviceError, match=r"no int8 on cpu for this model .*an ensemble.*: use fp32"):
        Translator.load([one, folder / "two"], device="cpu", precision="int8")
    with pytest.raises(ConfigError, match="weights are of an ensemble"):
        Translator.load(one, device="cpu", weights=(1,))


@pytest.mark.parametrize(
    ("weights", "reason"),
    [((1.0,), "1 weights for an ensemble of 2"), ((1.0, 0.0), "weight 0: it is above 0"), ((1.0, np.inf), "inf")],
)
def test_weights_that_say_nothing_are_refused(weights: tuple[float, ...], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        checked_weights(Ensemble((Path("two"),), weights))


def test_weights_sum_to_one() -> None:
    assert checked_weights(Ensemble((Path("two"), Path("three")), (1, 2, 5))) == (0.125, 0.25, 0.625)
    assert sum(checked_weights(Ensemble((Path("two"), Path("three"))))) == pytest.approx(1)


def test_bf16_members_are_added_up_in_fp32(folder: Path) -> None:
    """Close to fp32 as a single model's bf16 is: the first step's attention and score of a greedy search."""
    first, further = members(folder, "one", "three")
    sentences = sentences_for(first, further, [SearchOptions(1, 1, 2, with_attention=True)] * 6)
    exact, rough = (
        translate(TorchRunner(first, CPU, precision, further=further), sentences) for precision in ("fp32", "bf16")
    )
    for one, other in zip(exact, rough, strict=True):
        assert torch.tensor(one[0].score).isfinite()
        assert one[0].score == pytest.approx(other[0].score, rel=0.05)
