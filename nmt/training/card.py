"""The card of a bundle: what it is, what it was trained on and what it is worth, in Markdown."""

from __future__ import annotations

from typing import Any

from nmt.bundle import Bundle


def bundle_card(bundle: Bundle) -> str:
    """A card from what training knows; its owner adds data, licence and test scores."""
    config = bundle.config
    model, summary = config.model, config.training
    dev: dict[str, Any] = summary["dev"]
    sides = "bidirectional " if model.bidirectional else ""
    lines = [
        f"# {config.source_lang} to {config.target_lang}",
        "",
        (
            f"A translator of {bundle.parameters / 1e6:.1f} million weights: {sides}{model.cell.upper()} encoder with "
            f"{model.encoder_layers} layer(s), {model.cell.upper()} decoder with {model.decoder_layers} layer(s) of "
            f"{model.hidden_size}, {model.attention_span} attention ({model.attention})"
            f"{', input feeding' if model.input_feeding else ''}."
        ),
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
