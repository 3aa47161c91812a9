"""Pictures of training. matplotlib is optional and is imported only here, without its global state (pyplot)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

History = Iterable[Mapping[str, float | str | None]]
"""Records with "kind" ("train" or "validation"), "update" and figures, as `nmt.training.report` writes them."""

# Okabe and Ito's colours: told apart by colour-blind readers and in grey.
_BLUE, _ORANGE, _GREEN = "#0072B2", "#D55E00", "#009E73"
_GREY = "#555555"


def learning_curve(history: History, path: Path) -> None:
    """Draw loss, perplexity, BLEU and chrF against updates; the ending of `path` says the format (.png, .svg, .pdf).

    Raises ConfigError where matplotlib is not installed or there is nothing to draw.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("no learning curve drawn: matplotlib is not installed (pip install matplotlib)") from None
    records = list(history)
    loss = _series(records, "train", "loss")
    perplexity = _series(records, "validation", "perplexity")
    bleu, chrf = _series(records, "validation", "bleu"), _series(records, "validation", "chrf")
    if not any((loss, perplexity, bleu, chrf)):
        raise ConfigError("no learning curve drawn: the history has no figures yet")
    has_scores = bool(bleu or chrf)
    figure = Figure(figsize=(10.5 if has_scores else 5.6, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2 if has_scores else 1, squeeze=False)[0]
    _draw_loss(panels[0], loss, perplexity)
    if has_scores:
        _draw_scores(panels[1], bleu, chrf)
    # Beside the final name first: a reader never sees half a picture.
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    figure.savefig(part, dpi=160)
    part.replace(path)


def _series(records: list[Mapping[str, float | str | None]], kind: str, key: str) -> list[tuple[float, float]]:
    """(update, figure) of the records of a kind that have the figure."""
    chosen = (record for record in records if record["kind"] == kind and record.get(key) is not None)
    return [(float(record["update"] or 0), float(record[key] or 0)) for record in chosen]


def _draw_loss(axes: Axes, loss: list[tuple[float, float]], perplexity: list[tuple[float, float]]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    lines = []
    axes.set_title("Loss and perplexity")
    if loss:
        lines += axes.plot(*zip(*loss, strict=True), color=_BLUE, linewidth=1.4, label="training loss")
    axes.set_ylabel("training loss (nats a token)", color=_BLUE)
    axes.tick_params(axis="y", colors=_BLUE)
    if perplexity:
        right = axes.twinx()
        lines += right.plot(
            *zip(*perplexity, strict=True), color=_ORANGE, marker="o", markersize=3.5, label="dev perplexity"
        )
        # An untrained model's perplexity is its vocabulary's size: on a linear scale the rest would be a flat line.
        right.set_yscale("log")
        right.set_ylabel("dev perplexity", color=_ORANGE)
        right.tick_params(axis="y", which="both", colors=_ORANGE)
        right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.yaxis.set_major_formatter("{x:g}")
        right.yaxis.set_minor_formatter(NullFormatter())
        right.spines["top"].set_visible(False)
        right.spines["right"].set_visible(True)
    axes.legend(handles=lines, frameon=False, loc="upper right")
    _finish(axes)


def _draw_scores(axes: Axes, bleu: list[tuple[float, float]], chrf: list[tuple[float, float]]) -> None:
    axes.set_title("Dev set quality")
    for series, colour, marker, label in ((bleu, _GREEN, "o", "BLEU"), (chrf, _GREY, "s", "chrF")):
        if series:
            axes.plot(*zip(*series, strict=True), color=colour, marker=marker, markersize=3.5, label=label)
            update, best = max(series, key=lambda point: point[1])
            axes.annotate(
                f"{best:.1f}", (update, best), textcoords="offset points", xytext=(0, 5), ha="center", color=colour
            )
    axes.set_ylabel("score (0 to 100)")
    axes.margins(y=0.1)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, loc="lower right")
    _finish(axes)


def _finish(axes: Axes) -> None:
    axes.set_xlabel("updates")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
