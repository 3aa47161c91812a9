"""`python -m app.keys`: make, show, change and remove keys. A service that runs follows within a second."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from app.keys import FILE_NAME, KeyFile, Limits
from app.usage import month_of
from nmt.errors import ConfigError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

State = Annotated[Path, typer.Option(envvar="NMT_STATE", help="Folder in which the service keeps its keys.")]
Name = Annotated[str, typer.Argument(help="What logs and metrics call the caller: letters, digits, '.', '_', '-'.")]
Limit = Annotated[int | None, typer.Option(min=0, help="0: no limit.")]


@app.command()
def add(
    name: Name,
    state: State,
    texts_per_minute: Limit = None,
    characters_per_minute: Limit = None,
    characters_per_month: Limit = None,
    admin: Annotated[bool, typer.Option("--admin", help="May reload models.")] = False,
) -> None:
    """Make a key and print it. It is shown this once: only its hash is kept."""
    limits = Limits(texts_per_minute or 0, characters_per_minute or 0, characters_per_month or 0)
    with open_file(state) as file:
        print(file.add(name, limits, is_admin=admin))


@app.command("list")
def show(state: State) -> None:
    """Show all keys: their limits (0: none), and the characters they have used this month (UTC)."""
    with open_file(state) as file:
        used = file.used(month_of(time.time())[0])
        keys = file.keys()
    rows: list[tuple[str, ...]] = [("name", "texts/min", "chars/min", "chars/month", "used", "admin", "created")]
    for key in keys:
        limits = (key.limits.texts_per_minute, key.limits.characters_per_minute, key.limits.characters_per_month)
        numbers = [str(number) for number in (*limits, used.get(key.name, 0))]
        rows.append((key.name, *numbers, "yes" if key.is_admin else "no", key.created))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command("set")
def change(
    name: Name,
    state: State,
    texts_per_minute: Limit = None,
    characters_per_minute: Limit = None,
    characters_per_month: Limit = None,
    admin: Annotated[bool | None, typer.Option("--admin/--no-admin", help="May reload models.")] = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="Print another key; the old one is void.")] = False,
) -> None:
    """Change what a key may do: only what is named here changes."""
    with open_file(state) as file:
        key = file.get(name)
        given = (texts_per_minute, characters_per_minute, characters_per_month)
        known = (key.limits.texts_per_minute, key.limits.characters_per_minute, key.limits.characters_per_month)
        limits = Limits(*(old if new is None else new for new, old in zip(given, known, strict=True)))
        file.set(name, limits, is_admin=key.is_admin if admin is None else admin)
        if new_key:
            print(file.replace(name))


@app.command()
def remove(name: Name, state: State) -> None:
    """Make a key void. What it has used stays written, and counts again if the name comes back."""
    with open_file(state) as file:
        file.remove(name)


def open_file(state: Path) -> KeyFile:
    """The file of keys in the folder. Raises ConfigError."""
    return KeyFile(state / FILE_NAME)


def main() -> int:
    """The command; its exit code. A mistake is one line on standard error, and 2."""
    try:
        app(prog_name="python -m app.keys")
    except (ConfigError, sqlite3.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
