"""Pictures of training and of what a model does, as files. matplotlib is optional.

It is imported only here, without its global state (pyplot). A page that needs no matplotlib: `nmt.evaluation.page`.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmt.errors import ConfigError
from nmt.files import check_outputs, write_output

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

Array = NDArray[np.floating[Any]]
Gates = tuple[str, Mapping[str, Array], Sequence[str]]
"""A layer's name, its gates by name, [steps, units] each, and what stands at each step."""

FORMATS = (".png", ".svg", ".pdf")

History = Iterable[Mapping[str, float | str | None]]
"""Records with "kind" ("train" or "validation"), "update" and figures, as `nmt.training.report` writes them."""

# Okabe and Ito's colours: told apart by colour-blind readers and in grey.
_BLUE, _ORANGE, _GREEN = "#0072B2", "#D55E00", "#009E73"
_GREY = "#555555"


def learning_curve(history: History, path: Path) -> None:
    """Draw loss, perplexity, BLEU and chrF against updates; the ending of `path` says the format (.png, .svg, .pdf).

    Raises ConfigError where matplotlib is not installed or there is nothing to draw.
    """
    require_matplotlib("no learning curve drawn")
    records = list(history)
    loss = _series(records, "train", "loss")
    perplexity = _series(records, "validation", "perplexity")
    bleu, chrf = _series(records, "validation", "bleu"), _series(records, "validation", "chrf")
    if not any((loss, perplexity, bleu, chrf)):
        raise ConfigError("no learning curve drawn: the history has no figures yet")
    has_scores = bool(bleu or chrf)
    figure = _figure(10.5 if has_scores else 5.6, 3.8)
    panels = figure.subplots(1, 2 if has_scores else 1, squeeze=False)[0]
    _draw_loss(panels[0], loss, perplexity)
    if has_scores:
        _draw_scores(panels[1], bleu, chrf)
    _save(figure, path)


def attention_map(
    weights: Array,
    source: Sequence[str],
    target: Sequence[str],
    path: Path,
    probabilities: Sequence[float] = (),
    title: str = "",
) -> None:
    """Draw attention, [target, source], as a heat map: a row a target piece, a column a source piece.

    `probabilities`: of each target piece, in a column beside it. Raises ConfigError where matplotlib is not installed.
    """
    require_matplotlib("no picture drawn")
    rows, columns = weights.shape
    figure = _figure(2.0 + 0.34 * columns + 0.07 * _longest(target), 1.0 + 0.3 * rows + 0.07 * _longest(source))
    axes = figure.subplots()
    image = axes.imshow(weights, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    _name_ticks(axes, source)
    axes.set_yticks(range(rows), labels=list(target))
    axes.set_xlabel("source" if not title else f"source of: {title}")
    axes.set_ylabel("target")
    axes.tick_params(length=0)
    _grid(axes, rows, columns)
    for row, column in zip(*np.nonzero(weights >= 0.1), strict=True):
        colour = "white" if weights[row, column] > 0.6 else "black"
        axes.text(column, row, f"{weights[row, column]:.1f}", ha="center", va="center", fontsize=6, color=colour)
    if probabilities:
        right = axes.secondary_yaxis("right")
        right.set_yticks(range(rows), labels=[f"{p:.2f}" for p in probabilities])
        right.tick_params(length=0, labelsize=7, colors=_GREY)
        right.set_ylabel("probability of the target piece", color=_GREY, fontsize=8)
        right.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, pad=0.02, shrink=0.8)
    bar.set_label("attention")
    bar.outline.set_visible(False)
    _save(figure, path)


def gate_map(layers: Sequence[Gates], path: Path) -> None:
    """Draw gates over time: a row a layer, a column a gate, in each a line a unit, those with the lowest mean on top.

    Gates between 0 and 1 go from white to blue, values between -1 and 1 from red over white to blue. Raises ConfigError
    where matplotlib is not installed.
    """
    require_matplotlib("no picture drawn")
    columns = max(len(gates) for _, gates, _ in layers)
    steps = max(len(labels) for _, _, labels in layers)
    longest = max(_longest(labels) for _, _, labels in layers)
    figure = _figure(1.2 + columns * max(1.5, 0.2 * steps), len(layers) * (1.5 + 0.07 * longest))
    panels = figure.subplots(len(layers), columns, squeeze=False)
    for row, (name, gates, labels) in zip(panels, layers, strict=True):
        for axes, (gate, values) in zip(row, gates.items(), strict=False):
            by_mean = values.T[np.argsort(values.mean(axis=0))]
            is_signed = bool((values < 0).any())
            most = max(1.0, float(np.abs(values).max()))  # of relu
            scale: dict[str, Any] = {"cmap": "RdBu", "vmin": -most} if is_signed else {"cmap": "Blues", "vmin": 0.0}
            image = axes.imshow(by_mean, vmax=most, aspect="auto", interpolation="nearest", **scale)
            axes.set_title(f"{gate}, mean {values.mean():.2f}", fontsize=8)
            _name_ticks(axes, labels, size=7)
            axes.set_yticks([])
            axes.tick_params(length=0)
            bar = figure.colorbar(image, ax=axes, pad=0.02, ticks=[-most, 0, most] if is_signed else [0, most])
            bar.ax.yaxis.set_major_formatter("{x:.3g}")
            bar.ax.tick_params(labelsize=6, length=0)
            bar.outline.set_visible(False)
        row[0].set_ylabel(f"{name}\n{next(iter(gates.values())).shape[1]} units", fontsize=8)
        for axes in row[len(gates) :]:
            axes.set_axis_off()
    _save(figure, path)


