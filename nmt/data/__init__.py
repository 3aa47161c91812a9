"""Parallel text: read, check, clean, keep on disk, cut into batches. Knows nothing of tokens but their number."""

from nmt.data.batching import IntArray, batches, padding_ratio
from nmt.data.cleaning import Cleaner, CleaningReport
from nmt.data.corpus import Pair, check_corpus, decode_lines, read_lines, read_pairs
from nmt.data.prepared import PreparedCorpus, prepare

__all__ = [
    "Cleaner",
    "CleaningReport",
    "IntArray",
    "Pair",
    "PreparedCorpus",
    "batches",
    "check_corpus",
    "decode_lines",
    "padding_ratio",
    "prepare",
    "read_lines",
    "read_pairs",
]
