"""Training by evolution: ask CMA-ES for a population, roll it out, tell it the scores."""

from .loop import TrainingInterrupted, TrainResult, train

__all__ = ["TrainResult", "TrainingInterrupted", "train"]
