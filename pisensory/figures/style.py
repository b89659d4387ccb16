"""How figures look: colours that the colour-blind can tell apart, sizes that are read at 800 pixels."""

from __future__ import annotations

import io
import re
from typing import Any

from ..errors import import_extra

INK, SOFT, LINE, PAPER = "#1d1c1a", "#5e5b55", "#dedad1", "#ffffff"
# Okabe and Ito's palette (Wong, "Points of view: Color blindness", Nature Methods 8, 2011), without its yellow
# and black, which are lost on white and on a dark page.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = "osD^vPX*<>"
LOW, ZERO, HIGH = "#b35a13", "#f3f1ec", "#2a679f"
WIDTH = 8.0  # inches, 100 pixels each where figures are shown

_SETTINGS = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.edgecolor": SOFT, "axes.labelcolor": INK, "axes.linewidth": 0.8, "text.color": INK, "axes.titlecolor": INK,
    "xtick.color": SOFT, "ytick.color": SOFT, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": LINE,
    "grid.linewidth": 0.7, "axes.axisbelow": True, "legend.frameon": False, "legend.fontsize": 9,
    "lines.linewidth": 1.8, "figure.facecolor": PAPER, "axes.facecolor": "none", "savefig.facecolor": PAPER,
    "svg.fonttype": "none", "image.interpolation": "nearest",
}  # fmt: skip


def new_figure(height: float, n_rows: int = 1, n_columns: int = 1, **grid: Any) -> tuple[Any, Any]:
    """Return a figure of the usual width and this height in inches, and its axes."""
    figure = import_extra("matplotlib.figure", "viz").Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(n_rows, n_columns, **grid)


def styled() -> Any:
    """Return a context in which what is drawn has this style, whatever the user's own settings."""
    matplotlib = import_extra("matplotlib", "viz")
    # Its default settings first; the backend is not among those of a figure that is never shown.
    defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    return matplotlib.rc_context({**defaults, **_SETTINGS})


def diverging() -> Any:
    """Return the colour map of numbers around zero: orange below, blue above."""
    return import_extra("matplotlib.colors", "viz").LinearSegmentedColormap.from_list("diverging", [LOW, ZERO, HIGH])


def sequential() -> Any:
    """Return the colour map of amounts: from paper to blue."""
    return import_extra("matplotlib.colors", "viz").LinearSegmentedColormap.from_list("amount", [ZERO, HIGH])


def legend_above(figure: Any, axes: Any, n_columns: int = 3) -> None:
    """Put the legend of the axes above them all, in so many columns."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=min(n_columns, max(1, len(labels))))


def bar_beside(figure: Any, image: Any, axes: Any, label: str) -> None:
    """Put the bar that tells an image's colours beside its axes."""
    figure.colorbar(image, ax=axes, label=label, pad=0.02).outline.set_visible(False)


def as_png(figure: Any) -> bytes:
    """Return a figure as PNG, at one and a half times the size at which it is shown."""
    data = io.BytesIO()
    with styled():
        _lay_out(figure).print_png(data, metadata={"Software": None})
    return data.getvalue()


def as_svg(figure: Any, name: str) -> str:
    """Return a figure as SVG; `name` keeps its identifiers apart from those of others on one page."""
    matplotlib = import_extra("matplotlib", "viz")
    backend = import_extra("matplotlib.backends.backend_svg", "viz")
    data = io.StringIO()
    with styled(), matplotlib.rc_context({"svg.hashsalt": name}):
        _lay_out(figure)
        backend.FigureCanvasSVG(figure).print_svg(data, metadata={"Date": None, "Creator": None})
    text = re.sub(r'\bid="', f'id="{name}-', data.getvalue())
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)


def _lay_out(figure: Any) -> Any:
    """Put everything in its place, once for all formats, and return a canvas of pixels, by whose text it is measured.

    `savefig` would do so for each format, and draw all of it in vain.
    """
    canvas = import_extra("matplotlib.backends.backend_agg", "viz").FigureCanvasAgg(figure)
    figure.set_dpi(150)
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")
    return canvas


def colour(number: int) -> str:
    """Return the colour of a series, by its number."""
    return PALETTE[number % len(PALETTE)]
