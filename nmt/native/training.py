"""The C functions of src/training.c with their types: training's work between the products. Addresses, no tensors."""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int, c_int32, c_int64, c_uint32, c_void_p
from functools import cache

from nmt.native import library


class Dropout(ctypes.Structure):
    _fields_ = [("seed", c_uint32), ("limit", c_uint32), ("scale", c_float)]


class LSTMForward(ctypes.Structure):
    _fields_ = [
        ("rows", c_int32),
        ("hidden", c_int32),
        ("half", c_int32),
        ("at", c_int32),
        ("lengths", c_void_p),
        ("gates", c_void_p),
        ("add", c_void_p),
        ("add_stride", c_int64),
        ("c_from", c_void_p),
        ("c_to", c_void_p),
        ("h_from", c_void_p),
        ("h_from_stride", c_int64),
        ("h_to", c_void_p),
        ("h_to_stride", c_int64),
        ("below", c_void_p),
        ("below_stride", c_int64),
        ("sum", c_void_p),
        ("up", c_void_p),
        ("up_stride", c_int64),
        ("dropout", Dropout),
    ]


class LSTMBackward(ctypes.Structure):
    _fields_ = [
        ("rows", c_int32),
        ("hidden", c_int32),
        ("half", c_int32),
        ("at", c_int32),
        ("lengths", c_void_p),
        ("gates", c_void_p),
        ("c_from", c_void_p),
        ("c_to", c_void_p),
        ("next", c_void_p),
        ("next_stride", c_int64),
        ("up", c_void_p),
        ("up_stride", c_int64),
        ("more", c_void_p),
        ("sum", c_void_p),
        ("keep", c_void_p),
        ("d_c", c_void_p),
        ("d_gates", c_void_p),
        ("dropout", Dropout),
    ]


class Attention(ctypes.Structure):
    _fields_ = [
        ("rows", c_int32),
        ("hidden", c_int32),
        ("half", c_int32),
        ("source", c_int32),
        ("lengths", c_void_p),
        ("keys", c_void_p),
        ("states", c_void_p),
        ("query", c_void_p),
        ("query_stride", c_int64),
        ("weights", c_void_p),
        ("context", c_void_p),
        ("context_stride", c_int64),
        ("d_scores", c_void_p),
        ("d_query", c_void_p),
    ]


_SQUASH = [c_int, c_int, c_void_p, c_void_p, c_int64, c_void_p, c_int64, c_uint32, c_uint32, c_float, c_int]
FUNCTIONS = {
    "nmt_dropout": [c_int64, c_void_p, c_void_p, c_uint32, c_uint32, c_float, c_int],
    "nmt_lstm_forward": [ctypes.POINTER(LSTMForward)],
    "nmt_lstm_backward": [ctypes.POINTER(LSTMBackward)],
    "nmt_attention_forward": [ctypes.POINTER(Attention)],
    "nmt_attention_backward": [ctypes.POINTER(Attention)],
    "nmt_per_sentence": [c_int, c_int, c_int, c_int, c_void_p, c_void_p, c_int64, c_void_p, c_int],
    "nmt_squash": _SQUASH,
    "nmt_squash_backward": _SQUASH,
    "nmt_cross_entropy": [c_int, c_int, c_void_p, c_void_p, c_float, c_void_p, c_void_p, c_void_p, c_int],
    "nmt_cross_entropy_twice": [c_int, c_int, c_void_p, c_void_p, c_float, c_float, *[c_void_p] * 4, c_int],
}


@cache
def load() -> ctypes.CDLL | None:
    """The variant that translation would use, its training functions typed; None where there is none."""
    name = library.best()
    if name is None:
        return None
    loaded = library.load(name)
    for function, arguments in FUNCTIONS.items():
        handle = getattr(loaded, function)
        handle.restype, handle.argtypes = None, arguments
    return loaded
