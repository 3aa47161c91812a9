"""The import rule of the map, held by reading every file's syntax tree, and what an import may not do at run time.

Whoever adds a part below `nmt` gives it a row here and in docs/architecture.md.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ROWS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("files", "client"),
    ("config",),
    ("text",),
    ("data", "shortlist", "native", "documents"),
    ("model",),
    ("search", "hardware"),
    ("bundle",),
    ("evaluation",),
    ("training", "inference"),
    ("cli",),
    ("app",),
)
"""A part may import itself and the rows above its own; not its neighbours in a row."""

RANKS = {part: rank for rank, row in enumerate(ROWS) for part in row}

UNSEEN = {
    "native": {"text"},  # weights and ids
    "documents": {"config", "files", "text"},  # bytes in, bytes out
    # modules and equations: no files, no config objects, no text
    "model": {"config", "text", "data", "shortlist", "native"},
    "search": {"model", "native"},  # sees a model only through Stepper
}
"""Rows above that a part does without all the same."""
BUILDERS = {"nmt.model.seq2seq", "nmt.model.language_model", "nmt.model.labeller"}
"""Where config becomes plain arguments: the only modules of `model` that may import it."""

# fmt: off
WITHOUT_TORCH = (
    "errors", "files", "config", "text", "data", "shortlist", "native", "documents", "evaluation", "client",
)
# fmt: on
FACE = {"nmt.errors", "nmt.inference"}
"""All that the service sees of the library."""

APP_STRING = "app.server"
APP_STRING_AT = "nmt.cli.serve"


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path, ROOT): path for part in ("nmt", "app") for path in sorted((ROOT / part).rglob("*.py"))}


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Dotted names, at any depth of the file: `import a.b` gives a.b, `from a import b` gives a.b, module or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ("." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str:
    """`text` of nmt.text.tokenizer; `nmt` of the package itself; `app` of anything in the service."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "nmt" and rest else package


def violations(module: str, source: str, modules: set[str]) -> list[str]:
    """What in `source`, the text of `module`, breaks the rule. `modules` are all there are: other names are objects."""
    tree = ast.parse(source)
    found = []
    for name in imported_names(tree):
        target = name if name in modules else name.rpartition(".")[0] or name
        if reason := refusal(module, target, name):
            found.append(f"{name}: {reason}")
    if part_of(module) != "app":
        found += [
            f"{text!r}: the library names the service only in {APP_STRING_AT}, as {APP_STRING}"
            for text in strings(tree)
            if re.fullmatch(r"app(\.\w+)+(:\w+)?", text) and (module, text) != (APP_STRING_AT, APP_STRING)
        ]
    return found


def refusal(module: str, target: str, name: str) -> str | None:
    """Why `module` may not import `target` (for `name` in it); None if it may."""
    here, there = part_of(module), part_of(target)
    if name.startswith("."):
        return "a relative import"
    if there == "torch":
        return f"{here} does without torch" if here in WITHOUT_TORCH else None
    if there not in (*RANKS, "nmt") and not target.startswith("nmt."):
        return None  # another library
    if there == "nmt":
        return None if name in ("nmt", "nmt.__version__") else "of the package itself only __version__ may be imported"
    if here == there or (here == "nmt" and there != "app"):
        return None
    if here == "nmt":
        return "the library does not know the service"
    if here not in RANKS or there not in RANKS:
        return f"{here if here not in RANKS else there} has no row in the map"
    if RANKS[there] >= RANKS[here]:
        return f"{there} is not above {here} in the map"
    if here == "app" and target not in FACE:
        return f"the service sees only {sorted(FACE)}"
    if there in UNSEEN.get(here, ()) and not (there == "config" and module in BUILDERS):
        return f"{here} may not see {there}"
    return None


def strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("module", FILES)
def test_file_keeps_the_import_rule(module: str) -> None:
    assert violations(module, FILES[module].read_text("utf-8"), set(FILES)) == []


def test_every_part_of_the_library_has_a_row() -> None:
    assert {part_of(module) for module in FILES} - {"nmt"} <= set(RANKS)


