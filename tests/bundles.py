"""Bundles for tests: the toy language's vocabulary and random weights, made in a moment."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch

from nmt.bundle import FORMAT_VERSION, Bundle, BundleConfig, Storage, load_bundle, save_bundle, weights_of
from nmt.config import ModelConfig, SearchConfig, TextConfig
from nmt.model.seq2seq import build
from nmt.text.tokenizer import train_tokenizers
from tests.corpora import toy_pair


def make_bundle(
    folder: Path,
    *,
    seed: int = 1,
    storage: Storage = "float32",
    source_lang: str = "en",
    target_lang: str = "de",
    text: dict[str, Any] | None = None,
    search: dict[str, Any] | None = None,
    **model: Any,
) -> Bundle:
    """Write a bundle of a small random network and read it back. Keyword arguments go to `ModelConfig`."""
    rng = random.Random(seed)
    pairs = [toy_pair(rng) for _ in range(200)]
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


def toy_sentences(count: int, seed: int = 11) -> list[str]:
    """Source sentences of the toy language."""
    rng = random.Random(seed)
    return [toy_pair(rng)[0] for _ in range(count)]
