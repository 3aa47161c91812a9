"""The card of a bundle: what it is, what it was trained on and what it is worth, in Markdown."""

from __future__ import annotations

from typing import Any

from nmt.bundle import Bundle


def describe_model(bundle: Bundle) -> str:
    """The network in one sentence."""
    model = bundle.config.model
    cell = model.cell.upper()
    encoder = f"bi{cell}" if model.bidirectional else cell
    return (
        f"A translator of {bundle.parameters / 1e6:.1f} million weights: {encoder} encoder "
        f"({_layers(model.encoder_layers)} of {model.hidden_size}), {cell} decoder ({_layers(model.decoder_layers)} of "
        f"{model.hidden_size}), {model.attention_span} attention ({model.attention})"
        f"{', input feeding' if model.input_feeding else ''}."
    )


def bundle_card(bundle: Bundle) -> str:
    """A card from what training knows; its owner adds data, licence and test scores."""
    config = bundle.config
    summary = config.training
    dev: dict[str, Any] = summary["dev"]
    lines = [
        f"# {config.source_lang} to {config.target_lang}",
        "",
        describe_model(bundle),
        "",
        (
            f"Trained on {summary['pairs']:,} pairs ({summary['target_tokens']:,} target tokens seen in "
            f"{summary['epochs']} epochs, {summary['seconds'] / 60:.0f} minutes)."
        ),
        "",
        "| dev set, greedy | |",
        "|---|---|",
        f"| perplexity | {dev['perplexity']} |",
    ]
    for name in ("bleu", "chrf"):
        if name in dev:
            lines.append(f"| {name} | {dev[name]} (`{dev[f'{name}_signature']}`) |")
    return "\n".join(lines) + "\n"


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"
