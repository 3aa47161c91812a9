"""What marks an item of a list: "- ", "1. ", "(a) ", "[x] "."""

from __future__ import annotations

import re

DASHES = "-–—*+•·▪‣◦"
_COUNT = r"(?:\d{1,3}|[A-Za-z]|[ivx]{1,5}|[IVX]{1,5})"
_BOX = r"\[[ xX]\]\s+"
MARKER = re.compile(rf"(?:[{DASHES}]\s+(?:{_BOX})?|{_BOX}|\d{{1,3}}\.\s+|\(?{_COUNT}\)\s+)(?=\S)")
"""With the white space behind it. Letters with a full stop are initials: "A. Smith"."""
ALONE = re.compile(rf"\(?{_COUNT}[.)]")
"""What counts an item, or may: no sentence by itself."""
IN_BRACKETS = re.compile(rf"\({_COUNT}\)")
