"""Every choice of data, text, model, training and search, with its one default; TOML in and out.

Config stops at the door: builders (`model.build`, `training.train`) turn these values into plain arguments.
Imports no torch, so the command line can check a recipe before anything heavy is loaded.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from nmt.errors import ConfigError

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


@cache
def registered(module: str, registry: str) -> tuple[str, ...]:
    """The names in a registry of `nmt.model`, read from its source.

    So a cell or a score is named where it is written, once, and a recipe is checked without torch, which importing the
    module would load.
    """
    source = (Path(__file__).parent / "model" / f"{module}.py").read_text("utf-8")
    entries = source.partition(f"\n{registry}: ")[2].partition("\n}")[0]
    return tuple(re.findall(r'^ {4}"([\w-]+)": ', entries, re.MULTILINE))


def _registered(module: str, registry: str, other: tuple[str, ...], name: str) -> str:
    known = (*registered(module, registry), *other)
    if name not in known:
        raise ValueError(f"Input should be {', '.join(map(repr, known))}")
    return name


CellKind = Annotated[str, AfterValidator(partial(_registered, "cells", "CELLS", ()))]
TaskName = Literal["translation", "language-model", "tagging", "classification"]
AttentionKind = Annotated[str, AfterValidator(partial(_registered, "attention", "SCORES", ("none",)))]
AttentionSpan = Literal["global", "local-m", "local-p"]
SubwordKind = Literal["unigram", "bpe", "word", "char"]


S = TypeVar("S", bound="Section")


class Section(BaseModel):
    """A frozen group of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class CleaningConfig(Section):
    """Rules that drop a training pair. Each can be switched off: a bool by `false`, a number by 0."""

    empty: bool = True
    """A side with no visible character."""
    control: bool = True
    """A side that holds a control character other than a tab."""
    max_length: NonNegative = 200
    """Longest side, in white-space words (in characters / 4 for scripts that use no spaces)."""
    max_ratio: Annotated[float, Field(ge=0.0)] = 4.0
    """Longer side divided by shorter side, in characters; a side of under 20 characters counts as 20."""
    duplicates: bool = True
    """A pair seen before, byte for byte once its white space is collapsed."""
    overlap: bool = True
    """A pair whose source or target stands in the dev or test set, compared without case, blanks and punctuation."""


class NoiseConfig(Section):
    """What is done to training pairs, drawn anew for every epoch, so that such input is understood."""

    lower: Share = 0.0
    """Share of the pairs whose source is in lower case; the target stays as it is."""
    upper: Share = 0.0
    """Share of the pairs of which both sides are in upper case."""
    no_final: Share = 0.0
    """Share of the pairs whose source lacks the punctuation at its end."""
    typos: Share = 0.0
    """Share of the pairs whose source has typing errors."""
    typo_rate: Share = 0.1
    """Of the words of such a source: each has an error with this probability."""
    numbers: Share = 0.0
    """Share of the pairs with a number in digits on both sides that have another number there, on both."""
    names: Share = 0.0
    """Share of the pairs with a name that both sides spell alike that have another name there, on both."""
    join: Share = 0.0
    """Share of the pairs that are joined to longer ones, with a blank between them."""
    join_most: Annotated[int, Field(ge=2)] = 3
    """Pairs in a longer one, at most; the least is two, and every number between is as frequent."""
    join_length: Positive = 80
    """Tokens of the longer side of such a pair, at most; pairs that would make it longer stay alone."""

    @model_validator(mode="after")
    def _one_case_a_pair(self) -> NoiseConfig:
        if self.lower + self.upper > 1:
            raise ValueError(f"lower + upper = {self.lower + self.upper:g}: a pair is in one case only")
        return self


