"""What stands in a translation where the model said `<unk>`. Knows nothing of models.

Luong et al. 2015, section 4.1: the translation that a dictionary has of the source word with the largest attention
weight, or that word itself, as it stands in the source.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nmt.text.dictionary import Dictionary
from nmt.text.tokenizer import UNK_ID, UNKNOWN


def stand_ins(
    tokens: Sequence[int], attention: NDArray[np.float32], source_pieces: Sequence[str], dictionary: Dictionary
) -> list[str]:
    """The piece for each `<unk>` among `tokens`, in turn; `UNKNOWN` where the model looked at no word.

    `attention` is [T, S]; T and S count EOS, which is no word. `source_pieces`: as they stand in the text.
    """
    pieces: list[str] = []
    for step in (step for step, token in enumerate(tokens) if token == UNK_ID):
        weights = attention[step, : len(source_pieces)]
        place = int(weights.argmax()) if len(weights) else 0
        pieces.append(dictionary.translate(source_pieces[place]) if weights[place : place + 1].any() else UNKNOWN)
    return pieces
