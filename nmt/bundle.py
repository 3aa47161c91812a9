"""A trained model on disk: the only thing that leaves training and the only thing that enters serving.

A folder of safetensors, JSON, text and SentencePiece files, each with its hash in SHA256SUMS. Nothing in it is
executable, nothing outside it is needed to translate. Weights are NumPy arrays; torch is loaded only where a network is
built or read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nmt.config import ModelConfig, SearchConfig, Section, TaskName, parse_section
from nmt.errors import BundleError, ConfigError, TokenizerError
from nmt.files import atomic_folder, sha256, unwritten
from nmt.shortlist import Shortlist
from nmt.text.dictionary import Dictionary
from nmt.text.tokenizer import UNK_ID, TokenizerPair, load_tokenizers

if TYPE_CHECKING:
    from torch import nn

    from nmt.model.labeller import Labeller
    from nmt.model.language_model import LanguageModel
    from nmt.model.seq2seq import Seq2Seq

    Network = TypeVar("Network", bound=nn.Module)

FORMAT_VERSION = 1
CONFIG, WEIGHTS, CARD, SUMS = "config.json", "model.safetensors", "README.md", "SHA256SUMS"
SHORTLIST, DICTIONARY = "shortlist.safetensors", "dictionary.tsv"
VERIFIED_SUFFIXES = frozenset({".json", ".safetensors", ".spm", ".tsv"})
"""Kinds of files that loading may read: one of them that SHA256SUMS does not list is refused."""
SCALE = ".scale"

Array = NDArray[np.float32]

Storage = Literal["float32", "float16", "int8"]
"""How weights lie on disk. `int8`: matrices as one byte a weight and one scale a row, dequantised when loaded."""

KINDS: Mapping[TaskName, str] = {
    "translation": "a translator (nmt translate, nmt serve)",
    "language-model": "a language model (nmt sample, nmt score)",
    "tagging": "a tagger (nmt label)",
    "classification": "a classifier (nmt label)",
}
"""What a bundle is, and which commands use it."""


class BundleConfig(Section):
    """`config.json`.

    A language model has one language and one vocabulary, twice. Of a tagger or classifier the labels are the target.
    """

    format: int
    task: TaskName
    source_lang: str
    target_lang: str
    src_vocab: int
    tgt_vocab: int
    storage: Storage
    running_text: bool = False
    """Of a language model: whether a line continues the one before it."""
    model: ModelConfig
    search: SearchConfig
    training: dict[str, Any] = Field(default_factory=dict)
    """A summary for people: the recipe, updates, scores. Nothing reads it to translate."""

    @model_validator(mode="after")
    def _vocabularies_agree(self) -> BundleConfig:
        if self.model.tying == "all" and self.src_vocab != self.tgt_vocab:
            raise ValueError('model.tying = "all" shares embeddings, but src_vocab and tgt_vocab differ')
        if self.model.copying and self.src_vocab != self.tgt_vocab:
            raise ValueError("model.copying needs one vocabulary, but src_vocab and tgt_vocab differ")
        return self


@dataclass(frozen=True)
class Bundle:
    """A trained translator in memory."""

    config: BundleConfig
    tokenizers: TokenizerPair
    weights: Mapping[str, Array]
    """fp32, by parameter name; shared matrices once."""
    card: str = ""
    shortlist: Shortlist | None = None
    dictionary: Dictionary | None = None
    """What stands in a translation for words that the model has no name for."""
    folder: Path | None = None
    version: str = ""
    """First 12 hexadecimal digits of the weight file's SHA-256; empty before it is saved."""
    parameters: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", sum(weight.size for weight in self.weights.values()))

    @property
    def forbidden_ids(self) -> frozenset[int]:
        """Target ids that a search never generates: the vocabulary's, but `<unk>` where something becomes of it."""
        forbidden = self.tokenizers.target.forbidden_ids
        choice = self.config.search.unknown_words
        may_be_unknown = choice == "keep" or (choice == "replace" and self.dictionary is not None)
        return forbidden - {UNK_ID} if may_be_unknown else forbidden

    def build_model(self) -> Seq2Seq:
        """A translator with these weights, in evaluation mode, without gradients."""
        from nmt.model.seq2seq import build

        assert self.config.task == "translation"
        return self._filled(build(self.config.model, self.config.src_vocab, self.config.tgt_vocab, draw_weights=False))

    def build_language_model(self) -> LanguageModel:
        """A language model with these weights, in evaluation mode, without gradients."""
        from nmt.model.language_model import build_language_model

        assert self.config.task == "language-model"
        return self._filled(build_language_model(self.config.model, self.config.tgt_vocab, draw_weights=False))

    def build_labeller(self) -> Labeller:
        """A tagger or classifier with these weights, in evaluation mode, without gradients."""
        from nmt.model.labeller import build_labeller

        config = self.config
        assert config.task in ("tagging", "classification")
        return self._filled(
            build_labeller(
                config.model,
                config.src_vocab,
                config.tgt_vocab,
                is_by_word=config.task == "tagging",
                draw_weights=False,
            )
        )

    def build_network(self) -> nn.Module:
        """The network, whichever it is."""
        match self.config.task:
            case "translation":
                return self.build_model()
            case "language-model":
                return self.build_language_model()
            case "tagging" | "classification":
                return self.build_labeller()

    def _filled(self, model: Network) -> Network:
        import torch

        expected = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        found = {name: weight.shape for name, weight in self.weights.items()}
        if expected != found:
            wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
            place = WEIGHTS if self.folder is None else self.folder / WEIGHTS
            raise BundleError(f"{place}: weights do not fit the configuration: {', '.join(wrong[:5])}")
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(torch.from_numpy(self.weights[name]))
        return model.eval().requires_grad_(False)