class DataConfig(Section):
    """The corpora. A corpus is one file (`.tsv`, `.tmx`) or a pair of text files, each possibly `.gz`.

    Of a language model it is a text file, of tagging and classification a `.tsv` of text and labels.

    `$NAME` and `~` in paths are expanded; a relative path is relative to the working directory.
    """

    source_lang: Language = "xx"
    target_lang: Language = "yy"
    train: tuple[tuple[str, ...], ...] = ()
    """Corpora, e.g. [["a.en.gz", "a.de.gz"], ["b.tsv"], ["c.tmx"]]."""
    dev: tuple[str, ...] = ()
    """One corpus. Empty: 1 % of the training pairs (at least 16, at most 1,000), drawn by the seed, are held out."""
    test: tuple[str, ...] = ()
    """One corpus, never trained on: pairs of the training data that overlap with it are dropped."""
    running_text: bool = False
    """Language models: a line continues the line before it, so the state is carried from one to the next."""
    cleaning: CleaningConfig = CleaningConfig()
    weights: tuple[Annotated[float, Field(gt=0.0)], ...] = ()
    """How often an epoch has each corpus of `train`: with 2.5 every pair twice and half of them, drawn anew, thrice."""
    tags: tuple[Annotated[str, Field(pattern=r"^(<[a-z][a-z0-9_-]+>)?$")], ...] = ()
    """A piece in front of the sources of each corpus of `train`, such as <bt> (Caswell et al. 2019); empty: none."""
    noise: NoiseConfig = NoiseConfig()
    phrases: Share = 0.0
    """Words and phrases that an epoch has in addition, learnt from the pairs: how many, as share of the pairs."""

    @model_validator(mode="after")
    def _one_for_each_corpus(self) -> DataConfig:
        for key in ("weights", "tags"):
            if (given := len(getattr(self, key))) not in (0, len(self.train)):
                raise ValueError(f"data.{key} has {given} values, data.train {len(self.train)} corpora: one for each")
        if taken := {"<pad>", "<unk>"} & set(self.tags):
            raise ValueError(f"data.tags: {', '.join(sorted(taken))} is in every vocabulary: choose another name")
        return self

    @model_validator(mode="after")
    def _one_or_two_files(self) -> DataConfig:
        for corpus in (*self.train, self.dev, self.test):
            if corpus and len(corpus) > 2:
                raise ValueError(f"a corpus is one file or a pair of files, not {len(corpus)}: {list(corpus)}")
        return self


class TextConfig(Section):
    """The vocabulary."""

    kind: SubwordKind = "unigram"
    """Subwords (`unigram`, `bpe`), or the most frequent words or characters: what is not among those is unknown."""
    vocab_size: Annotated[int, Field(ge=8)] = 8000
    """Pieces, special ones and the 256 byte pieces included. With `joint = false`: of each side."""
    joint: bool = True
    """One vocabulary for both languages."""
    byte_fallback: bool = True
    """Spell unseen characters in bytes, so that no input is unknown (unigram and bpe)."""
    character_coverage: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9999
    normalization: Literal["nmt_nfkc", "nfkc", "identity"] = "nmt_nfkc"
    sampling: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Subword regularisation in training: unigram, Kudo's alpha (0.1-0.5); bpe, the dropout of merges. 0 = off."""
    sample_lines: Positive = 2_000_000
    """Lines the vocabulary is learnt from, drawn at random where there are more."""
    vocabulary: str = ""
    """A bundle whose vocabulary is taken; nothing is learnt then. A language model takes the target's."""


