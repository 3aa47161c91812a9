"""Sentences in slots on torch: any device, any registered cell and attention. Tensors without policy.

Sentences of one beam size and one bucket of source lengths share a *lane*: preallocated buffers, filled from the front,
of which a step uses as many places as are taken. On CUDA the number is rounded up to a rung of a ladder and each rung's
step is captured as a graph; nothing is copied to the host but the flags of finished sentences.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import chain, count
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmt.bundle import Bundle
from nmt.inference.members import Member, weights_of_all
from nmt.inference.runner import Found, SearchOptions, Sentence, left_to_plain, readings_of
from nmt.inference.torch_step import (
    EnsembleModel,
    FusedModel,
    HalfModel,
    History,
    Limits,
    Rules,
    Slots,
    map_tensors,
    refusal,
    search_step,
)
from nmt.search.beam import first_beam
from nmt.search.constraints import Constraints, Demand, needed_sizes
from nmt.search.scoring import Scoring
from nmt.search.stepper import PlainModel
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID

log = logging.getLogger(__name__)

CPU_ROWS, CUDA_ROWS = 320, 8192
"""Hypotheses at once beyond which more win little."""
LOOK_EVERY, MANY_ROWS = 2, 1024
"""Steps between two looks at who has finished, on a GPU with so many rows in use: a look is the host's work."""
BUCKETS = (16, 32, 64, 128, 256)
"""Source lengths, EOS counted, that sentences are padded to; a longer one to a multiple of the last."""
LANES = 12
"""Lanes kept; beyond, an empty one makes room."""
FIRST_PLACES = 4
FIRST_STEPS = 32
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def bucket(length: int) -> int:
    """The width that a source of this length is padded to."""
    return next((b for b in BUCKETS if length <= b), -(-length // BUCKETS[-1]) * BUCKETS[-1])


def rung(places: int) -> int:
    """The least of 1, 2, 3, 4, 6, 8, 12, 16, 24, ... that holds so many places."""
    power = 1 << max(places - 1, 0).bit_length()
    return power * 3 // 4 if power >= 4 and places <= power * 3 // 4 else power


def constraint_sizes(options: SearchOptions) -> tuple[int, int, int, int] | None:
    """The shape of constraints that a sentence's fit into, in powers of two; None where it has none."""
    if not (options.no_repeat_ngram or options.prefix or options.forbidden):
        return None
    F, L, G, P = (1 << max(size - 1, 0).bit_length() for size in needed_sizes([_demand(options)]))
    return F, L, G, P


def _demand(options: SearchOptions) -> Demand:
    return Demand(options.no_repeat_ngram, options.prefix, options.forbidden)


class LaneKey(NamedTuple):
    """What sentences of a lane have in common: the shapes of their buffers."""

    beam_size: int
    source_length: int
    """The bucket's, of the longest reading."""
    with_attention: bool
    constraints: tuple[int, int, int, int] | None
    """See `constraint_sizes`."""

    @classmethod
    def of(cls, ids: Sequence[int], options: SearchOptions) -> LaneKey:
        assert not left_to_plain(options), left_to_plain(options)
        longest = max(len(ids), *map(len, options.readings), 0)
        return cls(options.beam_size, bucket(longest + 1), options.with_attention, constraint_sizes(options))


def padded(sentences: Sequence[Sequence[int]], width: int) -> NDArray[np.int64]:
    """[B, width]: sentences, each with EOS, filled with PAD. A thousand at once come in: not a list a token."""
    src = np.full((len(sentences), width), PAD_ID)
    lengths = np.fromiter(map(len, sentences), np.int64, len(sentences))
    total = int(lengths.sum())
    src[np.arange(width) < lengths[:, None]] = np.fromiter(chain.from_iterable(sentences), np.int64, total)
    src[np.arange(len(sentences)), lengths] = EOS_ID
    return src


def triton_kernels() -> ModuleType | None:
    """`nmt.inference.triton_kernels`; None where there is no triton."""
    try:
        return import_module("nmt.inference.triton_kernels")
    except ImportError as error:
        log.info("steps without Triton kernels: %s", error)
        return None


@contextmanager
def exact_encoder(device: torch.device, precision: str) -> Iterator[None]:
    """cuDNN without TF32 where fp32 is asked for: by default it rounds the LSTM's operands to 10 bits."""
    if device.type != "cuda" or precision != "fp32":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


class TorchRunner:
    """A `Runner` over a bundle's network."""

    name = "torch"

    def __init__(
        self,
        bundle: Bundle,
        device: torch.device,
        precision: str = "fp32",
        *,
        rows: int | None = None,
        as_on_gpu: bool | None = None,
        uses_graphs: bool | None = None,
        uses_kernels: bool | None = None,
        look_every: int = LOOK_EVERY,
        looks_late: bool = True,
        is_fused: bool = True,
        further: Sequence[Member] = (),
    ) -> None:
        """`as_on_gpu`: rows on a ladder, and finished sentences looked for now and then; by default on CUDA.

        `look_every`, `looks_late`: how, where many rows are in use: after so many steps, and at who had finished by the
        look before, so that the host works on those while the device takes the next steps.
        `uses_graphs`: steps captured as CUDA graphs, with `as_on_gpu`; by default on CUDA, and only possible there.
        `uses_kernels`: Triton's where they can run; by default on CUDA. They belong to the fused step.
        `is_fused=False`: the network's own step in any case. `further`: members of an ensemble beside `bundle`, which
        says how they are searched.
        """
        is_cuda = device.type == "cuda"
        self.rows = rows or (CUDA_ROWS if is_cuda else CPU_ROWS)
        self.precision = precision
        self.device = str(device)
        self._as_on_gpu = is_cuda if as_on_gpu is None else as_on_gpu
        if is_cuda and device.index is not None:
            torch.cuda.set_device(device)  # streams and graphs are those of the current device
        self._capture = _Capture.new() if is_cuda and uses_graphs is not False else None
        self._device = device
        bundles = (bundle, *(member.bundle for member in further))
        self._shortlists = [member.shortlist for member in bundles]
        self._weights = weights_of_all(further)
        self._reads_alike = [True, *(member.reads_alike for member in further)]
        self._networks = [member.build_model().to(device) for member in bundles]
        reasons = (reason for network in self._networks if (reason := refusal(network)) is not None)
        self.refused = next(reasons, None) if is_fused else "not asked for"
        """Why a network's own step serves; None where the fused one does."""
        search = bundle.config.search
        forbidden = torch.zeros(bundle.config.tgt_vocab, dtype=torch.bool)
        forbidden[sorted(bundle.forbidden_ids)] = True
        scoring = Scoring(search.length_penalty, search.coverage_penalty)
        self._rules = Rules(scoring, EOS_ID, forbidden.to(device))
        wants_kernels = self.refused is None and (is_cuda if uses_kernels is None else uses_kernels)
        kernels = triton_kernels() if wants_kernels else None
        self._model = self._build(kernels)
        if kernels is not None:
            self._rules = self._rules._replace(kernels=kernels)
            self._try_kernels()
        self.uses_kernels = self._rules.kernels is not None
        """Whether parts of a step are Triton kernels."""
        self._lanes: dict[LaneKey, _Lane] = {}
        self._lane_of: dict[int, _Lane] = {}
        self._results: dict[int, list[Found]] = {}
        self._numbers = count()
        self._look_every, self._looks_late = look_every, looks_late
        self._steps_unseen = 0
        self._last_look: _Look | None = None
        self._aside = torch.cuda.Stream() if is_cuda else None
        """Where sentences are encoded and results fetched: the host waits for that alone, not for steps under way."""
        if is_cuda:
            torch.cuda.synchronize()  # the weights are there before another stream reads them

    def _build(self, kernels: ModuleType | None) -> PlainModel:
        dtype = DTYPES[self.precision]
        models: list[PlainModel] = []
        for network in self._networks:
            if self.refused is None:
                models.append(FusedModel(network, dtype, kernels))
            else:
                models.append(network if dtype == torch.float32 else HalfModel(network, dtype))
        return models[0] if len(models) == 1 else EnsembleModel(models, self._weights, self._reads_alike)

    @torch.no_grad()
    def _try_kernels(self) -> None:
        """A step of one sentence by kernels; where they cannot be compiled or run, plain torch serves."""
        sentence: Sentence = ([UNK_ID], SearchOptions(2, 1, 4))
        lane = _Lane(self._model, self._rules, 2, self._as_on_gpu, None)
        try:
            lane.put(self._begin([sentence], LaneKey.of(*sentence)), [0], [sentence])
            lane.step()
            lane.finished().tolist()
        except Exception as error:  # compilers and drivers fail in ways of their own
            log.warning("steps without Triton kernels, which failed: %s: %s", type(error).__name__, error)
            self._rules = self._rules._replace(kernels=None)
            self._model = self._build(None)

    @torch.no_grad()
    def admit(self, sentences: Sequence[Sentence]) -> list[int]:
        """Encode sentences, those of one lane together, and begin their search."""
        slots = [next(self._numbers) for _ in sentences]
        groups: dict[LaneKey, list[int]] = {}
        for index, (ids, options) in enumerate(sentences):
            groups.setdefault(LaneKey.of(ids, options), []).append(index)
        for key, indices in groups.items():
            lane = self._lane(key)
            with self._besides():
                first = self._begin([sentences[i] for i in indices], key)
            self._hand_over(first)
            lane.put(first, [slots[i] for i in indices], [sentences[i] for i in indices])
            self._lane_of.update((slots[i], lane) for i in indices)
        return slots

    @torch.no_grad()
    def step(self, steps: int = 1) -> list[int]:
        """On a GPU all `steps`, at times those of several calls, are taken before anybody looks who has finished.

        Finished sentences stay as they are meanwhile.
        """
        running = [lane for lane in self._lanes.values() if lane.slots]
        if self._as_on_gpu and running:
            self._step_as_on_gpu(running, steps)
            return list(self._results)
        for _ in range(steps if running else 0):
            for lane in running:
                lane.step()
            if self._fetch(_Look(running)):
                break
        return list(self._results)

    def _step_as_on_gpu(self, running: Sequence[_Lane], steps: int) -> None:
        before = self._mark()
        for _ in range(steps):
            for lane in running:
                lane.step()
        has_many = sum(lane.rows for lane in running) >= MANY_ROWS
        self._steps_unseen += steps
        if has_many and self._steps_unseen < self._look_every:
            return
        self._steps_unseen = 0
        look = _Look(running)
        if has_many and self._looks_late:
            look, self._last_look = self._last_look or _Look(()), look
            with self._besides(before):
                self._fetch(look)
        else:
            self._last_look = None  # this one sees all that it saw
            self._fetch(look)

    def _fetch(self, look: _Look) -> bool:
        """Take the results of what had finished by then out of the lanes; whether there were any."""
        was_any = False
        for lane, slots in look.finished():
            place_of = {slot: place for place, slot in enumerate(lane.slots)}
            if places := [place_of[slot] for slot in slots if slot in place_of]:  # others have been fetched or dropped
                self._results |= lane.results(places)
                with self._on_main():
                    lane.remove(places)
                was_any = True
        return was_any

    def _mark(self) -> torch.cuda.Event | None:
        """The end of all that the device has been given up to now."""
        return None if self._aside is None else torch.cuda.current_stream().record_event()

    @contextmanager
    def _besides(self, after: torch.cuda.Event | None = None) -> Iterator[None]:
        """Work on the device that does not wait for steps under way, but for what was before `after`."""
        if self._aside is None:
            yield
            return
        self._main = torch.cuda.current_stream()
        if after is not None:
            self._aside.wait_event(after)
        with torch.cuda.stream(self._aside):
            yield

    @contextmanager
    def _on_main(self) -> Iterator[None]:
        """Inside `_besides`, in order with the steps again. What was fetched has arrived: it need not be waited for."""
        if self._aside is None or torch.cuda.current_stream() != self._aside:
            yield
            return
        with torch.cuda.stream(self._main):
            yield

    def _hand_over(self, slots: Slots) -> None:
        """Let the steps' stream use what was made besides it."""
        if self._aside is not None:
            main = torch.cuda.current_stream()
            main.wait_stream(self._aside)
            map_tensors(lambda part: part.record_stream(main), slots)

    def take(self, slot: int) -> list[Found]:
        del self._lane_of[slot]
        return self._results.pop(slot)

    def drop(self, slot: int) -> None:
        lane = self._lane_of.pop(slot)
        if self._results.pop(slot, None) is None:
            lane.remove([lane.slots.index(slot)])

    def _lane(self, key: LaneKey) -> _Lane:
        if key not in self._lanes:
            empty = [old for old, lane in self._lanes.items() if not lane.slots]
            for old in empty[: max(0, len(self._lanes) + 1 - LANES)]:
                del self._lanes[old]
            self._lanes[key] = _Lane(self._model, self._rules, key.beam_size, self._as_on_gpu, self._capture)
        return self._lanes[key]

    def _begin(self, sentences: Sequence[Sentence], key: LaneKey) -> Slots:
        """Sentences before their first step, with a history of no step."""
        B, device = len(sentences), self._device
        K, S = key.beam_size, key.source_length
        lengths = torch.tensor([len(ids) + 1 for ids, _ in sentences])
        with exact_encoder(device, self.precision):
            memory, state = self._encode(sentences, S)
        length = lengths.to(device)
        limits = [[o.n_best, o.max_length, o.min_length] for _, o in sentences]
        nothing = torch.zeros(B, 0, K, dtype=torch.long, device=device)
        attention = torch.zeros(B, 0, K, S, device=device) if key.with_attention else None
        return Slots(
            memory=memory,
            state=state.select(torch.arange(B, device=device).repeat_interleave(K)),
            beam=first_beam(B, K, BOS_ID, device),
            limits=Limits(*torch.tensor(limits).to(device).unbind(1)),
            mask=torch.arange(S, device=device).unsqueeze(0) < length.unsqueeze(1),
            attended=torch.zeros(B * K, S, device=device) if self._rules.scoring.coverage_penalty else None,
            words=self._words(sentences),
            history=History(nothing, nothing, attention, None if key.constraints is None else nothing),
            constraints=self._constraints(sentences, key.constraints),
        )

    def _encode(self, sentences: Sequence[Sentence], width: int) -> tuple[Any, Any]:
        """Memory and first state."""
        M = len(self._networks)
        readings = [ids for sentence in sentences for ids in readings_of(sentence, M)]
        src = torch.from_numpy(padded(readings, width)).to(self._device)
        lengths = torch.tensor([len(ids) + 1 for ids in readings])  # packing wants them on the host
        if M == 1:
            return self._model.encode(src, lengths)
        return self._model.encode(src.view(-1, M, width), lengths.view(-1, M))

    def _constraints(
        self, sentences: Sequence[Sentence], sizes: tuple[int, int, int, int] | None
    ) -> Constraints | None:
        if sizes is None:
            return None
        demands = [_demand(options) for _, options in sentences]
        return Constraints.of(demands, len(self._rules.forbidden), device=self._device, sizes=sizes)

    def _words(self, sentences: Sequence[Sentence]) -> Tensor | None:
        """Each sentence's words: those in anybody's shortlist, where all members have one."""
        lists = [shortlist for shortlist in self._shortlists if shortlist is not None]
        if len(lists) < len(self._shortlists):
            return None
        words = torch.zeros(len(sentences), lists[0].tgt_vocab, dtype=torch.bool)
        for row, sentence in zip(words, sentences, strict=True):
            for shortlist, ids in zip(lists, readings_of(sentence, len(lists)), strict=True):
                row[torch.from_numpy(shortlist.words([*ids, EOS_ID])).long()] = True
            row[list(sentence[1].prefix)] = True
        return words.to(self._device)


class _Capture(NamedTuple):
    """How steps become graphs."""

    pool: Any
    """Handle of the memory that all graphs share, as they run one after another."""
    stream: torch.cuda.Stream
    """For nothing else: a library's scratch memory belongs to a stream, and graphs keep using that of this one."""

    @classmethod
    def new(cls) -> _Capture:
        return cls(torch.cuda.graph_pool_handle(), torch.cuda.Stream())

    def graph(self, model: PlainModel, view: Slots, rules: Rules) -> torch.cuda.CUDAGraph:
        """The step on some places. It is run on a copy first: libraries set themselves up on first use."""
        main = torch.cuda.current_stream()
        self.stream.wait_stream(main)
        with torch.cuda.stream(self.stream):
            search_step(model, map_tensors(Tensor.clone, view), rules)
        main.wait_stream(self.stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            search_step(model, view, rules)
        return graph


class _Look:
    """Who has finished in some lanes at one moment, on its way to the host."""

    def __init__(self, lanes: Sequence[_Lane]) -> None:
        self._slots = [(lane, list(lane.slots)) for lane in lanes]  # places change before it arrives
        self._flags: Tensor | None = None
        self._arrival: torch.cuda.Event | None = None
        if lanes:
            flags = torch.cat([lane.finished() for lane in lanes])
            self._flags = flags
            if flags.is_cuda:
                self._flags = torch.empty(flags.shape, dtype=flags.dtype, pin_memory=True)
                self._flags.copy_(flags, non_blocking=True)
                self._arrival = torch.cuda.current_stream().record_event()

    def finished(self) -> Iterator[tuple[_Lane, list[int]]]:
        """The slots, by lane. Waits for the device to come that far."""
        if self._arrival is not None:
            self._arrival.synchronize()
        flags = iter([] if self._flags is None else self._flags.tolist())
        for lane, slots in self._slots:
            yield lane, [slot for slot in slots if next(flags)]


class _Lane:
    """Sentences of one beam size and one source bucket. The first `len(slots)` places of the buffers are taken."""

    def __init__(
        self, model: PlainModel, rules: Rules, beam_size: int, uses_ladder: bool, capture: _Capture | None
    ) -> None:
        """`capture`: None for steps without graphs."""
        self.slots: list[int] = []
        """Slot numbers by place."""
        self._lengths: list[tuple[int, int]] = []
        """Source length, EOS counted, and maximal length, by place."""
        self._options: list[SearchOptions] = []
        self._model = model
        self._rules = rules
        self._beam_size = beam_size
        self._uses_ladder = uses_ladder
        self._capture = capture
        self._buffers: Slots | None = None
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}

    @property
    def rows(self) -> int:
        """Hypotheses under way."""
        return len(self.slots) * self._beam_size

    @property
    def _places(self) -> int:
        return 0 if self._buffers is None else len(self._buffers.mask)

    def put(self, new: Slots, slots: Sequence[int], sentences: Sequence[Sentence]) -> None:
        """Let sentences in at the first free places."""
        first, last = len(self.slots), len(self.slots) + len(slots)
        self._make_room(new, rung(last), 1 + max(options.max_length for _, options in sentences))
        self.slots += slots
        self._lengths += [(len(ids) + 1, options.max_length) for ids, options in sentences]
        self._options += [options for _, options in sentences]
        buffers = self._view(first, last)
        _copy(buffers._replace(history=None), new._replace(history=None))  # type: ignore[arg-type]

    def step(self) -> None:
        """A token for every sentence."""
        used = rung(len(self.slots)) if self._uses_ladder else len(self.slots)
        view = self._view(0, used)
        if self._capture is None:
            search_step(self._model, view, self._rules)
            return
        if used not in self._graphs:
            self._graphs[used] = self._capture.graph(self._model, view, self._rules)
        self._graphs[used].replay()

    def finished(self) -> Tensor:
        """[places taken]: whether nothing of a sentence lives any more."""
        assert self._buffers is not None
        return self._buffers.beam.log_probs[: len(self.slots), 0] == -torch.inf

    def results(self, places: Sequence[int]) -> dict[int, list[Found]]:
        """The results of sentences that have finished, by slot. Steps may go on: they do not touch them."""
        assert self._buffers is not None
        chosen = torch.tensor(places).to(self._buffers.mask.device)
        beam, history = self._buffers.beam, self._buffers.history
        wanted = max(self._options[place].n_best for place in places)
        ends = (beam.finished_scores, beam.finished_log_probs, beam.finished_steps, beam.finished_parents)
        # one copy to the host, not four; doubles hold all of them exactly
        scores, log_probs, steps, parent = torch.stack(
            [part[:, :wanted].index_select(0, chosen).double() for part in ends]
        ).cpu()
        last = steps.long().numpy()
        most = int(last.max()) + 1
        kept = map_tensors(lambda part: part[:, :most].index_select(0, chosen), history)
        tokens, parents = torch.stack((kept.tokens, kept.parents)).cpu().numpy()
        words, path = trace_back(tokens, parents, last, parent.long().numpy())
        attention = None if kept.attention is None else kept.attention.cpu().numpy()
        by_row = zip(places, scores.tolist(), log_probs.tolist(), last.tolist(), words.tolist(), strict=True)
        found: dict[int, list[Found]] = {}
        for row, (place, *hypotheses) in enumerate(by_row):
            length, max_length = self._lengths[place]
            found[self.slots[place]] = [
                Found(
                    tokens=tuple(words[:end]),
                    score=score,
                    log_prob=log_prob,
                    attention=None if attention is None else _attended(attention[row], path[row, rank], end, length),
                    is_truncated=end + 1 >= max_length,
                )
                for rank, (score, log_prob, end, words) in enumerate(zip(*hypotheses, strict=True))
                if rank < self._options[place].n_best and score > -np.inf
            ]
        return found

    def remove(self, places: Sequence[int]) -> None:
        """Free places: the last sentences move there."""
        gone, left = set(places), len(self.slots) - len(places)
        free = [place for place in places if place < left]
        moving = [place for place in range(left, len(self.slots)) if place not in gone]
        if free:
            moves, device = torch.tensor([free, moving]), self._view(0, 1).mask.device
            if device.type == "cuda":  # a copy from pageable memory would wait for all steps under way
                moves = moves.pin_memory()
            to, source = moves.to(device, non_blocking=True)

            def move(part: Tensor) -> Tensor:
                by_place = part.view(self._places, -1, *part.shape[1:])
                return by_place.index_copy_(0, to, by_place.index_select(0, source))

            map_tensors(move, self._buffers)
        by_place: tuple[list[Any], ...] = (self.slots, self._lengths, self._options)
        for values in by_place:
            for place, other in zip(free, moving, strict=True):
                values[place] = values[other]
            del values[left:]

    def _view(self, first: int, last: int) -> Slots:
        """Some places of the buffers."""
        buffers, places = self._buffers, self._places
        assert buffers is not None

        def part(buffer: Tensor) -> Tensor:
            rows = buffer.shape[0] // places
            return buffer[first * rows : last * rows]

        return map_tensors(part, buffers)

    def _make_room(self, like: Slots, places: int, steps: int) -> None:
        """Buffers of at least so many places and steps, made in the shapes of `like`; their content is kept."""
        old = self._buffers
        known_steps = 0 if old is None else old.history.tokens.shape[1]
        if old is not None and places <= self._places and steps <= known_steps:
            return
        places = max(places, self._places, FIRST_PLACES)
        steps = max(steps, known_steps, FIRST_STEPS)
        count = len(like.mask)

        def empty(part: Tensor) -> Tensor:
            return part.new_zeros(part.shape[0] // count * places, *part.shape[1:])

        def empty_history(part: Tensor) -> Tensor:
            return part.new_zeros(places, steps, *part.shape[2:])

        self._graphs.clear()  # they hold the old buffers' addresses
        before = None if old is None else self._view(0, len(self.slots))
        self._buffers = map_tensors(empty, like._replace(history=None))._replace(  # type: ignore[arg-type]
            history=map_tensors(empty_history, like.history)
        )
        self._buffers.limits.n_best.fill_(1)  # places that nobody has taken yet are stepped too: 0 is no n-best list
        if before is not None:
            room = self._view(0, len(self.slots))
            _copy(room._replace(history=None), before._replace(history=None))  # type: ignore[arg-type]
            map_tensors(lambda to, part: to[:, : part.shape[1]].copy_(part), room.history, before.history)


def trace_back(
    tokens: NDArray[np.int64], parents: NDArray[np.int64], last: NDArray[np.int64], parent: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tokens of the R best finished hypotheses of n sentences, and their places among the live ones.

    tokens, parents [n, T, K] by step; a hypothesis ended at step `last` [n, R] as a child of place `parent` [n, R].
    Returns [n, R, T] twice: tokens hold below `last`, places up to it.
    """
    (n, T, _), R = tokens.shape, last.shape[1]
    words, path = np.zeros((n, R, T), np.int64), np.zeros((n, R, T), np.int64)
    rows, place = np.arange(n)[:, None], parent
    for step in range(T - 1, -1, -1):
        # the token of a step is where its child says; before that there is none
        words[:, :, step] = tokens[rows, step, place]
        place = np.where(step < last, parents[rows, step, place], parent)
        path[:, :, step] = place
    return words, path


def _attended(weights: NDArray[np.float32], path: NDArray[np.int64], last: int, length: int) -> NDArray[np.float32]:
    """[last + 1, length]: what a hypothesis attended to at each step. weights [T, K, S], path [T]."""
    steps = np.arange(last + 1)
    return weights[steps, path[steps], :length]


def _copy(to: Slots, source: Slots) -> None:
    map_tensors(lambda part, value: part.copy_(value), to, source)
