"""Bundles: round trips, damage of every kind, and what is never loaded."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as torch_save_file

from nmt.bundle import (
    FORMAT_VERSION,
    Array,
    Bundle,
    BundleConfig,
    Storage,
    load_bundle,
    rewrite_card,
    rewrite_shortlist,
    save_bundle,
    weights_of,
    write_sums,
)
from nmt.config import ModelConfig, SearchConfig, TextConfig
from nmt.errors import BundleError
from nmt.model.seq2seq import build
from nmt.shortlist import Shortlist
from nmt.text.dictionary import Dictionary
from nmt.text.tokenizer import EOS_ID, UNK_ID, TokenizerPair, train_tokenizers
from tests.corpora import LEXICON
from tests.disk import full_after

STORAGES: tuple[Storage, ...] = ("float32", "float16", "int8")
MODEL = ModelConfig(embedding_size=6, hidden_size=8, encoder_layers=1)


@cache
def tokenizers(kind: str = "word", joint: bool = True) -> TokenizerPair:
    config = TextConfig.model_validate({"kind": kind, "joint": joint, "vocab_size": 320})
    return train_tokenizers(list(LEXICON.items()) * 20, config, seed=1)


def bundle(storage: Storage = "float32", pair: TokenizerPair | None = None, **choices: Any) -> Bundle:
    pair = pair or tokenizers()
    torch.manual_seed(5)
    config = BundleConfig(
        format=FORMAT_VERSION,
        task="translation",
        source_lang="en",
        target_lang="de",
        src_vocab=pair.source.size,
        tgt_vocab=pair.target.size,
        storage=storage,
        model=MODEL.model_copy(update=choices),
        search=SearchConfig(beam_size=3),
        training={"updates": 7, "recipe": {"x": [1, 2]}},
    )
    model = build(config.model, config.src_vocab, config.tgt_vocab)
    return Bundle(config, pair, weights_of(model), card="# A card\n\nWith ümlauts.\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_bundle(bundle(), tmp_path / "en-de")
    return tmp_path / "en-de"


@pytest.mark.parametrize("tying", ["none", "target", "all"])
@pytest.mark.parametrize("storage", STORAGES)
def test_a_bundle_comes_back_as_it_was_saved(tmp_path: Path, storage: Storage, tying: str) -> None:
    original = bundle(storage, tying=tying)
    save_bundle(original, tmp_path / "b")
    loaded = load_bundle(tmp_path / "b")
    assert loaded.config.model_dump_json() == original.config.model_dump_json()
    assert loaded.card == original.card
    assert loaded.folder == tmp_path / "b"
    assert loaded.parameters == original.parameters
    assert loaded.weights.keys() == original.weights.keys()
    for name, weight in original.weights.items():
        assert loaded.weights[name].dtype == np.float32
        np.testing.assert_allclose(loaded.weights[name], weight, rtol=0, atol=tolerance(storage, weight))
    texts = ["the old man", "der alte Mann", "unseen words"]
    assert loaded.tokenizers.source.encode_batch(texts) == original.tokenizers.source.encode_batch(texts)


def tolerance(storage: Storage, weight: Array) -> float:
    match storage:
        case "float32":
            return 0.0
        case "float16":
            return float(np.abs(weight).max()) * 2**-11 + 1e-7
        case "int8":
            return float(np.abs(weight).max()) / 254 + 1e-7


@pytest.mark.parametrize(("kind", "joint"), [("unigram", True), ("bpe", False), ("char", True), ("word", False)])
def test_every_kind_of_vocabulary_travels_with_its_bundle(tmp_path: Path, kind: str, joint: bool) -> None:
    pair = tokenizers(kind, joint)
    save_bundle(bundle(pair=pair, tying="all" if joint else "none"), tmp_path / "b")
    loaded = load_bundle(tmp_path / "b").tokenizers
    assert loaded.is_joint == joint
    for mine, theirs in zip(pair, loaded, strict=True):
        ids = mine.encode("the old tree sees")
        assert theirs.encode("the old tree sees") == ids
        assert theirs.decode(ids) == mine.decode(ids)


def test_int8_errs_by_half_a_step_of_each_row(tmp_path: Path) -> None:
    """Every row has its own scale, |row|max / 127, so a row of small weights keeps its precision."""
    original = bundle()
    name = "decoder.combine.weight"
    weights = {key: value.copy() for key, value in original.weights.items()}
    weights[name] *= np.logspace(-6, 3, len(weights[name]), dtype=np.float32)[:, np.newaxis]
    weights[name][1] = 0.0
    save_bundle(replace(original, weights=weights), tmp_path / "b", storage="int8")
    loaded = load_bundle(tmp_path / "b").weights
    for key, weight in weights.items():
        if weight.ndim == 2:
            bound = np.abs(weight).max(axis=1, keepdims=True) / 254 * (1 + 1e-5)
            assert (np.abs(loaded[key] - weight) <= bound).all(), key
        else:
            np.testing.assert_array_equal(loaded[key], weight)
    stored = load_file(tmp_path / "b" / "model.safetensors")
    assert stored[name].dtype == np.int8


@torch.no_grad()
def test_the_loaded_network_computes_what_the_saved_one_did(tmp_path: Path) -> None:
    original = bundle()
    save_bundle(original, tmp_path / "b")
    src, lengths = torch.tensor([[4, 5, 6, 2]]), torch.tensor([4])
    expected = original.build_model()(src, lengths, src)[0]
    model = load_bundle(tmp_path / "b").build_model()
    assert torch.equal(model(src, lengths, src)[0], expected)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_reading_a_bundle_loads_no_torch(folder: Path) -> None:
    """Worker processes that serve without it save its memory and the time of its import."""
    program = (
        f"import sys; from nmt.bundle import load_bundle; load_bundle({str(folder)!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_version_names_the_weights(tmp_path: Path) -> None:
    save_bundle(bundle(), tmp_path / "a")
    save_bundle(bundle(), tmp_path / "b")
    save_bundle(bundle(tying="none"), tmp_path / "c")
    a, b, c = (load_bundle(tmp_path / name).version for name in "abc")
    assert a == b != c
    assert len(a) == 12


# Damage: each is one line that names the file


def assert_refused(folder: Path, *mentioned: str) -> None:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder).build_model()
    message = str(caught.value)
    assert "\n" not in message
    for text in (*mentioned, str(folder)):
        assert text in message


FILES = ["README.md", "SHA256SUMS", "config.json", "joint.vocab.json", "model.safetensors"]


def test_a_bundle_is_these_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_found(folder: Path, name: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    for place in (0, len(content) // 2, len(content) - 1):
        changed = content.copy()
        changed[place] ^= 0x04
        path.write_bytes(changed)
        assert_refused(folder)
        if name != "SHA256SUMS":
            assert_refused(folder, name)
    path.write_bytes(content)
    load_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert_refused(folder, name)


@pytest.mark.parametrize("keep", [0, 4, 0.5, -1])
def test_a_truncated_weights_file_is_damaged(folder: Path, keep: float) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = int(len(content) * keep) if 0 < keep < 1 else int(keep) % len(content)
    path.write_bytes(content[:size])
    assert_refused(folder, "model.safetensors", "damaged")
    # also where somebody has summed it up anew
    write_sums(folder)
    assert_refused(folder, "model.safetensors", "not a safetensors file")


def test_a_folder_that_is_no_bundle_says_so(tmp_path: Path) -> None:
    assert_refused(tmp_path, "not a model bundle")
    assert_refused(tmp_path / "nowhere", "not a model bundle")


def edit_config(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.json"
    raw = json.loads(path.read_text("utf-8"))
    edit(raw)
    path.write_text(json.dumps(raw), "utf-8")
    write_sums(folder)


def test_another_format_version_is_refused(folder: Path) -> None:
    edit_config(folder, lambda raw: raw.update(format=FORMAT_VERSION + 1, news="unknown today"))
    assert_refused(folder, "format 2", "reads 1")


def test_unknown_keys_and_wrong_values_of_the_configuration_are_named(folder: Path) -> None:
    def edit(raw: dict[str, Any]) -> None:
        raw["model"]["hiden_size"] = 4
        raw["storage"] = "int3"

    edit_config(folder, edit)
    assert_refused(folder, "config.json", "model.hiden_size", "storage")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 1}', "\x00"])
def test_a_configuration_that_is_none_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content, "utf-8")
    write_sums(folder)
    assert_refused(folder)


def test_vocabularies_of_another_size_are_refused(folder: Path) -> None:
    edit_config(folder, lambda raw: raw.update(src_vocab=9, tgt_vocab=9))
    assert_refused(folder, "vocabularies", "config.json")


def test_shared_embeddings_of_different_sizes_are_refused(folder: Path) -> None:
    edit_config(folder, lambda raw: raw.update(src_vocab=9))
    assert_refused(folder, "src_vocab", "config.json")


def edit_weights(folder: Path, edit: Callable[[dict[str, Array]], object]) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    edit(weights)
    save_file(weights, path)
    write_sums(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    edit_weights(folder, lambda weights: weights["output.bias"].fill(value))
    assert_refused(folder, "model.safetensors", "output.bias", "not finite")


@pytest.mark.parametrize(
    "edit",
    [
        lambda weights: weights.pop("output.bias"),
        lambda weights: weights.update(extra=np.zeros(1, np.float32)),
        lambda weights: weights.update({"output.bias": np.zeros(3, np.float32)}),
    ],
)
def test_weights_that_do_not_fit_the_configuration_are_refused(
    folder: Path, edit: Callable[[dict[str, Array]], object]
) -> None:
    edit_weights(folder, edit)
    assert_refused(folder, "model.safetensors", "do not fit")


@pytest.mark.parametrize("scale", [None, np.ones(1, np.float32)])
def test_int8_weights_need_a_scale_for_each_row(tmp_path: Path, scale: Array | None) -> None:
    folder = tmp_path / "b"
    save_bundle(bundle("int8"), folder)

    def edit(weights: dict[str, Array]) -> None:
        del weights["decoder.combine.weight.scale"]
        if scale is not None:
            weights["decoder.combine.weight.scale"] = scale

    edit_weights(folder, edit)
    assert_refused(folder, "model.safetensors", "decoder.combine.weight.scale")


# Invariant 6: nothing executable is loaded, and nothing from outside


class Bomb:
    """Unpickling one writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., int], tuple[Path, str]]:
        return Path.write_text, (self.path, "executed")