class ModelConfig(Section):
    """The network (notation: E embedding, H hidden, L layers; the equations are in docs/model.md)."""

    cell: CellKind = "lstm"
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    """Of the cell `rnn`; the others have theirs."""
    peepholes: tuple[Literal["i", "f", "o"], ...] = ("i", "f", "o")
    """Of the cell `lstm_peephole`: the gates that look at c."""
    layer_norm: bool = False
    """Layer normalisation of every gate's pre-activation (Ba et al. 2016; Chen et al. 2018)."""
    embedding_size: Positive = 384
    hidden_size: Positive = 512
    """H of encoder output and decoder; a bidirectional encoder has H/2 a direction."""
    encoder_layers: Positive = 2
    decoder_layers: Positive = 1
    bidirectional: bool = True
    direction: Literal["forward", "backward"] = "forward"
    """In which an encoder reads that is not bidirectional."""
    reverse_source: bool = False
    """The encoder reads the words of the source from the last to the first, then its end (Sutskever et al. 2014)."""
    residual: bool = False
    """Every layer above a side's first adds its input to its output (Wu et al. 2016, 3.1)."""
    attention: AttentionKind = "general"
    """Luong's score, or none: then the encoder's last state is all that the decoder knows of the source."""
    attention_span: AttentionSpan = "global"
    attention_window: Positive = 10
    """D of local attention: positions p_t - D to p_t + D (Luong et al. 2015, 3.2)."""
    attention_max_length: Positive = 128
    """Longest source that `location` scores; later words get no weight."""
    attention_wiring: Literal["luong", "gnmt"] = "luong"
    """Which state attends: `luong`: the decoder's top layer's; `gnmt`: the bottom one's, for all (Wu et al. 2016)."""
    input_feeding: bool = True
    copying: bool = False
    """Words of the source may be copied, unknown ones too (pointer-generator; See et al. 2017): needs a joint
    vocabulary."""
    bridge: Literal["zero", "copy", "linear"] = "linear"
    """How the decoder's first state comes from the encoder's last."""
    tying: Literal["none", "target", "all"] = "all"
    """Shared embeddings: none; target input = output layer; both, and the source too (needs a joint vocabulary)."""
    dropout: Probability = 0.3
    """On non-recurrent connections: embeddings, between layers, and the attentional vector (Zaremba et al. 2014)."""
    dropout_form: Literal["zaremba", "variational"] = "zaremba"
    """What is dropped: at every step anew, or one mask for all steps of a sequence (Gal & Ghahramani 2016)."""
    recurrent_dropout: Probability = 0.0
    """Of the recurrent weights, for a whole batch of sequences (DropConnect; Merity et al. 2018)."""
    word_dropout: Probability = 0.0
    """Whole input words replaced by zero vectors (Gal & Ghahramani 2016)."""
    memory_dropout: Probability = 0.0
    """Of the encoder's states as attention reads them; the decoder's first state comes from all of them."""
    init_range: Annotated[float, Field(ge=0.0)] = 0.0
    """Uniform ±range for every weight (Luong: 0.1). 0: Xavier for matrices, orthogonal for recurrent ones."""
    forget_bias: float = 1.0

    @model_validator(mode="after")
    def _sizes_fit(self) -> ModelConfig:
        if self.bidirectional and self.hidden_size % 2:
            raise ValueError(f"hidden_size must be even with a bidirectional encoder, not {self.hidden_size}")
        if self.attention == "none" and self.attention_span != "global":
            raise ValueError(f'attention = "none" has no span: {self.attention_span} needs a score')
        if self.attention == "none" and self.bridge == "zero":
            raise ValueError('attention = "none" with bridge = "zero" would tell the decoder nothing of the source')
        if self.attention == "none" and self.memory_dropout:
            raise ValueError('memory_dropout drops what attention reads, and attention = "none" reads nothing')
        if self.attention_wiring == "gnmt" and (self.attention == "none" or self.decoder_layers == 1):
            raise ValueError(
                'attention_wiring = "gnmt" gives what the bottom layer attends to to those above: it needs a score and '
                "decoder_layers = 2 or more"
            )
        if self.copying and (self.attention == "none" or self.attention_span == "local-p"):
            raise ValueError(
                "copying goes by attention weights that sum to one: it needs a score, and the span global or local-m"
            )
        return self

    @model_validator(mode="after")
    def _choices_have_a_meaning(self) -> ModelConfig:
        if self.nonlinearity != "tanh" and self.cell != "rnn":
            raise ValueError(f'nonlinearity is of cell = "rnn" alone: {self.cell} has its own')
        if self.peepholes != ("i", "f", "o") and self.cell != "lstm_peephole":
            raise ValueError(f'peepholes are of cell = "lstm_peephole" alone: {self.cell} has none')
        if self.cell == "lstm_peephole" and not self.peepholes:
            raise ValueError('cell = "lstm_peephole" without peepholes is cell = "lstm": name gates of i, f, o')
        if len(set(self.peepholes)) < len(self.peepholes):
            raise ValueError(f"peepholes name a gate twice: {', '.join(self.peepholes)}")
        if self.residual and max(self.encoder_layers, self.decoder_layers) == 1:
            raise ValueError("residual connects layers: set encoder_layers or decoder_layers to 2 or more with it")
        if self.direction != "forward" and self.bidirectional:
            raise ValueError("direction is for an encoder of one direction: set bidirectional = false with it")
        if self.reverse_source and (self.bidirectional or self.direction == "backward"):
            raise ValueError(
                "reverse_source is for an encoder that reads forward alone: set bidirectional = false with it"
            )
        return self


