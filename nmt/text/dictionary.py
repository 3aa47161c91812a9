"""Word for word translations, for what stands in a translation where a model could only say `<unk>`.

Luong et al. 2015, section 4.1, after Jean et al. 2015: the dictionary's translation of the source word that the model
looked at, or that word itself. How the entries are learnt is in `nmt.training.dictionary`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nmt.errors import TokenizerError
from nmt.text.sampling import SPACE
from nmt.text.words import GLUE, bare


class Dictionary:
    """One translation a source word."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        """Words without marks of pieces, on both sides."""
        self.entries = dict(entries)

    def translate(self, piece: str) -> str:
        """What stands for a source piece in the translation: with the blanks of that piece, possibly the piece itself.

        A word with a capital letter that is in no entry is looked up without it: it may begin a sentence.
        """
        word = bare(piece)
        found = self.entries.get(word)
        if found is None and word[:1].isupper() and (found := self.entries.get(word[0].lower() + word[1:])) is not None:
            found = found[0].upper() + found[1:]
        if found is None:
            return piece
        return SPACE * piece.startswith(SPACE) + found + GLUE * piece.endswith(GLUE)

    def save(self, path: Path) -> None:
        """Write lines `source<TAB>target`, by source."""
        path.write_text("".join(f"{source}\t{self.entries[source]}\n" for source in sorted(self.entries)), "utf-8")

    @classmethod
    def load(cls, path: Path) -> Dictionary:
        """Read what `save` wrote. Raises TokenizerError."""
        entries: dict[str, str] = {}
        try:
            lines = path.read_text("utf-8").split("\n")
        except (OSError, ValueError) as error:
            raise TokenizerError(f"{path}: not a dictionary ({error})") from None
        for number, line in enumerate(lines, 1):
            source, tab, target = line.partition("\t")
            if line and not (source and tab and target):
                raise TokenizerError(f"{path}:{number}: not a source word, a tab and its translation")
            if line:
                entries[source] = target
        return cls(entries)
