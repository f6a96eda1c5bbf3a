"""Plots as SVG that can stand inside a page: no scripts, no addresses, names of their own."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hydramol.core.results import Plot, Series
from hydramol.report.read_run import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart also by those who see fewer colours (Okabe & Ito 2008), a little calmer.
COLORS = ("#2f6db3", "#d9822b", "#2a9d78", "#b6539b", "#7a7f87", "#c94f4f", "#7cb5e0", "#8c6d31")
_INK, _FAINT = "#3c4650", "#e6e9ec"
_MOST_POINTS = 600  # of a curve; longer ones are averaged in blocks

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: crisp, small and searchable
    "font.size": 10.0,
    "axes.edgecolor": "#aab2ba",
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": "#8a939c",
    "ytick.color": "#8a939c",
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "text.color": _INK,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def draw(plot: Plot, name: str, size: tuple[float, float] = (4.4, 2.9)) -> str:
    """Draws a plot of an evaluation.

    Args:
        plot: What to draw.
        name: Different for every plot of a page; the ids inside begin with it.
        size: Width and height, inches.

    Returns:
        An ``<svg>`` element.
    """

    def paint(axes: Axes) -> None:
        for number, series in enumerate(plot.series):
            _paint_series(axes, plot, series, number)
        axes.set_xlabel(plot.x_label)
        axes.set_ylabel(plot.y_label)
        if plot.log_y:
            axes.set_yscale("log")
        elif plot.kind == "steps":
            axes.set_ylim(bottom=0)
        _legend(axes, len(plot.series))
        if plot.kind == "bars" and plot.series:
            x = plot.series[0].x
            axes.set_xticks(range(len(x)), [f"{value:g}" for value in x])
            axes.grid(visible=False, axis="x")

    return _svg(paint, name, size)


def draw_curves(curves: dict[str, Curve], title: str, name: str, size: tuple[float, float] = (4.4, 2.9)) -> str:
    """Draws metrics over steps; noisy ones as a faint line with a smooth one on it.

    Args:
        curves: Metrics by the name in the legend.
        title: What they measure.
        name: Different for every plot of a page.
        size: Width and height, inches.
    """

    def paint(axes: Axes) -> None:
        finite = []
        for number, (label, curve) in enumerate(curves.items()):
            steps, values = _thinned(curve)
            color = COLORS[number % len(COLORS)]
            if _noisy(values):
                axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
                axes.plot(steps, _smooth(values), color=color, label=label)
            else:
                axes.plot(steps, values, color=color, label=label, marker=_marker(values), markersize=3)
            finite.append(values[np.isfinite(values)])
        shown = np.concatenate(finite)
        if len(shown) and shown.min() > 0 and shown.max() / np.median(shown) > 30:
            axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel(title)
        _legend(axes, len(curves))

    return _svg(paint, name, size)


def group_curves(names: Sequence[str]) -> dict[str, list[str]]:
    """Which metrics share axes: those of one quantity in all stages, with its variants.

    ``train/loss``, ``val/loss`` and ``val/loss_linear_guess`` make the group ``loss``.
    """
    quantities = {name: name.split("/", 1)[-1] for name in names}
    groups: dict[str, list[str]] = {}
    for name in names:
        quantity = quantities[name]
        roots = [other for other in quantities.values() if quantity == other or quantity.startswith(f"{other}_")]
        groups.setdefault(min(roots, key=len), []).append(name)
    return groups


def _legend(axes: Axes, n: int) -> None:
    """Names of several curves above the axes, where they cover nothing."""
    if n > 1:
        axes.figure.legend(loc="outside upper left", ncols=min(n, 3), columnspacing=1.4, handlelength=1.5)


def _paint_series(axes: Axes, plot: Plot, series: Series, number: int) -> None:
    color = COLORS[number % len(COLORS)]
    x, y = np.asarray(series.x, dtype=float), np.asarray(series.y, dtype=float)
    if plot.kind == "steps":
        # The first series is what is compared with: filled; the others are outlines on it.
        behind = number == 0 and len(plot.series) > 1
        width, alpha = (0.0, 0.25) if behind else (1.5, 1.0)
        axes.stairs(y, x, color=color, label=series.name, fill=behind, linewidth=width, alpha=alpha)
    elif plot.kind == "bars":
        width = 0.8 / len(plot.series)
        places = np.arange(len(x)) + (number - (len(plot.series) - 1) / 2) * width
        bars = axes.bar(places, y, width * 0.94, color=color, label=series.name)
        axes.bar_label(bars, [f"{value:.3g}" if math.isfinite(value) else "" for value in y], padding=2, fontsize=8.5)
        axes.margins(y=0.15)
    elif plot.kind == "points":
        axes.plot(x, y, "o", color=color, label=series.name, markersize=3, alpha=0.7)
    else:
        axes.plot(x, y, color=color, label=series.name, marker=_marker(x), markersize=3.5)


def _marker(values: np.ndarray) -> str | None:
    """Points on a curve, while there are few."""
    return "o" if len(values) < 30 else None


def _thinned(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """A curve of bounded length: means of blocks."""
    steps, values = np.asarray(curve.steps), np.asarray(curve.values)
    block = -(-len(steps) // _MOST_POINTS)
    if block <= 1:
        return steps, values
    starts = np.arange(0, len(steps), block)
    counts = np.diff(np.append(starts, len(steps)))
    return np.add.reduceat(steps, starts) / counts, np.add.reduceat(values, starts) / counts


def _noisy(values: np.ndarray) -> bool:
    """Whether a curve is long and turns around at every other point."""
    turns = np.diff(np.sign(np.diff(values))) != 0
    return len(values) >= 60 and bool(turns.mean() > 0.25)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Running median over a twentieth of the curve, which single wild steps do not move."""
    half = max(len(values) // 40, 2)
    padded = np.pad(values, half, mode="reflect")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=-1)


def _svg(paint: Callable[[Axes], None], name: str, size: tuple[float, float]) -> str:
    """Runs ``paint(axes)`` on a new figure, away from pyplot's global state."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure.add_subplot())
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(out.getvalue(), name)


def _inline(svg: str, name: str) -> str:
    """The bare ``<svg>`` element with fluid size, the page's font, and ids that meet no other plot's."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style).*?</\1>", "", svg, flags=re.DOTALL)  # a style would hold for the whole page
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", svg)
    svg = re.sub(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', r'<svg class="plot" viewBox="\1" role="img">', svg, count=1)
    return svg.strip()