class OptimizerConfig(Section):
    """The update rule and the course of its learning rate."""

    name: Literal["sgd", "adam", "adamw", "rmsprop"] = "adam"
    learning_rate: Annotated[float, Field(gt=0.0)] = 0.003
    momentum: Probability = 0.0
    betas: tuple[Probability, Probability] = (0.9, 0.98)
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    schedule: Literal["constant", "luong", "inverse-sqrt", "plateau", "cosine", "cosine-restarts"] = "cosine"
    """`luong`: halve each `halve_every` epochs after `halve_after`. `plateau`: times `factor` after `plateau_patience`
    validations without gain. `cosine`: down to `final_factor` at the last update. `cosine-restarts`: again and again,
    at first within `restart_updates`. `inverse-sqrt`: after the warm-up."""
    warmup_updates: NonNegative = 100
    halve_after: NonNegative = 5
    halve_every: Annotated[float, Field(gt=0.0)] = 1.0
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    plateau_patience: NonNegative = 1
    return_to_best: bool = False
    """`plateau`: go on from the best validation's weights, with moments of zero (Denkowski & Neubig 2017)."""
    restart_updates: Positive = 2000
    """`cosine-restarts`: updates of the first period."""
    restart_growth: Annotated[float, Field(ge=1.0)] = 2.0
    """`cosine-restarts`: each period is so many times as long as the one before."""
    final_factor: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    clip_norm: Annotated[float, Field(ge=0.0)] = 1.0
    """g <- g * min(clip_norm / |g|, 1) over all weights together. 0 = off."""

    @model_validator(mode="after")
    def _plateaus_are_looked_for(self) -> OptimizerConfig:
        if self.return_to_best and self.schedule != "plateau":
            raise ValueError(f'return_to_best is of schedule = "plateau" alone, not of "{self.schedule}"')
        return self

    @model_validator(mode="after")
    def _rules_have_these(self) -> OptimizerConfig:
        if self.momentum and self.name not in ("sgd", "rmsprop"):
            raise ValueError(f'momentum is of name = "sgd" and "rmsprop": the first of betas is that of "{self.name}"')
        if self.betas != type(self).model_fields["betas"].default and self.name not in ("adam", "adamw"):
            raise ValueError(f'betas are of name = "adam" and "adamw": "{self.name}" has none')
        return self


class TrainingConfig(Section):
    """How long, how much at once, and what is kept."""

    seed: int = 1
    init: str = ""
    """A bundle whose weights and vocabulary training begins with: fine-tuning. Empty: weights that the seed draws."""
    epochs: NonNegative = 0
    """Upper limit. 0: none where `updates` is given, else 10 to 40, the less text the more (`nmt.training.amount`)."""
    updates: NonNegative = 0
    """Upper limit; 0 = none."""
    batch_tokens: NonNegative = 0
    """Padded tokens of the longer side in one batch. 0: 256 to 2,048, so that little text makes many batches too."""
    accumulation: Positive = 1
    """Batches summed into one update."""
    bptt: NonNegative = 0
    """Language models: steps after which back-propagation through time is cut. 0: at the end of a line."""
    label_smoothing: Probability = 0.1
    criterion: Literal["likelihood", "mrt"] = "likelihood"
    """What is minimised: -log p of the reference, or the expected risk of what is written (Shen et al. 2016)."""
    mrt_samples: Positive = 20
    """Translations drawn of each sentence, beside its reference."""
    mrt_alpha: Annotated[float, Field(gt=0.0)] = 0.005
    """alpha of Q ~ p^alpha over them: the smaller, the flatter."""
    mrt_metric: Literal["bleu", "chrf"] = "bleu"
    """Their risk is 1 - this, by sentence."""
    rdrop: Annotated[float, Field(ge=0.0)] = 0.0
    """alpha of R-Drop (Wu et al. 2021): every batch passes twice with other dropout, and the two are drawn together."""
    ema: Probability = 0.0
    """Decay of the moving average of the weights that is validated and shipped. 0 = off: the weights themselves."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto`: bf16 autocast where the hardware multiplies it natively, else fp32."""
    device: str = "auto"
    workers: NonNegative = 0
    """Processes that share each batch; 0: one a core, but one for small corpora, small batches and on a GPU."""
    threads: NonNegative = 0
    """CPU threads of each process; 0: one."""
    validate_every: NonNegative = 0
    """Updates between validations; 0: once an epoch."""
    checkpoint_every_s: Annotated[float, Field(ge=0.0)] = 300.0
    """Seconds between checkpoints beside those of the validations; 0: only those."""
    metric: Literal["perplexity", "bleu", "chrf", "accuracy"] = "bleu"
    """What decides the best checkpoint and early stopping, on the dev set."""
    patience: NonNegative = 0
    """Validations without gain before training stops; 0: never."""
    average: Positive = 3
    """Best checkpoints averaged into the bundle's weights (1: the best alone), if the dev set agrees."""
    validation_sentences: NonNegative = 1000
    """Dev sentences translated (greedily) for BLEU and chrF; 0: all."""
    sample_translations: NonNegative = 3


