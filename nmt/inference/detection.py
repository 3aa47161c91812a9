"""Which language a text is in. Knows nothing of models: only the codes that it may choose from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detection:
    """A guess at the language of a text."""

    language: str
    """Its code, as it was given to the detector."""
    confidence: float
    """From 0, a mere default, to 1."""