# fmt: off
MODULES = {
    "app", "app.main", "app.settings", "nmt", "nmt.bundle", "nmt.cli.serve", "nmt.client", "nmt.config", "nmt.data",
    "nmt.data.corpus", "nmt.errors", "nmt.evaluation", "nmt.evaluation.quality", "nmt.inference",
    "nmt.inference.engine", "nmt.model.cells", "nmt.model.seq2seq", "nmt.search.beam", "nmt.search.stepper",
    "nmt.text.tokenizer", "nmt.training", "nmt.training.trainer",
}
# fmt: on


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("nmt", "from app.main import create_app"),
        ("nmt.errors", "from nmt.config import Recipe"),
        ("nmt.config", "import nmt.text.tokenizer"),
        ("nmt.config", "def f():\n    from nmt.text.tokenizer import PAD_ID"),
        ("nmt.text.tokenizer", "from nmt import data"),
        ("nmt.text.tokenizer", "import torch"),
        ("nmt.data.corpus", "from torch.utils.data import Dataset"),
        ("nmt.data.corpus", "if TYPE_CHECKING:\n    from nmt.model.cells import LSTM"),
        ("nmt.evaluation.quality", "import torch.nn.functional as F"),
        ("nmt.evaluation.quality", "from nmt.inference import Translator"),
        ("nmt.model.cells", "from nmt.config import ModelConfig"),
        ("nmt.model.seq2seq", "from nmt.text.tokenizer import PAD_ID"),
        ("nmt.search.beam", "from nmt.model.seq2seq import build"),
        ("nmt.bundle", "from nmt.evaluation import quality"),
        ("nmt.training.trainer", "from nmt.inference import Translator"),
        ("nmt.inference.engine", "from nmt.training import trainer"),
        ("nmt.inference.engine", "from .engine import Engine"),
        ("nmt.inference.engine", "import app"),
        ("nmt.inference.engine", "from app.main import create_app"),
        ("nmt.inference.engine", 'start("app.main:create_app")'),
        ("nmt.cli.serve", 'import_module("app.main")'),
        ("nmt.cli.serve", "from app import main"),
        ("nmt.cli.train", 'import_module("app.server").run()'),
        ("nmt.data.corpus", "from nmt import Translator"),
        ("nmt.data.corpus", "from nmt.elsewhere import thing"),
        ("nmt.client", "from nmt.config import Recipe"),
        ("app.main", "from nmt.bundle import load"),
        ("app.main", "from nmt.inference.engine import Engine"),
        ("app.main", "from nmt.inference import engine"),
    ],
)
def test_rule_catches_a_planted_violation(module: str, line: str) -> None:
    assert len(violations(module, line, MODULES)) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("nmt.config", "from nmt.errors import ConfigError"),
        ("nmt.text.tokenizer", "from nmt import __version__, config"),
        ("nmt.model.cells", "import torch\nfrom nmt.model import seq2seq"),
        ("nmt.model.seq2seq", "from nmt.config import ModelConfig"),
        ("nmt.search.beam", "from nmt.search.stepper import Stepper"),
        ("nmt.training.trainer", "from nmt.evaluation.quality import bleu\nfrom nmt.bundle import save"),
        ("nmt.cli.serve", 'import_module("app.server").run()'),
        (
            "app.main",
            "from nmt import __version__\nfrom nmt.inference import Translator\nfrom app.settings import Settings",
        ),
    ],
)
def test_rule_lets_the_map_through(module: str, line: str) -> None:
    assert violations(module, line, MODULES) == []


def run_python(program: str) -> str:
    """The output of a fresh interpreter: this one has imported everything already."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


LIGHT = [m for m in FILES if m in ("nmt", "nmt.cli", "nmt.cli.main") or part_of(m) in WITHOUT_TORCH]
"""All that is loaded before a command asks for torch."""


def test_light_modules_load_neither_torch_nor_the_service_and_start_no_thread() -> None:
    report = run_python(
        f"import importlib, sys, threading\n"
        f"for name in {LIGHT}:\n"
        f"    importlib.import_module(name)\n"
        f"    assert not {{'torch', 'app'}} & set(sys.modules), name\n"
        f"    assert threading.active_count() == 1, name\n"
        f"print('done')"
    )
    assert report == "done"


def test_importing_nmt_reads_no_file() -> None:
    opened = run_python(
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "import nmt\n"
        "print(*[path for path in opened if not path.endswith(('.py', '.pyc')) and '.pyc.' not in path])"
    )
    assert opened == ""