class SearchConfig(Section):
    """How a trained model is asked for its translation."""

    beam_size: Annotated[int, Field(ge=1, le=1000)] = 5
    length_penalty: Annotated[float, Field(ge=0.0)] = 1.0
    """alpha of ((5 + length) / 6)^alpha, which divides the log-probability (Wu et al. 2016, eq. 14). 0 = off."""
    coverage_penalty: Annotated[float, Field(ge=0.0)] = 0.0
    """beta of the coverage term (Wu et al. 2016, eq. 14). 0 = off."""
    no_repeat_ngram: NonNegative = 0
    """No run of so many tokens comes twice in a translation (Paulus et al. 2018). 0: any may."""
    max_length_factor: Annotated[float, Field(gt=0.0)] = 2.0
    max_length_offset: NonNegative = 10
    """A translation has at most factor * source tokens + offset tokens."""
    max_source_tokens: Positive = 256
    """A longer segment is split before it is translated (an error with `--raw`)."""
    clause_tokens: NonNegative = 0
    """A sentence of more source tokens is translated in clauses, cut at semicolons, colons, commas and dashes, where
    sentences are looked for (not with `--raw`). For a network that has learnt from short sentences. 0: never."""
    unknown_words: Literal["replace", "keep", "bar"] = "replace"
    """What becomes of `<unk>` in a translation. `replace`: the word that the model looks at, by the dictionary that
    training learns for a word model with attention (Luong et al. 2015, 4.1); without a dictionary as `bar`: it is never
    generated. `keep`: it stands in the text."""


NO_DECODER = {"model.attention": "none", "model.input_feeding": False, "model.tying": "none"}
TASK_DEFAULTS: Mapping[TaskName, Mapping[str, Any]] = {
    "translation": {},
    "language-model": {
        "model.attention": "none",
        "model.input_feeding": False,
        "model.bidirectional": False,
        "model.tying": "target",
        "training.label_smoothing": 0.0,
        "training.metric": "perplexity",
    },
    "tagging": NO_DECODER | {"training.label_smoothing": 0.0, "training.metric": "accuracy"},
    "classification": NO_DECODER | {"training.label_smoothing": 0.0, "training.metric": "accuracy"},
}
"""Defaults of a task that are not the general ones."""

_OF_ATTENTION = tuple(f"model.attention{name}" for name in ("", "_span", "_window", "_max_length", "_wiring"))
_NO_SOURCE = dict.fromkeys(
    (
        *_OF_ATTENTION,
        "model.input_feeding",
        "model.copying",
        "model.bridge",
        "model.memory_dropout",
        "model.encoder_layers",
    ),
    "a language model has no source and no encoder; its layers are model.decoder_layers",
) | dict.fromkeys(
    ("model.bidirectional", "model.direction", "model.reverse_source"),
    "a language model reads forward only: it must not see what it is to predict",
)
_LABELS_ONLY = dict.fromkeys(
    (
        *_OF_ATTENTION,
        "model.input_feeding",
        "model.copying",
        "model.bridge",
        "model.memory_dropout",
        "model.tying",
        "model.decoder_layers",
        "model.reverse_source",
    ),
    "labels come straight from the encoder, there is no decoder; its layers are model.encoder_layers",
)
_OF_LANGUAGE_MODELS = dict.fromkeys(("data.running_text", "training.bptt"), "only a language model has it")
_NOISE = tuple(f"data.noise.{name}" for name in NoiseConfig.model_fields)
_OF_TRANSLATORS = dict.fromkeys(
    ("data.weights", "data.tags", "data.phrases", *_NOISE, "training.criterion", "training.rdrop"),
    "only a translator has it",
)
_OF_LABELS = _LABELS_ONLY | {"training.init": "its labels are the corpus's own, and a bundle's may be others"}
SENSELESS: Mapping[TaskName, Mapping[str, str]] = {
    "translation": _OF_LANGUAGE_MODELS,
    "language-model": _NO_SOURCE | _OF_TRANSLATORS,
    "tagging": _OF_LABELS | _OF_LANGUAGE_MODELS | _OF_TRANSLATORS,
    "classification": _OF_LABELS | _OF_LANGUAGE_MODELS | _OF_TRANSLATORS,
}
"""Keys that may only have their default in a task, and why."""

