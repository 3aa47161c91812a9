"""The entry point. Commands are imported when they are called, so that `nmt --help` loads neither torch nor the library."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click
import typer
from typer.core import TyperGroup

from nmt.errors import NmtError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

COMMANDS = {
    "train": ("nmt.cli.train", "Train a translator on parallel text, from a recipe or from options."),
    "translate": ("nmt.cli.translate", "Translate a file or standard input, line by line."),
    "serve": ("nmt.cli.serve", "Answer translations over HTTP."),
    "evaluate": ("nmt.cli.evaluate", "Score translations (quality)."),
    "inspect": ("nmt.cli.inspect", "Say what a model bundle holds, and verify it."),
}
"""Module and one line of help of each command; the module's `app` is the command."""


class _LazyGroup(TyperGroup):
    """A group that knows its commands' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, summary = COMMANDS[cmd_name]
        if ctx.resilient_parsing or cmd_name not in sys.argv[1:]:
            return click.Command(cmd_name, short_help=summary, help=summary)
        command: Any = typer.main.get_command(importlib.import_module(module).app)
        command.name = cmd_name
        return command  # type: ignore[no-any-return]


app = typer.Typer(cls=_LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    """Train your own translator on your own parallel text, and serve it from your own machine."""
    if version:
        from nmt import __version__

        typer.echo(__version__)
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors that a user can mend are one line on standard error and exit code 2."""
    if arguments is not None:
        sys.argv[1:] = arguments
    try:
        code = app(standalone_mode=False)
    except NmtError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(EXIT_USER_ERROR)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        typer.echo("interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    # without standalone mode a command's typer.Exit(code) comes back as a value
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
