"""A page that explains translations: one HTML file, without scripts, asking nothing of other servers or matplotlib."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

BLUE, RED, WHITE = (0, 68, 136), (187, 85, 102), (255, 255, 255)
_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
table { border-collapse: collapse; margin: 1em 0 }
th { font-weight: normal; text-align: right; padding: 0 .5em; white-space: nowrap }
thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: .3em 0 }
td { width: 1.9em; height: 1.6em; text-align: center; font-size: 11px; border: 1px solid #eee }
td.note { border: 0; color: #666; width: auto; padding-left: .6em; text-align: left }
.gates { display: flex; flex-wrap: wrap; gap: 1.5em }
.gates td { padding: 0; height: auto }
.gates img { display: block; width: 100%; height: 110px; image-rendering: pixelated }
.gates td.step { writing-mode: vertical-rl; border: 0; width: 1.5em; text-align: left; white-space: nowrap }
summary { font-size: 1.1em; margin: .6em 0; cursor: pointer }
h3 { margin: .8em 0 0; font-size: 1em }
.links { font-family: monospace }
"""


@dataclass(frozen=True)
class Section:
    """One translation on the page."""

    text: str
    facts: Sequence[tuple[str, str]]
    """Name and value of what else there is to say."""
    weights: Array | None
    """Attention, [target, source]."""
    source: Sequence[str]
    target: Sequence[str]
    notes: Sequence[str]
    """Behind each row of the heat map: the probability of its piece."""
    layers: Sequence[tuple[str, Mapping[str, Array], Sequence[str]]]
    """A layer's name, its gates by name, [steps, units] each, and what stands at each step."""


def page(title: str, sections: Sequence[Section]) -> str:
    """The page, the first section open."""
    body = "\n".join(_section(section, is_open=k == 0) for k, section in enumerate(sections))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def _section(section: Section, *, is_open: bool) -> str:
    facts = "".join(
        f"<tr><th>{escape(name)}</th><td class=note>{escape(value)}</td></tr>" for name, value in section.facts
    )
    parts = [f"<table>{facts}</table>"]
    if section.weights is not None:
        parts.append(_heat_map(section.weights, section.source, section.target, section.notes))
    parts += [_gates(*layer) for layer in section.layers]
    opened = " open" if is_open else ""
    return f"<details{opened}><summary>{escape(section.text)}</summary>\n" + "\n".join(parts) + "</details>"


def _heat_map(weights: Array, source: Sequence[str], target: Sequence[str], notes: Sequence[str]) -> str:
    heads = "".join(f"<th>{escape(piece)}</th>" for piece in source)
    rows = []
    for piece, row, note in zip(target, weights.tolist(), notes, strict=True):
        fields = "".join(_field(weight, f"{piece} from {name}") for weight, name in zip(row, source, strict=True))
        rows.append(f"<tr><th>{escape(piece)}</th>{fields}<td class=note>{escape(note)}</td></tr>")
    caption = "<h3>Attention: a row a target piece, and behind it its probability</h3>"
    return f"{caption}<table><thead><tr><th></th>{heads}<th></th></tr></thead>\n" + "\n".join(rows) + "</table>"


def _field(weight: float, title: str) -> str:
    colour = _mixed(weight)
    ink = "#fff" if weight > 0.6 else "#222"
    number = f"{weight:.1f}" if weight >= 0.1 else ""
    style = f"background:rgb{colour};color:{ink}".replace(" ", "")
    return f'<td style="{style}" title="{escape(title)}: {weight:.3f}">{number}</td>'


def _gates(name: str, gates: Mapping[str, Array], steps: Sequence[str]) -> str:
    labels = "".join(f"<td class=step>{escape(step)}</td>" for step in steps)
    tables = []
    for gate, values in gates.items():
        by_mean = values.T[np.argsort(values.mean(axis=0))] / max(1.0, float(np.abs(values).max()))
        image = base64.b64encode(png(_coloured(by_mean))).decode("ascii")
        picture = f'<td colspan={len(steps)}><img alt="{escape(gate)}" src="data:image/png;base64,{image}"></td>'
        caption = f"<caption>{escape(gate)}, mean {values.mean():.2f}</caption>"
        tables.append(f"<table>{caption}<tr>{picture}</tr><tr>{labels}</tr></table>")
    units = next(iter(gates.values())).shape[1]
    heading = f"<h3>Gates of {escape(name)}, {units} units, the least active on top</h3>"
    return f"{heading}<div class=gates>{''.join(tables)}</div>"


def _mixed(value: float) -> tuple[int, int, int]:
    """White at 0, blue at 1, red at -1."""
    colour = BLUE if value >= 0 else RED
    share = min(abs(value), 1.0)
    red, green, blue = (round(white + share * (full - white)) for white, full in zip(WHITE, colour, strict=True))
    return red, green, blue


def _coloured(values: Array) -> NDArray[np.uint8]:
    """[rows, columns, 3]: `_mixed` of every value."""
    share = np.clip(np.abs(values), 0, 1)[..., np.newaxis]
    full = np.where((values >= 0)[..., np.newaxis], BLUE, RED)
    colours: NDArray[np.uint8] = np.rint(255 + share * (full - 255)).astype(np.uint8)
    return colours


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of [rows, columns, 3] pixels in red, green and blue (PNG specification, third edition)."""
    rows, columns, _ = pixels.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)  # 8 bits a sample, colour type 2: RGB
    scanlines = b"".join(b"\0" + row.tobytes() for row in pixels)  # filter 0: none
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(scanlines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
