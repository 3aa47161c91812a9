"""A translator with a language model beside it: the same as the plain search with both, whichever way it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nmt.bundle import Bundle, load_bundle
from nmt.errors import BundleError, ConfigError, DeviceError
from nmt.inference import Fusion, Sampling, TranslateOptions, Translator
from nmt.search.beam import Hypothesis, beam_search
from nmt.search.fusion import ShallowFusion
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainStepper
from nmt.text.tokenizer import BOS_ID, EOS_ID
from tests.bundles import make_bundle, make_language_model, toy_sentences

TEXTS = toy_sentences(3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translator `en-de`, and a language model `lm` with its vocabulary."""
    folder = tmp_path_factory.mktemp("bundles")
    translator = make_bundle(folder / "en-de")
    make_language_model(folder / "lm", tokenizers=translator.tokenizers)
    return folder


def by_hand(folder: Path, text: str, weight: float) -> Hypothesis:
    bundle: Bundle = load_bundle(folder / "en-de")
    search = bundle.config.search
    allowed = torch.ones(bundle.config.tgt_vocab, dtype=torch.bool)
    allowed[sorted(bundle.forbidden_ids - {EOS_ID})] = False
    language = load_bundle(folder / "lm", ["language-model"]).build_language_model()
    stepper = ShallowFusion(PlainStepper(bundle.build_model(), allowed), language, weight)
    src = torch.tensor([[*bundle.tokenizers.source.encode(text), EOS_ID]])
    length = torch.tensor([src.shape[1]])
    limit = ((length - 1) * search.max_length_factor).long() + search.max_length_offset + 1  # EOS counted
    scoring = Scoring(search.length_penalty, search.coverage_penalty)
    ((best, *_),) = beam_search(
        stepper, src, length, size=2, max_length=limit, bos_id=BOS_ID, eos_id=EOS_ID, scoring=scoring, min_length=1
    )
    return best


def translations(folder: Path, weight: float, *, workers: int = 0) -> list[tuple[str, float]]:
    fusion = Fusion(folder / "lm", weight)
    with Translator.load(folder / "en-de", device="cpu", workers=workers, fusion=fusion) as translator:
        assert (translator.info.runner, translator.info.precision) == ("plain", "fp32")
        found = translator.translate(TEXTS, TranslateOptions(beam_size=2, raw=True))
    return [(one.text, one.score) for one in found]


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_translations_are_those_of_both_models(folder: Path, weight: float) -> None:
    target = load_bundle(folder / "en-de").tokenizers.target
    for text, (found, score) in zip(TEXTS, translations(folder, weight), strict=True):
        expected = by_hand(folder, text, weight)
        assert found == target.decode(expected.tokens)
        assert score == pytest.approx(expected.score, abs=1e-4)


def test_the_language_model_matters_and_without_weight_it_does_not(folder: Path) -> None:
    with Translator.load(folder / "en-de", device="cpu", precision="fp32") as translator:
        alone = [(one.text, one.score) for one in translator.translate(TEXTS, TranslateOptions(beam_size=2, raw=True))]
    silent, loud = translations(folder, 0.0), translations(folder, 3.0)
    assert [text for text, _ in silent] == [text for text, _ in alone]
    assert [score for _, score in silent] == pytest.approx([score for _, score in alone], abs=1e-4)
    assert [text for text, _ in loud] != [text for text, _ in alone]


def test_worker_processes_translate_alike(folder: Path) -> None:
    assert translations(folder, 0.5, workers=1) == translations(folder, 0.5)


def test_samples_are_drawn_with_both(folder: Path) -> None:
    options = TranslateOptions(sampling=Sampling(seed=4), n_best=3, raw=True)
    with Translator.load(folder / "en-de", device="cpu", fusion=Fusion(folder / "lm", 3.0)) as translator:
        fused = translator.translate(TEXTS[:1], options)
    with Translator.load(folder / "en-de", device="cpu") as translator:
        assert fused != translator.translate(TEXTS[:1], options)


def test_models_that_do_not_fit_are_refused(folder: Path) -> None:
    make_language_model(folder / "other")
    with pytest.raises(
        ConfigError, match=r"other: its vocabulary is not the target's of .*en-de: train it with text\.v"
    ):
        Translator.load(folder / "en-de", device="cpu", fusion=Fusion(folder / "other"))
    with pytest.raises(BundleError, match=r"a translator .*, not a language model"):
        Translator.load(folder / "en-de", device="cpu", fusion=Fusion(folder / "en-de"))
    with pytest.raises(DeviceError, match="no int8 with a language model"):
        Translator.load(folder / "en-de", device="cpu", precision="int8", fusion=Fusion(folder / "lm"))
    with pytest.raises(ConfigError, match=r"weight -0\.1: it is 0 or more"):
        Translator.load(folder / "en-de", device="cpu", fusion=Fusion(folder / "lm", -0.1))
    copying = make_bundle(folder / "copying", text={"kind": "word", "vocab_size": 30}, copying=True)
    make_language_model(folder / "lm-words", tokenizers=copying.tokenizers)
    with pytest.raises(ConfigError, match="it copies words"):
        Translator.load(folder / "copying", device="cpu", fusion=Fusion(folder / "lm-words"))
