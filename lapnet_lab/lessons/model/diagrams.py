"""The paper's two drawings, made from a run: fig. 2 with what each part costs, and fig. 4, one training step."""

from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch, Polygon, Rectangle

from lapnet_lab.style import BLACK, BLUE, GREEN, GREY, ORANGE, PAGE, PURPLE, SKY, VERMILLION, styled

PART_STYLE = {
    "backbone": (BLUE, ""), "decoder": (SKY, "//"), "level convolutions": (GREEN, ".."), "score head": (ORANGE, "xx"),
    "offset head": (PURPLE, "\\\\"),
}  # fmt: skip
"""Colour and hatch of each part of the network, in every figure."""

CELL = 10.0
"""Height of a stride-8 map in the drawing of fig. 2; coarser maps are drawn to this scale, the image is not."""
_COLUMN = {"C": 17.0, "P": 37.0, "L": 57.5, "fused": 74.0, "heads": 92.0}
_ROW = {"3": 37.0, "4": 20.0, "5": 8.0}


def _slab(ax: Axes, x: float, y: float, size: tuple[int, int, int], scale: float, shade: str, text: str) -> float:
    """A map as a slab with its middle at height y; returns its right edge. Thickness grows as √channels."""
    channels, height, width = size
    thick, tall, deep = 0.6 + 0.115 * channels**0.5, height * scale, 0.3 * width * scale
    low = y - tall / 2
    corner, across, up, back = (
        np.array([x, low]),
        np.array([thick, 0]),
        np.array([0, tall]),
        np.array([deep, 0.6 * deep]),
    )
    faces = ((corner, across, up, 0.9), (corner + up, across, back, 0.55), (corner + across, back, up, 0.7))
    for start, one, other, alpha in faces:
        corners = [start, start + one, start + one + other, start + other]
        ax.add_patch(Polygon(corners, fc="white", ec="none"))
        ax.add_patch(Polygon(corners, fc=shade, ec=BLACK, lw=0.6, alpha=alpha))
    ax.text(x + thick / 2 + deep / 2, low - 0.7, text, ha="center", va="top", fontsize=7.5)
    return x + thick + deep


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], shade: str = GREY, width: float = 1.1
) -> None:
    style = {"arrowstyle": "-|>", "color": shade, "lw": width, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=style, annotation_clip=False)


