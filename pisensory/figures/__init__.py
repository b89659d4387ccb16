"""Figures, drawn with matplotlib (extra `viz`): those of a report, and learning curves."""

from .curves import Curve, join_stages, read_curve, read_stages, settings_but_seed
from .learning import learning_curves
from .report import Drawing, report_figures
from .style import as_png, as_svg

__all__ = [
    "Curve", "Drawing", "as_png", "as_svg", "join_stages", "learning_curves", "read_curve", "read_stages",
    "report_figures", "settings_but_seed",
]  # fmt: skip
