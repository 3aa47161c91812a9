"""The entry point. A command is imported when it is called: `nmt --help` loads neither torch nor the library."""

from __future__ import annotations

import codecs
import importlib
import io
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from nmt.errors import NmtError

EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

COMMANDS = {
    "train": ("nmt.cli.train:train", "Train a translator, or another model, from a recipe or from options."),
    "translate": ("nmt.cli.translate:translate", "Translate a file or standard input, line by line."),
    "serve": ("nmt.cli.serve:serve", "Answer translations over HTTP."),
    "sample": ("nmt.cli.sample:sample", "Draw text from a language model."),
    "score": ("nmt.cli.score:score", "Say how likely a language model finds text, or a translator translations."),
    "label": ("nmt.cli.label:label", "Label words or texts with a tagger or classifier."),
    "evaluate": ("nmt.cli.evaluate:app", "Score translations and word alignments: quality, robustness, alignment."),
    "shortlist": ("nmt.cli.shortlist:shortlist", "Learn which words a sentence's translation may need; speeds it up."),
    "quantize": ("nmt.cli.quantize:quantize", "Write a bundle with one byte a weight, and say what that changes."),
    "bench": ("nmt.cli.bench:app", "Measure speed on this machine, and what beams miss: speed, search."),
    "explain": ("nmt.cli.explain:explain", "Show what a model looks at while it translates a sentence."),
    "inspect": ("nmt.cli.inspect:inspect", "Verify a model bundle and say what it holds."),
}
"""Where each command stands, a function or a Typer of sub-commands, and its line of help."""


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from nmt import __version__

        typer.echo(__version__)
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Train your own translator on your own parallel text, and serve it from your own machine."""


def build_app(called: str | None) -> typer.Typer:
    """The command line with the command `called` in full and the others as names with a line of help."""
    # plain help and errors: they end up in logs as often as on terminals
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(root)
    for name, (place, summary) in COMMANDS.items():
        command = _load(place) if name == called else _stand_in
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, short_help=summary)
        else:
            app.command(name, short_help=summary)(command)
    return app


def _load(place: str) -> Callable[..., None] | typer.Typer:
    module, _, name = place.partition(":")
    command: Callable[..., None] | typer.Typer = getattr(importlib.import_module(module), name)
    return command


def _stand_in() -> None:
    """A command that is listed, not called."""


def _print_whatever_comes() -> None:
    """Let a letter that standard output's encoding lacks be written as standard error writes it, as an escape."""
    if isinstance(sys.stdout, io.TextIOWrapper) and codecs.lookup(sys.stdout.encoding).name != "utf-8":
        sys.stdout.reconfigure(errors="backslashreplace")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors that a user can mend are one line on standard error and exit code 2."""
    _print_whatever_comes()
    arguments = sys.argv[1:] if arguments is None else arguments
    # all options before the command are flags, so its name is the first word that is no option
    called = next((word for word in arguments if not word.startswith("-")), None)
    try:
        build_app(called)(args=list(arguments), prog_name="nmt")
    except NmtError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(EXIT_USER_ERROR)


if __name__ == "__main__":
    main()
