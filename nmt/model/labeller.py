"""Labels straight from an encoder: one for each word (tagging) or one for the whole text (classification)."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from nmt.config import ModelConfig
from nmt.model.dropout import Dropout
from nmt.model.encoder import Encoder
from nmt.model.initialisation import initialise
from nmt.model.seq2seq import build_encoder, embed, state_deviation


class Labeller(nn.Module):
    """p(label) = softmax(W s + b).

    s is the encoder's state at a word or, for one label a text, the states that its directions end with, side by side.
    """

    def __init__(
        self,
        *,
        embedding: nn.Embedding,
        encoder: Encoder,
        output: nn.Linear,
        is_by_word: bool,
        dropout: float = 0.0,
        dropout_form: str = "zaremba",
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder
        self.output = output
        self.is_by_word = is_by_word
        self.dropout = Dropout(dropout, dropout_form)
        self.word_dropout = word_dropout

    def forward(
        self, ids: Int[Tensor, "B S"], lengths: Int[Tensor, " B"]
    ) -> Float[Tensor, "B S H"] | Float[Tensor, "B H"]:
        """What `output` makes the logits of: a vector a place, or one a text."""
        encoded = self.encoder(embed(self.embedding, ids, self.dropout, self.word_dropout), lengths)
        if self.is_by_word:
            states: Tensor = self.dropout(encoded.states)
            return states
        last: Tensor = self.dropout(encoded.last[-1].h.unsqueeze(1))
        return last.squeeze(1)


def build_labeller(
    config: ModelConfig, vocab: int, labels: int, *, is_by_word: bool, draw_weights: bool = True
) -> Labeller:
    """The network of a recipe, its weights drawn from torch's current random state.

    Its layers are those of an encoder. `draw_weights=False` where they are loaded at once.
    """
    model = Labeller(
        embedding=nn.Embedding(vocab, config.embedding_size),
        encoder=build_encoder(
            config,
            layers=config.encoder_layers,
            bidirectional=config.bidirectional,
            is_backward=config.direction == "backward",
        ),
        output=nn.Linear(config.hidden_size, labels),
        is_by_word=is_by_word,
        dropout=config.dropout,
        dropout_form=config.dropout_form,
        word_dropout=config.word_dropout,
    )
    if draw_weights:
        initialise(model, config.init_range, config.forget_bias, state_deviation(config))
    return model
