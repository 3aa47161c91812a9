"""Translations for commands that score them: each text has one, be it empty."""

from __future__ import annotations

from collections.abc import Sequence

from nmt.cli.progress import LineProgress
from nmt.errors import NmtError
from nmt.inference import TranslateOptions, Translator


def translations(translator: Translator, sources: Sequence[str], options: TranslateOptions) -> list[str]:
    """A text a source; empty, with a warning, where there is no translation."""
    texts: list[str] = []
    with LineProgress(len(sources)) as bar:
        for line, result in enumerate(translator.results(sources, options), start=1):
            if isinstance(result, NmtError):
                bar.message(f"warning: line {line}: {result}")
            texts.append("" if isinstance(result, NmtError) else result.text)
            bar.advance(1)
    return texts
