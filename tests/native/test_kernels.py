"""The compiled kernels against NumPy, variant by variant. That they search as the reference does: tests/inference."""

from __future__ import annotations

import ctypes
import resource
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from numpy.typing import NDArray

from nmt.bundle import Bundle
from nmt.config import ModelConfig, SearchConfig
from nmt.native import build, library
from nmt.native.engine import Engine, Result, Sentence, aligned
from nmt.native.model import PRECISIONS, Arena, Layout, Precision, WordLists
from nmt.native.sharing import make_file, shared_block
from tests.bundles import make_bundle

HERE = Path(__file__).parent
VARIANTS = library.variants()
EOS = 2

pytestmark = pytest.mark.skipif(not VARIANTS, reason="the native library was not built: python -m nmt.native.build")


def multiply(
    variant: str, precision: Precision, weight: NDArray[np.float32], bias: NDArray[np.float32], x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """x W^T + b by the kernels, for every row of x: the table is such a product."""
    counter = Layout(Arena(), variant, precision)
    counter.matrix([weight], bias)
    block = aligned(counter._arena.used)
    matrix = Layout(Arena(block.data), variant, precision).matrix([weight], bias)
    y = np.empty((len(x), matrix.outputs), np.float16 if precision == "int8" else np.float32)
    done = library.load(variant).nmt_fill_table(ctypes.byref(matrix), x.ctypes.data, len(x), x.shape[1], y.ctypes.data)
    assert done
    return y[:, : len(weight)].astype(np.float32)


def quantised(values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows as whole numbers of -127 to 127 and one scale a row."""
    scale = np.abs(values.astype(np.float64)).max(axis=1, keepdims=True) / 127
    return np.rint(values / np.where(scale == 0, 1, scale)).astype(np.int64), scale


SHAPES = [(1, 1, 1), (3, 64, 7), (5, 100, 65), (6, 130, 64), (17, 512, 300), (70, 33, 128)]


def case(rows: int, inputs: int, outputs: int) -> tuple[NDArray[np.float32], ...]:
    rng = np.random.default_rng(rows)
    x, w = rng.normal(size=(rows, inputs)), rng.normal(size=(outputs, inputs))
    w[0] = 0.0  # a row without any scale
    return tuple(np.ascontiguousarray(a, np.float32) for a in (w, rng.normal(size=outputs), x))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_fp32_products_are_numpys(variant: str, shape: tuple[int, int, int]) -> None:
    w, b, x = case(*shape)
    expected = x.astype(np.float64) @ w.T.astype(np.float64) + b
    np.testing.assert_allclose(multiply(variant, "fp32", w, b, x), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_int8_products_are_those_of_the_rounded_numbers(variant: str, shape: tuple[int, int, int]) -> None:
    w, b, x = case(*shape)
    (wq, w_scale), (xq, x_scale) = quantised(w), quantised(x)
    expected = (xq @ wq.T) * x_scale * w_scale.T + b
    # the table is in fp16: 11 bits
    np.testing.assert_allclose(multiply(variant, "int8", w, b, x), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_row_does_not_depend_on_the_rows_beside_it(precision: Precision) -> None:
    w, b, x = case(17, 130, 300)
    together = multiply(VARIANTS[0], precision, w, b, x)
    for row in range(len(x)):
        np.testing.assert_array_equal(multiply(VARIANTS[0], precision, w, b, x[row : row + 1])[0], together[row])


@pytest.fixture(scope="module")
def emulated_amx(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The AMX variant with the tile instructions in C, among the libraries under a name of its own."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None or "avx512vnni" not in VARIANTS:
        pytest.skip("needs a C compiler and AVX-512")
    folder = tmp_path_factory.mktemp("amx")
    name = "amx-emulated"
    flags = [*build.FLAGS, *build.AVX512, "-D__AMX_INT8__", "-include", "immintrin.h"]
    flags += ["-include", str(HERE / "amx_emulation.h"), '-DSOURCE_HASH="emulated"', "-O1", "-w"]
    sources = [str(path) for path in sorted(build.SOURCES.glob("*.c"))]
    target = folder / f"{name}{build.SUFFIX}"
    subprocess.run([compiler, *flags, "-o", str(target), *sources, "-lm"], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "LIBRARIES", folder)
        library.load(name)  # cached: the folder is asked once
    return name


@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_multiply_as_dot_products_do(emulated_amx: str, shape: tuple[int, int, int]) -> None:
    w, b, x = case(*shape)
    np.testing.assert_array_equal(multiply(emulated_amx, "int8", w, b, x), multiply("avx512vnni", "int8", w, b, x))


def test_half_precision_rounds_as_numpy_does() -> None:
    """One input of 1 times any weight is that weight: what remains is the rounding to fp16."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=300) * 10.0 ** rng.integers(-6, 4, size=300), [0.0, 65504.0, 1e-8]])
    bias = np.ascontiguousarray(values, np.float32)
    weight, x = np.zeros((len(bias), 1), np.float32), np.ones((1, 1), np.float32)
    for variant in VARIANTS:
        expected = bias.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(multiply(variant, "int8", weight, bias, x)[0], expected)


@cache
def toy() -> Bundle:
    with TemporaryDirectory() as folder:
        return make_bundle(Path(folder) / "toy")


def make_engine(
    precision: Precision = "int8",
    *,
    bias: NDArray[np.float32] | None = None,
    shortlist: WordLists | None = None,
    variant: str | None = None,
    shared_file: int | None = None,
) -> Engine:
    """`bias`: added to the logits of the output layer."""
    bundle = toy()
    weights = dict(bundle.weights)
    if bias is not None:
        weights["output.bias"] = weights["output.bias"] + bias
    config: ModelConfig = bundle.config.model
    search: SearchConfig = bundle.config.search
    return Engine(
        config,
        search,
        weights,
        precision=precision,
        bos_id=1,
        eos_id=EOS,
        forbidden_ids=(0, 1, 3),
        shortlist=shortlist,
        variant=variant,
        shared_file=shared_file,
    )


def sentence(*ids: int, beam: int = 4, with_attention: bool = False) -> Sentence:
    return Sentence([*ids, EOS], beam, beam, max_length=20, min_length=1, with_attention=with_attention)


def finish(engine: Engine, slots: list[int]) -> list[list[Result]]:
    results: dict[int, list[Result]] = {}
    while len(results) < len(slots):
        results |= {slot: engine.take(slot) for slot in engine.step(3)}
    return [results[slot] for slot in slots]


def search(engine: Engine, sentences: list[Sentence]) -> list[list[Result]]:
    return finish(engine, engine.admit(sentences))


def word_lists(src_vocab: int, tgt_vocab: int) -> WordLists:
    """Random ones: some empty, one that holds nearly everything, with words that every sentence may use among them."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 12, size=src_vocab)
    lengths[[10, 11]] = 0, tgt_vocab - 5
    lists = [rng.choice(tgt_vocab, length, replace=False) for length in lengths]
    always = np.union1d([EOS], rng.choice(tgt_vocab, 9, replace=False))
    offsets = np.cumsum([0, *lengths])
    return WordLists(always.astype(np.int32), offsets.astype(np.int32), np.concatenate(lists).astype(np.int32))


def toy_lists() -> WordLists:
    config = toy().config
    return word_lists(config.src_vocab, config.tgt_vocab)


def check_shortlist(variant: str, precision: Precision) -> None:
    """Together with a shortlist, sentences find what each finds alone where all other words are out of reach."""
    lists = toy_lists()
    texts = [
        sentence(10, beam=1),
        sentence(10, 11, beam=7),
        *(sentence(i, i + 1, beam=1 + i % 6) for i in range(12, 24)),
    ]
    together = search(make_engine(precision, shortlist=lists, variant=variant), texts)
    for text, found in zip(texts, together, strict=True):
        own = [lists.targets[lists.offsets[i] : lists.offsets[i + 1]] for i in text.ids]
        bias = np.full(toy().config.tgt_vocab, -1e30, np.float32)
        bias[np.concatenate([lists.always, *own])] = 0
        alone = search(make_engine(precision, bias=bias, variant=variant), [text])[0]
        assert [result.tokens for result in found] == [result.tokens for result in alone]
        assert [result.log_prob for result in found] == pytest.approx([result.log_prob for result in alone], abs=2e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_sentence_chooses_among_its_own_words_whatever_those_of_others(variant: str, precision: Precision) -> None:
    check_shortlist(variant, precision)


def test_a_shortlist_beside_tiles(emulated_amx: str) -> None:
    check_shortlist(emulated_amx, "int8")


@pytest.mark.parametrize("has_shortlist", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_translation_is_the_same_to_the_bit_whatever_else_runs(precision: Precision, has_shortlist: bool) -> None:
    engine = make_engine(precision, shortlist=toy_lists() if has_shortlist else None)
    texts = [sentence(*range(10, 10 + n), beam=1 + n % 5) for n in range(1, 12)]
    together = search(engine, texts)
    assert together == [search(engine, [text])[0] for text in texts]


def test_weights_that_are_no_numbers_give_no_hypothesis() -> None:
    engine = make_engine(bias=np.array([np.nan], np.float32))
    assert search(engine, [sentence(10, 11)]) == [[]]


def test_a_slot_that_was_dropped_serves_another_sentence() -> None:
    engine = make_engine()
    one, two, three = sentence(10, 11), sentence(12, 13), sentence(14)
    expected = [search(engine, [text])[0] for text in (two, three)]
    first, second = engine.admit([one, two])
    engine.step(1)
    engine.drop(first)
    (third,) = engine.admit([three])
    assert third == first
    assert finish(engine, [second, third]) == expected


def test_slots_give_their_memory_back() -> None:
    engine = make_engine()

    def use(times: int) -> None:
        for _ in range(times):
            for slot in engine.admit([sentence(*range(10, 40), beam=8, with_attention=True)] * 20):
                engine.drop(slot)

    use(20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    use(200)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 4_000  # 4,000 slots of some 50 kB each


def test_engines_that_share_their_weights_translate_as_one_that_does_not() -> None:
    texts, lists = [sentence(10, 11), sentence(12, 13, 14)], toy_lists()
    expected = search(make_engine(shortlist=lists), texts)
    with make_file() as file:
        first, second = (make_engine(shortlist=lists, shared_file=file.fileno()) for _ in range(2))
    assert search(first, texts) == expected
    assert search(second, texts) == expected


def test_a_process_that_dies_over_filling_leaves_it_to_the_next() -> None:
    """Only a block that was filled to the end is taken as it is."""
    told: list[bool] = []

    def fill(block: memoryview, is_filled: bool) -> None:
        told.append(is_filled)
        if len(told) == 1:
            block[:4] = b"half"
            raise KeyboardInterrupt
        if not is_filled:
            block[:4] = b"done"

    with make_file() as file:
        with pytest.raises(KeyboardInterrupt):
            shared_block(file.fileno(), 100, fill)
        for _ in range(2):
            assert bytes(shared_block(file.fileno(), 100, fill)[64:68]) == b"done"
    assert told == [False, False, True]
