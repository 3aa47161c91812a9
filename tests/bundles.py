"""Bundles for tests: the toy language's vocabulary and random weights, made in a moment."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nmt.bundle import FORMAT_VERSION, Bundle, BundleConfig, Storage, load_bundle, save_bundle, weights_of
from nmt.config import ModelConfig, SearchConfig, TaskName, TextConfig, parse_recipe
from nmt.model.labeller import build_labeller
from nmt.model.language_model import build_language_model
from nmt.model.seq2seq import build
from nmt.text.labels import label_vocabulary
from nmt.text.tokenizer import TokenizerPair, train_tokenizers
from tests.corpora import toy_pair

SMALL = {"embedding_size": 24, "hidden_size": 32, "dropout": 0.0, "init_range": 0.4}
"""Weights as large as these make a random network prefer some tokens clearly, and end its sentences."""


def make_bundle(
    folder: Path,
    *,
    seed: int = 1,
    storage: Storage = "float32",
    source_lang: str = "en",
    target_lang: str = "de",
    text: dict[str, Any] | None = None,
    search: dict[str, Any] | None = None,
    tokenizers: TokenizerPair | None = None,
    **model: Any,
) -> Bundle:
    """Write a bundle of a small random network and read it back. Keyword arguments go to `ModelConfig`.

    `tokenizers`: those of another bundle, in the place of its own.
    """
    rng = random.Random(seed)
    pairs = [toy_pair(rng) for _ in range(200)]
    if tokenizers is None:
        tokenizers = train_tokenizers(pairs, TextConfig(**{"vocab_size": 330} | (text or {})), seed=seed)
    # weights as large as these make a random network prefer some tokens clearly, and end its sentences
    settings = {"embedding_size": 24, "hidden_size": 32, "encoder_layers": 1, "dropout": 0.0, "init_range": 0.4}
    model_config = ModelConfig(**settings | model)
    torch.manual_seed(seed)
    network = build(model_config, tokenizers.source.size, tokenizers.target.size)
    config = BundleConfig(
        format=FORMAT_VERSION,
        task="translation",
        source_lang=source_lang,
        target_lang=target_lang,
        src_vocab=tokenizers.source.size,
        tgt_vocab=tokenizers.target.size,
        storage=storage,
        model=model_config,
        search=SearchConfig(**search or {}),
    )
    save_bundle(Bundle(config, tokenizers, weights_of(network), card="# A random toy\n"), folder)
    return load_bundle(folder)


def make_language_model(
    folder: Path,
    *,
    seed: int = 1,
    running_text: bool = False,
    text: dict[str, Any] | None = None,
    tokenizers: TokenizerPair | None = None,
    **model: Any,
) -> Bundle:
    """Write a bundle of a small random language model of the toy language's target side and read it back.

    `tokenizers`: a translator's, whose target vocabulary it takes.
    """
    rng = random.Random(seed)
    if tokenizers is None:
        tokenizers = train_tokenizers(
            [(line, line) for _, line in (toy_pair(rng) for _ in range(200))],
            TextConfig(**{"vocab_size": 330} | (text or {})),
            seed=seed,
        )
    tokenizers = TokenizerPair(tokenizers.target, tokenizers.target)
    config = parse_recipe({"task": "language-model", "model": {**SMALL, "decoder_layers": 2, **model}}).model
    torch.manual_seed(seed)
    network = build_language_model(config, tokenizers.target.size)
    return _other(folder, "language-model", config, tokenizers, network, running_text=running_text)


def make_labeller(folder: Path, task: TaskName, *, seed: int = 1, **model: Any) -> Bundle:
    """Write a bundle of a small random tagger or classifier of the toy language's source side and read it back."""
    rng = random.Random(seed)
    lines = [line for line, _ in (toy_pair(rng) for _ in range(200))]
    source = train_tokenizers([(line, "") for line in lines], TextConfig(vocab_size=330), seed=seed).source
    tokenizers = TokenizerPair(source, label_vocabulary(["A B C D"]))
    config = parse_recipe({"task": task, "model": {**SMALL, "encoder_layers": 1, **model}}).model
    torch.manual_seed(seed)
    network = build_labeller(config, source.size, tokenizers.target.size, is_by_word=task == "tagging")
    return _other(folder, task, config, tokenizers, network)


def _other(
    folder: Path,
    task: TaskName,
    model: ModelConfig,
    tokenizers: TokenizerPair,
    network: nn.Module,
    *,
    running_text: bool = False,
) -> Bundle:
    config = BundleConfig(
        format=FORMAT_VERSION,
        task=task,
        source_lang="de",
        target_lang="de",
        src_vocab=tokenizers.source.size,
        tgt_vocab=tokenizers.target.size,
        storage="float32",
        running_text=running_text,
        model=model,
        search=SearchConfig(),
    )
    save_bundle(Bundle(config, tokenizers, weights_of(network), card="# A random toy\n"), folder)
    return load_bundle(folder, [task])


def toy_sentences(count: int, seed: int = 11) -> list[str]:
    """Source sentences of the toy language."""
    rng = random.Random(seed)
    return [toy_pair(rng)[0] for _ in range(count)]
