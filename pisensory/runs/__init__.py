"""A run: a folder in which training and cloning lose nothing, whatever stops them."""

from .config import read_config
from .folder import BEST, CONFIG, METRICS, RECIPE
from .metrics import read_metrics
from .progress import Progress
from .signals import TrainingInterrupted

__all__ = ["BEST", "CONFIG", "METRICS", "RECIPE", "Progress", "TrainingInterrupted", "read_config", "read_metrics"]
