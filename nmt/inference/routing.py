"""Two runners as one: the fast one, and the plain one for what the fast one leaves out. No torch until it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nmt.inference.runner import Found, Runner, Sentence, left_to_plain


class RoutedRunner:
    """A `Runner` that hands each sentence to the runner that knows its search.

    Rows, precision, name and device are those of the fast one.
    """

    def __init__(self, fast: Runner, plain: Callable[[], Runner]) -> None:
        """`plain` makes the other one when a sentence first asks for it."""
        self.fast = fast
        self.rows, self.precision, self.name, self.device = fast.rows, fast.precision, fast.name, fast.device
        self._make_plain = plain
        self._plain: Runner | None = None
        self._running = 0
        """Sentences in the fast runner."""

    def admit(self, sentences: Sequence[Sentence]) -> list[int]:
        """A slot each; those of the plain runner are below 0."""
        is_fast = [not left_to_plain(options) for _, options in sentences]
        chosen = [sentence for sentence, fast in zip(sentences, is_fast, strict=True) if fast]
        slots = iter(self.fast.admit(chosen) if chosen else ())
        self._running += len(chosen)
        if len(chosen) == len(sentences):
            return list(slots)
        if self._plain is None:
            self._plain = self._make_plain()
        rest = [sentence for sentence, fast in zip(sentences, is_fast, strict=True) if not fast]
        others = iter(self._plain.admit(rest))
        return [next(slots) if fast else -1 - next(others) for fast in is_fast]

    def step(self, steps: int = 1) -> list[int]:
        """Both runners by so many steps."""
        finished = self.fast.step(steps) if self._running else []
        if self._plain is None:
            return finished
        return [*finished, *(-1 - slot for slot in self._plain.step(steps))]

    def take(self, slot: int) -> list[Found]:
        """The results of a finished slot; frees it."""
        if slot >= 0:
            self._running -= 1
            return self.fast.take(slot)
        assert self._plain is not None
        return self._plain.take(-1 - slot)

    def drop(self, slot: int) -> None:
        """Free a slot, finished or not."""
        if slot >= 0:
            self._running -= 1
            self.fast.drop(slot)
            return
        assert self._plain is not None
        self._plain.drop(-1 - slot)
