"""What stands in a translation where the model said `<unk>`, or copied a word that it does not know.

Luong et al. 2015, section 4.1: for `<unk>` the translation that a dictionary has of the source word with the largest
attention weight, or that word itself, as it stands in the source. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nmt.text.dictionary import Dictionary
from nmt.text.tokenizer import UNK_ID, UNKNOWN


def stand_ins(
    tokens: Sequence[int],
    copies: Sequence[str | None],
    source_pieces: Sequence[str],
    attention: NDArray[np.float32] | None,
    dictionary: Dictionary | None,
) -> list[str]:
    """The piece for each `<unk>` among `tokens`, in turn; `UNKNOWN` where the model looked at no word.

    `copies`: those that are known already, for each `<unk>` (`nmt.text.copying.split_copies`). `attention` is [T, S]; T
    and S count EOS, which is no word. `source_pieces`: as they stand in the text. Without a dictionary nothing is
    replaced.
    """
    steps = (step for step, token in enumerate(tokens) if token == UNK_ID)
    pieces: list[str] = []
    for step, copy in zip(steps, copies, strict=True):
        if copy is not None or dictionary is None:
            pieces.append(copy or UNKNOWN)
            continue
        assert attention is not None
        weights = attention[step, : len(source_pieces)]
        place = int(weights.argmax()) if len(weights) else 0
        pieces.append(dictionary.translate(source_pieces[place]) if weights[place : place + 1].any() else UNKNOWN)
    return pieces
