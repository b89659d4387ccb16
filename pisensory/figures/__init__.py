"""Figures, drawn with matplotlib (extra `viz`): those of a report, and learning curves."""

from .learning import Curve, learning_curves, read_curve
from .report import Drawing, report_figures
from .style import as_png, as_svg

__all__ = ["Curve", "Drawing", "as_png", "as_svg", "learning_curves", "read_curve", "report_figures"]
