"""The card of a bundle: what it is, what it was trained on and what it is worth, in Markdown."""

from __future__ import annotations

from typing import Any

from nmt.bundle import KINDS, Bundle
from nmt.text.tokenizer import SPECIAL_IDS

FIGURES = ("perplexity", "accuracy", "bleu", "chrf")


def describe_model(bundle: Bundle) -> str:
    """The network in one sentence."""
    config, model = bundle.config, bundle.config.model
    cell = model.cell.upper().replace("_", " ")
    size = f"{bundle.parameters / 1e6:.1f} million weights"
    encoder = (
        f"{'bi' if model.bidirectional else ''}{cell} encoder ({_layers(model.encoder_layers, model.hidden_size)})"
    )
    match config.task:
        case "translation":
            decoder = f"{cell} decoder ({_layers(model.decoder_layers, model.hidden_size)})"
            attention = f"{model.attention_span} attention ({model.attention})"
            feeding = ", input feeding" if model.input_feeding else ""
            return f"A translator of {size}: {encoder}, {decoder}, {attention}{feeding}."
        case "language-model":
            return f"A language model of {size}: {cell} ({_layers(model.decoder_layers, model.hidden_size)})."
        case "tagging":
            return f"A tagger of {size}: {encoder}, one of {config.tgt_vocab - len(SPECIAL_IDS)} labels a word."
        case "classification":
            return f"A classifier of {size}: {encoder}, one of {config.tgt_vocab - len(SPECIAL_IDS)} labels a text."


def bundle_card(bundle: Bundle) -> str:
    """A card from what training knows; its owner adds data, licence and test scores."""
    config = bundle.config
    summary = config.training
    dev: dict[str, Any] = summary["dev"]
    is_translator = config.task == "translation"
    unit = "pairs" if is_translator else "lines"
    tokens = "target tokens" if is_translator else "tokens" if config.task == "language-model" else "labels"
    kind = KINDS[config.task].partition(" (")[0]
    title = f"{config.source_lang} to {config.target_lang}" if is_translator else f"{config.source_lang}: {kind}"
    lines = [
        f"# {title}",
        "",
        describe_model(bundle),
        "",
        (
            f"Trained on {summary[unit]:,} {unit} ({summary['target_tokens']:,} {tokens} seen in "
            f"{summary['epochs']} epochs, {summary['seconds'] / 60:.0f} minutes)."
        ),
        "",
        f"| dev set{', greedy' if is_translator else ''} | |",
        "|---|---|",
    ]
    for name in FIGURES:
        if name in dev:
            signature = f" (`{dev[f'{name}_signature']}`)" if f"{name}_signature" in dev else ""
            lines.append(f"| {name} | {dev[name]}{signature} |")
    return "\n".join(lines) + "\n"


def _layers(count: int, size: int) -> str:
    return f"1 layer of {size}" if count == 1 else f"{count} layers of {size}"