def weights_of(model: nn.Module) -> dict[str, Array]:
    """A copy of the parameters in fp32, shared matrices once."""
    import torch

    return {name: p.detach().to("cpu", torch.float32, copy=True).numpy() for name, p in model.named_parameters()}


def save_bundle(bundle: Bundle, folder: Path, *, storage: Storage | None = None) -> None:
    """Write a bundle folder, replacing one that is there. It appears whole or not at all.

    Raises BundleError where it cannot be written.
    """
    config = bundle.config if storage is None else bundle.config.model_copy(update={"storage": storage})
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(folder) as partial:
            save_file(_pack(bundle.weights, config.storage), partial / WEIGHTS)
            if bundle.shortlist is not None:
                save_file(bundle.shortlist.to_arrays(), partial / SHORTLIST)
            _let_everyone_read(partial)
            if bundle.dictionary is not None:
                bundle.dictionary.save(partial / DICTIONARY)
            bundle.tokenizers.save(partial)
            (partial / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", "utf-8")
            (partial / CARD).write_text(bundle.card, "utf-8")
            write_sums(partial)
    except (OSError, SafetensorError) as error:
        raise BundleError(unwritten(folder, error)) from None


def rewrite_card(folder: Path, card: str) -> None:
    """Give a bundle another card. Raises BundleError where it is not whole or cannot be written."""
    with _rewritten(folder, folder) as partial:
        (partial / CARD).write_text(card, "utf-8")


def rewrite_shortlist(folder: Path, shortlist: Shortlist, output: Path) -> None:
    """Write a bundle anew, in `output` or in its own place, with this shortlist; every other file stays as it is.

    Raises BundleError where the bundle is not whole or `output` cannot be written.
    """
    with _rewritten(folder, output) as partial:
        save_file(shortlist.to_arrays(), partial / SHORTLIST)
        _let_everyone_read(partial)


@contextmanager
def _rewritten(folder: Path, output: Path) -> Iterator[Path]:
    """A copy of a verified bundle to change, which then takes the place of `output`."""
    verify(folder)
    try:
        content = list(folder.iterdir())  # before there is a new one, which may lie in it
        output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(output) as partial:
            for path in content:
                if path.is_dir():
                    shutil.copytree(path, partial / path.name)
                else:
                    shutil.copy2(path, partial / path.name)
            yield partial
            write_sums(partial)
    except (OSError, SafetensorError) as error:
        raise BundleError(unwritten(output, error)) from None


def _let_everyone_read(folder: Path) -> None:
    """safetensors writes for the owner alone; a bundle is read by whoever serves it."""
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS over every other file of the folder (`sha256sum -c` reads it)."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    (folder / SUMS).write_text("".join(f"{sha256(path)}  {path.name}\n" for path in files), "utf-8")


TRANSLATION: tuple[TaskName, ...] = ("translation",)


def load_bundle(folder: Path | str, tasks: Collection[TaskName] = TRANSLATION) -> Bundle:
    """Read and verify a bundle. `tasks`: those that the caller can make use of.

    Raises BundleError naming the file that is missing, damaged or of another version, and for another task.
    """
    folder = Path(folder)
    digests = verify(folder)
    config = load_config(folder)
    if config.task not in tasks:
        wanted = " or ".join(KINDS[task].partition(" (")[0] for task in tasks)
        raise BundleError(f"{folder}: {KINDS[config.task]}, not {wanted}")
    try:
        tokenizers = load_tokenizers(folder)
        dictionary = Dictionary.load(folder / DICTIONARY) if DICTIONARY in digests else None
    except TokenizerError as error:
        raise BundleError(str(error)) from None
    sizes = (tokenizers.source.size, tokenizers.target.size)
    if sizes != (config.src_vocab, config.tgt_vocab):
        raise BundleError(
            f"{folder}: vocabularies of {sizes[0]} and {sizes[1]} pieces, "
            f"but {CONFIG} says {config.src_vocab} and {config.tgt_vocab}"
        )
    try:
        weights = _unpack(load_file(folder / WEIGHTS))
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{folder / WEIGHTS}: not a safetensors file ({error})") from None
    except KeyError as error:
        raise BundleError(f"{folder / WEIGHTS}: {error.args[0]} does not fit its weights or is missing") from None
    if bad := [name for name, weight in weights.items() if not np.isfinite(weight).all()]:
        raise BundleError(f"{folder / WEIGHTS}: {bad[0]} holds values that are not finite: train or fetch it again")
    shortlist = _load_shortlist(folder, config) if SHORTLIST in digests else None
    return Bundle(
        config,
        tokenizers,
        weights,
        card=(folder / CARD).read_text("utf-8", errors="replace"),
        shortlist=shortlist,
        dictionary=dictionary,
        folder=folder,
        version=digests[WEIGHTS][:12],
    )


def _load_shortlist(folder: Path, config: BundleConfig) -> Shortlist:
    path = folder / SHORTLIST
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError, TypeError) as error:
        raise BundleError(f"{path}: not a safetensors file ({error})") from None
    try:
        return Shortlist.from_arrays(arrays, config.src_vocab, config.tgt_vocab)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None