@styled
def architecture(
    maps: Mapping[str, tuple[int, ...]],
    stacks: Mapping[str, str],
    macs: Mapping[str, int],
    parameters: Mapping[str, int],
    title: str = "",
) -> Figure:
    """Fig. 2 of the paper with the shapes of a real run, and beneath it what each part costs.

    Args:
        maps: "image", "C3" to "C5", "P3" to "P5", "L3" to "L5", "fused" -> (channels, height, width);
            "scores" -> (C, A, H, W), "offsets" -> (C, A, 4, H, W).
        stacks: "L3" to "L5", "scores", "offsets" -> the convolutions that lead there, in words.
        macs, parameters: per part, in the order of the network.
    """
    figure = Figure(figsize=(9.2, 4.1))  # with the controls and the text above it, it fits a small screen
    ax, costs = figure.add_axes((0.01, 0.31, 0.98, 0.62)), figure.add_axes((0.11, 0.14, 0.88, 0.16))
    ax.set(xlim=(-2, 109), ylim=(3, 51.5))
    ax.axis("off")
    figure.suptitle(title, x=0.01, y=0.99, ha="left", fontsize=10.5)
    shade = {name: look[0] for name, look in PART_STYLE.items()}
    grid = maps["fused"][-2:]
    scale = CELL / max(grid)
    shown = {name: "·".join(map(str, size[:-2])) + f" × {size[-2]} × {size[-1]}" for name, size in maps.items()}
    heads = {"scores": ("score head", 34.0), "offsets": ("offset head", 11.0)}

    tall, wide = (14 * side / max(maps["image"][1:]) for side in maps["image"][1:])
    ax.add_patch(Rectangle((0, 24 - tall / 2), wide * 0.75, tall, fc="#dddddd", ec=BLACK, lw=0.8))
    ax.text(wide * 0.375, 23.3 - tall / 2, f"image\n{shown['image']}", ha="center", va="top", fontsize=7.5)
    edge: dict[str, float] = {}
    for letter, part in (("C", "backbone"), ("P", "decoder"), ("L", "level convolutions")):
        for level, y in _ROW.items():
            name = letter + level
            size = (maps[name][0], maps[name][1], maps[name][2])
            edge[name] = _slab(ax, _COLUMN[letter], y, size, scale, shade[part], f"{name}: {shown[name]}")
    for level, y in _ROW.items():
        _arrow(ax, (wide * 0.75, 24), (_COLUMN["C"] - 0.5, y))
        _arrow(ax, (edge[f"C{level}"] + 0.5, y), (_COLUMN["P"] - 0.5, y))
        _arrow(ax, (edge[f"P{level}"] + 0.5, y), (_COLUMN["L"] - 0.5, y))
        middle = (edge[f"P{level}"] + _COLUMN["L"]) / 2
        ax.text(middle, y + 0.6, stacks[f"L{level}"], ha="center", va="bottom", fontsize=7.5)
        # Resized to stride 8: one third of the concatenated map.
        _arrow(ax, (edge[f"L{level}"] + 0.5, y), (_COLUMN["fused"] - 0.5, 23 + 3 * (4 - int(level))))
    for high, low in (("3", "4"), ("4", "5")):  # the decoder's way from coarse to fine
        _arrow(
            ax,
            (_COLUMN["P"] + 1, _ROW[low] + 3.6),
            (_COLUMN["P"] + 1, _ROW[high] - maps[f"P{high}"][1] * scale / 2 - 4.4),
        )
    size = (maps["fused"][0], grid[0], grid[1])
    fused = _slab(ax, _COLUMN["fused"], 23, size, scale, GREY, f"fused: {shown['fused']}")
    for name, (part, y) in heads.items():
        size = (int(np.prod(maps[name][:-2])), grid[0], grid[1])
        _slab(ax, _COLUMN["heads"], y, size, scale, shade[part], f"{name}: {shown[name]}")
        _arrow(ax, (fused + 0.5, 23), (_COLUMN["heads"] - 0.5, y))
        ax.text(
            fused + 4.5,
            34.5 if y > 23 else 9.5,
            stacks[name].replace(" + ", "\n+ "),
            ha="center",
            va="center",
            fontsize=7.5,
        )
    for x, part in ((_COLUMN["C"], "backbone"), (_COLUMN["P"], "decoder"), (_COLUMN["L"], "level convolutions"),
                    (_COLUMN["fused"], "resize, concat"), (_COLUMN["heads"], "two heads")):  # fmt: skip
        ax.text(x, 51, part, fontsize=8.5, weight="bold", va="top")
    rows = {"operations": _shares(macs), "parameters": _shares(parameters)}
    _stacked(costs, rows, {"operations": _quantity(sum(macs.values()), "MAC"),
                           "parameters": _quantity(sum(parameters.values()), "")})  # fmt: skip
    costs.set(xlim=(0, 111), xticks=range(0, 101, 20), xticklabels=[f"{k} %" for k in range(0, 101, 20)])
    costs.tick_params(axis="x", labelsize=8.5, pad=2)
    figure.legend(handles=_keys(macs), loc="lower center", ncols=len(macs), fontsize=8.5, handleheight=1.2, borderpad=0)
    return figure


def _shares(values: Mapping[str, float]) -> dict[str, float]:
    return {name: 100 * value / sum(values.values()) for name, value in values.items()}


def _quantity(value: float, unit: str) -> str:
    return f"{value / 1e9:.3g} G{unit}" if value >= 1e9 else f"{value / 1e6:.3g} M{unit}"


def _stacked(ax: Axes, rows: Mapping[str, Mapping[str, float]], ends: Mapping[str, str]) -> None:
    for k, (label, parts) in enumerate(rows.items()):
        left = 0.0
        for part, value in parts.items():
            shade, hatch = PART_STYLE[part]
            ax.barh(k, value, left=left, color=shade, hatch=hatch, ec="white", lw=0.6, height=0.62)
            left += value
        ax.text(left, k, f" {ends[label]}", va="center", fontsize=8.5)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)


def _keys(parts: Collection[str]) -> list[Patch]:
    return [Patch(fc=PART_STYLE[p][0], hatch=PART_STYLE[p][1], ec="white", label=p) for p in parts]


@styled
def cost_bars(
    rows: Mapping[str, Mapping[str, float]], reference: tuple[str, float] | None = None, title: str = ""
) -> Figure:
    """Operations of several networks, stacked by part.

    Args:
        rows: name of a network -> part -> MACs.
        reference: name and MACs of something to compare with, a dashed line.
    """
    figure = Figure(figsize=(9.2, 0.42 * len(rows) + 1.6), layout="constrained")
    ax = figure.add_subplot()
    in_giga = {name: {part: macs / 1e9 for part, macs in parts.items()} for name, parts in rows.items()}
    _stacked(ax, in_giga, {name: f"{sum(parts.values()):.1f}" for name, parts in in_giga.items()})
    handles: list[Any] = [*_keys(next(iter(rows.values())))]
    most = max(sum(parts.values()) for parts in in_giga.values())
    if reference:
        ax.axvline(reference[1] / 1e9, color=BLACK, ls="--", lw=1.4)
        handles.append(Line2D([], [], color=BLACK, ls="--", lw=1.4, label=reference[0]))
        most = max(most, reference[1] / 1e9)
    ax.set(xlim=(0, 1.1 * most), xlabel="operations for one image, GMAC", title=title)
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8.5, handleheight=1.2)
    return figure


