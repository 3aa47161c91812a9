"""What several commands ask of their options."""

from __future__ import annotations

import math

import typer

LAST_SEED = 2**63 - 1
"""torch takes seeds below 2**64, and some commands count on from the one that is given."""


def finite(number: float | None) -> float | None:
    """The same number, for a `callback`: infinity and NaN pass a `min`. Raises BadParameter."""
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter(f"{number} is not finite.")
    return number


def given(**options: object) -> str:
    """The names of those that were given, for a message: "--beam, --raw"; empty where none was."""
    names = [name for name, value in options.items() if value not in (None, [], ()) and value is not False]
    return ", ".join(f"--{name}" for name in names)
