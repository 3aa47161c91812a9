"""The whole translator: embeddings, encoder, bridge, decoder and output layer.

Implements the plain form of search's Stepper seam (`encode`, `start`, `step`) and the training pass (`forward`).
`build` is the one place where configuration becomes arguments.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nmt.config import ModelConfig
from nmt.model.attention import Memory, build_attention
from nmt.model.cells import CELLS, CellOptions
from nmt.model.copy import Copying, in_vocabulary
from nmt.model.decoder import WIRINGS, Bridge, Decoder, DecoderState
from nmt.model.dropout import Dropout
from nmt.model.encoder import Encoder, reversed_before_end
from nmt.model.initialisation import initialise


class Seq2Seq(nn.Module):
    """p(y_t | y_<t, x) = softmax(W_s h~_t + b) (Luong et al. 2015, eq. 6)."""

    def __init__(
        self,
        *,
        src_embedding: nn.Embedding,
        tgt_embedding: nn.Embedding,
        encoder: Encoder,
        bridge: Bridge,
        decoder: Decoder,
        output: nn.Linear,
        dropout: float = 0.0,
        dropout_form: str = "zaremba",
        word_dropout: float = 0.0,
        memory_dropout: float = 0.0,
        reverse_source: bool = False,
        copying: Copying | None = None,
    ) -> None:
        """`copying`: for a model that may copy words of the source; its vocabularies are one."""
        super().__init__()
        assert copying is None or src_embedding.weight.shape == tgt_embedding.weight.shape
        self.copying = copying
        self.reverse_source = reverse_source
        self.src_embedding = src_embedding
        self.tgt_embedding = tgt_embedding
        self.encoder = encoder
        self.bridge = bridge
        self.decoder = decoder
        self.output = output
        self.dropout = Dropout(dropout, dropout_form)
        self.word_dropout = word_dropout
        self.memory_dropout = Dropout(memory_dropout, dropout_form)

    @property
    def hidden_size(self) -> int:
        return self.encoder.hidden_size

    def encode(self, src: Int[Tensor, "B S"], lengths: Int[Tensor, " B"]) -> tuple[Memory, DecoderState]:
        """Read B sentences, padded to S. Returns their memory and the decoder's state before its first step.

        `lengths` may lie on the CPU while `src` is elsewhere: there nobody has to wait for them. The memory lies in the
        order of the source, whichever way it was read.
        """
        read = reversed_before_end(src, lengths) if self.reverse_source else src
        encoded = self.encoder(self._embed(self.src_embedding, read), lengths)
        if self.reverse_source:
            encoded = encoded._replace(states=reversed_before_end(encoded.states, lengths))
        positions = torch.arange(src.shape[1], device=src.device)
        lengths = lengths.to(src.device)
        states = self.memory_dropout(encoded.states)
        memory = Memory(
            states=states,
            keys=self.decoder.attention.score.keys(states),
            mask=positions.unsqueeze(0) < lengths.unsqueeze(1),
            lengths=lengths,
            words=None if self.copying is None else src,
        )
        return memory, self.decoder.start(self.bridge(encoded))

    def step(
        self, prev: Int[Tensor, " N"], state: DecoderState, memory: Memory
    ) -> tuple[Float[Tensor, "N V"], DecoderState, Float[Tensor, "N S"]]:
        """One step of N hypotheses after their tokens `prev`: logits, next state, attention weights.

        Of a model that copies the logits are log-probabilities, of V + S ids.
        """
        projected = self.decoder.project(self._embed(self.tgt_embedding, prev))
        attentional, state, weights = self.decoder.step(projected, state, memory)
        logits: Tensor = self.output(attentional)
        if self.copying is not None:
            assert memory.words is not None
            logits = self.copying(attentional, logits, weights, memory.words)
        return logits, state, weights

    def forward(
        self, src: Int[Tensor, "B S"], lengths: Int[Tensor, " B"], tgt_in: Int[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B T A"], Float[Tensor, "B T S"]]:
        """Teacher forcing: the attentional vectors and attention weights of every step after `tgt_in` (BOS first).

        The loss applies `output` to the vectors of real tokens only.
        """
        memory, state = self.encode(src, lengths)
        vectors, weights, _ = self.decoder(self._embed(self.tgt_embedding, tgt_in), state, memory)
        return vectors, weights

    def _embed(self, embedding: nn.Embedding, ids: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows E"]:
        if self.copying is not None:
            ids = in_vocabulary(ids, embedding.num_embeddings)
        return embed(embedding, ids, self.dropout, self.word_dropout)


def embed(
    embedding: nn.Embedding, ids: Int[Tensor, "*rows"], dropout: Dropout, word_dropout: float
) -> Float[Tensor, "*rows E"]:
    """Embeddings of words, in training with elements and whole words dropped."""
    embedded: Tensor = dropout(embedding(ids))
    if dropout.training and word_dropout:
        keep = torch.rand(ids.shape, device=ids.device) >= word_dropout
        embedded = embedded * (keep / (1 - word_dropout)).unsqueeze(-1)
    return embedded


def build(config: ModelConfig, src_vocab: int, tgt_vocab: int, *, draw_weights: bool = True) -> Seq2Seq:
    """The network of a recipe, its weights drawn from torch's current random state.

    `draw_weights=False` where they are loaded at once: they are then of no particular value.
    """
    H, E = config.hidden_size, config.embedding_size
    attention = build_attention(
        config.attention, config.attention_span, H, config.attention_window, config.attention_max_length
    )
    options = cell_options(config)
    # a shared matrix is output layer and embedding at once, so h~ must have E entries
    attentional_size = H if config.tying == "none" else E
    model = Seq2Seq(
        src_embedding=nn.Embedding(src_vocab, E),
        tgt_embedding=nn.Embedding(tgt_vocab, E),
        encoder=build_encoder(
            config,
            layers=config.encoder_layers,
            bidirectional=config.bidirectional,
            is_backward=config.direction == "backward",
        ),
        bridge=Bridge(config.bridge, H, config.encoder_layers, config.decoder_layers, CELLS[config.cell].state_type),
        decoder=WIRINGS[config.attention_wiring](
            E,
            H,
            config.decoder_layers,
            attention,
            attentional_size=attentional_size,
            cell=config.cell,
            options=options,
            input_feeding=config.input_feeding,
            dropout=config.dropout,
            dropout_form=config.dropout_form,
            recurrent_dropout=config.recurrent_dropout,
            residual=config.residual,
        ),
        output=nn.Linear(attentional_size, tgt_vocab),
        dropout=config.dropout,
        dropout_form=config.dropout_form,
        word_dropout=config.word_dropout,
        memory_dropout=config.memory_dropout,
        reverse_source=config.reverse_source,
        copying=Copying(attentional_size) if config.copying else None,
    )
    _tie(model, config.tying)
    if draw_weights:
        initialise(model, config.init_range, config.forget_bias, state_deviation(config))
    return model


def build_encoder(config: ModelConfig, *, layers: int, bidirectional: bool, is_backward: bool) -> Encoder:
    """The recurrent layers of a recipe that read words."""
    return Encoder(
        config.embedding_size,
        config.hidden_size,
        layers,
        bidirectional=bidirectional,
        is_backward=is_backward,
        dropout=config.dropout,
        dropout_form=config.dropout_form,
        recurrent_dropout=config.recurrent_dropout,
        residual=config.residual,
        cell=config.cell,
        options=cell_options(config),
    )


def cell_options(config: ModelConfig) -> CellOptions:
    """What a recipe says of its cells beside their kind."""
    return CellOptions(config.nonlinearity, config.peepholes, config.layer_norm)


def state_deviation(config: ModelConfig) -> float:
    """That of what a recipe's layers give to the layers above them, at first. A relu makes nothing small."""
    return 1.0 if (config.cell, config.nonlinearity) == ("rnn", "relu") else CELLS[config.cell].deviation


def _tie(model: Seq2Seq, tying: str) -> None:
    if tying == "none":
        return
    model.output.weight = model.tgt_embedding.weight
    if tying == "all":
        assert model.src_embedding.weight.shape == model.tgt_embedding.weight.shape
        model.src_embedding.weight = model.tgt_embedding.weight