@pytest.mark.parametrize("name", ["model.safetensors", "joint.vocab.json", "config.json", "joint.spm"])
@pytest.mark.parametrize("maker", ["pickle", "torch"])
def test_a_pickle_is_never_opened(folder: Path, tmp_path: Path, name: str, maker: str) -> None:
    mark = tmp_path / "mark"
    bomb = {"output.bias": Bomb(mark)}
    if maker == "pickle":
        (folder / name).write_bytes(pickle.dumps(bomb))
    else:
        torch.save(bomb, folder / name)
    write_sums(folder)
    assert_refused(folder, "" if name == "joint.spm" else name)
    assert not mark.exists()
    pickle.loads(pickle.dumps(bomb))
    assert mark.exists(), "the bomb is none"


def test_every_file_that_loading_may_read_is_summed(folder: Path) -> None:
    """A vocabulary laid beside the listed one would otherwise take its place unchecked."""
    shutil.copy(folder / "joint.vocab.json", folder / "source.vocab.json")
    assert_refused(folder, "source.vocab.json", "not listed")
    (folder / "source.vocab.json").unlink()
    (folder / ".DS_Store").touch()
    load_bundle(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "sub/file", "..", "", "a\tb/../../x"])
def test_sums_name_no_file_outside_the_bundle(folder: Path, name: str) -> None:
    (folder.parent / "outside").write_text("x", "utf-8")
    sums = folder / "SHA256SUMS"
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"
    sums.write_text(sums.read_text("utf-8") + f"{digest}  {name}\n", "utf-8")
    with pytest.raises(BundleError):
        load_bundle(folder)