_NODES = {
    "image": (0.0, 1.5), "network": (1.6, 1.5), "offsets": (3.2, 3.0), "anchors": (3.2, 1.83), "objects": (3.2, 0.97),
    "scores": (3.2, -0.25), "boxes": (4.9, 3.0), "O": (4.9, 1.4), "Ô": (6.6, 3.0), "P": (6.6, 1.4),
    "loc": (8.3, 3.0), "reg": (8.3, 1.4), "cls": (8.3, -0.25), "total": (9.95, 1.4),
}  # fmt: skip
_EDGES = (
    ("image", "network"), ("network", "offsets"), ("network", "scores"), ("offsets", "boxes"), ("anchors", "boxes"),
    ("anchors", "O"), ("objects", "O"), ("boxes", "Ô"), ("objects", "Ô"), ("O", "P"), ("Ô", "P"), ("Ô", "loc"),
    ("P", "cls"), ("scores", "cls"), ("loc", "total"), ("reg", "total"), ("cls", "total"),
)  # fmt: skip
_ROUTES = {
    ("loc", "offsets"): ("loc", "Ô", "boxes", "offsets", "network"),
    ("cls", "scores"): ("cls", "scores", "network"),
    ("cls", "offsets"): ("cls", "P", "Ô", "boxes", "offsets", "network"),
    ("loc", "scores"): ("loc", "Ô", "P", "cls", "scores", "network"),
}


@styled
def training_flow(texts: Mapping[str, str], gradients: Mapping[tuple[str, str], float]) -> Figure:
    """Fig. 4 of the paper: from an image to the loss, with the shapes and numbers of a real batch.

    Args:
        texts: image, network, offsets, anchors, objects, scores, boxes, O, Ô, P, loc, reg, cls, total -> what to write.
        gradients: ("loc" or "cls", "offsets" or "scores") -> norm of the gradient. Where it is not 0 the arrows are
            red, as in the paper: there back-propagation runs, against the arrows.
    """
    figure = Figure(figsize=(PAGE, 4.6), layout="constrained")
    ax = figure.add_subplot()
    ax.set(xlim=(-0.75, 10.7), ylim=(-0.7, 3.45))
    ax.axis("off")
    red = set()
    for route, norm in gradients.items():
        path = _ROUTES[route]
        red |= {(b, a) for a, b in pairwise(path)} if norm else set()
        red |= {(route[0], "total")} if norm else set()
    for edge in _EDGES:
        shade = VERMILLION if edge in red else GREY
        ends = [np.array(_NODES[name]) for name in edge]
        start, end = (_border(a, b) for a, b in ((ends[0], ends[1]), (ends[1], ends[0])))
        _arrow(ax, start, end, shade, 2.4 if edge in red else 1.2)
    for name, (x, y) in _NODES.items():
        loss = name in ("loc", "cls", "reg", "total")
        fill = "#fdebdd" if loss else "#e8f2fa" if name in ("image", "anchors", "objects") else "white"
        low = (x - _HALF[0], y - _HALF[1])
        box = FancyBboxPatch(
            low, 2 * _HALF[0], 2 * _HALF[1], boxstyle="round,pad=0,rounding_size=0.07", fc=fill, ec=BLACK, zorder=4
        )
        ax.add_patch(box)
        said = texts[name].replace(" × ", "×")
        ax.text(x, y, said, ha="center", va="center", fontsize=7.5, linespacing=1.25, zorder=5)
    handles = [
        Line2D([], [], color=VERMILLION, lw=2.4, label="gradients come back along this arrow (measured)"),
        Line2D([], [], color=GREY, lw=1.2, label="numbers go forward, no gradient returns to the network"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8.5)
    return figure


_HALF = (0.7, 0.35)


def _border(inside: Any, toward: Any) -> tuple[float, float]:
    """Where the line from a node's centre leaves its box."""
    way = toward - inside
    reach = min(h / abs(w) for h, w in zip(_HALF, way, strict=True) if w)
    return tuple(inside + way * reach)
