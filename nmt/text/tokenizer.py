"""Vocabularies: SentencePiece subwords, words and characters behind one interface.

Ids 0 to 3 mean the same in every vocabulary. Sampling (subword regularisation) takes its seed with the call,
so that a resumed training run sees the very pieces it would have seen.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

import sentencepiece as spm

from nmt.config import TextConfig
from nmt.errors import TokenizerError
from nmt.text.sampling import SPACE, BPEDropout, Sampler, UnigramSampler, sample
from nmt.text.words import RULES, join_pieces, split_characters

PAD_ID, BOS_ID, EOS_ID, UNK_ID = SPECIAL_IDS = 0, 1, 2, 3
SPECIAL_PIECES = ("<pad>", "<s>", "</s>", "<unk>")
UNKNOWN = SPACE + SPECIAL_PIECES[UNK_ID]
"""What stands in a text for a word that nobody knows."""


class Tokenizer(Protocol):
    """Text to ids and back, for one language or a joint pair."""

    @property
    def size(self) -> int:
        """V, the special pieces included."""

    @property
    def forbidden_ids(self) -> frozenset[int]:
        """Ids that a search never generates: special ones but EOS, and pieces that would break a line in two."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that `encode` goes by: those with the same one read a text alike."""

    def encode(self, text: str) -> list[int]:
        """Ids without BOS and EOS; empty for white space alone."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def sample_batch(self, texts: Sequence[str], strength: float, seed: int) -> list[list[int]]:
        """Like `encode_batch` with segmentations drawn at random; the same seed gives the same ids."""

    def split(self, text: str) -> list[str]:
        """The pieces of a text, one an id of `encode`; an unknown one as it stands in the text."""

    def decode(self, ids: Sequence[int], unknown: Sequence[str] = ()) -> str:
        """The text of ids; special ids are left out.

        `unknown`: the pieces that stand for each `<unk>` in turn; without them it is left out, too.
        """

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """One visible piece an id; a piece that begins a word begins with `SPACE`, unless one with `GLUE` is before."""

    def save(self, folder: Path, name: str) -> None:
        """Write `<name>.spm` or `<name>.vocab.json`."""


class SentencePieceTokenizer:
    """Unigram or BPE pieces (Kudo & Richardson 2018)."""

    def __init__(self, model: bytes) -> None:
        self._model = model
        self._processor = spm.SentencePieceProcessor()
        try:
            self._processor.load_from_serialized_proto(model)
        except Exception as error:  # the binding raises bare RuntimeError, OSError or its own types
            raise TokenizerError(f"not a SentencePiece model: {' '.join(str(error).split())}") from None
        ids = (self._processor.pad_id(), self._processor.bos_id(), self._processor.eos_id(), self._processor.unk_id())
        if ids != SPECIAL_IDS:
            raise TokenizerError(f"the SentencePiece model has special ids {ids}, not {SPECIAL_IDS}")
        controls = (i for i in range(self.size) if self._processor.is_control(i) and i != EOS_ID)  # tags, too
        self._forbidden = _forbidden(self.pieces(range(self.size))) | frozenset(controls)

    @cached_property
    def _starts(self) -> list[bool]:
        """Of each piece, whether it begins a word."""
        return [piece.startswith(SPACE) for piece in self.pieces(range(self.size))]

    @cached_property
    def _sampler(self) -> Sampler:
        try:
            self._processor.nbest_encode_as_ids("a", nbest_size=2)
        except Exception:  # the binding's own type: the model is BPE, which has no lattice
            return BPEDropout(self._processor)
        return UnigramSampler(self._processor)

    @property
    def size(self) -> int:
        return int(self._processor.get_piece_size())

    @property
    def forbidden_ids(self) -> frozenset[int]:
        return self._forbidden

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(self._model).hexdigest()

    def encode(self, text: str) -> list[int]:
        return list(self._processor.encode(text))

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        if len(texts) < 2:  # a list of one costs ten times as much as the string: the library starts a thread for it
            return [self.encode(text) for text in texts]
        return [list(ids) for ids in self._processor.encode(list(texts), num_threads=1)]

    def sample_batch(self, texts: Sequence[str], strength: float, seed: int) -> list[list[int]]:
        """Kudo 2018 (unigram, alpha = strength) or BPE-dropout (Provilkov et al. 2020, p = strength)."""
        return sample(self.encode_batch(texts), self._starts, self._sampler, strength, seed)

    def split(self, text: str) -> list[str]:
        return [str(piece) for piece in self._processor.encode(text, out_type=str)]

    def decode(self, ids: Sequence[int], unknown: Sequence[str] = ()) -> str:
        if unknown:
            return str(self._processor.decode_pieces(with_unknown(ids, self.pieces(ids), unknown)))
        return str(self._processor.decode([int(i) for i in ids if i > UNK_ID]))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [str(self._processor.id_to_piece(int(i))) for i in ids]

    def save(self, folder: Path, name: str) -> None:
        (folder / f"{name}.spm").write_bytes(self._model)


class VocabularyTokenizer:
    """Whole words or single characters from a list; what is not in the list is `<unk>` (`nmt.text.words`)."""

    def __init__(self, unit: str, pieces: Sequence[str], normalization: str, rule: str = "words") -> None:
        """`unit`: `word` or `char`. `rule`: how words are split, a key of `RULES`."""
        if unit not in ("word", "char"):
            raise TokenizerError(f"a vocabulary holds words or characters, not {unit!r}")
        if rule not in RULES:
            raise TokenizerError(f"no rule {rule!r} to split words: {', '.join(RULES)}")
        if tuple(pieces[: len(SPECIAL_PIECES)]) != SPECIAL_PIECES:
            raise TokenizerError(f"a vocabulary begins with {', '.join(SPECIAL_PIECES)}")
        self.unit = unit
        self._rule = rule
        self._pieces = list(pieces)
        self._normalization = normalization
        self._ids = {piece: index for index, piece in enumerate(self._pieces)}
        self._forbidden = _forbidden(self._pieces)
        if len(self._ids) != len(self._pieces):
            raise TokenizerError("a vocabulary lists a piece twice")

    @classmethod
    def train(
        cls, lines: Iterable[str], unit: str, size: int, normalization: str, rule: str = "words"
    ) -> VocabularyTokenizer:
        """Keep the `size` most frequent pieces, special ones included; ties go to the lexically smaller."""
        empty = cls(unit, SPECIAL_PIECES, normalization, rule)
        counts = Counter(chain.from_iterable(map(empty.split, lines)))
        ranked = sorted(counts, key=lambda piece: (-counts[piece], piece))
        kept = [piece for piece in ranked if piece not in SPECIAL_PIECES][: size - len(SPECIAL_PIECES)]
        return cls(unit, [*SPECIAL_PIECES, *kept], normalization, rule)

    @property
    def size(self) -> int:
        return len(self._pieces)

    @property
    def forbidden_ids(self) -> frozenset[int]:
        return self._forbidden

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(self._content().encode("utf-8")).hexdigest()

    def split(self, text: str) -> list[str]:
        if self._normalization != "identity":
            text = unicodedata.normalize("NFKC", text)
        return split_characters(text) if self.unit == "char" else RULES[self._rule](text)

    def encode(self, text: str) -> list[int]:
        return [self._ids.get(piece, UNK_ID) for piece in self.split(text)]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def sample_batch(self, texts: Sequence[str], strength: float, seed: int) -> list[list[int]]:
        """Words and characters have one segmentation: the same as `encode_batch`."""
        return self.encode_batch(texts)

    def decode(self, ids: Sequence[int], unknown: Sequence[str] = ()) -> str:
        return join_pieces(with_unknown(ids, self.pieces(ids), unknown))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [self._pieces[int(i)] for i in ids]

    def save(self, folder: Path, name: str) -> None:
        (folder / f"{name}.vocab.json").write_text(self._content(), "utf-8")

    def _content(self) -> str:
        content = {
            "unit": self.unit,
            "rule": self._rule,
            "normalization": self._normalization,
            "pieces": self._pieces,
        }
        return json.dumps(content, ensure_ascii=False, indent=0)


def vocabulary_hash(tokenizer: Tokenizer) -> str:
    """First 12 hexadecimal digits of the SHA-256 of all pieces, by id: where it is the same, ids mean the same."""
    return hashlib.sha256("\n".join(tokenizer.pieces(range(tokenizer.size))).encode("utf-8")).hexdigest()[:12]


def with_unknown(ids: Sequence[int], pieces: Sequence[str], unknown: Sequence[str]) -> list[str]:
    """The pieces of ids without special ones, but with `unknown` in place of each `<unk>` in turn, if there are any."""
    stand_ins = iter(unknown)
    return [
        next(stand_ins) if i == UNK_ID else piece
        for i, piece in zip(ids, pieces, strict=True)
        if i > UNK_ID or (i == UNK_ID and unknown)
    ]


def _forbidden(pieces: Sequence[str]) -> frozenset[int]:
    line_breaks = (
        i for i, piece in enumerate(pieces) if piece in ("<0x0A>", "<0x0D>") or "\n" in piece or "\r" in piece
    )
    return frozenset({PAD_ID, BOS_ID, UNK_ID, *line_breaks})


class TokenizerPair(NamedTuple):
    """The vocabularies of a model; one object twice where they are joint."""

    source: Tokenizer
    target: Tokenizer

    @property
    def is_joint(self) -> bool:
        return self.source is self.target

    def save(self, folder: Path) -> None:
        """Write `joint.*`, or `source.*` and `target.*`."""
        if self.is_joint:
            self.source.save(folder, "joint")
        else:
            self.source.save(folder, "source")
            self.target.save(folder, "target")


def load_tokenizers(folder: Path) -> TokenizerPair:
    """Read what `TokenizerPair.save` wrote. Raises TokenizerError."""
    if joint := _load(folder, "joint"):
        return TokenizerPair(joint, joint)
    source, target = _load(folder, "source"), _load(folder, "target")
    if source is None or target is None:
        raise TokenizerError(f"{folder}: no vocabulary (joint.spm, or source.spm and target.spm, or *.vocab.json)")
    return TokenizerPair(source, target)


def _load(folder: Path, name: str) -> Tokenizer | None:
    model, vocabulary = folder / f"{name}.spm", folder / f"{name}.vocab.json"
    if model.is_file():
        try:
            return SentencePieceTokenizer(model.read_bytes())
        except (OSError, TokenizerError) as error:
            raise TokenizerError(f"{model}: {error}") from None
    if vocabulary.is_file():
        try:
            # a vocabulary from before there were several rules names none
            content = {"rule": "plain"} | json.loads(vocabulary.read_text("utf-8"))
            return VocabularyTokenizer(content["unit"], content["pieces"], content["normalization"], content["rule"])
        except (OSError, ValueError, KeyError, TypeError, TokenizerError) as error:
            raise TokenizerError(f"{vocabulary}: not a vocabulary ({error})") from None
    return None


def train_tokenizers(
    pairs: Iterable[tuple[str, str]], config: TextConfig, *, seed: int, threads: int = 1, tags: Sequence[str] = ()
) -> TokenizerPair:
    """Learn the vocabularies from (source, target) pairs, or from a random sample of `config.sample_lines` of them.

    `tags`: pieces of the source's vocabulary that no text is cut into (unigram and bpe).
    Raises TokenizerError where the text is too small for the vocabulary asked for.
    """
    sample = reservoir(pairs, config.sample_lines, random.Random(seed))
    if not sample:
        raise TokenizerError("no text to learn a vocabulary from")
    sources = [source for source, _ in sample]
    targets = [target for _, target in sample]
    if config.joint:
        joint = _train(chain(sources, targets), config, threads, tags)
        return TokenizerPair(joint, joint)
    return TokenizerPair(_train(sources, config, threads, tags), _train(targets, config, threads))


def reservoir(pairs: Iterable[tuple[str, str]], size: int, rng: random.Random) -> list[tuple[str, str]]:
    """A uniform sample without replacement (Vitter 1985, algorithm R)."""
    kept: list[tuple[str, str]] = []
    for index, pair in enumerate(pairs):
        if index < size:
            kept.append(pair)
        elif (place := rng.randrange(index + 1)) < size:
            kept[place] = pair
    return kept


def _train(lines: Iterable[str], config: TextConfig, threads: int, tags: Sequence[str] = ()) -> Tokenizer:
    if config.kind in ("word", "char"):
        return VocabularyTokenizer.train(lines, config.kind, config.vocab_size, config.normalization)
    model = io.BytesIO()
    try:
        spm.SentencePieceTrainer.train(
            sentence_iterator=_not_too_long(lines),
            model_writer=model,
            model_type=config.kind,
            vocab_size=config.vocab_size,
            byte_fallback=config.byte_fallback,
            character_coverage=config.character_coverage,
            normalization_rule_name=config.normalization,
            pad_id=PAD_ID,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            unk_id=UNK_ID,
            control_symbols=list(tags),
            num_threads=threads,
            minloglevel=2,
            # a small text may not have that many pieces: it then gets as many as it has
            hard_vocab_limit=False,
        )
    except Exception as error:  # bare RuntimeError or OSError with a C++ source line in front
        reason = re.sub(r"^.*?\(\d+\) \[.*?\] ", "", str(error)).strip() or str(error)
        wanted = f"the vocabulary of {config.vocab_size} {config.kind} pieces"
        raise TokenizerError(f"{wanted} cannot be learnt: {reason}") from None
    return SentencePieceTokenizer(model.getvalue())


def _not_too_long(lines: Iterable[str], max_bytes: int = 4096) -> Iterator[str]:
    """The trainer leaves longer lines out with a warning; cutting them keeps their words."""
    for line in lines:
        yield line if len(line) <= max_bytes // 4 else line.encode("utf-8")[:max_bytes].decode("utf-8", "ignore")
