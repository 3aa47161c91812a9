"""What several commands ask of their options."""

from __future__ import annotations


def given(**options: object) -> str:
    """The names of those that were given, for a message: "--beam, --raw"; empty where none was."""
    names = [name for name, value in options.items() if value not in (None, [], ()) and value is not False]
    return ", ".join(f"--{name}" for name in names)
