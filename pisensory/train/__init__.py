"""Training by evolution: ask CMA-ES for a population, roll it out, tell it the scores."""

from .loop import TrainResult, train

__all__ = ["TrainResult", "train"]