# Invariant 5: saving


@pytest.mark.parametrize("room", [100, 3000])
def test_a_full_disk_leaves_the_old_bundle_alone(folder: Path, room: int) -> None:
    """`room`: for no weights, or for them but not for all that comes after them."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with full_after(room), pytest.raises(BundleError, match=r"cannot be written: .*File too large"):
        save_bundle(bundle(tying="none"), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["en-de"]


def test_saving_replaces_every_file(folder: Path) -> None:
    (folder / "left-over.json").touch()
    save_bundle(bundle(tying="none"), folder)
    assert load_bundle(folder).config.model.tying == "none"
    assert not (folder / "left-over.json").exists()


# The shortlist is optional


def shortlist(source: Bundle) -> Shortlist:
    V = source.config.tgt_vocab
    return Shortlist.of_lists([[i, (3 * i + 1) % V] for i in range(source.config.src_vocab)], [5, 4], V)


def digests(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_shortlist_travels_with_its_bundle(tmp_path: Path) -> None:
    original = bundle()
    save_bundle(replace(original, shortlist=shortlist(original)), tmp_path / "b")
    loaded = load_bundle(tmp_path / "b").shortlist
    assert loaded is not None
    for ids in ([], [7], [9, 4, 9]):
        assert loaded.words(ids).tolist() == shortlist(original).words(ids).tolist()
    save_bundle(load_bundle(tmp_path / "b"), tmp_path / "again")
    assert digests(tmp_path / "again") == digests(tmp_path / "b")


def test_a_shortlist_is_added_and_replaced_without_touching_the_rest(folder: Path, tmp_path: Path) -> None:
    before = digests(folder)
    assert load_bundle(folder).shortlist is None
    first = shortlist(load_bundle(folder))
    for output in (tmp_path / "new" / "en-de", folder):
        rewrite_shortlist(folder, first, output)
        loaded = load_bundle(output)
        assert loaded.shortlist is not None
        assert loaded.shortlist.words([6]).tolist() == first.words([6]).tolist()
        assert {name: content for name, content in digests(output).items() if name in before} == {
            **before,
            "SHA256SUMS": (output / "SHA256SUMS").read_bytes(),
        }
    rewrite_shortlist(folder, Shortlist.of_lists([[]] * first.src_vocab, [], first.tgt_vocab), folder)
    emptied = load_bundle(folder).shortlist
    assert emptied is not None
    assert emptied.words([6]).tolist() == [EOS_ID]


def test_folders_in_a_bundle_come_along(folder: Path, tmp_path: Path) -> None:
    (folder / "notes" / "old").mkdir(parents=True)
    (folder / "notes" / "old" / "x").write_text("x", "utf-8")
    rewrite_shortlist(folder, shortlist(load_bundle(folder)), tmp_path / "new")
    rewrite_card(tmp_path / "new", "# Another card\n")
    assert load_bundle(tmp_path / "new").card == "# Another card\n"
    for place in (folder, tmp_path / "new"):
        assert (place / "notes" / "old" / "x").read_text("utf-8") == "x"


def test_a_new_card_leaves_the_shortlist_in_the_bundle(folder: Path) -> None:
    rewrite_shortlist(folder, shortlist(load_bundle(folder)), folder)
    rewrite_card(folder, "# Another card\n")
    loaded = load_bundle(folder)
    assert loaded.card == "# Another card\n"
    assert loaded.shortlist is not None


def test_a_dictionary_travels_with_its_bundle(folder: Path, tmp_path: Path) -> None:
    before = load_bundle(folder)
    assert before.dictionary is None
    assert UNK_ID in before.forbidden_ids
    save_bundle(replace(before, dictionary=Dictionary({"dog": "Dackel"})), tmp_path / "b")
    loaded = load_bundle(tmp_path / "b")
    assert loaded.dictionary is not None
    assert loaded.dictionary.entries == {"dog": "Dackel"}
    assert before.forbidden_ids - loaded.forbidden_ids == {UNK_ID}
    rewrite_card(tmp_path / "b", "# Another card\n")
    assert load_bundle(tmp_path / "b").dictionary is not None


def test_a_dictionary_that_is_none_is_refused(folder: Path) -> None:
    (folder / "dictionary.tsv").write_text("dog\tDackel\n", "utf-8")
    assert_refused(folder, "dictionary.tsv", "not listed")
    write_sums(folder)
    load_bundle(folder)
    (folder / "dictionary.tsv").write_text("dog\tHund\n", "utf-8")
    assert_refused(folder, "dictionary.tsv", "damaged")
    (folder / "dictionary.tsv").write_text("dog Hund\n", "utf-8")
    write_sums(folder)
    assert_refused(folder, "dictionary.tsv:1", "translation")


def test_a_shortlist_of_other_vocabularies_is_refused(folder: Path) -> None:
    rewrite_shortlist(folder, Shortlist.of_lists([[1]] * 3, [], 4), folder)
    assert_refused(folder, "shortlist.safetensors", "source vocabulary")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"\x00" * 40),
        lambda path: path.write_bytes(b""),
        lambda path: save_file({"offsets": np.zeros(3, np.int32)}, path),
        lambda path: torch_save_file({"offsets": torch.zeros(3, dtype=torch.bfloat16)}, path),
    ],
)
def test_a_shortlist_that_is_none_is_refused(folder: Path, write: Callable[[Path], object]) -> None:
    write(folder / "shortlist.safetensors")
    assert_refused(folder, "shortlist.safetensors", "not listed")
    write_sums(folder)
    assert_refused(folder, "shortlist.safetensors")


def test_a_changed_byte_of_the_shortlist_is_found(folder: Path) -> None:
    rewrite_shortlist(folder, shortlist(load_bundle(folder)), folder)
    path = folder / "shortlist.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert_refused(folder, "shortlist.safetensors", "damaged")
