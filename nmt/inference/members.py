"""The bundles of an ensemble: loaded, and held to what they must have in common. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from nmt.bundle import Bundle, load_bundle
from nmt.errors import ConfigError
from nmt.inference.types import Ensemble
from nmt.text.tokenizer import vocabulary_hash


class Member(NamedTuple):
    """A further bundle of an ensemble."""

    bundle: Bundle
    weight: float
    """Of all weights, which sum to 1."""
    reads_alike: bool
    """It reads the source in the first bundle's pieces."""


def load_members(first: Bundle, ensemble: Ensemble | None) -> tuple[Member, ...]:
    """The bundles beside `first`; none without an ensemble.

    Raises BundleError for what is no translator, and ConfigError for one that does not fit or weights that do not.
    """
    if ensemble is None:
        return ()
    weights = checked_weights(ensemble)
    _refuse_copying(first)
    members = []
    for folder, weight in zip(ensemble.folders, weights[1:], strict=True):
        bundle = load_bundle(folder)
        _refuse_misfit(first, bundle)
        reads_alike = bundle.tokenizers.source.fingerprint == first.tokenizers.source.fingerprint
        members.append(Member(bundle, weight, reads_alike))
    return tuple(members)


def checked_weights(ensemble: Ensemble) -> tuple[float, ...]:
    """A weight a bundle, the first one's first; they sum to 1. Raises ConfigError."""
    bundles = 1 + len(ensemble.folders)
    weights = ensemble.weights or (1.0,) * bundles
    if len(weights) != bundles:
        raise ConfigError(f"{len(weights)} weights for an ensemble of {bundles} models: give one each, the first first")
    if bad := [weight for weight in weights if not 0 < weight < math.inf]:
        raise ConfigError(f"a model of an ensemble with the weight {bad[0]:g}: it is above 0; leave the model out")
    return tuple(weight / sum(weights) for weight in weights)


def weights_of_all(further: Sequence[Member]) -> tuple[float, ...]:
    """Those of all members, the first one's first."""
    return 1.0 - sum(member.weight for member in further), *(member.weight for member in further)


def _refuse_misfit(first: Bundle, other: Bundle) -> None:
    ours, theirs = vocabulary_hash(first.tokenizers.target), vocabulary_hash(other.tokenizers.target)
    if ours != theirs:
        raise ConfigError(
            f"{other.folder}: its target vocabulary ({theirs}) is not that of {first.folder} ({ours}), and an ensemble "
            f'has one: train it with text.vocabulary = "{first.folder}"'
        )
    pairs = [f"{bundle.config.source_lang}-{bundle.config.target_lang}" for bundle in (first, other)]
    if pairs[0] != pairs[1]:
        raise ConfigError(f"{other.folder}: translates {pairs[1]}, and {first.folder} {pairs[0]}")
    _refuse_copying(other)


def _refuse_copying(bundle: Bundle) -> None:
    if bundle.config.model.copying:
        raise ConfigError(f"{bundle.folder}: it copies words of the source, which an ensemble cannot weigh")