METRICS: Mapping[TaskName, tuple[str, ...]] = {
    "translation": ("bleu", "chrf", "perplexity"),
    "language-model": ("perplexity",),
    "tagging": ("accuracy", "perplexity"),
    "classification": ("accuracy", "perplexity"),
}


class Recipe(Section):
    """All of it: what `nmt train` reads and what a bundle remembers."""

    task: TaskName = "translation"
    output: str = "runs/model"
    """Folder of the run; the finished bundle is written to `<output>/bundle`."""
    data: DataConfig = DataConfig()
    text: TextConfig = TextConfig()
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    search: SearchConfig = SearchConfig()

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        filled = dict(raw)
        task = raw.get("task")
        own = TASK_DEFAULTS[cast(TaskName, task)] if task in get_args(TaskName) else {}
        for key, value in own.items():
            section, _, name = key.partition(".")
            given = filled.get(section, {})
            if isinstance(given, Mapping) and name not in given:
                filled[section] = {**given, name: value}
        return filled

    @model_validator(mode="after")
    def _parts_agree(self) -> Recipe:
        for key, reason in SENSELESS[self.task].items():
            if (value := _value(self, key)) != default(key, self.task):
                raise ValueError(f'{key} = {json.dumps(value)} with task = "{self.task}": {reason}')
        own_layers = "decoder_layers" if self.task == "language-model" else "encoder_layers"
        if self.model.residual and self.task != "translation" and getattr(self.model, own_layers) == 1:
            raise ValueError(f"residual connects layers: set model.{own_layers} to 2 or more with it")
        if self.training.metric not in METRICS[self.task]:
            possible = " or ".join(METRICS[self.task])
            raise ValueError(f'training.metric = "{self.training.metric}" with task = "{self.task}": use {possible}')
        if self.model.tying == "all" and self.task == "language-model":
            raise ValueError('model.tying = "all" shares the embedding of the source, which a language model has not')
        if self.model.tying == "all" and not self.text.joint:
            raise ValueError('model.tying = "all" shares source and target embeddings: it needs text.joint = true')
        if self.model.copying and not self.text.joint:
            raise ValueError("model.copying gives a copied word the id that the source gives it: set text.joint = true")
        return self

    @property
    def vocabulary(self) -> str:
        """The bundle whose vocabulary is taken; empty where one is learnt."""
        return self.text.vocabulary or self.training.init

    @model_validator(mode="after")
    def _only_pieces_are_sampled(self) -> Recipe:
        if self.text.sampling and not self.vocabulary and self.text.kind not in ("unigram", "bpe"):
            raise ValueError(f'text.sampling cuts words otherwise, which text.kind = "{self.text.kind}" never does')
        return self

    @model_validator(mode="after")
    def _one_vocabulary(self) -> Recipe:
        if self.training.init and self.text.vocabulary not in ("", self.training.init):
            raise ValueError("training.init brings a vocabulary with its weights: leave text.vocabulary empty")
        return self

    @model_validator(mode="after")
    def _tags_can_be_learnt(self) -> Recipe:
        if not any(self.data.tags):
            return self
        if self.text.kind not in ("unigram", "bpe"):
            kind = f'text.kind = "{self.text.kind}"'
            raise ValueError(f'data.tags are pieces of their own, which {kind} has not: use "unigram" or "bpe"')
        if self.model.copying:
            raise ValueError("data.tags would shift the places that words are copied from: model.copying must be false")
        return self

    @model_validator(mode="after")
    def _risk_can_be_judged(self) -> Recipe:
        if self.training.criterion != "mrt":
            return self
        if not self.training.init:
            raise ValueError(
                'training.criterion = "mrt" is for a model that translates already: name its bundle in training.init'
            )
        if self.training.rdrop or self.model.copying:
            raise ValueError('training.criterion = "mrt" goes neither with training.rdrop nor with model.copying')
        return self

    @model_validator(mode="after")
    def _two_passes_differ(self) -> Recipe:
        if not self.training.rdrop:
            return self
        if self.model.copying:
            raise ValueError("training.rdrop compares distributions over the vocabulary: model.copying must be false")
        if not self.model.dropout and not self.model.word_dropout:
            raise ValueError("training.rdrop compares two passes that dropout makes differ: set model.dropout with it")
        return self

    @model_validator(mode="after")
    def _running_text_can_be_learnt(self) -> Recipe:
        if not self.data.running_text:
            return self
        if not self.training.bptt:
            raise ValueError("data.running_text has no end of a line to stop at: set training.bptt, for example to 64")
        if self.training.workers > 1:
            raise ValueError(
                "data.running_text is learnt by one process, which carries the state: training.workers = 1"
            )
        if self.text.sampling:
            raise ValueError("data.running_text is cut into pieces once: text.sampling must be 0")
        return self


