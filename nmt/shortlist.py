"""A lexical shortlist: the few target pieces that a sentence's translation is likely to need, from its source pieces.

A product with the output matrix over hundreds of pieces instead of thousands is what makes a step cheap (Jean et al.
2015, section 3.2; Devlin 2017). How the lists are learnt is in `nmt.training.shortlist`. NumPy only: serving loads no
torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt.errors import BundleError
from nmt.text.tokenizer import EOS_ID, UNK_ID

Ids = npt.NDArray[np.int32]
OFFSETS, TARGETS, COMMON = "offsets", "targets", "common"


class Shortlist:
    """For each source id the target ids most likely aligned with it, best first, and those that are always allowed.

    EOS is always allowed, and so is what the source's own EOS is aligned with.
    """

    def __init__(self, offsets: Ids, targets: Ids, common: Ids, tgt_vocab: int) -> None:
        """`offsets` [source vocabulary + 1]: the list of source id s is `targets[offsets[s] : offsets[s + 1]]`."""
        self.offsets = offsets
        self.targets = targets
        self.common = common
        self.tgt_vocab = tgt_vocab
        self._lists = np.split(targets, offsets[1:-1])
        self._always = np.zeros(tgt_vocab, dtype=np.bool_)
        self._always[common] = True
        self._always[self._lists[EOS_ID]] = True
        self._always[EOS_ID] = True

    @classmethod
    def of_lists(cls, lists: Sequence[Iterable[int]], common: Iterable[int], tgt_vocab: int) -> Shortlist:
        """From one list a source id."""
        rows = [np.fromiter(row, dtype=np.int32) for row in lists]
        offsets = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int32)
        return cls(offsets, np.concatenate(rows), np.fromiter(common, dtype=np.int32), tgt_vocab)

    @property
    def src_vocab(self) -> int:
        return len(self._lists)

    @property
    def always(self) -> Ids:
        """The target ids that every sentence may use, rising."""
        return self._always.nonzero()[0].astype(np.int32)

    def candidates(self, source_id: int) -> Ids:
        """The target ids of one source id, best first."""
        return self._lists[source_id]

    def words(self, source_ids: Iterable[int]) -> Ids:
        """The target ids that one sentence may use, rising, EOS among them. `source_ids`: with EOS or without.

        A source id beyond the vocabulary is an unknown word.
        """
        chosen = self._always.copy()
        lists = self._lists
        for source_id in {i if i < len(lists) else UNK_ID for i in source_ids}:
            chosen[lists[source_id]] = True
        return chosen.nonzero()[0].astype(np.int32)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As it lies on disk: target ids take two bytes where the vocabulary is small enough for that."""
        kind = np.uint16 if self.tgt_vocab <= 1 << 16 else np.int32
        return {
            OFFSETS: self.offsets.astype(np.int32),
            TARGETS: self.targets.astype(kind),
            COMMON: self.common.astype(np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], src_vocab: int, tgt_vocab: int) -> Shortlist:
        """What `to_arrays` gave. Raises BundleError where it is malformed or of vocabularies of other sizes."""
        if arrays.keys() != {OFFSETS, TARGETS, COMMON}:
            raise BundleError(f"a shortlist is {OFFSETS}, {TARGETS} and {COMMON}, not {', '.join(sorted(arrays))}")
        for name, array in arrays.items():
            if array.ndim != 1 or array.dtype not in (np.uint16, np.int32):
                raise BundleError(f"shortlist: {name} is not a list of ids but {array.dtype} {list(array.shape)}")
        offsets, targets, common = (arrays[name].astype(np.int32) for name in (OFFSETS, TARGETS, COMMON))
        if len(offsets) != src_vocab + 1:
            raise BundleError(f"shortlist: {len(offsets) - 1} lists, but the source vocabulary has {src_vocab} pieces")
        if offsets[0] != 0 or offsets[-1] != len(targets) or bool((np.diff(offsets) < 0).any()):
            raise BundleError(f"shortlist: {OFFSETS} do not rise from 0 to {len(targets)}, the number of target ids")
        for name, ids in ((TARGETS, targets), (COMMON, common)):
            if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= tgt_vocab):
                raise BundleError(f"shortlist: {name} has ids outside the target vocabulary of {tgt_vocab} pieces")
        return cls(offsets, targets, common, tgt_vocab)
