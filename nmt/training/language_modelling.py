"""Training a language model: lines that stand for themselves, or a running text whose state is carried along.

See `nmt.training.task` for what a task is. A line is read from BOS and predicts EOS at its end; in a running text the
next line follows with the state that this one left.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int
from torch import Tensor

from nmt.config import Recipe
from nmt.data.epochs import PairLengths, WholeCorpus
from nmt.data.forms import Lines
from nmt.data.prepared import PreparedCorpus, Progress, TextPair, prepare
from nmt.model.cells import State
from nmt.model.language_model import LanguageModel, LanguageState, build_language_model
from nmt.search.continuation import continue_text
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer, TokenizerPair
from nmt.training.batches import BatchStream, derive_seed, pad
from nmt.training.loss import Loss, cross_entropy
from nmt.training.report import ValidationResult
from nmt.training.task import Stream
from nmt.training.validation import chunks
from nmt.training.vocabulary import learn_vocabulary

DEV_STREAMS = 16
"""Places at which a running dev set is begun at once: few, for each begins without a memory."""
DEV_STEPS = 256
SAMPLE_TOKENS = 60


class LanguageBatch(NamedTuple):
    """B lines or pieces of text. `tgt_in` is what is read (BOS in front of a line), `tgt_out` what comes next."""

    tgt_in: Int[Tensor, "B T"]
    tgt_out: Int[Tensor, "B T"]
    tokens: int
    """Real ones of `tgt_out`."""
    goes_on: bool = False
    """Whether the rows continue those of the batch before."""

    def to(self, device: torch.device) -> LanguageBatch:
        tgt_in, tgt_out = (part.to(device, non_blocking=True) for part in self[:2])
        return self._replace(tgt_in=tgt_in, tgt_out=tgt_out)


def make_language_batch(lines: Sequence[Sequence[int]]) -> LanguageBatch:
    """Lines of ids without special tokens; possibly none."""
    return LanguageBatch(
        tgt_in=pad([[BOS_ID, *ids] for ids in lines]),
        tgt_out=pad([[*ids, EOS_ID] for ids in lines]),
        tokens=sum(len(ids) + 1 for ids in lines),
    )


class LanguageModelling:
    """Text alone, and what comes next in it."""

    unit = "lines"

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._is_running = recipe.data.running_text
        self.is_shared = not self._is_running  # a carried state is one process's

    def prepare(self, folder: Path, progress: Progress | None = None) -> PreparedCorpus:
        recipe = self._recipe
        return prepare(recipe.data, folder, recipe.training.seed, progress, Lines(self._is_running))

    def learn_vocabulary(self, corpus: PreparedCorpus) -> TokenizerPair:
        tokenizer = learn_vocabulary((line for line, _ in corpus), self._recipe, side="target")
        return TokenizerPair(tokenizer, tokenizer)

    def measure(self, corpus: PreparedCorpus, tokenizers: TokenizerPair) -> PairLengths | RunningText:
        if self._is_running:
            return RunningText.of(_encode(corpus, tokenizers.target))
        lengths = [len(ids) for ids in _encode(corpus, tokenizers.target)]
        return PairLengths(np.zeros(len(corpus), dtype=np.int32), np.array(lengths, dtype=np.int32))

    def stream(
        self,
        corpus: PreparedCorpus,
        tokenizers: TokenizerPair,
        measured: PairLengths | RunningText,
        part: tuple[int, int],
    ) -> Stream:
        training = self._recipe.training
        if isinstance(measured, RunningText):
            assert part == (0, 1)
            return RunningStream(measured, max(1, training.batch_tokens // training.bptt), training.bptt)
        encode = LineEncoder(tokenizers.target, self._recipe.text.sampling, training.seed)
        whole = WholeCorpus(corpus, measured)
        return BatchStream(whole, encode, batch_tokens=training.batch_tokens, seed=training.seed, part=part)

    def build(self, tokenizers: TokenizerPair, *, draw_weights: bool = True) -> LanguageModel:
        return build_language_model(self._recipe.model, tokenizers.target.size, draw_weights=draw_weights)

    def objective(self, model: LanguageModel, _: TokenizerPair, /) -> LanguageLoss:
        training = self._recipe.training
        return LanguageLoss(model, training.label_smoothing, training.bptt, carries=self._is_running)

    def validator(self, corpus: PreparedCorpus, tokenizers: TokenizerPair, device: torch.device) -> LanguageValidator:
        lines = list(_encode(corpus.dev, tokenizers.target))
        samples = self._recipe.training.sample_translations
        return LanguageValidator(lines, tokenizers.target, device, is_running=self._is_running, samples=samples)


def _encode(pairs: Iterable[TextPair], tokenizer: Tokenizer) -> Iterator[list[int]]:
    """The ids of each line, a few thousand lines in memory at a time."""
    lines = (line for line, _ in pairs)
    while chunk := list(islice(lines, 10_000)):
        yield from tokenizer.encode_batch(chunk)


class LineEncoder:
    """Lines of text as a batch."""

    def __init__(self, tokenizer: Tokenizer, sampling: float, seed: int) -> None:
        """`sampling`: strength of subword regularisation, 0 for the one best segmentation."""
        self._tokenizer = tokenizer
        self._sampling = sampling
        self._seed = seed

    def __call__(self, pairs: Sequence[TextPair], *draw: int) -> LanguageBatch:
        if not self._sampling:
            return make_language_batch(list(_encode(pairs, self._tokenizer)))
        seed = derive_seed(self._seed, *draw, "tgt")
        return make_language_batch(self._tokenizer.sample_batch([line for line, _ in pairs], self._sampling, seed))


class RunningText(NamedTuple):
    """All lines one after the other, n tokens: what is read, and what comes next."""

    tgt_in: npt.NDArray[np.int32]
    tgt_out: npt.NDArray[np.int32]

    @classmethod
    def of(cls, lines: Iterable[Sequence[int]]) -> RunningText:
        """`lines`: of ids without special tokens."""
        read: list[npt.NDArray[np.int32]] = []
        follows: list[npt.NDArray[np.int32]] = []
        for ids in lines:
            read.append(np.array([BOS_ID, *ids], dtype=np.int32))
            follows.append(np.array([*ids, EOS_ID], dtype=np.int32))
        return cls(np.concatenate(read), np.concatenate(follows))

    def in_rows(self, rows: int) -> RunningText:
        """[rows, ceil(n / rows)] each, the end of the last row filled with PAD."""
        width = -(-len(self.tgt_in) // rows)
        return RunningText(*(np.pad(part, (0, rows * width - len(part))).reshape(rows, width) for part in self))


class RunningStream:
    """A running text in rows that are read side by side, so many steps a batch (Zaremba et al. 2014, section 4.1)."""

    def __init__(self, text: RunningText, rows: int, steps: int) -> None:
        """`rows`: at most; every row has a batch's steps, at least."""
        self._text = text.in_rows(min(rows, max(1, len(text.tgt_in) // steps)))
        self._steps = steps
        self.waited_s = 0.0

    def count(self, epoch: int) -> int:
        return -(-int(self._text.tgt_in.shape[1]) // self._steps)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[LanguageBatch]:
        """The same batches in every epoch. The first one begins without a memory."""
        for index in range(start, self.count(epoch)):
            here = slice(index * self._steps, (index + 1) * self._steps)
            tgt_in, tgt_out = (torch.from_numpy(part[:, here].astype(np.int64)) for part in self._text)
            yield LanguageBatch(tgt_in, tgt_out, int((tgt_out != PAD_ID).sum()), goes_on=index > 0)


class LanguageLoss:
    """-log p(y_t | y_<t), with label smoothing."""

    def __init__(self, model: LanguageModel, label_smoothing: float, bptt: int, *, carries: bool) -> None:
        """`bptt`: steps after which the gradient is cut, 0 for none. `carries`: a batch may go on where one ended."""
        self._model = model
        self._smoothing = label_smoothing
        self._bptt = bptt
        self._carries = carries
        self._state: LanguageState | None = None

    def __call__(self, batch: LanguageBatch) -> Loss:
        before = None
        if batch.goes_on:
            assert self._state is not None, "the state that this batch goes on from is lost"
            before = self._state
        vectors, after = self._model(batch.tgt_in, before, self._bptt)
        if self._carries:
            self._state = after.detach()
        return _loss(self._model, vectors, batch.tgt_out, self._smoothing)

    def carried(self) -> dict[str, Tensor]:
        if self._state is None:
            return {}
        layers = enumerate(self._state.layers)
        return {f"{number}.{name}": part for number, layer in layers for name, part in layer._asdict().items()}

    def carry(self, tensors: Mapping[str, Tensor]) -> None:
        layers: list[State] = []
        for number, like in enumerate(self._model.start(1).layers):
            parts = [tensors[f"{number}.{name}"] for name in like._fields]
            layers.append(type(like)(*parts))
        self._state = LanguageState(tuple(layers))


def _loss(model: LanguageModel, vectors: Tensor, targets: Tensor, smoothing: float = 0.0) -> Loss:
    real = torch.nonzero((targets != PAD_ID).flatten()).squeeze(1)
    rows = vectors.flatten(0, 1).index_select(0, real)
    return cross_entropy(rows, model.output.weight, model.output.bias, targets.flatten()[real], smoothing)


class LanguageValidator:
    """Holds the dev set, encoded once. A running one is read in few long rows, each from its beginning to its end."""

    def __init__(
        self,
        lines: Sequence[Sequence[int]],
        tokenizer: Tokenizer,
        device: torch.device,
        *,
        is_running: bool,
        samples: int,
    ) -> None:
        """`lines`: of ids without special tokens. `samples`: how many lines the model is asked to write."""
        self._tokenizer = tokenizer
        self._device = device
        self._samples = samples
        if is_running:
            self._batches = list(RunningStream(RunningText.of(lines), DEV_STREAMS, DEV_STEPS).epoch(0))
        else:
            self._batches = [make_language_batch(chunk) for chunk in chunks(sorted(lines, key=len))]

    @torch.no_grad()
    def validate(self, model: LanguageModel) -> ValidationResult:
        """Nats a token and perplexity of a model, which is left in training mode."""
        started = time.monotonic()
        model.eval()
        nll, state = 0.0, None
        for batch in (batch.to(self._device) for batch in self._batches):
            vectors, state = model(batch.tgt_in, state if batch.goes_on else None)
            nll += float(_loss(model, vectors, batch.tgt_out).nll)
        samples = [("", "", line) for line in self._write(model)]
        model.train()
        loss = nll / sum(batch.tokens for batch in self._batches)
        seconds = time.monotonic() - started
        return ValidationResult(loss, math.exp(min(loss, 700.0)), samples=samples, seconds=seconds)

    def _write(self, model: LanguageModel) -> list[str]:
        """Lines drawn from the model, by the same numbers at every validation."""
        if not self._samples:
            return []
        allowed = torch.ones(self._tokenizer.size, dtype=torch.bool, device=self._device)
        allowed[list(self._tokenizer.forbidden_ids)] = False
        drawn = continue_text(
            model,
            (),
            seeds=range(1, self._samples + 1),
            max_tokens=SAMPLE_TOKENS,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            allowed=allowed,
        )
        return [self._tokenizer.decode(ids) for ids in drawn]
