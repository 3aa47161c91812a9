"""A language model: embeddings, recurrent layers, output layer. p(y_t | y_<t), and nothing that is translated.

`start` and `step` are what search's fusion and sampling take; `forward` is the training pass, with back-propagation
through time cut where it should be. `build_language_model` is where configuration becomes arguments.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nmt.config import ModelConfig
from nmt.model.cells import State, map_state
from nmt.model.dropout import Dropout
from nmt.model.encoder import Encoder
from nmt.model.initialisation import initialise
from nmt.model.seq2seq import build_encoder, embed, state_deviation


class LanguageState(NamedTuple):
    """All that a text so far leaves behind, of fixed size."""

    layers: tuple[State, ...]

    def select(self, rows: Int[Tensor, " n"]) -> LanguageState:
        """The state of some rows, in the order given."""
        return LanguageState(tuple(map_state(lambda part: part.index_select(0, rows), layer) for layer in self.layers))

    def detach(self) -> LanguageState:
        """The same values, through which no gradient flows."""
        return LanguageState(tuple(map_state(Tensor.detach, layer) for layer in self.layers))


class LanguageModel(nn.Module):
    """h_t = RNN(y_{t-1}, h_{t-1}), p(y_t | y_<t) = softmax(W h_t + b) (Mikolov et al. 2010; Zaremba et al. 2014)."""

    def __init__(
        self,
        *,
        embedding: nn.Embedding,
        encoder: Encoder,
        output: nn.Linear,
        dropout: float = 0.0,
        dropout_form: str = "zaremba",
        word_dropout: float = 0.0,
    ) -> None:
        """`encoder`: of one direction, forward. Where its H is not the width of `output`, a linear map lies between."""
        super().__init__()
        assert encoder.directions == 1
        assert not encoder.is_backward
        self.embedding = embedding
        self.encoder = encoder
        H, A = encoder.hidden_size, output.in_features
        self.project = nn.Linear(H, A, bias=False) if H != A else nn.Identity()
        self.output = output
        self.dropout = Dropout(dropout, dropout_form)
        self.word_dropout = word_dropout

    def start(self, rows: int) -> LanguageState:
        """Before the first word of so many texts."""
        return LanguageState(self.encoder.first(rows, self.embedding.weight))

    def step(self, prev: Int[Tensor, " N"], state: LanguageState) -> tuple[Float[Tensor, "N V"], LanguageState]:
        """Logits of the words after `prev`, and the state then."""
        vectors, state = self(prev.unsqueeze(1), state)
        return self.output(vectors.squeeze(1)), state

    def forward(
        self, ids: Int[Tensor, "B T"], state: LanguageState | None = None, cut: int = 0
    ) -> tuple[Float[Tensor, "B T A"], LanguageState]:
        """What `output` makes the logits of: a vector for every word to come, and the state after the last.

        `state`: that before `ids`; none: the beginning. `cut`: back-propagation through time goes no further back than
        the last multiple of so many steps (Williams & Peng 1990); 0: to the beginning. Every word is read, padding too.
        """
        B, T = ids.shape
        state = state or self.start(B)
        tops: list[Tensor] = []
        for piece in ids.split(cut or max(T, 1), dim=1):
            if tops:
                state = state.detach()
            embedded = embed(self.embedding, piece, self.dropout, self.word_dropout)
            encoded = self.encoder(embedded, torch.full((B,), piece.shape[1]), state.layers)
            state = LanguageState(encoded.last)
            tops.append(encoded.states)
        return self.project(self.dropout(torch.cat(tops, dim=1))), state


def build_language_model(config: ModelConfig, vocab: int, *, draw_weights: bool = True) -> LanguageModel:
    """The network of a recipe, its weights drawn from torch's current random state.

    Its layers are those of a decoder. `draw_weights=False` where they are loaded at once.
    """
    E = config.embedding_size
    model = LanguageModel(
        embedding=nn.Embedding(vocab, E),
        encoder=build_encoder(config, layers=config.decoder_layers, bidirectional=False, is_backward=False),
        output=nn.Linear(config.hidden_size if config.tying == "none" else E, vocab),
        dropout=config.dropout,
        dropout_form=config.dropout_form,
        word_dropout=config.word_dropout,
    )
    if config.tying != "none":
        model.output.weight = model.embedding.weight  # Press & Wolf 2017; Inan et al. 2017
    if draw_weights:
        initialise(model, config.init_range, config.forget_bias, state_deviation(config))
    return model
