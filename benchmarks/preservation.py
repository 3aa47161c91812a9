"""What comes through a translation, on the 500 texts of tests/text/preservation.py and with the models that ship.

    python -m benchmarks.preservation [--models models] [--examples 5] [--json FILE]

Prints, by kind of text, how many came through whole and what the flags say, and how many rounds of searches sentences
needed; ends with 1 where a placeholder, a tag or white space was lost, or a number that no flag tells of.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from nmt.inference import TranslateOptions, Translation
from nmt.inference.attempts import Attempts, Spoken
from nmt.inference.loading import load_pipeline
from nmt.inference.pipeline import Pipeline
from nmt.text.planning import Sentence
from tests.text.preservation import COUNT, SEED, Item, faults, make

TARGETS = {"en": "de", "de": "en"}


class Counting:
    """Counts the rounds of searches that each sentence takes: 1 is the first attempt."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.rounds: Counter[int] = Counter()
        self._speaker = pipeline._speaker
        pipeline._speaker = self  # type: ignore[assignment]

    def translate(self, sentence: Sentence, options: TranslateOptions) -> Attempts:
        """The speaker's own, counted."""
        attempts = self._speaker.translate(sentence, options)
        rounds = 0
        try:
            queries = next(attempts)
            while True:
                rounds += 1
                queries = attempts.send((yield queries))
        except StopIteration as end:
            self.rounds[rounds] += 1
            spoken: Spoken = end.value
            return spoken


def translated(items: Sequence[Item], pipelines: dict[str, Pipeline]) -> list[tuple[Item, Translation]]:
    """Each text by itself with its language's model. Raises the error of a text that has one."""
    results: list[tuple[Item, Translation]] = []
    for item in items:
        ignored = ("x",) if item.markup == "xml" else ()
        options = TranslateOptions(markup=item.markup, ignore_tags=ignored)
        (result,) = pipelines[item.language].translate([item.text], options)
        if not isinstance(result, Translation):
            raise result
        results.append((item, result))
    return results


def main(arguments: Sequence[str] | None = None, show: Callable[[str], None] = print) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of en-de and de-en")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--examples", type=int, default=0, help="flagged and faulty texts to show of each kind")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args(arguments)
    pipelines = {
        source: load_pipeline(given.models / f"{source}-{target}", "cpu") for source, target in TARGETS.items()
    }
    counts = [Counting(pipeline) for pipeline in pipelines.values()]
    results = translated(make(given.count, given.seed), pipelines)
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    shown: Counter[str] = Counter()
    for item, result in results:
        wrong = faults(item, result.text, result.flags)
        for name in (item.kind, "all"):
            rows[name]["texts"] += 1
            rows[name]["whole"] += not wrong
            rows[name].update(result.flags)
        if (wrong or result.flags) and shown[item.kind] < given.examples:
            shown[item.kind] += 1
            show(f"{item.kind}: {item.text!r}\n  -> {result.text!r} {sorted(result.flags)} {wrong}")
    flags = sorted({flag for row in rows.values() for flag in row} - {"texts", "whole"})
    show("| kind | texts | whole | " + " | ".join(flags) + " |")
    show("|" + " --- |" * (3 + len(flags)))
    for name, row in rows.items():
        show(f"| {name} | {row['texts']} | {row['whole']} | " + " | ".join(str(row[flag]) for flag in flags) + " |")
    rounds = sum((count.rounds for count in counts), Counter[int]())
    show(f"rounds of searches by sentence: {', '.join(f'{n}: {times}' for n, times in sorted(rounds.items()))}")
    if given.json:
        given.json.write_text(json.dumps({name: dict(row) for name, row in rows.items()}, indent=2) + "\n", "utf-8")
    return 0 if rows["all"]["whole"] == rows["all"]["texts"] else 1


if __name__ == "__main__":
    sys.exit(main())