def load_recipe(path: Path | str | None = None, overrides: Iterable[str] = ()) -> Recipe:
    """Read a TOML recipe and apply `section.key=value` overrides, the value being TOML or else a plain string.

    Raises ConfigError that lists every mistake at once, each with its key, and the nearest key for an unknown one.
    """
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            raw = tomllib.loads(Path(path).read_text("utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"no recipe at {path}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: not valid UTF-8 at byte {error.start}") from None
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from None
    for override in overrides:
        _apply_override(raw, override)
    return parse_recipe(raw, origin=str(path) if path is not None else "recipe")


def parse_recipe(raw: Mapping[str, Any], *, origin: str = "recipe") -> Recipe:
    """Check a mapping against `Recipe`. Raises ConfigError with all mistakes."""
    return parse_section(Recipe, raw, origin=origin)


def parse_section(section: type[S], raw: Mapping[str, Any], *, origin: str) -> S:
    """Check a mapping against one section. Raises ConfigError with all mistakes, `origin` in front."""
    try:
        return section.model_validate(_tuples(raw))
    except ValidationError as error:
        mistakes = [_describe(mistake, section) for mistake in error.errors()]
        raise ConfigError(f"{origin}: " + "; ".join(mistakes)) from None


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as TOML with every key written out; `load_recipe` reads it back equal."""
    return tomli_w.dumps(recipe.model_dump(mode="json"))


def expand_path(path: str) -> Path:
    """`$NAME` and `~` replaced. Raises ConfigError where a variable is not set."""
    expanded = os.path.expanduser(os.path.expandvars(path))
    if missing := re.search(r"\$\{?(\w+)", expanded):
        raise ConfigError(f"{path}: the environment variable {missing[1]} is not set")
    return Path(expanded)


def default(key: str, task: TaskName = "translation") -> Any:
    """What a dotted key is where a recipe of this task says nothing."""
    if key in TASK_DEFAULTS[task]:
        return TASK_DEFAULTS[task][key]
    section, _, name = key.rpartition(".")
    fields = (type(default(section)) if section else Recipe).model_fields
    return fields[name].default


def _value(recipe: Recipe, key: str) -> Any:
    value: Any = recipe
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _apply_override(raw: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    key = key.strip().removeprefix("--").replace("-", "_")
    if not separator or not key:
        raise ConfigError(f"{override!r}: an override is section.key=value, for example model.hidden_size=256")
    try:
        parsed: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    *sections, last = key.split(".")
    place = raw
    for name in sections:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise ConfigError(f"{override!r}: {name} is a value, not a section")
    place[last] = parsed


def _tuples(value: Any) -> Any:
    """TOML arrays as tuples and whole numbers left alone: strict validation takes no lists for tuples."""
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_tuples(item) for item in value)
    return value


def _describe(mistake: Any, section: type[Section]) -> str:
    path = [str(part) for part in mistake["loc"]]
    name = ".".join(path)
    if mistake["type"] == "extra_forbidden":
        known = _keys(section)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5) or difflib.get_close_matches(
            path[-1], [key.rpartition(".")[2] for key in known], n=1, cutoff=0.5
        )
        hint = f", did you mean {_full_name(near[0], known)}?" if near else ""
        return f"unknown key {name}{hint}"
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "value_error" and isinstance(mistake["input"], Mapping):  # of a section: it names the keys
        return f"{name}: {message}" if name and not message.startswith(f"{name}.") else message
    return f"{name}: {message} (got {mistake['input']!r})" if name else message


def _full_name(key: str, known: list[str]) -> str:
    return key if key in known else next(name for name in known if name.rpartition(".")[2] == key)


def _keys(section: type[Section], prefix: str = "") -> list[str]:
    """Dotted names of all keys below a section."""
    names: list[str] = []
    for key, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            names += [prefix + key, *_keys(kind, f"{prefix}{key}.")]
        else:
            names.append(prefix + key)
    return names
