"""Every recipe of a network trains or says why it makes no sense: pairs of choices, and copying and reversing learnt.

All pairs of choices that any valid recipe has are met by some forty networks, greedily chosen.
"""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import jaxtyping
import pytest
import torch

from nmt.config import SENSELESS, OptimizerConfig, Recipe, default, parse_recipe
from nmt.errors import ConfigError
from nmt.model.attention import NONE, SCORES, SPANS
from nmt.model.cells import CELLS
from nmt.search.greedy import greedy_search
from nmt.search.stepper import PlainStepper
from nmt.text.tokenizer import BOS_ID, EOS_ID, PAD_ID, TokenizerPair
from nmt.training.batches import make_batch, pad
from nmt.training.labelling import LabelBatch
from nmt.training.language_modelling import make_language_batch
from nmt.training.learner import Learner
from nmt.training.tasks import TASKS

CHOICES: dict[str, tuple[Any, ...]] = {
    "task": tuple(TASKS),
    "cell": tuple(CELLS),
    "bidirectional": (True, False),
    "direction": ("forward", "backward"),
    "encoder_layers": (1, 2),
    "decoder_layers": (1, 2),
    "attention": (*SCORES, NONE),
    "attention_span": SPANS,
    "attention_wiring": ("luong", "gnmt"),
    "input_feeding": (True, False),
    "residual": (False, True),
    "layer_norm": (False, True),
    "dropout_form": ("zaremba", "variational"),
    "bridge": ("zero", "copy", "linear"),
}
Choice = tuple[Any, ...]
"""A value of each."""
Pair = tuple[str, Any, str, Any]
"""Two names with their values."""
COPY, REVERSE = 4, 5
"""The first word of a source says what to do with the others."""
WORDS = range(6, 14)
VOCAB = 14
LEAST_CORRECT = 90
"""Of 100 sentences. Who only copies has about 50, for words that read the same both ways are few."""


def recipe_of(choice: Choice, **sizes: Any) -> Recipe:
    """Raises ConfigError."""
    task, *model = choice
    settings = dict(zip(list(CHOICES)[1:], model, strict=True)) | sizes
    return parse_recipe({"task": task, "model": settings, "training": {"label_smoothing": 0.0}})


def is_valid(choice: Choice) -> bool:
    try:
        recipe_of(choice)
    except ConfigError:
        return False
    return True


def pairs(choice: Choice) -> set[Pair]:
    return {(*one, *other) for one, other in itertools.combinations(zip(CHOICES, choice, strict=True), 2)}


def covering() -> tuple[list[Choice], set[Pair]]:
    """Valid choices that have every pair between them; and the pairs for which none was found."""
    rng = random.Random(1)
    missing = {
        (one, value, other, another)
        for one, other in itertools.combinations(CHOICES, 2)
        for value, another in itertools.product(CHOICES[one], CHOICES[other])
    }
    chosen: list[Choice] = []
    refused: set[Pair] = set()
    while missing:
        one, value, other, another = wanted = min(missing, key=repr)
        candidates = [_some(rng, {one: value, other: another}) for _ in range(80)]
        if valid := [choice for choice in candidates if is_valid(choice)]:
            chosen.append(max(valid, key=lambda choice: len(pairs(choice) & missing)))
            missing -= pairs(chosen[-1])
        else:
            refused.add(wanted)
            missing.remove(wanted)
    return chosen, refused


def _some(rng: random.Random, fixed: dict[str, Any]) -> Choice:
    """Some values at random, the others as a recipe of the task has them that says nothing of them."""
    task = fixed.get("task", rng.choice(CHOICES["task"]))
    share = rng.choice((0.0, 0.2, 0.6, 1.0))
    drawn = {
        name: rng.choice(values) if rng.random() < share else default(f"model.{name}", task)
        for name, values in CHOICES.items()
        if name != "task"
    }
    if fixed.get("residual", drawn["residual"]):
        drawn |= {"encoder_layers": 2, "decoder_layers": 2 if task == "language-model" else drawn["decoder_layers"]}
    if task == "translation" and fixed.get("attention_wiring", drawn["attention_wiring"]) == "gnmt":
        drawn["decoder_layers"] = 2
    return tuple(({"task": task} | drawn | fixed).values())


NETWORKS, REFUSED = covering()


def task(count: int, rng: random.Random, kinds: tuple[int, ...] = (COPY, REVERSE)) -> tuple[list[Any], list[Any]]:
    """Sources and targets: 2 to 4 words to be copied or reversed."""
    words = [[rng.choice(WORDS) for _ in range(rng.randint(2, 4))] for _ in range(count)]
    asked = [rng.choice(kinds) for _ in words]
    targets = [text if kind == COPY else text[::-1] for kind, text in zip(asked, words, strict=True)]
    return [[kind, *text] for kind, text in zip(asked, words, strict=True)], targets