def load_config(folder: Path) -> BundleConfig:
    """`config.json` alone, checked. Raises BundleError."""
    path = folder / CONFIG
    try:
        raw = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: not readable as JSON ({error})") from None
    version = raw.get("format") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{folder}: bundle format {version!r}, this program reads {FORMAT_VERSION}: use the matching release"
        )
    try:
        return parse_section(BundleConfig, raw, origin=str(path))
    except ConfigError as error:
        raise BundleError(str(error)) from None


def verify(folder: Path) -> dict[str, str]:
    """Compare every file with SHA256SUMS; their hashes by name. Raises BundleError."""
    sums = folder / SUMS
    if not sums.is_file():
        raise BundleError(f"{folder}: not a model bundle (no {SUMS})")
    expected: dict[str, str] = {}
    for number, line in enumerate(sums.read_text("utf-8", errors="replace").splitlines(), 1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64 or Path(name).name != name:
            raise BundleError(f"{sums}:{number}: not a line of sha256sum")
        expected[name] = digest
    present = {path.name for path in folder.iterdir() if path.suffix in VERIFIED_SUFFIXES}
    if missing := sorted({CONFIG, WEIGHTS, CARD, *present} - expected.keys()):
        raise BundleError(f"{sums}: {missing[0]} is not listed; copy the bundle again")
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{path}: missing; copy the bundle again")
        if sha256(path) != digest:
            raise BundleError(f"{path}: damaged (its SHA-256 is not that of {SUMS}); copy the bundle again")
    return expected


def _pack(weights: Mapping[str, Array], storage: Storage) -> dict[str, NDArray[Any]]:
    assert storage in get_args(Storage)
    if storage != "int8":
        dtype = np.float16 if storage == "float16" else np.float32
        return {name: np.ascontiguousarray(weight, dtype) for name, weight in weights.items()}
    packed: dict[str, NDArray[Any]] = {}
    for name, weight in weights.items():
        if weight.ndim != 2:
            packed[name] = np.ascontiguousarray(weight)
            continue
        scale = np.maximum(np.abs(weight).max(axis=1) / np.float32(127), np.finfo(np.float32).tiny)
        packed[name] = np.rint(weight / scale[:, np.newaxis]).astype(np.int8)
        packed[name + SCALE] = scale
    return packed


def _unpack(packed: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
    weights: dict[str, Array] = {}
    for name, value in packed.items():
        if name.endswith(SCALE):
            continue
        weight = value.astype(np.float32, copy=False)
        if value.dtype == np.int8:
            scale = packed[name + SCALE]
            if scale.shape != value.shape[:1]:
                raise KeyError(name + SCALE)
            weight *= scale[:, np.newaxis]
        weights[name] = weight
    return weights
