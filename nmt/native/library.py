"""The compiled kernels: which variant this processor runs, and the C functions with their types (see src/model.h)."""

from __future__ import annotations

import ctypes
import warnings
from ctypes import POINTER, c_char_p, c_float, c_int, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path

from nmt.native import build

MAX_LAYERS = 16
"""As in src/model.h."""

# bits of nmt_cpu(), see src/cpu.c
NEEDS = {"amx": 8, "avx512vnni": 4, "avxvnni": 2, "avx2": 1, "generic": 0}


class Matrix(ctypes.Structure):
    _fields_ = [
        ("inputs", c_int32),
        ("outputs", c_int32),
        ("precision", c_int32),
        ("panels", c_void_p),
        ("scale", c_void_p),
        ("offset", c_void_p),
        ("bias", c_void_p),
    ]


Layers = Matrix * MAX_LAYERS
Directions = (Matrix * 2) * MAX_LAYERS


class Model(ctypes.Structure):
    _fields_ = [
        ("precision", c_int32),
        ("embedding", c_int32),
        ("hidden", c_int32),
        ("attentional", c_int32),
        ("encoder_layers", c_int32),
        ("directions", c_int32),
        ("decoder_layers", c_int32),
        ("bridge", c_int32),
        ("feeding", c_int32),
        ("score", c_int32),
        ("span", c_int32),
        ("window", c_int32),
        ("positions", c_int32),
        ("source_vocabulary", c_int32),
        ("target_vocabulary", c_int32),
        ("bos", c_int32),
        ("eos", c_int32),
        ("length_penalty", c_float),
        ("coverage_penalty", c_float),
        ("source_embedding", c_void_p),
        ("encoder_input", Directions),
        ("encoder_recurrent", Directions),
        ("bridge_h", Layers),
        ("bridge_c", Layers),
        ("keys", Matrix),
        ("values", Matrix),
        ("table", c_void_p),
        ("cells", Layers),
        ("query", Matrix),
        ("v", c_void_p),
        ("centre", Matrix),
        ("v_p", c_void_p),
        ("combine", Matrix),
        ("output", Matrix),
        ("barred", c_void_p),
        ("output_ids", c_void_p),
        ("list_from", c_void_p),
        ("list_words", c_void_p),
        ("lines", Matrix),
        ("lines_barred", c_void_p),
    ]


class Options(ctypes.Structure):
    _fields_ = [
        ("beam", c_int32),
        ("n_best", c_int32),
        ("max_length", c_int32),
        ("min_length", c_int32),
        ("with_attention", c_int32),
        ("prefix", c_int32),
        ("no_repeat", c_int32),
        ("forbidden", c_int32),
    ]


FUNCTIONS = {
    "nmt_width": (c_int, []),
    "nmt_source_hash": (c_char_p, []),
    "nmt_model_bytes": (c_int64, []),
    "nmt_packed_bytes": (c_int64, [c_int, c_int, c_int]),
    "nmt_pack": (None, [c_void_p, c_void_p, c_int, c_int, c_int, c_int, c_void_p, c_void_p, c_void_p]),
    "nmt_fill_table": (c_int, [POINTER(Matrix), c_void_p, c_int, c_int, c_void_p]),
    "nmt_engine_new": (c_void_p, [POINTER(Model)]),
    "nmt_engine_free": (None, [c_void_p]),
    "nmt_admit": (c_int, [c_void_p, c_int, c_void_p, c_void_p, POINTER(Options), c_void_p, c_void_p]),
    "nmt_step": (c_int, [c_void_p, c_int, c_void_p, c_int]),
    "nmt_found": (c_int, [c_void_p, c_int]),
    "nmt_hypothesis": (c_int, [c_void_p, c_int, c_int, c_void_p, c_void_p, c_void_p]),
    "nmt_drop": (None, [c_void_p, c_int]),
}


def variants() -> list[str]:
    """Names of the variants that were built and that this processor runs, the best first."""
    generic = build.LIBRARIES / f"generic{build.SUFFIX}"
    if not generic.is_file():
        return []
    try:
        cpu = ctypes.CDLL(str(generic)).nmt_cpu()
    except (OSError, AttributeError):
        return []
    return [
        name
        for name, needs in NEEDS.items()
        if cpu & needs == needs and (build.LIBRARIES / f"{name}{build.SUFFIX}").is_file()
    ]


@cache
def load(name: str) -> ctypes.CDLL:
    """One variant, its functions typed. Raises OSError where it does not fit this program."""
    library = ctypes.CDLL(str(build.LIBRARIES / f"{name}{build.SUFFIX}"))
    for function, (result, arguments) in FUNCTIONS.items():
        handle = getattr(library, function)
        handle.restype, handle.argtypes = result, arguments
    if library.nmt_model_bytes() != ctypes.sizeof(Model):
        raise OSError(f"{name}: built from other sources: run python -m nmt.native.build")
    return library


@cache
def best() -> str | None:
    """The fastest variant that computes rightly here; None where there is none."""
    for name in variants():
        try:
            library = load(name)
        except (OSError, AttributeError) as error:
            warnings.warn(f"nmt.native: {error}", stacklevel=2)
            continue
        if not _is_current(library):
            warnings.warn(f"nmt.native: {name} is older than its sources: run python -m nmt.native.build", stacklevel=2)
            continue
        return name
    return None


def available() -> bool:
    """Whether translation can run without torch here."""
    return best() is not None


def _is_current(library: ctypes.CDLL) -> bool:
    """An installed wheel carries its sources too, so this holds everywhere."""
    stamp: bytes = library.nmt_source_hash()
    return not Path(build.SOURCES).is_dir() or stamp.decode() == build.source_hash()