def update(learning: Learner, number: int, batch: Any, rate: float) -> float:
    """One update; the loss before it, in nats a token."""
    sums = learning.learn(number, [batch])
    squares = learning.combine(sums.tokens)
    learning.apply(rate, squares)
    return sums.nll / sums.tokens


def learner_of(recipe: Recipe) -> tuple[Any, Learner]:
    """A network of some 14 words, and what trains it."""
    torch.manual_seed(1)
    task = TASKS[recipe.task](recipe)
    sizes: Any = SimpleNamespace(size=VOCAB)  # all that a network is built from
    tokenizers = TokenizerPair(sizes, sizes)
    model = task.build(tokenizers)
    config = OptimizerConfig(betas=(0.9, 0.98))
    return model, Learner(model, task.objective(model, tokenizers), config, precision=torch.float32, seed=1)


def batch_of(name: str, sources: list[list[int]], targets: list[list[int]]) -> Any:
    """The same for every task: a target is translated to, ends a line, or labels words (its first labels a text)."""
    match name:
        case "translation":
            return make_batch(sources, targets)
        case "language-model":
            return make_language_batch([[*source, *target] for source, target in zip(sources, targets, strict=True)])
        case _:
            batch = make_batch(sources, targets)
            labels = pad([[PAD_ID, *target, PAD_ID] for target in targets])
            labels = labels if name == "tagging" else labels[:, 1]
            return LabelBatch(batch.src, batch.src_lengths, labels, int((labels != PAD_ID).sum()))


def test_pairs_of_choices_without_a_network_are_refused_with_a_reason() -> None:
    assert 30 <= len(NETWORKS) <= 70
    of_translators = {pair for pair in REFUSED if pair[0] != "task"}
    assert of_translators == {
        ("bidirectional", True, "direction", "backward"),
        ("attention", NONE, "attention_span", "local-m"),
        ("attention", NONE, "attention_span", "local-p"),
        ("attention", NONE, "bridge", "zero"),
        ("attention", NONE, "attention_wiring", "gnmt"),
        ("decoder_layers", 1, "attention_wiring", "gnmt"),
    }
    for _, task, key, value in REFUSED - of_translators:
        assert f"model.{key}" in SENSELESS[task]
        assert value != default(f"model.{key}", task)
    for one, value, other, another in REFUSED:
        choices = {one: value, other: another}
        task = choices.pop("task", "translation")
        with pytest.raises(ConfigError) as caught:
            parse_recipe({"task": task, "model": choices})
        assert "\n" not in str(caught.value)
        assert other.removeprefix("attention_") in str(caught.value)


@pytest.mark.parametrize(
    ("number", "choice"),
    list(enumerate(NETWORKS)),
    ids=lambda value: str(value) if isinstance(value, int) else value[0],
)
def test_every_pair_of_choices_trains(number: int, choice: Choice) -> None:
    """The loss of a batch falls in a few updates, with dropout on the way. Every other network copies or reverses."""
    recurrent_dropout = 0.1 * (number % 2)
    sizes = {"embedding_size": 16, "hidden_size": 16, "dropout": 0.1, "recurrent_dropout": recurrent_dropout}
    recipe = recipe_of(choice, **sizes)
    _, learning = learner_of(recipe)
    batch = batch_of(recipe.task, *task(16, random.Random(2), ((COPY, REVERSE)[number % 2],)))
    losses = [update(learning, step, batch, 0.02) for step in range(12)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_learns_to_copy_and_to_reverse(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One network does both, to sentences that it has not seen."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # checking shapes would take most of the time
    updates, rate, rng = 240, 0.02, random.Random(3)
    sizes = {"embedding_size": 24, "hidden_size": 32, "encoder_layers": 1, "dropout": 0.0}
    model, learning = learner_of(parse_recipe({"model": {"cell": cell} | sizes, "training": {"label_smoothing": 0.0}}))
    seen: set[tuple[int, ...]] = set()
    for number in range(updates):
        sources, targets = task(32, rng)
        seen.update(map(tuple, sources))
        update(
            learning, number, make_batch(sources, targets), rate * min(1, (number + 1) / 20) * (1 - number / updates)
        )
    unseen = [pair for pair in zip(*task(500, rng), strict=True) if tuple(pair[0]) not in seen][:100]
    assert len(unseen) == 100
    batch = make_batch([source for source, _ in unseen], [target for _, target in unseen])
    found = greedy_search(
        PlainStepper(model.eval()),
        batch.src,
        batch.src_lengths,
        max_length=torch.full((100,), 8),
        bos_id=BOS_ID,
        eos_id=EOS_ID,
    )
    assert sum(words == target for words, (_, target) in zip(found, unseen, strict=True)) >= LEAST_CORRECT