def beam_curve(rows: Sequence[Mapping[str, float | None]], path: Path) -> None:
    """Draw search errors, quality and length against the beam's size, a line for each length penalty.

    `rows` have "beam" (None: exact search), "length_penalty", "length", and where they are known "errors", "sentences",
    "bleu" and "length_ratio", as `nmt.inference.search_errors` makes them. Raises ConfigError as `learning_curve` does.
    """
    require_matplotlib("no beam curve drawn")
    beams = [row for row in rows if row["beam"] is not None]
    if not beams:
        raise ConfigError("no beam curve drawn: there are no beams")
    # of fewer sentences it would not compare
    exact = next((row for row in rows if row["beam"] is None and row["sentences"] == beams[0]["sentences"]), None)
    has_bleu = all(row["bleu"] is not None for row in beams)
    length, title = ("length_ratio", "Length over reference") if has_bleu else ("length", "Length")
    panels = [("errors", "Search errors"), *([("bleu", "BLEU")] if has_bleu else []), (length, title)]
    figure = _figure(3.9 * len(panels), 3.6)
    for axes, (key, name) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_beams(axes, beams, exact, key)
        axes.set_title(name)
    _save(figure, path)


def _draw_beams(
    axes: Axes, rows: Sequence[Mapping[str, float | None]], exact: Mapping[str, float | None] | None, key: str
) -> None:
    penalties = sorted({row["length_penalty"] or 0.0 for row in rows})
    for alpha, colour, marker in zip(penalties, (_BLUE, _ORANGE, _GREEN, _GREY) * 9, "osD^v" * 8, strict=False):
        chosen = [row for row in rows if (row["length_penalty"] or 0.0) == alpha and row[key] is not None]
        points = [(row["beam"] or 0.0, _share(row) if key == "errors" else row[key] or 0.0) for row in chosen]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=3.5, label=f"α = {alpha:g}")
    if exact is not None and key != "errors" and exact[key] is not None:
        axes.axhline(exact[key], color=_BLUE, linestyle=":", linewidth=1.2, label="exact, α = 0")  # type: ignore[arg-type]
    beams = sorted({int(row["beam"] or 0) for row in rows})
    axes.set_xscale("log")
    axes.set_xticks(beams, labels=[str(beam) for beam in beams])
    axes.minorticks_off()
    axes.set_xlabel("beam size")
    if key == "errors":
        axes.set_ylabel("% of the sentences")
        axes.set_ylim(bottom=0)
    elif key == "length":
        axes.set_ylabel("pieces")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def _share(row: Mapping[str, float | None]) -> float:
    """Errors in per cent of the sentences."""
    return 100 * (row["errors"] or 0.0) / (row["sentences"] or 1.0)


def require_matplotlib(consequence: str) -> None:
    """Raise ConfigError, `consequence` in front, where matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ConfigError(f"{consequence}: matplotlib is not installed (pip install matplotlib)") from None


def check_picture(path: Path) -> None:
    """Raise ConfigError for a picture that could not be drawn there, before any time is spent on what it shows."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"{path}: its name must end in {', '.join(FORMATS)}")
    require_matplotlib(f"{path} cannot be drawn")
    check_outputs(path)


def _figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, but no more than a screen can show."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(width, 60.0), min(height, 60.0)), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending of `path` says the format. It appears whole or not at all.

    Raises ConfigError where it cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"{path}: a picture ends in {', '.join(FORMATS)}")
    drawn = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(drawn, format=path.suffix.lower().removeprefix("."), dpi=160)
    write_output(path, drawn.getvalue())
    for warning in caught:
        if "missing from" in str(warning.message):  # a letter that no font here has
            log.warning("%s: %s", path, warning.message)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _longest(labels: Sequence[str]) -> int:
    return max(map(len, labels), default=0)


def _name_ticks(axes: Axes, labels: Sequence[str], size: float | None = None) -> None:
    """Labels of the columns, upright above them."""
    axes.set_xticks(range(len(labels)), labels=list(labels), rotation=90, fontsize=size)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("bottom")


def _grid(axes: Axes, rows: int, columns: int) -> None:
    """Thin white lines between the fields."""
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#E8E8E8", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)


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


def gradient_reach(curves: Sequence[tuple[str, str, Array, tuple[float, float]]], path: Path) -> None:
    """Draw norms of gradients, of a network's state, by steps back from the loss, on a logarithmic scale.

    `curves`: network, state, norms at distance 0, 1, ..., and the fit, gamma and scale, which is drawn thinly. Raises
    ConfigError where matplotlib is not installed.
    """
    require_matplotlib("no picture drawn")
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    figure = _figure(8.0, 4.2 + 0.1 * len(curves))
    axes = figure.subplots()
    colours = {network: f"C{number}" for number, network in enumerate(dict.fromkeys(curve[0] for curve in curves))}
    styles: dict[str, int] = {}
    for network, state, norms, (gamma, scale) in curves:
        style = ("-", "--", ":", "-.")[styles.setdefault(network, 0) % 4]
        styles[network] += 1
        label = f"{network}: {state}, γ = {gamma:.3f}"
        shown = np.where(norms > 0, norms, np.nan)
        steps = np.arange(len(norms))
        axes.plot(steps, shown, color=colours[network], linestyle=style, linewidth=1.6, label=label)
        axes.plot(steps[1:], scale * gamma ** steps[1:], color=colours[network], linewidth=0.5, alpha=0.6)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(numticks=12))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("steps back from the loss, t − k")
    axes.set_ylabel("norm of the gradient of the loss\nwith respect to the state at step k")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(left=0)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    _save(figure, path)
